//! A fake HTTP host, and the offchain worker against it.

use crate::{conductor, mock::*, sr25519, KEY_TYPE};
use codec::{Decode, Encode};
use consilium_primitives::{duty::OLDER_PROTOCOL, DutyAnswer, DutyOutput, DutyReply, DutyRequest, DutyState, Vote};
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
    pub deadlines: Vec<Option<Timestamp>>,
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
        let answers: Vec<_> =
            request.orders.iter().map(|order| DutyAnswer { duty: order.duty.hash(), state }).collect();
        let posts = vec![vec![7; 432]; answers.len()];
        DutyReply { version: request.version, answers, posts }.encode()
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

pub(crate) fn conduct_as(seed: &str, answer: Answer, blocks: &[u32], settings: bool, before: impl Fn(u32)) -> Outcome {
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
            RuntimeCall::Swarm(crate::Call::post { vote, signature, .. }) => (vote, signature),
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
