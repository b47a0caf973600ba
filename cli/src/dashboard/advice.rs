//! What the own people are to do now, the most pressing first. Pure, but for where the own table lies.

use super::{
    absent::Absent,
    fetched::Model,
    finished::finished,
    missing::{missing, silent},
    site::Site,
    state::{Check, Consortium, State, Todo},
};
use crate::{
    chain::StudyInfo,
    show::{why_aborted, why_paused},
    up::studies::AWAY,
};
use consilium_primitives::{
    round::{bit, Phase},
    Hash, InstitutionId, StudyId,
};
use std::{collections::BTreeMap, path::PathBuf};

/// For how long the chain lists a study for its files after its end.
const LISTED_MS: u64 = 86_400_000;

/// A study, and what its specification says of it.
#[derive(Clone)]
pub struct Listed {
    /// As the chain has it.
    pub info: StudyInfo,
    /// Its title.
    pub title: String,
    /// Whose updates are missing, where the own institution takes part and the study runs.
    pub absent: Vec<Absent>,
    /// Its model, where it lies on this machine already.
    pub model: Option<Model>,
    /// The page of a report on this machine that compares it with a model of the own rows alone, where the own node holds the model.
    pub report: Option<PathBuf>,
}

/// What is not pressing is told in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Somebody is missing now.
    Missing,
    /// A study or a motion goes on when our people do something.
    Open,
    /// A study is over: it can be done later.
    Over,
}

/// What is to be done: whether something stands still until it is, what and why, and what to type.
pub type Asked = (bool, String, Vec<String>);

/// What is to be done.
pub fn advice(site: &Site, state: &State, studies: &BTreeMap<StudyId, Listed>) -> Vec<Todo> {
    let dir = &site.shown;
    let mut list = Vec::new();
    let mut put = |rank: Rank, (pressing, words, commands): Asked| {
        list.push((rank, Todo { pressing, words, commands }));
    };
    if let Some(why) = &state.unreachable {
        let words = format!("Our node does not answer: {why}");
        put(
            Rank::Open,
            (true, words, vec![format!("consilium up --dir {dir}"), format!("consilium doctor --dir {dir}")]),
        );
    }
    if let Some(why) = &state.stands {
        let words = format!("The chain has stopped, or its blocks do not become final: {why}");
        put(Rank::Open, (true, words, vec![format!("consilium doctor --dir {dir}")]));
    }
    // what a check finds wrong names what to type
    let own = InstitutionId(site.id);
    let away = studies.values().flat_map(|listed| &listed.absent).any(|gone| gone.who == own);
    // an own absence is told below, with since when
    let twice = |check: &Check| away && check.words.contains(AWAY);
    for check in state.checks.iter().filter(|check| !check.well && !twice(check)) {
        let words = match check.what.as_str() {
            "study" => format!("Study {}", check.words),
            what => format!("To be mended, {what}: {}", check.words),
        };
        put(Rank::Open, (true, words, vec![format!("consilium doctor --dir {dir}")]));
    }
    for (number, listed) in studies {
        let rank = if listed.info.state.ended() { Rank::Over } else { Rank::Open };
        let missing = listed.absent.iter().map(|gone| {
            missing(site, (*number, listed.title.as_str(), listed.info.state.rules.max_rounds), gone, &state.consortium)
        });
        if let Some(asked) = of_study(site, *number, listed, &state.consortium) {
            put(rank, asked);
        }
        missing.for_each(|asked| put(Rank::Missing, asked));
    }
    silent(site, state, studies).for_each(|asked| put(Rank::Missing, asked));
    for motion in state.motions.iter().filter(|motion| motion.ours) {
        let number = motion.number;
        let words = format!("Motion {number} waits for our vote: {}", motion.headline);
        let look = format!("consilium motions {number} --dir {dir}");
        let votes = ["aye", "nay"].map(|vote| format!("consilium vote {number} {vote} --dir {dir}"));
        put(Rank::Open, (false, words, [look].into_iter().chain(votes).collect()));
    }
    // what is alike stays in the order in which it was found
    list.sort_by_key(|(rank, todo)| (!todo.pressing, *rank));
    list.into_iter().map(|(_, todo)| todo).collect()
}

