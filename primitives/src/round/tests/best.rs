//! The best round so far.

use super::{
    ends::{canonical, evaluate},
    *,
};

/// Three voters with 15, 40 and 45 % of the weight.
const VOTERS: [(InstitutionId, u32); 3] =
    [(InstitutionId([1; 32]), 15), (InstitutionId([2; 32]), 40), (InstitutionId([3; 32]), 45)];

/// `None`: not reported. One row per round, one column per voter.
fn best(rounds: &[[Option<u32>; 3]]) -> Option<u32> {
    best_of(rounds.len() as u32, &VOTERS, |round| {
        let losses = rounds[round as usize - 1].iter().zip(VOTERS);
        losses.filter_map(|(loss, (who, _))| loss.map(|l| (who, l))).collect()
    })
}

#[test]
fn one_site_cannot_choose_the_round() {
    const MAX: Option<u32> = Some(u32::MAX);
    // gains of the best so far:   1st   2nd  3rd   lower weighted median
    // round 1 over round 2   u32::MAX  -100  -90   -90 (40, then 85 of 100)
    // round 2 over round 3          0    10   30    10 (15, then 55 of 100)
    let rounds = [[Some(0), Some(500), Some(480)], [MAX, Some(400), Some(390)], [MAX, Some(410), Some(420)]];
    assert_eq!(best(&rounds), Some(2));
    // a weighted mean of the gains would have chosen round 1
    let mean = |r: usize| -> i64 {
        let gain = |v: usize| i64::from(rounds[2][v].unwrap_or(0)) - i64::from(rounds[r][v].unwrap_or(0));
        (0..3).map(|v| gain(v) * i64::from(VOTERS[v].1)).sum()
    };
    assert!(mean(0) > mean(1) && mean(0) > mean(2));
    // the other way around it can pull no further than to the lower of the honest gains, here 10 for round 2
    let against = [[MAX, Some(500), Some(480)], [MAX, Some(400), Some(390)], [Some(0), Some(410), Some(420)]];
    assert_eq!(best(&against), Some(2));
}

#[test]
fn the_latest_wins_on_a_tie() {
    assert_eq!(best(&[[Some(5); 3]; 4]), Some(4));
    assert_eq!(best(&[[Some(5); 3], [Some(5); 3], [Some(9); 3]]), Some(2));
}

#[test]
fn of_two_medians_the_lower_counts() {
    // gains of round 1 over round 2: -10 and 10, each with half of the weight
    let two = [(id(1), 50), (id(2), 50)];
    let losses = |round: u32| if round == 1 { vec![(id(1), 30), (id(2), 10)] } else { vec![(id(1), 20), (id(2), 20)] };
    assert_eq!(best_of(2, &two, losses), Some(2));
}

#[test]
fn rounds_count_by_more_than_half_of_weight_and_of_heads() {
    // round 1 is better, but its one reporter is less than half of the heads; then of the weight; then it counts
    let last = [Some(9), Some(9), Some(9)];
    assert_eq!(best(&[[None, None, Some(1)], last]), Some(2));
    let heavy = [(id(1), 10), (id(2), 10), (id(3), 80)];
    let losses = |reporters: &'static [u8]| {
        move |round: u32| match round {
            1 => reporters.iter().map(|n| (id(*n), 1)).collect(),
            _ => (1..=3).map(|n| (id(n), 9)).collect::<Vec<_>>(),
        }
    };
    assert_eq!(best_of(2, &heavy, losses(&[3])), Some(2), "80 % of the weight, one head of three");
    assert_eq!(best_of(2, &heavy, losses(&[1, 2])), Some(2), "two heads of three, 20 % of the weight");
    assert_eq!(best_of(2, &heavy, losses(&[2, 3])), Some(1));
    let half = [(id(1), 50), (id(2), 10), (id(3), 40)];
    assert_eq!(best_of(2, &half, losses(&[2, 3])), Some(2), "exactly half of the weight is not more than half");
    // without reports on the newest one there is nothing to compare with, and the best so far stays
    assert_eq!(best(&[last, [None; 3]]), Some(1));
    assert_eq!(best(&[[None; 3], [None; 3]]), None);
    // who is no voter has no voice
    assert_eq!(best_of(1, &[], losses(&[1])), None);
}

#[test]
fn a_round_that_lost_is_never_looked_at_again() {
    // ranked all at once over the last round, round 1 would win: its gains are 100, 4 and 8, those of round 2 are 1, 5 and 9.
    // But round 2 was better than round 1 for two of three, and the file of round 1 may be gone since
    let losses = [[100, 196, 192], [199, 195, 191], [200; 3]].map(|row| row.map(Some));
    let mut shell = Shell::training(plain(), &[100; 3]);
    let wanted =
        |shell: &Shell| -> Vec<u32> { shell.blobs().merged.iter().filter(|m| m.wanted).map(|m| m.round).collect() };
    shell.whole_round(&[None; 3]);
    shell.whole_round(&losses[0]);
    assert_eq!((shell.study.best, wanted(&shell)), (Some(1), vec![2, 1]));
    shell.whole_round(&losses[1]);
    assert_eq!((shell.study.best, wanted(&shell)), (Some(2), vec![3, 2]));
    evaluate(&mut shell, &losses[2]);
    assert_eq!(canonical(&shell).0, 2);
}
