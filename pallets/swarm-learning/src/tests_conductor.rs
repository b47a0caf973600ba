//! The offchain worker against a fake HTTP host: what it sends, and what it makes of every kind of answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{conductor, mock::*, sr25519, KEY_TYPE};
use codec::{Decode, Encode};
use consilium_primitives::{
    duty::OLDER_PROTOCOL, DutyAnswer, DutyOutput, DutyReply, DutyRequest, DutyState, FailureCode, Marks, Vote, VoteBody,
};
use parking_lot::Mutex;
use sp_core::{
    offchain::{
        testing::{TestOffchainExt, TestTransactionPoolExt},
        Externalities, HttpError, HttpRequestId, HttpRequestStatus, OffchainDbExt, OffchainWorkerExt, OpaqueMultiaddr,
        OpaqueNetworkState, Timestamp, TransactionPoolExt,
    },
    OpaquePeerId,
};
use sp_keystore::{testing::MemoryKeystore, Keystore, KeystoreExt};
use std::sync::Arc;

/// How the fake worker answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// With this state for every duty.
    State(DutyState),
    /// First that it lacks the spec, then with this state.
    SpecFirst(DutyState),
    /// With this state, as a worker does that knows nothing of later kinds of duty.
    Older(DutyState),
    /// With this status.
    Status(u16),
    /// With these bytes.
    Bytes(Vec<u8>),
    /// Not before the deadline.
    Late,
    /// Without end.
    Endless,
    /// There is nobody.
    Nobody,
}

/// Method, address, headers, body.
pub(crate) type Sent = (String, String, Vec<(String, String)>, Vec<u8>);

#[derive(Default)]
pub(crate) struct Log {
    pub requests: Vec<Sent>,
    deadlines: Vec<Option<Timestamp>>,
}

struct Host {
    answer: Answer,
    log: Arc<Mutex<Log>>,
    replies: Vec<(Vec<u8>, usize)>,
}

impl Host {
    fn reply(&self, body: &[u8]) -> Vec<u8> {
        let request = DutyRequest::decode(&mut &body[..]).expect("the node sends what it must");
        let state = match &self.answer {
            Answer::State(state) | Answer::Older(state) => *state,
            Answer::SpecFirst(_) if request.specs.is_empty() => DutyState::NeedSpec,
            Answer::SpecFirst(state) => *state,
            Answer::Bytes(bytes) => return bytes.clone(),
            _ => return Vec::new(),
        };
        let answers = request.orders.iter().map(|order| DutyAnswer { duty: order.duty.hash(), state }).collect();
        DutyReply { version: request.version, answers }.encode()
    }
}

