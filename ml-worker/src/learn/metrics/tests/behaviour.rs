//! What figures do whatever the numbers are.

use super::super::*;
use crate::learn::{figures::Figures, loss::Objective};
use consilium_study::{Loss, Task};
use serde_json::json;

/// Repeatable numbers (a linear congruential generator) with many ties: logits in quarters from -4 to 4, and labels
/// that follow them loosely.
fn rows(n: usize, seed: u64) -> (Vec<f32>, Vec<bool>) {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i32
    };
    (0..n).map(|_| ((next() % 33 - 16) as f32 / 4.0, next() % 33 - 16)).map(|(z, u)| (z, z * 4.0 > u as f32)).unzip()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn one_class_has_no_figures_of_two() {
    let metrics = Metrics::of(&[0.5, -1.0], &[false, false]).unwrap();
    assert_eq!((metrics.auc, metrics.sensitivity, metrics.balanced_accuracy), (None, None, None));
    assert_eq!((metrics.average_precision, metrics.mcc, metrics.auc_bound.clone()), (None, None, None));
    assert_eq!((metrics.specificity, metrics.ppv, metrics.npv), (Some(0.5), Some(0.0), Some(1.0)));
    assert_eq!(Metrics::of(&[], &[]), None);
    assert_eq!(validated_cut(&[0.5, -1.0], &[true, true]), None);
    assert_eq!(PairedAuc::of(&[0.5f32, -1.0], &[0.5, 1.0], &[true, true]), None);
}

#[test]
fn nothing_divided_by_nothing_is_null() {
    let metrics = Metrics::of(&[-0.5, -1.0, -2.0], &[false, true, false]).unwrap();
    let json = serde_json::to_value(&metrics).unwrap();
    assert_eq!((&json["ppv"], &json["mcc"]), (&json!(null), &json!(null)));
    assert_eq!((metrics.sensitivity, metrics.f1), (Some(0.0), Some(0.0)), "0 of 1 is 0");
    let none = Metrics::of(&[-0.5, -1.0], &[false, false]).unwrap();
    assert_eq!((none.f1, none.ppv, none.sensitivity), (None, None, None));
}

#[test]
fn input_that_does_not_fit_is_refused() {
    let labels = [true, false];
    assert_eq!(Metrics::of(&[1.0], &labels), None);
    for cut in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert_eq!(Metrics::with_cut(&[1.0, 2.0], &labels, Some(cut)), None);
    }
    for p in [f64::NAN, -0.1, 1.1] {
        assert_eq!(Metrics::of_probabilities(&[p, 0.5], &labels, None), None);
        assert_eq!(validated_cut_of_probabilities(&[p, 0.5], &labels), None);
    }
    assert_eq!(validated_cut(&[1.0], &labels), None);
    assert_eq!(PairedAuc::of(&[1.0, 2.0], &[1.0], &labels), None);
    assert_eq!(MultiClass::of(&[0.0; 6], 3, &[0, 3]), None, "no such class");
    assert_eq!(MultiClass::of(&[0.0; 5], 3, &[0, 1]), None);
    assert_eq!(MultiClass::of(&[], 3, &[]), None);
    assert_eq!(MultiClass::of(&[0.0], 1, &[0]), None);
    assert_eq!(MultiClass::of(&[], 0, &[0]), None);
    assert_eq!(MultiClass::of(&[0.0, 0.0], usize::MAX, &[0, 0]), None);
    assert_eq!(MultiClass::of(&[0.0; MAX_CLASSES + 1], MAX_CLASSES + 1, &[0]), None);
    assert_eq!(MultiLabel::of(&[], 2, &[]), None);
    assert_eq!(MultiLabel::of(&[1.0], 0, &[true]), None);
    assert_eq!(MultiLabel::of(&[1.0; 3], 2, &[true; 3]), None);
    assert_eq!(MultiLabel::of(&[1.0; 2], 2, &[true; 4]), None);
    assert_eq!(MultiLabel::with_cuts(&[1.0; 2], &[true; 2], &[]), None);
    assert_eq!(MultiLabel::with_cuts(&[1.0; 2], &[true; 2], &[Some(2.0), None]), None);
}

