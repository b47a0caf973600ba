//! What a worker does that has lost its folder, or its secret, in mid-study.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_primitives::{DutyKind, DutyOrder, DutyState, FailureCode, Hash};
use std::{fs, path::Path};
use support::{demo_csv, order, prepare, program, root, start, unscaled, Door, Lab, Process, AGREEMENT};

/// A training of a site of whose rows something was merged before.
fn later(lab: &Lab, round: u32, base: Hash) -> DutyOrder {
    DutyOrder { committed_before: true, ..lab.order(DutyKind::Train, round, Some(base), None) }
}

/// A site that has trained round 1, and its base.
fn trained() -> (Lab, Hash) {
    let lab = Lab::new(0, unscaled(1));
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    lab.done(&lab.order(DutyKind::Train, 1, Some(base), None));
    (lab, base)
}

fn again(lab: Lab) -> Lab {
    Lab { worker: start(lab.dir.path()), ..lab }
}

fn note(lab: &Lab) -> String {
    let path = lab.dir.path().join("home/studies").join(hex::encode(AGREEMENT)).join("split-lost.json");
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_worker_that_has_its_folder_goes_on_and_so_does_one_that_joins_late() {
    let (lab, base) = trained();
    let lab = again(lab);
    lab.done(&later(&lab, 2, base));
    // nothing of this one was merged before, whichever round it is
    let late = Lab::new(0, unscaled(1));
    let base = root(late.done(&late.order(DutyKind::Init, 0, None, None)));
    late.done(&late.order(DutyKind::Train, 7, Some(base), None));
    late.done(&later(&late, 8, base));
}

#[test]
fn a_folder_that_was_lost_in_whole_or_in_part_stops_this_site_s_part_in_the_study() {
    type Lose = fn(&Path);
    let losses: [(&str, Lose); 4] = [
        ("all", |home| fs::remove_dir_all(home).unwrap()),
        ("the split", |home| fs::remove_dir_all(home.join("studies")).unwrap()),
        ("the secret", |home| fs::remove_file(home.join("secret")).unwrap()),
        ("another secret", |home| fs::write(home.join("secret"), "22".repeat(32)).unwrap()),
    ];
    for (what, lose) in losses {
        let (lab, base) = trained();
        let validation = |lab: &Lab| lab.home().split(&AGREEMENT).unwrap().unwrap();
        let before = validation(&lab);
        lose(&lab.dir.path().join("home"));
        let lab = again(lab);
        let train = later(&lab, 2, base);
        assert_eq!(lab.failed(&train), FailureCode::Refused, "{what}");
        let told = note(&lab);
        for part in ["secret", "validation rows", "accept-split", "put back", "withdraw"] {
            assert!(told.contains(part), "{what}: {part}: {told}");
        }
        // its rows measure nothing either, and go into no statistics; what needs no rows is done
        let evaluate = DutyOrder { committed_before: true, ..lab.order(DutyKind::Evaluate, 2, Some(base), None) };
        assert_eq!(lab.failed(&evaluate), FailureCode::Refused, "{what}");
        let statistics = DutyOrder { committed_before: true, ..lab.order(DutyKind::Statistics, 0, None, None) };
        assert_eq!(lab.failed(&statistics), FailureCode::Refused, "{what}");
        lab.done(&lab.order(DutyKind::Acknowledge, 1, Some(base), None));
        // also when it starts anew
        let lab = again(lab);
        assert_eq!(lab.failed(&train), FailureCode::Refused, "{what}");
        // until its people decide
        lab.home().accept_split(&AGREEMENT).unwrap();
        lab.done(&later(&lab, 3, base));
        assert_eq!(validation(&lab) == before, what == "the split", "the same secret splits the same rows alike");
        assert!(note(&lab).is_empty());
        assert!(lab.home().accept_split(&AGREEMENT).is_err(), "{what}: once");
    }
}

#[test]
fn another_secret_is_noticed_also_where_nothing_was_merged_before() {
    let (lab, base) = trained();
    fs::write(lab.dir.path().join("home/secret"), "22".repeat(32)).unwrap();
    let lab = again(lab);
    assert_eq!(lab.failed(&lab.order(DutyKind::Train, 2, Some(base), None)), FailureCode::Refused);
    // put back, it goes on
    let secret = consilium_ml_worker::data::demo::secret(1, consilium_ml_worker::data::demo::SITES[0].0);
    fs::write(lab.dir.path().join("home/secret"), hex::encode(secret)).unwrap();
    let lab = again(lab);
    lab.done(&lab.order(DutyKind::Train, 2, Some(base), None));
}

#[test]
fn a_split_of_an_earlier_version_which_noted_no_secret_counts_as_this_one_s() {
    let (lab, base) = trained();
    let folder = lab.dir.path().join("home/studies").join(hex::encode(AGREEMENT));
    fs::remove_file(folder.join("secret.blake3")).unwrap();
    let lab = again(lab);
    lab.done(&later(&lab, 2, base));
}

#[test]
fn the_program_says_so_and_takes_the_decision() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &demo_csv(1));
    let spec = unscaled(1);
    let process = Process::serve(dir.path());
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    let train = |round| DutyOrder { committed_before: true, ..order(&spec, DutyKind::Train, round, Some(base)) };
    assert_eq!(process.failed(&spec, &train(2)), FailureCode::Refused);
    assert_eq!(process.ask(&spec, &train(2)), DutyState::Failed(FailureCode::Refused));
    let home = dir.path().join("home").display().to_string();
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    let advice = format!("ml-worker accept-split --dir {home} --agreement {}", hex::encode(AGREEMENT));
    assert_eq!(log.matches(&advice).count(), 1, "said once: {log}");
    let accept = |agreement: &str| program(&["accept-split", "--dir", &home, "--agreement", agreement]);
    assert!(String::from_utf8(accept(&"08".repeat(32)).stderr).unwrap().contains("has not stopped there"));
    assert!(accept(&hex::encode(AGREEMENT)).status.success());
    process.done(&spec, &train(3));
}
