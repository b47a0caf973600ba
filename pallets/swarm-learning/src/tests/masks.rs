//! Masked sums on a chain: what is posted, how it is checked and how long it stays; and that shares wait for finality.

use super::{conductor::says, custom};
use crate::{benchmarking::masked, conductor, mock::*, *};
use codec::Encode;
use consilium_primitives::{
    masks,
    round::{Kind, PauseReason, Phase},
    DutyKind, DutyOutput, DutyState, Hash, MaskKeys, Masked, PostStep, StudyId, StudyRules, VoidReason, Vote, VoteBody,
};
use frame_support::{
    assert_noop, assert_ok,
    traits::{Authorize, Hooks},
};
use sp_runtime::{
    offchain::storage::StorageValueRef,
    traits::BadOrigin,
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidityError},
};

pub(super) fn masked_rules() -> StudyRules {
    let masked = Some(Masked { range_log2: 2, statistics_len: 0, figures_len: 120 });
    StudyRules { min_participants: 3, max_rounds: 9, keep_updates: 1, masked, ..rules() }
}

pub(super) fn keys(n: u8) -> VoteBody {
    VoteBody::Keys(MaskKeys { seal: hash(n), pair: hash(n + 100), seed: hash(n + 200) })
}

/// A study of four with masks, whose first keys are asked for.
fn begun() -> StudyId {
    let study = started(masked_rules(), &[0, 1, 2, 3]);
    for n in 0..4 {
        if matches!(info(study).state.phase, Phase::Init { .. }) {
            answer(n, study, VoteBody::Root(hash(1)));
        }
    }
    study
}

pub(super) fn deal_of(n: u8, study: StudyId) -> Vec<u8> {
    let state = info(study).state;
    let pair = state.masking.pair.as_ref().unwrap();
    masked::dealt(&pair.keys_root, &id(n), &state.key_list(pair))
}

/// A vote with bytes.
pub(super) fn with(n: u8, study: StudyId, bytes: &[u8]) -> Vote {
    ballot(n, study, VoteBody::Posted { hash: sp_io::hashing::blake2_256(bytes).into(), len: bytes.len() as u32 })
}

fn pool_takes(
    vote: Vote,
    bytes: &[u8],
    signature: sr25519::AuthoritySignature,
) -> Result<(), TransactionValidityError> {
    let call = RuntimeCall::Swarm(Call::post { vote, bytes: bytes.to_vec().try_into().unwrap(), signature });
    call.authorize(TransactionSource::External).expect("posts are authorized calls").map(|_| ())
}

fn post(n: u8, study: StudyId, bytes: Vec<u8>) {
    let vote = with(n, study, &bytes);
    let signature = sign(&vote, &pair(n, 0));
    pool_takes(vote, &bytes, signature.clone()).unwrap();
    let origin = frame_system::RawOrigin::Authorized.into();
    Swarm::post(origin, vote, bytes.try_into().unwrap(), signature).expect("what the pool lets in, the call takes");
}

fn to_deals(study: StudyId) {
    (0..4).for_each(|n| answer(n, study, keys(n)));
}

fn to_revealing(study: StudyId) {
    to_deals(study);
    (0..4).for_each(|n| post(n, study, deal_of(n, study)));
    (0..4).for_each(|n| answer(n, study, update(10 + n, None)));
    for n in 0..4 {
        if let Phase::Gathering(m) = info(study).state.phase {
            answer(n, study, VoteBody::Held(m.inputs_root));
        }
    }
    assert!(matches!(info(study).state.phase, Phase::Revealing(_)));
}

fn to_summing(study: StudyId) {
    to_revealing(study);
    (0..3).for_each(|n| post(n, study, masked::shares::<Test>(study, &account(n))));
    assert!(matches!(info(study).state.phase, Phase::Summing(_)));
}

fn round(study: StudyId, root: u8) {
    to_summing(study);
    (0..3).for_each(|n| answer(n, study, VoteBody::Summed { root: hash(root), pooled: Some(5) }));
}

fn postings(study: StudyId) -> usize {
    Postings::<Test>::iter_prefix(study).count()
}

#[test]
fn a_masked_round_closes_and_leaves_a_record_of_its_partners() {
    run(|| {
        let study = begun();
        round(study, 50);
        let record = record(study, 1);
        let kept = record.masked.unwrap();
        assert_eq!((record.root, record.inputs.len(), record.attesters.len()), (hash(50), 4, 3));
        assert_eq!((kept.pairing, kept.listed, kept.partners, kept.pooled), (1, 15, 15, Some(5)));
        assert_eq!(Losses::<Test>::iter_prefix(study).count(), 0, "no site's loss is known");
        assert_eq!(info(study).state.base, hash(50));
        // keys, deals, and the shares of three
        assert_eq!((postings(study), Kept::<Test>::get(study).to_vec()), (4 + 4 + 3, vec![(1, 1), (2, 2)]));
        let said = |n, step| Swarm::posting(study, 1, 1, step, &id(n)).map(|bytes| bytes.len());
        assert_eq!((said(0, PostStep::Keys), said(3, PostStep::Deal)), (Some(96), Some(4 * 144)));
        assert_eq!((said(2, PostStep::Reveal), said(3, PostStep::Reveal)), (Some(8 + 4 * 32), None));
    });
}

