//! What one peer does for one wanted entry: it gives the blob, or shows that it may be had.

use super::{
    download::{Download, NotTaken},
    fetch::{blocking, Begun, Fetcher, Transport},
    peers::{Outcome, FLOOR},
    store::NotAdopted,
    target::LOG,
    wire::{verified, Asked, Entry, Request, Response, LONGEST_PATIENCE},
};
use futures::stream::{FuturesOrdered, StreamExt};
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Requests under way at once for one blob. No session waits for another's: a peer that drips holds up its own only.
const WINDOW: usize = 2;
/// A peer that is busy is asked again after this long,
const BUSY_WAIT: Duration = Duration::from_millis(250);
/// so many times.
const BUSY_TRIES: usize = 8;
/// A peer sent bytes that are not the blob's: no honest node can, it checks what it sends.
const COST_WRONG_BYTES: ReputationChange = ReputationChange::new(-(1 << 28), "courier: wrong bytes");

/// A stretch of a session, at whose end the peer's rate is judged.
struct Turn {
    began: Instant,
    from: u64,
}

enum Reply {
    Slice(Vec<u8>),
    End(Outcome),
}

impl<T: Transport> Fetcher<T> {
    /// What one peer does for one entry.
    pub(super) async fn session(&self, begun: &Begun) -> Outcome {
        if begun.held {
            self.show(begun).await
        } else {
            self.fetch(begun).await
        }
    }

    /// Asks a peer to show that a blob, which is here, may be had for an entry, too.
    async fn show(&self, begun: &Begun) -> Outcome {
        let Begun { entry, peer, .. } = begun;
        let request = Request::of_the_end(*entry);
        let slice = match self.ask(*peer, &request).await {
            Reply::Slice(slice) => slice,
            Reply::End(outcome) => return outcome,
        };
        if let Err(error) = verified(&request, &slice) {
            return self.wrong_bytes(entry, *peer, &error);
        }
        let (store, of) = (self.store.clone(), *entry);
        match blocking(move || store.shown(&of)).await {
            Ok(()) => Outcome::Complete,
            Err(error) => self.local(entry, &error),
        }
    }

    /// Fetches one blob from one peer, as far as it goes.
    async fn fetch(&self, begun: &Begun) -> Outcome {
        let (store, entry, peer) = (self.store.clone(), begun.entry, begun.peer);
        let blob = entry.blob;
        let mut download = match blocking(move || Download::resume(&store, blob)).await {
            Ok(download) => download,
            Err(error) => return self.local(&entry, &error),
        };
        let mut next = download.progress().have;
        let mut window = FuturesOrdered::new();
        let mut turn = Turn { began: Instant::now(), from: next };
        loop {
            while window.len() < WINDOW && next < blob.len {
                let len = self.peers.lock().span(peer, Instant::now());
                let request = Request { entry, start: next, len };
                next = request.range().map_or(blob.len, |range| range.end);
                window.push_back(async move { (request, self.ask(peer, &request).await) });
            }
            if window.is_empty() {
                break;
            }
            let answer = tokio::select! {
                answer = window.next() => answer,
                () = tokio::time::sleep_until((turn.began + self.patience.turn).into()) => {
                    let have = download.progress().have;
                    if let Some(rate) = self.too_slow(begun, &turn, have) {
                        return Outcome::Slow(rate);
                    }
                    turn = Turn { began: Instant::now(), from: have };
                    continue;
                }
            };
            let Some((request, reply)) = answer else { break };
            let slice = match reply {
                Reply::Slice(slice) => slice,
                Reply::End(outcome) => return outcome,
            };
            let step = blocking(move || {
                let taken = download.accept(&request, &slice);
                Ok((download, taken))
            });
            let taken = match step.await {
                Ok((same, taken)) => {
                    download = same;
                    taken
                }
                Err(error) => return self.local(&entry, &error),
            };
            match taken {
                Ok(_) => self.peers.lock().gave(peer, Instant::now()),
                Err(NotTaken::WrongBytes(error)) => return self.wrong_bytes(&entry, peer, &error),
                Err(NotTaken::OutOfOrder(_)) => return Outcome::Failed,
                Err(NotTaken::Io(error)) => return self.local(&entry, &error),
            }
        }
        let store = self.store.clone();
        match blocking(move || Ok(download.finish(&store, &entry))).await {
            Ok(Ok(())) => Outcome::Complete,
            Ok(Err(NotAdopted::Io(error))) | Err(error) => self.local(&entry, &error),
            Ok(Err(error @ NotAdopted::OtherHash)) => {
                log::error!(target: LOG, "{entry}: {error}");
                Outcome::Local
            }
        }
    }

