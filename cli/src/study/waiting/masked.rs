//! What a study with masks waits for beyond that: keys, shares, whole files, what opens their sum, and the sum.

use crate::show::revealed;
use consilium_primitives::{
    masks::threshold,
    round::{Ballot, Kind, PairingStep, Phase, Study, SumBallot},
};

/// What is asked for beside the sites' parts, after their name; nothing once the partners are fixed, and without masks.
pub(super) fn step(study: &Study) -> &'static str {
    match study.masking.pair.as_ref().map(|pair| pair.step) {
        Some(PairingStep::Keys) => ", and keys for their masks",
        Some(PairingStep::Deal) => ", and shares of the secrets behind their masks",
        Some(PairingStep::Paired) | None => "",
    }
}

/// What a member whose part is not in yet has done for the masks; none where that is over, or there are none.
pub(super) fn paired(study: &Study, index: u8) -> Option<(bool, String)> {
    let pair = study.masking.pair.as_ref()?;
    let keys = pair.keys.iter().any(|(member, _)| *member == index);
    let dealt = pair.deals.iter().any(|(member, _)| *member == index);
    let words = match (pair.step, keys, dealt) {
        (PairingStep::Keys, false, _) => "is awaited: its keys",
        (PairingStep::Keys, true, _) => "has posted its keys; its part is awaited",
        (PairingStep::Deal, false, _) => "its keys did not come in time: no masked part of it will come",
        (PairingStep::Deal, true, false) => "is awaited: shares of its secrets",
        (PairingStep::Deal, true, true) => "has dealt its shares; its part is awaited",
        (PairingStep::Paired, _, false) => "is no partner of this sum: no masked part of it will come",
        (PairingStep::Paired, _, true) => return None,
    };
    Some((false, words.into()))
}

fn of(kind: Kind, round: u32) -> String {
    match kind {
        Kind::Statistics => "the masked statistics".into(),
        Kind::Model => format!("the masked sum of round {round}"),
        Kind::Evaluation => "the masked sum of the last figures".into(),
    }
}

/// What a study with masks does, since when, until when, and what comes then.
pub(super) fn phase(study: &Study, now: u32) -> Option<(String, u32, u32, String)> {
    let round = study.round;
    let (what, since, until, then) = match &study.phase {
        Phase::Gathering(m) => (
            format!("{}: each to hold all masked files, whole", of(m.kind, round)),
            m.began,
            m.until,
            "the set is fixed without the files that too few others could get; nothing has been opened before",
        ),
        Phase::Revealing(r) => (
            format!("{}: shares that open it", of(r.set.kind, round)),
            r.set.fixed_at,
            r.until,
            match r.extended {
                false => "it waits as long once more",
                true => "it pauses with the same set where too few have given theirs; else a sum that cannot be opened is void",
            },
        ),
        Phase::Summing(s) => (
            format!("{}: to be computed by each", of(s.set.kind, round)),
            s.began,
            s.until,
            "it closes with the result that more than half agree on; else it is tried again with the same files",
        ),
        _ => return None,
    };
    Some((what, since.min(now), until, then.into()))
}

/// Whether a member has answered what is asked for a masked sum, and that in words.
pub(super) fn state(study: &Study, index: u8) -> (bool, String) {
    match &study.phase {
        Phase::Gathering(m) => {
            let found = m.inputs.iter().zip(m.ballots.iter()).find(|(input, _)| input.commitment.member == index);
            match found {
                None => (false, "has no update in it, and is not asked".into()),
                Some((_, Some(Ballot::Root(..)))) => (true, "holds all, and each is whole".into()),
                Some((_, Some(Ballot::Partial { have, .. }))) => {
                    (false, format!("is awaited; it has {} of {} masked files", have.count_ones(), m.inputs.len()))
                }
                Some((_, None)) => (false, "is awaited: to fetch the others' masked files".into()),
            }
        }
        Phase::Revealing(r) => match revealed(&r.set, index) {
            None => (false, "has no update in it, and is not asked".into()),
            Some(true) => (true, "has given its shares".into()),
            Some(false) => {
                let keys = study.masking.pair.as_ref().map_or(0, |pair| pair.keys.len());
                let needed = threshold(u32::try_from(keys).unwrap_or(u32::MAX));
                (false, format!("is awaited: its shares, of which any {needed} sites' are enough"))
            }
        },
        Phase::Summing(s) => {
            let found = s.set.inputs.iter().zip(s.ballots.iter()).find(|(input, _)| input.commitment.member == index);
            match found {
                None => (false, "has no update in it, and is not asked".into()),
                Some((_, Some(SumBallot::Summed(..)))) => (true, "has summed".into()),
                Some((_, Some(SumBallot::Void(_)))) => (true, "says that the sum cannot be used".into()),
                Some((_, Some(SumBallot::Partial { have, .. }))) => {
                    (false, format!("is awaited; it has {} of {} masked files", have.count_ones(), s.set.inputs.len()))
                }
                Some((_, None)) => (false, "is awaited: its sum".into()),
            }
        }
        _ => (false, String::new()),
    }
}
