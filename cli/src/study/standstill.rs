//! Why a study stands still, or has ended without a model: who has done what, whose part will not come, and what to do next.

use super::{answers::Failure, sentences::missing};
use crate::{
    chain::{Chain, StudyInfo},
    show::{abort_name, comes_back, name, part, pause_name, why_aborted, why_paused, Names},
};
use anyhow::Result;
use consilium_primitives::{
    round::{bit, AbortReason, Back, Phase, Study},
    InstitutionId, StudyId,
};
use serde_json::{json, Value};

/// What people must know of a study that waits for them or for some sites, or has ended without a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill {
    /// The chain's own name of the reason.
    code: &'static str,
    /// In a sentence.
    words: String,
    /// Each active member, whether it has done its part, and that in words.
    sites: Vec<(InstitutionId, Option<bool>, &'static str)>,
    /// What to do, with `--dir FOLDER` for a folder that is to be named.
    next: String,
}

/// Of a study, and of one that has ended without a model also of what it was before: its end forgets who had done what.
pub fn standstill(study: &Study, before: Option<&Study>, number: StudyId, names: &Names) -> Option<Standstill> {
    match &study.phase {
        Phase::Paused(pause) => {
            let by_itself = match pause.reason.passes() {
                true => {
                    "it goes on by itself within the hour, once that is mended and enough sites are there; at once where"
                }
                false => "once that is mended",
            };
            Some(Standstill {
                code: pause_name(pause.reason),
                words: format!(
                    "it is paused in round {}: {} ({})",
                    study.round,
                    why_paused(pause.reason),
                    pause_name(pause.reason)
                ),
                sites: parts(study),
                next: format!(
                    "{by_itself} its proposer, or enough of its members, let it go on: consilium study resume {number} --dir FOLDER"
                ),
            })
        }
        Phase::Aborted { reason } => Some(Standstill {
            code: abort_name(*reason),
            words: format!(
                "it has ended without a model, in round {}: {} ({})",
                study.round,
                alone(study, before, names).unwrap_or_else(|| why_aborted(*reason).to_owned()),
                abort_name(*reason)
            ),
            sites: before.map(parts).unwrap_or_default(),
            next: again(*reason, study.round),
        }),
        _ => None,
    }
}

/// Who has ended a study by its own voice: its proposer, where it had not begun, or where the members' voices on its pause were too
/// few a block before even with one more. None where that block is not known, or the members may have decided it.
fn alone(study: &Study, before: Option<&Study>, names: &Names) -> Option<String> {
    let Phase::Aborted { reason: AbortReason::Decided } = study.phase else { return None };
    let who = name(names, &study.proposer);
    match &before?.phase {
        Phase::Enrolling { .. } => Some(format!("{who}, which proposed it, decided so before it began")),
        // several voices can come in one block
        Phase::Paused(pause) if pause.abort.count_ones() + 1 < study.rules.close_late(pause.roster.count_ones()) => {
            Some(format!("{who}, which proposed it, decided so, as far as the block before tells"))
        }
        _ => None,
    }
}

/// What is left to be done once a study has ended without a model.
fn again(reason: AbortReason, round: u32) -> String {
    let first = match reason {
        AbortReason::TooFewEnrolled => {
            "register it anew, with more time (rules.enrolment_minutes), and start it once all have enrolled"
        }
        AbortReason::PausedTooLong | AbortReason::Stalled => "mend what is named here, then register it anew",
        AbortReason::Decided => "who wants it all the same registers it anew",
        AbortReason::StatisticsUnusable => {
            "mend what is wrong with masks or files at the sites, or set data.scaling to \"site\", then register it anew"
        }
    };
    let model = match round {
        0 | 1 => "",
        _ => "; a study file's `initial` begins with a model that there is already (docs/study-file.md)",
    };
    format!("{first}: consilium study register FILE --dir FOLDER{model}")
}

