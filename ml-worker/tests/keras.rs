//! Two small networks beside Keras in double precision. Numbers by `bench/golden.py`; the file says with which versions.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::learn::{loss::Objective, Net, Stepper};
use consilium_study::{Architecture, Loss, Model, Penalty, Task, Training};
use serde_json::{json, Value};

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

struct Case {
    net: Net,
    x: Vec<f64>,
    y: Vec<u32>,
    parameters: Vec<f64>,
}

impl Case {
    fn of(value: &Value) -> Self {
        let model: Model = serde_json::from_value(json!({ "layers": value["layers"] })).unwrap();
        let input: Vec<usize> = numbers(&value["input"]).iter().map(|n| *n as usize).collect();
        let net = Net::new(Architecture::new(&model, &input, 1, Penalty::default()).unwrap()).unwrap();
        let named: Vec<Value> =
            net.tensors().map(|(t, range)| json!({"name": t.name, "shape": t.shape, "offset": range.start})).collect();
        assert_eq!(Value::from(named), value["tensors"], "the layout of the golden numbers is ours");
        let parameters = flat(&net, &value["parameters"]);
        let y = numbers(&value["y"]).iter().map(|y| *y as u32).collect();
        Self { net, x: numbers(&value["x"]), y, parameters }
    }

    fn gradient(&self, parameters: &[f64], rows: &[usize]) -> (f64, Vec<f64>) {
        let width = self.net.inputs();
        let mut work = self.net.workspace(rows.len());
        let x: Vec<f64> = rows.iter().flat_map(|r| self.x[r * width..(r + 1) * width].to_vec()).collect();
        work.input().copy_from_slice(&x);
        let y: Vec<u32> = rows.iter().map(|r| self.y[*r]).collect();
        let mut gradient = vec![0.0; parameters.len()];
        let objective = Objective::new(Task::Binary, Loss::CrossEntropy, Vec::new());
        let loss = self.net.loss_and_gradient(&mut work, parameters, &objective, &y, None, &mut gradient);
        (loss, gradient)
    }
}

/// Tensors by name, in the order of the model file.
fn flat(net: &Net, tensors: &Value) -> Vec<f64> {
    net.tensors().flat_map(|(tensor, _)| numbers(&tensors[&tensor.name])).collect()
}

fn assert_close(ours: &[f64], keras: &[f64], bar: f64, what: &str) {
    assert_eq!(ours.len(), keras.len(), "{what}");
    for (a, b) in ours.iter().zip(keras) {
        assert!((a - b).abs() <= bar * b.abs().max(1e-3), "{what}: {a} instead of {b}");
    }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/keras.json")).unwrap()
}

#[test]
fn gradients_of_dense_and_convolutional_networks_are_those_of_keras() {
    let golden = golden();
    let case = Case::of(&golden["convolutional"]);
    let (loss, gradient) = case.gradient(&case.parameters, &[0, 1, 2, 3]);
    assert_close(&[loss], &numbers(&golden["convolutional"]["loss"]), 1e-12, "loss");
    assert_close(&gradient, &flat(&case.net, &golden["convolutional"]["gradient"]), 1e-9, "gradient");

    let first = &golden["dense"]["first_gradient"];
    let case = Case::of(&golden["dense"]);
    let batch: Vec<usize> = numbers(&golden["dense"]["batches"][0]).iter().map(|r| *r as usize).collect();
    let (loss, mut gradient) = case.gradient(&case.parameters, &batch);
    let penalties = consilium_ml_worker::learn::Penalties::new(&case.net, 0.0);
    penalties.add_to(&mut gradient, &case.parameters, &[]);
    assert_close(&[loss], &numbers(&first["loss"]), 1e-12, "loss");
    assert_close(&[penalties.value(&case.parameters, &[])], &numbers(&first["penalty"]), 1e-12, "penalty");
    assert_close(&gradient, &flat(&case.net, &first["gradient"]), 1e-9, "gradient");
}

#[test]
fn fifty_steps_of_adam_and_of_momentum_are_those_of_keras() {
    let golden = golden();
    let case = Case::of(&golden["dense"]);
    for (name, run) in golden["dense"]["runs"].as_object().unwrap() {
        let training: Training =
            serde_json::from_value(json!({ "optimizer": run["optimizer"], "batch_size": 8, "epochs": 1 })).unwrap();
        let mut parameters = case.parameters.clone();
        let mut stepper = Stepper::new(&training, &case.net, &parameters);
        let (mut losses, mut penalties) = (Vec::new(), Vec::new());
        for batch in golden["dense"]["batches"].as_array().unwrap() {
            let rows: Vec<usize> = numbers(batch).iter().map(|r| *r as usize).collect();
            let (loss, mut gradient) = case.gradient(&parameters, &rows);
            losses.push(loss);
            penalties.push(stepper.penalties().value(&parameters, &[]));
            stepper.step(&mut parameters, &mut gradient, 0.0, 1.0);
        }
        assert_close(&losses, &numbers(&run["losses"]), 1e-9, name);
        assert_close(&penalties, &numbers(&run["penalties"]), 1e-9, name);
        assert_close(&parameters, &flat(&case.net, &run["parameters"]), 1e-9, name);
    }
}
