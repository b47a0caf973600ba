//! What is signed, and what cannot be.

use super::*;

fn model() -> ModelFigures {
    let roc = (0..=ROC_STEPS).map(|k| f64::from(k) / f64::from(ROC_STEPS)).collect();
    let bin = Bin { rows: 20, said: 0.2, found: 0.25, interval: (0.1, 0.5) };
    ModelFigures {
        training_rows: Some(300),
        round: 2,
        rounds: 3,
        last_taken: false,
        metric: Some(0.4),
        auc: Some(0.8),
        auc_interval: Some((0.7, 0.9)),
        fit: None,
        by_round: vec![Some(0.5), None, Some(0.41)],
        curves: Some(Curves { roc, calibration: vec![bin], slope: Some(0.9), in_the_large: Some(-0.1) }),
    }
}

fn file() -> FiguresFile {
    let figures = SiteFigures {
        metric: Metric::LogLoss,
        on: MeasuredOn::Validation,
        rows: 120,
        groups: 100,
        positives: Some(60),
        swarm: ModelFigures { by_round: Vec::new(), ..model() },
        alone: model(),
        central: None,
        difference: Some(Difference { value: -0.2, interval: Some((-0.3, -0.1)) }),
        auc_difference: Some(Difference { value: 0.1, interval: None }),
        cut: Some(0.3),
        at_cut: None,
    };
    let signed =
        Signed { genesis: "ab".into(), study: 4, agreement: "cd".into(), signer: "ef".into(), signature: "12".into() };
    FiguresFile {
        consilium_figures: FIGURES_VERSION,
        spec: "01".into(),
        model: "02".into(),
        figures,
        signed: Some(signed),
    }
}

#[test]
fn a_file_says_the_same_after_it_was_written_and_read_and_so_does_what_is_signed_of_it() {
    let file = file();
    let pretty = serde_json::to_vec_pretty(&file).unwrap();
    let read = FiguresFile::read(&pretty).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.message(), file.message());
    // the signature is not part of it, and everything else is
    let mut other = file.clone();
    other.signed.as_mut().unwrap().signature = "34".into();
    assert_eq!(other.message(), file.message());
    type Change = fn(&mut FiguresFile);
    let changes: [Change; 6] = [
        |f| f.model = "03".into(),
        |f| f.spec = "03".into(),
        |f| f.figures.swarm.metric = Some(0.1),
        |f| f.figures.difference.as_mut().unwrap().value = -0.21,
        |f| f.signed.as_mut().unwrap().study = 5,
        |f| f.signed.as_mut().unwrap().signer = "aa".into(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = file.clone();
        change(&mut other);
        assert_ne!(other.message(), file.message(), "change {at}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused_and_what_is_no_such_file_is_named() {
    type Change = fn(&mut SiteFigures);
    let changes: [(Change, &str); 12] = [
        (|f| f.groups = 121, "more groups"),
        (|f| f.positives = Some(121), "more groups or positives"),
        (|f| f.alone.round = 4, "a round that there was not"),
        (|f| f.alone.by_round.push(Some(1.0)), "a round that there was not"),
        (|f| f.swarm.metric = Some(-1.0), "no number of 0 or more"),
        (|f| f.swarm.auc = Some(1.5), "an AUC"),
        (|f| f.swarm.auc_interval = Some((0.9, 0.8)), "an AUC"),
        (|f| f.swarm.fit = Some(Fit::R2(1.1)), "R²"),
        (|f| f.alone.fit = Some(Fit::Concordance(-0.1)), "a concordance"),
        (|f| f.positives = Some(49), "curves of too few rows"),
        (|f| f.difference = Some(Difference { value: 0.2, interval: Some((-0.3, -0.1)) }), "in its interval"),
        (|f| f.alone.curves.as_mut().unwrap().roc.reverse(), "ROC"),
    ];
    for (change, wanted) in changes {
        let mut file = file();
        change(&mut file.figures);
        let said = FiguresFile::read(&serde_json::to_vec(&file).unwrap()).unwrap_err().to_string();
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let said = FiguresFile::read(b"{}").unwrap_err().to_string();
    assert!(said.contains("own-arm"), "{said}");
    let newer = FiguresFile { consilium_figures: 2, ..file() };
    let said = FiguresFile::read(&serde_json::to_vec(&newer).unwrap()).unwrap_err().to_string();
    assert!(said.contains("version 2"), "{said}");
    let text = serde_json::to_string(&file()).unwrap().replacen("\"rows\":120", "\"rows\":120,\"also\":1", 1);
    assert!(FiguresFile::read(text.as_bytes()).is_err(), "what is not signed has no place in it");
}

#[test]
fn an_interval_of_a_share_is_wilson_s() {
    // statsmodels: proportion_confint(8, 10, method="wilson")
    let (low, high) = wilson(8, 10).unwrap();
    assert!((low - 0.490_162).abs() < 1e-6 && (high - 0.943_318).abs() < 1e-6, "{low} {high}");
    let (low, high) = wilson(0, 10).unwrap();
    assert!(low < 1e-9 && (high - 0.277_533).abs() < 1e-6, "{low} {high}");
    assert_eq!((wilson(0, 0), wilson(2, 1)), (None, None));
}

#[test]
fn a_verdict_follows_from_the_interval_alone() {
    assert_eq!(file().figures.verdict(), Verdict::Better);
    assert_eq!(Verdict::of(Some((0.1, 0.2))), Verdict::Worse);
    for none in [None, Some((-0.1, 0.1)), Some((0.0, 0.1))] {
        assert_eq!(Verdict::of(none).to_string(), "cannot tell");
    }
}
