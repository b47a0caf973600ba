//! Whose voices count in a motion, and how many are missing.

use crate::chain::consortium::{Consortium, Motion, Open};
use pallet_consortium::{Share, VOICE_MILLIS};
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

/// Who counts in a motion.
#[derive(Default)]
struct Roll<'a> {
    /// Who counts and can vote.
    heard: BTreeSet<&'a AccountId32>,
    /// Who counts and cannot.
    silenced: Vec<&'a AccountId32>,
    /// Who does not count yet.
    newcomers: Vec<&'a AccountId32>,
    /// How many count that are institutions no more.
    gone: usize,
}

impl Roll<'_> {
    fn electorate(&self) -> u32 {
        u32::try_from(self.heard.len() + self.silenced.len() + self.gone).unwrap_or(u32::MAX)
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

    /// Who counts in a motion, and who of these cannot be heard.
    fn roll(&self, motion: &Motion) -> Roll<'_> {
        let (_, weighty) = self.share(motion);
        let age = VOICE_MILLIS.div_ceil(u64::from(self.block_ms.max(1)));
        let lately = |at: u32| u64::from(self.at.number.saturating_sub(at)) < age;
        let mut roll = Roll::default();
        for (who, it) in &self.institutions {
            if weighty && it.admitted_at > 0 && lately(it.admitted_at) {
                roll.newcomers.push(who);
            } else if !(it.suspended || weighty && it.rotated_at.is_some_and(lately)) {
                roll.heard.insert(who);
            } else if weighty && (!it.suspended || it.suspended_at.is_some_and(lately)) {
                roll.silenced.push(who);
            }
        }
        let gone = |(who, at): &&(AccountId32, u32)| {
            weighty && lately(*at) && !roll.heard.contains(who) && !roll.silenced.contains(&who)
        };
        roll.gone = self.removed.iter().filter(gone).count();
        roll
    }

    /// Whose voices are counted in a motion and not heard, and whose are not counted, where that is not simply everybody's.
    pub fn voices(&self, motion: &Motion) -> Vec<String> {
        let (roll, (share, _)) = (self.roll(motion), self.share(motion));
        let (all, heard) = (roll.electorate(), roll.heard.len());
        let mut lines = Vec::new();
        if all as usize != heard {
            let mut silenced: Vec<String> = roll.silenced.iter().map(|who| self.name(who)).collect();
            if roll.gone > 0 {
                silenced.push(format!("{} removed lately", roll.gone));
            }
            lines.push(format!(
                "{all} voices are counted, {} ayes decide, and {heard} can be heard; counted and silent for now: {}",
                share.needed(all),
                silenced.join(", ")
            ));
        }
        if !roll.newcomers.is_empty() {
            lines.push(format!("not counted yet, admitted lately: {}", self.names(roll.newcomers.iter().copied())));
        }
        lines
    }

    /// How a motion stands.
    pub fn tally(&self, open: &Open) -> Tally {
        let (roll, (share, _)) = (self.roll(&open.motion), self.share(&open.motion));
        let heard =
            |side: &[AccountId32]| side.iter().filter(|who| roll.heard.contains(who)).cloned().collect::<Vec<_>>();
        let (ayes, nays) = (heard(&open.ayes), heard(&open.nays));
        let silent = roll.heard.iter().copied().filter(|who| !ayes.contains(who) && !nays.contains(who));
        let (silent, electorate) = (silent.cloned().collect(), roll.electorate());
        Tally { ayes, nays, silent, electorate, needed: share.needed(electorate) }
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::chain::Block;
    use consilium_primitives::Hash;
    use pallet_consortium::{Founding, Institution, Name, Profile, Thresholds};

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
            departed: Default::default(),
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

    #[test]
    fn who_is_counted_and_not_heard_is_named() {
        let mut here = consortium(&["a", "b", "c", "d", "e"]);
        let of = |n: u8| AccountId32::from([n; 32]);
        let upgrade = Motion::Upgrade { code: Hash::zero(), delay: 1 };
        assert!(here.voices(&upgrade).is_empty(), "everybody is counted and heard");
        let change =
            |here: &mut Consortium, n: u8, with: fn(&mut Institution)| with(here.institutions.get_mut(&of(n)).unwrap());
        change(&mut here, 2, |it| (it.suspended, it.suspended_at) = (true, Some(990)));
        change(&mut here, 3, |it| it.rotated_at = Some(990));
        change(&mut here, 4, |it| it.admitted_at = 990);
        here.removed.push((of(9), 990));
        let said = here.voices(&upgrade);
        assert_eq!(
            said,
            [
                "5 voices are counted, 4 ayes decide, and 2 can be heard; counted and silent for now: b, c, 1 removed lately",
                "not counted yet, admitted lately: d"
            ]
        );
        // in what is not weighty, who is suspended is not counted, and the others are heard
        assert!(here.voices(&Motion::Suspend { who: of(1) }).is_empty());
        let tally = here.tally(&open(upgrade, &[1, 2, 3, 4, 5], &[]));
        assert_eq!((tally.electorate, tally.needed, tally.ayes.len(), tally.silent.len()), (5, 4, 2, 0));
    }
}