/// What each active member of a study that is collected, paused or enrolled in has done.
fn parts(study: &Study) -> Vec<(InstitutionId, Option<bool>, &'static str)> {
    let active = (0u8..).zip(study.members.iter()).filter(|(_, member)| member.active);
    let told = active.map(|(index, member)| {
        let left_out = comes_back(study, index).is_some();
        let done = match &study.phase {
            Phase::Paused(pause) => part(pause, index),
            Phase::Collecting(c) if c.roster & bit(index) != 0 => {
                Some(c.commitments.iter().any(|commitment| commitment.member == index))
            }
            _ => None,
        };
        let models = matches!(&study.phase, Phase::Paused(pause) if matches!(pause.back, Back::Certifying { .. }));
        let shares = matches!(&study.phase, Phase::Paused(pause) if matches!(pause.back, Back::Revealing(_)));
        if shares {
            let words = match done {
                Some(true) => "has given its shares",
                Some(false) => "has NOT given its shares",
                None => "has no update in the sum",
            };
            return (member.id, done, words);
        }
        let words = match (done, models, left_out) {
            (Some(false), false, true) => "is left out for some rounds, and has NOT committed",
            (Some(true), false, _) => "has committed",
            (Some(false), false, false) => "has NOT committed",
            (Some(true), true, _) => "holds the final model",
            (Some(false), true, _) => "does NOT hold the final model",
            (None, ..) => "",
        };
        (member.id, done, words)
    });
    told.collect()
}

impl Standstill {
    /// For people.
    pub fn lines(&self, failed: &[Failure], names: &Names) -> Vec<String> {
        let mut lines = vec![self.words.clone()];
        let told = self.sites.iter().filter(|(.., words)| !words.is_empty());
        lines.extend(told.map(|(who, _, words)| format!("  {} {words}", name(names, who))));
        lines.extend(failed.iter().map(|failure| failure.words(names)));
        lines.push(self.next.clone());
        lines
    }

    /// For programs; `next` as people read it.
    pub fn json(&self, next: &str, names: &Names) -> Value {
        json!({
            "reason": self.code,
            "words": self.words,
            "sites": self.sites.iter().map(|(who, done, words)| json!({
                "name": name(names, who), "id": who.to_string(), "done": done, "words": words,
            })).collect::<Vec<_>>(),
            "next": next,
        })
    }

    /// What to do next.
    pub fn next(&self) -> &str {
        &self.next
    }
}

/// All that people must know of a study that may stand still: nothing of one that goes on as it should.
pub fn trouble(
    study: &Study,
    before: Option<&Study>,
    failed: &[Failure],
    names: &Names,
    number: StudyId,
) -> Vec<String> {
    match standstill(study, before, number, names) {
        Some(stands) => stands.lines(failed, names),
        None => failed.iter().map(|failure| failure.words(names)).collect(),
    }
}

/// A study that has ended without a model, as it was in the block before; none of any other, or where the node keeps that
/// state no longer.
///
/// # Errors
/// The node does not answer.
pub async fn before_end(chain: &Chain, number: StudyId, info: &StudyInfo) -> Result<Option<Study>> {
    let (Phase::Aborted { .. }, Some(end)) = (&info.state.phase, info.state.ended_at) else { return Ok(None) };
    let Some(before) = end.checked_sub(1) else { return Ok(None) };
    let at = chain.block_at(before).await?;
    // a node without that state says so by an error, as it does of a state that it cannot read
    Ok(chain.study(number, at).await.ok().flatten().map(|info| info.state))
}

