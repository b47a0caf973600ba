//! What a round puts into the bodies of blocks, with masks and without. Votes are all that does.

use super::masks::{deal_of, keys, masked_rules, with};
use crate::{benchmarking::masked, mock::*, *};
use codec::Encode;
use consilium_primitives::{round::Phase, StudyId, StudyRules, VoteBody};
use frame_support::traits::Authorize;
use sp_core::Pair as _;
use sp_runtime::{traits::Dispatchable, transaction_validity::TransactionSource};

/// Bytes of an extrinsic beside its call: length, version and extensions. The runtime tests that its own are so many.
const WRAPPED: usize = 7;

/// What one of them answers.
enum Answer {
    /// By a vote alone.
    Voted(VoteBody),
    /// With bytes.
    Posted(Vec<u8>),
}

/// Lets so many answer what they are asked now, all at once, as a block does. Gives the bytes of what it takes: of some duties fewer
/// answers settle it, and those after them are let in no more.
fn answers(study: StudyId, n: u8, say: impl Fn(u8) -> Answer) -> usize {
    let call = |member: u8| {
        let said = say(member);
        let vote = match &said {
            Answer::Voted(body) => ballot(member, study, *body),
            Answer::Posted(bytes) => with(member, study, bytes),
        };
        let signature = sign(&vote, &pair(member, 0));
        RuntimeCall::Swarm(match said {
            Answer::Voted(_) => Call::vote { vote, signature },
            Answer::Posted(bytes) => Call::post { vote, bytes: bytes.try_into().unwrap(), signature },
        })
    };
    // all of them before the first one is taken
    let calls: Vec<RuntimeCall> = (0..n).map(call).collect();
    let mut taken = 0;
    for call in calls {
        let len = call.encode().len() + WRAPPED;
        if call.authorize(TransactionSource::InBlock).expect("votes are authorized calls").is_ok() {
            call.dispatch(frame_system::RawOrigin::Authorized.into()).expect("what is let in is taken");
            taken += len;
        }
    }
    taken
}

/// A study of so many in its first round; gives the bytes that this takes.
fn in_blocks(n: u8, rules: StudyRules) -> usize {
    let (mut bytes, masks) = (0, rules.masked.is_some());
    run(|| {
        let all: Vec<u8> = (0..n).collect();
        // the chain begins with six
        for member in all.iter().skip(6) {
            Everybody::make_participant(&account(*member), pair(*member, 0).public());
        }
        let study = started(rules, &all);
        for member in all {
            if matches!(info(study).state.phase, Phase::Init { .. }) {
                answer(member, study, VoteBody::Root(hash(1)));
            }
        }
        bytes = if masks { masked_round(study, n) } else { plain_round(study, n) };
        assert_eq!((info(study).state.round, record(study, 1).inputs.len()), (2, usize::from(n)));
    });
    bytes
}

fn plain_round(study: StudyId, n: u8) -> usize {
    let updates = answers(study, n, |member| Answer::Voted(update(10 + member, Some(7))));
    updates + answers(study, n, |_| Answer::Voted(VoteBody::Root(hash(50))))
}

fn masked_round(study: StudyId, n: u8) -> usize {
    let keys = answers(study, n, |member| Answer::Voted(keys(member)));
    let deals = answers(study, n, |member| Answer::Posted(deal_of(member, study)));
    let updates = answers(study, n, |member| Answer::Voted(update(10 + member, None)));
    let Phase::Gathering(m) = info(study).state.phase else { panic!("not gathering") };
    let held = answers(study, n, |_| Answer::Voted(VoteBody::Held(m.inputs_root)));
    let shares = answers(study, n, |member| Answer::Posted(masked::shares::<Test>(study, &account(member))));
    let sums = answers(study, n, |_| Answer::Voted(VoteBody::Summed { root: hash(50), pooled: Some(5) }));
    keys + deals + updates + held + shares + sums
}

#[test]
fn a_masked_round_takes_as_much_of_blocks_as_is_said_of_it() {
    for n in [4, 8] {
        let sites = usize::from(n);
        // docs/masks.md, and the design's bar on all of a round
        let said = sites * (885 + 176 * sites);
        let (masked, plain) = (in_blocks(n, masked_rules()), in_blocks(n, StudyRules { max_rounds: 9, ..rules() }));
        assert!(5 * masked <= 6 * said, "{sites} sites: {masked} bytes, and not 1.2 times {said}");
        let more = masked - plain;
        assert!(more <= said && 5 * more >= 4 * said, "{sites} sites: {more} bytes more than without, and not {said}");
    }
}