/// What a study asks of the own people.
fn of_study(site: &Site, number: StudyId, listed: &Listed, chain: &Consortium) -> Option<Asked> {
    let (dir, title, study) = (&site.shown, &listed.title, &listed.info.state);
    let own = InstitutionId(site.id);
    let member = study.members.iter().find(|member| member.id == own);
    let proposes = study.proposer == own;
    let named = format!("Study {number}, “{title}”,");
    match &study.phase {
        Phase::Enrolling { .. } if member.is_none() => {
            let asked = study.rules.invited.is_empty() || study.rules.invited.contains(&own);
            let read = format!("consilium study {number} --dir {dir}");
            let agreement = hex::encode(listed.info.agreement);
            let enrol = format!("consilium study enrol {number} --agreement {agreement} --data FILE --dir {dir}");
            asked.then(|| {
                (
                    false,
                    format!("{named} is open to us: read what is signed, then enrol with our table"),
                    vec![read, enrol],
                )
            })
        }
        Phase::Enrolling { .. } if proposes => {
            let enrolled = study.members.iter().filter(|member| member.active).count();
            let words = format!(
                "{named} is ours to start, once all have enrolled who should ({enrolled} {})",
                if enrolled == 1 { "has" } else { "have" }
            );
            Some((false, words, vec![format!("consilium study start {number} --dir {dir}")]))
        }
        Phase::Paused(pause) if member.is_some_and(|member| member.active) => {
            let words =
                format!("{named} is paused: {}. Mend what is named below; then it can go on", why_paused(pause.reason));
            Some((true, words, vec![format!("consilium study resume {number} --dir {dir}")]))
        }
        Phase::Completed(_) => {
            at_hand(&own, &listed.info, chain.best, chain.block_ms)?;
            finished(site, number, listed)
        }
        Phase::Aborted { reason }
            if (member.is_some() || proposes) && fresh(&listed.info, chain.best, chain.block_ms) =>
        {
            let words = format!(
                "{named} has ended without a model: {}. The line below shows who had not done what, and how to begin anew",
                why_aborted(*reason)
            );
            Some((false, words, vec![format!("consilium study {number} --dir {dir}")]))
        }
        _ => None,
    }
}

/// Whether a study has ended less than a day ago.
fn fresh(info: &StudyInfo, best: u32, block_ms: u32) -> bool {
    let ended = best.saturating_sub(info.state.ended_at.unwrap_or_default());
    u64::from(ended) * u64::from(block_ms) < LISTED_MS
}

