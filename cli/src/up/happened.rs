//! What went wrong in this institution's studies from one look to the next, block by block: a round may fail and the next one begin
//! between two looks, and the chain's state tells of the present one alone.

use crate::{
    chain::{send::Happened, Chain, SWARM},
    show::{
        abort_name, dropped_name, failure_name, name, names, pause_name, why_aborted, why_dropped, why_paused, Names,
    },
    study::answers::{why, why_here},
};
use anyhow::Result;
use consilium_primitives::{round::Phase, InstitutionId, StudyId};
use pallet_swarm_learning::Progress;
use std::{collections::BTreeSet, path::Path};

/// Most blocks that are read at a look: as many as a node keeps states of at least.
const MOST: u32 = 200;

/// Something of a study that is told: whether all is well with it, and in words.
pub type News = (StudyId, bool, String);

/// How it is said that the own part of a round will not come; the reason follows.
pub fn refused(round: u32, code: &str) -> String {
    format!("round {round} was refused here: {code}")
}

/// The blocks that were read so far.
#[derive(Default)]
pub struct Blocks {
    /// The last one; none before the first look.
    last: Option<u32>,
}

impl Blocks {
    /// What the blocks since the last look say of the studies in which an institution takes part.
    ///
    /// # Errors
    /// The node does not answer. What could not be read is read at the next look.
    pub async fn news(&mut self, url: &str, own: InstitutionId) -> Result<Vec<News>> {
        let chain = Chain::connect(url).await?;
        let best = chain.best().await?;
        let Some((first, missed)) = self.next(best.number) else { return Ok(Vec::new()) };
        let all = names(&chain.institutions(best).await?);
        let (mut known, mut ours) = (BTreeSet::new(), BTreeSet::new());
        let (mut news, mut read) = (Vec::new(), None);
        for number in first..=best.number {
            // the rest is read at the next look
            let Ok(events) = events(&chain, number).await else { break };
            for study in studies(&events) {
                if known.insert(study) {
                    let info = chain.study(study, best).await?;
                    if info.is_some_and(|info| info.state.position(&own).is_some()) {
                        ours.insert(study);
                    }
                }
            }
            news.extend(said(&events, number, &own, &all).into_iter().filter(|(study, ..)| ours.contains(study)));
            read = Some(number);
        }
        // only what is told counts as read
        self.last = read.or(self.last);
        if let Some((from, to)) = missed {
            let words =
                |study| format!("the blocks {from} to {to} were not looked through: `consilium late {study}` does");
            news.extend(ours.iter().map(|study| (*study, true, words(study))));
        }
        Ok(news)
    }

    /// The first block to read up to this one, and those that are left out since there are too many; none where none is new. At the
    /// first look none is: what was before it is not this program's to tell.
    fn next(&mut self, best: u32) -> Option<(u32, Option<(u32, u32)>)> {
        let Some(last) = self.last else {
            self.last = Some(best);
            return None;
        };
        let (next, bound) = (last.saturating_add(1), best.saturating_sub(MOST - 1));
        let missed = (next < bound).then_some((next, bound.saturating_sub(1)));
        (next <= best).then_some((next.max(bound), missed))
    }
}

/// What happened in a block.
async fn events(chain: &Chain, number: u32) -> Result<Vec<Happened>> {
    chain.events(chain.block_at(number).await?).await
}

/// The studies that events are about.
fn studies(events: &[Happened]) -> BTreeSet<StudyId> {
    read(events).map(|(study, ..)| study).collect()
}

fn read(events: &[Happened]) -> impl Iterator<Item = (StudyId, u32, Progress)> + '_ {
    let about = events.iter().filter(|event| event.pallet == SWARM);
    about.filter_map(|event| Progress::read(&event.name, &event.fields))
}

