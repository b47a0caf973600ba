//! Compares this machine's clock with those of the other institutions' nodes, says so where it is wrong, and keeps a wrong one from
//! doing harm: blocks of others are judged by the later of this clock and theirs ([`Clock::latest`]), and none is made here meanwhile
//! ([`crate::authoring`]).
//!
//! Every ten seconds, at once where a node has just connected, and within a second of this machine's clock being set, each
//! connected member's node is asked for its time: a number out, the same number and a time back. What is known of the others'
//! clocks rests on the monotonic clock ([`verdict`]), so that a clock that is set at any moment is found out at that moment.

mod ask;
#[cfg(test)]
mod tests;
mod verdict;

use crate::network::Allowed;
use ask::Asking;
use consilium_runtime::{opaque::Block, SLOT_MILLIS};
use futures::stream::Stream;
use parking_lot::RwLock;
use sc_network::{
    config::{IncomingRequest, OutgoingResponse},
    NetworkBackend, NetworkRequest, NetworkStateInfo, ProtocolName,
};
use sc_network_sync::SyncEvent;
use serde_json::{json, Value};
use sp_core::H256;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use substrate_prometheus_endpoint::{register, Gauge, PrometheusError, Registry, F64};
use verdict::{Others, Reading};

/// Target of the log lines.
const LOG: &str = "clock";
/// An answer that took longer tells too little.
const SLOW: Duration = Duration::from_secs(2);
/// Blocks wait so long at most for the first comparison, once a node is connected.
const GRACE: Duration = Duration::from_secs(5);
/// So much is forgiven to the clocks of others.
const LENIENCE: Duration = Duration::from_millis(500);
/// Requests that wait to be answered; more are turned away by the network.
const QUEUE: usize = 64;
/// Bytes of a request: a number. Bytes of an answer: the number, and milliseconds since 1970, both little-endian.
const REQUEST: usize = 8;
const ANSWER: usize = 16;

/// This machine's clock: the time since 1970.
pub fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What is known of the time. Copies are of one and the same.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    /// Where the monotonic clock begins.
    began: Instant,
    known: RwLock<Known>,
    /// The one other clock that is known, where it is one alone: its institution's name, and what it said.
    alone: RwLock<Option<(String, Reading)>>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    others: Option<Others>,
    /// Since when a node is connected while others could be heard, too.
    connected: Option<Instant>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.0.known.read().others).finish()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Shared { began: Instant::now(), known: RwLock::default(), alone: RwLock::default() }))
    }
}

impl Clock {
    fn monotonic(&self) -> i64 {
        millis(self.0.began.elapsed())
    }

    /// How far this machine's clock is ahead of the monotonic one.
    fn own(&self) -> i64 {
        millis(system()).saturating_sub(self.monotonic())
    }

    /// How many milliseconds this machine's clock is off at least, ahead if positive; none while fewer than two others are known.
    fn error(&self) -> Option<i64> {
        let others = self.0.known.read().others;
        others.map(|others| others.error_of(self.own()))
    }

    /// The time since 1970 by this machine's clock, put right by as much as it is known to be off.
    pub fn now(&self) -> Duration {
        let (own, error) = (system(), self.error().unwrap_or_default());
        let by = Duration::from_millis(error.unsigned_abs());
        if error > 0 {
            own.saturating_sub(by)
        } else {
            own.saturating_add(by)
        }
    }

    /// The time by which others' blocks are judged: the later of this machine's clock and the others', and half a second.
    pub fn latest(&self) -> Duration {
        system().max(self.now()).saturating_add(LENIENCE)
    }

    /// Whether blocks may be made: this machine's clock is not known to be off by more than a slot, and it was compared or there
    /// was time for that.
    pub fn may_author(&self, slot: Duration) -> bool {
        self.is_settled() && self.error().is_none_or(|error| error.unsigned_abs() <= slot.as_millis() as u64)
    }

    /// Whether there is nothing to wait for before blocks are judged.
    fn is_settled(&self) -> bool {
        let Known { others, connected } = *self.0.known.read();
        others.is_some() || connected.is_none_or(|since| since.elapsed() >= GRACE)
    }