#[test]
fn a_logit_that_is_not_a_number_leaves_nothing_defined() {
    let (z, labels) = ([f32::NAN, 1.0, -1.0, 0.5], [true, false, true, false]);
    let metrics = Metrics::with_cut(&z, &labels, Some(0.4)).unwrap();
    assert_eq!((metrics.rows, metrics.positives), (4, 2));
    assert_eq!((metrics.auc, metrics.auc_interval, metrics.average_precision), (None, None, None));
    assert_eq!((metrics.sensitivity, metrics.confusion, metrics.at_cut), (None, None, None));
    assert!([metrics.accuracy, metrics.log_loss, metrics.brier, metrics.ece].iter().all(|f| f.is_nan()));
    assert_eq!(validated_cut(&z, &labels), None);
    assert_eq!(PairedAuc::of(&[1.0; 4], &z, &labels), None);
    for odd in [f32::NAN, f32::INFINITY] {
        let several = MultiClass::of(&[odd, 1.0, -1.0, 0.5], 2, &[0, 1]).unwrap();
        assert_eq!((several.rows, several.per_class[1].rows), (2, 1));
        assert_eq!((several.accuracy, several.log_loss, several.mcc), (None, None, None));
        assert_eq!((several.auc_macro.defined, several.auc_macro.of, several.f1.micro), (0, 2, None));
    }
    let labelled = MultiLabel::of(&z, 2, &labels).unwrap();
    assert_eq!((labelled.subset_accuracy, labelled.hamming_loss, labelled.auc_micro), (None, None, None));
    assert_eq!(labelled.per_label.len(), 2);
}

#[test]
fn endless_logits_are_scores_like_others() {
    let far = [f32::INFINITY, f32::NEG_INFINITY, 1.0];
    let right = Metrics::of(&far, &[true, false, true]).unwrap();
    assert_eq!((right.auc, right.confusion.unwrap().tp), (Some(1.0), 2));
    assert!(near(right.log_loss, (-1f64).exp().ln_1p() / 3.0));
    let wrong = Metrics::of(&far, &[false, false, true]).unwrap();
    assert_eq!((wrong.log_loss, wrong.auc), (f64::INFINITY, Some(0.5)));
    assert_eq!(serde_json::to_value(&wrong).unwrap()["log_loss"], json!(null));
    let certain = Metrics::of_probabilities(&[1.0, 0.0], &[true, false], None).unwrap();
    assert_eq!((certain.log_loss, certain.brier, certain.ece), (0.0, 0.0, 0.0));
    assert_eq!(Metrics::of_probabilities(&[1.0, 0.0], &[false, false], None).unwrap().log_loss, f64::INFINITY);
    let no_chance = MultiClass::of(&[f32::NEG_INFINITY, 0.0], 2, &[0]).unwrap();
    assert_eq!((no_chance.log_loss, no_chance.brier), (Some(f64::INFINITY), Some(2.0)));
    assert!(MultiClass::of(&[f32::NEG_INFINITY; 2], 2, &[0]).unwrap().brier.is_none());
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let (z, labels) = rows(301, 5);
    let turned = |of: &[f32]| -> Vec<f32> { (0..301).map(|i| of[i * 97 % 301]).collect() };
    let turned_labels: Vec<bool> = (0..301).map(|i| labels[i * 97 % 301]).collect();
    let (a, b) = (Metrics::of(&z, &labels).unwrap(), Metrics::of(&turned(&z), &turned_labels).unwrap());
    assert!(near(a.log_loss, b.log_loss) && near(a.brier, b.brier) && near(a.ece, b.ece));
    assert_eq!(a, Metrics { log_loss: a.log_loss, brier: a.brier, ece: a.ece, ..b }, "the rest to the last bit");
    assert_eq!(validated_cut(&z, &labels), validated_cut(&turned(&z), &turned_labels));
    let (other, _) = rows(301, 6);
    let paired = PairedAuc::of(&z, &other, &labels).unwrap();
    assert!(paired.p.unwrap() < 1e-6);
    assert_eq!(paired, PairedAuc::of(&turned(&z), &turned(&other), &turned_labels).unwrap());
}

#[test]
fn the_other_class_as_the_positive_one_mirrors_the_auc() {
    let (z, labels) = rows(200, 9);
    let other: Vec<bool> = labels.iter().map(|l| !l).collect();
    let (a, b) = (Metrics::of(&z, &labels).unwrap(), Metrics::of(&z, &other).unwrap());
    assert!(near(a.auc.unwrap(), 1.0 - b.auc.unwrap()));
    let (low, high) = a.auc_interval.unwrap();
    let mirrored = b.auc_interval.unwrap();
    assert!(near(low, 1.0 - mirrored.1) && near(high, 1.0 - mirrored.0));
    let negated: Vec<f32> = z.iter().map(|z| -z).collect();
    assert_eq!(Metrics::of(&negated, &other).unwrap().auc, a.auc);
    let (one, two) = (PairedAuc::of(&z, &negated, &labels).unwrap(), PairedAuc::of(&negated, &z, &labels).unwrap());
    assert_eq!((one.difference, one.standard_error, one.p), (-two.difference, two.standard_error, two.p));
}

