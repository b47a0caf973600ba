//! What each phase of a study waited for, out of what its blocks say. Pure.

use super::read::{own_vote, At, Seen, Told};
use consilium_primitives::{
    round::{AbortReason, DropReason, Kind, PauseReason},
    DutyKind, FailureCode, InstitutionId, PostStep, VoidReason, Vote,
};
use pallet_swarm_learning::Progress;

/// A part of a study that is told together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The columns' statistics.
    Statistics,
    /// The initial model.
    Initial,
    /// A round of training.
    Round(u32),
    /// The last evaluation, and who holds the model.
    End,
}

/// What the chain asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Statistics of each site's rows.
    Statistics,
    /// The initial model.
    Initial,
    /// Updates.
    Updates,
    /// A merge, in this attempt.
    Merge(u32),
    /// That all masked files are held.
    Gather,
    /// Shares that open a masked sum, and it.
    Sum,
    /// The loss of the last merge.
    Evaluation,
    /// Whether the canonical model is held.
    Holding,
    /// Who is there, or what people decide.
    Pause(PauseReason),
}

/// What a site said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// What was asked for.
    Done,
    /// That its part will not come.
    Fails(FailureCode),
    /// That inputs are missing; or that their freeze is not final where it is.
    Lacks {
        /// The latter.
        not_final: bool,
    },
}

/// What a site said, and in which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which site.
    pub who: InstitutionId,
    /// Where.
    pub at: At,
    /// What.
    pub said: Said,
    /// It came with a vote on something else, which was cast before this was asked for.
    pub ahead: bool,
}

/// What ended a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The last vote that it waited for, of this site.
    Vote(InstitutionId),
    /// A member left, and was waited for no longer.
    Leaving,
    /// A deadline: of updates the grace after enough were in, of others their window.
    Deadline,
    /// Enough sites were there.
    There,
    /// What people decided.
    People,
    /// It paused.
    Pause(PauseReason),
    /// It was given up.
    End(AbortReason),
}

/// What else happened in a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Its limit was doubled; these had not answered.
    Extended(Vec<InstitutionId>),
    /// The clock of the merge stood: its freeze was not final for too many.
    Stood,
    /// It went on.
    WentOn,
    /// An input was dropped.
    Dropped(InstitutionId, DropReason),
    /// Nothing came from this one in that round and in this one: until which round it is not waited for.
    NotAwaited(InstitutionId, u32, u32),
    /// The study goes on from the model of an older round.
    FellBack(u32, u32),
    /// Nothing came of a masked sum.
    Void(VoidReason),
}

/// One phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// What was asked for.
    pub what: What,
    /// By which block.
    pub asked: At,
    /// What sites said while it lasted.
    pub words: Vec<Word>,
    /// What they said when it was over.
    pub late: Vec<Word>,
    /// What else happened.
    pub notes: Vec<(At, Note)>,
    /// Which block ended it, and by what; none while it lasts.
    pub ended: Option<(At, By)>,
}

impl Stage {
    /// Blocks that it took.
    pub fn blocks(&self) -> Option<u32> {
        self.ended.map(|(at, _)| at.block.saturating_sub(self.asked.block))
    }

    /// The least that it could have taken: nothing asked in a block can be answered in the same one, but for what comes with the
    /// vote before.
    pub fn least(&self) -> u32 {
        u32::from(!self.words.iter().any(|word| word.ahead))
    }
}

/// All phases of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Which.
    pub which: Which,
    /// In their order.
    pub stages: Vec<Stage>,
    /// The block that closed it; none where it has not, or where the end of a study is told.
    pub closed: Option<At>,
}

impl Round {
    /// The block that opened it.
    pub fn opened(&self) -> Option<At> {
        self.stages.first().map(|stage| stage.asked)
    }

    /// From the block that opened it to the one that closed it: blocks, and milliseconds.
    pub fn took(&self) -> Option<(u32, u64)> {
        let (opened, closed) = (self.opened()?, self.closed?);
        Some((closed.block.saturating_sub(opened.block), closed.millis.saturating_sub(opened.millis)))
    }

    /// The fewest blocks that a round of this kind takes.
    pub fn least(&self) -> u32 {
        match self.which {
            Which::Statistics => 1 + self.merging(),
            Which::Initial | Which::End => 1,
            // one for the updates, where none came ahead
            Which::Round(_) => self.stages.first().map_or(1, Stage::least) + self.merging(),
        }
    }

