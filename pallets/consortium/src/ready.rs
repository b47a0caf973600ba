//! How the node of a newcomer, or of who was suspended, says that it is in step, so that its institution's voice counts for
//! blocks and finality. Offchain workers run on no node that is still catching up.

use crate::{
    pallet::{Call, Config, Error, Event, Institutions, Pallet},
    LOG_TARGET,
};
use alloc::vec::Vec;
use codec::Encode;
use consilium_primitives::blocks;
use frame_support::{dispatch::DispatchResult, ensure, pallet_prelude::TransactionSource, weights::Weight};
use frame_system::offchain::SubmitTransaction;
use sp_application_crypto::RuntimeAppPublic;
use sp_runtime::{
    traits::OpaqueKeys,
    transaction_validity::{InvalidTransaction, TransactionValidityWithRefund, ValidTransaction},
};

/// First bytes of what a node signs to say that it is in step.
pub const READY_CONTEXT: &[u8] = b"consilium/ready/1";
/// For so long, in milliseconds, what was said is waited for before it is said again.
const REPEAT_MILLIS: u64 = 8_000;
/// Blocks that it waits in the pool at most.
const LONGEVITY: u64 = blocks(64_000) as u64;
/// Priority in the pool: before signed calls, as votes are.
const PRIORITY: u64 = 1 << 32;
/// Custom code: the institution waits for nothing, or since another block.
const REFUSED_NOT_WAITING: u8 = 20;
/// Custom code: the institution has no session keys.
const REFUSED_NO_KEY: u8 = 21;

/// What a node signs: `"consilium/ready/1" ‖ genesis hash ‖ SCALE of the institution's account and of the block since which it
/// waits`. No word of before a suspension counts after it.
pub fn ready_payload<AccountId: Encode>(genesis: &[u8], institution: &AccountId, since: u32) -> Vec<u8> {
    [READY_CONTEXT, genesis, &(institution, since).encode()].concat()
}

impl<T: Config> Pallet<T> {
    /// The block since which the institution waits for its node, where that would make it a standing validator.
    fn waits_since(who: &T::AccountId) -> Option<u32> {
        Institutions::<T>::get(who).filter(|it| it.is_active_validator()).and_then(|it| it.waits_since)
    }

    pub(crate) fn do_ready(who: T::AccountId, since: u32) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        ensure!(Self::waits_since(&who) == Some(since), Error::<T>::NotWaiting);
        institution.waits_since = None;
        Institutions::<T>::insert(&who, institution);
        Self::mark_changed();
        Self::deposit_event(Event::Ready { institution: who });
        Ok(())
    }

    /// Cheap checks first, signature last; the same answer for every source.
    pub(crate) fn authorize_ready(
        _source: TransactionSource,
        institution: &T::AccountId,
        since: &u32,
        signature: &<T::ReadyKey as RuntimeAppPublic>::Signature,
    ) -> TransactionValidityWithRefund {
        if Self::waits_since(institution) != Some(*since) {
            return Err(InvalidTransaction::Custom(REFUSED_NOT_WAITING).into());
        }
        let key = pallet_session::Pallet::<T>::load_keys(institution)
            .and_then(|keys| keys.get::<T::ReadyKey>(T::ReadyKey::ID))
            .ok_or(InvalidTransaction::Custom(REFUSED_NO_KEY))?;
        if !key.verify(&ready_payload(Self::genesis().as_ref(), institution, *since), signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        ValidTransaction::with_tag_prefix("ConsortiumReady")
            .priority(PRIORITY)
            .and_provides((institution, since))
            .longevity(LONGEVITY)
            .propagate(true)
            .build()
            .map(|valid| (valid, Weight::zero()))
    }

    /// Says it for the institutions whose key lies in this node's keystore, and again until the chain has it.
    pub(crate) fn say_ready(now: u32) {
        for key in T::ReadyKey::all() {
            let Some(owner) = pallet_session::Pallet::<T>::key_owner(T::ReadyKey::ID, &key.to_raw_vec()) else {
                continue;
            };
            let Some(since) = Self::waits_since(&owner) else { continue };
            if now.saturating_sub(since).checked_rem(blocks(REPEAT_MILLIS)) != Some(0) {
                continue;
            }
            let Some(signature) = key.sign(&ready_payload(Self::genesis().as_ref(), &owner, since)) else {
                log::error!(target: LOG_TARGET, "the key of {owner:?} is listed in the keystore but cannot sign");
                continue;
            };
            let call = Call::<T>::ready { institution: owner.clone(), since, signature };
            let transaction = T::create_authorized_transaction(call.into());
            match SubmitTransaction::<T, Call<T>>::submit_transaction(transaction) {
                Ok(()) => log::info!(target: LOG_TARGET, "this node is in step: says so for {owner:?}"),
                Err(()) => {
                    log::debug!(target: LOG_TARGET, "the pool holds already that the node of {owner:?} is in step")
                }
            }
        }
    }
}
