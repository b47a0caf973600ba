//! Sites whose updates are missing in a study that runs, and since when: read from the records of its closed rounds.

use crate::{
    chain::{Block, Chain},
    study::silence::{unawaited, Unawaited},
};
use anyhow::Result;
use consilium_primitives::{
    round::{Kind, Phase, Study},
    InstitutionId, StudyId,
};
use std::collections::BTreeMap;

/// How many rounds back it is looked for a site's last update, when a study is read for the first time.
const BACK: u32 = 50;

/// A site that has no part in the newest closed round, and has sent none in the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Which.
    pub who: InstitutionId,
    /// The last round that holds an update of it, and when that closed; none where none of those that were read does.
    pub last: Option<(u32, u64)>,
    /// How many rounds that were read have closed without it since.
    pub without: u32,
    /// The last round that it is left out of, where it is.
    pub left_out_until: Option<u32>,
    /// Until when rounds do not wait for it, where they do not.
    pub unawaited: Option<Unawaited>,
}

/// Who has sent an update in which rounds of a study, as far as they were read.
#[derive(Default)]
pub struct Sent {
    /// The first and the newest closed round that were read; none before one was.
    read: Option<(u32, u32)>,
    /// The last round that holds an update of an institution, and when that closed.
    last: BTreeMap<InstitutionId, (u32, u64)>,
}

impl Sent {
    /// Reads rounds that have closed since.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn read(&mut self, chain: &Chain, number: StudyId, study: &Study, at: Block, slot: u32) -> Result<()> {
        let from = match self.read {
            Some((_, newest)) => newest.saturating_add(1),
            None => study.round.saturating_sub(BACK).max(1),
        };
        for round in from..=study.round {
            let Some(record) = chain.record(number, Kind::Model, round, at).await? else { continue };
            let now = chain.time(at.number).await?;
            let slots = u64::from(at.number.saturating_sub(record.closed_at));
            let least = || now.saturating_sub(slots.saturating_mul(slot.into()));
            let closed = chain.made(record.closed_at, (now, slot)).await.unwrap_or_else(least);
            self.take(round, closed, record.inputs.iter().map(|input| input.institution));
        }
        Ok(())
    }

    fn take(&mut self, round: u32, closed_at_ms: u64, inputs: impl Iterator<Item = InstitutionId>) {
        self.read = Some((self.read.map_or(round, |(first, _)| first), round));
        self.last.extend(inputs.map(|who| (who, (round, closed_at_ms))));
    }

    /// Who is missing now.
    pub fn absent(&self, study: &Study) -> Vec<Absent> {
        let Some((first, newest)) = self.read.filter(|_| !study.ended()) else { return Vec::new() };
        let missing = (0u8..).zip(study.members.iter()).filter(|(place, member)| {
            let there = self.last.get(&member.id).is_some_and(|(round, _)| *round == newest);
            member.active && member.since <= newest && !there && !has_sent(study, *place)
        });
        missing
            .map(|(place, member)| {
                let last = self.last.get(&member.id).copied();
                let begun = first.max(member.since);
                Absent {
                    who: member.id,
                    last,
                    without: last.map_or(newest.saturating_add(1).saturating_sub(begun), |(round, _)| newest - round),
                    left_out_until: member.benched_until.filter(|until| *until >= study.round),
                    unawaited: unawaited(study, place),
                }
            })
            .collect()
    }
}

/// Whether a member's update of the present round is there.
fn has_sent(study: &Study, place: u8) -> bool {
    match &study.phase {
        Phase::Collecting(c) => c.commitments.iter().any(|commitment| commitment.member == place),
        Phase::Merging(m) => m.inputs.iter().any(|input| input.commitment.member == place),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::{
        round::{Collecting, Commitment, Missed},
        Hash,
    };

    #[test]
    fn who_is_missing_is_known_with_the_last_round_that_it_has_a_part_in() {
        let mut study = World::new().history.info.state;
        let ids: Vec<InstitutionId> = study.members.iter().map(|member| member.id).collect();
        let commitment = Commitment { member: 2, duty: Hash::zero(), root: Hash::zero(), at: 9 };
        let collecting = |commitments: &[Commitment]| {
            Phase::Collecting(Collecting {
                kind: Kind::Model,
                roster: 0b111,
                awaited: 0b111,
                commitments: commitments.to_vec().try_into().unwrap(),
                start: 1,
                freeze_at: None,
                limit: 99,
                extended: false,
            })
        };
        let mut sent = Sent::default();
        study.phase = collecting(&[]);
        assert!(sent.absent(&study).is_empty(), "no round has closed");
        for (round, parts) in [(3, &ids[..]), (4, &ids[..2]), (5, &ids[..2])] {
            sent.take(round, u64::from(round) * 1_000, parts.iter().copied());
        }
        study.round = 6;
        let gone = Absent { who: ids[2], last: Some((3, 3_000)), without: 2, left_out_until: None, unawaited: None };
        assert_eq!(sent.absent(&study), [gone]);
        // the rounds do not wait for it
        let spared = consilium_primitives::round::Unawaited { before: 4, until: 9 };
        study.missed.try_push(Missed { member: 2, last: 5, unawaited: Some(spared) }).unwrap();
        study.unawaited = 0b100;
        assert_eq!(sent.absent(&study), [Absent { unawaited: Some(Unawaited { rounds: (4, 5), back: 10 }), ..gone }]);
        (study.missed, study.unawaited) = (Default::default(), 0);
        study.members[2].benched_until = Some(8);
        assert_eq!(sent.absent(&study), [Absent { left_out_until: Some(8), ..gone }]);
        // back again
        study.phase = collecting(&[commitment]);
        assert!(sent.absent(&study).is_empty());
        // who has left is not missing
        study.phase = collecting(&[]);
        study.members[2].active = false;
        assert!(sent.absent(&study).is_empty());
        // one that was never there in what was read
        (study.members[1].active, sent.last) = (true, BTreeMap::from([(ids[0], (5, 5_000))]));
        assert_eq!(sent.absent(&study), [Absent { who: ids[1], last: None, without: 3, ..gone }]);
    }
}