#[test]
fn a_deal_in_storage_has_its_length_in_two_bytes_whatever_the_study_s_size() {
    for members in [masks::LEAST, consilium_primitives::rules::MAX_PARTICIPANTS] {
        let posting = Posting::truncate_from(vec![7; masks::deal_len(members) as usize]);
        assert_eq!(posting.encode().len(), posting.len() + 2, "{members}");
    }
}

#[test]
fn what_does_not_fit_a_posting_is_refused_in_pool_and_block() {
    run(|| {
        let study = begun();
        let origin = || frame_system::RawOrigin::Authorized.into();
        let refuses = |vote: Vote, bytes: &[u8], code: u8, error: Error<Test>| {
            let signature = sign(&vote, &pair(0, 0));
            assert_eq!(pool_takes(vote, bytes, signature.clone()), custom(code));
            assert_noop!(Swarm::post(origin(), vote, bytes.to_vec().try_into().unwrap(), signature), error);
        };
        // keys come without bytes
        refuses(ballot(0, study, VoteBody::Posted { hash: hash(1), len: 3 }), &[1, 2, 3], 12, Error::WrongAnswer);
        to_deals(study);
        let deal = deal_of(0, study);
        let vote = with(0, study, &deal);
        refuses(vote, &deal[1..], 17, Error::WrongPosting);
        refuses(with(0, study, &deal[1..]), &deal[1..], 17, Error::WrongPosting);
        let mut other = deal.clone();
        other[0] ^= 1;
        refuses(vote, &other, 17, Error::WrongPosting);
        refuses(Vote { institution: id(5), ..vote }, &deal, 10, Error::NotAMember);
        // a vote that says that bytes come, and comes without
        let signature = sign(&vote, &pair(0, 0));
        assert_eq!(pool_says(vote, signature.clone()), custom(12));
        assert_noop!(Swarm::vote(origin(), vote, signature.clone()), Error::<Test>::WrongAnswer);
        // somebody else's signature, and somebody's own account
        assert_eq!(pool_takes(vote, &deal, sign(&vote, &pair(1, 0))), Err(InvalidTransaction::BadProof.into()));
        let bytes: Posting = deal.clone().try_into().unwrap();
        assert_noop!(Swarm::post(signed(0), vote, bytes, signature), BadOrigin);
        post(0, study, deal.clone());
        assert_eq!(pool_takes(vote, &deal, sign(&vote, &pair(0, 0))), Err(InvalidTransaction::Stale.into()));
        (1..4).for_each(|n| post(n, study, deal_of(n, study)));
        // of another round, attempt or pairing
        refuses(Vote { kind: DutyKind::Init, ..vote }, &deal, 11, Error::NoSuchDuty);
        (0..4).for_each(|n| answer(n, study, update(10 + n, None)));
        for n in 0..3 {
            let Phase::Gathering(m) = info(study).state.phase else { panic!("not gathering") };
            let wrong = ballot(n, study, VoteBody::Held(hash(9)));
            assert_noop!(Swarm::vote(origin(), wrong, sign(&wrong, &pair(n, 0))), Error::<Test>::WrongRoot);
            answer(n, study, VoteBody::Held(m.inputs_root));
        }
        let shares = masked::shares::<Test>(study, &account(0));
        let mut wrong = shares.clone();
        wrong[20] ^= 1;
        refuses(with(0, study, &wrong), &wrong, 18, Error::WrongShare);
        let theirs = masked::shares::<Test>(study, &account(1));
        refuses(with(0, study, &theirs), &theirs, 18, Error::WrongShare);
        post(0, study, shares);
    });
}

#[test]
fn rules_that_do_not_go_with_masks_and_privacy_are_refused_by_name() {
    use consilium_primitives::{Merge, MergeRule, Weighting};
    run(|| {
        let refused = |rules: StudyRules, error: Error<Test>| {
            assert_noop!(Swarm::register(signed(0), Box::new(rules), spec_of(0)), error);
        };
        let merge = Merge::by(MergeRule::Median(Weighting::Equal));
        refused(StudyRules { merge, ..masked_rules() }, Error::MaskedRule);
        let liars = Merge { liars: 1, ..Merge::by(MergeRule::Mean(Weighting::Equal)) };
        refused(StudyRules { merge: liars, ..masked_rules() }, Error::MaskedLiars);
        refused(StudyRules { min_participants: 2, ..masked_rules() }, Error::MaskedParticipants);
        refused(StudyRules { max_share: 600_000, ..masked_rules() }, Error::MaskedShare);
    });
}