#[test]
fn a_perfect_auc_has_a_bound_on_one_side_or_too_few_rows() {
    let with = |positives: usize, negatives: usize, sign: f32| {
        let z: Vec<f32> = (0..positives + negatives).map(|i| if i < positives { sign } else { -sign }).collect();
        let labels: Vec<bool> = (0..positives + negatives).map(|i| i < positives).collect();
        let metrics = Metrics::of(&z, &labels).unwrap();
        assert_eq!(metrics.auc_interval, None);
        serde_json::to_value(metrics.auc_bound.unwrap()).unwrap()
    };
    assert_eq!(with(4, 100, 1.0), json!({ "kind": "too_few", "smaller_class": 4, "needed": 5 }));
    let five = with(100, 5, 1.0);
    assert_eq!(five["kind"], "at_least");
    assert!(near(five["bound"].as_f64().unwrap().powi(5), 0.05), "all of five right has a chance of 5 % there");
    let reversed = with(5, 100, -1.0);
    assert_eq!(reversed["kind"], "at_most");
    assert!(near(reversed["bound"].as_f64().unwrap(), 1.0 - five["bound"].as_f64().unwrap()));
    let blind = Metrics::of(&[0.0; 6], &[true, false, true, false, true, false]).unwrap();
    assert_eq!(blind.auc_bound, Some(AucBound::NoVariance));
    let lone = Metrics::of(&[0.0, 1.0, -1.0], &[true, false, false]).unwrap();
    assert_eq!(lone.auc_bound, Some(AucBound::TooFew { smaller_class: 1, needed: 2 }));
    let (z, labels) = rows(50, 3);
    assert_eq!(Metrics::of(&z, &labels).unwrap().auc_bound, None, "it has an interval");
}

#[test]
fn a_linear_units_outputs_are_ranked_as_they_are_and_judged_as_probabilities() {
    // half of them lie outside 0 to 1: held there, they are ties that say nothing
    let z = [-1.5, -0.25, 0.25, 0.5, -0.125, 0.75, 1.25, 1.75, 1.0];
    let labels = [false, false, false, true, true, false, true, true, true];
    let metrics = Metrics::of_outputs(&z, &labels, Some(0.4), None).unwrap();
    let auc = Metrics::of(&z, &labels).unwrap().auc;
    assert_eq!((metrics.auc, metrics.average_precision), (auc, Metrics::of(&z, &labels).unwrap().average_precision));
    let p: Vec<f64> = z.iter().map(|z| f64::from(*z).clamp(0.0, 1.0)).collect();
    let held = Metrics::of_probabilities(&p, &labels, Some(0.4)).unwrap();
    assert!(held.auc < metrics.auc, "{:?} {:?}", held.auc, metrics.auc);
    assert_eq!((metrics.brier, metrics.ece, metrics.log_loss), (held.brier, held.ece, held.log_loss));
    assert_eq!((metrics.confusion, &metrics.at_cut), (held.confusion, &held.at_cut));
    let plain = Figures::Binary(Box::new(metrics.clone())).without_intervals();
    assert!(metrics.auc_interval.is_some() && plain.binary().unwrap().auc_interval.is_none());
    let study = Objective::new(Task::Binary, Loss::SquaredError, Vec::new());
    let labels: Vec<u32> = labels.iter().map(|l| u32::from(*l)).collect();
    let figures = Figures::of(&study, &z, &labels, &[Some(0.4)]).unwrap();
    assert_eq!(figures.binary().unwrap(), &metrics, "it is what a study of squared_error is measured by");
}

#[test]
fn groups_that_leave_no_variance_leave_no_interval() {
    let (z, labels) = ([0.0, 1.0, -1.0, 2.0, 0.5, -2.0], [true, true, false, true, false, false]);
    let of = |groups: [u8; 6]| Metrics::by_group(&z, &labels, None, Some(&groups.map(|g| [g; 32]))).unwrap();
    // all positive rows are one patient's
    let one = of([1, 1, 2, 1, 3, 4]);
    assert_eq!((one.auc_interval, one.auc_bound), (None, Some(AucBound::TooFew { smaller_class: 1, needed: 2 })));
    assert!(of([1, 2, 3, 4, 5, 6]).auc_interval.is_some());
    assert_eq!(Metrics::by_group(&z, &labels, None, Some(&[[0; 32]; 5])), None);
    assert_eq!(PairedAuc::by_group(&z, &z, &labels, &[[0; 32]; 5]), None);
    // six rows on either side of a perfect order, but three patients: one pair of two patients, not six of rows
    let z: Vec<f32> = (0..12).map(|n| if n < 6 { 1.0 } else { -1.0 }).collect();
    let labels: Vec<bool> = (0..12).map(|n| n < 6).collect();
    let groups: Vec<[u8; 32]> = (0..12u8).map(|n| [n % 3; 32]).collect();
    let perfect = Metrics::by_group(&z, &labels, None, Some(&groups)).unwrap();
    assert_eq!(perfect.auc_bound, Some(AucBound::TooFew { smaller_class: 1, needed: 5 }));
}

