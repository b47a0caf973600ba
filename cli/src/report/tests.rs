//! A made-up report, and what must hold of its page whatever others have written.
#![allow(clippy::unwrap_used)]

mod absent;
mod legible;
mod masked;
mod outcomes;
mod private;
mod reading;
mod running;
mod summary;

use super::{
    answers::{Answers, Known},
    card,
    document::{sorted, Column, Document, HeldOut, HeldOutModel, LearnedFrom, Made, Source, Told, VERSION},
    faults::Fault,
    places,
    question::Question,
    sections::render,
};
use crate::dashboard::state::{Certificate, Member, Round, Study, Sum};
use consilium_primitives::text::unseen;
use consilium_study::{
    Bin, Curves, CutFigures, Difference, MeasuredOn, Metric, ModelFigures, SiteFigures, StudyFile, Verdict, ROC_STEPS,
};
use std::fs;

fn model(metric: f64, auc: f64) -> ModelFigures {
    ModelFigures {
        training_rows: Some(300),
        round: 3,
        rounds: 4,
        last_taken: false,
        metric: Some(metric),
        auc: Some(auc),
        auc_interval: Some((auc - 0.05, auc + 0.04)),
        fit: None,
        by_round: vec![Some(0.6), Some(0.5), Some(metric), Some(metric + 0.1)],
        curves: None,
    }
}

/// Figures of a site whose rows are too few for curves.
pub fn figures() -> SiteFigures {
    SiteFigures {
        metric: Metric::LogLoss,
        on: MeasuredOn::Validation,
        rows: 90,
        groups: 80,
        positives: Some(30),
        swarm: ModelFigures { by_round: Vec::new(), ..model(0.3, 0.9) },
        alone: model(0.45, 0.82),
        central: None,
        difference: Some(Difference { value: -0.15, interval: Some((-0.25, -0.05)) }),
        auc_difference: Some(Difference { value: 0.08, interval: Some((0.01, 0.15)) }),
        cut: Some(0.42),
        at_cut: None,
    }
}

/// Those of one with enough, which loses.
fn many() -> SiteFigures {
    let curves = |power: f64| Curves {
        roc: (0..=ROC_STEPS).map(|k| (f64::from(k) / f64::from(ROC_STEPS)).powf(power)).collect(),
        calibration: (1..=10)
            .map(|n| {
                let said = f64::from(n) / 10.0 - 0.05;
                Bin { rows: 40, said, found: said * 0.9, interval: (said * 0.6, (said * 1.1).min(1.0)) }
            })
            .collect(),
        slope: Some(0.8),
        in_the_large: Some(-0.2),
    };
    SiteFigures {
        on: MeasuredOn::TestFile,
        rows: 400,
        groups: 400,
        positives: Some(120),
        swarm: ModelFigures { by_round: Vec::new(), curves: Some(curves(0.3)), ..model(0.5, 0.8) },
        alone: ModelFigures { curves: Some(curves(0.2)), ..model(0.4, 0.86) },
        difference: Some(Difference { value: 0.1, interval: Some((0.02, 0.18)) }),
        at_cut: Some(CutFigures { sensitivity: Some(0.8), specificity: Some(0.7), ppv: Some(0.5), npv: None }),
        ..figures()
    }
}

fn rounds(members: u8, count: u32) -> Vec<Round> {
    let all = || (0..members).collect::<Vec<u8>>();
    let round = |kind: &str, round: u32| Round {
        kind: kind.into(),
        round,
        root: "ab".repeat(32),
        inputs: if kind == "initial" { Vec::new() } else { all().into_iter().map(|place| (place, 100)).collect() },
        attesters: all(),
        losses: match kind {
            "statistics" => Vec::new(),
            _ => all().into_iter().map(|place| (place, 0.7 / f64::from(round + 1) + f64::from(place) / 20.0)).collect(),
        },
        mean: (kind != "statistics").then(|| 0.75 / f64::from(round + 1)),
        attempts: 1,
        opened: 10 * round + 1,
        closed: 10 * round + 9,
        ..Round::default()
    };
    [round("statistics", 0), round("initial", 0)].into_iter().chain((1..=count).map(|n| round("round", n))).collect()
}

