//! What went wrong in a study, and what came of it: from its closed rounds, and from what its blocks tell.

use super::certified::{merged, names as names_of, Lacks};
use crate::{
    dashboard::state::{Round, Study},
    late::tell::{self, By, Note, Said, What, Which},
    plain::counted,
    show::{dropped_name, failure_name, name, pause_name, why_dropped, why_paused, why_void, Names},
    study::answers::why,
};
use consilium_primitives::InstitutionId;
use serde::Serialize;

/// Something that did not go as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// In which part of the study.
    pub place: String,
    /// In which block, the first time; none where only the round is known.
    pub block: Option<u32>,
    /// `dropped`, `dissent`, `failure`, `slow`, `not_awaited`, `pause`, `fell_back`, `stood`, `attempts`, `absent` (of rounds in a row: in the block that
    /// closed the first one) or `not_measured` (of the certified round).
    pub kind: &'static str,
    /// Whose.
    pub sites: Vec<String>,
    /// How often: the same in rounds in a row is one fault.
    pub times: u32,
    /// What happened, in words.
    pub words: String,
}

/// A fault, and where it stands in the order of rounds.
struct Happened {
    /// 0 for statistics, 1 for the initial model, and so on.
    turn: u32,
    /// Itself.
    fault: Fault,
    /// What came of it, which is another each time.
    then: String,
}

impl Happened {
    /// Whether the other one is the same again: in the same round, or in the next one.
    fn again(&self, next: &Self) -> bool {
        let (this, next, turn) = (&self.fault, &next.fault, next.turn);
        let same = this.kind == next.kind && this.sites == next.sites && this.words == next.words;
        same && turn >= self.turn && turn <= self.turn.saturating_add(1)
    }
}

/// The same in rounds in a row as one: a site that refuses each of them is told once, with how often.
fn runs(mut all: Vec<Happened>) -> Vec<Fault> {
    all.sort_by_key(|one| (one.turn, one.fault.block));
    let mut runs: Vec<Vec<Happened>> = Vec::new();
    for one in all {
        let run = runs.iter_mut().rev().find(|run| run.last().is_some_and(|last| last.again(&one)));
        match run {
            Some(run) => run.push(one),
            None => runs.push(vec![one]),
        }
    }
    runs.into_iter().filter_map(one_of).collect()
}

/// A run as one fault.
fn one_of(mut run: Vec<Happened>) -> Option<Fault> {
    let times = u32::try_from(run.len()).unwrap_or(u32::MAX);
    let Happened { fault: last, then, .. } = run.pop()?;
    let Some(Happened { fault: first, .. }) = run.into_iter().next() else {
        return Some(Fault { words: last.words + &then, ..last });
    };
    let to = last.block.map_or_else(String::new, |block| format!(", the last time in block {block}"));
    Some(Fault {
        place: span(&first.place, &last.place),
        times,
        words: format!("{times} times{to}: {}{then}", first.words),
        ..first
    })
}

/// From one part of the study to another.
fn span(first: &str, last: &str) -> String {
    match (first.strip_prefix("round "), last.strip_prefix("round ")) {
        _ if first == last => first.to_owned(),
        (Some(first), Some(last)) => format!("rounds {first} to {last}"),
        _ => format!("{first} to {last}"),
    }
}

/// How a round is called.
pub fn called(round: &Round) -> String {
    match round.kind.as_str() {
        "statistics" => "statistics".into(),
        "initial" => "initial model".into(),
        _ => format!("round {}", round.round),
    }
}

