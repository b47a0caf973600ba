//! Both engines compute the same: the kernels that train on a CPU, and candle's tensors with candle's derivatives.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    learn::{
        candle::{CandleNet, Number},
        loss::Objective,
        Net,
    },
    random::Stream,
};
use consilium_study::{Architecture, Loss, Model, Penalty, Task};

/// Largest relative distance (L2) of a tensor's gradients, and that of the losses.
fn distance<R: Number>(layers: &str, input: &[usize], task: Task, dropout: bool) -> f64 {
    let model: Model = serde_json::from_str(layers).unwrap();
    let net = Net::new(Architecture::new(&model, input, task.outputs(), Penalty::default()).unwrap()).unwrap();
    let objective = Objective::new(task, Loss::CrossEntropy, Vec::new());
    let mut stream = Stream::new([7; 32]);
    let rows = 5;
    let parameters: Vec<R> = (0..net.parameters()).map(|_| R::of(stream.normal() * 0.3)).collect();
    let x: Vec<R> = (0..rows * net.inputs()).map(|_| R::of(stream.normal())).collect();
    let most = if let Task::Classes(n) = task { n as u32 } else { 2 };
    let labels: Vec<u32> = (0..rows * objective.labels_per_row()).map(|_| stream.below(most)).collect();
    let chance = dropout.then_some([3; 32]);
    let mut ours = vec![R::ZERO; net.parameters()];
    let mut work = net.workspace(rows);
    work.input().copy_from_slice(&x);
    let loss = net.loss_and_gradient(&mut work, &parameters, &objective, &labels, chance, &mut ours);
    let candle = CandleNet::new(&net, candle_core::Device::Cpu);
    let mut theirs = vec![R::ZERO; net.parameters()];
    let other = candle.loss_and_gradient(&parameters, &x, &objective, &labels, chance, &mut theirs).unwrap();
    let logits: Vec<R> = candle.logits(&parameters, &x).unwrap();
    let plain = net.forward(&mut work, &parameters, rows, None);
    let far = |a: &[R], b: &[R]| {
        let square = |f: &dyn Fn(&R, &R) -> f64| a.iter().zip(b).map(|(a, b)| f(a, b).powi(2)).sum::<f64>();
        (square(&|a, b| a.f64() - b.f64()) / square(&|_, b| b.f64()).max(1e-300)).sqrt()
    };
    let tensors = net.tensors().map(|(_, range)| far(&ours[range.clone()], &theirs[range]));
    tensors.chain([(loss - other).abs() / other, far(plain, &logits)]).fold(0.0, f64::max)
}

#[test]
fn both_engines_give_the_same_gradients() {
    let dense = r#"{"layers":[{"dense":{"units":20}},{"activation":"relu"},{"dropout":0.3},{"layer_norm":{}},
        {"dense":{"units":9}},{"activation":"gelu_tanh"},{"dropout":0.2},{"dense":{"units":7}},{"activation":"silu"},
        {"dense":{"units":7}},{"activation":"elu"},{"dense":{"units":7}},{"activation":"leaky_relu"},
        {"dense":{"units":7}},{"activation":"tanh"},{"dense":{"units":7}},{"activation":"sigmoid"}]}"#;
    let pooled = r#"{"layers":[{"conv2d":{"filters":4,"kernel":3,"padding":1}},{"activation":"relu"},
        {"max_pool":{"size":3,"stride":2,"padding":1}},{"conv2d":{"filters":6,"kernel":3,"stride":2}},{"activation":"tanh"},
        {"average_pool":{"size":2,"stride":1,"padding":1}},"flatten",{"dense":{"units":8}},{"activation":"relu"}]}"#;
    let residual = r#"{"layers":[{"conv2d":{"filters":8,"kernel":3,"padding":1}},{"group_norm":{"groups":4}},
        {"residual":{"branch":[{"conv2d":{"filters":8,"kernel":3,"padding":1}},{"activation":"relu"},{"dropout":0.2},
        {"conv2d":{"filters":8,"kernel":3,"padding":1}}]}},{"activation":"relu"},{"residual":{"branch":
        [{"conv2d":{"filters":12,"kernel":3,"stride":2,"padding":1}}],"shortcut":[{"conv2d":{"filters":12,"kernel":1,
        "stride":2}}]}},"global_average_pool"]}"#;
    for (layers, input) in [(dense, &[13][..]), (pooled, &[2, 12, 11]), (residual, &[1, 9, 9])] {
        for task in [Task::Binary, Task::Classes(4), Task::Labels(3)] {
            for dropout in [false, true] {
                let double = distance::<f64>(layers, input, task, dropout);
                assert!(double < 1e-11, "{double:e} for {task:?} of {layers}");
                let single = distance::<f32>(layers, input, task, dropout);
                assert!(single < 2e-4, "{single:e} for {task:?} of {layers}");
            }
        }
    }
}

/// Values that are no numbers are found in the loss and named: neither engine may lose one on the way.
#[test]
fn both_engines_keep_values_that_are_no_numbers() {
    let activations = ["relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "gelu_tanh"];
    let layers = activations.map(|name| format!(r#"{{"activation":"{name}"}}"#)).into_iter().chain(
        [
            r#"{"max_pool":{"size":2}}"#,
            r#"{"max_pool":{"size":3,"stride":2,"padding":1}}"#,
            r#"{"average_pool":{"size":2}}"#,
            r#""global_average_pool""#,
        ]
        .map(String::from),
    );
    for layer in layers {
        let flat = if layer.contains("global") { "" } else { r#","flatten""# };
        let model: Model = serde_json::from_str(&format!(r#"{{"layers":[{layer}{flat}]}}"#)).unwrap();
        let net = Net::new(Architecture::new(&model, &[1, 4, 4], 1, Penalty::default()).unwrap()).unwrap();
        let parameters = vec![0.1_f32; net.parameters()];
        // in each place of the picture, and none in the second one
        for place in 0..16 {
            let mut x: Vec<f32> = (0..32_u8).map(|n| f32::from(n % 7) - 3.0).collect();
            x[place] = f32::NAN;
            let mut work = net.workspace(2);
            work.input().copy_from_slice(&x);
            let ours = net.forward(&mut work, &parameters, 2, None).to_vec();
            let theirs = CandleNet::new(&net, candle_core::Device::Cpu).logits(&parameters, &x).unwrap();
            for z in [ours, theirs] {
                assert!(z[0].is_nan() && z[1].is_finite(), "{layer}, place {place}: {z:?}");
            }
        }
    }
}
