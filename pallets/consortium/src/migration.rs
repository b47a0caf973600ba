//! What a new runtime makes of what an older one has stored.

use crate::{
    motion::Motion,
    pallet::{
        Awake, Changed, Config, Heard, Institutions, LastEnd, Motions, Pallet, PendingUpgrade, PreviousPeer, Removed,
    },
};
use consilium_primitives::{as_blocks, restated, SLOT_MILLIS, SLOT_MILLIS_BEFORE_5};

impl<T: Config> Pallet<T> {
    /// Slots are shorter from here on: what is to come is as far away in time as before, and what counts from a block in the past
    /// has lasted as long. Returns how many entries it wrote.
    ///
    /// On a chain that is younger than four times what has passed, the past ends at its first block: then a voice counts longer, and
    /// a newcomer has none for longer, by fourteen days at most. Quotas are left: they fill up within ten minutes.
    pub(crate) fn shorten_slots() -> u64 {
        let now = Self::now();
        let at = |block: u32| restated(block, now, SLOT_MILLIS_BEFORE_5);
        let mut touched: u64 = 0;
        let mut count = || touched = touched.saturating_add(1);
        Institutions::<T>::translate_values(|mut it: crate::Institution| {
            count();
            // block 0 is for founders alone
            if it.admitted_at > 0 {
                it.admitted_at = at(it.admitted_at).max(1);
            }
            it.suspended_at = it.suspended_at.map(at);
            it.rotated_at = it.rotated_at.map(at);
            it.keys_at = it.keys_at.map(at);
            Some(it)
        });
        Motions::<T>::translate_values(|mut open: crate::Open<T::AccountId, T::Hash>| {
            count();
            open.until = at(open.until);
            if let Motion::Upgrade { delay, .. } | Motion::Rescue { delay, .. } = &mut open.motion {
                *delay = as_blocks(*delay, SLOT_MILLIS_BEFORE_5);
            }
            Some(open)
        });
        PreviousPeer::<T>::translate_values(|(peer, until): (crate::PeerId, u32)| {
            count();
            Some((peer, at(until)))
        });
        Removed::<T>::mutate(|removed| removed.iter_mut().for_each(|(_, since)| *since = at(*since)));
        PendingUpgrade::<T>::mutate(|pending| {
            if let Some((_, from)) = pending {
                *from = at(*from);
            }
        });
        LastEnd::<T>::mutate(|end| *end = at(*end));
        Changed::<T>::mutate(|changed| {
            if let Some((since, _)) = changed {
                *since = at(*since);
            }
        });
        // slots are counted there, not blocks
        let slots =
            |slots: u64| slots.saturating_mul(SLOT_MILLIS_BEFORE_5.into()).checked_div(SLOT_MILLIS).unwrap_or(slots);
        Awake::<T>::mutate(|(slot, awake)| (*slot, *awake) = (slots(*slot), slots(*awake)));
        Heard::<T>::mutate(|heard| heard.iter_mut().for_each(|(_, heard_at)| *heard_at = slots(*heard_at)));
        touched.saturating_add(7)
    }
}