#[test]
fn postings_go_with_the_window_of_their_round_and_one_pairing_in_each_block() {
    run(|| {
        let study = begun();
        (1..=4).for_each(|n| round(study, 50 + n));
        // the last one, and the one that is open; the others wait to be forgotten
        assert_eq!(Kept::<Test>::get(study).to_vec(), [(4, 4), (5, 5)]);
        assert_eq!(Over::<Test>::get().to_vec(), [(study, 1, 1), (study, 2, 2), (study, 3, 3)]);
        assert_eq!(postings(study), 4 * 11);
        let now = System::block_number();
        for left in [3, 2, 1, 1] {
            to_block(System::block_number() + 1);
            assert_eq!(postings(study), left * 11);
        }
        assert_eq!(System::block_number(), now + 4);
        Swarm::do_try_state().unwrap();
    });
}

#[test]
fn a_study_that_ends_keeps_its_postings_as_long_as_its_updates() {
    use consilium_primitives::rules::UPDATES_AFTER_END;
    run(|| {
        let study = begun();
        round(study, 50);
        to_revealing(study);
        for _ in 0..2 {
            to_block(info(study).state.deadline().unwrap());
        }
        assert!(matches!(&info(study).state.phase, Phase::Paused(p) if p.reason == PauseReason::NotRevealed));
        assert_ok!(Swarm::abort(signed(0), study));
        let (ended, there) = (System::block_number(), postings(study));
        assert!(there > 0 && Swarm::masked_blobs()[0].rounds.len() == 1);
        let sweep = |at: u32| {
            System::set_block_number(at);
            Swarm::on_initialize(at);
        };
        sweep(ended + UPDATES_AFTER_END - 1);
        assert_eq!(postings(study), there);
        (0..3).for_each(|n| sweep(ended + UPDATES_AFTER_END + n));
        assert_eq!(postings(study), 0);
        assert!(Swarm::masked_blobs()[0].rounds.is_empty());
        assert!(!Kept::<Test>::contains_key(study) && Over::<Test>::get().is_empty());
    });
}

#[test]
fn a_pairing_that_is_given_up_leaves_nothing() {
    run(|| {
        let study = begun();
        answer(0, study, keys(0));
        for _ in 0..2 {
            to_block(info(study).state.deadline().unwrap());
        }
        assert!(matches!(info(study).state.phase, Phase::Paused(_)));
        to_block(System::block_number() + 1);
        assert_eq!((postings(study), Kept::<Test>::contains_key(study)), (0, false));
    });
}

#[test]
fn a_void_round_is_told_and_leaves_nothing_attested() {
    run(|| {
        let study = begun();
        to_summing(study);
        (0..3).for_each(|n| answer(n, study, VoteBody::Void(VoidReason::OutOfRange)));
        let told = Event::<Test>::Voided { study, round: 1, why: VoidReason::OutOfRange };
        assert!(System::events().iter().any(|record| record.event == RuntimeEvent::Swarm(told.clone())));
        assert_eq!((record(study, 1).void(), info(study).state.round), (Some(VoidReason::OutOfRange), 2));
        let asked = Swarm::asked(&id(0));
        assert!(asked.iter().all(|it| it.order.attested.iter().all(|attested| attested.round == 0)));
    });
}

#[test]
fn people_abandon_a_sum_that_waits() {
    run(|| {
        let study = begun();
        to_revealing(study);
        assert_noop!(Swarm::abandon(signed(0), study), Error::<Test>::WrongPhase);
        for _ in 0..2 {
            to_block(info(study).state.deadline().unwrap());
        }
        assert_noop!(Swarm::abandon(signed(5), study), Error::<Test>::NotAMember);
        assert_ok!(Swarm::abandon(signed(1), study));
        assert_noop!(Swarm::abandon(signed(1), study), Error::<Test>::AlreadyAnswered);
        assert_ok!(Swarm::abandon(signed(0), study));
        assert_eq!(record(study, 1).void(), Some(VoidReason::Abandoned));
    });
}

