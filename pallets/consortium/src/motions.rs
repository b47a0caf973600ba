//! How motions are put to the vote, voted on and closed: whose voices count, and when they decide.

use crate::{
    motion::{Motion, Open, Voices, MAX_PROPOSED, VOICE_MILLIS},
    pallet::{Config, Error, Event, Founding, Institutions, Motions, NextMotion, Pallet, Removed, Thresholds},
    terms, Institution, OnDeparture, WeightInfo,
};
use alloc::{collections::BTreeSet, vec::Vec};
use consilium_primitives::blocks;
use frame_support::{dispatch::DispatchResult, ensure, storage::with_transaction, traits::Get, weights::Weight};
use sp_runtime::{traits::UniqueSaturatedInto, TransactionOutcome};

pub(crate) type MotionOf<T> = Motion<<T as frame_system::Config>::AccountId, <T as frame_system::Config>::Hash>;

/// Whose voices matter for a motion.
pub(crate) struct Electorate<AccountId> {
    /// How many are counted in all.
    pub size: u32,
    /// Those of them who are heard.
    pub heard: BTreeSet<AccountId>,
    /// The share that decides.
    pub share: terms::Share,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn now() -> u32 {
        frame_system::Pallet::<T>::block_number().unique_saturated_into()
    }

    /// Proposes a motion, which is the proposer's aye.
    pub(crate) fn do_propose(proposer: T::AccountId, motion: MotionOf<T>) -> DispatchResult {
        Self::ensure_voice(&proposer)?;
        let now = Self::now();
        let mut open: u32 = 0;
        let ended: Vec<u32> = Motions::<T>::iter()
            .filter(|(_, it)| it.proposer == proposer)
            .filter_map(|(id, it)| {
                open = open.saturating_add(u32::from(it.until >= now));
                (it.until < now).then_some(id)
            })
            .collect();
        ensure!(open < MAX_PROPOSED, Error::<T>::TooManyMotions);
        for id in ended {
            Motions::<T>::remove(id);
            Self::deposit_event(Event::Expired { motion: id });
        }
        // what could not be done now is not put to the vote
        with_transaction(|| TransactionOutcome::Rollback(Self::execute(&motion)))?;
        let id = NextMotion::<T>::get();
        NextMotion::<T>::put(id.saturating_add(1));
        let until = now.saturating_add(blocks(Founding::<T>::get().motion_life));
        let (ayes, nays) = (Voices::default(), Voices::default());
        Self::deposit_event(Event::Proposed { motion: id, proposer: proposer.clone() });
        Motions::<T>::insert(id, Open { motion, proposer: proposer.clone(), ayes, nays, proposed_at: now, until });
        Self::do_vote(proposer, id, true)
    }

    /// Says aye or nay, also in place of what was said before; the deciding vote executes.
    pub(crate) fn do_vote(who: T::AccountId, id: u32, aye: bool) -> DispatchResult {
        Self::ensure_voice(&who)?;
        let mut open = Motions::<T>::get(id).ok_or(Error::<T>::NoSuchMotion)?;
        ensure!(open.until >= Self::now(), Error::<T>::MotionExpired);
        // those who have left since have no voice, and make room
        let others = |other: &T::AccountId| *other != who && Institutions::<T>::contains_key(other);
        open.ayes.retain(others);
        open.nays.retain(others);
        let side = if aye { &mut open.ayes } else { &mut open.nays };
        side.try_push(who.clone()).map_err(|_| Error::<T>::TooManyVoices)?;
        Self::deposit_event(Event::Voted { motion: id, institution: who, aye });

        let electorate = Self::electorate(&open.motion);
        let needed = electorate.share.needed(electorate.size);
        let count = |side: &Voices<T::AccountId>| {
            u32::try_from(side.iter().filter(|who| electorate.heard.contains(*who)).count()).unwrap_or(u32::MAX)
        };
        if count(&open.ayes) >= needed {
            Motions::<T>::remove(id);
            let done = with_transaction(|| match Self::execute(&open.motion) {
                Ok(()) => TransactionOutcome::Commit(Ok(())),
                Err(error) => TransactionOutcome::Rollback(Err(error)),
            });
            Self::deposit_event(match done {
                Ok(()) => Event::Passed { motion: id },
                Err(error) => Event::Failed { motion: id, error },
            });
        } else if count(&open.nays) > electorate.size.saturating_sub(needed) {
            Motions::<T>::remove(id);
            Self::deposit_event(Event::Rejected { motion: id });
        } else {
            Motions::<T>::insert(id, open);
        }
        Ok(())
    }

