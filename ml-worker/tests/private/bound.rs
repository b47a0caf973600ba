//! What one more unit can change of a clipped sum.

use super::{difference, length, net, Case};
use consilium_ml_worker::random::{key, Stream};
use consilium_study::{Loss, Task};

const TIMES: u32 = 1000;
const NETS: [(&str, &[usize]); 6] = [
    ("", &[7]),
    (r#"{"dense": {"units": 9}}, {"activation": "relu"}"#, &[12]),
    (r#"{"dense": {"units": 6}}, {"layer_norm": {}}, {"activation": "tanh"}, {"dense": {"units": 5}}"#, &[300]),
    (
        r#"{"conv2d": {"filters": 3, "kernel": 3, "padding": 1}}, {"activation": "relu"}, {"max_pool": {"size": 2}}, "flatten""#,
        &[2, 6, 6],
    ),
    (
        r#"{"conv2d": {"filters": 8, "kernel": 3, "padding": 1}}, {"group_norm": {"groups": 2}}, "global_average_pool""#,
        &[8, 5, 5],
    ),
    (r#"{"residual": {"branch": [{"dense": {"units": 6}}, {"activation": "silu"}], "shortcut": []}}"#, &[6]),
];

/// In f32, as studies are trained: a thousand networks, batches and units, some of many rows, some with numbers out of all
/// proportion.
#[test]
fn one_more_unit_changes_the_clipped_sum_by_no_more_than_the_clip() {
    let mut stream = Stream::new(key("bound", &[]));
    let (mut most, mut shortened) = (0.0f64, 0);
    for time in 0..TIMES {
        let (layers, input) = NETS[stream.below(NETS.len() as u32) as usize];
        let mut units: Vec<usize> = (0..stream.below(12)).map(|_| 1 + stream.below(4) as usize).collect();
        let before = units.clone();
        units.push(1 + stream.below(8) as usize);
        let rows: usize = units.iter().sum();
        let task = Task::Value;
        let mut case = Case::<f32>::new(net(layers, input, task), task, Loss::SquaredError, rows, time);
        // of the last unit: numbers from a thousandth to a million times as large as the others'
        let scale = 10f64.powf(9.0 * stream.uniform() - 3.0) as f32;
        let last = before.iter().sum::<usize>() * case.net.inputs();
        case.input[last..].iter_mut().for_each(|x| *x *= scale);
        let clip = 10f64.powf(2.0 * stream.uniform() - 1.0);
        let moved = length(&difference(&case.clipped(&units, clip), &case.clipped(&before, clip)));
        assert!(moved <= clip, "time {time}: {layers}, units of {units:?} rows: {moved} of {clip}");
        shortened += u32::from(moved > 0.999 * clip);
        most = most.max(moved / clip);
    }
    assert!(shortened > TIMES / 4, "only {shortened} were as long as the clip: this tries little");
    println!("of the clip a unit changed at most {most:.6}");
}

/// A network that shortened each row of a patient by itself would let a patient of eight rows change eight times as much.
#[test]
fn a_patient_is_shortened_as_one() {
    let case = Case::<f64>::new(net("", &[7], Task::Value), Task::Value, Loss::SquaredError, 8, 3);
    let clip = 1e-3;
    let (one, each) = (length(&case.clipped(&[8], clip)), length(&case.clipped(&[1; 8], clip)));
    assert!(one <= clip && one > 0.999 * clip, "{one}");
    assert!(each > 1.5 * clip, "{each}: rows of one patient that point elsewhere");
}