    /// At the end of a turn: the peer's rate in bytes a second, if something better can be done than to go on with it.
    /// Where nothing else can, a slow peer is better than none.
    fn too_slow(&self, begun: &Begun, turn: &Turn, have: u64) -> Option<u64> {
        let now = Instant::now();
        let millis = u64::try_from(now.saturating_duration_since(turn.began).as_millis()).unwrap_or(u64::MAX);
        let rate = have.saturating_sub(turn.from).saturating_mul(1000) / millis.max(1);
        let hinders = rate < FLOOR && self.crowded.load(Ordering::Relaxed);
        let leave = hinders || self.peers.lock().better(begun.peer, rate, &begun.sources, &begun.entry, now);
        leave.then_some(rate)
    }

    /// A request, again while the peer is busy.
    async fn ask(&self, peer: PeerId, request: &Request) -> Reply {
        for _ in 0..BUSY_TRIES {
            match self.ask_once(peer, request).await {
                Reply::End(Outcome::Busy) => tokio::time::sleep(BUSY_WAIT).await,
                reply => return reply,
            }
        }
        Reply::End(Outcome::Busy)
    }

    /// One request, within its bounds, and what its answer means.
    async fn ask_once(&self, peer: PeerId, request: &Request) -> Reply {
        loop {
            let wait = self.peers.lock().pace(peer, Instant::now());
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        // half of what it waits itself: the answer that nothing can be given must come in time, too
        let patience = LONGEST_PATIENCE.min(self.patience.response / 2);
        let patience_ms = u16::try_from(patience.as_millis()).ok();
        let asked = self.transport.ask(peer, Asked { request: *request, patience_ms });
        let Ok(answer) = tokio::time::timeout(self.patience.response, asked).await else {
            return Reply::End(Outcome::TimedOut);
        };
        let Some(bytes) = answer else {
            // an earlier build knows nothing of some kinds, and does not answer: no fault of the peer, which may be needed for
            // other blobs
            return Reply::End(if request.entry.kind.newer() { Outcome::NotHeld } else { Outcome::Failed });
        };
        match Response::read(&bytes) {
            Some(Response::Data(slice)) => {
                self.figures.got(slice.len());
                Reply::Slice(slice)
            }
            Some(Response::NotHeld) => Reply::End(Outcome::NotHeld),
            Some(Response::Refused) => Reply::End(Outcome::Refused),
            Some(Response::Busy) => Reply::End(Outcome::Busy),
            Some(Response::NotYet) => Reply::End(Outcome::NotYet),
            None => {
                log::warn!(target: LOG, "{peer}: {} bytes that are no response", bytes.len());
                self.transport.report(peer, COST_WRONG_BYTES);
                Reply::End(Outcome::WrongBytes)
            }
        }
    }

    fn wrong_bytes(&self, entry: &Entry, peer: PeerId, error: &str) -> Outcome {
        log::warn!(
            target: LOG,
            "{entry} from {peer}: what came is thrown away, these are wrong bytes: {error}"
        );
        self.transport.report(peer, COST_WRONG_BYTES);
        Outcome::WrongBytes
    }

    fn local(&self, entry: &Entry, error: &io::Error) -> Outcome {
        log::error!(target: LOG, "{entry}: this node's disk: {error}");
        Outcome::Local
    }
}
