//! When a simulated study ends, and which round is chosen then: as the chain decides it.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_ml_worker::{
    data::{demo, read_table},
    simulate::{run, site_group_key, Outcome, Site},
};
use consilium_primitives::{InstitutionId, StudyRules};
use support::file;

/// The demo's study with these rules and made-up losses: of site and round.
fn study(rules: impl Fn(&mut StudyRules), loss: impl Fn(usize, u32) -> u32) -> Outcome {
    let file = file();
    let spec = file.spec();
    let mut wanted = file.rules(2_000, 4).unwrap();
    wanted.max_rounds = 12;
    rules(&mut wanted);
    let dir = tempfile::tempdir().unwrap();
    demo::write(1, dir.path()).unwrap();
    // by id: 200, 110, 75 and 70 samples
    let sites: Vec<Site> = demo::SITES
        .iter()
        .zip(1u8..)
        .map(|((name, rows, _), n)| {
            let secret = demo::secret(1, name);
            let key = site_group_key(&spec, &secret).unwrap();
            let table = read_table(&dir.path().join(format!("{name}.csv")), &spec.data, &key).unwrap();
            Site { name: (*name).into(), id: InstitutionId([n; 32]), secret, samples: *rows as u32, table }
        })
        .collect();
    run(&spec, &wanted, &sites, &|site, round, _| Some(loss(site, round))).unwrap()
}

/// Merges that were made.
fn rounds(outcome: &Outcome) -> usize {
    outcome.rounds.len() - 1
}

#[test]
fn a_study_runs_to_its_last_round_where_nothing_ends_it() {
    let outcome = study(|_| (), |_, round| 1_000 - round);
    assert_eq!((rounds(&outcome), outcome.canonical), (12, 12));
}

#[test]
fn a_target_ends_it_when_half_of_weight_and_heads_have_reached_it() {
    let target = |rules: &mut StudyRules| rules.target = Some(300);
    // three of four sites, with 385 of 455 samples, reach it with the merge of round 3: known when that of 4 closes
    let outcome = study(target, |site, round| if site < 3 && round >= 3 { 300 } else { 301 });
    assert_eq!(rounds(&outcome), 4);
    // two sites are not more than half of the heads
    let outcome = study(target, |site, _| if site < 2 { 1 } else { 301 });
    assert_eq!(rounds(&outcome), 12);
    // three that hold 255 of 455 samples are
    let outcome = study(target, |site, _| if site > 0 { 1 } else { 301 });
    assert_eq!(rounds(&outcome), 2, "the initial model's losses end nothing");
    // and so they are where the first has nearly all of the weight: where rounds are judged, nobody counts for half
    let heavy = |rules: &mut StudyRules| {
        target(rules);
        rules.max_share = 1_000_000;
        let weights = [900u32, 1, 1, 1].into_iter().zip(1u8..).map(|(w, n)| (InstitutionId([n; 32]), w));
        rules.merge.rule = consilium_primitives::rules::MergeRule::Mean(
            consilium_primitives::rules::Weighting::Declared(weights.collect::<Vec<_>>().try_into().unwrap()),
        );
    };
    let outcome = study(heavy, |site, _| if site > 0 { 1 } else { 301 });
    assert_eq!(rounds(&outcome), 2);
    let outcome = study(heavy, |site, _| if site == 0 { 1 } else { 301 });
    assert_eq!(rounds(&outcome), 12, "nor does it end anything alone");
}

#[test]
fn patience_ends_it_after_so_many_rounds_without_a_better_one() {
    let patience = |rules: &mut StudyRules| rules.patience = 2;
    // best after round 3: evaluated rounds 4 and 5 bring nothing, and that of 5 is known when 6 closes
    let worse_after_3 = |_: usize, round: u32| if round <= 3 { 900 - 100 * round } else { 600 + round };
    let outcome = study(patience, worse_after_3);
    assert_eq!((rounds(&outcome), outcome.canonical), (6, 3));
    let outcome = study(|rules| rules.patience = 0, worse_after_3);
    assert_eq!((rounds(&outcome), outcome.canonical), (12, 3));
    // always a little better: never
    let outcome = study(patience, |_, round| 1_000 - round);
    assert_eq!(rounds(&outcome), 12);
}