    /// Waits for the first comparison, five seconds at most from when a node connected.
    pub async fn settled(&self) {
        while !self.is_settled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Words for people where the one other clock that is known differs from this machine's.
    fn differs(&self) -> Option<String> {
        let own = self.own();
        self.0.alone.read().as_ref().and_then(|(name, reading)| reading.words(name, own))
    }

    /// What is known, for programs: `offset_seconds` (how far this clock is off at least; none while fewer than two others are
    /// known), `others` (how many), `apart_seconds` (how far those lie apart) and `warning` (words for people, where it is wrong, or
    /// differs from the one other that is known).
    pub fn report(&self) -> Value {
        let (others, error) = (self.0.known.read().others, self.error());
        let seconds = |millis: i64| millis as f64 / 1_000.0;
        json!({
            "offset_seconds": error.map(seconds),
            "others": others.map_or(0, |others| others.count),
            "apart_seconds": others.map(|others| seconds(others.apart)),
            "warning": match others.zip(error) {
                Some((others, error)) => others.words(error, is_idle(error)),
                None => self.differs(),
            },
        })
    }

    /// Answers and asks until the node stops; that it ended before is said in the log. `events` brings the nodes that connect and
    /// disconnect.
    ///
    /// # Errors
    /// The figure of this name exists already.
    pub fn run<N>(
        self,
        network: N,
        port: Port,
        allowed: Allowed,
        events: impl Stream<Item = SyncEvent> + Send + Unpin,
        registry: Option<&Registry>,
    ) -> Result<impl std::future::Future<Output = ()> + Send, PrometheusError>
    where
        N: NetworkRequest + NetworkStateInfo + Clone + Send + Sync + 'static,
    {
        let gauge = registry.map(figure).transpose()?;
        Ok(async move {
            let Port { name, requests } = port;
            let asking = Asking::new(self, network, name, allowed, gauge);
            let ended = tokio::select! {
                () = answer(&requests) => "the network brings no more requests",
                () = asking.run(events) => "the network tells of no more nodes",
            };
            log::error!(target: LOG, "clocks are not compared any more: {ended}");
        })
    }
}

/// Whether no block is made with a clock that is off so far.
fn is_idle(error: i64) -> bool {
    error.unsigned_abs() > SLOT_MILLIS
}

fn figure(registry: &Registry) -> Result<Gauge<F64>, PrometheusError> {
    let gauge = Gauge::<F64>::new(
        "consilium_clock_offset_seconds",
        "How far this machine's clock is ahead of the other institutions', at least; NaN while fewer than two are known",
    )?;
    gauge.set(f64::NAN);
    register(gauge, registry)
}

/// The protocol's place in the network, before the network is built.
pub struct Port {
    name: ProtocolName,
    requests: async_channel::Receiver<IncomingRequest>,
}

/// The protocol by which the nodes of a chain compare their clocks, for the network's configuration, and the other end of it.
#[must_use]
pub fn protocol<N: NetworkBackend<Block, H256>>(
    genesis: &H256,
    fork_id: Option<&str>,
) -> (N::RequestResponseProtocolConfig, Port) {
    let fork = fork_id.map(|id| format!("/{id}")).unwrap_or_default();
    let name = ProtocolName::from(format!("/{}{fork}/consilium/clock/1", hex::encode(genesis)));
    let (sender, requests) = async_channel::bounded(QUEUE);
    let patience = SLOW + Duration::from_secs(1);
    let config =
        N::request_response_config(name.clone(), Vec::new(), REQUEST as u64, ANSWER as u64, patience, Some(sender));
    (config, Port { name, requests })
}

/// The answer to a request, if that is one.
fn answer_to(request: &[u8], now: Duration) -> Option<Vec<u8>> {
    let number = <[u8; REQUEST]>::try_from(request).ok()?;
    Some([number, (now.as_millis() as u64).to_le_bytes()].concat())
}

/// The time in an answer to the request of this number.
fn time_in(answer: &[u8], number: u64) -> Option<u64> {
    let (same, time) = answer.split_at_checked(REQUEST)?;
    (same == number.to_le_bytes()).then_some(u64::from_le_bytes(time.try_into().ok()?))
}

/// Answers what comes in, at once.
async fn answer(requests: &async_channel::Receiver<IncomingRequest>) {
    while let Ok(IncomingRequest { peer, payload, pending_response }) = requests.recv().await {
        let Some(answer) = answer_to(&payload, system()) else {
            log::debug!(target: LOG, "{peer}: {} bytes are no request for the time", payload.len());
            continue;
        };
        let response = OutgoingResponse { result: Ok(answer), reputation_changes: Vec::new(), sent_feedback: None };
        // the peer may have gone
        let _ = pending_response.send(response);
    }
}