/// What a block says of rounds in which something went wrong.
fn said(events: &[Happened], block: u32, own: &InstitutionId, names: &Names) -> Vec<News> {
    let one = |(study, round, what): (StudyId, u32, Progress)| {
        let (well, words) = match what {
            Progress::Failed { who, code } if who == *own => {
                (false, format!("{} (block {block}): {}", refused(round, failure_name(code)), why_here(code)))
            }
            Progress::Failed { who, code } => {
                let (who, name) = (name(names, &who), failure_name(code));
                (true, format!("no part of round {round} will come from {who}: {} ({name}, block {block})", why(code)))
            }
            Progress::Dropped { who, reason } => {
                let whose = if who == *own { "this site's".into() } else { format!("{}'s", name(names, &who)) };
                let (why, called) = (why_dropped(reason), dropped_name(reason));
                (who != *own, format!("{whose} update of round {round} was dropped: {why} ({called}, block {block})"))
            }
            Progress::Benched { who, until_round } if who == *own => (
                false,
                format!(
                    "this site is left out up to round {until_round}, since its part was missing twice (block {block})"
                ),
            ),
            Progress::NotAwaited { who, before, until_round } if who == *own => (
                false,
                format!(
                    "nothing came from this site in rounds {before} and {round}: up to round {until_round} the others do not wait for \
                     it; what it sends in time counts (block {block})"
                ),
            ),
            Progress::NotAwaited { who, before, until_round } => (
                true,
                format!(
                    "nothing came from {} in rounds {before} and {round}: up to round {until_round} it is not waited for; what it sends in \
                     time counts (block {block})",
                    name(names, &who)
                ),
            ),
            Progress::Paused { reason } => {
                let (why, called) = (why_paused(reason), pause_name(reason));
                (false, format!("it paused in round {round}: {why} ({called}, block {block})"))
            }
            _ => return None,
        };
        Some((study, well, words))
    };
    read(events).filter_map(one).collect()
}

/// How the words of [`ended`] begin.
const ENDS: [&str; 3] = ["it is complete", "it has ended", "it goes on without"];

/// Whether these are the words of [`ended`]: nothing of it changes any more.
pub fn is_end(words: &str) -> bool {
    ENDS.iter().any(|begins| words.starts_with(begins))
}

/// How a study that is not among those that run any more has ended: whether well, and in words.
///
/// # Errors
/// The node does not answer, or knows no such study.
pub async fn ended(dir: &Path, url: &str, number: StudyId) -> Result<(bool, String)> {
    let chain = Chain::connect(url).await?;
    let info = chain.study(number, chain.best().await?).await?;
    let info = info.ok_or_else(|| anyhow::anyhow!("there is no study {number}"))?;
    Ok(end(&info.state.phase, &dir.display().to_string(), number))
}

