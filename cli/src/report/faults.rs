//! What went wrong in a study, and what came of it: from its closed rounds, and from what its blocks tell.

use super::certified::{merged, names as names_of, Lacks};
use crate::{
    dashboard::state::{Round, Study},
    late::tell::{self, By, Note, Said, What, Which},
    plain::counted,
    show::{dropped_name, failure_name, name, pause_name, why_dropped, why_paused, Names},
    study::answers::why,
};
use consilium_primitives::InstitutionId;
use serde::Serialize;

/// Something that did not go as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// In which part of the study.
    pub place: String,
    /// In which block; none where only the round is known.
    pub block: Option<u32>,
    /// `dropped`, `dissent`, `failure`, `slow`, `pause`, `fell_back`, `stood`, `attempts`, `absent` (of rounds in a row: in the block that
    /// closed the first one) or `not_measured` (of the certified round).
    pub kind: &'static str,
    /// Whose.
    pub sites: Vec<String>,
    /// What happened, in words.
    pub words: String,
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
    let mut all = Vec::new();
    for round in &study.rounds {
        let fault = |kind, sites, words| Fault { place: called(round), block: Some(round.closed), kind, sites, words };
        for (place, why) in &round.dropped {
            all.push(fault("dropped", vec![who(place)], format!("{}'s update was dropped: {why}", who(place))));
        }
        for (place, root) in &round.dissenters {
            let words =
                format!("{} computed another result than the others: {}…", who(place), root.get(..12).unwrap_or(root));
            all.push(fault("dissent", vec![who(place)], words));
        }
        if round.attempts > 1 {
            all.push(fault(
                "attempts",
                Vec::new(),
                format!("the merge took {}", counted(round.attempts.into(), "attempt")),
            ));
        }
    }
    all.extend(absences(study));
    all.extend(told.into_iter().flatten().flat_map(|round| of_blocks(round, names)));
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
                all.extend(gone(first).then(|| absence(&member.name, first, last)));
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
            words: format!(
                "the round was certified without a figure of {who} on its own rows, which had no say in the choice"
            ),
        });
    }
    all
}

/// A site that is in none of these rounds.
fn absence(name: &str, first: &Round, last: &Round) -> Fault {
    let place = match first.round == last.round {
        true => called(first),
        false => format!("rounds {} to {}", first.round, last.round),
    };
    Fault {
        place,
        block: Some(first.closed),
        kind: "absent",
        sites: vec![name.to_owned()],
        words: format!("{name} did not take part: no update of its rows was merged"),
    }
}

/// What the blocks of a round tell beyond its record.
fn of_blocks(round: &tell::Round, names: &Names) -> Vec<Fault> {
    let place = match round.which {
        Which::Statistics => "statistics".to_owned(),
        Which::Initial => "initial model".into(),
        Which::Round(round) => format!("round {round}"),
        Which::End => "end".into(),
    };
    let who = |id: &InstitutionId| name(names, id);
    let mut all = Vec::new();
    for stage in &round.stages {
        let mut push = |block: u32, kind, sites: Vec<String>, words| {
            all.push(Fault { place: place.clone(), block: Some(block), kind, sites, words });
        };
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
            push(
                stage.asked.block,
                "pause",
                Vec::new(),
                format!("the study was paused: {} ({}){end}", why_paused(reason), pause_name(reason)),
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
        assert!(all[0].words.contains("Birch: OutOfDisk, its disk is full"), "{}", all[0].words);
        assert!(
            all[2].words.contains("fewer sites have sent") && all[2].words.contains("in block 30"),
            "{}",
            all[2].words
        );
        assert!(all[4].words.starts_with("Alder computed another result") && all[4].place == "round 2");
        // without blocks, the records alone
        assert_eq!(faults(&study, None, &names).len(), 3);
    }
}