impl Externalities for Host {
    fn is_validator(&self) -> bool {
        false
    }
    fn network_state(&self) -> Result<OpaqueNetworkState, ()> {
        Ok(OpaqueNetworkState { peer_id: OpaquePeerId(vec![]), external_addresses: Vec::<OpaqueMultiaddr>::new() })
    }
    fn timestamp(&mut self) -> Timestamp {
        Timestamp::from_unix_millis(1_000)
    }
    fn sleep_until(&mut self, _: Timestamp) {
        panic!("the conductor never sleeps");
    }
    fn random_seed(&mut self) -> [u8; 32] {
        [0; 32]
    }
    fn http_request_start(&mut self, method: &str, uri: &str, _: &[u8]) -> Result<HttpRequestId, ()> {
        if matches!(self.answer, Answer::Nobody) {
            return Err(());
        }
        let mut log = self.log.lock();
        log.requests.push((method.into(), uri.into(), vec![], vec![]));
        self.replies.push((vec![], 0));
        Ok(HttpRequestId(log.requests.len() as u16 - 1))
    }
    fn http_request_add_header(&mut self, id: HttpRequestId, name: &str, value: &str) -> Result<(), ()> {
        self.log.lock().requests[id.0 as usize].2.push((name.into(), value.into()));
        Ok(())
    }
    fn http_request_write_body(
        &mut self,
        id: HttpRequestId,
        chunk: &[u8],
        deadline: Option<Timestamp>,
    ) -> Result<(), HttpError> {
        let mut log = self.log.lock();
        log.deadlines.push(deadline);
        log.requests[id.0 as usize].3.extend_from_slice(chunk);
        Ok(())
    }
    fn http_response_wait(&mut self, ids: &[HttpRequestId], deadline: Option<Timestamp>) -> Vec<HttpRequestStatus> {
        self.log.lock().deadlines.push(deadline);
        let first = ids.first().map(|id| self.log.lock().requests[id.0 as usize].3[0]);
        let status = match self.answer {
            Answer::Older(_) if first != Some(OLDER_PROTOCOL) => HttpRequestStatus::Finished(400),
            Answer::Status(code) => HttpRequestStatus::Finished(code),
            Answer::Late => HttpRequestStatus::DeadlineReached,
            _ => HttpRequestStatus::Finished(200),
        };
        for id in ids {
            let body = self.log.lock().requests[id.0 as usize].3.clone();
            self.replies[id.0 as usize] = (self.reply(&body), 0);
        }
        vec![status; ids.len()]
    }
    fn http_response_headers(&mut self, _: HttpRequestId) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![]
    }
    fn http_response_read_body(
        &mut self,
        id: HttpRequestId,
        buffer: &mut [u8],
        deadline: Option<Timestamp>,
    ) -> Result<usize, HttpError> {
        self.log.lock().deadlines.push(deadline);
        if matches!(self.answer, Answer::Endless) {
            return Ok(buffer.len());
        }
        let (bytes, read) = &mut self.replies[id.0 as usize];
        let count = buffer.len().min(bytes.len() - *read);
        buffer[..count].copy_from_slice(&bytes[*read..*read + count]);
        *read += count;
        Ok(count)
    }
    fn set_authorized_nodes(&mut self, _: Vec<OpaquePeerId>, _: bool) {}
}

pub(crate) struct Outcome {
    pub votes: Vec<(Vote, sr25519::AuthoritySignature)>,
    pub log: Arc<Mutex<Log>>,
}

/// Institution 1's node, in a study of 0 and 1 whose initial model is asked for, conducts at these blocks.
pub(crate) fn conduct(answer: Answer, blocks: &[u32]) -> Outcome {
    conduct_with(answer, blocks, true, |_| ())
}

pub(crate) fn conduct_with(answer: Answer, blocks: &[u32], settings: bool, before: impl Fn(u32)) -> Outcome {
    // institution 1's first key
    let seed = format!("0x{}{}", "02".repeat(16), "00".repeat(16));
    conduct_as(&seed, answer, blocks, settings, before)
}

fn conduct_as(seed: &str, answer: Answer, blocks: &[u32], settings: bool, before: impl Fn(u32)) -> Outcome {
    let log = Arc::new(Mutex::new(Log::default()));
    let (database, _) = TestOffchainExt::new();
    let (pool, pool_state) = TestTransactionPoolExt::new();
    let keystore = MemoryKeystore::new();
    keystore.sr25519_generate_new(KEY_TYPE, Some(seed)).unwrap();
    let mut ext = chain();
    ext.register_extension(OffchainWorkerExt::new(Host { answer, log: log.clone(), replies: vec![] }));
    ext.register_extension(OffchainDbExt::new(database));
    ext.register_extension(TransactionPoolExt::new(pool));
    ext.register_extension(KeystoreExt::new(keystore));
    ext.execute_with(|| {
        let study = started(rules(), &[0, 1]);
        if settings {
            set(conductor::URL_KEY, b"http://127.0.0.1:8601");
            set(conductor::TOKEN_KEY, b"a-token-of-some-length");
        }
        for block in blocks {
            before(study);
            conductor::conduct::<Test>(*block);
        }
    });
    let sent = pool_state.read().transactions.clone();
    let votes = sent.iter().map(|bytes| {
        let transaction = Extrinsic::decode(&mut &bytes[..]).expect("a transaction");
        match transaction.function {
            RuntimeCall::Swarm(crate::Call::vote { vote, signature }) => (vote, signature),
            other => panic!("not a vote: {other:?}"),
        }
    });
    Outcome { votes: votes.collect(), log }
}

