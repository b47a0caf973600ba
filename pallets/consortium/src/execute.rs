//! What a motion does once it is decided.

use crate::{
    motion::{Admission, Motion},
    motions::MotionOf,
    pallet::{Changed, Config, Error, Event, Founding, Pallet, PendingUpgrade, Thresholds},
    NoteStalled,
};
use consilium_primitives::blocks;
use frame_support::{
    dispatch::DispatchResult,
    ensure,
    storage::{storage_prefix, unhashed},
    traits::{Get, PalletInfoAccess},
};

/// A rescue is forced on finality after so long at least, in milliseconds: others must see it by then.
pub const RESCUE_LEAST: u64 = 20_000;
/// And after so long at most: until then nobody's coming or going reaches finality.
pub const RESCUE_MOST: u64 = 3_600_000;

impl<T: Config> Pallet<T> {
    pub(crate) fn execute(motion: &MotionOf<T>) -> DispatchResult {
        match motion.clone() {
            Motion::Admit(it) => Self::admit_whole(it),
            Motion::SetFlags { who, validator, participant } => Self::do_set_flags(who, validator, participant),
            Motion::Suspend { who } => Self::do_suspend(who),
            Motion::Reinstate { who } => Self::do_reinstate(who),
            Motion::Remove { who, at_once } => Self::do_remove(who, at_once),
            Motion::RotateAccount { who, to } => Self::do_rotate_account(who, to),
            Motion::SetThresholds(shares) => {
                ensure!(shares.are_sound(T::MaxInstitutions::get()), Error::<T>::UnsoundThresholds);
                Thresholds::<T>::put(shares);
                Ok(())
            }
            Motion::Upgrade { code, delay } => {
                ensure!(delay >= blocks(Founding::<T>::get().upgrade_delay), Error::<T>::DelayTooShort);
                let authorised = frame_system::Pallet::<T>::authorized_upgrade().is_some();
                ensure!(PendingUpgrade::<T>::get().is_none() && !authorised, Error::<T>::UpgradePending);
                PendingUpgrade::<T>::put((code, Self::now().saturating_add(delay)));
                Ok(())
            }
            Motion::CancelUpgrade => {
                let authorised = frame_system::Pallet::<T>::authorized_upgrade().is_some();
                ensure!(PendingUpgrade::<T>::take().is_some() || authorised, Error::<T>::NothingPending);
                if authorised {
                    unhashed::kill(&storage_prefix(frame_system::Pallet::<T>::name().as_bytes(), b"AuthorizedUpgrade"));
                }
                Ok(())
            }
            Motion::Rescue { delay, best_final } => {
                ensure!(best_final <= Self::now(), Error::<T>::NotFinalYet);
                ensure!((blocks(RESCUE_LEAST)..=blocks(RESCUE_MOST)).contains(&delay), Error::<T>::RescueDelay);
                // finality is forced on with the set that is in force then: who is lost must be out of it
                ensure!(Changed::<T>::get().is_none() && !T::Stalled::pending(), Error::<T>::StillSettling);
                T::Stalled::note_stalled(delay, best_final)?;
                // it is taken up where a session ends
                Self::mark_changed();
                Ok(())
            }
        }
    }

    /// Lets anybody apply the runtime that was decided, once its delay has passed.
    pub(crate) fn authorize_upgrade(now: u32) {
        if let Some((code, at)) = PendingUpgrade::<T>::get() {
            if at <= now {
                PendingUpgrade::<T>::kill();
                frame_system::Pallet::<T>::do_authorize_upgrade(code, true);
            }
        }
    }

    /// Registry entry, peer id, addresses and session keys, or nothing of it.
    fn admit_whole(it: Admission<T::AccountId>) -> DispatchResult {
        Self::do_admit(it.who.clone(), it.name, false, it.participant)?;
        Self::do_set_peer_id(it.who.clone(), it.node_key, it.claim)?;
        Self::do_set_addresses(it.who.clone(), it.addresses)?;
        Self::set_session_keys(&it.who, &it.keys, it.proof.into_inner())?;
        if it.validator {
            Self::do_set_flags(it.who, true, it.participant)?;
        }
        Ok(())
    }

    pub(crate) fn do_remove(who: T::AccountId, at_once: bool) -> DispatchResult {
        Self::do_discharge(&who, at_once, true)?;
        Self::deposit_event(Event::Removed { institution: who });
        Ok(())
    }
}
