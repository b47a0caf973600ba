//! Starts runs of the offchain worker: with each best block, as the SDK does, and also when something has happened that
//! such a run waits for: a file has come, the worker has finished something. Without it, a merge whose last input comes just after a
//! block waits for the next one.
//!
//! The SDK starts a run for each notice of a new best block ([`OffchainWorkers::run`]); it is given these in place of the chain's
//! own. One run at a time: what happens during one is answered by another one after it, on the block that is the best
//! then. A run shows that it has ended by letting go of an extension that it was given.
//!
//! [`OffchainWorkers::run`]: sc_offchain::OffchainWorkers::run

use crate::types::FullClient;
use consilium_runtime::opaque::Block;
use futures::{FutureExt, Stream, StreamExt};
use parking_lot::Mutex;
use sc_client_api::{
    BlockImportNotification, BlockchainEvents, FinalityNotifications, HeaderBackend, ImportNotifications,
    StorageEventStream, StorageKey,
};
use sc_utils::mpsc::{tracing_unbounded, TracingUnboundedSender};
use sp_consensus::{BlockOrigin, SyncOracle};
use sp_core::H256;
use sp_externalities::{decl_extension, Extension};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// What happens within so long is answered by one run.
const TOGETHER: Duration = Duration::from_millis(3);
/// A run that has not ended by then is not waited for: its own calls are bounded by less.
const LONGEST_RUN: Duration = Duration::from_secs(5);
/// Notices that wait for the SDK; there is never more than one.
const QUEUE: usize = 64;

decl_extension! {
    /// Held by a run for as long as it lasts.
    struct Running(Ended);
}

struct Ended(Arc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Says that something has happened.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Has the offchain worker look again.
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Waits until it is said.
    pub async fn heard(&self) {
        self.0.notified().await;
    }
}

/// The chain's events, for the offchain workers alone.
pub struct Pulse {
    client: Arc<FullClient>,
    notices: Mutex<Option<ImportNotifications<Block>>>,
}

/// Makes the notices. To be run for as long as the node does.
pub struct Beat {
    client: Arc<FullClient>,
    nudge: Nudge,
    ended: Arc<Notify>,
    notices: TracingUnboundedSender<BlockImportNotification<Block>>,
    unpin: TracingUnboundedSender<sc_client_api::UnpinWorkerMessage<Block>>,
}

impl Pulse {
    /// A pulse that beats with this client's best blocks, and whenever it is nudged.
    #[must_use]
    pub fn new(client: Arc<FullClient>, nudge: Nudge) -> (Self, Beat) {
        let (sender, receiver) = tracing_unbounded("offchain-pulse", QUEUE);
        // nothing is pinned for these notices, so nobody hears that it need be no longer
        let (unpin, _) = tracing_unbounded("offchain-pulse-pins", QUEUE);
        let beat = Beat { client: client.clone(), nudge, ended: Arc::default(), notices: sender, unpin };
        (Self { client, notices: Mutex::new(Some(receiver)) }, beat)
    }
}

impl BlockchainEvents<Block> for Pulse {
    fn import_notification_stream(&self) -> ImportNotifications<Block> {
        self.notices.lock().take().unwrap_or_else(|| self.client.import_notification_stream())
    }

    fn every_import_notification_stream(&self) -> ImportNotifications<Block> {
        self.client.every_import_notification_stream()
    }

    fn finality_notification_stream(&self) -> FinalityNotifications<Block> {
        self.client.finality_notification_stream()
    }

    fn storage_changes_notification_stream(
        &self,
        keys: Option<&[StorageKey]>,
        child_keys: Option<&[(StorageKey, Option<Vec<StorageKey>>)]>,
    ) -> sp_blockchain::Result<StorageEventStream<H256>> {
        self.client.storage_changes_notification_stream(keys, child_keys)
    }
}

impl Beat {
    /// What each run is given, so that its end is seen.
    pub fn extensions(&self) -> impl Fn(H256) -> Vec<Box<dyn Extension>> + Send + use<> {
        let ended = self.ended.clone();
        move |_| vec![Box::new(Running(Ended(ended.clone())))]
    }