pub(crate) fn set(key: &[u8], value: &[u8]) {
    sp_runtime::offchain::storage::StorageValueRef::persistent(key).set(&value.to_vec());
}

pub(crate) fn done() -> DutyState {
    DutyState::Done(DutyOutput::Root(hash(7)))
}

#[test]
fn a_done_duty_becomes_a_signed_vote_that_the_chain_takes() {
    let outcome = conduct(Answer::State(done()), &[1]);
    let (vote, signature) = outcome.votes[0].clone();
    assert_eq!((vote.institution, vote.body), (id(1), VoteBody::Root(hash(7))));
    run(|| {
        started(rules(), &[0, 1]);
        pool_says(vote, signature).unwrap();
    });
    let log = outcome.log.lock();
    let (method, uri, headers, body) = &log.requests[0];
    assert_eq!((method.as_str(), uri.as_str()), ("PUT", "http://127.0.0.1:8601/v1/duties"));
    assert!(headers.contains(&("authorization".into(), "Bearer a-token-of-some-length".into())));
    assert_eq!(DutyRequest::decode(&mut &body[..]).unwrap().orders.len(), 1);
    // one absolute deadline for sending, waiting and reading
    assert!(log.deadlines.iter().all(|at| *at == Some(Timestamp::from_unix_millis(1_800))));
}

#[test]
fn unfinished_work_says_nothing_on_chain() {
    for state in [DutyState::Queued, DutyState::Running { done: 500_000 }, DutyState::Held, DutyState::NeedSpec] {
        assert!(conduct(Answer::State(state), &[1, 2, 3]).votes.is_empty());
    }
    // a failure of a pure duty is no vote either
    assert!(conduct(Answer::State(DutyState::Failed(FailureCode::OutOfMemory)), &[1]).votes.is_empty());
}

#[test]
fn a_worker_without_the_spec_gets_it_in_the_same_run() {
    let outcome = conduct(Answer::SpecFirst(done()), &[1]);
    assert_eq!(outcome.votes.len(), 1);
    let log = outcome.log.lock();
    assert_eq!(log.requests.len(), 2);
    let second = DutyRequest::decode(&mut &log.requests[1].3[..]).unwrap();
    assert_eq!(second.specs, [spec().into_inner()]);
}

#[test]
fn bad_answers_change_nothing() {
    let other_duty = DutyReply { version: OLDER_PROTOCOL, answers: vec![DutyAnswer { duty: hash(1), state: done() }] };
    let answers = [
        Answer::Status(400),
        Answer::Status(401),
        Answer::Status(404),
        Answer::Status(500),
        Answer::Status(503),
        Answer::Late,
        Answer::Endless,
        Answer::Nobody,
        Answer::Bytes(vec![]),
        Answer::Bytes(vec![0xff; 100]),
        Answer::Bytes(other_duty.encode()),
        Answer::Bytes(DutyReply { version: OLDER_PROTOCOL, answers: vec![] }.encode()),
        Answer::Bytes([other_duty.encode(), vec![0]].concat()),
    ];
    for answer in answers {
        assert!(conduct(answer, &[1, 2]).votes.is_empty());
    }
}

#[test]
fn a_vote_that_is_lost_is_sent_again_after_four_blocks_and_signed_anew() {
    let outcome = conduct(Answer::State(done()), &[1, 1, 2, 3, 4, 5, 6]);
    assert_eq!(outcome.votes.len(), 2);
    let (first, second) = (&outcome.votes[0], &outcome.votes[1]);
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1, "sr25519 signatures are randomised: the same one would be a repetition");
}

