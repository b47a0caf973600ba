//! The offchain worker: takes this institution's open duties to its own worker, and signs what comes back.
//!
//! One run at a time, one absolute deadline for everything, normally one call with all duties. It never waits for
//! work: the worker answers at once where each duty stands. Duties are known by their hash, so runs that are skipped,
//! repeated or made on a block that is taken back later do no harm. Shares of a masked sum are asked for once the block that fixed
//! the set is final here ([`FINALISED_KEY`]), and never before. A vote that is still missing in the state is signed
//! anew and sent again every few blocks.

mod worker;

#[cfg(test)]
pub(crate) use worker::{TOKEN_KEY, URL_KEY};

use crate::{
    orders::Asked,
    sr25519::AuthorityId,
    types::{block_hash, class, genesis, Posting},
    Call, Config, Pallet, Studies, KEY_TYPE,
};
use alloc::vec::Vec;
use codec::Encode;
use consilium_primitives::{
    blocks,
    duty::{AHEAD_PROTOCOL, HELD_BASE, MAX_ORDERS, OLDER_PROTOCOL, PRESENT_PROTOCOL, PROTOCOL_VERSION},
    rules::FETCH_SLACK,
    DutyKind, DutyOutput, DutyState, FailureCode, Hash, InstitutionId, Vote, VoteBody,
};
use frame_system::offchain::SubmitTransaction;
use sp_application_crypto::RuntimeAppPublic;
use sp_core::{
    crypto::ByteArray,
    offchain::{Duration, Timestamp},
};
use sp_runtime::offchain::{
    storage::{MutateStorageError, StorageValueRef},
    storage_lock::{StorageLock, Time},
};
use worker::{ask, worker, Answer, CallError};

const LOG: &str = "swarm";
/// Where the node leaves the number and the hash of the newest finalised block, at each notification that one is: SCALE-encoded as
/// `(u32, Hash)`. Nodes of before left the number alone: with one of these no share is given.
pub const FINALISED_KEY: &[u8] = b"consilium/conductor/finalised";
const LOCK_KEY: &[u8] = b"consilium/conductor/lock";
/// Votes that were sent lately: a hash of each, and the block.
const SENT_KEY: &[u8] = b"consilium/conductor/sent";
/// For each merge that is asked for: its duty's hash, the block of its freeze, and the first block in which that was seen to
/// be final.
const SETTLED_KEY: &[u8] = b"consilium/conductor/settled";
/// For each duty that the worker did not answer: its hash, and the blocks of the first and of the last run in an unbroken
/// stretch in which it was asked in vain.
const MISSING_KEY: &[u8] = b"consilium/conductor/missing";

/// Everything of one run is done by then, in milliseconds.
const BUDGET_MS: u64 = 400;
/// A run that died holds the lock no longer than this.
const LOCK_MS: u64 = 4 * BUDGET_MS;
/// Blocks after which a vote that the state still lacks is sent again.
const RESEND_BLOCKS: u32 = blocks(1_000);
/// A worker that is away for a shorter time, in blocks, is being restarted, not missing.
const RESTART_BLOCKS: u32 = blocks(20_000);

/// A duty and two blocks.
type Stretches = Vec<(Hash, u32, u32)>;

