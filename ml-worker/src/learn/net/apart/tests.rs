#![allow(clippy::unwrap_used)]
use super::*;
use crate::random::Stream;
use consilium_study::{Loss, Model, Penalty, Task};
use std::collections::BTreeSet;

/// One of every operation.
const EVERY: &str = r#"{"layers": [
    {"conv2d": {"filters": 4, "kernel": 3, "padding": 1}}, {"max_pool": {"size": 2}}, {"group_norm": {"groups": 2}},
    {"activation": "silu"}, {"residual": {"branch": [{"conv2d": {"filters": 4, "kernel": 3, "padding": 1}}], "shortcut": []}},
    {"average_pool": {"size": 2, "stride": 1}}, {"dropout": 0.3}, "global_average_pool", "flatten",
    {"dense": {"units": 5}}, {"layer_norm": {}}, {"dense": {"units": 6}}, {"activation": "relu"}, {"dropout": 0.2}]}"#;
const ROWS: usize = 5;

fn every() -> Net {
    let model: Model = serde_json::from_str(EVERY).unwrap();
    Net::new(Architecture::new(&model, &[2, 6, 6], 3, Penalty::default()).unwrap()).unwrap()
}

/// What layers do, those inside of others included. Who adds an operation names it here.
fn kinds(nodes: &[Node], all: &mut BTreeSet<&'static str>) {
    for node in nodes {
        let kind = match &node.op {
            Op::Dense { .. } => "dense",
            Op::Conv2d { .. } => "conv2d",
            Op::MaxPool { .. } => "max_pool",
            Op::AveragePool { .. } => "average_pool",
            Op::GlobalAveragePool => "global_average_pool",
            Op::Norm { .. } => "norm",
            Op::Activation(_) => "activation",
            Op::Dropout(_) => "dropout",
            Op::Flatten => "flatten",
            Op::Residual { branch, shortcut } => {
                kinds(branch, all);
                kinds(shortcut, all);
                "residual"
            }
        };
        all.insert(kind);
    }
}

/// What stands on the list is there by right: a row that changes leaves every bit of the others as it was, there and back.
#[test]
fn what_is_on_the_list_keeps_rows_apart() {
    let net = every();
    net.architecture().keeps_rows_apart().unwrap();
    let mut all = BTreeSet::new();
    kinds(&net.architecture().nodes, &mut all);
    assert_eq!(all.len(), 10, "{all:?}");
    let mut stream = Stream::new([1; 32]);
    let mut numbers = |count: usize| (0..count).map(|_| stream.normal() as f32 * 0.5).collect::<Vec<_>>();
    let (parameters, mut input) = (numbers(net.parameters()), numbers(ROWS * net.inputs()));
    let other = numbers(net.inputs());
    let objective = Objective::new(Task::Classes(3), Loss::CrossEntropy, Vec::new());
    let run = |input: &[f32]| {
        let mut work = net.workspace(ROWS);
        work.input().copy_from_slice(input);
        net.slopes(&mut work, &parameters, &objective, &[0, 1, 2, 1, 0], Some([9; 32]));
        let squares = net.squares(&work, &[1; ROWS]);
        (work, squares)
    };
    let (before, squares) = run(&input);
    input[2 * net.inputs()..3 * net.inputs()].copy_from_slice(&other);
    let (after, others) = run(&input);
    for (n, size) in net.sizes.iter().enumerate() {
        let buffers = [(&before.values[n], &after.values[n]), (&before.gradients[n], &after.gradients[n])];
        for (back, (a, b)) in buffers.into_iter().enumerate().filter(|(back, _)| *back == 0 || n > 0) {
            for row in [0, 1, 3, 4] {
                let of =
                    |numbers: &[f32]| numbers[row * size..][..*size].iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(of(a), of(b), "row {row} of value {n}, {back}");
            }
        }
    }
    for row in 0..ROWS {
        assert_eq!(squares[row] == others[row], row != 2, "row {row}");
    }
}

/// A unit whose numbers are not finite counts for nothing, and the sum is what it is without it:
/// a failure, or a sum that is not finite, would tell that it is there.
#[test]
fn a_unit_that_is_not_finite_counts_for_nothing() {
    let net = every();
    let mut stream = Stream::new([2; 32]);
    let mut numbers = |count: usize| (0..count).map(|_| stream.normal() as f32 * 0.5).collect::<Vec<_>>();
    let (parameters, input) = (numbers(net.parameters()), numbers(ROWS * net.inputs()));
    let objective = Objective::new(Task::Classes(3), Loss::CrossEntropy, Vec::new());
    let labels = [0, 1, 2, 1, 0];
    let clipped = |input: &[f32], labels: &[u32], units: &[usize]| {
        let mut work = net.workspace(labels.len());
        work.input().copy_from_slice(input);
        let mut sum = vec![0.0f32; net.parameters()];
        let loss = net.clipped(&mut work, &parameters, (&objective, labels, units), None, 0.5, &mut sum);
        (loss, sum)
    };
    for (units, gone) in [(vec![1; ROWS], 4..5), (vec![2, 1, 2], 3..5)] {
        // at the end: without it, the others stand where they stood
        let rest = gone.start;
        let (loss, expected) = clipped(&input[..rest * net.inputs()], &labels[..rest], &units[..units.len() - 1]);
        assert!(loss.is_finite() && expected.iter().any(|number| *number != 0.0));
        for bad in [f32::NAN, f32::INFINITY, 3e38] {
            let mut input = input.clone();
            input[rest * net.inputs()] = bad;
            let (found, sum) = clipped(&input, &labels, &units);
            assert!(sum.iter().all(|number| number.is_finite()), "{bad} {units:?}");
            if !bad.is_finite() {
                let apart = sum.iter().zip(&expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                assert!((found - loss).abs() < 1e-4 && apart < 1e-5, "{bad} {units:?}: {found} {loss} {apart}");
            }
        }
    }
}