/// A document with the answers and the limits that follow from what stands in it.
pub fn answered(document: Document) -> Document {
    let known = Known {
        study: &document.study,
        question: &document.question,
        figures: &document.figures,
        held_out: document.held_out.as_ref(),
        unread: &document.unread,
        localnet: document.made.localnet,
    };
    let (answers, limits) = (known.answers(), known.limits());
    Document { answers, limits, ..document }
}

/// A finished study of three sites, two of which have given figures.
pub fn document() -> Document {
    let member =
        |name: &str, samples, own| Member { name: name.into(), samples, own, active: true, ..Member::default() };
    let certificate = Certificate {
        round: 3,
        root: "cd".repeat(32),
        statistics: Some("ef".repeat(32)),
        held: vec![0, 1, 2],
        asked: vec![0, 1, 2],
        text: "{ \"consilium_certificate\": 1 }".into(),
        commands: vec![("computes every merge again".into(), "consilium audit 3 --blobs FOLDER/blobs".into())],
    };
    let mut closed = rounds(3, 4);
    closed[3].dropped = vec![(2, "too few others could get its update".into())];
    let study = Study {
        number: 3,
        title: "Admission to intensive care from three values".into(),
        agreement: "12".repeat(32),
        proposer: "Alder Clinic".into(),
        phase: "completed".into(),
        stage: "completed".into(),
        round: 4,
        max_rounds: 4,
        metric: "log_loss".into(),
        rules: vec!["at most 4 rounds".into()],
        members: vec![
            member("Alder Clinic", 134, true),
            member("Birch Hospital", 300, false),
            member("Cedar University", 90, false),
        ],
        rounds: closed,
        certificate: Some(certificate),
        ..Study::default()
    };
    let spec = StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap().spec();
    let question =
        Question { description: "For adults in an emergency room.\nNot for children.".into(), ..Question::of(&spec) };
    let told = |site: &str, source, figures: SiteFigures| Told {
        site: site.into(),
        source,
        verdict: figures.verdict(),
        figures,
    };
    let figures = sorted(
        vec![told("Alder Clinic", Source::Own, figures()), told("Birch Hospital", Source::Signed, many())],
        &study.members,
    );
    let held = HeldOutModel {
        name: "swarm".into(),
        log_loss: Some(0.2),
        auc: Some(0.97),
        auc_interval: Some((0.95, 0.99)),
        cut: Some(0.4),
        at_cut: Some(CutFigures { sensitivity: Some(1.0), specificity: Some(0.9), ppv: Some(0.85), npv: Some(1.0) }),
        fit: None,
    };
    let held_out = HeldOut { rows: 114, positives: Some(42), models: vec![held] };
    let unread = vec!["Pauses: this node keeps old states no longer.".to_owned()];
    let fault = Fault {
        place: "round 2".into(),
        block: Some(21),
        kind: "pause",
        sites: vec!["Cedar University".into()],
        times: 1,
        words: "the study was paused: too few updates".into(),
    };
    let left =
        Sum { to: "Birch Hospital".into(), study: 3, kind: "update".into(), files: 4, bytes: 4_096, ..Sum::default() };
    answered(Document {
        consilium_report: VERSION,
        made: Made {
            by: "Alder Clinic".into(),
            genesis: "34".repeat(32),
            block: 99,
            at_ms: 1_700_000_000_000,
            spec: "56".repeat(32),
            program: "0.1.0".into(),
            node: Some("0.1.0".into()),
            runtime: Some(1),
            localnet: false,
        },
        study,
        question,
        learned_from: LearnedFrom {
            columns: vec![Column { name: "crp".into(), values: 500, mean: Some(61.23), deviation: Some(48.61) }],
            categories: vec!["sex".into()],
            ..LearnedFrom::default()
        },
        figures,
        held_out: Some(held_out),
        faults: vec![fault],
        unread,
        left: vec![left],
        answers: Answers::default(),
        limits: Vec::new(),
    })
}