/// All of them, in the order of rounds: what the records of closed rounds have, and what blocks tell, where these were read.
pub fn faults(study: &Study, told: Option<&[tell::Round]>, names: &Names) -> Vec<Fault> {
    let who = |place: &u8| {
        study.members.get(usize::from(*place)).map_or_else(|| format!("member {place}"), |m| m.name.clone())
    };
    let mut each = Vec::new();
    for round in &study.rounds {
        let turn = match round.kind.as_str() {
            "statistics" => 0,
            "initial" => 1,
            _ => round.round.saturating_add(1),
        };
        let mut push = |kind, sites, words| {
            let fault = Fault { place: called(round), block: Some(round.closed), kind, sites, times: 1, words };
            each.push(Happened { turn, fault, then: String::new() });
        };
        for (place, why) in &round.dropped {
            push("dropped", vec![who(place)], format!("{}'s update was dropped: {why}", who(place)));
        }
        for (place, root) in &round.dissenters {
            let words =
                format!("{} computed another result than the others: {}…", who(place), root.get(..12).unwrap_or(root));
            push("dissent", vec![who(place)], words);
        }
        if round.attempts > 1 {
            push("attempts", Vec::new(), format!("the merge took {}", counted(round.attempts.into(), "attempt")));
        }
    }
    each.extend(told.into_iter().flatten().flat_map(|round| of_blocks(round, names)));
    let mut all = runs(each);
    all.extend(absences(study));
    // by blocks, which is the order in which it happened
    all.sort_by_key(|fault| fault.block);
    all
}

/// Which sites did not take part in which rounds of training, rounds in a row as one; and who did not measure the certified one.
fn absences(study: &Study) -> Vec<Fault> {
    let trained: Vec<&Round> =
        study.rounds.iter().filter(|round| round.kind == "round" && !round.inputs.is_empty()).collect();
    let mut all = Vec::new();
    for (place, member) in study.members.iter().enumerate() {
        let dropped = |round: &Round| round.dropped.iter().any(|(who, _)| usize::from(*who) == place);
        let gone = |round: &Round| !merged(round, place) && !dropped(round);
        for run in trained.chunk_by(|a, b| gone(a) == gone(b)) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let times = u32::try_from(run.len()).unwrap_or(u32::MAX);
                all.extend(gone(first).then(|| absence(&member.name, first, last, times)));
            }
        }
    }
    if let Some(lacks) = Lacks::of(study).filter(|lacks| !lacks.figures.is_empty()) {
        let who = names_of(study, &lacks.figures);
        all.push(Fault {
            place: called(lacks.round),
            block: Some(lacks.round.closed),
            kind: "not_measured",
            sites: lacks.figures.iter().filter_map(|place| Some(study.members.get(*place)?.name.clone())).collect(),
            times: 1,
            words: format!(
                "the round was certified without a figure of {who} on its own rows, which had no say in the choice"
            ),
        });
    }
    all
}

/// A site that is in none of these rounds, which are so many.
fn absence(name: &str, first: &Round, last: &Round, times: u32) -> Fault {
    Fault {
        place: span(&called(first), &called(last)),
        block: Some(first.closed),
        kind: "absent",
        sites: vec![name.to_owned()],
        times,
        words: format!("{name} did not take part: no update of its rows was merged"),
    }
}

