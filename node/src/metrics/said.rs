//! What blocks tell of studies, in the words of this version's runtime and of those before version 7.

use codec::{Compact, Decode, Encode};
use consilium_primitives::{round::Kind, Hash, InstitutionId, StudyId};
use consilium_runtime::{Runtime, RuntimeEvent};
use frame_system::{EventRecord, Phase};
use pallet_swarm_learning::{Event, Progress};
use scale_info::{TypeDef, TypeInfo};
use sp_core::H256;
use std::{collections::BTreeMap, sync::LazyLock};

/// Number of the studies' pallet among the runtime's.
const STUDIES: u8 = 7;

/// What a block tells of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A round has closed.
    Closed {
        /// Which study.
        study: StudyId,
        /// Statistics or models.
        kind: Kind,
        /// Round.
        round: u32,
    },
    /// Something went on.
    Progress {
        /// Which study.
        study: StudyId,
        /// In which round.
        round: u32,
        /// What.
        what: Progress,
    },
}

/// The pallet's events before version 7.
#[derive(Encode, Decode)]
enum Before7 {
    Registered(StudyId, InstitutionId, Hash),
    Enrolled(StudyId, InstitutionId, u32),
    Withdrawn(StudyId, InstitutionId),
    Progress(StudyId, u32, Progress),
    RoundClosed(StudyId, Kind, u32, Hash, u32, u32),
    Dissent(StudyId, u32, InstitutionId, Hash, Hash),
}

/// Names of the pallet's events by their numbers.
static NAMES: LazyLock<BTreeMap<u8, &'static str>> = LazyLock::new(|| {
    let TypeDef::Variant(all) = Event::<Runtime>::type_info().type_def else { return BTreeMap::new() };
    all.variants.iter().map(|it| (it.index, it.name)).collect()
});

/// What the stored events of a block tell of studies. Those of before version 7 are not what they are now, or the same: they told
/// most in an event of a number that is none any more. What cannot be read at all tells nothing.
pub fn of(events: &[u8]) -> Vec<Said> {
    match Vec::<EventRecord<RuntimeEvent, H256>>::decode(&mut &events[..]) {
        Ok(all) => all.into_iter().filter_map(|record| now(record.event)).collect(),
        Err(_) => before_7(&mut &events[..]).unwrap_or_default(),
    }
}

fn now(event: RuntimeEvent) -> Option<Said> {
    let RuntimeEvent::SwarmLearning(event) = event else { return None };
    if let Event::RoundClosed { study, kind, round, .. } = event {
        return Some(Said::Closed { study, kind, round });
    }
    let bytes = event.encode();
    let (number, fields) = bytes.split_first()?;
    let (study, round, what) = Progress::read(NAMES.get(number)?, fields)?;
    Some(Said::Progress { study, round, what })
}

fn before_7(events: &mut &[u8]) -> Result<Vec<Said>, codec::Error> {
    let mut all = Vec::new();
    for _ in 0..Compact::<u32>::decode(events)?.0 {
        Phase::decode(events)?;
        // the other pallets' are what they were
        match events.split_first() {
            Some((&STUDIES, fields)) => {
                *events = fields;
                match Before7::decode(events)? {
                    Before7::Progress(study, round, what) => all.push(Said::Progress { study, round, what }),
                    Before7::RoundClosed(study, kind, round, ..) => all.push(Said::Closed { study, kind, round }),
                    _ => {}
                }
            }
            _ => drop(RuntimeEvent::decode(events)?),
        }
        Vec::<H256>::decode(events)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::round::PerMember;

    fn record(event: impl Encode) -> Vec<u8> {
        (Phase::ApplyExtrinsic(1), event, Vec::<H256>::new()).encode()
    }

    fn block(records: &[Vec<u8>]) -> Vec<u8> {
        [Compact(records.len() as u32).encode(), records.concat()].concat()
    }

    #[test]
    fn what_blocks_tell_is_read_whichever_version_has_written_them() {
        let (who, root) = (InstitutionId([3; 32]), H256::repeat_byte(9));
        let other = RuntimeEvent::Consortium(pallet_consortium::Event::Passed { motion: 5 });
        let wanted = [
            Said::Progress { study: 4, round: 7, what: Progress::Committed { who, root } },
            Said::Closed { study: 4, kind: Kind::Model, round: 7 },
        ];
        let committed = Event::<Runtime>::Committed { study: 4, round: 7, institution: who, root };
        let closed =
            Event::<Runtime>::RoundClosed { study: 4, kind: Kind::Model, round: 7, root, attesters: 3, attempts: 1 };
        let now = block(&[
            record(&other),
            record(RuntimeEvent::SwarmLearning(committed)),
            record(RuntimeEvent::SwarmLearning(closed)),
        ]);
        assert_eq!(of(&now), wanted);

        let committed = (STUDIES, Before7::Progress(4, 7, Progress::Committed { who, root }));
        let closed = (STUDIES, Before7::RoundClosed(4, Kind::Model, 7, root, 3, 1));
        let silent: PerMember<InstitutionId> = Default::default();
        let unlike = (STUDIES, Before7::Progress(4, 7, Progress::Extended { silent }));
        let then = block(&[record(&other), record(committed), record(closed)]);
        assert_eq!(of(&then), wanted);
        assert_eq!(of(&block(&[record(unlike)])).len(), 1);
        let enrolled = block(&[record((STUDIES, Before7::Enrolled(4, who, 100))), record(&other)]);
        assert_eq!(of(&enrolled), []);
        assert_eq!(of(&then[..then.len() - 1]), [], "cut off");
        assert_eq!(of(&[]), []);
    }
}