    /// Beats until the node ends.
    pub async fn run(self, sync: impl SyncOracle) {
        let imports = self.client.import_notification_stream();
        let bests = imports.filter_map(|import| std::future::ready(import.is_new_best.then_some(())));
        let start = || match self.notice().map(|notice| self.notices.unbounded_send(notice)) {
            None => Started::No,
            Some(Ok(())) => Started::Yes,
            Some(Err(_)) => Started::Never,
        };
        beat(bests, &self.nudge, &self.ended, start, || sync.is_major_syncing()).await;
    }

    /// A notice of the best block there is now.
    fn notice(&self) -> Option<BlockImportNotification<Block>> {
        let hash = self.client.info().best_hash;
        let header = self.client.header(hash).ok().flatten()?;
        Some(BlockImportNotification::new(hash, BlockOrigin::Own, header, true, None, self.unpin.clone()))
    }
}

/// What came of the start of a run.
enum Started {
    Yes,
    /// There is no block to run on.
    No,
    /// Nobody starts runs any more.
    Never,
}

/// Starts a run for each of `bests` and each nudge, one at a time, until there are no more of the one or no more runs. While this node
/// catches up nudges start none: far behind, nothing that the chain asked then is asked now.
async fn beat(
    mut bests: impl Stream<Item = ()> + Unpin,
    nudge: &Nudge,
    ended: &Notify,
    start: impl Fn() -> Started,
    catches_up: impl Fn() -> bool,
) {
    loop {
        tokio::select! {
            best = bests.next() => if best.is_none() { return },
            () = nudge.heard() => if catches_up() { continue },
        }
        tokio::time::sleep(TOGETHER).await;
        // of before this run
        let _ = ended.notified().now_or_never();
        match start() {
            Started::Yes => {}
            Started::No => continue,
            Started::Never => return,
        }
        if tokio::time::timeout(LONGEST_RUN, ended.notified()).await.is_err() {
            log::debug!("a run of the offchain worker has not ended in {} s", LONGEST_RUN.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Runs that end when the test says so.
    #[derive(Default)]
    struct Runs {
        count: AtomicUsize,
        held: Mutex<Vec<Running>>,
        ended: Arc<Notify>,
        over: AtomicBool,
    }

    impl Runs {
        fn start(&self) -> Started {
            if self.over.load(Ordering::SeqCst) {
                return Started::Never;
            }
            self.count.fetch_add(1, Ordering::SeqCst);
            self.held.lock().push(Running(Ended(self.ended.clone())));
            Started::Yes
        }

        async fn count_after(&self, millis: u64) -> usize {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            self.count.load(Ordering::SeqCst)
        }

        fn end(&self) {
            self.held.lock().clear();
        }
    }

    #[tokio::test]
    async fn what_happens_during_a_run_is_answered_by_one_run_after_it() {
        let (runs, nudge, catches_up) = (Arc::new(Runs::default()), Nudge::default(), Arc::new(AtomicBool::new(false)));
        let (best, bests) = mpsc::unbounded();
        let (of, told, syncing) = (runs.clone(), nudge.clone(), catches_up.clone());
        let beating = tokio::spawn(async move {
            beat(bests, &told, &of.ended, || of.start(), || syncing.load(Ordering::SeqCst)).await;
        });
        let block = || best.unbounded_send(()).expect("it beats");
        block();
        assert_eq!(runs.count_after(50).await, 1);
        // not while the first one lasts
        (0..3).for_each(|_| nudge.now());
        assert_eq!(runs.count_after(50).await, 1);
        runs.end();
        assert_eq!(runs.count_after(50).await, 2, "one for all three");
        runs.end();
        assert_eq!(runs.count_after(50).await, 2, "nothing has happened since");
        // a block counts while this node catches up, a nudge does not
        catches_up.store(true, Ordering::SeqCst);
        nudge.now();
        assert_eq!(runs.count_after(50).await, 2);
        block();
        assert_eq!(runs.count_after(50).await, 3);
        runs.end();
        runs.over.store(true, Ordering::SeqCst);
        block();
        tokio::time::timeout(Duration::from_secs(5), beating).await.expect("it ends").expect("without a panic");
    }
}
