//! Compares this machine's clock with those of the other institutions' nodes, says so where it is wrong, and keeps a wrong one from
//! doing harm: blocks of others are judged by the later of this clock and theirs ([`Clock::latest`]), and none is made here meanwhile
//! ([`crate::authoring`]).
//!
//! Every ten seconds, at once where a node has just connected, and within a second of this machine's clock being set, each
//! connected member's node is asked for its time: a number out, the same number and a time back. What is known of the others'
//! clocks rests on the monotonic clock ([`verdict`]), so that a clock that is set at any moment is found out at that moment.

mod ask;
mod exchange;
mod known;
#[cfg(test)]
mod tests;
mod verdict;

use crate::allowed::Allowed;
use ask::Asking;
use consilium_runtime::opaque::Block;
use exchange::{answer_to, ANSWER, REQUEST};
use futures::stream::Stream;
pub use known::{system, Clock};
use known::{LOG, SLOW};
use sc_network::{
    config::{IncomingRequest, OutgoingResponse},
    NetworkBackend, NetworkRequest, NetworkStateInfo, ProtocolName,
};
use sc_network_sync::SyncEvent;
use sp_core::H256;
use std::time::Duration;
use substrate_prometheus_endpoint::{register, Gauge, PrometheusError, Registry, F64};

/// Requests that wait to be answered; more are turned away by the network.
const QUEUE: usize = 64;

impl Clock {
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
