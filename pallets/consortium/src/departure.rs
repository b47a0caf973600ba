//! How an institution goes, and what is kept of it until it is in no set of validators and no running merge any more.

use crate::{
    pallet::{Addresses, Config, Error, Event, Institutions, Leaving, Pallet, PeerIds, PreviousPeer, Quota, Removed},
    AddressList, Institution, Name, OnDeparture, PeerId, LOG_TARGET,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    dispatch::{DispatchClass, DispatchResult},
    ensure,
    traits::{ConstU32, Get, ValidatorRegistration},
    weights::Weight,
    BoundedVec,
};
use frame_system::RawOrigin;
use scale_info::TypeInfo;

/// An institution that is none any more, but is still in the active or the queued set of validators, or has something in a
/// merge that runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Departed {
    /// Its name.
    pub name: Name,
    /// Peer ids of its node.
    pub peer_ids: BoundedVec<PeerId, ConstU32<2>>,
    /// Where that can be reached.
    pub addresses: AddressList,
    /// It is to be cut off at once.
    pub at_once: bool,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_leave(who: T::AccountId) -> DispatchResult {
        // who has taken over an account does not make itself a larger share by leaving with it
        let taken_over = Self::institution(&who)?.rotated_at.is_some_and(Self::lately);
        Self::do_discharge(&who, false, taken_over)?;
        Self::deposit_event(Event::Left { institution: who });
        Ok(())
    }

    /// Takes `who` off the list, be it removed or leaving; `remember` keeps it among those whose voices are asked for.
    pub(crate) fn do_discharge(who: &T::AccountId, at_once: bool, remember: bool) -> DispatchResult {
        let institution = Self::institution(who)?;
        Self::ensure_dispensable(who, &institution)?;
        if remember {
            Self::remember(who, &institution)?;
        }

        Institutions::<T>::remove(who);
        Quota::<T>::remove(who);
        let addresses = Addresses::<T>::take(who);
        let previous = PreviousPeer::<T>::take(who).map(|(peer_id, _)| peer_id);
        let peer_ids: Vec<PeerId> = institution.peer_id.into_iter().chain(previous).collect();
        Self::forget_signer(who);
        // the keys of who was no validator and had none are not there to be purged
        let _ = pallet_session::Pallet::<T>::purge_keys(RawOrigin::Signed(who.clone()).into());
        if frame_system::Pallet::<T>::dec_providers(who).is_err() {
            // something of another pallet keeps the account alive; it can sign nothing that is let in
            log::debug!(target: LOG_TARGET, "account {who:?} is still needed and stays");
        }
        T::OnDeparture::departed(who);
        let validates = Self::sets().contains(who);
        if validates || (!at_once && Self::serves(who)) {
            let peer_ids = BoundedVec::truncate_from(peer_ids);
            Leaving::<T>::insert(who, Departed { name: institution.name, peer_ids, addresses, at_once });
        } else {
            peer_ids.iter().for_each(PeerIds::<T>::remove);
        }
        if validates {
            Self::mark_changed();
        }
        Ok(())
    }

    /// Whether somebody may still ask `who`, which is in no set, for what it has made: as long as there are not more of its kind
    /// than there may be institutions.
    fn serves(who: &T::AccountId) -> bool {
        let room = u32::try_from(Leaving::<T>::iter_keys().count()).is_ok_and(|all| all < T::MaxInstitutions::get());
        room && T::OnDeparture::serving().contains(who)
    }

    /// Lets go of those that are in no set, where merges have closed since: to be called now and then. Returns its weight.
    pub(crate) fn release_served() -> Weight {
        if Leaving::<T>::iter_keys().next().is_none() {
            return T::DbWeight::get().reads(1);
        }
        let sets = Self::sets();
        let gone = Self::let_go(|who| sets.contains(who));
        let most = u64::from(T::MaxInstitutions::get()).saturating_mul(3);
        T::OnDeparture::weight().saturating_add(T::DbWeight::get().reads_writes(most, gone.saturating_mul(3)))
    }

    /// Lets go of those that are neither in the active set nor in the one that is being queued, and serve no merge.
    pub(crate) fn release_departed(active: &[T::AccountId], queued: &[T::AccountId]) {
        if Leaving::<T>::iter_keys().next().is_none() {
            return;
        }
        // asked from a hook of the session pallet
        frame_system::Pallet::<T>::register_extra_weight_unchecked(T::OnDeparture::weight(), DispatchClass::Mandatory);
        Self::let_go(|who| {
            active.contains(who) || (queued.contains(who) && pallet_session::Pallet::<T>::is_registered(who))
        });
    }

    /// Lets go of all that do not validate and serve no merge. Returns how many these are.
    fn let_go(validates: impl Fn(&T::AccountId) -> bool) -> u64 {
        let serving = T::OnDeparture::serving();
        let gone: Vec<_> = Leaving::<T>::iter()
            .filter(|(who, departed)| !validates(who) && (departed.at_once || !serving.contains(who)))
            .collect();
        let mut count: u64 = 0;
        for (who, departed) in gone {
            Leaving::<T>::remove(&who);
            departed.peer_ids.iter().for_each(PeerIds::<T>::remove);
            Self::deposit_event(Event::Gone { institution: who });
            count = count.saturating_add(1);
        }
        count
    }

    /// Keeps `who` in the electorate of what is weighty, if it is there now.
    fn remember(who: &T::AccountId, institution: &Institution) -> Result<(), Error<T>> {
        let mut removed = Removed::<T>::get();
        removed.retain(|(_, at)| Self::lately(*at));
        if Self::weighs(institution) {
            // All of them were institutions fourteen days ago, and counted: there are no more than institutions may be.
            ensure!(
                removed.try_push((who.clone(), institution.suspended_at.unwrap_or_else(Self::now))).is_ok(),
                Error::<T>::TooManyRemoved
            );
        }
        Removed::<T>::put(removed);
        Ok(())
    }
}