#[test]
fn the_page_answers_three_questions_and_puts_first_who_loses() {
    let document = document();
    assert_eq!(document.losing(), ["Birch Hospital"]);
    let page = render(&document);
    let text = |part: &str| page.contains(&super::html::escaped(part));
    for part in [
        "Whom is this model for?",
        "It says how likely “admitted” is “yes”, and not “no”, from 3 values.",
        "It learned from 524 rows of Alder Clinic, Birch Hospital and Cedar University.",
        "Its proposer, Alder Clinic, says of it: “For adults in an emergency room.",
        "At Alder Clinic, on 90 validation rows, 30 of them positive: AUC 0.900 (95 % interval 0.850 to 0.940); better than its own model",
        "At Birch Hospital, on 400 rows of a table of its own, 120 of them positive",
        "Birch Hospital lost by joining: there the own model is better.",
        "Do not use it at Birch Hospital in place of the own model",
        "no medical device",
        "What joining gave to Cedar University: no figures of theirs were taken in.",
        "Positive are at Alder Clinic 30 of 90 and of the rows held out from everyone 42 of 114.",
        "certified: round 3",
        "consilium audit 3 --blobs FOLDER/blobs",
        "too few updates",
        "On 114 rows held out from everyone, 42 of them positive",
        "; at the cut of its own validation rows, 0.420: sensitivity 0.800, specificity 0.700; worse than its own model",
    ] {
        assert!(text(part), "{part} in\n{page}");
    }
    let figures = page.split("id=\"figures\"").nth(1).unwrap();
    assert!(figures.find("Birch Hospital</th>").unwrap() < figures.find("Alder Clinic</th>").unwrap());
    // one curve of each kind: Birch's alone
    assert_eq!((page.matches("ROC curve at").count(), page.matches("calibration of the swarm").count()), (1, 1));
    // rounds 3 and 4 went alike, and so did round 1 by itself
    assert!(text("rounds 3 to 4") && text("round 1") && text("dropped"), "{page}");
}

#[test]
fn without_figures_it_says_what_is_not_known_and_what_to_type() {
    let document = answered(Document { figures: Vec::new(), held_out: None, ..document() });
    let page = render(&document);
    assert!(page.contains("consilium study figures 3 --dir FOLDER"), "{page}");
    assert!(page.contains("How well it tells the two answers apart is not known here"), "{page}");
    // round 3's figures, which the chain has
    assert!(page.contains("Alder Clinic 0.175, Birch Hospital 0.225, Cedar University 0.275"), "{page}");
    let none = Study { certificate: None, rounds: Vec::new(), stage: "running".into(), ..document.study.clone() };
    let page = render(&Document { study: none, question: Question::unknown("it is gone"), ..document });
    assert!(page.contains("it is gone") && page.contains("No round has closed"), "{page}");
}

/// What others may write: markup that runs a script where it is not escaped, and characters that turn text around.
const HOSTILE: &str = "</title></svg><script>x()</script>\"'><img src=x onerror=x()> `| \u{202e}\u{1b}[2J\u{0}\n# y";

fn hostile() -> Document {
    let mut document = document();
    let bad = || HOSTILE.to_owned();
    let study = &mut document.study;
    for text in [&mut study.title, &mut study.proposer, &mut study.phase, &mut study.metric, &mut study.agreement] {
        *text = bad();
    }
    study.rules = vec![bad()];
    study.members.iter_mut().for_each(|member| member.name = bad());
    study.rounds.iter_mut().for_each(|round| round.dropped = vec![(0, bad())]);
    let certificate = study.certificate.as_mut().unwrap();
    (certificate.root, certificate.statistics, certificate.text) = (bad(), Some(bad()), bad());
    certificate.commands = vec![(bad(), bad())];
    let question = &mut document.question;
    for text in [
        &mut question.description,
        &mut question.outcome,
        &mut question.rows,
        &mut question.model,
        &mut question.metric,
    ] {
        *text = bad();
    }
    for list in [&mut question.classes, &mut question.columns, &mut question.reading, &mut question.training] {
        *list = vec![bad()];
    }
    document.figures.iter_mut().for_each(|told| told.site = bad());
    document.held_out.as_mut().unwrap().models[0].name = bad();
    for fault in &mut document.faults {
        (fault.place, fault.words, fault.sites) = (bad(), bad(), vec![bad()]);
    }
    (document.learned_from.columns[0].name, document.learned_from.of) = (bad(), Some(bad()));
    document.learned_from.categories = vec![bad()];
    document.unread = vec![bad()];
    document.left.iter_mut().for_each(|sum| (sum.to, sum.kind) = (bad(), bad()));
    let answers = &mut document.answers;
    for list in [&mut answers.whom, &mut answers.sure, &mut answers.not, &mut document.limits] {
        *list = vec![bad()];
    }
    let made = &mut document.made;
    for text in [&mut made.by, &mut made.genesis, &mut made.spec, &mut made.program] {
        *text = bad();
    }
    made.node = Some(bad());
    document
}