fn end(phase: &Phase, dir: &str, number: StudyId) -> (bool, String) {
    match phase {
        Phase::Completed(certificate) => (
            true,
            format!(
                "it is complete, and all is well: the model of round {} has its certificate, and nothing is left to train. Its model: \
                 consilium study fetch {number} --dir {dir} --out model-{number}",
                certificate.round
            ),
        ),
        Phase::Aborted { reason } => (
            false,
            format!(
                "it has ended without a model: {} ({}); `consilium study {number} --dir {dir}` names who had not done what",
                why_aborted(*reason),
                abort_name(*reason)
            ),
        ),
        _ => (true, "it goes on without this site, which takes no part in it".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use codec::Encode;
    use consilium_primitives::{
        round::{AbortReason, Certificate, DropReason, PauseReason},
        FailureCode, Hash,
    };

    const OWN: InstitutionId = InstitutionId([1; 32]);
    const OTHER: InstitutionId = InstitutionId([2; 32]);

    fn event(name: &str, fields: Vec<u8>) -> Happened {
        Happened { pallet: SWARM.into(), name: name.into(), fields, why: None }
    }

    #[test]
    fn every_block_between_two_looks_is_read_once_and_no_more_than_a_bound() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.next(100), None, "what was before is not told");
        assert_eq!(blocks.next(100), None);
        assert_eq!(blocks.next(120), Some((101, None)));
        blocks.last = Some(120);
        assert_eq!(blocks.next(121), Some((121, None)));
        assert_eq!(blocks.next(1_000), Some((801, Some((121, 800)))));
        // a chain that has gone back
        assert_eq!(blocks.next(119), None);
    }

    #[test]
    fn each_round_that_failed_is_named_with_its_code_and_what_it_means() {
        let failed = |study: u32, round: u32, who: InstitutionId| {
            event("Failed", (study, round, who, FailureCode::WorkerMissing).encode())
        };
        let events = [
            failed(4, 7, OWN),
            failed(4, 8, OWN),
            failed(4, 8, OTHER),
            failed(5, 1, OTHER),
            event("Dropped", (4u32, 8u32, OWN, DropReason::Withheld).encode()),
            event("Benched", (4u32, 8u32, OWN, 11u32).encode()),
            event("Benched", (4u32, 8u32, OTHER, 11u32).encode()),
            event("Paused", (4u32, 8u32, PauseReason::TooFewUpdates).encode()),
            event("NotAwaited", (4u32, 8u32, OWN, 7u32, 13u32).encode()),
            event("NotAwaited", (4u32, 8u32, OTHER, 7u32, 13u32).encode()),
            event("Opened", (4u32, 9u32).encode()),
        ];
        let names = Names::from([(OTHER, "Birch".to_owned())]);
        let told = said(&events, 40, &OWN, &names);
        let line = |at: usize| format!("{} {} {}", told[at].0, told[at].1, told[at].2);
        assert!(
            line(0).starts_with("4 false round 7 was refused here: WorkerMissing (block 40): the worker"),
            "{}",
            line(0)
        );
        assert!(line(1).starts_with("4 false round 8 was refused here: WorkerMissing"), "{}", line(1));
        assert!(line(2).starts_with("4 true no part of round 8 will come from Birch: its worker did"), "{}", line(2));
        assert!(line(2).ends_with("(WorkerMissing, block 40)"), "{}", line(2));
        assert!(
            line(4).contains("this site's update of round 8 was dropped") && line(4).contains("(Withheld"),
            "{}",
            line(4)
        );
        assert_eq!(
            line(5),
            "4 false this site is left out up to round 11, since its part was missing twice (block 40)"
        );
        assert!(
            line(6).starts_with("4 false it paused in round 8") && line(6).contains("TooFewUpdates"),
            "{}",
            line(6)
        );
        assert!(
            line(7).contains("from this site in rounds 7 and 8: up to round 13 the others do not wait"),
            "{}",
            line(7)
        );
        assert_eq!(
            line(8),
            "4 true nothing came from Birch in rounds 7 and 8: up to round 13 it is not waited for; what it sends in time counts (block 40)"
        );
        assert_eq!(told.len(), 9);
        assert_eq!(studies(&events), BTreeSet::from([4, 5]));
    }

    #[test]
    fn how_a_study_has_ended_and_whether_that_is_well_is_said() {
        let certificate = Certificate { round: 3, root: Hash::zero(), roster: 7, held: 7 };
        let (well, words) = end(&Phase::Completed(certificate), "alder", 4);
        assert!(well && words.contains("all is well") && words.contains("study fetch 4 --dir alder"), "{words}");
        let (well, words) = end(&Phase::Aborted { reason: AbortReason::Stalled }, "alder", 4);
        assert!(!well && words.contains("without a model") && words.contains("(Stalled)"), "{words}");
        assert!(end(&Phase::Enrolling { until: 9 }, "alder", 4).1.contains("without this site"));
        let certificate = Certificate { round: 3, root: Hash::zero(), roster: 7, held: 7 };
        let all = [
            Phase::Completed(certificate),
            Phase::Aborted { reason: AbortReason::Stalled },
            Phase::Enrolling { until: 9 },
        ];
        assert!(all.iter().all(|phase| is_end(&end(phase, "alder", 4).1)));
        assert!(!is_end("training, round 2 of 3"));
    }
}