    /// The fewest blocks of a merge: one; of a masked sum one each for what is held, what is opened and the sum.
    fn merging(&self) -> u32 {
        1 + 2 * u32::from(self.stages.iter().any(|stage| stage.what == What::Sum))
    }

    /// Blocks beyond the fewest.
    pub fn more(&self) -> Option<u32> {
        self.took().map(|(blocks, _)| blocks.saturating_sub(self.least()))
    }

    /// Slots in it in which nobody made a block.
    pub fn empty_slots(&self, slot: u32) -> u32 {
        let (blocks, millis) = self.took().unwrap_or_default();
        let slots = millis.checked_div(slot.into()).unwrap_or_default();
        u32::try_from(slots).unwrap_or(u32::MAX).saturating_sub(blocks)
    }
}

/// What the blocks of a study say of its rounds, in their order.
pub fn tell(seen: &[Seen]) -> Vec<Round> {
    let mut teller = Teller::default();
    for block in seen {
        teller.block(block);
    }
    teller.rounds
}

#[derive(Default)]
struct Teller {
    rounds: Vec<Round>,
    /// Whether a phase is under way: the last one of the last round.
    under_way: bool,
    /// What the events before, in the same block and of the same cause, could have ended a phase by.
    cause: Option<By>,
}

impl Teller {
    fn block(&mut self, seen: &Seen) {
        self.cause = None;
        // a vote on the last evaluation without a figure is told by no event
        if self.stage().is_some_and(|stage| stage.what == What::Evaluation) {
            for vote in seen.votes.iter().filter(|vote| vote.kind == DutyKind::Evaluate) {
                self.word(seen.at, vote.institution, Said::Done, false);
            }
        }
        for told in &seen.told {
            match told {
                Told::Progress(progress) => self.progress(seen, progress),
                Told::Closed { .. } => self.closes(seen.at),
                Told::Left => {
                    // told after what follows from it
                    if let Some(Stage { ended: Some((_, by @ By::Deadline)), .. }) = self.before_last(seen.at) {
                        *by = By::Leaving;
                    }
                }
            }
        }
    }

    /// The phase that is under way.
    fn stage(&mut self) -> Option<&mut Stage> {
        if !self.under_way {
            return None;
        }
        self.rounds.last_mut()?.stages.last_mut()
    }

    /// The last phase that has ended in this block.
    fn before_last(&mut self, at: At) -> Option<&mut Stage> {
        let mut stages = self.rounds.iter_mut().rev().take(2).flat_map(|round| round.stages.iter_mut().rev());
        stages.find(|stage| stage.ended.is_some_and(|(ended, _)| ended == at))
    }

    fn cause(&self) -> By {
        self.cause.unwrap_or(By::Deadline)
    }

    fn begins(&mut self, at: At, which: Which, what: What) {
        let by = self.cause();
        self.ends(at, by);
        if self.rounds.last().is_none_or(|round| round.which != which || round.closed.is_some()) {
            self.rounds.push(Round { which, stages: Vec::new(), closed: None });
        }
        let stage = Stage { what, asked: at, words: Vec::new(), late: Vec::new(), notes: Vec::new(), ended: None };
        if let Some(round) = self.rounds.last_mut() {
            round.stages.push(stage);
        }
        self.under_way = true;
        // what follows in this block was not waited for by this phase, but for what came ahead
        self.cause = None;
    }

    fn ends(&mut self, at: At, by: By) {
        if let Some(stage) = self.stage() {
            stage.ended = Some((at, by));
        }
        self.under_way = false;
    }

    fn closes(&mut self, at: At) {
        let by = self.cause();
        self.ends(at, by);
        if let Some(round) = self.rounds.last_mut() {
            round.closed = Some(at);
        }
    }

    fn word(&mut self, at: At, who: InstitutionId, said: Said, ahead: bool) {
        self.cause = Some(By::Vote(who));
        if let Some(stage) = self.stage() {
            stage.words.push(Word { who, at, said, ahead });
        }
    }

    fn note(&mut self, at: At, note: Note) {
        if let Some(stage) = self.stage() {
            stage.notes.push((at, note));
        }
    }

    /// A site attests a merge that had closed without it: no answer to what is asked for since.
    fn attested_late(&mut self, at: At, round: u32, who: InstitutionId) {
        let of = |which: Which| match which {
            Which::Statistics => round == 0,
            Which::Round(other) => other == round,
            Which::Initial | Which::End => false,
        };
        let rounds = self.rounds.iter_mut().rev().filter(|told| of(told.which) && told.closed.is_some());
        let mut stages = rounds.flat_map(|round| round.stages.iter_mut().rev());
        if let Some(merge) = stages.find(|stage| matches!(stage.what, What::Merge(_) | What::Sum)) {
            merge.late.push(Word { who, at, said: Said::Done, ahead: false });
        }
    }

