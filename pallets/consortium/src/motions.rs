//! What institutions decide together: motions, voices, and what the deciding vote does.

use crate::{
    pallet::{
        Addresses, Config, Error, Event, Founding, Institutions, Motions, NextMotion, Pallet, PendingUpgrade,
        Thresholds,
    },
    terms, AddressList, Institution, Name, NoteStalled,
};
use alloc::{collections::BTreeSet, vec::Vec};
use codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode, MaxEncodedLen};
use consilium_primitives::blocks;
use frame_support::{
    dispatch::DispatchResult,
    ensure,
    storage::with_transaction,
    traits::{ConstU32, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use scale_info::TypeInfo;
use sp_runtime::{traits::UniqueSaturatedInto, DispatchError, TransactionOutcome};

/// Most motions that one institution may have open.
pub const MAX_PROPOSED: u32 = 3;
/// Most voices on one side of a motion: no consortium can have more institutions.
pub const MAX_VOICES: u32 = 64;
/// For so long, in milliseconds, somebody suspended still counts in the electorate of what is weighty, and a newcomer does not
/// yet: no majority gets one of three quarters by suspending or by admitting first.
pub const VOICE_MILLIS: u64 = 14 * 24 * 3_600_000;

/// Accounts, in the order in which they voted.
pub type Voices<AccountId> = BoundedVec<AccountId, ConstU32<MAX_VOICES>>;

/// A newcomer, in one act.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Admission<AccountId> {
    /// Its account.
    pub who: AccountId,
    /// Its name.
    pub name: Name,
    /// Is to make blocks.
    pub validator: bool,
    /// May take part in studies.
    pub participant: bool,
    /// The ed25519 public key of its node.
    pub node_key: [u8; 32],
    /// That key's signature of [`peer_id_claim`](crate::peer_id_claim).
    pub claim: [u8; 64],
    /// Where its node can be reached.
    pub addresses: AddressList,
    /// Its session keys, encoded.
    pub keys: BoundedVec<u8, ConstU32<256>>,
    /// The keys' proof of possession for its account, encoded.
    pub proof: BoundedVec<u8, ConstU32<512>>,
}

/// What can be decided.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Motion<AccountId, Hash> {
    /// Admit an institution.
    Admit(Admission<AccountId>),
    /// Set both flags of an institution.
    SetFlags {
        /// The institution.
        who: AccountId,
        /// Is to make blocks.
        validator: bool,
        /// May take part in studies.
        participant: bool,
    },
    /// Suspend an institution.
    Suspend {
        /// The institution.
        who: AccountId,
    },
    /// Reinstate a suspended institution.
    Reinstate {
        /// The institution.
        who: AccountId,
    },
    /// Remove an institution for good.
    Remove {
        /// The institution.
        who: AccountId,
    },
    /// Set how many voices decide what.
    SetThresholds(terms::Thresholds),
    /// A new runtime with this BLAKE2b-256 hash, so many blocks after the deciding vote.
    Upgrade {
        /// Hash of the code.
        code: Hash,
        /// Blocks.
        delay: u32,
    },
    /// Call the pending runtime off.
    CancelUpgrade,
    /// Let GRANDPA go on with the validators that are left, after so many blocks, from this finalised block.
    Rescue {
        /// Blocks.
        delay: u32,
        /// Number of the last finalised block.
        best_final: u32,
    },
}

/// A motion that is voted on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Open<AccountId, Hash> {
    /// What is to be decided.
    pub motion: Motion<AccountId, Hash>,
    /// Who proposed it.
    pub proposer: AccountId,
    /// Who is for it.
    pub ayes: Voices<AccountId>,
    /// Who is against it.
    pub nays: Voices<AccountId>,
    /// Block in which it was proposed.
    pub proposed_at: u32,
    /// Last block in which it can be voted on.
    pub until: u32,
}