/// Who was invited and had not enrolled, of a study that ended before it began.
pub fn absent(study: &Study, names: &Names) -> Vec<String> {
    match &study.phase {
        Phase::Aborted { reason: AbortReason::TooFewEnrolled } => missing(study, names),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::{
        round::{Collecting, Commitment, Kind, Pause, PauseReason, PerMember},
        FailureCode, Hash,
    };

    fn paused(reason: PauseReason) -> Phase {
        let back = Back::Collecting { kind: Kind::Statistics, commitments: PerMember::new(), dropped: 0 };
        Phase::Paused(Pause { reason, until: 99, roster: 7, resume: 0, abort: 0, back })
    }

    #[test]
    fn a_study_that_stands_still_says_why_whom_it_lacks_and_what_to_do() {
        let world = World::new();
        let mut study = world.history.info.state.clone();
        let names = &world.history.names;
        let who = study.members[1].id;
        let failed = [Failure { who, code: FailureCode::SchemaMismatch, round: 0, block: 9 }];
        assert!(trouble(&study, None, &[], names, 4).is_empty());
        assert_eq!(trouble(&study, None, &failed, names, 4), [failed[0].words(names)]);
        study.phase = paused(PauseReason::TooFewUpdates);
        let lines = trouble(&study, None, &failed, names, 4);
        assert!(lines[0].contains("fewer sites have sent their part"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains("has NOT committed")).count(), 3, "{lines:?}");
        let said = lines.iter().find(|line| line.contains("SchemaMismatch")).unwrap();
        assert!(said.contains(&name(names, &who)) && said.contains("do not fit the study"), "{said}");
        assert!(lines.last().unwrap().contains("consilium study resume 4"), "{lines:?}");
        let stands = standstill(&study, None, 4, names).unwrap();
        let document = stands.json(stands.next(), names);
        consilium_e2e::schema::documented("consilium study N").unwrap().part("standstill").check(&document).unwrap();
        assert_eq!((&document["reason"], &document["sites"][0]["done"]), (&json!("TooFewUpdates"), &json!(false)));
    }

    #[test]
    fn one_that_has_ended_says_who_had_sent_nothing_and_how_to_begin_anew() {
        let world = World::new();
        let (mut study, names) = (world.history.info.state.clone(), &world.history.names);
        let mut before = study.clone();
        let commitment = Commitment { member: 0, duty: Hash::zero(), root: Hash::zero(), at: 9 };
        before.phase = Phase::Collecting(Collecting {
            kind: Kind::Model,
            roster: 0b011,
            awaited: 0b010,
            commitments: vec![commitment].try_into().unwrap(),
            start: 1,
            freeze_at: None,
            limit: 99,
            extended: true,
        });
        study.phase = Phase::Aborted { reason: AbortReason::Stalled };
        let lines = trouble(&study, Some(&before), &[], names, 4);
        assert!(lines[0].contains("rules.on_stall"), "{lines:?}");
        // the third was not asked
        assert_eq!(lines[1..3], ["  site 1 has committed", "  site 2 has NOT committed"]);
        assert!(lines[3].contains("study register FILE") && lines[3].contains("`initial`"), "{lines:?}");
        assert_eq!(trouble(&study, None, &[], names, 4).len(), 2, "what it was before is not known everywhere");
        study.round = 0;
        study.phase = Phase::Aborted { reason: AbortReason::TooFewEnrolled };
        assert!(absent(&study, names).is_empty());
        study.rules.invited.try_push(InstitutionId([9; 32])).unwrap();
        assert_eq!(absent(&study, names), [InstitutionId([9; 32]).to_string()]);
        assert!(!trouble(&study, None, &[], names, 4).last().unwrap().contains("initial"));
    }

    #[test]
    fn who_has_ended_a_study_alone_is_named() {
        let world = World::new();
        let (mut study, names) = (world.history.info.state.clone(), &world.history.names);
        let (mut before, proposer) = (study.clone(), name(names, &study.proposer));
        study.phase = Phase::Aborted { reason: AbortReason::Decided };
        let said = |before: Option<&Study>| trouble(&study, before, &[], names, 4).remove(0);
        let (one, some) = (format!("{proposer}, which proposed it, decided so"), "or enough of its members");
        assert!(said(None).contains(some), "{}", said(None));
        before.phase = Phase::Enrolling { until: 9 };
        assert!(said(Some(&before)).contains(&one), "{}", said(Some(&before)));
        before.phase = paused(PauseReason::TooFewUpdates);
        assert!(said(Some(&before)).contains(&one), "two voices are needed, and nobody had one");
        // the second voice may have been a member's
        let Phase::Paused(pause) = &mut before.phase else { panic!("it is paused") };
        pause.abort = 0b10;
        assert!(said(Some(&before)).contains(some), "{}", said(Some(&before)));
    }
}
