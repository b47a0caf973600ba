//! `consilium study start`, `withdraw`, `resume`, `abort` and `abandon`: what an institution says of a study without more ado, and what came
//! of it, in words.

use super::sentences::missing;
use crate::{
    chain::SWARM,
    motions::Acting,
    show::{self, name, phase, print_json, Names},
};
use anyhow::{Context, Result};
use clap::Args;
use codec::Encode;
use consilium_primitives::{
    round::{bit, Back, Mask, Pause, Phase, Study},
    InstitutionId, StudyId,
};
use serde_json::json;

/// What they take.
#[derive(Args)]
pub struct Plain {
    /// Number of the study
    number: StudyId,
    #[command(flatten)]
    acting: Acting,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The study begins.
    Start,
    /// This institution leaves it.
    Withdraw,
    /// It goes on.
    Resume,
    /// It ends.
    Abort,
    /// The masked sum that it waits for is given up.
    Abandon,
}

impl Voice {
    fn call(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Withdraw => "withdraw",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Abandon => "abandon",
        }
    }

    /// For programs.
    fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Withdraw => "left",
            Self::Resume => "asked to go on",
            Self::Abort => "asked to end",
            Self::Abandon => "asked to give the sum up",
        }
    }
}

/// Signs it, sends it, and says what came of it.
///
/// # Errors
/// There is no such study, or what the chain refused, with what stands in the way.
pub async fn speak(voice: Voice, options: Plain) -> Result<()> {
    let (acting, number) = (&options.acting, options.number);
    let signer = acting.signer()?;
    let chain = acting.chain().await?;
    show::existing(&chain, number, chain.best().await?, &acting.asks()).await?;
    let (who, own) = Acting::institution(&chain, &signer).await?;
    let sent = chain.submit(&signer, SWARM, voice.call(), number.encode()).await;
    let at = chain.best().await?;
    let study = show::existing(&chain, number, at, &acting.asks()).await?.state;
    let names = show::names(&chain.institutions(at).await?);
    if let Err(error) = sent {
        return match refused(voice, number, &study, &who, &names) {
            Some(words) => Err(error).context(words),
            None => Err(error),
        };
    }
    said(acting, number, voice.done(), &own, &outcome(voice, number, &study, &own, &names))
}

/// How a voice on a pause counts.
fn count(voices: Mask, study: &Study, pause: &Pause, names: &Names) -> String {
    format!(
        "{} of {} needed; {}, which proposed it, alone is enough",
        voices.count_ones(),
        study.rules.close_late(pause.roster.count_ones()),
        name(names, &study.proposer)
    )
}

/// Why the chain refused it, by how the study stands.
fn refused(voice: Voice, number: StudyId, study: &Study, who: &InstitutionId, names: &Names) -> Option<String> {
    let own =
        (0u8..).zip(study.members.iter()).find(|(_, member)| member.id == *who).map_or(0, |(index, _)| bit(index));
    let stands = format!("study {number} is not");
    Some(match (voice, &study.phase) {
        (Voice::Start, Phase::Enrolling { .. }) => {
            let (there, least) = (study.members.iter().filter(|m| m.active).count(), study.rules.min_participants);
            let absent = match missing(study, names).as_slice() {
                [] => String::new(),
                some => format!("; not enrolled yet: {}", some.join(", ")),
            };
            format!("study {number}: {there} have enrolled, at least {least} must{absent}")
        }
        (Voice::Start, _) => format!("{stands} to be started: it is {}, round {}", phase(study), study.round),
        (Voice::Resume | Voice::Abort, Phase::Paused(pause)) => {
            let voices = if voice == Voice::Resume { pause.resume } else { pause.abort };
            if voices & own == 0 {
                return None;
            }
            format!(
                "{} has said so already, and the first answer binds: {}",
                name(names, who),
                count(voices, study, pause, names)
            )
        }
        (Voice::Abandon, Phase::Paused(Pause { back: Back::Revealing(_) | Back::Summing(_), .. })) => return None,
        (Voice::Abandon, _) => {
            format!("{stands} paused for a masked sum: it is {}, round {}", phase(study), study.round)
        }
        (Voice::Resume, _) => format!("{stands} paused: it is {}, round {}", phase(study), study.round),
        (Voice::Abort, Phase::Enrolling { .. }) => {
            format!("study {number} enrols: {}, which proposed it, alone ends it now", name(names, &study.proposer))
        }
        (Voice::Abort, _) if study.ended() => format!("study {number} has ended already: it is {}", phase(study)),
        (Voice::Abort, _) => running(number, study),
        (Voice::Withdraw, _) if own == 0 => format!("{} is no member of study {number}", name(names, who)),
        (Voice::Withdraw, _) if study.ended() => {
            format!("study {number} is over, and there is nothing to leave: it is {}", phase(study))
        }
        (Voice::Withdraw, _) => return None,
    })
}

/// How a study that runs can be ended: nobody ends it while enough take part.
fn running(number: StudyId, study: &Study) -> String {
    let there = study.members.iter().filter(|member| member.active).count();
    let least = study.rules.freeze_needs(u32::try_from(there).unwrap_or(u32::MAX));
    let smallest = study.rules.min_participants.max(study.rules.rule_min);
    format!(
        "study {number} runs, and so is not ended by one institution: it is {}, round {} of at most {}, and ends by itself after the          last. Leave it with `consilium study withdraw {number}`: what this site has sent stays in the rounds that have closed, and the          others go on without it. {there} take part; a round needs the updates of {least} of them. Where too few send any, it pauses: then its          proposer, or enough of its members, end it with `consilium study abort {number}`; once fewer than {smallest} take part, it          pauses before the next round",
        phase(study),
        study.round,
        study.rules.max_rounds
    )
}

