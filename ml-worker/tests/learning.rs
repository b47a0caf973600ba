//! What the demo's study must reach over seeds 1 to 20, none left out: the bars of the project, not figures of a run.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::over_seeds::{OverSeeds, Source};
use consilium_study::StudyFile;

#[test]
fn the_swarm_learns_what_central_training_learns_and_the_sites_alone_do_not() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/breast-cancer/study.toml");
    let study = StudyFile::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    let table = OverSeeds::of(&study, Source::Demo, 1..=20, &mut |_, _| Ok(())).unwrap();
    assert_eq!(table.rows.iter().map(|r| r.seed).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert!(table.swarm_auc() >= 0.990, "{table}");
    assert!(table.lowest_swarm_auc() >= 0.96, "{table}");
    assert!(table.auc_behind_central() <= 0.003, "{table}");
    assert!(table.furthest_behind_central() <= 0.01, "{table}");
    assert!(table.balanced_accuracy_gain() >= 0.01, "{table}");
    assert!(table.log_loss_below_local() >= 18, "{table}");
}