#[test]
fn a_chain_that_was_taken_back_gets_the_vote_again() {
    assert_eq!(conduct(Answer::State(done()), &[9, 8]).votes.len(), 2);
}

#[test]
fn an_answered_duty_is_not_asked_about_again() {
    let outcome = conduct_with(Answer::State(done()), &[1], true, |study| {
        answer(1, study, VoteBody::Root(hash(7)));
    });
    assert!(outcome.votes.is_empty());
    assert!(outcome.log.lock().requests.is_empty());
}

#[test]
fn a_node_without_a_worker_asks_nobody() {
    let outcome = conduct_with(Answer::State(done()), &[1], false, |_| ());
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

/// Both have attested the initial model: training is asked for.
pub(crate) fn to_training(study: u32) {
    if matches!(info(study).state.phase, consilium_primitives::round::Phase::Init { .. }) {
        answer(0, study, VoteBody::Root(hash(7)));
        answer(1, study, VoteBody::Root(hash(7)));
    }
}

#[test]
fn a_worker_that_is_away_for_the_expected_training_time_is_reported_missing() {
    for nobody in [Answer::Nobody, Answer::Late, Answer::Status(401)] {
        let until = |last: u32| (1..=last).collect::<Vec<u32>>();
        assert!(conduct_with(nobody.clone(), &until(10), true, to_training).votes.is_empty());
        let votes = conduct_with(nobody, &until(11), true, to_training).votes;
        assert_eq!(votes[0].0.body, VoteBody::Failure(FailureCode::WorkerMissing));
        assert_eq!((votes.len(), votes[0].0.institution), (1, id(1)));
    }
}

#[test]
fn a_node_without_a_worker_calls_nobody_missing() {
    let blocks: Vec<u32> = (1..=40).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, false, to_training).votes.is_empty());
}

#[test]
fn silence_before_a_duty_is_no_silence_about_it() {
    // asked in vain about the initial model until block 20, and only then about an update
    let began = std::cell::Cell::new(0u32);
    let train_at_twenty = |study: u32| {
        began.set(began.get() + 1);
        if began.get() == 20 {
            to_training(study);
        }
    };
    let until = |last: u32| (1..=last).collect::<Vec<u32>>();
    assert!(conduct_with(Answer::Nobody, &until(29), true, train_at_twenty).votes.is_empty());
    began.set(0);
    assert_eq!(conduct_with(Answer::Nobody, &until(31), true, train_at_twenty).votes.len(), 1);
}

#[test]
fn a_node_that_was_off_itself_does_not_call_its_worker_missing() {
    let blocks: Vec<u32> = (1..=5).chain(100..=109).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, true, to_training).votes.is_empty());
    // nor one whose chain was taken back
    let blocks: Vec<u32> = (50..=58).chain(40..=49).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, true, to_training).votes.is_empty());
}

#[test]
fn a_missing_worker_says_nothing_about_an_initial_model() {
    let blocks: Vec<u32> = (1..=40).collect();
    assert!(conduct(Answer::Nobody, &blocks).votes.is_empty());
}