    fn which(&self) -> Which {
        self.rounds.last().map_or(Which::Initial, |round| round.which)
    }

    fn progress(&mut self, seen: &Seen, progress: &Progress) {
        let at = seen.at;
        match progress {
            Progress::Opened { kind: Kind::Statistics, .. } => self.begins(at, Which::Statistics, What::Statistics),
            Progress::Opened { kind: Kind::Model, round } => self.begins(at, Which::Round(*round), What::Updates),
            Progress::InitOpened => self.begins(at, Which::Initial, What::Initial),
            Progress::Committed { who, .. } => {
                let ahead = !own_vote(&seen.votes, who);
                self.word(at, *who, Said::Done, ahead);
            }
            Progress::Failed { who, code } => self.word(at, *who, Said::Fails(*code), false),
            Progress::Extended { silent } => self.note(at, Note::Extended(silent.to_vec())),
            Progress::Frozen { attempt, .. } => self.begins(at, self.which(), What::Merge(*attempt)),
            Progress::Attested { who, .. }
            | Progress::Gathered { who }
            | Progress::CalledVoid { who, .. }
            | Progress::Posted { who, step: PostStep::Reveal, .. } => self.word(at, *who, Said::Done, false),
            Progress::SetFixed { .. } => {
                // that files are masked is known by what follows
                if let Some(Stage { what: what @ What::Merge(_), .. }) = self.stage() {
                    *what = What::Gather;
                }
                self.begins(at, self.which(), What::Sum);
            }
            Progress::Voided { why } => {
                self.note(at, Note::Void(*why));
                self.closes(at);
            }
            Progress::InputsMissing { who, not_final, .. } => {
                self.word(at, *who, Said::Lacks { not_final: *not_final }, false);
            }
            Progress::Stood => self.note(at, Note::Stood),
            Progress::WentOn => self.note(at, Note::WentOn),
            Progress::Dropped { who, reason } => self.note(at, Note::Dropped(*who, *reason)),
            Progress::NotAwaited { who, before, until_round } => {
                self.note(at, Note::NotAwaited(*who, *before, until_round.saturating_add(1)));
            }
            Progress::EvaluationOpened | Progress::Opened { kind: Kind::Evaluation, .. } => {
                self.begins(at, Which::End, What::Evaluation);
            }
            // while it is paused, another model takes the canonical one's place
            Progress::Canonical { .. } if !self.stage().is_some_and(|stage| matches!(stage.what, What::Pause(_))) => {
                self.begins(at, Which::End, What::Holding);
            }
            Progress::Acknowledged { who } => {
                if self.under_way {
                    self.word(at, *who, Said::Done, false);
                } else if let Some(stage) = self.rounds.last_mut().and_then(|round| round.stages.last_mut()) {
                    stage.late.push(Word { who: *who, at, said: Said::Done, ahead: false });
                }
            }
            Progress::Completed { .. } => {
                let by = self.cause();
                self.ends(at, by);
            }
            Progress::Paused { reason } => {
                let which = self.which();
                self.cause = Some(By::Pause(*reason));
                self.begins(at, which, What::Pause(*reason));
            }
            Progress::Present { who, .. } => self.word(at, *who, Said::Done, false),
            Progress::EnoughPresent => self.cause = Some(By::There),
            Progress::FellBack { from, to } => self.note(at, Note::FellBack(*from, *to)),
            Progress::Resumed => {
                let by = if self.cause == Some(By::There) { By::There } else { By::People };
                self.ends(at, by);
                self.cause = None;
                // the others are asked for anew by an event of their own
                if self.which() == Which::End {
                    self.begins(at, Which::End, What::Holding);
                }
            }
            Progress::Aborted { reason } => self.ends(at, By::End(*reason)),
            Progress::AttestedLate { round, who, .. } => self.attested_late(at, *round, *who),
            // a figure that came with the vote on the last merge; the others have votes of their own
            Progress::Loss { who, .. } => {
                let evaluates = self.stage().is_some_and(|stage| stage.what == What::Evaluation);
                let asked = |vote: &&Vote| vote.institution == *who && vote.kind == DutyKind::Evaluate;
                if evaluates && !seen.votes.iter().any(|vote| asked(&vote)) {
                    self.word(at, *who, Said::Done, true);
                }
            }
            // who is left out for some rounds is not waited for
            _ => {}
        }
    }
}