type MotionOf<T> = Motion<<T as frame_system::Config>::AccountId, <T as frame_system::Config>::Hash>;

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
        open.ayes.retain(|other| *other != who);
        open.nays.retain(|other| *other != who);
        let side = if aye { &mut open.ayes } else { &mut open.nays };
        side.try_push(who.clone()).map_err(|_| Error::<T>::TooManyVoices)?;
        Self::deposit_event(Event::Voted { motion: id, institution: who, aye });

        let (voices, share) = Self::electorate(&open.motion);
        let electorate = u32::try_from(voices.len()).unwrap_or(u32::MAX);
        let needed = share.needed(electorate);
        let count = |side: &Voices<T::AccountId>| {
            let heard = side.iter().filter(|who| voices.contains(*who) && Self::ensure_voice(who).is_ok()).count();
            u32::try_from(heard).unwrap_or(u32::MAX)
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
        } else if count(&open.nays) > electorate.saturating_sub(needed) {
            Motions::<T>::remove(id);
            Self::deposit_event(Event::Rejected { motion: id });
        } else {
            Motions::<T>::insert(id, open);
        }
        Ok(())
    }

    /// Takes away a motion that can no longer be voted on.
    pub(crate) fn do_close(id: u32) -> DispatchResult {
        let open = Motions::<T>::get(id).ok_or(Error::<T>::NoSuchMotion)?;
        ensure!(open.until < Self::now(), Error::<T>::MotionOpen);
        Motions::<T>::remove(id);
        Self::deposit_event(Event::Expired { motion: id });
        Ok(())
    }

    /// Applies the runtime that was decided, once its delay has passed.
    pub(crate) fn authorize_upgrade(now: u32) {
        if let Some((code, at)) = PendingUpgrade::<T>::get() {
            if at <= now {
                PendingUpgrade::<T>::kill();
                frame_system::Pallet::<T>::do_authorize_upgrade(code, true);
            }
        }
    }

    /// An institution that is suspended, or none at all, has nothing to say.
    fn ensure_voice(who: &T::AccountId) -> Result<(), Error<T>> {
        let institution = Institutions::<T>::get(who).ok_or(Error::<T>::NotAnInstitution)?;
        ensure!(!institution.suspended, Error::<T>::NoVoice);
        Ok(())
    }

    /// Whose voices count now, and the share of them that decides.
    pub(crate) fn electorate(motion: &MotionOf<T>) -> (BTreeSet<T::AccountId>, terms::Share) {
        let shares = Thresholds::<T>::get();
        let (share, weighty) = match motion {
            Motion::Admit(_) => (shares.admit, false),
            Motion::SetFlags { .. } => (shares.flags, false),
            Motion::Suspend { .. } => (shares.suspend, false),
            Motion::Reinstate { .. } => (shares.reinstate, false),
            Motion::Remove { .. } => (shares.remove, true),
            Motion::SetThresholds(_) => (shares.thresholds, true),
            Motion::Upgrade { .. } => (shares.upgrade, true),
            Motion::CancelUpgrade => (shares.cancel_upgrade, false),
            Motion::Rescue { .. } => (shares.rescue, false),
        };
        let (now, age) = (Self::now(), blocks(VOICE_MILLIS));
        let lately = |at: u32| now.saturating_sub(at) < age;
        let counts = |it: &Institution| {
            if !weighty {
                return !it.suspended;
            }
            let newcomer = it.admitted_at > 0 && lately(it.admitted_at);
            !newcomer && (!it.suspended || it.suspended_at.is_some_and(lately))
        };
        (Institutions::<T>::iter().filter(|(_, it)| counts(it)).map(|(who, _)| who).collect(), share)
    }

    fn execute(motion: &MotionOf<T>) -> DispatchResult {
        match motion.clone() {
            Motion::Admit(it) => Self::admit_whole(it),
            Motion::SetFlags { who, validator, participant } => Self::do_set_flags(who, validator, participant),
            Motion::Suspend { who } => Self::do_suspend(who),
            Motion::Reinstate { who } => Self::do_reinstate(who),
            Motion::Remove { who } => {
                Self::do_discharge(&who)?;
                Self::deposit_event(Event::Removed { institution: who });
                Ok(())
            }
            Motion::SetThresholds(shares) => {
                ensure!(shares.are_sound(T::MaxInstitutions::get()), Error::<T>::UnsoundThresholds);
                Thresholds::<T>::put(shares);
                Ok(())
            }
            Motion::Upgrade { code, delay } => {
                ensure!(delay >= blocks(Founding::<T>::get().upgrade_delay), Error::<T>::DelayTooShort);
                ensure!(PendingUpgrade::<T>::get().is_none(), Error::<T>::UpgradePending);
                PendingUpgrade::<T>::put((code, Self::now().saturating_add(delay)));
                Ok(())
            }
            Motion::CancelUpgrade => {
                ensure!(PendingUpgrade::<T>::take().is_some(), Error::<T>::NothingPending);
                Ok(())
            }
            Motion::Rescue { delay, best_final } => {
                ensure!(best_final <= Self::now(), Error::<T>::NotFinalYet);
                T::Stalled::note_stalled(delay, best_final)
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

    /// Registers encoded session keys by the session pallet's own call, which checks their proof.
    pub(crate) fn set_session_keys(who: &T::AccountId, keys: &[u8], proof: Vec<u8>) -> DispatchResult {
        let keys = <T as pallet_session::Config>::Keys::decode_all(&mut &keys[..])
            .map_err(|_| DispatchError::from(Error::<T>::InvalidSessionKeys))?;
        pallet_session::Pallet::<T>::set_keys(RawOrigin::Signed(who.clone()).into(), keys, proof)
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
}