#[test]
fn a_second_run_beside_the_first_does_nothing() {
    use sp_runtime::offchain::storage_lock::{StorageLock, Time};
    let outcome = conduct_with(Answer::State(done()), &[1], true, |_| {
        let expiry = sp_core::offchain::Duration::from_millis(3_200);
        let mut lock = StorageLock::<Time>::with_deadline(b"consilium/conductor/lock", expiry);
        let guard = lock.try_lock().map_err(|_| ()).expect("free");
        guard.forget();
    });
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

#[test]
fn the_keystores_key_decides_whose_duties_are_done() {
    let votes = conduct(Answer::State(done()), &[1]).votes;
    assert_eq!(votes.iter().map(|(vote, _)| vote.institution).collect::<Vec<_>>(), [id(1)]);
    let nobodys = format!("0x{}", "4d".repeat(32));
    let outcome = conduct_as(&nobodys, Answer::State(done()), &[1], true, |_| ());
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

#[test]
fn a_rotated_key_counts_at_once_and_the_old_one_no_more() {
    let new = std::cell::RefCell::new(None);
    // the new key comes into the same keystore, beside the old one
    let rotate = |_: u32| {
        let generated = SessionKeys::generate(&account(1).encode(), None);
        Session::set_keys(signed(1), generated.keys.clone(), generated.proof.encode()).unwrap();
        new.replace(Some(generated.keys.swarm));
    };
    let votes = conduct_with(Answer::State(done()), &[1], true, rotate).votes;
    let [(vote, signature)] = &votes[..] else { panic!("{} votes", votes.len()) };
    let key = new.take().expect("rotated");
    run(|| {
        let agreement = info(started(rules(), &[0, 1])).agreement;
        let payload = vote.payload(&crate::types::genesis::<Test>(), &agreement);
        assert!(sp_application_crypto::RuntimeAppPublic::verify(&key, &payload, signature));
    });
}

/// What institution 1's node says on chain when its worker answers so, after the chain was brought to where that is asked.
pub(crate) fn says(bring: impl Fn(u32), state: DutyState) -> Option<VoteBody> {
    let votes = conduct_with(Answer::State(state), &[1], true, bring).votes;
    assert!(votes.len() <= 1);
    votes.first().map(|(vote, _)| vote.body)
}

#[test]
fn every_kind_of_answer_becomes_the_vote_that_it_means() {
    let to_merging = |study: u32| {
        to_training(study);
        (0..2).for_each(|n| answer(n, study, update(10 + n, None)));
    };
    let after_the_fetch = |study: u32| {
        to_merging(study);
        to_block(10);
    };
    let to_evaluation = |study: u32| {
        to_merging(study);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..2).for_each(|n| answer(n, study, update(20 + n, None)));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(2))));
    };
    let to_certificate = |study: u32| {
        to_evaluation(study);
        (0..2).for_each(|n| answer(n, study, VoteBody::Metric(None)));
        to_block(2);
    };
    let given = DutyOutput::Update { root: hash(5), metric: Some(3) };
    let update = VoteBody::Update { root: hash(5), len: 1000, metric: Some(3) };
    assert_eq!(says(to_training, DutyState::Done(given)), Some(update));
    let failed = DutyState::Failed(FailureCode::OneClass);
    assert_eq!(says(to_training, failed), Some(VoteBody::Failure(FailureCode::OneClass)));
    assert_eq!(says(to_merging, done()), Some(VoteBody::Root(hash(7))));
    let marks = Marks { left_out: 0b01, shortened: 0 };
    let marked = DutyState::Done(DutyOutput::Marked { root: hash(7), marks });
    assert_eq!(says(to_merging, marked), Some(VoteBody::Marked { root: hash(7), marks }));
    assert_eq!(says(to_training, marked), None);
    // what is missing is told after the fetch window only, and only where something is
    let some = DutyState::Inputs { have: 0b01, invalid: 0b10 };
    assert_eq!(says(to_merging, some), None);
    assert_eq!(says(after_the_fetch, some), Some(VoteBody::Partial { have: 0b01, invalid: 0b10, not_final: false }));
    assert_eq!(says(after_the_fetch, DutyState::Inputs { have: 0b11, invalid: 0 }), None);
    assert_eq!(says(after_the_fetch, failed), None);
    let metric = DutyState::Done(DutyOutput::Metric(Some(9)));
    assert_eq!(says(to_evaluation, metric), Some(VoteBody::Metric(Some(9))));
    assert_eq!(says(to_evaluation, failed), Some(VoteBody::Metric(None)));
    assert_eq!(says(to_certificate, DutyState::Done(DutyOutput::Held)), Some(VoteBody::Held(hash(2))));
    // an answer of another kind says nothing
    assert_eq!(says(to_certificate, done()), None);
    assert_eq!(says(to_merging, DutyState::Done(DutyOutput::Held)), None);
}
