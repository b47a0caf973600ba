//! What holds after every block.

use crate::{
    execute::RESCUE_MOST,
    node_key_of,
    pallet::{
        Addresses, Awake, Changed, Config, Heard, Institutions, Leaving, Motions, NextMotion, Pallet, PeerIds,
        PlannedValidators, PreviousPeer, Quota, Recovered, Removed, SignerOf, Signers, Thresholds,
    },
    quota::BURST,
    session::SETTLE_MILLIS,
    types::{is_valid_name, is_valid_profile},
    NoteStalled, PeerId, MAX_PROPOSED,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use consilium_primitives::blocks;
use frame_support::{ensure, traits::Get};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// The text of the error says what does not hold.
    ///
    /// * There are no more institutions than allowed, each has an account that exists, and texts have their form.
    /// * What is kept by institution is kept of institutions alone.
    /// * Signers and institutions are each other's inverse, and no signer is an institution.
    /// * Peer ids are well-formed, and [`PeerIds`] is exactly the inverse of what the institutions have and had, and of what
    ///   those have that are leaving.
    /// * Who is leaving is no institution; who is cut off at once, in a set of validators; the others in none are not too many.
    /// * Nobody has more motions open than allowed or two voices, and the thresholds are sound.
    /// * Once validators were handed over, at least `MinValidators` institutions are active validators; the planned
    ///   validators are ascending, without duplicates; a change of them waits for three shortest sessions at most; and of each
    ///   active one it is known once when it was heard, which is past.
    pub(crate) fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::check_institutions()?;
        Self::check_signers()?;
        Self::check_peers()?;
        Self::check_departed()?;
        Self::check_motions()?;
        Self::check_validators()
    }

    fn check_institutions() -> Result<(), TryRuntimeError> {
        ensure!(
            usize::try_from(Institutions::<T>::count()) == Ok(Institutions::<T>::iter().count()),
            "the count of institutions is wrong"
        );
        ensure!(Institutions::<T>::count() <= T::MaxInstitutions::get(), "there are too many institutions");
        for (who, institution) in Institutions::<T>::iter() {
            ensure!(frame_system::Pallet::<T>::providers(&who) > 0, "an institution's account does not exist");
            ensure!(is_valid_name(&institution.name), "a name is not plain text");
            ensure!(is_valid_profile(&institution.profile), "a profile is not plain text");
            ensure!(institution.suspended == institution.suspended_at.is_some(), "a suspension has no block");
        }
        let is = |who: &T::AccountId| Institutions::<T>::contains_key(who);
        ensure!(Addresses::<T>::iter_keys().all(|who| is(&who)), "addresses of who is no institution");
        ensure!(
            Quota::<T>::iter().all(|(who, (left, _))| is(&who) && left <= BURST),
            "a quota is not an institution's"
        );
        Ok(())
    }

    fn check_signers() -> Result<(), TryRuntimeError> {
        for (signer, who) in Signers::<T>::iter() {
            ensure!(SignerOf::<T>::get(&who) == Some(signer.clone()), "a signer is not its institution's");
            ensure!(Institutions::<T>::contains_key(&who), "a signer signs for who is no institution");
            ensure!(!Institutions::<T>::contains_key(&signer), "a signer is an institution");
            ensure!(frame_system::Pallet::<T>::providers(&signer) > 0, "a signer's account does not exist");
        }
        ensure!(Signers::<T>::iter().count() == SignerOf::<T>::iter().count(), "an institution has a signer of no use");
        Ok(())
    }

    fn check_peers() -> Result<(), TryRuntimeError> {
        let mut owned: Vec<(PeerId, T::AccountId)> = Vec::new();
        for (who, institution) in Institutions::<T>::iter() {
            owned.extend(institution.peer_id.map(|peer_id| (peer_id, who)));
        }
        for (who, (peer_id, _)) in PreviousPeer::<T>::iter() {
            ensure!(Institutions::<T>::contains_key(&who), "a previous peer id of who is no institution");
            owned.push((peer_id, who));
        }
        for (who, departed) in Leaving::<T>::iter() {
            owned.extend(departed.peer_ids.into_iter().map(|peer_id| (peer_id, who.clone())));
        }
        ensure!(owned.iter().all(|(id, _)| node_key_of(id).is_some()), "a peer id is not that of an ed25519 key");
        let owned: BTreeMap<_, _> = owned.into_iter().map(|(id, who)| (id.into_inner(), who)).collect();
        let listed: BTreeMap<_, _> = PeerIds::<T>::iter().map(|(id, who)| (id.into_inner(), who)).collect();
        ensure!(owned == listed, "the list of peer ids is not what institutions claim");
        Ok(())
    }

    fn check_departed() -> Result<(), TryRuntimeError> {
        let sets = Self::sets();
        for (who, departed) in Leaving::<T>::iter() {
            ensure!(!Institutions::<T>::contains_key(&who), "an institution is said to be leaving");
            ensure!(
                !departed.at_once || sets.contains(&who),
                "who is cut off at once is kept, and in no set of validators"
            );
        }
        let most = usize::try_from(T::MaxInstitutions::get()).unwrap_or(usize::MAX);
        let serving = Leaving::<T>::iter_keys().filter(|who| !sets.contains(who)).count();
        ensure!(serving <= most, "more are kept for merges that run than there may be institutions");
        let removed = Removed::<T>::get();
        ensure!(removed.iter().all(|(_, at)| *at <= Self::now()), "somebody was removed in the future");
        Ok(())
    }

    fn check_motions() -> Result<(), TryRuntimeError> {
        let mut proposed: BTreeMap<T::AccountId, u32> = BTreeMap::new();
        let mut all: u32 = 0;
        for (id, open) in Motions::<T>::iter() {
            ensure!(id < NextMotion::<T>::get(), "a motion beyond the next number");
            ensure!(open.proposed_at <= open.until, "a motion ends before it begins");
            let voices: BTreeSet<_> = open.ayes.iter().chain(&open.nays).collect();
            ensure!(
                voices.len() == open.ayes.len().saturating_add(open.nays.len()),
                "somebody has two voices on a motion"
            );
            let count = proposed.entry(open.proposer).or_default();
            *count = count.saturating_add(1);
            all = all.saturating_add(1);
        }
        ensure!(all == Motions::<T>::count(), "the count of motions is wrong");
        ensure!(proposed.values().all(|count| *count <= MAX_PROPOSED), "somebody has too many motions");
        ensure!(Thresholds::<T>::get().are_sound(T::MaxInstitutions::get()), "a threshold is not sound");
        Ok(())
    }

    fn check_validators() -> Result<(), TryRuntimeError> {
        let planned = PlannedValidators::<T>::get();
        ensure!(planned.is_sorted_by(|a, b| a < b), "the planned validators are not in ascending order");
        ensure!(
            planned.is_empty() || Self::active_validator_count() >= T::MinValidators::get(),
            "there are too few validators"
        );
        let (heard, (_, awake)) = (Heard::<T>::get(), Awake::<T>::get());
        let known: BTreeSet<_> = heard.iter().map(|(who, _)| who).collect();
        ensure!(known.len() == heard.len(), "when a validator was heard is kept twice");
        ensure!(heard.iter().all(|(_, at)| *at <= awake), "a validator was heard in the future");
        ensure!(Recovered::<T>::get().is_none_or(|at| at <= Self::now()), "a recovery is from a later block");
        if let Some((since, ends)) = Changed::<T>::get() {
            let age = Self::now().saturating_sub(since);
            ensure!((1..=2).contains(&ends), "a change waits for no end");
            // a rescue holds it up for as long as it waits itself, and its own end counts as one
            let held_up = if T::Stalled::pending() { blocks(RESCUE_MOST) } else { 0 };
            let most = blocks(SETTLE_MILLIS).saturating_mul(3).saturating_add(held_up);
            ensure!(age <= most, "a change of the validators has waited too long");
        }
        Ok(())
    }
}
