//! What a false metric changes.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    compare::{Comparison, Inputs},
    data::{demo, read_table},
    simulate::{run, site_group_key, Report, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::StudyFile;

fn outcome(report: Report<'_>) -> (u32, Comparison) {
    let file = StudyFile::parse(include_str!("../../examples/breast-cancer/study.toml")).unwrap();
    let spec = file.spec();
    let rules = file.rules(2_000, 4).unwrap();
    let dir = tempfile::tempdir().unwrap();
    demo::write(1, dir.path()).unwrap();
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
    let held_out = read_table(&dir.path().join("held-out.csv"), &spec.data, &[0; 32]).unwrap();
    let outcome = run(&spec, &rules, &sites, report).unwrap();
    let inputs = Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec: &spec,
        rounds: rules.max_rounds,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, None, None, None],
        held_out: Some(&held_out),
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    };
    (outcome.canonical, inputs.compare().unwrap())
}

#[test]
fn a_site_that_praises_round_one_and_damns_the_rest_does_not_choose_the_model() {
    let balanced =
        |c: &Comparison| c.swarm.chosen.held_out.as_ref().unwrap().binary().unwrap().balanced_accuracy.unwrap();
    let (honest_round, honest) = outcome(&|_, _, loss| loss);
    for liar in 0..4 {
        let (round, lied) =
            outcome(&|site, round, loss| if site == liar { Some(if round == 1 { 0 } else { u32::MAX }) } else { loss });
        assert_ne!(round, 1, "site {liar} chose");
        let moved = (balanced(&lied) - balanced(&honest)).abs();
        assert!(moved <= 0.01, "site {liar} moved round {honest_round} to {round}, balanced accuracy by {moved}");
    }
}
