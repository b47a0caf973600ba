//! Starts runs of the offchain worker: with each best block, as the SDK does, and also when something has happened that
//! such a run waits for: a file has come, the worker has finished something. Without it, a merge whose last input comes just after a
//! block waits for the next one.
//!
//! The SDK starts a run for each notice of a new best block ([`OffchainWorkers::run`]); it is given these in place of the chain's
//! own. One run at a time: what happens during one is answered by another one after it, on the block that is the best
//! then. A run shows that it has ended by letting go of an extension that it was given.
//!
//! [`OffchainWorkers::run`]: sc_offchain::OffchainWorkers::run

use crate::service::FullClient;
use consilium_runtime::opaque::Block;
use futures::StreamExt;
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
        let mut imports = self.client.import_notification_stream();
        loop {
            tokio::select! {
                import = imports.next() => match import {
                    Some(import) if !import.is_new_best => continue,
                    Some(_) => {}
                    None => return,
                },
                // far behind, nothing that the chain asked then is asked now
                () = self.nudge.0.notified() => if sync.is_major_syncing() { continue },
            }
            tokio::time::sleep(TOGETHER).await;
            // of before this run
            let _ = futures::FutureExt::now_or_never(self.ended.notified());
            let Some(notice) = self.notice() else { continue };
            if self.notices.unbounded_send(notice).is_err() {
                return;
            }
            if tokio::time::timeout(LONGEST_RUN, self.ended.notified()).await.is_err() {
                log::debug!("a run of the offchain worker has not ended in {} s", LONGEST_RUN.as_secs());
            }
        }
    }

    /// A notice of the best block there is now.
    fn notice(&self) -> Option<BlockImportNotification<Block>> {
        let hash = self.client.info().best_hash;
        let header = self.client.header(hash).ok().flatten()?;
        Some(BlockImportNotification::new(hash, BlockOrigin::Own, header, true, None, self.unpin.clone()))
    }
}
