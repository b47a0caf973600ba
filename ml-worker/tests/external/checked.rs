//! `ml-worker trainer check`: what it says of a trainer that does all that is asked, and of those that do not.

use super::{support::program, *};

/// What the check says of the trainer with these settings: whether it passes, and all its words.
fn checked(settings: &str) -> (bool, String) {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let allowed = allowed(forms()[0], SLEEPLESS);
    fs::write(at("study.toml"), study_text(settings, false)).unwrap();
    fs::write(at("trainer.toml"), allowed.split_once("[study.trainer]\n").unwrap().1).unwrap();
    fs::write(at("trainer.tar"), code()).unwrap();
    fs::write(at("initial.safetensors"), initial(false)).unwrap();
    let files = [("--study", "study.toml"), ("--code", "trainer.tar"), ("--initial", "initial.safetensors")];
    let mut line = vec!["trainer".to_owned(), "check".into(), "--trainer".into(), at("trainer.toml")];
    line.extend(files.iter().flat_map(|(option, name)| [(*option).to_owned(), at(name)]));
    let output = program(&line);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_trainer_that_does_all_is_told_so_step_by_step() {
    let (passes, said) = checked("steps = 600");
    assert!(passes, "{said}");
    for part in [
        "the first round gives every tensor",
        "the same when asked twice",
        "goes on from a merged model",
        "asked to stop in the middle of a round, it ends",
        "started anew, it does the round",
        "killed in the middle of a round, it does that round when it is started again",
        "does all that the worker will ask of it",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(!said.contains("not seen"), "{said}");
}

#[test]
fn one_that_does_not_is_told_at_which_step() {
    for (settings, step) in [
        ("steps = 0", "nothing was learned"),
        ("steps = 5\nmisdeed = \"dice\"", "it says two things of the same rows"),
        ("steps = 5\nmisdeed = \"nan\"", "the first round: "),
        // what it leaves behind when it is ended keeps it from going on
        ("steps = 600\nmisdeed = \"half\"", "the third round, after it was stopped"),
        ("steps = 600\nmisdeed = \"tidy\"", "the fourth round, after it was killed in the middle of it"),
        ("steps = 5\nmisdeed = \"die\"", "the first round: "),
    ] {
        let (passes, said) = checked(settings);
        assert!(!passes && said.contains(step) && !said.contains("all that the worker"), "{settings}: {said}");
    }
}