#[test]
fn orders_of_masked_duties_have_what_a_worker_needs() {
    run(|| {
        let study = begun();
        let of = |n: u8, kind: DutyKind| {
            let asked = Swarm::asked(&id(n)).into_iter().find(|it| it.order.duty.kind == kind).unwrap();
            let work = is_work(&asked);
            (asked.order, asked.masked.unwrap(), work)
        };
        let (train, beside, work) = of(1, DutyKind::Train);
        assert!(work && beside.work == train.duty.hash());
        let (order, masked, _) = of(1, DutyKind::Keys);
        let (genesis, agreement) = (crate::types::genesis::<Test>(), info(study).agreement);
        let context = masks::context(&genesis, study, &agreement, Kind::Model, 1, 1);
        assert_eq!((order.duty.base, masked.pairing, masked.work), (context, 1, train.duty.hash()));
        let signed = agreement_hash(genesis, &masked.proposer, &masked.rules, &spec_of(study));
        assert_eq!(signed, agreement, "the rules are those that were signed");
        to_deals(study);
        let (order, masked, _) = of(2, DutyKind::Deal);
        assert_eq!((order.duty.base, masked.keys.len()), (masks::keys_root(&context, &masked.keys), 4));
        (0..4).for_each(|n| post(n, study, deal_of(n, study)));
        let (order, masked, _) = of(2, DutyKind::Mask);
        assert_eq!(order.duty.base, masks::partners_root(&masked.keys_root, 0b1111, &masked.partners));
        assert_eq!((order.output_len, order.base.unwrap().root), (1000, hash(1)));
        (0..4).for_each(|n| answer(n, study, update(10 + n, None)));
        let (order, _, _) = of(2, DutyKind::Gather);
        assert_eq!((order.inputs.len(), order.inputs[0].blob.len), (4, 1000));
        for n in 0..3 {
            answer(n, study, VoteBody::Held(order.duty.base));
        }
        let (reveal, masked, _) = of(2, DutyKind::Reveal);
        assert_eq!((masked.fixed_at, reveal.inputs), (System::block_number(), order.inputs));
        // its part of each deal, as it was posted: it is the third in the key list
        let dealt: Vec<Vec<u8>> =
            (0..4).map(|n| Swarm::posting(study, 1, 1, PostStep::Deal, &id(n)).unwrap()[288..432].to_vec()).collect();
        assert_eq!(masked.dealt, dealt);
        (0..3).for_each(|n| post(n, study, masked::shares::<Test>(study, &account(n))));
        let (_, masked, _) = of(3, DutyKind::Merge);
        let given: Vec<_> = (0..3).map(|n| (id(n), masked::shares::<Test>(study, &account(n)))).collect();
        assert_eq!(masked.reveals, given);
    });
}

#[test]
fn a_reveal_waits_for_finality() {
    let posted = DutyState::Done(DutyOutput::Posted);
    let note = |number: u32, hash: Hash| StorageValueRef::persistent(conductor::FINALISED_KEY).set(&(number, hash));
    let reveals = |before: &dyn Fn()| {
        let bring = |study: u32| {
            // the other study's model is not asked for any more
            answer(1, study, VoteBody::Root(hash(1)));
            to_revealing(begun());
            before();
        };
        matches!(says(bring, posted), Some(VoteBody::Posted { .. }))
    };
    // nothing is noted; or the number alone, by a node of before
    assert!(!reveals(&|| ()));
    assert!(!reveals(&|| StorageValueRef::persistent(conductor::FINALISED_KEY).set(&9u32)));
    // a block that this chain does not have, or not under this number
    assert!(!reveals(&|| note(9, hash(1))));
    assert!(!reveals(&|| {
        frame_system::BlockHash::<Test>::insert(9, hash(2));
        note(9, hash(1));
    }));
    // one that is older than what fixed the set
    assert!(!reveals(&|| note(0, hash(0x99))));
    assert!(reveals(&|| {
        frame_system::BlockHash::<Test>::insert(9, hash(2));
        note(9, hash(2));
    }));
}

#[test]
fn each_answer_on_a_masked_duty_becomes_the_vote_that_it_means() {
    let keys = MaskKeys { seal: hash(1), pair: hash(2), seed: hash(3) };
    let to_keys = |study: u32| {
        answer(1, study, VoteBody::Root(hash(1)));
        begun();
    };
    let to_dealing = |study: u32| {
        answer(1, study, VoteBody::Root(hash(1)));
        to_deals(begun());
    };
    assert_eq!(says(to_keys, DutyState::Done(DutyOutput::Keys(keys))), Some(VoteBody::Keys(keys)));
    // what is trained stays here
    let update = DutyOutput::Update { root: hash(5), metric: Some(3) };
    assert_eq!(says(to_keys, DutyState::Done(update)), None);
    let posted = says(to_dealing, DutyState::Done(DutyOutput::Posted));
    assert!(matches!(posted, Some(VoteBody::Posted { len: 432, .. })), "the bytes that the worker gave: {posted:?}");
    assert_eq!(says(to_dealing, DutyState::Done(DutyOutput::Held)), None);
}
