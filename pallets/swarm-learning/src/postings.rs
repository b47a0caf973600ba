//! What institutions post for masked sums: how it is kept, read in parts, and forgotten.
//!
//! Postings stay as long as the masked files of their round are kept and served, so that a round can be audited; then a few bytes in
//! its record are left. What is over is forgotten in the blocks that follow, one pairing in each, so that no vote pays for it.

use crate::{
    pallet::{block_number, Config, Kept, Over, Pallet, Postings, Studies, Sweeps},
    types::Posting,
};
use alloc::vec::Vec;
use consilium_primitives::{
    masks::{DEALT, MAX_POSTING, SHARE},
    round::ShareId,
    rules::UPDATES_AFTER_END,
    Hash, InstitutionId, PostStep, StudyId,
};

/// Bytes before a deal in storage: its length. No deal is so short or so long that it has another number of them.
const LENGTH: u32 = 2;

/// All that is posted in one pairing.
const STEPS: [PostStep; 3] = [PostStep::Keys, PostStep::Deal, PostStep::Reveal];

/// What a dealer has said of one share: 32 bytes of its deal, and nothing else of it is read.
pub(crate) fn commitment<T: Config>(study: StudyId, share: &ShareId) -> Option<Hash> {
    let key = Postings::<T>::hashed_key_for(study, (share.round, share.pairing, PostStep::Deal, share.dealer));
    let within = share.place.checked_mul(DEALT)?.checked_add(SHARE.checked_mul(u32::from(share.which.min(1)))?)?;
    let mut said = [0u8; 32];
    let there = sp_io::storage::read(&key, &mut said, LENGTH.checked_add(within)?)?;
    (there >= SHARE).then(|| Hash::from(said))
}

impl<T: Config> Pallet<T> {
    /// A pairing is open: what is posted for it is kept from now on.
    pub(crate) fn note_pairing(study: StudyId, round: u32, pairing: u32) {
        Kept::<T>::mutate(study, |kept| {
            // there is room for the rounds of the window, statistics, figures, and the one that is open
            let noted = kept.try_push((round, pairing));
            debug_assert!(noted.is_ok());
        });
    }

    pub(crate) fn keep_posting(study: StudyId, at: (u32, u32), step: PostStep, who: InstitutionId, bytes: Vec<u8>) {
        debug_assert!(bytes.len() <= MAX_POSTING as usize);
        // its length was looked at before
        Postings::<T>::insert(study, (at.0, at.1, step, who), Posting::truncate_from(bytes));
    }

    /// What was posted for a pairing is to be forgotten.
    pub(crate) fn forget_pairing(study: StudyId, round: u32, pairing: u32) {
        Kept::<T>::mutate_exists(study, |kept| {
            if let Some(list) = kept {
                list.retain(|noted| *noted != (round, pairing));
                if list.is_empty() {
                    *kept = None;
                }
            }
        });
        let queued = Over::<T>::mutate(|over| over.try_push((study, round, pairing)));
        // there is room for those of all studies that run
        if queued.is_err() {
            Self::forget((study, round, pairing));
        }
    }

    /// A round is open: those that leave the window are over. The statistics have no round, and stay.
    pub(crate) fn forget_rounds_before(study: StudyId, oldest: u32) {
        let over: Vec<_> =
            Kept::<T>::get(study).into_iter().filter(|(round, _)| *round > 0 && *round < oldest).collect();
        for (round, pairing) in over {
            Self::forget_pairing(study, round, pairing);
        }
    }

    /// A study has ended: its postings are over when its updates are.
    pub(crate) fn plan_sweep(study: StudyId) {
        if Kept::<T>::contains_key(study) {
            let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
            Sweeps::<T>::mutate(now.saturating_add(UPDATES_AFTER_END), |due| {
                // no more studies run than an entry can hold, so no more end in one block
                let planned = due.try_push(study);
                debug_assert!(planned.is_ok());
            });
        }
    }

    /// What of ended studies is over from this block on.
    pub(crate) fn sweep(now: u32) {
        for study in Sweeps::<T>::take(now) {
            for (round, pairing) in Kept::<T>::get(study) {
                Self::forget_pairing(study, round, pairing);
            }
        }
    }

    /// Forgets the postings of one pairing that is over. Says whether there was one.
    pub(crate) fn forget_one() -> bool {
        let mut over = Over::<T>::get();
        if over.is_empty() {
            return false;
        }
        let oldest = over.remove(0);
        Over::<T>::put(over);
        Self::forget(oldest);
        true
    }

    fn forget((study, round, pairing): (StudyId, u32, u32)) {
        let members = Studies::<T>::get(study).map(|info| info.state.members).unwrap_or_default();
        for member in members {
            for step in STEPS {
                Postings::<T>::remove(study, (round, pairing, step, member.id));
            }
        }
    }

    /// What was posted by one institution, if it is still kept.
    pub fn posting(study: StudyId, round: u32, pairing: u32, step: PostStep, who: &InstitutionId) -> Option<Vec<u8>> {
        Postings::<T>::get(study, (round, pairing, step, *who)).map(|posting| posting.into_inner())
    }

    /// What a dealer has made for the one at a place in the key list: two commitments and the sealed shares.
    pub(crate) fn dealt(study: StudyId, at: (u32, u32), dealer: &InstitutionId, place: u32) -> Vec<u8> {
        let key = Postings::<T>::hashed_key_for(study, (at.0, at.1, PostStep::Deal, *dealer));
        let mut part = alloc::vec![0u8; DEALT as usize];
        let offset = place.saturating_mul(DEALT).saturating_add(LENGTH);
        match sp_io::storage::read(&key, &mut part, offset) {
            Some(there) if there >= DEALT => part,
            _ => Vec::new(),
        }
    }

    /// Whether postings are those of pairings that are kept or about to be forgotten, and no pairing is kept too long.
    ///
    /// # Errors
    /// What is not so.
    #[cfg(any(feature = "try-runtime", test))]
    pub(crate) fn try_postings() -> Result<(), sp_runtime::TryRuntimeError> {
        use frame_support::ensure;
        let over = Over::<T>::get();
        for (study, (round, pairing, _, who)) in Postings::<T>::iter_keys() {
            let kept = Kept::<T>::get(study).contains(&(round, pairing)) || over.contains(&(study, round, pairing));
            ensure!(kept, "a posting of a pairing that is neither kept nor over");
            let member = Studies::<T>::get(study).is_some_and(|info| info.state.position(&who).is_some());
            ensure!(member, "a posting of somebody who is no member");
        }
        for (study, kept) in Kept::<T>::iter() {
            let info = Studies::<T>::get(study).ok_or("postings of a study that is not there")?;
            ensure!(info.state.rules.masked.is_some(), "postings of a study without masks");
            // a round that could not be summed is over before the next one is open
            let window = info.state.rules.keep_updates.max(1).saturating_add(1);
            let fits = |round: u32| round == 0 || round.saturating_add(window) >= info.state.round;
            ensure!(kept.iter().all(|(round, _)| fits(*round)), "postings of a round out of the window");
            let once = |noted: &(u32, u32)| kept.iter().filter(|other| *other == noted).count() == 1;
            ensure!(kept.iter().all(once), "a pairing noted twice");
        }
        Ok(())
    }
}
