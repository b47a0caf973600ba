//! Whether anything waits for a time that is counted in blocks: while nothing does, validators leave slots out, and the chain takes
//! less of everybody's disk.

use crate::{
    pallet::{
        Awake, Changed, Config, Founding, Heard, Institutions, Motions, Pallet, PendingUpgrade, PreviousPeer, Quota,
        Removed,
    },
    Institution, NoteStalled, BURST, SESSION_MILLIS,
};
use consilium_primitives::{blocks, time::IDLE_STRIDE};

/// New session keys are in force by then at the latest, counted from those that have hastened the end of a session last: others may follow
/// for the length of one, and wait for the ends of two.
const KEYS_MILLIS: u64 = 3 * SESSION_MILLIS;
/// Turns of all validators on an idle chain after which one that made no block is missed.
const MISSED_TURNS: u64 = 2;

impl<T: Config> Pallet<T> {
    /// Whether nothing here waits for a time that is counted in blocks: no motion, upgrade or change of the validators, nobody
    /// whose voice counts from a day on or until one, nobody who has called lately, and no validator whose silence is counted.
    pub fn idle() -> bool {
        let now = Self::now();
        !(Changed::<T>::exists()
            || PendingUpgrade::<T>::exists()
            || T::Stalled::pending()
            || Self::is_one_missed()
            || Motions::<T>::iter_values().any(|open| open.until >= now)
            || Removed::<T>::get().iter().any(|(_, at)| Self::lately(*at))
            || PreviousPeer::<T>::iter_values().any(|(_, until)| until >= now)
            || Quota::<T>::iter_keys().any(|who| Self::tokens(&who).0 < BURST)
            || Institutions::<T>::iter_values().any(|it| Self::waits(&it)))
    }

    /// Whether something about an institution is counted in blocks now.
    fn waits(it: &Institution) -> bool {
        let newcomer = it.admitted_at > 0 && Self::lately(it.admitted_at);
        newcomer
            || [it.suspended_at, it.waits_since, it.rotated_at].into_iter().flatten().any(Self::lately)
            || it.keys_at.is_some_and(|at| Self::now().saturating_sub(at) < blocks(KEYS_MILLIS))
    }

    /// Whether a validator has made no block for longer than an idle chain accounts for, and not yet for as long as was agreed at
    /// founding: its silence is counted in slots, of which a gap between blocks gives two turns at most.
    fn is_one_missed() -> bool {
        let (_, awake) = Awake::<T>::get();
        let heard = Heard::<T>::get();
        let turn = u64::try_from(heard.len()).unwrap_or(u64::MAX).saturating_mul(IDLE_STRIDE);
        let agreed = u64::from(blocks(Founding::<T>::get().silence));
        heard
            .iter()
            .map(|(_, at)| awake.saturating_sub(*at))
            .any(|silent| silent > turn.saturating_mul(MISSED_TURNS) && silent < agreed)
    }
}