    /// Takes away a motion that can no longer be voted on.
    pub(crate) fn do_close(who: T::AccountId, id: u32) -> DispatchResult {
        Self::ensure_voice(&who)?;
        let open = Motions::<T>::get(id).ok_or(Error::<T>::NoSuchMotion)?;
        ensure!(open.until < Self::now(), Error::<T>::MotionOpen);
        Motions::<T>::remove(id);
        Self::deposit_event(Event::Expired { motion: id });
        Ok(())
    }

    /// An institution that is suspended has nothing to say.
    fn ensure_voice(who: &T::AccountId) -> Result<(), Error<T>> {
        ensure!(!Self::institution(who)?.suspended, Error::<T>::NoVoice);
        Ok(())
    }

    /// Whether `it` is counted where no majority may first have made itself larger: no newcomer, and neither suspended nor
    /// out for longer than fourteen days.
    pub(crate) fn weighs(it: &Institution) -> bool {
        let newcomer = it.admitted_at > 0 && Self::lately(it.admitted_at);
        !newcomer && (!it.suspended || it.suspended_at.is_some_and(Self::lately))
    }

    /// Whether block `at` is no longer ago than fourteen days.
    pub(crate) fn lately(at: u32) -> bool {
        Self::now().saturating_sub(at) < blocks(VOICE_MILLIS)
    }

    /// Whose voices count now, and the share of them that decides.
    pub(crate) fn electorate(motion: &MotionOf<T>) -> Electorate<T::AccountId> {
        let shares = Thresholds::<T>::get();
        let (share, weighty) = match motion {
            Motion::Admit(_) => (shares.admit, false),
            Motion::SetFlags { .. } => (shares.flags, false),
            Motion::Suspend { .. } => (shares.suspend, false),
            Motion::Reinstate { .. } => (shares.reinstate, false),
            Motion::Remove { .. } => (shares.remove, true),
            Motion::RotateAccount { .. } => (shares.account, true),
            Motion::SetThresholds(_) => (shares.thresholds, true),
            Motion::Upgrade { .. } => (shares.upgrade, true),
            Motion::CancelUpgrade => (shares.cancel_upgrade, false),
            Motion::Rescue { .. } => (shares.rescue, false),
        };
        let (mut counted, mut heard) = (BTreeSet::new(), BTreeSet::new());
        for (who, it) in Institutions::<T>::iter() {
            if !weighty && it.suspended || weighty && !Self::weighs(&it) {
                continue;
            }
            let taken_over = weighty && it.rotated_at.is_some_and(Self::lately);
            if !it.suspended && !taken_over {
                heard.insert(who.clone());
            }
            counted.insert(who);
        }
        if weighty {
            counted.extend(Removed::<T>::get().into_iter().filter(|(_, at)| Self::lately(*at)).map(|(who, _)| who));
        }
        Electorate { size: u32::try_from(counted.len()).unwrap_or(u32::MAX), heard, share }
    }

    /// Most that a vote can cost: counting, and the dearest motion.
    pub(crate) fn vote_weight() -> Weight {
        let most = T::MaxInstitutions::get();
        let admission = <T as Config>::WeightInfo::admit()
            .saturating_add(<T as Config>::WeightInfo::set_peer_id())
            .saturating_add(<T as Config>::WeightInfo::set_addresses())
            .saturating_add(<T as Config>::WeightInfo::rotate_keys())
            .saturating_add(<T as Config>::WeightInfo::set_flags(most));
        let discharge = <T as Config>::WeightInfo::remove(most).saturating_add(T::OnDeparture::weight());
        admission.max(discharge).saturating_add(<T as Config>::WeightInfo::vote(most))
    }
}
