//! The set of validators, handed to the session pallet when it has changed.

use crate::{
    pallet::{Config, Event, Institutions, Pallet, PlannedValidators},
    WeightInfo, LOG_TARGET,
};
use alloc::vec::Vec;
use frame_support::{
    dispatch::DispatchClass,
    traits::{Get, ValidatorRegistration},
    BoundedVec,
};
use sp_staking::SessionIndex;

impl<T: Config> Pallet<T> {
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
                "session {index}: {count} validators have session keys, {} are needed; the set stays as it is. \
                 Register session keys, or make more institutions validators.",
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

impl<T: Config> pallet_session::SessionManager<T::AccountId> for Pallet<T> {
    fn new_session(new_index: SessionIndex) -> Option<Vec<T::AccountId>> {
        // Asked from a hook of the session pallet, which cannot know what the answer costs.
        frame_system::Pallet::<T>::register_extra_weight_unchecked(
            <T as Config>::WeightInfo::new_session(Institutions::<T>::count()),
            DispatchClass::Mandatory,
        );
        Self::plan_session(new_index)
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

    fn end_session(_end_index: SessionIndex) {}
}
