//! Makes blocks, in slots that are as long as the chain says: a new runtime may make them shorter while the node runs.

use crate::service::{FullClient, FullPool, FullSelectChain, GrandpaImport};
use consilium_runtime::opaque::Block;
use futures::{future::Either, FutureExt, StreamExt};
use sc_basic_authorship::ProposerFactory;
use sc_client_api::BlockchainEvents;
use sc_consensus_aura::{standalone::slot_duration_at, SlotDuration, SlotProportion, StartAuraParams};
use sc_network_sync::SyncingService;
use sc_telemetry::TelemetryHandle;
use sp_consensus_aura::sr25519::AuthorityPair;
use sp_keystore::KeystorePtr;
use std::{future::Future, sync::Arc};

/// All that making blocks needs.
pub struct Authoring {
    /// The chain.
    pub client: Arc<FullClient>,
    /// On which block the next one is made.
    pub select_chain: FullSelectChain,
    /// Where a block made here goes.
    pub import: GrandpaImport,
    /// What goes into it.
    pub proposer: ProposerFactory<FullPool, FullClient>,
    /// Keys that sign it.
    pub keystore: KeystorePtr,
    /// Whether this node is far behind: it makes none then.
    pub sync: Arc<SyncingService<Block>>,
    /// Also where it has no peers.
    pub force: bool,
    /// Telemetry.
    pub telemetry: Option<TelemetryHandle>,
}

impl Authoring {
    /// Makes blocks for as long as the node runs. It ends only where it cannot go on, having said why.
    pub async fn run(self) {
        loop {
            let begun = sc_consensus_aura::slot_duration(&*self.client)
                .map_err(|error| error.to_string())
                .and_then(|slots| Ok((slots, self.begin(slots).map_err(|error| error.to_string())?)));
            let (slots, aura) = match begun {
                Ok(begun) => begun,
                Err(error) => return log::error!("no blocks can be made here: {error}"),
            };
            let other = self.other_than(slots);
            match futures::future::select(aura.boxed(), other.boxed()).await {
                Either::Left(_) => return,
                Either::Right((Some(now), _)) => {
                    log::info!("slots have {} ms from here on; they had {}", now.as_millis(), slots.as_millis());
                }
                Either::Right((None, _)) => return,
            }
        }
    }

    fn begin(&self, slots: SlotDuration) -> Result<impl Future<Output = ()> + use<>, sp_consensus::Error> {
        sc_consensus_aura::start_aura::<AuthorityPair, _, _, _, _, _, _, _, _, _, _>(StartAuraParams {
            slot_duration: slots,
            client: self.client.clone(),
            select_chain: self.select_chain.clone(),
            block_import: self.import.clone(),
            proposer_factory: self.proposer.clone(),
            create_inherent_data_providers: move |_, ()| async move {
                let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
                let slot = sp_consensus_aura::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
                    *timestamp, slots,
                );
                Ok((slot, timestamp))
            },
            force_authoring: self.force,
            backoff_authoring_blocks: None::<()>,
            keystore: self.keystore.clone(),
            sync_oracle: self.sync.clone(),
            justification_sync_link: self.sync.clone(),
            block_proposal_slot_portion: SlotProportion::new(2f32 / 3f32),
            // else a block takes longer and longer after slots that nobody used
            max_block_proposal_slot_portion: Some(SlotProportion::new(1f32)),
            telemetry: self.telemetry.clone(),
            compatibility_mode: Default::default(),
        })
    }

    /// Waits until the chain has other slots than these, and says which; none where the chain is gone.
    async fn other_than(&self, slots: SlotDuration) -> Option<SlotDuration> {
        let mut imported = self.client.import_notification_stream();
        while let Some(block) = imported.next().await {
            if !block.is_new_best {
                continue;
            }
            match slot_duration_at(&*self.client, block.hash) {
                Ok(now) if now != slots => return Some(now),
                Ok(_) => {}
                // a block whose state is not here, in a sync: the next one says it
                Err(error) => log::debug!("how long slots are is not known at {:?}: {error}", block.hash),
            }
        }
        None
    }
}
