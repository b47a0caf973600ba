#![allow(clippy::unwrap_used)]
use super::*;
use crate::random::Stream;
use consilium_study::{Loss, Model, Penalty, Task};

/// One of every operation.
const EVERY: &str = r#"{"layers": [
    {"conv2d": {"filters": 4, "kernel": 3, "padding": 1}}, {"max_pool": {"size": 2}}, {"group_norm": {"groups": 2}},
    {"activation": "silu"}, {"residual": {"branch": [{"conv2d": {"filters": 4, "kernel": 3, "padding": 1}}], "shortcut": []}},
    {"average_pool": {"size": 2, "stride": 1}}, {"dropout": 0.3}, "global_average_pool",
    {"dense": {"units": 5}}, {"layer_norm": {}}, {"dense": {"units": 6}}, {"activation": "relu"}, {"dropout": 0.2}]}"#;
const ROWS: usize = 5;

fn every() -> Net {
    let model: Model = serde_json::from_str(EVERY).unwrap();
    Net::new(Architecture::new(&model, &[2, 6, 6], 3, Penalty::default()).unwrap()).unwrap()
}

#[test]
fn every_layer_that_mixes_rows_is_refused_under_privacy() {
    let mut net = every();
    net.keeps_rows_apart().unwrap();
    for n in 0..net.steps.len() {
        net.steps[n].apart = false;
        let Err(NetError::MixesRows { layer, kind }) = net.keeps_rows_apart() else {
            panic!("operation {n} was taken")
        };
        assert_eq!((layer, kind), (n + 1, net.steps[n].what.kind()));
        net.steps[n].apart = true;
    }
}

/// What stands on the list is there by right: a row that changes leaves every bit of the others as it was, there and back.
#[test]
fn what_is_on_the_list_keeps_rows_apart() {
    let net = every();
    let mut kinds: Vec<_> = net.steps.iter().map(|step| step.what.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let all = ["activation", "average_pool", "conv2d", "dense", "dropout", "max_pool", "norm", "residual"];
    assert_eq!(kinds, all);
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
