//! What an audit says of a made-up study in which one thing is other than it was: [`files`], or [`said`] by the chain.
#![allow(clippy::unwrap_used)]

mod files;
mod masked;
mod said;

use super::{
    blobs::Folder,
    check::audit,
    history::Expected,
    report::{Report, Subject, Verdict},
    testing::World,
};
use consilium_primitives::Hash;

fn report(world: &World) -> Report {
    audit(&world.history, &Folder::open(world.folder().to_path_buf()).unwrap())
}

fn verdict(report: &Report, subject: Subject) -> Verdict {
    report.findings.iter().find(|finding| finding.subject == subject).unwrap().verdict
}

/// Everything else than `subject` has the verdict that it had before anything was changed; what is found for the last round
/// holds for the certificate.
fn only(report: &Report, subject: Subject, expected: Verdict) {
    for finding in &report.findings {
        let certified = finding.subject == Subject::Certificate && subject == Subject::Round(3);
        let wanted = if finding.subject == subject || certified { expected } else { Verdict::Verified };
        assert_eq!(finding.verdict, wanted, "{}: {:?}", finding.subject, finding.notes);
    }
}

#[test]
fn a_study_whose_files_are_all_there_is_verified() {
    let report = report(&World::new());
    assert!(report.findings.iter().all(|f| f.verdict == Verdict::Verified), "{report}");
    let subjects: Vec<Subject> = report.findings.iter().map(|finding| finding.subject).collect();
    let rounds = [Subject::Round(0), Subject::Round(1), Subject::Round(2), Subject::Round(3)];
    assert_eq!(subjects[..2], [Subject::Agreement, Subject::Statistics]);
    assert_eq!(subjects[2..6], rounds);
    assert_eq!(subjects[6..], [Subject::Certificate]);
    assert_eq!(report.code(), 0);
    assert!(report.to_string().contains("5 of 5 merges were computed again"), "{report}");
}

#[test]
fn a_report_for_programs_says_the_same() {
    let mut world = World::new();
    world.delete_inputs(1);
    let document = report(&world).json(serde_json::json!({ "trust": "node" }));
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["merges"], 5);
    assert_eq!(document["merges_recomputed"], 4);
    assert_eq!(document["findings"][3]["what"], "round");
    assert_eq!(document["findings"][3]["round"], 1);
    assert_eq!(document["findings"][3]["verdict"], "files deleted by agreement");
}

#[test]
fn another_study_or_agreement_than_the_auditor_knows_is_refused() {
    let history = World::new().history;
    let expected = |study, agreement| Expected { study, agreement }.check(&history);
    assert!(expected(None, None).is_ok());
    assert!(expected(Some(history.study), Some(history.info.agreement)).is_ok());
    let error = expected(Some(9), None).unwrap_err().to_string();
    assert!(error.contains("you asked for 9"), "{error}");
    let error = expected(None, Some(Hash::repeat_byte(9))).unwrap_err().to_string();
    assert!(error.contains(&"09".repeat(32)), "{error}");
}