/// One run.
pub(crate) fn conduct<T: Config>(now: u32) {
    let mine = institutions::<T>();
    let asked: Vec<(AuthorityId, Asked)> = mine
        .into_iter()
        .flat_map(|(key, who)| Pallet::<T>::asked(&who).into_iter().map(move |asked| (key.clone(), asked)))
        .filter(|(_, asked)| may_be_asked::<T>(asked))
        .take(MAX_ORDERS)
        .collect();
    if asked.is_empty() {
        // a worker that nobody needs is not missing
        for key in [MISSING_KEY, SENT_KEY, SETTLED_KEY] {
            StorageValueRef::persistent(key).clear();
        }
        return;
    }
    break_lock_of_another_time();
    let mut lock = StorageLock::<Time>::with_deadline(LOCK_KEY, Duration::from_millis(LOCK_MS));
    let Ok(_guard) = lock.try_lock() else {
        log::debug!(target: LOG, "another run is under way");
        return;
    };
    let (asked, spent): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(_, asked)| Pallet::<T>::affordable(asked));
    for (key, asked) in &spent {
        log::warn!(
            target: LOG,
            "study {} round {}: what it costs would pass this site's budget for its data set; its worker is not asked to train (consilium \
             budget raise)",
            asked.order.duty.study, asked.order.duty.round,
        );
        answer_duty::<T>(now, key, asked, true, &DutyState::Failed(FailureCode::Refused), Vec::new());
    }
    let settled = settled(now, &asked);
    let deadline = sp_io::offchain::timestamp().add(Duration::from_millis(BUDGET_MS));
    let worker = worker(deadline);
    let ask = |version, asked: &[_]| match &worker {
        _ if asked.is_empty() => Ok(Vec::new()),
        Ok(worker) => ask::<T>(worker, version, asked),
        Err(error) => Err(*error),
    };
    let tell = |asked: &[(AuthorityId, Asked)], answers: Vec<Answer>| {
        for ((key, asked), answer) in asked.iter().zip(answers) {
            let settled = settled.contains(&asked.order.duty.hash());
            answer_duty::<T>(now, key, asked, settled, &answer.state, answer.post);
        }
    };
    let masks = |(_, asked): &(AuthorityId, Asked)| asked.masked.is_some();
    // a worker that knows nothing of masks is asked as ever, unless there is something that it must know of them
    let first = asked.iter().any(masks).then(|| ask(PROTOCOL_VERSION, &asked));
    let (newest, asked) = match first {
        None => (None, asked),
        Some(Err(CallError::Status(400))) => {
            let (masked, asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(masks);
            log::warn!(
                target: LOG,
                "{} duties of masked sums, and this worker is of a version that knows none: install the one that belongs to this node",
                masked.len(),
            );
            (None, asked)
        }
        answers => (answers, asked),
    };
    let (newest, asked, later) = match newest.unwrap_or_else(|| ask(AHEAD_PROTOCOL, &asked)) {
        // a worker of an earlier version
        Err(CallError::Status(400)) => {
            let (later, asked): (Vec<_>, Vec<_>) =
                asked.into_iter().partition(|(_, asked)| asked.order.duty.kind == DutyKind::Present);
            (ask(OLDER_PROTOCOL, &asked), asked, later)
        }
        answers => (answers, asked, Vec::new()),
    };
    match newest {
        Ok(answers) => {
            StorageValueRef::persistent(MISSING_KEY).clear();
            tell(&asked, answers);
        }
        // a node without a worker says nothing: the worker may be another node's
        Err(CallError::NoWorker) => log::debug!(target: LOG, "{} open duties, and no worker here", asked.len()),
        Err(error) => {
            log::warn!(
                target: LOG,
                "{} open duties, and the worker did not answer them: {:?}. Is ml-worker running at --worker-url, with \
                 the token of --worker-token-file?",
                asked.len(), error,
            );
            report_missing::<T>(now, &asked);
        }
    }
    match ask(PRESENT_PROTOCOL, &later) {
        Ok(answers) => tell(&later, answers),
        Err(error) => log::warn!(target: LOG, "{} paused studies ask for this site's worker: {error:?}", later.len()),
    }
}

/// Whether a duty may be taken to the worker: shares are given only where the block that fixed their set is final here. There is no
/// other way to that, such as depth: where finality stands, so do they.
fn may_be_asked<T: Config>(asked: &Asked) -> bool {
    let fixed_at = asked.masked.as_ref().map_or(0, |masked| masked.fixed_at);
    asked.order.duty.kind != DutyKind::Reveal || is_final::<T>(fixed_at)
}

