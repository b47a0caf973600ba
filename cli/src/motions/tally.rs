//! Whose voices count in a motion, and how many are missing.

use crate::chain::consortium::{Consortium, Motion, Open};
use pallet_consortium::{Institution, Share, VOICE_MILLIS};
use sp_core::crypto::AccountId32;
use std::collections::BTreeSet;

/// How a motion stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Who is for it, of those that count.
    pub ayes: Vec<AccountId32>,
    /// Who is against it, of those that count.
    pub nays: Vec<AccountId32>,
    /// Who counts, can vote and has not.
    pub silent: Vec<AccountId32>,
    /// How many count.
    pub electorate: u32,
    /// How many ayes decide.
    pub needed: u32,
}

impl Tally {
    /// Ayes that are missing.
    pub fn missing(&self) -> u32 {
        self.needed.saturating_sub(u32::try_from(self.ayes.len()).unwrap_or(u32::MAX))
    }
}

impl Consortium {
    /// Which share decides a motion, and whether it is one of those in which an institution that is suspended or removed is
    /// counted for some time longer, and a newcomer later. As the pallet's `electorate` has it.
    pub fn share(&self, motion: &Motion) -> (Share, bool) {
        let shares = &self.thresholds;
        match motion {
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
        }
    }

    /// How a motion stands.
    pub fn tally(&self, open: &Open) -> Tally {
        let (share, weighty) = self.share(&open.motion);
        let age = VOICE_MILLIS.div_ceil(u64::from(self.block_ms.max(1)));
        let lately = |at: u32| u64::from(self.at.number.saturating_sub(at)) < age;
        let counts = |it: &Institution| {
            if !weighty {
                return !it.suspended;
            }
            let newcomer = it.admitted_at > 0 && lately(it.admitted_at);
            !newcomer && (!it.suspended || it.suspended_at.is_some_and(lately))
        };
        let voices: BTreeSet<&AccountId32> =
            self.institutions.iter().filter(|(_, it)| counts(it)).map(|(who, _)| who).collect();
        let can_vote = |who: &&AccountId32| {
            let taken_over = |it: &Institution| weighty && it.rotated_at.is_some_and(lately);
            voices.contains(who) && self.institutions.get(who).is_some_and(|it| !it.suspended && !taken_over(it))
        };
        let heard = |side: &[AccountId32]| side.iter().filter(can_vote).cloned().collect::<Vec<_>>();
        let (ayes, nays) = (heard(&open.ayes), heard(&open.nays));
        let silent = voices.iter().copied().filter(can_vote).filter(|who| !ayes.contains(who) && !nays.contains(who));
        let silent = silent.cloned().collect();
        let gone = self.removed.iter().filter(|(who, at)| weighty && lately(*at) && !voices.contains(who)).count();
        let electorate = u32::try_from(voices.len() + gone).unwrap_or(u32::MAX);
        Tally { ayes, nays, silent, electorate, needed: share.needed(electorate) }
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::chain::Block;
    use consilium_primitives::Hash;
    use pallet_consortium::{Founding, Name, Profile, Thresholds};

    /// A consortium of founders with these names, all validators and participants; the accounts are 1, 2 and so on.
    pub fn consortium(names: &[&str]) -> Consortium {
        let institution = |name: &str| Institution {
            name: Name::try_from(name.as_bytes().to_vec()).unwrap(),
            validator: true,
            participant: true,
            suspended: false,
            profile: Profile::default(),
            peer_id: None,
            admitted_at: 0,
            suspended_at: None,
            waits_since: None,
            rotated_at: None,
            keys_at: None,
        };
        let institutions = (1u8..).zip(names).map(|(n, name)| (AccountId32::from([n; 32]), institution(name)));
        let institutions: std::collections::BTreeMap<_, _> = institutions.collect();
        Consortium {
            at: Block { hash: Hash::zero(), number: 1_000 },
            block_ms: 2_000,
            validators: institutions.keys().cloned().collect(),
            institutions,
            thresholds: Thresholds::default(),
            founding: Founding::default(),
            motions: Default::default(),
            next_motion: 0,
            pending: None,
            authorised: None,
            removed: Vec::new(),
        }
    }

    /// A motion with these votes.
    pub fn open(motion: Motion, ayes: &[u8], nays: &[u8]) -> Open {
        let side = |all: &[u8]| {
            let all: Vec<AccountId32> = all.iter().map(|n| AccountId32::from([*n; 32])).collect();
            all.try_into().unwrap()
        };
        let proposer = AccountId32::from([1; 32]);
        Open { motion, proposer, ayes: side(ayes), nays: side(nays), proposed_at: 990, until: 1_500 }
    }

    #[test]
    fn the_suspended_do_not_vote_but_are_counted_in_what_is_weighty_for_a_while() {
        let mut here = consortium(&["a", "b", "c", "d"]);
        let who = AccountId32::from([4; 32]);
        let (suspend, remove) =
            (Motion::Suspend { who: who.clone() }, Motion::Upgrade { code: Hash::zero(), delay: 1 });
        let tally = here.tally(&open(suspend.clone(), &[1, 2], &[4]));
        assert_eq!((tally.electorate, tally.needed, tally.missing()), (4, 3, 1));
        assert_eq!((tally.nays.len(), tally.silent), (1, vec![AccountId32::from([3; 32])]));
        let institution = here.institutions.get_mut(&who).unwrap();
        (institution.suspended, institution.suspended_at) = (true, Some(999));
        let tally = here.tally(&open(suspend, &[1, 2], &[4]));
        assert_eq!((tally.electorate, tally.needed, tally.missing(), tally.nays.len()), (3, 2, 0, 0));
        let tally = here.tally(&open(remove.clone(), &[1, 2, 4], &[]));
        assert_eq!((tally.electorate, tally.needed, tally.missing()), (4, 3, 1));
        // two weeks later it is not, and a newcomer is
        here.at.number = 999 + 14 * 24 * 1_800;
        let tally = here.tally(&open(remove.clone(), &[1, 2, 4], &[]));
        assert_eq!((tally.electorate, tally.needed), (3, 3));
        here.institutions.get_mut(&AccountId32::from([3; 32])).unwrap().admitted_at = here.at.number - 1;
        assert_eq!(here.tally(&open(remove, &[1, 2], &[])).electorate, 2);
    }
}
