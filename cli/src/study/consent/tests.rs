//! What is read before a study is signed.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::audit::testing::{id, World};
use consilium_primitives::Masked;
use consilium_study::StudyFile;

#[test]
fn whoever_signs_reads_what_the_study_is_what_leaves_and_what_stays() {
    let world = World::new();
    let (study, names) = (&world.history.info.state, &world.history.names);
    let spec = StudySpec::from_canonical(world.history.spec.as_ref().unwrap()).unwrap();
    let all = [id(1), id(2), id(3)];
    let looked = Looked { usable: true, words: "t.csv: the study can train on it\ntraining: 70 rows\u{1b}[2J".into() };
    let screen = Screen {
        number: 4,
        agreement: Hash::repeat_byte(0xab),
        study,
        spec: &spec,
        own: id(2),
        participants: &all,
        names,
        looked: Some(&looked),
        samples: None,
        cost: &[],
    };
    let text = screen.lines().join("\n");
    // 3 rounds, 2 others, as many bytes as the specification gives an update
    let len = spec.update_len().unwrap();
    for part in [
        &format!("study 4, “{}”", spec.title) as &str,
        &"ab".repeat(32),
        "proposed by site 1",
        "mean radius",
        "updates are merged by their mean",
        "t.csv: the study can train on it\n  training: 70 rows\\u{1b}",
        &format!("{len} bytes with the 513 numbers of a model"),
        "any of site 1, site 3)",
        &format!("one such file to each of them, 2 at most, in each of 3 rounds at most; {} bytes in all", 6 * len),
        &format!("an update in each round: a file of {len} bytes"),
        &format!("{} bytes of statistics", spec.statistics_len().unwrap()),
        "one log-loss over our validation rows, if they are 20 or more",
        "can reveal something about the records",
        "nothing of it can be taken back",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    // parameters of 30 inputs, 16 hidden units and one output: 30 * 16 + 16 + 16 + 1
    assert_eq!(Question::of(&spec).parameters, 513);
    assert!(!text.contains("WHAT IT MAY COST"), "nothing is promised: {text}");
    // away from the table
    let cost = ["on the chain ε 1 of 8 are spent on oncology-2026 (δ 10⁻⁵, per patient)".to_owned()];
    let text = Screen { looked: None, samples: Some(70), cost: &cost, ..screen }.lines().join("\n");
    assert!(text.contains("70 training rows were given by --samples"), "{text}");
    assert!(text.contains("WHAT IT MAY COST OUR DATA SET\n  on the chain ε 1 of 8 are spent"), "{text}");
}

#[test]
fn of_a_study_with_masks_nobody_is_said_to_see_an_update_or_a_figure() {
    let world = World::new();
    let mut study = world.history.info.state.clone();
    let spec = StudySpec::from_canonical(world.history.spec.as_ref().unwrap()).unwrap();
    let lens = spec.masked_lens().unwrap();
    study.rules.update_len = lens.update;
    study.rules.masked = Some(Masked { range_log2: 2, statistics_len: lens.statistics, figures_len: lens.figures });
    let screen = Screen {
        number: 4,
        agreement: Hash::zero(),
        study: &study,
        spec: &spec,
        own: id(2),
        participants: &[id(1), id(2), id(3)],
        names: &world.history.names,
        looked: None,
        samples: Some(70),
        cost: &[],
    };
    let text = screen.leaves().join("\n");
    for part in [
        &format!("a masked update in each round: a file of {} bytes of random numbers", lens.update) as &str,
        "the sum with at least 2 other updates",
        &format!("{} bytes of masked statistics", lens.statistics),
        "is seen by nobody, only that of all sites' validation rows together",
        "nobody can see a bad update",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("as training on our rows has changed them"), "{text}");
    let all = screen.lines().join("\n");
    assert!(all.contains("updates are masked") && all.contains("moves no number by more than 4"), "{all}");
    assert!(!all.contains("rests on masks and on the other sites"), "{all}");
}

#[test]
fn of_noise_that_sites_share_is_said_on_whom_its_promise_rests() {
    let world = World::new();
    let file = StudyFile::parse(include_str!("../../../../examples/breast-cancer/shared.toml")).unwrap();
    let (spec, mut study) = (file.spec(), world.history.info.state.clone());
    study.rules = file.rules(2_000, 4).unwrap();
    let screen = Screen {
        number: 4,
        agreement: Hash::zero(),
        study: &study,
        spec: &spec,
        own: id(2),
        participants: &[id(1), id(2), id(3)],
        names: &world.history.names,
        looked: None,
        samples: Some(70),
        cost: &[],
    };
    let all = screen.lines().join("\n");
    for part in [
        "rests on masks and on the other sites",
        "More than 1 of the others who act together",
        "3 sites together add as much",
        "No number of the sum of all gradients goes beyond 4096",
    ] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
}

#[test]
fn of_a_program_that_the_study_brings_it_is_said_what_it_could_do() {
    let world = World::new();
    let spec = crate::report::brought::tests::spec();
    let screen = Screen {
        number: 4,
        agreement: Hash::zero(),
        study: &world.history.info.state,
        spec: &spec,
        own: id(2),
        participants: &[id(1), id(2), id(3)],
        names: &world.history.names,
        looked: None,
        samples: Some(70),
        cost: &[],
    };
    let text = screen.lines().join("\n");
    let code = &spec.model.external().unwrap().code.root;
    for part in ["hidden rows in them", "has read, all of it", "sites.toml", code.as_str()] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    // the worker is held to that; what the study brings is not
    assert!(!text.contains("no row, no cell and no picture"), "{text}");
}

#[test]
fn of_an_invited_circle_nobody_else_is_said_to_get_anything() {
    let world = World::new();
    let mut study = world.history.info.state.clone();
    study.rules.invited = vec![id(1), id(2)].try_into().unwrap();
    let spec = StudySpec::from_canonical(world.history.spec.as_ref().unwrap()).unwrap();
    let screen = Screen {
        number: 4,
        agreement: Hash::zero(),
        study: &study,
        spec: &spec,
        own: id(2),
        participants: &[id(1), id(2), id(3)],
        names: &world.history.names,
        looked: None,
        samples: Some(70),
        cost: &[],
    };
    assert_eq!(screen.others(), ("those of the others who enrol (site 1)".into(), 1));
    let text = screen.leaves().join("\n");
    assert!(!text.contains("site 3"), "{text}");
}