/// Whether a block of this chain is final: the node has noted one that is no older, and that one is of this chain, too.
fn is_final<T: Config>(block: u32) -> bool {
    let noted = StorageValueRef::persistent(FINALISED_KEY).get::<(u32, Hash)>().ok().flatten();
    noted.is_some_and(|(number, hash)| block <= number && block_hash::<T>(number) == hash && hash != Hash::zero())
}

/// Forgets a lock that expires later than any run of now could have set: it is of a run that died while the clock was ahead,
/// and would keep this institution from its duties for as long as it was.
fn break_lock_of_another_time() {
    let latest = sp_io::offchain::timestamp().add(Duration::from_millis(LOCK_MS.saturating_mul(2)));
    let broken = StorageValueRef::persistent(LOCK_KEY).mutate(|held: Result<Option<Timestamp>, _>| match held {
        Ok(Some(until)) if until > latest => Ok(Timestamp::from_unix_millis(0)),
        _ => Err(()),
    });
    if broken.is_ok() {
        log::warn!(target: LOG, "a run that ended early had another clock: its lock is taken away");
    }
}

/// Merges whose freeze has been final here for long enough to fetch its files: duties by their hash. Where the node does not
/// say what is final, all are.
fn settled(now: u32, asked: &[(AuthorityId, Asked)]) -> Vec<Hash> {
    let merges = || asked.iter().map(|(_, asked)| asked).filter(|asked| asked.frozen_at > 0);
    let Some(finalised) = StorageValueRef::persistent(FINALISED_KEY).get::<u32>().ok().flatten() else {
        return merges().map(|asked| asked.order.duty.hash()).collect();
    };
    let noted = StorageValueRef::persistent(SETTLED_KEY).mutate(|before: Result<Option<Stretches>, _>| {
        let before = before.ok().flatten().unwrap_or_default();
        let first = |asked: &Asked| {
            let duty = asked.order.duty.hash();
            let known = before.iter().find(|(hash, frozen_at, _)| (*hash, *frozen_at) == (duty, asked.frozen_at));
            // a block below the noted one: the chain was taken back
            let at = known.map(|(_, _, at)| *at).filter(|at| *at <= now).unwrap_or(now);
            (duty, asked.frozen_at, at)
        };
        Ok::<Stretches, ()>(merges().filter(|asked| asked.frozen_at <= finalised).map(first).collect())
    });
    let in_time = |(duty, frozen_at, at): &(Hash, u32, u32)| {
        let fetch = merges().find(|asked| asked.order.duty.hash() == *duty).map_or(0, |asked| asked.fetch);
        *at <= frozen_at.saturating_add(FETCH_SLACK) || now >= at.saturating_add(fetch)
    };
    noted.map(|all| all.iter().filter(|entry| in_time(entry)).map(|(duty, _, _)| *duty).collect()).unwrap_or_default()
}

/// Lets the others go on without this site where its worker has not answered a duty for as long as the study expects a
/// whole round's training to take: until then somebody may bring it back.
fn report_missing<T: Config>(now: u32, asked: &[(AuthorityId, Asked)]) {
    let noted = StorageValueRef::persistent(MISSING_KEY).mutate(|before: Result<Option<Stretches>, _>| {
        let before = before.ok().flatten().unwrap_or_default();
        let stretch = |(_, asked): &(AuthorityId, Asked)| {
            let duty = asked.order.duty.hash();
            // neither a node that was off itself nor a chain that was taken back says anything about the worker
            let unbroken = |last: u32| last <= now && now.saturating_sub(last) < RESTART_BLOCKS;
            let first =
                before.iter().find(|(hash, _, last)| *hash == duty && unbroken(*last)).map(|(_, first, _)| *first);
            (duty, first.unwrap_or(now), now)
        };
        Ok::<Stretches, ()>(asked.iter().map(stretch).collect())
    });
    let Ok(stretches) = noted else { return };
    for ((key, asked), (_, since, _)) in asked.iter().zip(stretches) {
        let expected = Studies::<T>::get(asked.order.duty.study).map_or(u32::MAX, |s| s.state.windows().expected);
        if now.saturating_sub(since) >= expected.max(RESTART_BLOCKS) {
            answer_duty::<T>(now, key, asked, true, &DutyState::Failed(FailureCode::WorkerMissing), Vec::new());
        }
    }
}