/// The hash of a study's model, where the own node holds it and the chain still lists its files.
pub fn at_hand(own: &InstitutionId, info: &StudyInfo, best: u32, block_ms: u32) -> Option<Hash> {
    let Phase::Completed(found) = &info.state.phase else { return None };
    let at = info.state.position(own)?;
    (found.held & bit(at) != 0 && fresh(info, best, block_ms)).then_some(found.root)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::state::Motion, *};
    use crate::{audit::testing::World, up::arguments::tests::settings};
    use consilium_primitives::round::{AbortReason, Back, Kind, Pause, PauseReason, PerMember};

    fn site(id: u8) -> Site {
        Site {
            dir: "/srv/alder".into(),
            shown: "alder".into(),
            settings: settings(),
            id: [id; 32],
            name: "Alder".into(),
            report: "report.json".into(),
            bin_dir: None,
        }
    }

    fn told(id: u8, state: &State, listed: &Listed) -> Vec<(bool, String)> {
        let all = advice(&site(id), state, &BTreeMap::from([(4, listed.clone())]));
        all.into_iter().map(|todo| (todo.pressing, format!("{} $ {}", todo.words, todo.commands.join(" $ ")))).collect()
    }

    #[test]
    fn what_waits_for_our_people_is_said_with_what_to_type_the_most_pressing_first() {
        let mut listed = Listed {
            info: World::new().history.info,
            title: "Sepsis".into(),
            absent: Vec::new(),
            model: None,
            report: None,
        };
        let member = listed.info.state.members[0].id.0[0];
        let mut state = State::default();
        (state.consortium.best, state.consortium.block_ms) = (900, 500);
        listed.info.state.ended_at = Some(890);
        let all = told(member, &state, &listed);
        assert!(all[0].1.contains("consilium study fetch 4 --dir alder") && !all[0].0, "{all:?}");
        // what is done is asked for no more
        listed.report = Some("report-4.html".into());
        listed.model = Some(Model { folder: "got it".into(), ready: true });
        assert!(told(member, &state, &listed).is_empty());
        listed.model = None;
        // a day after its end the files may go
        state.consortium.best = 890 + 172_800;
        assert!(told(member, &state, &listed).is_empty());
        // paused: before the vote that is asked for
        let back = Back::Collecting { kind: Kind::Model, commitments: PerMember::new(), dropped: 0 };
        let reason = PauseReason::TooFewUpdates;
        listed.info.state.phase = Phase::Paused(Pause { reason, until: 99, roster: 7, resume: 0, abort: 0, back });
        state.motions = vec![Motion { number: 7, headline: "suspend west".into(), ours: true, ..Motion::default() }];
        let all = told(member, &state, &listed);
        assert!(all[0].0 && all[0].1.contains("consilium study resume 4 --dir alder"), "{all:?}");
        assert!(!all[1].0 && all[1].1.contains("consilium vote 7 nay --dir alder"), "{all:?}");
        // the folder is enough: its node is asked
        assert!(all[1].1.contains("consilium motions 7 --dir alder") && !all[1].1.contains("--url"), "{all:?}");
        state.motions[0].ours = false;
        assert_eq!(told(member, &state, &listed).len(), 1);
        // who is no member is asked for nothing
        assert!(told(99, &state, &listed).is_empty());
        // open to all: to us, too
        listed.info.state.phase = Phase::Enrolling { until: 99 };
        let all = told(99, &state, &listed);
        assert!(all[0].1.contains("consilium study enrol 4 --agreement") && all[0].1.contains("Sepsis"), "{all:?}");
        listed.info.state.rules.invited.try_push(InstitutionId([98; 32])).unwrap();
        assert!(told(99, &state, &listed).is_empty(), "others are invited");
        state.checks = vec![Check { what: "disk".into(), well: false, words: "0.1 GiB free".into() }];
        state.unreachable = Some("no node answers".into());
        let all = told(99, &state, &listed);
        assert!(all[0].1.contains("consilium up --dir alder") && all[1].1.contains("disk: 0.1 GiB"), "{all:?}");
    }

    #[test]
    fn who_is_missing_in_a_study_that_runs_stands_above_what_a_finished_one_leaves_to_do() {
        let over = Listed {
            info: World::new().history.info,
            title: "Sepsis".into(),
            absent: Vec::new(),
            model: None,
            report: None,
        };
        let [own, other] = [0usize, 1].map(|at| over.info.state.members[at].id);
        let mut runs = over.clone();
        runs.info.state.phase = Phase::FinalEvaluation { roster: 7, reported: 0, until: 99 };
        runs.absent = vec![Absent { who: other, last: None, without: 2, left_out_until: None, unawaited: None }];
        let mut state = State::default();
        (state.consortium.best, state.consortium.block_ms) = (900, 500);
        let mut ended = over;
        ended.info.state.ended_at = Some(890);
        state.motions = vec![Motion { number: 7, headline: "suspend west".into(), ours: true, ..Motion::default() }];
        let all = advice(&site(own.0[0]), &state, &BTreeMap::from([(3, ended), (4, runs)]));
        let parts = ["is missing in study 4", "Motion 7", "Study 3, “Sepsis”, has its model"];
        assert_eq!(all.len(), parts.len(), "{all:?}");
        assert!(all.iter().zip(parts).all(|(todo, part)| todo.words.contains(part)), "{all:?}");
    }

    #[test]
    fn an_own_absence_is_asked_for_once() {
        let info = World::new().history.info;
        let own = info.state.members[0].id;
        let gone = Absent { who: own, last: None, without: 2, left_out_until: None, unawaited: None };
        let mut listed = Listed { info, title: "Sepsis".into(), absent: Vec::new(), model: None, report: None };
        listed.info.state.phase = Phase::FinalEvaluation { roster: 7, reported: 0, until: 99 };
        let words = format!("4: training; round 3 {AWAY}: see its log");
        let checks = vec![Check { what: "study".into(), well: false, words }];
        let state = State { checks, ..State::default() };
        let all = told(own.0[0], &state, &listed);
        assert!(all.len() == 1 && all[0].1.starts_with("Study 4: training"), "{all:?}");
        listed.absent.push(gone);
        let all = told(own.0[0], &state, &listed);
        assert!(all.len() == 1 && all[0].1.starts_with("Our own part is missing in study 4"), "{all:?}");
    }

    #[test]
    fn a_study_that_ended_without_a_model_is_told_for_a_day() {
        let mut listed = Listed {
            info: World::new().history.info,
            title: "Sepsis".into(),
            absent: Vec::new(),
            model: None,
            report: None,
        };
        let member = listed.info.state.members[0].id.0[0];
        listed.info.state.phase = Phase::Aborted { reason: AbortReason::Stalled };
        listed.info.state.ended_at = Some(890);
        let mut state = State::default();
        (state.consortium.best, state.consortium.block_ms) = (900, 500);
        let all = told(member, &state, &listed);
        assert!(all[0].1.contains("ended without a model: training stalled"), "{all:?}");
        assert!(told(99, &state, &listed).is_empty(), "it was not theirs");
        state.consortium.best = 890 + 172_800;
        assert!(told(member, &state, &listed).is_empty());
    }
}