/// What came of it.
fn outcome(voice: Voice, number: StudyId, study: &Study, own: &str, names: &Names) -> String {
    match (voice, &study.phase) {
        (Voice::Start, _) => format!("study {number} is started by {own}"),
        (Voice::Withdraw, _) => format!("{own} has left study {number}"),
        (Voice::Resume, Phase::Paused(pause)) if pause.resume != 0 => {
            format!("study {number}: {own} asks that it goes on: {}", count(pause.resume, study, pause, names))
        }
        (Voice::Resume, _) => format!("study {number} goes on, as {own} asked"),
        (Voice::Abort, Phase::Paused(pause)) => {
            format!("study {number}: {own} asks that it ends: {}", count(pause.abort, study, pause, names))
        }
        (Voice::Abort, _) => format!("study {number} has ended, as {own} asked"),
        (Voice::Abandon, Phase::Paused(Pause { back: Back::Revealing(_) | Back::Summing(_), roster, .. })) => format!(
            "study {number}: {own} asks that the sum is given up: as many must ask as let it go on, {}; {}, which proposed it, alone is enough",
            study.rules.close_late(roster.count_ones()),
            name(names, &study.proposer)
        ),
        (Voice::Abandon, _) => {
            format!("study {number}: the sum is given up, as {own} asked; its round is void, and the next one trains anew")
        }
    }
}

/// Says what was signed.
pub fn said(acting: &Acting, study: StudyId, done: &str, own: &str, text: &str) -> Result<()> {
    if acting.json() {
        return print_json(&json!({ "study": study, "done": done, "institution": own }));
    }
    out!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::round::{AbortReason, Kind, PauseReason, PerMember};

    fn paused(resume: Mask) -> (Study, Names) {
        let world = World::new();
        let mut study = world.history.info.state.clone();
        let back = Back::Collecting { kind: Kind::Model, commitments: PerMember::new(), dropped: 0 };
        let reason = PauseReason::TooFewUpdates;
        study.phase = Phase::Paused(Pause { reason, until: 99, roster: 7, resume, abort: 0, back });
        (study, world.history.names.clone())
    }

    #[test]
    fn who_asks_that_a_study_goes_on_is_told_whether_it_does_and_what_is_missing() {
        let (study, names) = paused(0b10);
        let (own, proposer) = (name(&names, &study.members[1].id), name(&names, &study.proposer));
        let said = outcome(Voice::Resume, 2, &study, &own, &names);
        assert_eq!(
            said,
            format!(
                "study 2: {own} asks that it goes on: 1 of 2 needed; {proposer}, which proposed it, alone is enough"
            )
        );
        let again = refused(Voice::Resume, 2, &study, &study.members[1].id, &names).unwrap();
        assert!(again.contains(&own) && again.contains("1 of 2 needed"), "{again}");
        // another's voice is not this one's, and the chain's own words say why it was refused
        assert_eq!(refused(Voice::Resume, 2, &study, &study.members[0].id, &names), None);
        let mut goes_on = study.clone();
        goes_on.phase = World::new().history.info.state.phase;
        assert_eq!(outcome(Voice::Resume, 2, &goes_on, &own, &names), format!("study 2 goes on, as {own} asked"));
        let late = refused(Voice::Resume, 2, &goes_on, &study.members[1].id, &names).unwrap();
        assert!(late.contains("is not paused: it is "), "{late}");
    }

    #[test]
    fn who_starts_too_early_is_told_who_has_not_enrolled() {
        let (mut study, names) = paused(0);
        study.phase = Phase::Enrolling { until: 9 };
        let absent = InstitutionId([9; 32]);
        study.rules.invited.try_push(absent).unwrap();
        let said = refused(Voice::Start, 1, &study, &study.proposer, &names).unwrap();
        assert!(said.contains(&format!("not enrolled yet: {absent}")), "{said}");
        let said = refused(Voice::Withdraw, 1, &study, &absent, &names).unwrap();
        assert!(said.contains("no member of study 1"), "{said}");
        let own = study.members[0].id;
        assert_eq!(refused(Voice::Withdraw, 1, &study, &own, &names), None);
        study.phase = Phase::Aborted { reason: AbortReason::Decided };
        let said = refused(Voice::Withdraw, 1, &study, &own, &names).unwrap();
        assert!(said.contains("study 1 is over") && said.contains("of its members, decided so"), "{said}");
    }

    #[test]
    fn who_would_end_a_study_that_runs_is_told_what_ends_one() {
        let (mut study, names) = paused(0);
        study.phase = Phase::Init { roster: 7, votes: PerMember::new(), until: 99 };
        let own = study.members[0].id;
        let said = refused(Voice::Abort, 1, &study, &own, &names).unwrap();
        for part in [
            "study 1 runs",
            "`consilium study withdraw 1`",
            "3 take part",
            "needs the updates of 2",
            "it pauses",
            "study abort 1",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        study.phase = Phase::Enrolling { until: 9 };
        let said = refused(Voice::Abort, 1, &study, &own, &names).unwrap();
        assert!(said.contains("enrols") && said.contains(&name(&names, &study.proposer)), "{said}");
        study.phase = Phase::Aborted { reason: AbortReason::Decided };
        assert!(refused(Voice::Abort, 1, &study, &own, &names).unwrap().contains("has ended already"));
    }

    #[test]
    fn every_success_names_who_has_signed() {
        let (study, names) = paused(0b1);
        for voice in [Voice::Start, Voice::Withdraw, Voice::Resume, Voice::Abort] {
            let said = outcome(voice, 1, &study, "Birch Hospital", &names);
            assert!(said.contains("Birch Hospital"), "{said}");
        }
    }
}
