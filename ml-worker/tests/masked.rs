//! Several labels of which some are not known of some rows.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::{
    data::{Prepared, Rows, Split, UNKNOWN},
    learn::{figures::Figures, loss::Objective, micro_of, Net},
    random::{key, Stream},
};
use consilium_primitives::FailureCode;
use consilium_study::{Architecture, Loss, Metric, Model, Penalty, StudyFile, StudySpec, Task};
use made::{look, read, refused, spec};
use serde_json::Value;

const LABELS: usize = 3;

fn objective(labels: usize) -> Objective {
    Objective::new(Task::Labels(labels), Loss::CrossEntropy, Vec::new())
}

fn net(layers: &str) -> Net {
    let model: Model = serde_json::from_str(&format!(r#"{{"layers": [{layers}]}}"#)).unwrap();
    Net::new(Architecture::new(&model, &[4], LABELS, Penalty::default()).unwrap()).unwrap()
}

/// Six rows of four numbers, parameters, and labels of which a third is not known, the second label of the first two rows among them.
fn point(net: &Net) -> (Vec<f64>, Vec<f64>, Vec<u32>) {
    let mut stream = Stream::new(key("masked", &[]));
    let input = (0..6 * 4).map(|_| stream.normal()).collect();
    let parameters = (0..net.parameters()).map(|_| stream.normal() * 0.7).collect();
    let mut labels: Vec<u32> = (0..6 * LABELS).map(|_| [0, 1, UNKNOWN][stream.below(3) as usize]).collect();
    (labels[1], labels[4]) = (UNKNOWN, UNKNOWN);
    (labels[0], labels[2], labels[7]) = (1, 0, 1);
    (input, parameters, labels)
}

fn loss(net: &Net, input: &[f64], parameters: &[f64], labels: &[u32], gradient: &mut [f64]) -> f64 {
    let mut work = net.workspace(6);
    work.input().copy_from_slice(input);
    net.loss_and_gradient(&mut work, parameters, &objective(LABELS), labels, None, gradient)
}

#[test]
fn the_gradient_of_a_masked_loss_is_that_of_central_differences() {
    // tanh has no kink
    for layers in ["\"flatten\"", "{ \"dense\": { \"units\": 5 } }, { \"activation\": \"tanh\" }"] {
        let net = net(layers);
        let (input, parameters, labels) = point(&net);
        let mut gradient = vec![f64::NAN; parameters.len()];
        loss(&net, &input, &parameters, &labels, &mut gradient);
        let along = |n: usize, step: f64| {
            let mut moved = parameters.clone();
            moved[n] += step;
            loss(&net, &input, &moved, &labels, &mut vec![0.0; parameters.len()])
        };
        let mut worst = 0.0f64;
        for (n, slope) in gradient.iter().enumerate() {
            let step = 1e-5;
            let found = (along(n, step) - along(n, -step)) / (2.0 * step);
            worst = worst.max((found - slope).abs() / slope.abs().max(1e-3));
        }
        assert!(worst < 1e-6, "{layers}: {worst}");
        assert!(gradient.iter().filter(|slope| slope.abs() > 1e-3).count() > parameters.len() / 2);
    }
}

/// In a network of one layer each output has weights of its own.
#[test]
fn what_is_not_known_of_one_label_changes_nothing_for_another() {
    let net = net("\"flatten\"");
    let (input, parameters, labels) = point(&net);
    let gradient = |labels: &[u32]| {
        let mut gradient = vec![f64::NAN; parameters.len()];
        loss(&net, &input, &parameters, labels, &mut gradient);
        gradient
    };
    let filled: Vec<u32> =
        labels.iter().zip(0..).map(|(l, n)| if n % 3 == 1 && *l == UNKNOWN { 1 } else { *l }).collect();
    let none: Vec<u32> = labels.iter().zip(0..).map(|(l, n)| if n % 3 == 1 { UNKNOWN } else { *l }).collect();
    let [with, without, never] = [&filled, &labels, &none].map(|labels| gradient(labels));
    let mut seen = [0, 0];
    for (tensor, range) in net.tensors() {
        // of a weight the outputs lie along one side, of a bias along the only one
        let side = tensor.shape.iter().position(|n| *n == LABELS).unwrap();
        let inner: usize = tensor.shape[side + 1..].iter().product();
        for (place, n) in range.enumerate() {
            if (place / inner) % LABELS == 1 {
                assert_eq!(never[n], 0.0);
                seen[0] += usize::from(with[n] != without[n]);
            } else {
                assert_eq!(with[n].to_bits(), without[n].to_bits());
                assert_eq!(with[n].to_bits(), never[n].to_bits());
                seen[1] += usize::from(with[n] != 0.0);
            }
        }
    }
    assert!(seen[0] >= 5 && seen[1] >= 10, "{seen:?}");
}

/// `golden/masked.json`, by numpy and scikit-learn (`golden/masked.py`).
#[test]
fn losses_and_figures_are_over_what_is_known() {
    let golden: Value = serde_json::from_str(include_str!("golden/masked.json")).unwrap();
    let numbers = |name: &str| golden[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let labels: Vec<u32> =
        golden["truths"].as_array().unwrap().iter().map(|v| v.as_u64().map_or(UNKNOWN, |v| v as u32)).collect();
    let count = golden["labels"].as_u64().unwrap() as usize;
    let (z, goal) = (numbers("logits"), objective(count));
    let near = |found: f64, wanted: &Value, what: &str| {
        assert!((found - wanted.as_f64().unwrap()).abs() < 1e-12, "{what}: {found}, {wanted}");
    };
    let mut slope = vec![f64::NAN; z.len()];
    near(goal.loss_and_slope(&z, &labels, &mut slope), &golden["loss"], "loss");
    for (found, wanted) in slope.iter().zip(golden["slope"].as_array().unwrap()) {
        near(*found, wanted, "slope");
    }
    let logits: Vec<f32> = z.iter().map(|z| *z as f32).collect();
    let groups: Vec<[u8; 32]> = (0..labels.len() / count).map(|n| [n as u8; 32]).collect();
    for groups in [None, Some(&groups[..])] {
        let Some(Figures::Labels(found)) = Figures::by_group(&goal, &logits, &labels, &[], groups) else { panic!() };
        for (figure, name) in [
            (found.log_loss, "log_loss_of_known"),
            (found.auc_macro.mean.unwrap(), "auc_macro"),
            (found.auc_micro.unwrap(), "auc_micro"),
            (found.average_precision_micro.unwrap(), "average_precision_micro"),
            (found.subset_accuracy.unwrap(), "subset_accuracy"),
            (found.hamming_loss.unwrap(), "hamming_loss"),
        ] {
            near(figure, &golden[name], name);
        }
        assert_eq!((found.rows, found.auc_macro.defined, found.auc_macro.of), (60, 3, 4));
        for (found, wanted) in found.per_label.iter().zip(golden["per_label"].as_array().unwrap()) {
            let Some(found) = found else {
                assert!(wanted.is_null());
                continue;
            };
            assert_eq!(found.rows as u64, wanted["rows"].as_u64().unwrap());
            near(found.auc.unwrap(), &wanted["auc"], "auc");
            near(found.average_precision.unwrap(), &wanted["average_precision"], "average precision");
            near(found.log_loss, &wanted["log_loss"], "log-loss");
        }
    }
    // what goes onto the chain is the mean over what is known, whatever the gaps
    let mut spec = study("missing_labels = \"mask\"");
    spec.data.labels = (0..count).map(|n| format!("l{n}")).collect();
    spec.evaluation.min_rows = 20;
    let rows = Rows::kept(1, count, vec![0.0; labels.len() / count], labels);
    for (metric, name) in [(Metric::LogLoss, "log_loss_of_known"), (Metric::Brier, "brier_of_known")] {
        spec.evaluation.metric = metric;
        let wanted = (golden[name].as_f64().unwrap() * 1e6).round() as u32;
        assert_eq!(micro_of(&spec, &logits, &rows), Some(wanted), "{name}");
    }
}

fn study(more: &str) -> StudySpec {
    spec(&format!(
        "features = {{ columns = [\"x\"] }}\nlabels = [\"a\", \"b\"]\npositive = \"yes\"\nnegative = \"no\"\n\
         missing_values = [\"?\"]\n{more}"
    ))
}

#[test]
fn a_gap_in_a_label_is_refused_unless_the_study_masks_it_and_a_row_without_any_label_is_left_out() {
    let text = "x,a,b\n1,yes,no\n2,,yes\n3,no,NA\n4,?,?\n5,no,yes\n";
    let said = refused(&study(""), text);
    assert!(said.contains("line 3, column \"a\": is neither the positive value"), "{said}");
    let spec = study("missing_labels = \"mask\"");
    let table = read(&spec, text).unwrap();
    assert_eq!(table.values().unwrap(), [1.0, 2.0, 3.0, 5.0]);
    assert_eq!(table.labels, [1, 0, UNKNOWN, 1, 0, UNKNOWN, 0, 1]);
    assert_eq!((table.dropped, table.missing, table.skipped), (1, 0, 0));
    assert_eq!((table.classes(0..4), table.known(0..4)), (vec![1, 2], vec![3, 3]));
    // another word is still an error
    let said = refused(&spec, "x,a,b\n1,yes,no\n2,perhaps,yes\n");
    assert!(said.contains("line 3, column \"a\": is neither"), "{said}");
    let error = read(&spec, "x,a,b\n1,,NA\n").unwrap_err();
    assert_eq!(error.code, FailureCode::TooFewSamples, "{error}");
    // a label that is the same in all rows that know it teaches nothing
    let prepared = |text: &str| {
        let table = read(&spec, text).unwrap();
        Prepared::new(&spec, &table, &Split::of(&table, 0.25), None)
    };
    let rows = |b: fn(usize) -> &'static str| {
        "x,a,b\n".to_owned() + &(0..40).map(|n| format!("{n},yes,{}\n", b(n))).collect::<String>()
    };
    let error = prepared(&rows(|n| ["no", ""][n % 2])).unwrap_err();
    assert!(error.code == FailureCode::OneClass && error.message.contains("that know it"), "{error}");
    assert!(prepared(&rows(|n| ["no", "yes", ""][n % 3])).unwrap().training.len() >= 28);
}

#[test]
fn preflight_counts_what_is_known_of_each_label() {
    let spec = study("missing_labels = \"mask\"");
    let rows = |n: usize| format!("{n}.5,{},{}\n", ["yes", "no", ""][n % 3], ["yes", "", "", "no"][n % 4]);
    let text = "x,a,b\n".to_owned() + &(0..60).map(rows).collect::<String>();
    let (report, words) = look(&spec, &text);
    assert!(report.usable, "{words}");
    // of sixty rows every third has no `a` and every second no `b`: ten have neither
    assert!(words.contains("rows: 60, of which 0 cannot be read and 10 are dropped"), "{words}");
    assert!(
        words.contains("all that are left: 50 rows (\"a\": 20 of 40 that are known, \"b\": 15 of 30 that are known)"),
        "{words}"
    );
    let full =
        "x,a,b\n".to_owned() + &(0..60).map(|n| format!("{n}.5,{},no\n", ["yes", "no"][n % 2])).collect::<String>();
    let (report, words) = look(&spec, &full);
    assert!(report.all.known.is_empty() && words.contains("(\"a\": 30, \"b\": 0)"), "{words}");
}

#[test]
fn only_several_labels_are_masked_and_no_value_is_both_a_label_and_a_gap() {
    let parse = |data: &str| {
        let text = format!(
            "title = \"t\"\n[data]\nfeatures = {{ columns = [\"x\"] }}\npositive = \"1\"\nnegative = \"0\"\n{data}\n[model.logistic]\n\
             [training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\nbatch_size = 4\nepochs = 1\n[evaluation]\n\
             validation_share = 0.25\n[rules]\nrounds = 1\ntraining_seconds = 1\n"
        );
        StudyFile::parse(&text).map(|file| String::from_utf8(file.spec().canonical().unwrap()).unwrap())
    };
    let said = |data: &str| parse(data).unwrap_err().to_string();
    assert!(said("label = \"a\"\nmissing_labels = \"mask\"").contains("data.missing_labels"));
    let both = said("labels = [\"a\", \"b\"]\nmissing_labels = \"mask\"\nmissing_values = [\"0.0\"]");
    assert!(both.contains("data.missing_values") && both.contains("a value of the labels too"), "{both}");
    assert!(parse("labels = [\"a\", \"b\"]\nmissing_labels = \"mask\"")
        .unwrap()
        .contains("\"missing_labels\":\"mask\""));
    let plain = parse("labels = [\"a\", \"b\"]\nmissing_labels = \"refuse\"\nmissing_values = [\"0\"]").unwrap();
    assert!(!plain.contains("missing_labels"), "{plain}");
}
