//! What one more unit can change of a clipped sum.

use super::{difference, length, net, Case};
use consilium_aggregation::masked::Noised;
use consilium_ml_worker::random::{key, Stream};
use consilium_privacy::SharedNoise;
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
    let (mut most, mut shortened, mut rounded) = (0.0f64, 0, 0);
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
        // in millionths, as it is agreed
        let clip_micro = (1e6 * 10f64.powf(2.0 * stream.uniform() - 1.0)) as u32;
        let clip = f64::from(clip_micro) / 1e6;
        let (with, without) = (case.clipped(&units, clip), case.clipped(&before, clip));
        let moved = length(&difference(&with, &without));
        assert!(moved <= clip, "time {time}: {layers}, units of {units:?} rows: {moved} of {clip}");
        rounded += u32::from(moves_on_grid(clip_micro, &with, &without) > moved);
        shortened += u32::from(moved > 0.999 * clip);
        most = most.max(moved / clip);
    }
    assert!(shortened > TIMES / 4, "only {shortened} were as long as the clip: this tries little");
    assert!(rounded > TIMES / 4, "the grid is too fine here to show: {rounded}");
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

/// By how much two sums differ on the coarsest grid of sums whose noise is shared: at most what that noise is made for.
fn moves_on_grid(clip_micro: u32, with: &[f64], without: &[f64]) -> f64 {
    let parameters = with.len() as u64;
    let noise = SharedNoise { clip_micro, sigma_1024: 1_024, range_log2: 16, parameters, least: 3, colluders: 1 };
    let grid = Noised::new(noise.exponent(), 1.0, 1.0);
    let differs = |a: &f64, b: &f64| f64::from(grid.word(*a).wrapping_sub(grid.word(*b)) as i32);
    let units: Vec<f64> = with.iter().zip(without).map(|(a, b)| differs(a, b)).collect();
    let moved = length(&units) / f64::from(1 << noise.exponent());
    assert!(moved <= noise.sensitivity(), "{moved} of {}", noise.sensitivity());
    moved
}
