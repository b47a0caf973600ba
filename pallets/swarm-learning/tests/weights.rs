//! What calls are weighed for: each storage item that the weights name is paid, and a vote pays for the losses that it may write.
//! Weights are partly mended by hand, where no benchmark reaches the worst case.
#![allow(clippy::unwrap_used)]

const WEIGHTS: &str = include_str!("../src/weights.rs");

/// A weight: the call's name, the items it names with how often each is read and written, and what is paid.
struct Paid<'a> {
    name: &'a str,
    items: Vec<(&'a str, u64, u64)>,
    reads: u64,
    writes: u64,
}

fn number(text: &str, before: &str) -> u64 {
    text.split_once(before)
        .map_or(0, |(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap())
}

fn paid() -> Vec<Paid<'static>> {
    let measured = WEIGHTS.split_once("impl<T: frame_system::Config> WeightInfo for Measured<T> {").unwrap().1;
    let mut all = Vec::new();
    let mut items = Vec::new();
    for part in measured.split("\n    // Storage: `").skip(1) {
        let (item, rest) = part.split_once('`').unwrap();
        items.push((item, number(rest, "(r:"), number(rest, " w:")));
        if let Some((_, code)) = rest.split_once("\n    fn ") {
            let name = code.split('(').next().unwrap();
            let code = code.split_once("\n    }").unwrap().0;
            let of = |what| number(code, what);
            all.push(Paid { name, items: std::mem::take(&mut items), reads: of(".reads("), writes: of(".writes(") });
        }
    }
    all
}

#[test]
fn a_vote_pays_for_the_losses_that_it_may_write_and_for_the_rounds_history() {
    let all = paid();
    let vote = all.iter().find(|weight| weight.name == "vote").unwrap();
    for (item, writes) in [("SwarmLearning::Losses", 1), ("SwarmLearning::History", 1), ("SwarmLearning::Studies", 1)] {
        let found = vote.items.iter().find(|(name, ..)| *name == item).map(|(.., writes)| *writes);
        assert_eq!(found, Some(writes), "{item}");
    }
    // the losses of this merge, and those of the two rounds that are compared
    assert!(vote.items.iter().any(|(name, reads, _)| *name == "SwarmLearning::Losses" && *reads >= 3));
}

#[test]
fn calls_pay_for_all_that_they_are_said_to_read_and_write() {
    let all = paid();
    for name in [
        "register",
        "enrol",
        "withdraw",
        "start",
        "resume",
        "abort",
        "vote",
        "authorize_vote",
        "post",
        "authorize_post",
        "abandon",
        "forget",
        "declare_budget",
        "raise_budget",
        "lower_budget",
        "enrol_private",
    ] {
        let weight = all.iter().find(|weight| weight.name == name).unwrap();
        let (reads, writes) = weight.items.iter().fold((0, 0), |(r, w), (_, reads, writes)| (r + reads, w + writes));
        assert_eq!((weight.reads, weight.writes), (reads, writes), "{name}");
    }
}