#[test]
fn what_has_no_highest_likelihood_is_not_recalibrated() {
    let labels = [false, false, true, true];
    for z in
        [[-2.0, -1.0, 1.0, 2.0], [-1.0, 0.0, 0.0, 1.0], [2.0, 1.0, -1.0, -2.0], [0.5; 4], [f64::NAN, 1.0, 0.0, 2.0]]
    {
        assert_eq!(Recalibration::of(&z, &labels), None, "{z:?}");
    }
    assert_eq!(Recalibration::of(&[1.0, 2.0], &[true, true]), None);
    let parted = Calibration::of(&[-2.0, -1.0, 1.0, 2.0], &labels);
    assert!(parted.slope.is_none() && parted.in_the_large.unwrap().abs() < 1e-9, "the intercept alone is known");
    let by = Recalibration { intercept: 0.5, slope: 2.0 };
    assert!(near(by.probability(-0.25), 0.5));
    assert_eq!(cut_of_sensitivity(&[0.2, 0.4], &[false, false], 0.9), None);
    assert_eq!(cut_of_sensitivity(&[f64::NAN], &[true], 0.9), None);
}

#[test]
fn groups_are_drawn_again_whole_and_the_same_seed_draws_the_same() {
    let groups: Vec<[u8; 32]> = (0..90u8).map(|n| [n / 3; 32]).collect();
    let drawn = Resampling::new(&groups, 400, 5);
    assert_eq!(drawn.groups(), 30);
    for draw in 0..20 {
        let rows = drawn.rows(draw);
        assert!(rows.chunks(3).all(|rows| rows[0] % 3 == 0 && rows[1] == rows[0] + 1 && rows[2] == rows[0] + 2));
        assert_eq!((rows.len(), &rows), (90, &Resampling::new(&groups, 1, 5).rows(draw)));
    }
    assert_ne!(drawn.rows(0), drawn.rows(1));
    assert_ne!(drawn.rows(0), Resampling::new(&groups, 400, 6).rows(0));
    // the three rows of a group are alike: as if there were thirty
    let value = |row: usize| f64::from(u8::from((row / 3).is_multiple_of(2)));
    let mean = |rows: &[usize]| vec![Some(rows.iter().map(|r| value(*r)).sum::<f64>() / rows.len() as f64), None];
    let width = |of: &[Drawn]| of[0].interval.map(|(low, high)| high - low).unwrap();
    let by_group = drawn.intervals(mean);
    let alone: Vec<[u8; 32]> = (0..90u8).map(|n| [n; 32]).collect();
    let by_row = Resampling::new(&alone, 400, 5).intervals(mean);
    // of a share of one half: 3.92 standard errors
    assert!((width(&by_group) - 3.92 * 0.5 / 30f64.sqrt()).abs() < 0.05, "{by_group:?}");
    assert!((width(&by_row) - 3.92 * 0.5 / 90f64.sqrt()).abs() < 0.04, "{by_row:?}");
    assert_eq!((by_group[1].interval, by_group[1].undefined), (None, 400));
}

#[test]
fn a_cut_is_chosen_on_validation_rows_and_used_on_others() {
    let (z, labels) = ([-3.0, -2.0, -1.5, -1.0, -0.5], [false, false, true, true, true]);
    let cut = validated_cut(&z, &labels).unwrap();
    assert!(near(cut, (sigmoid(-2.0) + sigmoid(-1.5)) / 2.0));
    let held_out = Metrics::with_cut(&[-1.0, -2.5, -1.9, 1.0], &[true, false, true, true], Some(cut)).unwrap();
    assert_eq!((held_out.sensitivity, held_out.specificity), (Some(1.0 / 3.0), Some(1.0)));
    let at = held_out.at_cut.unwrap();
    assert_eq!((at.cut, at.sensitivity, at.accuracy), (cut, Some(2.0 / 3.0), 0.75));
    assert_eq!(at.confusion, Confusion { tp: 2, fp: 0, tn: 1, f_n: 1 });
}

