//! Times of each layer of a small network for chest X-rays, forward and backward, in a batch of 16 grey pictures of
//! 128x128: median of many runs, on two threads (or as many as the first argument says).
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::learn::{
    kernels::{
        conv::{self, Conv},
        matrix::Into,
        pool::{self, Pool},
    },
    loss::Objective,
    Net,
};
use consilium_study::{Architecture, Loss, Model, Penalty, Task};
use std::time::Instant;

const BATCH: usize = 16;
const RUNS: usize = 31;

const LAYERS: &str = r#"{"layers": [
    {"conv2d": {"filters": 32, "kernel": 3, "padding": 1}}, {"activation": "relu"}, {"max_pool": {"size": 2}},
    {"conv2d": {"filters": 64, "kernel": 3, "padding": 1}}, {"activation": "relu"}, {"max_pool": {"size": 2}},
    {"conv2d": {"filters": 64, "kernel": 3, "padding": 1}}, {"activation": "relu"}, {"max_pool": {"size": 2}},
    "flatten", {"dense": {"units": 64}}, {"activation": "relu"}]}"#;

/// Median and least milliseconds.
fn time(mut function: impl FnMut()) -> (f64, f64) {
    function();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            function();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], times[0])
}

/// Milliseconds of processors that this program has used, where the system says so (in hundredths of a second).
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) * 10.0)
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|n| ((n * 37 + 11) % 97) as f32 / 97.0 - 0.5).collect()
}

fn line(name: &str, forward: (f64, f64), backward: (f64, f64)) {
    println!("{name:24} {:8.2} {:8.2}   {:8.2} {:8.2}", forward.0, forward.1, backward.0, backward.1);
}

fn convolution(channels: usize, side: usize, filters: usize, wanted: bool) {
    let conv = Conv::new(&[channels, side, side], &[filters, side, side], 3, 1, 1);
    let (x, weight, bias) =
        (numbers(BATCH * channels * side * side), numbers(filters * channels * 9), numbers(filters));
    let dy = numbers(BATCH * filters * side * side);
    let (mut y, mut dx, mut kept) = (dy.clone(), vec![0.0; if wanted { x.len() } else { 0 }], Vec::new());
    let (mut dw, mut db) = (weight.clone(), bias.clone());
    let forward = time(|| conv::forward(&conv, &mut y, &x, &weight, &bias, true, &mut kept, &mut Vec::new()));
    let backward = time(|| {
        let (y, into) = (Some(&y[..]), Into::Set);
        conv::backward(&conv, &mut dx, (&dy, &[]), y, &x, &weight, &mut dw, &mut db, &mut kept, wanted, into);
    });
    line(&format!("conv {channels} -> {filters}, {side}x{side}"), forward, backward);
}

fn maxima(channels: usize, side: usize) {
    let pool = Pool::new(&[channels, side, side], &[channels, side / 2, side / 2], 2, 2, 0);
    let mut x = numbers(BATCH * channels * side * side);
    let (mut y, mut places) = (vec![0.0; x.len() / 4], Vec::new());
    let forward = time(|| pool::max(&pool, &mut y, &x, &mut places));
    let backward = time(|| pool::max_back(&pool, &mut x, &y, &places, Into::Set));
    line(&format!("max-pool {channels}, {side}x{side}"), forward, backward);
}

fn main() {
    let threads = std::env::args().nth(1).map_or(2, |n| n.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    println!("{:24} {:>8} {:>8}   {:>8} {:>8}", "ms (median, least)", "forward", "", "backward", "");
    for (channels, side, filters) in [(1, 128, 32), (32, 64, 64), (64, 32, 64)] {
        convolution(channels, side, filters, channels > 1);
        maxima(filters, side);
    }
    let model: Model = serde_json::from_str(LAYERS).unwrap();
    let net = Net::new(Architecture::new(&model, &[1, 128, 128], 1, Penalty::default()).unwrap()).unwrap();
    let parameters: Vec<f32> = numbers(net.parameters()).iter().map(|p| p / 10.0).collect();
    let objective = Objective::new(Task::Binary, Loss::CrossEntropy, Vec::new());
    let labels: Vec<u32> = (0..BATCH as u32).map(|n| n % 2).collect();
    let mut work = net.workspace::<f32>(BATCH);
    work.input().copy_from_slice(&numbers(BATCH * net.inputs()));
    let mut gradient = vec![0.0; net.parameters()];
    let forward = time(|| {
        net.forward(&mut work, &parameters, BATCH, None);
    });
    let whole = time(|| {
        net.loss_and_gradient(&mut work, &parameters, &objective, &labels, None, &mut gradient);
    });
    line("whole network", forward, (whole.0 - forward.0, whole.1 - forward.1));
    println!("forward and backward: {:.1} ms (least {:.1})", whole.0, whole.1);
    if let Some(before) = processor() {
        for _ in 0..RUNS {
            net.loss_and_gradient(&mut work, &parameters, &objective, &labels, None, &mut gradient);
        }
        // what other programs on the machine do disturbs this less
        let spent = processor().unwrap_or(before) - before;
        println!("of processors together: {:.1} ms", spent / RUNS as f64);
    }
}
