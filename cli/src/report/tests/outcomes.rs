//! What a report says of outcomes that are no classes, and of differences without an interval.

use super::*;
use consilium_study::{Fit, Outcome};

/// A document of this outcome, with what stands in the AUC's place at a site and on rows that were held out from everyone.
fn of(outcome: Outcome, metric: Metric, fits: [Fit; 2]) -> Document {
    let mut spec = StudyFile::parse(include_str!("../../../../examples/own-csv/study.toml")).unwrap().spec();
    (spec.data.label, spec.data.positive, spec.data.negative) = Default::default();
    spec.data.outcome = Some(outcome);
    spec.evaluation.metric = metric;
    let [own, swarm] = fits;
    let model = |fit, value| ModelFigures {
        metric: Some(value),
        auc: None,
        auc_interval: None,
        fit: Some(fit),
        curves: None,
        ..model(0.5, 0.5)
    };
    let figures = SiteFigures {
        metric,
        positives: None,
        cut: None,
        auc_difference: None,
        swarm: ModelFigures { by_round: Vec::new(), ..model(swarm, 0.3) },
        alone: model(own, 0.45),
        ..figures()
    };
    let told =
        Told { site: "Alder Clinic".into(), source: Source::Own, verdict: figures.verdict(), figures: figures.clone() };
    let held = |name: &str, fit| HeldOutModel { name: name.into(), fit: Some(fit), ..HeldOutModel::default() };
    let held_out =
        HeldOut { rows: 56, positives: None, models: vec![held("swarm", swarm), held("only Alder Clinic", own)] };
    let mut document = document();
    document.study.metric = serde_json::to_value(metric).unwrap().as_str().unwrap().to_owned();
    document.question = Question::of(&spec);
    document.figures = vec![told];
    document.held_out = Some(held_out);
    answered(document)
}

#[test]
fn of_a_number_the_page_and_the_card_have_r_squared_and_no_word_of_classes() {
    let stay = Outcome::Value { column: "stay".into() };
    let document = of(stay, Metric::SquaredError, [Fit::R2(0.61), Fit::R2(0.48)]);
    let page = render(&document);
    for part in [
        "how large “stay” is, as a number",
        "R² 0.480 (0 is what the mean of these rows has, 1 is without an error)",
        "<h3>R² on the same rows</h3>",
        "squared error in units of the outcome",
        "was not the best: its R² is 0.480, and higher is that of Alder Clinic",
        "of them its numbers are a guess",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    for word in ["AUC", "Youden", "positive", "Sensitivity"] {
        assert!(!page.contains(word), "{word} in\n{page}");
    }
    let card = card::text(&document);
    for part in ["tabular-regression", "type: r_squared\n      value: 0.480000", "type: mse", "| R² of this model |"] {
        assert!(card.contains(part), "{part} in\n{card}");
    }
    assert!(!card.contains("roc_auc"), "{card}");
}

#[test]
fn of_times_the_page_and_the_card_have_harrells_c() {
    let days = Outcome::TimeToEvent {
        time: "days".into(),
        event: "died".into(),
        happened: "1".into(),
        censored: "0".into(),
        cuts: vec![90.0, 365.0],
    };
    let document = of(days, Metric::LogLoss, [Fit::Concordance(0.55), Fit::Concordance(0.63)]);
    let page = render(&document);
    for part in [
        "by each of 90, 365",
        "Harrell&#39;s C 0.630 (0.5 is guessing, 1 is without an error)",
        "on the same rows</h3>",
        "beyond the last of these times it says nothing",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    assert!(!page.contains("AUC") && !page.contains("was not the best"), "{page}");
    let card = card::text(&document);
    assert!(card.contains("- tabular\n") && !card.contains("pipeline_tag"), "{card}");
    for part in ["type: concordance\n      value: 0.630000", "type: log_loss", "| Harrell's C of this model |"] {
        assert!(card.contains(part), "{part} in\n{card}");
    }
}

#[test]
fn a_page_says_cannot_tell_where_there_is_no_interval() {
    let figures = SiteFigures { difference: Some(Difference { value: -0.3, interval: None }), ..figures() };
    assert_eq!(figures.verdict(), Verdict::CannotTell);
    let told = Told { site: "Alder".into(), source: Source::Own, verdict: figures.verdict(), figures };
    let page = render(&Document { figures: vec![told], ..document() });
    assert!(page.contains("−0.300, no interval") && page.contains(">cannot tell<"), "{page}");
}
