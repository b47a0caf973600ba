//! What a new runtime makes of what an older one has stored.

use crate::{
    pallet::{block_number, Config, History, Pallet, Running, Studies},
    StudyInfo,
};
use consilium_primitives::{round::Kind, SLOT_MILLIS_BEFORE_5};

impl<T: Config> Pallet<T> {
    /// Studies are written as they are read: with what was unknown before. Returns how many there are.
    pub(crate) fn write_studies_anew() -> u64 {
        let mut studies: u64 = 0;
        Studies::<T>::translate(|_, info: StudyInfo| {
            studies = studies.saturating_add(1);
            Some(info)
        });
        studies
    }

    /// Slots are shorter from here on: studies say how long theirs were, and what is to come to those that run is as far away in
    /// time as before. Returns how many studies there are.
    pub(crate) fn shorten_slots() -> u64 {
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let mut studies: u64 = 0;
        // what is read without it is of two seconds, and is written with it
        Studies::<T>::translate(|study, mut info: StudyInfo| {
            studies = studies.saturating_add(1);
            info.state.restate(now, SLOT_MILLIS_BEFORE_5);
            info.state.find_base(|round| History::<T>::get(study, (Kind::Model, round)).map(|record| record.root));
            Some(info)
        });
        for (study, _) in Running::<T>::get() {
            if let Some(info) = Studies::<T>::get(study) {
                Self::schedule(study, info.state.deadline());
            }
        }
        studies
    }
}
