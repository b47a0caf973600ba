//! One call to this institution's own worker.

use crate::{orders::Asked, sr25519::AuthorityId, Config, Specs};
use alloc::{string::String, vec, vec::Vec};
use codec::{DecodeAll, Encode};
use consilium_primitives::{DutyReply, DutyRequest, DutyState};
use sp_core::offchain::Timestamp;
use sp_runtime::offchain::{http, storage::StorageValueRef};

/// Where the node leaves the worker's address: SCALE-encoded bytes of `http://127.0.0.1:PORT`.
pub const URL_KEY: &[u8] = b"consilium/worker/url";
/// Where the node leaves the worker's token: SCALE-encoded bytes.
pub const TOKEN_KEY: &[u8] = b"consilium/worker/token";
/// Longest answer that is read: a deal of each of as many studies as may run, and what there is besides.
const MAX_REPLY: usize = 512 * 1024;

/// What went wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The node was started without a worker.
    NoWorker,
    /// The address or the token is not text, or the address is not of this machine.
    BadSettings,
    /// No connection, or it broke.
    Io,
    /// Not in time.
    Deadline,
    /// Another answer than 200.
    Status(u16),
    /// Longer than allowed.
    TooLong,
    /// Not an answer to this request.
    Garbage,
}

/// Where a duty stands, and the bytes that go with it.
pub(super) struct Answer {
    pub state: DutyState,
    pub post: Vec<u8>,
}

pub(super) type Answers = Result<Vec<Answer>, CallError>;

pub(super) struct Worker {
    url: String,
    token: String,
    deadline: Timestamp,
}

pub(super) fn worker(deadline: Timestamp) -> Result<Worker, CallError> {
    let (url, token) = settings().ok_or(CallError::NoWorker)?;
    let text = |bytes| String::from_utf8(bytes).map_err(|_| CallError::BadSettings);
    let (url, token) = (text(url)?, text(token)?);
    // the node has looked at it when it started; what stands in its database may have been put there by somebody else
    if !on_this_machine(&url) {
        return Err(CallError::BadSettings);
    }
    Ok(Worker { url, token, deadline })
}

/// Whether an address is that of a port of this machine: duties and token go nowhere else.
fn on_this_machine(url: &str) -> bool {
    let Some(host) = url.strip_prefix("http://") else { return false };
    ["127.0.0.1:", "localhost:", "[::1]:"]
        .iter()
        .any(|prefix| host.strip_prefix(prefix).is_some_and(|port| port.parse::<u16>().is_ok()))
}

fn settings() -> Option<(Vec<u8>, Vec<u8>)> {
    let read = |key| StorageValueRef::persistent(key).get::<Vec<u8>>().ok().flatten();
    Some((read(URL_KEY)?, read(TOKEN_KEY)?))
}

/// Asks about all duties; where the worker lacks specs, once more with these.
pub(super) fn ask<T: Config>(worker: &Worker, version: u8, asked: &[(AuthorityId, Asked)]) -> Answers {
    let answers = call(worker, version, asked, Vec::new())?;
    let mut specs: Vec<Vec<u8>> = Vec::new();
    for ((_, asked), answer) in asked.iter().zip(&answers) {
        if answer.state != DutyState::NeedSpec {
            continue;
        }
        if let Some(spec) = Specs::<T>::get(asked.order.duty.study).map(|spec| spec.into_inner()) {
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
    }
    if specs.is_empty() {
        Ok(answers)
    } else {
        call(worker, version, asked, specs)
    }
}

fn call(worker: &Worker, version: u8, asked: &[(AuthorityId, Asked)], specs: Vec<Vec<u8>>) -> Answers {
    let orders = asked.iter().map(|(_, asked)| asked.order.clone()).collect();
    let ahead = asked.iter().map(|(_, asked)| asked.ahead).collect();
    let masked = asked.iter().map(|(_, asked)| asked.masked.clone()).collect();
    let request = DutyRequest { version, specs, orders, ahead, masked };
    let url = alloc::format!("{}/v1/duties", worker.url);
    let pending = http::Request::default()
        .method(http::Method::Put)
        .url(&url)
        .body(vec![request.encode()])
        .add_header("authorization", &alloc::format!("Bearer {}", worker.token))
        .add_header("content-type", "application/octet-stream")
        .deadline(worker.deadline)
        .send()
        .map_err(|_| CallError::Io)?;
    let response = pending.try_wait(worker.deadline).map_err(|_| CallError::Deadline)?.map_err(|_| CallError::Io)?;
    if response.code != 200 {
        return Err(CallError::Status(response.code));
    }
    let mut body = response.body();
    body.deadline(worker.deadline);
    let bytes: Vec<u8> = body.by_ref().take(MAX_REPLY.saturating_add(1)).collect();
    if bytes.len() > MAX_REPLY {
        return Err(CallError::TooLong);
    }
    if let Some(error) = body.error() {
        return Err(if matches!(error, sp_core::offchain::HttpError::DeadlineReached) {
            CallError::Deadline
        } else {
            CallError::Io
        });
    }
    let reply = DutyReply::decode_all(&mut bytes.as_slice()).map_err(|_| CallError::Garbage)?;
    let fits = reply.version == version
        && reply.answers.len() == asked.len()
        && reply.answers.iter().zip(asked).all(|(answer, (_, asked))| answer.duty == asked.order.duty.hash());
    if fits {
        let posts = reply.posts.into_iter().chain(core::iter::repeat(Vec::new()));
        Ok(reply.answers.into_iter().zip(posts).map(|(answer, post)| Answer { state: answer.state, post }).collect())
    } else {
        Err(CallError::Garbage)
    }
}
