//! What a report says of a study that has no model, yet or at all.

use super::*;
use crate::report::next;
use std::path::Path;

/// The document of the made-up study at another stage, with everything that follows from it.
fn without_a_model(stage: &str, phase: &str) -> Document {
    let mut document = document();
    let study = &mut document.study;
    (study.certificate, study.stage, study.phase) = (None, stage.into(), phase.into());
    (document.figures, document.held_out) = (Vec::new(), None);
    answered(document)
}

#[test]
fn a_running_study_is_said_to_have_no_model_yet_and_nothing_speaks_of_one() {
    let document = without_a_model("running", "training");
    let page = render(&document);
    for part in [
        "For nobody yet: the study has not ended",
        "It is at: training, round 4 of 4 at most.",
        "It is to say how likely",
        "have signed for these training rows: 524 rows of Alder Clinic",
        "that of round 4: the log-loss on their own validation rows is Alder Clinic 0.140",
        "Not known before the study has ended with a model.",
        "None yet: it is given at the study",
        "The rows that are trained on",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for wrong in [
        "There is no certified model",
        "It says how likely",
        "It learned from",
        "the certificate says that",
        "consilium study figures",
        "no medical device",
        "no figures of theirs were taken in",
    ] {
        assert!(!page.contains(wrong), "{wrong} in {page}");
    }
    // what could not be looked at is still told
    assert!(page.contains("keeps old states no longer"), "{page}");
}

#[test]
fn a_study_that_ended_without_a_model_says_that_none_will_come() {
    let page = render(&without_a_model("ended", "ended without a model: too few had enrolled in time"));
    for part in
        ["none will come", "It was to say how likely", "There is nothing to compare", "too few had enrolled in time"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("None yet") && !page.contains("has not ended"), "{page}");
}

#[test]
fn a_study_nobody_has_enrolled_in_is_about_no_rows() {
    let mut document = without_a_model("enrolling", "enrolling");
    let study = &mut document.study;
    (study.members, study.rounds, study.round) = (Vec::new(), Vec::new(), 0);
    (document.faults, document.unread) = (Vec::new(), Vec::new());
    let page = render(&answered(document));
    assert!(page.contains("No site has signed for rows to train on yet.") && !page.contains("nobody."), "{page}");
    assert!(
        page.contains("It is at: enrolling.") && page.contains("Nothing that is known: no round has closed."),
        "{page}"
    );
}

#[test]
fn every_command_of_a_page_can_be_typed_as_it_stands() {
    let page = render(&Document { figures: Vec::new(), held_out: None, ..document() });
    // those of this study: what has no number is the name of a command
    let ours = |line: &&str| line.starts_with("consilium ") && line.contains(" 3 ");
    let lines = || page.lines().flat_map(|line| line.split(['>', '<'])).filter(ours);
    let whole = |line: &str| {
        let folder = line.contains("--dir FOLDER") || line.contains("FOLDER/blobs");
        folder && (!line.starts_with("consilium report") || line.contains(" --out "))
    };
    assert!(lines().filter(|line| line.starts_with("consilium report 3 ")).count() >= 2, "{page}");
    for line in lines() {
        assert!(whole(line), "{line}");
    }
    assert!(!page.contains("…</code>"), "{page}");
}

#[test]
fn the_question_is_one_line_and_the_own_models_chart_has_its_own_heading() {
    let page = render(&document());
    let said = "<dt>The model says</dt><dd>how likely “admitted” is “yes”, and not “no”, from 3 values</dd>";
    assert!(page.contains(said) && !page.contains("<dt>from</dt>"), "{page}");
    let (_, after) = page.split_once("<h3>AUC on the same rows</h3>").unwrap();
    let (areas, rest) = after.split_once("<h3>").unwrap();
    assert!(
        !areas.contains("<figure>") && rest.starts_with("Own models round by round: log-loss</h3><figure>"),
        "{rest}"
    );
}

#[test]
fn an_interval_is_called_too_narrow_only_where_one_stands() {
    let mut document = document();
    for told in &mut document.figures {
        (told.figures.swarm.auc, told.figures.swarm.auc_interval) = (Some(1.0), None);
        told.figures.auc_difference = Some(Difference { value: 0.1, interval: None });
    }
    let page = render(&document);
    assert!(page.contains("An AUC of 1.000 has no interval") && !page.contains("too narrow"), "{page}");
    document.figures[0].figures.auc_difference = Some(Difference { value: 0.1, interval: Some((0.05, 0.15)) });
    assert!(render(&document).contains("too narrow"));
}

#[test]
fn the_terminal_says_what_is_not_in_the_page_and_what_to_type() {
    let said = |document: &Document| next(document, Path::new("alder")).join("\n");
    let running = said(&without_a_model("running", "training"));
    assert!(running.contains("has not ended") && running.contains("training, round 4 of 4"), "{running}");
    let without = said(&Document { figures: Vec::new(), ..document() });
    for part in
        ["study figures 3 --dir alder --out figures-3.json", "report 3 --dir alder --figures figures-3.json --out "]
    {
        assert!(without.contains(part), "{part} in {without}");
    }
    assert_eq!(said(&document()), "");
}
