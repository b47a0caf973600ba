//! The same bits at any number of threads.

use super::{draw, net};
use consilium_ml_worker::{
    learn::{loss::Objective, Net},
    random::key,
};
use consilium_study::{Loss, Task};

/// Bits of the loss and the gradient of a batch, in f32.
fn bits(net: &Net, batch: usize, outputs: usize, threads: usize) -> (u64, Vec<u32>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let f32s = |numbers: Vec<f64>, factor: f64| -> Vec<f32> { numbers.iter().map(|n| (n * factor) as f32).collect() };
    let parameters = f32s(draw(18, net.parameters()), 0.1);
    let objective = Objective::new(Task::Classes(outputs), Loss::CrossEntropy, Vec::new());
    let labels: Vec<u32> = (0..batch as u32).map(|n| n * 7 % outputs as u32).collect();
    let mut work = net.workspace(batch);
    let x = f32s(draw(19, batch * net.inputs()), 1.0);
    work.input().copy_from_slice(&x);
    let mut gradient = vec![f32::NAN; net.parameters()];
    let chance = Some(key("chance", &[]));
    let loss =
        pool.install(|| net.loss_and_gradient(&mut work, &parameters, &objective, &labels, chance, &mut gradient));
    net.all_reached(&gradient).unwrap();
    assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()));
    (loss.to_bits(), gradient.iter().map(|g| g.to_bits()).collect())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let conv = |filters: u32, kernel: u32, stride: u32, padding: u32| {
        format!(
            r#"{{"conv2d": {{"filters": {filters}, "kernel": {kernel}, "stride": {stride}, "padding": {padding}}}}}"#
        )
    };
    let relu = r#"{"activation": "relu"}"#;
    let (first, second, point, strided) = (conv(16, 3, 1, 1), conv(12, 5, 1, 2), conv(24, 1, 1, 0), conv(20, 3, 2, 1));
    let nets = [
        (
            "dense",
            net(
                &format!(r#"[{{"dense": {{"units": 300}}}}, {relu}, {{"dropout": 0.2}}, {{"layer_norm": {{}}}}]"#),
                &[513],
                7,
            ),
            257,
        ),
        (
            "convolutions and norms",
            net(
                &format!(
                    r#"[{first}, {relu}, {{"group_norm": {{"groups": 4}}}}, {second}, {{"activation": "silu"}}, {strided},
                        {{"residual": {{"branch": [{point}], "shortcut": [{point}]}}}}, "global_average_pool"]"#
                ),
                &[2, 41, 37],
                5,
            ),
            9,
        ),
        (
            "pools",
            net(
                &format!(
                    r#"[{first}, {{"max_pool": {{"size": 2}}}}, {relu}, {{"max_pool": {{"size": 3, "stride": 2, "padding": 1}}}},
                        {{"dropout": 0.5}}, {{"average_pool": {{"size": 2, "stride": 1}}}}, "flatten"]"#
                ),
                &[1, 64, 60],
                4,
            ),
            16,
        ),
    ];
    for (name, net, batch) in &nets {
        let outputs = net.architecture().outputs;
        let one = bits(net, *batch, outputs, 1);
        for threads in [2, 4] {
            let more = bits(net, *batch, outputs, threads);
            assert_eq!(one.0, more.0, "{name}: the loss at {threads} threads");
            assert!(one.1 == more.1, "{name}: the gradient at {threads} threads");
        }
    }
}