#[test]
fn of_cuts_that_are_as_good_the_nearest_to_a_half_is_taken() {
    let labels = [false, true, false, true];
    // J is 1/2 between the first two and between the last two
    let cut = |p: [f64; 4]| validated_cut_of_probabilities(&p, &labels);
    assert_eq!(cut([0.0, 0.25, 0.5, 0.75]), Some(0.625));
    assert_eq!(cut([0.25, 0.5, 0.75, 1.0]), Some(0.375));
    assert_eq!(cut([0.125, 0.375, 0.625, 0.875]), Some(0.25), "as near: the lower");
    assert_eq!(cut([0.75, 0.5, 0.25, 0.0]), None, "nothing beats one answer for all");
    assert_eq!(cut([0.5; 4]), None);
    let neighbours = [0.5, 0.5 + f64::EPSILON / 2.0];
    let tight = validated_cut_of_probabilities(&neighbours, &[false, true]).unwrap();
    assert_eq!(Confusion::of(&neighbours, &[false, true], tight).unwrap().mcc(), Some(1.0));
}

#[test]
fn a_row_on_the_cut_is_positive() {
    let metrics = Metrics::of_probabilities(&[0.5, 0.25], &[true, true], Some(0.25)).unwrap();
    assert_eq!((metrics.accuracy, metrics.at_cut.unwrap().accuracy), (0.5, 1.0));
}

#[test]
fn models_that_order_rows_alike_cannot_be_told_apart() {
    let (z, labels) = rows(80, 4);
    let scaled: Vec<f32> = z.iter().map(|z| z * 2.0 + 1.0).collect();
    let paired = PairedAuc::of(&z, &scaled, &labels).unwrap();
    assert_eq!((paired.difference, paired.standard_error, paired.z, paired.p), (0.0, None, None, None));
}

#[test]
fn two_classes_are_a_case_of_several() {
    let (z, labels) = rows(150, 2);
    // off 0: of even logits, the first class is the answer of several and the positive one that of two
    let z: Vec<f32> = z.iter().map(|z| z + 0.125).collect();
    let classes: Vec<usize> = labels.iter().map(|l| usize::from(*l)).collect();
    let wide: Vec<f32> = z.iter().flat_map(|z| [0.0, *z]).collect();
    let (several, binary) = (MultiClass::of(&wide, 2, &classes).unwrap(), Metrics::of(&z, &labels).unwrap());
    assert_eq!((several.per_class[1].auc, several.accuracy), (binary.auc, Some(binary.accuracy)));
    assert_eq!((several.per_class[1].precision, several.per_class[1].f1), (binary.ppv, binary.f1));
    assert!(near(several.brier.unwrap(), 2.0 * binary.brier) && near(several.log_loss.unwrap(), binary.log_loss));
    assert!(near(several.mcc.unwrap(), binary.mcc.unwrap()));
}

#[test]
fn rows_that_differ_by_places_of_logits_stay_ties() {
    // class 0 has the same logit among the same others, in another order
    let logits = [0.1, 0.7, -0.3, 1.9, 0.1, 1.9, 0.7, -0.3, 0.1, -0.3, 1.9, 0.7];
    let several = MultiClass::of(&logits, 4, &[0, 1, 0]).unwrap();
    assert_eq!(several.per_class[0].auc, Some(0.5));
}

#[test]
fn a_cut_of_its_own_for_each_label() {
    let (logits, truths) = ([1.0, -1.0, -2.0, -0.5, 2.0, -3.0], [true, true, false, true, true, false]);
    let plain = MultiLabel::of(&logits, 2, &truths).unwrap();
    let cut = MultiLabel::with_cuts(&logits, &truths, &[None, Some(0.1)]).unwrap();
    assert_eq!(cut.per_label[0], plain.per_label[0]);
    assert_eq!(cut.per_label[1].as_ref().unwrap().at_cut.as_ref().unwrap().accuracy, 1.0);
    assert_eq!((cut.subset_accuracy, cut.hamming_loss), (Some(1.0 / 3.0), Some(1.0 / 3.0)), "these are at 0.5");
}

#[test]
fn a_mean_says_over_how_many_it_is() {
    let mean = Mean::over([Some(0.5), None, Some(1.0), Some(f64::NAN)]);
    assert_eq!(mean, Mean { mean: Some(0.75), defined: 2, of: 4 });
    assert_eq!(Mean::over([None, None]), Mean { mean: None, defined: 0, of: 2 });
    assert_eq!(Mean::over([]), Mean { mean: None, defined: 0, of: 0 });
}