#[test]
fn whatever_others_write_is_shown_as_text() {
    let document = hostile();
    let texts = serde_json::to_string(&document).unwrap();
    assert!(texts.matches("onerror").count() > 40, "the document is hostile all over");
    let page = render(&document);
    for tag in ["<script", "<img", "</svg><img", "onerror=x()>", "\"'>"] {
        assert!(!page.contains(tag), "{tag} in the page");
    }
    let hidden: Vec<char> = page.chars().filter(|c| unseen(*c) && *c != '\n').collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    assert!(page.matches("&lt;script&gt;").count() > 30);
    // commands stand in a block of their own, in which nothing means anything
    let mut document = document;
    document.study.certificate.as_mut().unwrap().commands.clear();
    let card = card::text(&document);
    assert!(!card.contains("<script") && !card.contains("<img"), "{card}");
    assert!(!card.chars().any(|c| unseen(c) && c != '\n'), "{card}");
    // and no text begins a line of its own, or ends the front matter
    assert!(!card.lines().any(|line| line.starts_with("# y")), "{card}");
    assert_eq!(card.lines().filter(|line| *line == "---").count(), 2, "{card}");
}

#[test]
fn a_model_card_has_what_programs_and_people_look_for() {
    let card = card::text(&document());
    let front = card.split("---\n").nth(1).unwrap();
    for line in [
        "library_name: consilium",
        "- swarm-learning",
        "pipeline_tag: tabular-classification",
        "- name: consilium-study-3",
        "name: \"rows of Birch Hospital\"",
        "- type: roc_auc",
        "value: 0.800000",
    ] {
        assert!(front.contains(line), "{line} in\n{front}");
    }
    for part in [
        "# Admission to intensive care from three values",
        "### Out-of-scope use",
        "| Birch Hospital | 300 |",
        "| Birch Hospital | 400 | 0.400 | 0.500 | +0.100 (+0.020 to +0.180) | worse |",
        "Columns, in this order: age, crp, spo2.",
        "consilium audit 3",
    ] {
        assert!(card.contains(part), "{part} in\n{card}");
    }
    // without figures there are no results to list
    let bare = card::text(&Document { figures: Vec::new(), ..document() });
    assert!(!bare.contains("model-index") && bare.contains("## Evaluation"), "{bare}");
}

#[test]
fn a_page_of_many_sites_and_rounds_stays_small() {
    let mut document = document();
    document.study.members = (0..64)
        .map(|n| Member { name: format!("Hospital {n}"), samples: 100, own: n == 7, active: true, ..Member::default() })
        .collect();
    document.study.rounds = rounds(64, 1_000);
    let page = render(&document);
    // rounds that went alike stand in one row, and colours are for those that can be told apart
    assert!(page.contains("rounds 1 to 1000") && page.matches("#999999").count() >= 63, "{}", page.len());
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn nothing_is_overwritten_and_a_page_is_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report.html");
    assert_eq!(places(&out).unwrap().1, dir.path().join("report.json"));
    fs::write(dir.path().join("report.json"), "{}").unwrap();
    assert!(places(&out).unwrap_err().to_string().contains("report.json is there already"));
    assert!(places(&dir.path().join("report.pdf")).unwrap_err().to_string().contains("report.html"));
}