/// The institutions whose `swarm` key lies in this node's keystore. The chain says who owns a key, so that a node needs
/// no other word of it, and a rotated key counts at once.
fn institutions<T: Config>() -> Vec<(AuthorityId, InstitutionId)> {
    let mut keys = AuthorityId::all();
    keys.sort();
    keys.into_iter()
        .filter_map(|key| {
            let owner = pallet_session::Pallet::<T>::key_owner(KEY_TYPE, key.as_slice())?;
            Some((key, InstitutionId(*owner.as_ref())))
        })
        .collect()
}

/// What an answer says on chain of a masked sum; `None` while there is nothing to say. `post` are the bytes that go with it.
fn masked_body(asked: &Asked, state: &DutyState, post: &[u8]) -> Option<VoteBody> {
    use DutyKind::{Deal, Evaluate, Gather, Keys, Mask, Merge, MergeStatistics, Reveal, Statistics, Train};
    let inputs = asked.order.inputs.len();
    match (asked.order.duty.kind, state) {
        // what is worked out stays here; only that nothing will come is told
        (Statistics | Train | Evaluate | Keys | Deal | Mask, DutyState::Failed(code)) => Some(VoteBody::Failure(*code)),
        (Keys, DutyState::Done(DutyOutput::Keys(keys))) => Some(VoteBody::Keys(*keys)),
        (Deal | Reveal, DutyState::Done(DutyOutput::Posted)) if !post.is_empty() => {
            let hash = Hash::from(sp_io::hashing::blake2_256(post));
            u32::try_from(post.len()).ok().map(|len| VoteBody::Posted { hash, len })
        }
        (Mask, DutyState::Done(DutyOutput::Update { root, .. })) => {
            Some(VoteBody::Update { root: *root, len: asked.order.output_len, metric: None })
        }
        (Gather, DutyState::Done(DutyOutput::Held)) => Some(VoteBody::Held(asked.order.duty.base)),
        (Gather | MergeStatistics | Merge, DutyState::Inputs { have, invalid })
            if asked.partial && (have.count_ones() as usize) < inputs =>
        {
            Some(VoteBody::Partial { have: *have, invalid: *invalid, not_final: false })
        }
        (MergeStatistics | Merge, DutyState::Done(DutyOutput::Summed { root, pooled })) => {
            Some(VoteBody::Summed { root: *root, pooled: *pooled })
        }
        (MergeStatistics | Merge, DutyState::Done(DutyOutput::Void(why))) => Some(VoteBody::Void(*why)),
        _ => None,
    }
}

/// What an answer says on chain; `None` while there is nothing to say.
fn body(asked: &Asked, settled: bool, state: &DutyState) -> Option<VoteBody> {
    let kind = asked.order.duty.kind;
    match (kind, state) {
        (DutyKind::Statistics | DutyKind::Train, DutyState::Done(DutyOutput::Update { root, metric })) => {
            Some(VoteBody::Update { root: *root, len: asked.order.output_len, metric: *metric })
        }
        (DutyKind::Statistics | DutyKind::Train, DutyState::Failed(code)) => Some(VoteBody::Failure(*code)),
        (DutyKind::Init | DutyKind::MergeStatistics | DutyKind::Merge, DutyState::Done(DutyOutput::Root(root))) => {
            Some(VoteBody::Root(*root))
        }
        (DutyKind::Merge, DutyState::Done(DutyOutput::Marked { root, marks })) => {
            Some(VoteBody::Marked { root: *root, marks: *marks })
        }
        (DutyKind::Merge, DutyState::Done(DutyOutput::Ahead { root, marks, next })) => {
            Some(VoteBody::Ahead { root: *root, marks: *marks, next: *next })
        }
        // with all inputs there, what is missing is the merge: nothing to report about the inputs
        (DutyKind::MergeStatistics | DutyKind::Merge, DutyState::Inputs { have, invalid })
            if asked.partial
                && (have.count_ones() as usize) < asked.order.inputs.len()
                && (settled || !asked.not_final) =>
        {
            Some(VoteBody::Partial { have: *have, invalid: *invalid, not_final: !settled })
        }
        (DutyKind::Evaluate, DutyState::Done(DutyOutput::Metric(metric))) => Some(VoteBody::Metric(*metric)),
        (DutyKind::Evaluate, DutyState::Failed(_)) => Some(VoteBody::Metric(None)),
        (DutyKind::Acknowledge, DutyState::Done(DutyOutput::Held)) => Some(VoteBody::Held(asked.order.duty.base)),
        // what the study stands on may come later: said once without it, and once more with it
        (DutyKind::Present, DutyState::Done(DutyOutput::Present { held })) => {
            (!asked.lacked || held & HELD_BASE != 0).then_some(VoteBody::Present { held: *held })
        }
        _ => None,
    }
}

