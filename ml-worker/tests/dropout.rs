//! Dropout: for training alone, keyed by the site's secret, and right in the mean.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    data::Rows,
    learn::{initial_parameters, logits_of, loss::Objective, Net, OptimizerState, Seeds, Session},
    random::Stream,
};
use consilium_study::{Architecture, Features, Loss, Model, Penalty, StudyFile, StudySpec, Task};

fn spec(dropout: f64) -> StudySpec {
    let text = include_str!("../../examples/breast-cancer/study.toml").replace("\"swarm\"", "\"none\"");
    let mut spec = StudyFile::parse(&text).unwrap().spec();
    spec.data.features = Features { columns: ["a", "b", "c", "d", "e"].map(String::from).to_vec(), others: None };
    let hidden = format!(r#"{{"dense":{{"hidden":[8],"activation":"relu","dropout":{dropout:?}}}}}"#);
    spec.model = serde_json::from_str(&hidden).unwrap();
    spec
}

fn rows(n: usize) -> Rows {
    let mut stream = Stream::new([1; 32]);
    let features: Vec<f32> = (0..5 * n).map(|_| stream.normal() as f32).collect();
    let labels = features.chunks(5).map(|r| u32::from(r[0] + r[1] * r[2] > 0.0)).collect();
    Rows::kept(5, 1, features, labels)
}

#[test]
fn dropout_is_for_training_alone_and_keyed_by_the_sites_secret() {
    let (whole, dropped) = (spec(0.0), spec(0.5));
    let rows = rows(64);
    let parameters = initial_parameters(&whole).unwrap();
    let z = |spec: &StudySpec| logits_of(&Net::new(spec.architecture().unwrap()).unwrap(), &parameters, &rows).unwrap();
    assert_eq!(z(&whole), z(&dropped), "evaluation drops nothing");

    let trained = |spec: &StudySpec, secret: u8, round: u32| {
        // one batch of all rows: their order changes nothing but roundings
        let mut spec = spec.clone();
        spec.training.batch_size = 64;
        let (state, seeds) = (OptimizerState::default(), Seeds::new(&[secret; 32], &[0; 32], round));
        Session::new(&spec, &parameters, &rows, None, &state, &seeds).train(&|_| false).unwrap().parameters
    };
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&trained(&whole, 1, 1), &trained(&whole, 2, 1)) < 1e-3, "the order of one batch");
    let first = trained(&dropped, 1, 1);
    assert_eq!(trained(&dropped, 1, 1), first, "the same masks again");
    for (other, why) in [
        (trained(&whole, 1, 1), "no dropout"),
        (trained(&dropped, 2, 1), "another site"),
        (trained(&dropped, 1, 2), "another round"),
    ] {
        assert!(apart(&first, &other) > 5e-3, "{why}: {}", apart(&first, &other));
    }
}

#[test]
fn what_dropout_leaves_is_scaled_up_so_that_its_mean_stays() {
    // one hidden unit that gives 1 for every row, passed on with weight 1; by ReLU with dropout, and by dropout alone
    for layers in [
        r#"{"layers":[{"dense":{"units":1}},{"activation":"relu"},{"dropout":0.25}]}"#,
        r#"{"layers":[{"dense":{"units":1}},{"dropout":0.25}]}"#,
    ] {
        let model: Model = serde_json::from_str(layers).unwrap();
        let net = Net::new(Architecture::new(&model, &[5], 1, Penalty::default()).unwrap()).unwrap();
        let parameters = [vec![1.0f32], vec![0.0; 5], vec![0.0], vec![1.0]].concat();
        let rows = 4_000;
        let mut work = net.workspace(rows);
        let objective = Objective::new(Task::Binary, Loss::CrossEntropy, Vec::new());
        let mut gradient = vec![0.0; parameters.len()];
        let labels = vec![1; rows];
        let loss = net.loss_and_gradient(&mut work, &parameters, &objective, &labels, Some([9; 32]), &mut gradient);
        // logits are 0 with probability 1/4, else 4/3
        let of = |z: f64| (1.0 + (-z).exp()).ln();
        let wanted = 0.25 * of(0.0) + 0.75 * of(4.0 / 3.0);
        // three standard deviations of the share that was dropped
        let tolerance = 3.0 * (0.25f64 * 0.75 / rows as f64).sqrt() * (of(0.0) - of(4.0 / 3.0));
        assert!((loss - wanted).abs() < tolerance, "{loss} instead of {wanted} by {tolerance}");
    }
}
