//! The registry: what calls and motions do to an institution, and what other pallets may ask about it.

use crate::{
    pallet::{Addresses, Config, Error, Event, Founding, Institutions, Leaving, Pallet, Signers},
    types::{is_valid_name, is_valid_profile},
    AddressList, Institution, Name, OnDeparture, PeerId, Profile,
};
use alloc::vec::Vec;
use frame_support::{
    dispatch::DispatchResult,
    ensure,
    traits::{Get, ValidatorRegistration},
};

impl<T: Config> Pallet<T> {
    /// Whether `who` is to make blocks: has the validator flag and is not suspended.
    pub fn is_active_validator(who: &T::AccountId) -> bool {
        Institutions::<T>::get(who).is_some_and(|institution| institution.is_active_validator())
    }

    /// Active validators that have session keys and whose nodes are in step, unordered.
    pub(crate) fn standing_validators() -> impl Iterator<Item = T::AccountId> {
        Institutions::<T>::iter()
            .filter(|(who, institution)| {
                institution.is_active_validator()
                    && institution.waits_since.is_none()
                    && pallet_session::Pallet::<T>::is_registered(who)
            })
            .map(|(who, _)| who)
    }

    pub(crate) fn do_admit(who: T::AccountId, name: Name, validator: bool, participant: bool) -> DispatchResult {
        ensure!(is_valid_name(&name), Error::<T>::InvalidName);
        ensure!(!Institutions::<T>::contains_key(&who), Error::<T>::AlreadyAdmitted);
        ensure!(!Signers::<T>::contains_key(&who), Error::<T>::AccountTaken);
        ensure!(!Leaving::<T>::contains_key(&who), Error::<T>::StillLeaving);
        ensure!(Institutions::<T>::count() < T::MaxInstitutions::get(), Error::<T>::TooManyInstitutions);
        ensure!(!validator || pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);

        Self::enter(&who, name.clone(), validator, participant, validator.then(Self::now));
        Self::deposit_event(Event::Admitted { institution: who, name, validator, participant });
        Ok(())
    }

    pub(crate) fn do_set_flags(who: T::AccountId, validator: bool, participant: bool) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        if validator && !institution.validator {
            ensure!(pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);
            institution.waits_since = Some(Self::now());
        }
        if !validator {
            Self::ensure_dispensable(&who, &institution)?;
            if institution.is_active_validator() {
                Self::mark_changed();
            }
        }

        let departed = institution.participant && !participant;
        institution.validator = validator;
        institution.participant = participant;
        Institutions::<T>::insert(&who, institution);
        if departed {
            T::OnDeparture::departed(&who);
        }
        Self::deposit_event(Event::FlagsSet { institution: who, validator, participant });
        Ok(())
    }

    pub(crate) fn do_suspend(who: T::AccountId) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        ensure!(!institution.suspended, Error::<T>::AlreadySuspended);
        Self::ensure_dispensable(&who, &institution)?;

        if institution.is_active_validator() {
            Self::mark_changed();
        }
        institution.suspended = true;
        institution.suspended_at = Some(Self::now());
        Institutions::<T>::insert(&who, institution);
        T::OnDeparture::departed(&who);
        Self::deposit_event(Event::Suspended { institution: who });
        Ok(())
    }

    pub(crate) fn do_reinstate(who: T::AccountId) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        ensure!(institution.suspended, Error::<T>::NotSuspended);
        ensure!(!institution.validator || pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);

        institution.suspended = false;
        institution.suspended_at = None;
        // its node may be as far behind as it was away
        institution.waits_since = institution.validator.then(Self::now);
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::Reinstated { institution: who });
        Ok(())
    }

    pub(crate) fn do_set_profile(who: T::AccountId, profile: Profile) -> DispatchResult {
        ensure!(is_valid_profile(&profile), Error::<T>::InvalidProfile);
        let mut institution = Self::institution(&who)?;

        institution.profile = profile;
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::ProfileSet { institution: who });
        Ok(())
    }

    pub(crate) fn do_set_addresses(who: T::AccountId, addresses: AddressList) -> DispatchResult {
        ensure!(Institutions::<T>::contains_key(&who), Error::<T>::NotAnInstitution);
        let private = Founding::<T>::get().private_addresses;
        let valid = addresses.iter().all(|address| crate::is_valid_address(address, private));
        ensure!(valid, Error::<T>::InvalidAddress);
        if addresses.is_empty() {
            Addresses::<T>::remove(&who);
        } else {
            Addresses::<T>::insert(&who, addresses);
        }
        Self::deposit_event(Event::AddressesSet { institution: who });
        Ok(())
    }

    /// Number of institutions with the validator flag that are not suspended.
    pub(crate) fn active_validator_count() -> u32 {
        Institutions::<T>::iter_values()
            .fold(0, |count: u32, institution| count.saturating_add(u32::from(institution.is_active_validator())))
    }

    pub(crate) fn institution(who: &T::AccountId) -> Result<Institution, Error<T>> {
        Institutions::<T>::get(who).ok_or(Error::<T>::NotAnInstitution)
    }

    /// Stores a new institution and lets its account exist.
    pub(crate) fn enter(who: &T::AccountId, name: Name, validator: bool, participant: bool, waits_since: Option<u32>) {
        frame_system::Pallet::<T>::inc_providers(who);
        Institutions::<T>::insert(
            who,
            Institution {
                name,
                validator,
                participant,
                suspended: false,
                profile: Profile::default(),
                peer_id: None,
                admitted_at: Self::now(),
                suspended_at: None,
                waits_since,
                rotated_at: None,
                keys_at: None,
            },
        );
    }

    /// Refuses if `who` is an active validator and too few would stand without it.
    pub(crate) fn ensure_dispensable(who: &T::AccountId, institution: &Institution) -> Result<(), Error<T>> {
        if !institution.is_active_validator() {
            return Ok(());
        }
        let others = Self::standing_validators().filter(|other| other != who).count();
        let enough = u32::try_from(others).is_ok_and(|others| others >= T::MinValidators::get());
        ensure!(enough, Error::<T>::TooFewValidators);
        Ok(())
    }
}

impl<T: Config> crate::Institutions<T::AccountId> for Pallet<T> {
    fn is_participant(who: &T::AccountId) -> bool {
        Institutions::<T>::get(who).is_some_and(|institution| institution.is_active_participant())
    }

    fn is_member(who: &T::AccountId) -> bool {
        Institutions::<T>::get(who).is_some_and(|institution| !institution.suspended)
    }

    fn validator_count() -> u32 {
        Self::active_validator_count()
    }

    fn peer_id(who: &T::AccountId) -> Option<Vec<u8>> {
        Institutions::<T>::get(who).and_then(|institution| institution.peer_id).map(PeerId::into_inner)
    }

    fn all() -> Vec<(T::AccountId, Institution)> {
        let mut all: Vec<_> = Institutions::<T>::iter().collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}