/// What the blocks of a round tell beyond its record.
fn of_blocks(round: &tell::Round, names: &Names) -> Vec<Happened> {
    let (turn, place) = match round.which {
        Which::Statistics => (0, "statistics".to_owned()),
        Which::Initial => (1, "initial model".into()),
        Which::Round(round) => (round.saturating_add(1), format!("round {round}")),
        Which::End => (u32::MAX, "end".into()),
    };
    let who = |id: &InstitutionId| name(names, id);
    let mut all = Vec::new();
    for stage in &round.stages {
        let mut push_then = |block: u32, kind, sites: Vec<String>, words, then| {
            let fault = Fault { place: place.clone(), block: Some(block), kind, sites, times: 1, words };
            all.push(Happened { turn, fault, then });
        };
        let mut push = |block, kind, sites, words| push_then(block, kind, sites, words, String::new());
        for word in &stage.words {
            if let Said::Fails(code) = word.said {
                let site = who(&word.who);
                push(
                    word.at.block,
                    "failure",
                    vec![site.clone()],
                    format!("no part came from {site}: {} ({})", why(code), failure_name(code)),
                );
            }
        }
        for (at, note) in &stage.notes {
            match note {
                Note::Extended(silent) => {
                    let sites: Vec<String> = silent.iter().map(who).collect();
                    let words = format!("the deadline was moved once, since {} had not answered yet", sites.join(", "));
                    push(at.block, "slow", sites, words);
                }
                Note::Stood => {
                    let words = "the merge waited, and no time was counted: too many sites did not have the final list of its updates yet".into();
                    push(at.block, "stood", Vec::new(), words);
                }
                Note::NotAwaited(id, before, back) => {
                    let words = format!(
                        "{} was not waited for until round {back}, since nothing came from it in round {before} and in this one",
                        who(id)
                    );
                    push(at.block, "not_awaited", vec![who(id)], words);
                }
                Note::FellBack(from, to) => {
                    let words = format!("the study went on from the model of round {to} in place of round {from}");
                    push(at.block, "fell_back", Vec::new(), words);
                }
                // the record of a round that has closed names it; a round that has not has no record
                Note::Dropped(id, reason) if round.closed.is_none() => {
                    let (why, code) = (why_dropped(*reason), dropped_name(*reason));
                    push(
                        at.block,
                        "dropped",
                        vec![who(id)],
                        format!("{}: its update was dropped: {why} ({code})", who(id)),
                    );
                }
                Note::Void(why) => {
                    push(at.block, "void", Vec::new(), format!("nothing came of it: {}", why_void(*why, names)))
                }
                Note::Dropped(..) | Note::WentOn => {}
            }
        }
        if let What::Pause(reason) = stage.what {
            let end = match stage.ended {
                None => "; it has not gone on".into(),
                Some((at, by)) => {
                    let how = match by {
                        By::There => "went on by itself, once enough sites were there",
                        By::People => "went on when its people let it",
                        By::End(_) => "ended",
                        _ => "went on",
                    };
                    format!("; it {how} in block {}", at.block)
                }
            };
            push_then(
                stage.asked.block,
                "pause",
                Vec::new(),
                format!("the study was paused: {} ({})", why_paused(reason), pause_name(reason)),
                end,
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dashboard::state::Member,
        late::{
            read::At,
            tell::{Stage, Word},
        },
    };
    use consilium_primitives::{round::PauseReason, FailureCode};

    fn at(block: u32) -> At {
        At { block, millis: 0 }
    }

    #[test]
    fn what_records_and_blocks_tell_stands_in_one_order_with_names_and_reasons() {
        let member = |name: &str| Member { name: name.into(), active: true, ..Member::default() };
        let round = Round {
            kind: "round".into(),
            round: 2,
            closed: 40,
            dropped: vec![(1, "too few others could get its update".into())],
            dissenters: vec![(0, "ab".repeat(32))],
            attempts: 2,
            ..Round::default()
        };
        let study = Study { members: vec![member("Alder"), member("Birch")], rounds: vec![round], ..Study::default() };
        let birch = InstitutionId([2; 32]);
        let names = Names::from([(birch, "Birch".to_owned())]);
        let stage =
            |what, asked, words, notes, ended| Stage { what, asked: at(asked), words, late: Vec::new(), notes, ended };
        let failed = Word { who: birch, at: at(12), said: Said::Fails(FailureCode::OutOfDisk), ahead: false };
        let told = [tell::Round {
            which: Which::Round(1),
            stages: vec![
                stage(What::Updates, 10, vec![failed], vec![(at(14), Note::Extended(vec![birch]))], None),
                stage(What::Pause(PauseReason::TooFewUpdates), 16, Vec::new(), Vec::new(), Some((at(30), By::There))),
            ],
            closed: Some(at(35)),
        }];
        let all = faults(&study, Some(&told), &names);
        let kinds: Vec<(u32, &str)> = all.iter().map(|fault| (fault.block.unwrap(), fault.kind)).collect();
        let wanted = [(12, "failure"), (14, "slow"), (16, "pause"), (40, "dropped"), (40, "dissent"), (40, "attempts")];
        assert_eq!(kinds, wanted);
        assert!(all[0].words.contains("Birch: its disk is full (OutOfDisk)"), "{}", all[0].words);
        assert!(
            all[2].words.contains("fewer sites have sent") && all[2].words.contains("in block 30"),
            "{}",
            all[2].words
        );
        assert!(all[4].words.starts_with("Alder computed another result") && all[4].place == "round 2");
        // without blocks, the records alone
        assert_eq!(faults(&study, None, &names).len(), 3);
    }

    #[test]
    fn who_was_not_waited_for_is_said_with_until_when_and_why() {
        let birch = InstitutionId([2; 32]);
        let names = Names::from([(birch, "Birch".to_owned())]);
        let notes = vec![(at(15), Note::NotAwaited(birch, 1, 8))];
        let (words, late, ended) = (Vec::new(), Vec::new(), None);
        let stages = vec![Stage { what: What::Updates, asked: at(10), words, late, notes, ended }];
        let all =
            faults(&Study::default(), Some(&[tell::Round { which: Which::Round(2), stages, closed: None }]), &names);
        let said = "Birch was not waited for until round 8, since nothing came from it in round 1 and in this one";
        assert_eq!(
            (all.len(), all[0].kind, all[0].place.as_str(), all[0].words.as_str()),
            (1, "not_awaited", "round 2", said)
        );
    }

    #[test]
    fn the_same_in_rounds_in_a_row_is_one_line_with_how_often() {
        let member = |name: &str| Member { name: name.into(), active: true, ..Member::default() };
        let study = Study { members: vec![member("Alder"), member("Birch")], ..Study::default() };
        let (alder, birch) = (InstitutionId([1; 32]), InstitutionId([2; 32]));
        let names = Names::from([(alder, "Alder".to_owned()), (birch, "Birch".to_owned())]);
        let word = |who, block, code| Word { who, at: at(block), said: Said::Fails(code), ahead: false };
        // Birch refuses rounds 3 to 6, the last of them twice, and after each there is a pause; Alder fails once, in round 4
        let round = |n: u32, more: Vec<Word>| {
            let mut words = vec![word(birch, 10 * n, FailureCode::Refused)];
            words.extend(more);
            let stage = |what, asked, words, ended| Stage {
                what,
                asked: at(asked),
                words,
                late: Vec::new(),
                notes: Vec::new(),
                ended,
            };
            let pause = What::Pause(PauseReason::TooFewUpdates);
            let stages = vec![
                stage(What::Updates, 10 * n - 1, words, None),
                stage(pause, 10 * n + 2, Vec::new(), Some((at(10 * n + 3), By::There))),
            ];
            tell::Round { which: Which::Round(n), stages, closed: None }
        };
        let told = [
            round(3, Vec::new()),
            round(4, vec![word(alder, 41, FailureCode::OutOfDisk)]),
            round(5, Vec::new()),
            round(6, vec![word(birch, 61, FailureCode::Refused)]),
            // and again, after a round without it
            round(8, Vec::new()),
        ];
        let all = faults(&study, Some(&told), &names);
        let brief: Vec<(&str, &str, u32, Option<u32>)> =
            all.iter().map(|fault| (fault.place.as_str(), fault.kind, fault.times, fault.block)).collect();
        let wanted = [
            ("rounds 3 to 6", "failure", 5, Some(30)),
            ("rounds 3 to 6", "pause", 4, Some(32)),
            ("round 4", "failure", 1, Some(41)),
            ("round 8", "failure", 1, Some(80)),
            ("round 8", "pause", 1, Some(82)),
        ];
        assert_eq!(brief, wanted);
        let said = "5 times, the last time in block 61: no part came from Birch";
        assert!(all[0].words.starts_with(said), "{}", all[0].words);
        let said = "4 times, the last time in block 62: the study was paused: ";
        assert!(all[1].words.starts_with(said) && all[1].words.ends_with("in block 63"), "{}", all[1].words);
        assert_eq!(span("statistics", "round 2"), "statistics to round 2");
    }
}
