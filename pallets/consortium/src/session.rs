//! Sessions: when one ends, which validators the next one has, and with which keys.

use crate::{
    pallet::{Changed, Config, Error, Event, Institutions, LastEnd, Pallet, PlannedValidators},
    NoteStalled, WeightInfo, LOG_TARGET,
};
use alloc::vec::Vec;
use codec::DecodeAll;
use consilium_primitives::blocks;
use frame_support::{
    dispatch::{DispatchClass, DispatchResult},
    traits::{EstimateNextSessionRotation, Get, ValidatorRegistration},
    weights::Weight,
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use pallet_session::{SessionManager, ShouldEndSession};
use sp_runtime::{traits::UniqueSaturatedInto, DispatchError, Permill};
use sp_staking::SessionIndex;

/// A session lasts so long at least, in milliseconds, where its validators or their keys have changed.
pub const SETTLE_MILLIS: u64 = 10_000;
/// A session lasts so long where nothing has changed, in milliseconds.
pub const SESSION_MILLIS: u64 = 3_600_000;
/// Ends of sessions until a change is effective: it is queued at the first, and in force from the second.
const ENDS: u8 = 2;

impl<T: Config> Pallet<T> {
    /// The set of validators or their keys have changed: two sessions end soon.
    pub(crate) fn mark_changed() {
        Changed::<T>::put((Self::now(), ENDS));
    }

    /// Block in which the session ends, as far as is known now.
    fn next_end() -> u32 {
        let lasts = if Changed::<T>::exists() { SETTLE_MILLIS } else { SESSION_MILLIS };
        LastEnd::<T>::get().saturating_add(blocks(lasts))
    }

    pub(crate) fn do_rotate_keys(who: T::AccountId, keys: &[u8], proof: Vec<u8>) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        Self::set_session_keys(&who, keys, proof)?;
        let lately = institution.keys_at.is_some_and(|at| Self::now().saturating_sub(at) < blocks(SESSION_MILLIS));
        // whose keys change all the time does not keep the others from their blocks
        if institution.is_active_validator() && institution.waits_since.is_none() && !lately {
            institution.keys_at = Some(Self::now());
            Institutions::<T>::insert(&who, institution);
            Self::mark_changed();
        }
        Self::deposit_event(Event::KeysRotated { institution: who });
        Ok(())
    }

    /// Registers encoded session keys by the session pallet's own call, which checks their proof.
    pub(crate) fn set_session_keys(who: &T::AccountId, keys: &[u8], proof: Vec<u8>) -> DispatchResult {
        let keys = <T as pallet_session::Config>::Keys::decode_all(&mut &keys[..])
            .map_err(|_| DispatchError::from(Error::<T>::InvalidSessionKeys))?;
        pallet_session::Pallet::<T>::set_keys(RawOrigin::Signed(who.clone()).into(), keys, proof)
    }

    /// The validators for session `index`, ascending, or `None` to keep those that there are.
    fn plan_session(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        let last = PlannedValidators::<T>::get();
        // The session pallet skips whoever has no keys, whatever we answer, so this is what it would go on with.
        let kept: Vec<_> = last.iter().filter(|who| pallet_session::Pallet::<T>::is_registered(who)).cloned().collect();
        let mut wanted: Vec<_> = Self::standing_validators().collect();
        wanted.sort();

        let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        if count < T::MinValidators::get() {
            log::warn!(
                target: LOG_TARGET,
                "session {index}: {count} validators have session keys and a node in step, {} are needed; the set stays as \
                 it is. Start their nodes, register session keys, or make more institutions validators.",
                T::MinValidators::get(),
            );
            PlannedValidators::<T>::put(BoundedVec::truncate_from(kept));
            return None;
        }
        if wanted == *last {
            return None;
        }
        PlannedValidators::<T>::put(BoundedVec::truncate_from(wanted.clone()));
        Self::deposit_event(Event::ValidatorsPlanned { session: index, validators: count });
        Some(wanted)
    }
}

impl<T: Config> ShouldEndSession<BlockNumberFor<T>> for Pallet<T> {
    fn should_end_session(now: BlockNumberFor<T>) -> bool {
        // what is forced on finality must be in force before the next change, which would be lost to it
        UniqueSaturatedInto::<u32>::unique_saturated_into(now) >= Self::next_end() && !T::Stalled::pending()
    }
}

impl<T: Config> EstimateNextSessionRotation<BlockNumberFor<T>> for Pallet<T> {
    fn average_session_length() -> BlockNumberFor<T> {
        blocks(SESSION_MILLIS).into()
    }

    fn estimate_current_session_progress(now: BlockNumberFor<T>) -> (Option<Permill>, Weight) {
        let (begun, ends) = (LastEnd::<T>::get(), Self::next_end());
        let passed = UniqueSaturatedInto::<u32>::unique_saturated_into(now).saturating_sub(begun).saturating_add(1);
        (Some(Permill::from_rational(passed, ends.saturating_sub(begun))), T::DbWeight::get().reads(2))
    }

    fn estimate_next_session_rotation(_now: BlockNumberFor<T>) -> (Option<BlockNumberFor<T>>, Weight) {
        (Some(Self::next_end().into()), T::DbWeight::get().reads(2))
    }
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    fn new_session(new_index: SessionIndex) -> Option<Vec<T::AccountId>> {
        // Asked from a hook of the session pallet, which cannot know what the answer costs.
        frame_system::Pallet::<T>::register_extra_weight_unchecked(
            <T as Config>::WeightInfo::new_session(Institutions::<T>::count()),
            DispatchClass::Mandatory,
        );
        let planned = Self::plan_session(new_index);
        let active = pallet_session::Pallet::<T>::validators();
        Self::release_departed(&active, planned.as_ref().unwrap_or(&active));
        planned
    }

    /// The validators of the genesis configuration, whether or not they have keys yet; `None` if there are none, so that
    /// the session pallet uses its own list.
    fn new_session_genesis(_new_index: SessionIndex) -> Option<Vec<T::AccountId>> {
        let mut validators: Vec<_> = Institutions::<T>::iter()
            .filter(|(_, institution)| institution.is_active_validator())
            .map(|(who, _)| who)
            .collect();
        if validators.is_empty() {
            return None;
        }
        validators.sort();
        PlannedValidators::<T>::put(BoundedVec::truncate_from(validators.clone()));
        Some(validators)
    }

    fn start_session(_start_index: SessionIndex) {}

    fn end_session(_end_index: SessionIndex) {
        LastEnd::<T>::put(Self::now());
        Changed::<T>::mutate_exists(|changed| {
            *changed = changed.and_then(|(since, ends)| {
                let left = ends.saturating_sub(1);
                (left > 0).then_some((since, left))
            });
        });
    }
}
