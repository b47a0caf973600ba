//! What the calls do, and what must hold after each of them.

use crate::{
    node_key_of,
    pallet::{Config, Error, Event, Institutions, Pallet, PeerIds},
    peer_id_claim, peer_id_of,
    types::{is_valid_name, is_valid_profile},
    Institution, Name, OnDeparture, PeerId, Profile, LOG_TARGET,
};
use alloc::vec::Vec;
use frame_support::{
    dispatch::DispatchResult,
    ensure,
    traits::{Get, ValidatorRegistration},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::ed25519;
use sp_runtime::traits::Zero;

impl<T: Config> Pallet<T> {
    /// Whether `who` is to make blocks: has the validator flag and is not suspended.
    pub fn is_active_validator(who: &T::AccountId) -> bool {
        Institutions::<T>::get(who).is_some_and(|institution| institution.is_active_validator())
    }

    /// What the node with this peer id signs to belong to `institution` on this chain; see [`peer_id_claim`].
    pub fn peer_id_claim(institution: &T::AccountId, peer_id: &PeerId) -> Vec<u8> {
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        peer_id_claim(genesis.as_ref(), institution, peer_id)
    }

    /// Active validators that have session keys, unordered.
    pub(crate) fn standing_validators() -> impl Iterator<Item = T::AccountId> {
        Institutions::<T>::iter()
            .filter(|(who, institution)| {
                institution.is_active_validator() && pallet_session::Pallet::<T>::is_registered(who)
            })
            .map(|(who, _)| who)
    }

    pub(crate) fn do_admit(who: T::AccountId, name: Name, validator: bool, participant: bool) -> DispatchResult {
        ensure!(is_valid_name(&name), Error::<T>::InvalidName);
        ensure!(!Institutions::<T>::contains_key(&who), Error::<T>::AlreadyAdmitted);
        ensure!(Institutions::<T>::count() < T::MaxInstitutions::get(), Error::<T>::TooManyInstitutions);
        ensure!(!validator || pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);

        Self::enter(&who, name.clone(), validator, participant);
        Self::deposit_event(Event::Admitted { institution: who, name, validator, participant });
        Ok(())
    }

    pub(crate) fn do_set_flags(who: T::AccountId, validator: bool, participant: bool) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        if validator && !institution.validator {
            ensure!(pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);
        }
        if !validator {
            Self::ensure_dispensable(&who, &institution)?;
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
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::Reinstated { institution: who });
        Ok(())
    }

    /// Takes `who` off the list, be it removed or leaving.
    pub(crate) fn do_discharge(who: &T::AccountId) -> DispatchResult {
        let institution = Self::institution(who)?;
        Self::ensure_dispensable(who, &institution)?;

        Institutions::<T>::remove(who);
        crate::pallet::Addresses::<T>::remove(who);
        if let Some(peer_id) = institution.peer_id {
            PeerIds::<T>::remove(peer_id);
        }
        if frame_system::Pallet::<T>::dec_providers(who).is_err() {
            // Registered session keys, for one, keep the account alive; it keeps the reference then.
            log::debug!(target: LOG_TARGET, "account {who:?} is still needed and stays");
        }
        T::OnDeparture::departed(who);
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

    pub(crate) fn do_set_peer_id(who: T::AccountId, node_key: [u8; 32], signature: [u8; 64]) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        let peer_id = peer_id_of(&node_key);
        ensure!(PeerIds::<T>::get(&peer_id).is_none_or(|owner| owner == who), Error::<T>::PeerIdTaken);
        ensure!(
            sp_io::crypto::ed25519_verify(
                &ed25519::Signature::from_raw(signature),
                &Self::peer_id_claim(&who, &peer_id),
                &ed25519::Public::from_raw(node_key),
            ),
            Error::<T>::InvalidPeerIdSignature
        );

        if let Some(given_up) = institution.peer_id.replace(peer_id.clone()) {
            PeerIds::<T>::remove(given_up);
        }
        PeerIds::<T>::insert(&peer_id, &who);
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::PeerIdSet { institution: who, peer_id });
        Ok(())
    }

    pub(crate) fn build_genesis(
        institutions: &[(T::AccountId, Vec<u8>, bool, bool)],
        peer_ids: &[(T::AccountId, Vec<u8>)],
    ) {
        for (who, name, validator, participant) in institutions {
            assert!(is_valid_name(name), "consortium genesis: name of {who:?} is empty or not plain text");
            assert!(!Institutions::<T>::contains_key(who), "consortium genesis: {who:?} is named twice");
            let Ok(name) = Name::try_from(name.clone()) else {
                panic!("consortium genesis: name of {who:?} is longer than 64 bytes");
            };
            Self::enter(who, name, *validator, *participant);
        }
        for (who, peer_id) in peer_ids {
            let Some(node_key) = node_key_of(peer_id) else {
                panic!("consortium genesis: peer id of {who:?} is not that of an ed25519 key (38 bytes)");
            };
            let peer_id = peer_id_of(&node_key);
            assert!(!PeerIds::<T>::contains_key(&peer_id), "consortium genesis: peer id of {who:?} is given twice");
            let Some(mut institution) = Institutions::<T>::get(who) else {
                panic!("consortium genesis: {who:?} has a peer id but is no institution");
            };
            assert!(institution.peer_id.is_none(), "consortium genesis: {who:?} has two peer ids");
            institution.peer_id = Some(peer_id.clone());
            Institutions::<T>::insert(who, institution);
            PeerIds::<T>::insert(peer_id, who);
        }

        let (count, most) = (Institutions::<T>::count(), T::MaxInstitutions::get());
        assert!(count <= most, "consortium genesis: {count} institutions, at most {most} are allowed");
        let (validators, fewest) = (Self::active_validator_count(), T::MinValidators::get());
        assert!(
            count == 0 || validators >= fewest,
            "consortium genesis: {validators} validators, at least {fewest} are needed"
        );
    }

    /// Number of institutions with the validator flag that are not suspended.
    pub(crate) fn active_validator_count() -> u32 {
        Institutions::<T>::iter_values()
            .fold(0, |count: u32, institution| count.saturating_add(u32::from(institution.is_active_validator())))
    }

    fn institution(who: &T::AccountId) -> Result<Institution, Error<T>> {
        Institutions::<T>::get(who).ok_or(Error::<T>::NotAnInstitution)
    }

    /// Stores a new institution and lets its account exist.
    fn enter(who: &T::AccountId, name: Name, validator: bool, participant: bool) {
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
            },
        );
    }

    /// Refuses if `who` is an active validator and too few would stand without it.
    fn ensure_dispensable(who: &T::AccountId, institution: &Institution) -> Result<(), Error<T>> {
        if !institution.is_active_validator() {
            return Ok(());
        }
        let others = Self::standing_validators().filter(|other| other != who).count();
        let enough = u32::try_from(others).is_ok_and(|others| others >= T::MinValidators::get());
        ensure!(enough, Error::<T>::TooFewValidators);
        Ok(())
    }

    /// What holds after every block; the text of the error says what does not.
    ///
    /// * There are no more institutions than allowed, and each has an account that exists.
    /// * Names and profiles have their form.
    /// * Peer ids are well-formed, and [`PeerIds`] is exactly the inverse of what the institutions claim.
    /// * Once validators were handed over, at least `MinValidators` institutions are active validators.
    /// * The planned validators are ascending, without duplicates.
    #[cfg(any(feature = "try-runtime", test))]
    pub(crate) fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        ensure!(
            usize::try_from(Institutions::<T>::count()) == Ok(Institutions::<T>::iter().count()),
            "the count of institutions is wrong"
        );
        ensure!(Institutions::<T>::count() <= T::MaxInstitutions::get(), "there are too many institutions");
        for (who, institution) in Institutions::<T>::iter() {
            ensure!(frame_system::Pallet::<T>::providers(&who) > 0, "an institution's account does not exist");
            ensure!(is_valid_name(&institution.name), "a name is not plain text");
            ensure!(is_valid_profile(&institution.profile), "a profile is not plain text");
            if let Some(peer_id) = institution.peer_id {
                ensure!(node_key_of(&peer_id).is_some(), "a peer id is not that of an ed25519 key");
                ensure!(PeerIds::<T>::get(&peer_id) == Some(who), "a claimed peer id points to another institution");
            }
        }
        for (peer_id, who) in PeerIds::<T>::iter() {
            let claimed = Institutions::<T>::get(who).and_then(|institution| institution.peer_id);
            ensure!(claimed == Some(peer_id), "a peer id points to an institution that does not claim it");
        }
        let planned = crate::pallet::PlannedValidators::<T>::get();
        ensure!(planned.is_sorted_by(|a, b| a < b), "the planned validators are not in ascending order");
        ensure!(
            planned.is_empty() || Self::active_validator_count() >= T::MinValidators::get(),
            "there are too few validators"
        );
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
