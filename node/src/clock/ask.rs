//! The asking side: whom, when, what comes of the answers, and what people are told.

use super::{
    exchange::time_in,
    known::{is_idle, millis, Clock, LOG, SLOW},
    verdict::{span, Others, Reading, Track, WORTH_SAYING},
};
use crate::allowed::Allowed;
use futures::{
    stream::{FuturesUnordered, Stream},
    StreamExt,
};
use sc_network::{IfDisconnected, NetworkRequest, NetworkStateInfo, ProtocolName};
use sc_network_sync::SyncEvent;
use sc_network_types::PeerId;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use substrate_prometheus_endpoint::{Gauge, F64};

/// A node is asked so often.
const EVERY: Duration = Duration::from_secs(10);
/// And so soon again where it did not answer, while nothing is known yet.
const AGAIN: Duration = Duration::from_secs(2);
/// What a node said is forgotten after so long without another answer.
const FORGET: Duration = Duration::from_secs(120);
/// How often to look whether anybody is to be asked, and whether this machine's clock was set.
const TICK: Duration = Duration::from_secs(1);
/// A warning that stays true is repeated so often.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// What one node's clock said, and when it did last.
struct Heard {
    track: Track,
    last: Instant,
}

/// The asking side.
pub struct Asking<N> {
    clock: Clock,
    network: N,
    name: ProtocolName,
    allowed: Allowed,
    gauge: Option<Gauge<F64>>,
    tracks: HashMap<PeerId, Heard>,
    /// Connected nodes, and when each is to be asked.
    due: HashMap<PeerId, Instant>,
    /// Requests made so far.
    asked: u64,
    /// When people were told last, while the clock is wrong, and whether as two others or more have it.
    warned: Option<(Instant, bool)>,
}

impl<N: NetworkRequest + NetworkStateInfo + Clone + Send + Sync + 'static> Asking<N> {
    /// Asks over this network by the protocol of this name.
    pub fn new(clock: Clock, network: N, name: ProtocolName, allowed: Allowed, gauge: Option<Gauge<F64>>) -> Self {
        let (tracks, due) = (HashMap::new(), HashMap::new());
        Self { clock, network, name, allowed, gauge, tracks, due, asked: 0, warned: None }
    }

    /// Asks the nodes that `events` brings until there are no more.
    pub async fn run(mut self, mut events: impl Stream<Item = SyncEvent> + Unpin) {
        let mut under_way = FuturesUnordered::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = self.clock.own();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(SyncEvent::PeerConnected { peer_id, .. }) => self.connected(peer_id),
                    Some(SyncEvent::PeerDisconnected(peer)) => self.disconnected(&peer),
                },
                Some((peer, reading)) = under_way.next() => self.heard(peer, reading),
                _ = tick.tick() => {}
            }
            let now = Instant::now();
            let own = self.clock.own();
            if own.abs_diff(before) > WORTH_SAYING.unsigned_abs() {
                let (by, side) = (span(own.saturating_sub(before)), if own > before { "forward" } else { "back" });
                log::info!(target: LOG, "this machine's clock was set {by} {side}");
                self.due.values_mut().for_each(|due| *due = now);
            }
            before = own;
            let ready: Vec<PeerId> = self.due.iter().filter(|(_, due)| **due <= now).map(|(peer, _)| *peer).collect();
            for peer in ready {
                self.due.insert(peer, now + EVERY);
                under_way.push(self.ask(peer));
            }
            self.conclude();
        }
    }

    fn connected(&mut self, peer: PeerId) {
        if self.due.is_empty() && self.allowed.count() > 2 {
            self.clock.0.known.write().connected = Some(Instant::now());
        }
        self.due.insert(peer, Instant::now());
    }

    fn disconnected(&mut self, peer: &PeerId) {
        self.due.remove(peer);
        if self.due.is_empty() {
            self.clock.0.known.write().connected = None;
        }
    }

    /// Asks one node. Of its answer nothing is counted that is wrong or slow.
    fn ask(&mut self, peer: PeerId) -> impl std::future::Future<Output = (PeerId, Option<Reading>)> + Send + 'static {
        self.asked = self.asked.wrapping_add(1);
        let (number, clock) = (self.asked, self.clock.clone());
        let (network, name) = (self.network.clone(), self.name.clone());
        async move {
            let asked = clock.monotonic();
            let request = number.to_le_bytes().to_vec();
            let answer = network.request(peer, name, request, None, IfDisconnected::ImmediateError).await;
            let heard = clock.monotonic();
            let time = match &answer {
                Ok((bytes, _)) if heard.saturating_sub(asked) <= millis(SLOW) => time_in(bytes, number),
                Ok(_) => None,
                Err(error) => {
                    log::debug!(target: LOG, "{peer}: {error}");
                    None
                }
            };
            (peer, time.map(|time| Reading::new(time, asked, heard)))
        }
    }

    fn heard(&mut self, peer: PeerId, reading: Option<Reading>) {
        let now = Instant::now();
        match (reading, self.due.get_mut(&peer)) {
            (Some(reading), _) => {
                let heard = self.tracks.entry(peer).or_insert_with(|| Heard { track: Track::default(), last: now });
                heard.track.add(reading);
                heard.last = now;
            }
            (None, Some(due)) if self.clock.error().is_none() => *due = now + AGAIN,
            (None, _) => {}
        }
    }

    /// Draws the conclusion of all that was heard: one clock for each institution.
    fn conclude(&mut self) {
        let (allowed, local) = (&self.allowed, self.network.local_peer_id());
        let own = allowed.name(&local);
        self.tracks.retain(|peer, heard| heard.last.elapsed() < FORGET && allowed.contains(peer));
        let mut by_name: BTreeMap<String, (Instant, Reading)> = BTreeMap::new();
        for (peer, Heard { track, last }) in &self.tracks {
            let (Some(reading), name) = (track.best(), allowed.name(peer)) else { continue };
            let newest = by_name.get(&name).is_none_or(|(other, _)| other < last);
            if newest && name != own {
                by_name.insert(name, (*last, reading));
            }
        }
        let readings: Vec<Reading> = by_name.values().map(|(_, reading)| *reading).collect();
        let others = Others::of(&readings);
        self.clock.0.known.write().others = others;
        let alone = by_name.pop_first().filter(|_| others.is_none());
        *self.clock.0.alone.write() = alone.map(|(name, (_, reading))| (name, reading));
        let error = self.clock.error();
        if let Some(gauge) = &self.gauge {
            gauge.set(error.map_or(f64::NAN, |error| error as f64 / 1_000.0));
        }
        let (words, right) = match (others, error) {
            (Some(others), Some(error)) => {
                (others.words(error, is_idle(error)), format!("{} other institutions' say", others.count))
            }
            _ => (self.clock.differs(), "the one other that is known says".to_owned()),
        };
        match words {
            Some(words) if self.warned.is_none_or(|(at, of)| of != others.is_some() || at.elapsed() >= WARN_EVERY) => {
                log::warn!(target: LOG, "{words}");
                self.warned = Some((Instant::now(), others.is_some()));
            }
            None if self.warned.take().is_some() => {
                log::info!(target: LOG, "this machine's clock is right again, as {right}");
            }
            _ => {}
        }
    }
}
