//! Votes that come before they are asked for: from a site that has seen a block which others have not yet.
//!
//! Where a vote that nothing asks for yet may become right, a pool must not shut it out: its author would be heard a block later, or
//! not at all. What can never become right again is refused for good.

use super::{duties::OpenDuty, state::*, Study, Surroundings};
use crate::{duty::DutyKind, vote::Vote};

/// What may become of a vote that answers nothing that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// It answers what its author is asked as soon as the answer that it owes now is in: to the duty of this kind, round and
    /// attempt.
    Next(DutyKind, u32, u32),
    /// It may answer something later, or on another chain of blocks.
    Perhaps,
    /// Nothing: what it answers is over, or its author is no member.
    Never,
}

/// The place of a duty in its round. What is asked for at the end, and in pauses, has none: it names no round of its own.
fn place(kind: DutyKind) -> Option<u8> {
    Some(match kind {
        DutyKind::Statistics => 0,
        DutyKind::MergeStatistics => 1,
        DutyKind::Init => 2,
        DutyKind::Train => 3,
        DutyKind::Merge => 4,
        DutyKind::Evaluate => 5,
        DutyKind::Acknowledge | DutyKind::Present => return None,
        // what a masked sum needs beside is known by its pairing
        DutyKind::Keys | DutyKind::Deal | DutyKind::Mask | DutyKind::Gather | DutyKind::Reveal => return None,
    })
}

/// Whether one duty of a site may be the next one after another.
fn follows(open: &OpenDuty, vote: &Vote) -> bool {
    let (round, next) = (open.duty.round, open.duty.round.saturating_add(1));
    let first = vote.attempt <= 1;
    match (open.duty.kind, vote.kind) {
        (DutyKind::Statistics, DutyKind::MergeStatistics)
        | (DutyKind::MergeStatistics, DutyKind::Init)
        | (DutyKind::Train, DutyKind::Merge)
        | (DutyKind::Merge, DutyKind::Evaluate) => first && vote.round == round,
        // a round may be opened and frozen in the block that closes the one before
        (DutyKind::Init, DutyKind::Train) | (DutyKind::Merge, DutyKind::Train | DutyKind::Merge) => {
            first && vote.round == next
        }
        _ => false,
    }
}

impl Study {
    /// What may become of a vote that [`check_vote`](Self::check_vote) has refused because nothing asks for it.
    pub fn early(&self, around: &dyn Surroundings, vote: &Vote) -> Early {
        let active = self.position(&vote.institution).and_then(|index| self.member(index)).is_some_and(|m| m.active);
        if !active || self.ended() || vote.resumed < self.resumed {
            return Early::Never;
        }
        if vote.resumed > self.resumed {
            return Early::Perhaps;
        }
        let now = match &self.phase {
            Phase::Collecting(Collecting { kind: Kind::Statistics, .. }) => Some(0),
            Phase::Merging(Merging { kind: Kind::Statistics, .. }) => Some(1),
            Phase::Gathering(Merging { kind, .. }) => Some(if *kind == Kind::Statistics { 0 } else { 3 }),
            Phase::Revealing(Revealing { set, .. }) => Some(if set.kind == Kind::Statistics { 0 } else { 3 }),
            Phase::Summing(Summing { set, .. }) => Some(if set.kind == Kind::Statistics { 1 } else { 4 }),
            Phase::Init { .. } => Some(2),
            Phase::Collecting(_) => Some(3),
            Phase::Merging(_) => Some(4),
            Phase::FinalEvaluation { .. } => Some(5),
            Phase::Certifying(_) => Some(6),
            Phase::Enrolling { .. } | Phase::Paused(_) | Phase::Completed(_) | Phase::Aborted { .. } => None,
        };
        if let (Some(place), Some(now)) = (place(vote.kind), now) {
            let attempt = match &self.phase {
                Phase::Merging(m) | Phase::Gathering(m) => m.attempt,
                Phase::Summing(s) => s.attempt,
                _ => 0,
            };
            if (vote.round, place, vote.attempt) < (self.round, now, attempt) {
                return Early::Never;
            }
        }
        match self.open_duty(around, &vote.institution).filter(|open| follows(open, vote)) {
            Some(open) => Early::Next(open.duty.kind, open.duty.round, open.attempt),
            None => Early::Perhaps,
        }
    }
}