fn answer_duty<T: Config>(now: u32, key: &AuthorityId, asked: &Asked, settled: bool, state: &DutyState, post: Vec<u8>) {
    let duty = &asked.order.duty;
    let said = match asked.masked {
        Some(_) => masked_body(asked, state, &post),
        None => body(asked, settled, state),
    };
    let Some(body) = said else {
        log::debug!(target: LOG, "study {} round {} {:?}: {:?}", duty.study, duty.round, duty.kind, state);
        return;
    };
    let vote = Vote {
        study: duty.study,
        round: duty.round,
        attempt: asked.attempt,
        resumed: asked.resumed,
        kind: duty.kind,
        institution: duty.institution,
        duty: duty.hash(),
        body,
    };
    if !first_or_again(now, &vote) {
        return;
    }
    let payload = vote.payload(&genesis::<T>(), &duty.agreement);
    let Some(signature) = key.sign(&payload) else {
        log::error!(target: LOG, "the swarm key {:?} is listed in the keystore but cannot sign", key);
        return;
    };
    let call = match body {
        VoteBody::Posted { .. } => match Posting::try_from(post) {
            Ok(bytes) => Call::<T>::post { vote, bytes, signature },
            Err(_) => {
                log::error!(target: LOG, "study {}: the worker wants to post more than may be posted", duty.study);
                return;
            }
        },
        _ => Call::<T>::vote { vote, signature },
    };
    let transaction = T::create_authorized_transaction(call.into());
    match SubmitTransaction::<T, Call<T>>::submit_transaction(transaction) {
        Ok(()) => log::info!(
            target: LOG, "study {} round {} {:?}: answered {:?}", duty.study, duty.round, duty.kind, body
        ),
        Err(()) => log::warn!(
            target: LOG,
            "study {} round {} {:?}: the pool did not take the vote, or holds it already; it is sent again until it is in a block",
            duty.study, duty.round, duty.kind
        ),
    }
}

/// Whether to send now: not sent yet, or so long ago that it must have been lost. What says no more is forgotten.
fn first_or_again(now: u32, vote: &Vote) -> bool {
    let mark =
        Hash::from(sp_io::hashing::blake2_256(&(vote.duty, vote.attempt, vote.resumed, class(&vote.body)).encode()));
    let noted = StorageValueRef::persistent(SENT_KEY).mutate(|sent: Result<Option<Vec<(Hash, u32)>>, _>| {
        let mut sent = sent.ok().flatten().unwrap_or_default();
        // a block below the noted one: the chain was taken back, so may have been the vote
        sent.retain(|(_, at)| now >= *at && now.saturating_sub(*at) < RESEND_BLOCKS);
        if sent.iter().any(|(other, _)| *other == mark) {
            return Err(());
        }
        sent.push((mark, now));
        Ok(sent)
    });
    !matches!(noted, Err(MutateStorageError::ValueFunctionFailed(()) | MutateStorageError::ConcurrentModification(_)))
}
