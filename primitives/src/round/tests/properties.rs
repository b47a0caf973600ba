//! Random studies. The seeds are fixed, so that a failure is the same everywhere.

use super::{
    plain,
    simulate::{run, BallotLie, CommitLie, Liar, Mood, Scenario},
    *,
};
use crate::rules::{liars_survived, OnStall};
use proptest::{collection::vec, option, prelude::*, test_runner::RngSeed};

/// So many times as many scenarios as usual, if it is set; `scripts/simulate.sh` sets it.
const TIMES: &str = "CONSILIUM_SIMULATE_TIMES";

/// The same scenarios each time; with [`TIMES`] these first, and others after them.
fn config(seed: u64, cases: u32) -> ProptestConfig {
    let times = std::env::var(TIMES).map_or(1, |times| times.parse().expect("CONSILIUM_SIMULATE_TIMES is a number"));
    let cases = cases * times;
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

fn mood() -> impl Strategy<Value = Mood> {
    // a mask over thirteen, or all, or none
    let mask = || prop_oneof![0u64..1 << 13, Just(0), Just(u64::MAX)];
    let commit = prop_oneof![
        2 => Just(CommitLie::Honest),
        2 => mask().prop_map(CommitLie::Junk),
        1 => Just(CommitLie::Junk(u64::MAX)),
        1 => Just(CommitLie::ServesSome(0)),
        2 => mask().prop_map(CommitLie::ServesSome),
        1 => Just(CommitLie::Silent),
        1 => Just(CommitLie::Failure),
        1 => Just(CommitLie::WrongLength),
    ];
    let ballot = prop_oneof![
        Just(BallotLie::Honest),
        mask().prop_map(BallotLie::Missing),
        mask().prop_map(BallotLie::Invalid),
        mask().prop_map(BallotLie::MissingThenWrongRoot),
        mask().prop_map(BallotLie::NotFinal),
        Just(BallotLie::WrongRoot),
        mask().prop_map(BallotLie::Ahead),
        Just(BallotLie::AheadOfWrongRoot),
        Just(BallotLie::Silent),
    ];
    let loss = prop_oneof![Just(None), Just(Some(0)), Just(Some(u32::MAX)), any::<u32>().prop_map(Some)];
    (commit, ballot, loss).prop_map(|(commit, ballot, loss)| Mood { commit, ballot, loss })
}

fn liar() -> impl Strategy<Value = Liar> {
    let withdraws = option::weighted(0.25, (52u32..300, option::of(1u32..60)));
    (vec(mood(), 1..6), withdraws).prop_map(|(moods, withdraws)| Liar {
        moods,
        withdraws: withdraws.map(|(leaves, returns)| (leaves, returns.map(|r| leaves + r))),
    })
}

fn rules(members: u8) -> impl Strategy<Value = StudyRules> {
    let most = (u32::from(members) - liars_survived(u32::from(members))).min(3);
    let stall = prop_oneof![Just(OnStall::Pause), Just(OnStall::Shrink), Just(OnStall::Abort)];
    let numbers = (1u32..13, 1u32..5, 2..=most.max(2), 1u32..6, 300_000u32..=1_000_000);
    let stops = (option::weighted(0.2, 500_000u32..700_000), 0u32..3);
    (numbers, stops, stall, any::<bool>(), any::<bool>()).prop_map(|(numbers, stops, on_stall, strict, statistics)| {
        let (training_blocks, transfer_blocks, min_participants, max_rounds, max_share) = numbers;
        StudyRules {
            training_blocks,
            transfer_blocks,
            min_participants,
            max_rounds,
            max_share,
            target: stops.0,
            patience: stops.1,
            on_stall,
            strict,
            statistics_len: if statistics { 800 } else { 0 },
            ..plain()
        }
    })
}

/// Studies of so many with `liars(n)` liars.
pub(super) fn scenario(
    members: std::ops::RangeInclusive<u8>,
    mishaps: impl Strategy<Value = u32> + Clone,
    lies: bool,
) -> impl Strategy<Value = Scenario> {
    members.prop_flat_map(move |members| {
        let most = if lies { liars_survived(u32::from(members)) as usize } else { 0 };
        // mostly as many as can be survived
        let liars = prop_oneof![3 => vec(liar(), most..=most), 1 => vec(liar(), 0..=most)];
        // finality stalls in a third of them, for longer than all attempts of a merge together
        let stall = option::weighted(0.3, (1u32..400, 1u32..300));
        let ahead = prop_oneof![Just(0u32), Just(500), Just(1_000)];
        (rules(members), 1u32..8, 0..members, liars, mishaps.clone(), stall, ahead, any::<u64>()).prop_map(
            move |(rules, validators, first_liar, liars, mishaps, stall, ahead, seed)| Scenario {
                members,
                rules,
                validators,
                first_liar,
                liars,
                mishaps,
                stall,
                off: Vec::new(),
                people: true,
                ahead,
                seed,
            },
        )
    })
}

/// Every round up to the last one is recorded, once, each on the one before.
pub(super) fn assert_recorded(shell: &Shell) {
    let models: Vec<_> = shell.world.records.iter().filter(|r| r.kind == Kind::Model).collect();
    let rounds: Vec<u32> = models.iter().map(|r| r.round).collect();
    assert_eq!(rounds, (0..=shell.study.round).collect::<Vec<_>>());
    for (before, after) in models.iter().zip(models.iter().skip(1)) {
        assert_eq!(after.base, before.root);
        assert!(after.opened_at >= before.closed_at && after.frozen_at <= after.closed_at);
    }
    let statistics = shell.world.records.iter().filter(|r| r.kind == Kind::Statistics).count();
    assert_eq!(statistics, usize::from(shell.study.rules.statistics_len > 0));
}

proptest! {
    #![proptest_config(config(1, 512))]

    /// Honest sites late, failing, leaving and coming back, beside as many liars as can be survived. What must hold of
    /// each step is asserted in the simulation; and each study ends.
    #[test]
    fn liars_and_mishaps_break_no_promise(scenario in scenario(2..=7, prop_oneof![Just(20u32), Just(60), Just(200)], true)) {
        let outcome = run(scenario);
        prop_assert!(outcome.shell.study.ended());
    }
}

proptest! {
    #![proptest_config(config(2, 1024))]

    /// Where the honest sites keep the windows, liars neither stop a study nor make people decide. With
    /// four liars they can: there are no more than four attempts (`open`).
    #[test]
    fn liars_alone_cannot_stop_a_study(scenario in scenario(2..=12, Just(0u32), true)) {
        let outcome = run(scenario);
        prop_assert!(matches!(outcome.shell.study.phase, Phase::Completed(_)));
        prop_assert_eq!(outcome.pauses, 0);
        prop_assert_eq!(outcome.beyond, 0);
        assert_recorded(&outcome.shell);
    }
}

proptest! {
    #![proptest_config(config(5, 256))]

    /// The same with up to four liars.
    #[test]
    fn more_sites_and_more_liars_break_no_promise(
        scenario in scenario(8..=13, prop_oneof![Just(0u32), Just(20), Just(60), Just(200)], true),
    ) {
        let outcome = run(scenario);
        prop_assert!(outcome.shell.study.ended());
    }
}

proptest! {
    #![proptest_config(config(3, 256))]

    /// Nobody lies and nobody is late: all rounds close at the first attempt, with everyone in them.
    #[test]
    fn an_honest_study_completes(scenario in scenario(2..=7, Just(0u32), false)) {
        let members = usize::from(scenario.members);
        let outcome = run(scenario);
        let Phase::Completed(certificate) = &outcome.shell.study.phase else {
            panic!("not completed: {:?}", outcome.shell.study.phase);
        };
        assert_recorded(&outcome.shell);
        prop_assert_eq!(certificate.held.count_ones() as usize, members);
        prop_assert!(outcome.shell.dropped().is_empty());
        for record in outcome.shell.world.records.iter().filter(|r| !r.inputs.is_empty()) {
            prop_assert_eq!((record.attempts, record.inputs.len()), (1, members));
            prop_assert!(record.dissenters.is_empty());
        }
        let rules = &outcome.shell.study.rules;
        if rules.target.is_none() && rules.patience == 0 {
            prop_assert_eq!(outcome.shell.study.round, rules.max_rounds);
        }
    }
}

proptest! {
    #![proptest_config(config(4, 1024))]

    /// Liars with less than half of the weight and of the heads move each choice only between honest values: whichever of two
    /// rounds they bring about, some honest site gains at least as much by it as some honest site by the other one.
    #[test]
    fn false_losses_choose_between_honest_values(
        honest in vec((1u32..1000, vec(0u32..2_000_000, 6)), 3..6),
        lies in vec((1u32..1000, vec(option::of(any::<u32>()), 6)), 0..3),
    ) {
        let weight: u32 = honest.iter().map(|(w, _)| w).sum();
        let mut voters: Vec<(InstitutionId, u32)> = Vec::new();
        let mut losses: Vec<Vec<(InstitutionId, u32)>> = vec![Vec::new(); 6];
        let all = honest.iter().map(|(w, l)| (*w, l.iter().map(|x| Some(*x)).collect::<Vec<_>>())).chain(lies.clone());
        let mut false_weight = 0;
        for (number, (share, reports)) in (0u8..).zip(all) {
            if usize::from(number) >= honest.len() {
                false_weight += share;
                if false_weight >= weight {
                    break;
                }
            }
            voters.push((id(number), share));
            for (round, loss) in reports.into_iter().enumerate() {
                losses[round].extend(loss.map(|l| (id(number), l)));
            }
        }
        let mut best = None;
        for newest in 1..=6 {
            let better = best_round(best, newest, &voters, |round| losses[round as usize - 1].clone());
            let better = better.expect("enough have reported");
            let gains = |round: u32| {
                honest.iter().map(move |(_, l)| i64::from(l[newest as usize - 1]) - i64::from(l[round as usize - 1]))
            };
            let most = gains(better).max().expect("an honest one");
            for other in best.into_iter().chain([newest]) {
                prop_assert!(most >= gains(other).min().expect("an honest one"));
            }
            best = Some(better);
        }
    }
}
