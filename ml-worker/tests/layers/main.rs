//! Each layer, forward and backward, against loops that are its definition.
#![allow(clippy::unwrap_used, clippy::needless_range_loop)]

mod pooled;
mod step;
mod threads;

use consilium_ml_worker::{
    learn::{
        kernels::{
            conv::{self, Conv},
            elementwise::{activate, activate_back, rectify, rectify_back, Mask},
            matrix::Into,
            norm::{self, Norm},
            pool::{self, Pool},
        },
        Net,
    },
    random::{key, Stream},
};
use consilium_study::{Activation, Architecture, Model, Penalty};

fn draw(seed: u32, count: usize) -> Vec<f64> {
    let mut stream = Stream::new(key("layers", &[&seed.to_le_bytes()]));
    (0..count).map(|_| stream.normal()).collect()
}

#[track_caller]
fn close(found: &[f64], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (n, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= 1e-12 * (1.0 + w.abs()) * 100.0, "{what}, number {n}: {f}, expected {w}");
    }
}

/// Runs a backward pass that sets, over numbers that must not count, and one that adds to ones.
#[track_caller]
fn both_ways(wanted: &[f64], what: &str, mut back: impl FnMut(&mut [f64], Into)) {
    let mut dx = vec![f64::NAN; wanted.len()];
    back(&mut dx, Into::Set);
    close(&dx, wanted, what);
    let mut dx = vec![1.0; wanted.len()];
    back(&mut dx, Into::Add);
    close(&dx, &wanted.iter().map(|w| w + 1.0).collect::<Vec<_>>(), what);
}

fn sides(length: usize, size: usize, stride: usize, padding: usize) -> usize {
    (length + 2 * padding - size) / stride + 1
}

/// Calls a function with (output row, output column, place in the window, row and column there) for all windows on a picture.
fn windows(
    [height, width]: [usize; 2],
    [size, stride, padding]: [usize; 3],
    mut f: impl FnMut(usize, usize, usize, usize, usize),
) {
    for oy in 0..sides(height, size, stride, padding) {
        for ox in 0..sides(width, size, stride, padding) {
            for place in 0..size * size {
                let y = (oy * stride + place / size).wrapping_sub(padding);
                let x = (ox * stride + place % size).wrapping_sub(padding);
                if y < height && x < width {
                    f(oy, ox, place, y, x);
                }
            }
        }
    }
}

#[test]
fn convolutions_are_their_definition() {
    // batch, channels, height, width, filters, kernel, stride, padding
    let shapes = [
        [2, 1, 5, 5, 1, 3, 1, 0],
        [2, 3, 7, 5, 4, 3, 1, 1],
        [1, 2, 6, 9, 5, 3, 1, 2],
        [2, 2, 5, 6, 3, 3, 1, 3],
        [3, 2, 8, 8, 3, 2, 1, 0],
        [2, 2, 9, 7, 6, 5, 1, 2],
        [1, 3, 4, 6, 2, 4, 1, 1],
        [2, 3, 8, 7, 5, 3, 2, 1],
        [2, 1, 11, 9, 3, 3, 3, 0],
        [1, 2, 9, 9, 2, 5, 2, 4],
        [2, 4, 5, 3, 7, 1, 1, 0],
        [2, 4, 5, 5, 3, 1, 2, 0],
        [1, 2, 4, 4, 3, 1, 1, 1],
        [1, 2, 1, 1, 9, 1, 1, 0],
        [1, 1, 3, 30, 5, 3, 1, 1],
        [2, 5, 40, 3, 13, 3, 1, 1],
        [1, 2, 2, 2, 3, 3, 1, 1],
        [1, 1, 7, 7, 2, 7, 1, 0],
        [1, 1, 3, 3, 2, 2, 5, 0],
        [2, 9, 33, 35, 10, 3, 1, 1],
        [1, 130, 12, 20, 6, 3, 1, 1],
        [1, 6, 12, 20, 130, 3, 1, 1],
    ];
    for [batch, c, h, w, f, k, s, p] in shapes {
        let what = format!("convolution {:?}", [batch, c, h, w, f, k, s, p]);
        let (oh, ow) = (sides(h, k, s, p), sides(w, k, s, p));
        let conv = Conv::new(&[c, h, w], &[f, oh, ow], k, s, p);
        let (x, weight, bias) = (draw(1, batch * c * h * w), draw(2, f * c * k * k), draw(3, f));
        let dy = draw(4, batch * f * oh * ow);
        let mut wanted = vec![0.0; dy.len()];
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; f]);
        for n in 0..batch {
            for filter in 0..f {
                for o in 0..oh * ow {
                    wanted[(n * f + filter) * oh * ow + o] = bias[filter];
                    db[filter] += dy[(n * f + filter) * oh * ow + o];
                }
                for channel in 0..c {
                    windows([h, w], [k, s, p], |oy, ox, place, y, xx| {
                        let o = ((n * f + filter) * oh + oy) * ow + ox;
                        let i = ((n * c + channel) * h + y) * w + xx;
                        let at = (filter * c + channel) * k * k + place;
                        wanted[o] += weight[at] * x[i];
                        dx[i] += weight[at] * dy[o];
                        dw[at] += x[i] * dy[o];
                    });
                }
            }
        }
        let mut kept = Vec::new();
        let mut out = vec![f64::NAN; dy.len()];
        conv::forward(&conv, &mut out, &x, &weight, &bias, false, &mut kept, &mut Vec::new());
        close(&out, &wanted, &what);
        let mut rectified = vec![f64::NAN; dy.len()];
        conv::forward(&conv, &mut rectified, &x, &weight, &bias, true, &mut kept, &mut Vec::new());
        close(&rectified, &wanted.iter().map(|y| y.max(0.0)).collect::<Vec<_>>(), &what);
        let mut found = (vec![f64::NAN; weight.len()], vec![f64::NAN; f]);
        both_ways(&dx, &what, |dx, into| {
            conv::backward(&conv, dx, (&dy, &[]), None, &x, &weight, &mut found.0, &mut found.1, &mut kept, true, into);
            close(&found.0, &dw, &what);
            close(&found.1, &db, &what);
        });
        found.0.fill(f64::NAN);
        let (to_w, to_b) = (&mut found.0, &mut found.1);
        conv::backward(&conv, &mut [], (&dy, &[]), None, &x, &weight, to_w, to_b, &mut kept, false, Into::Set);
        close(&found.0, &dw, &what);
        // behind a ReLU only what it let through counts
        let through: Vec<f64> = dy.iter().zip(&rectified).map(|(dy, y)| if *y > 0.0 { *dy } else { 0.0 }).collect();
        let mut plain = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; f]);
        let (to_x, to_w, to_b) = (&mut plain.0, &mut plain.1, &mut plain.2);
        conv::backward(&conv, to_x, (&through, &[]), None, &x, &weight, to_w, to_b, &mut kept, true, Into::Set);
        both_ways(&plain.0, &what, |dx, into| {
            let (to_w, to_b) = (&mut found.0, &mut found.1);
            conv::backward(&conv, dx, (&dy, &[]), Some(&rectified), &x, &weight, to_w, to_b, &mut kept, true, into);
            close(to_w, &plain.1, &what);
            close(to_b, &plain.2, &what);
        });
    }
}

/// Batch of planes, height, width, size, stride, padding.
const POOLS: [[usize; 6]; 12] = [
    [3, 4, 4, 2, 2, 0],
    [2, 5, 7, 2, 2, 0],
    [2, 6, 6, 3, 2, 1],
    [1, 7, 5, 3, 1, 1],
    [2, 9, 8, 3, 3, 1],
    [2, 5, 5, 5, 5, 0],
    [1, 6, 6, 4, 3, 2],
    [2, 3, 3, 1, 1, 0],
    [1, 5, 6, 2, 3, 0],
    [1, 2, 2, 3, 1, 1],
    [40, 33, 31, 2, 2, 0],
    [40, 33, 31, 3, 2, 1],
];

#[test]
fn max_pools_are_their_definition() {
    for [planes, h, w, size, stride, padding] in POOLS {
        let what = format!("max-pool {:?}", [planes, h, w, size, stride, padding]);
        let (oh, ow) = (sides(h, size, stride, padding), sides(w, size, stride, padding));
        let pool = Pool::new(&[1, h, w], &[1, oh, ow], size, stride, padding);
        // few values, all below 0: many are equal, and zeros of the padding would win
        let x: Vec<f64> = draw(5, planes * h * w).iter().map(|x| (x * 2.0).round() - 20.0).collect();
        let dy = draw(6, planes * oh * ow);
        let (mut wanted, mut at) = (vec![f64::NEG_INFINITY; dy.len()], vec![0; dy.len()]);
        for plane in 0..planes {
            windows([h, w], [size, stride, padding], |oy, ox, _, y, xx| {
                let (o, i) = ((plane * oh + oy) * ow + ox, (plane * h + y) * w + xx);
                if x[i] > wanted[o] {
                    (wanted[o], at[o]) = (x[i], i);
                }
            });
        }
        let mut dx = vec![0.0; x.len()];
        at.iter().zip(&dy).for_each(|(at, dy)| dx[*at] += dy);
        let (mut out, mut places) = (vec![f64::NAN; dy.len()], Vec::new());
        pool::max(&pool, &mut out, &x, &mut places);
        close(&out, &wanted, &what);
        both_ways(&dx, &what, |dx, into| pool::max_back(&pool, dx, &dy, &places, into));
    }
}

#[test]
fn a_nan_comes_out_of_every_window_that_holds_it() {
    for [_, h, w, size, stride, padding] in POOLS {
        let (oh, ow) = (sides(h, size, stride, padding), sides(w, size, stride, padding));
        let pool = Pool::new(&[1, h, w], &[1, oh, ow], size, stride, padding);
        for bad in 0..h * w {
            let mut x = draw(7, h * w);
            x[bad] = f64::NAN;
            let mut holds = vec![false; oh * ow];
            windows([h, w], [size, stride, padding], |oy, ox, _, y, xx| holds[oy * ow + ox] |= y * w + xx == bad);
            let (mut out, mut places) = (vec![0.0; oh * ow], Vec::new());
            pool::max(&pool, &mut out, &x, &mut places);
            assert_eq!(out.iter().map(|y| y.is_nan()).collect::<Vec<_>>(), holds, "{h} x {w}, size {size}, at {bad}");
        }
    }
    // the least number there is wins where there is nothing else
    let pool = Pool::new(&[1, 2, 2], &[1, 1, 1], 2, 2, 0);
    let (mut out, mut places) = (vec![0.0; 1], Vec::new());
    pool::max(&pool, &mut out, &[f64::NEG_INFINITY; 4], &mut places);
    assert_eq!((out[0], places[0]), (f64::NEG_INFINITY, 0));
}

#[test]
fn average_pools_are_their_definition() {
    for [planes, h, w, size, stride, padding] in POOLS {
        let what = format!("average-pool {:?}", [planes, h, w, size, stride, padding]);
        let (oh, ow) = (sides(h, size, stride, padding), sides(w, size, stride, padding));
        let pool = Pool::new(&[1, h, w], &[1, oh, ow], size, stride, padding);
        let (x, dy) = (draw(8, planes * h * w), draw(9, planes * oh * ow));
        let (mut wanted, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        let count = (size * size) as f64;
        for plane in 0..planes {
            windows([h, w], [size, stride, padding], |oy, ox, _, y, xx| {
                let (o, i) = ((plane * oh + oy) * ow + ox, (plane * h + y) * w + xx);
                wanted[o] += x[i] / count;
                dx[i] += dy[o] / count;
            });
        }
        let mut out = vec![f64::NAN; dy.len()];
        pool::average(&pool, &mut out, &x);
        close(&out, &wanted, &what);
        both_ways(&dx, &what, |dx, into| pool::average_back(&pool, dx, &dy, into));
    }
    for [channels, h, w] in [[3, 4, 5], [2, 1, 1], [70, 33, 29]] {
        let pool = Pool::whole(&[channels, h, w]);
        let (x, dy) = (draw(8, 2 * channels * h * w), draw(9, 2 * channels));
        let mean = |plane: &[f64]| plane.iter().sum::<f64>() / (h * w) as f64;
        let wanted: Vec<f64> = x.chunks(h * w).map(mean).collect();
        let dx: Vec<f64> = dy.iter().flat_map(|dy| vec![dy / (h * w) as f64; h * w]).collect();
        let mut out = vec![f64::NAN; dy.len()];
        pool::average(&pool, &mut out, &x);
        close(&out, &wanted, "whole picture");
        both_ways(&dx, "whole picture", |dx, into| pool::average_back(&pool, dx, &dy, into));
    }
}

#[test]
fn norms_are_their_definition() {
    // batch, groups, shape
    let shapes: [(usize, usize, &[usize]); 8] = [
        (3, 1, &[7]),
        (2, 1, &[40]),
        (2, 2, &[4, 3, 5]),
        (3, 1, &[3, 4, 4]),
        (2, 6, &[6, 5, 2]),
        (2, 2, &[4, 1, 1]),
        (2, 4, &[8, 9, 11]),
        (900, 1, &[37]),
    ];
    for (batch, groups, shape) in shapes {
        let what = format!("norm {:?}", (batch, groups, shape));
        let (channels, plane) = (shape[0], shape[1..].iter().product::<usize>());
        let (row, size) = (channels * plane, channels * plane / groups);
        let epsilon = 1e-3;
        let norm = Norm::new(shape, groups, epsilon);
        // a mean that is large beside the deviation
        let x: Vec<f64> = draw(10, batch * row).iter().map(|x| 3.0 * x + 50.0).collect();
        let (weight, bias, dy) = (draw(11, channels), draw(12, channels), draw(13, batch * row));
        let (mut wanted, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let (mut dw, mut db) = (vec![0.0; channels], vec![0.0; channels]);
        let channel = |i: usize| i % row / plane;
        for start in (0..x.len()).step_by(size) {
            let part = start..start + size;
            let n = size as f64;
            let mean = x[part.clone()].iter().sum::<f64>() / n;
            let variance = x[part.clone()].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + epsilon).sqrt();
            let normal = |i: usize| (x[i] - mean) * scale;
            for i in part.clone() {
                let c = channel(i);
                wanted[i] = weight[c] * normal(i) + bias[c];
                dw[c] += dy[i] * normal(i);
                db[c] += dy[i];
                for j in part.clone() {
                    let same = f64::from(u8::from(i == j));
                    dx[i] += dy[j] * weight[channel(j)] * scale * (same - 1.0 / n - normal(i) * normal(j) / n);
                }
            }
        }
        let (mut out, mut kept) = (vec![f64::NAN; x.len()], Vec::new());
        norm::forward(&norm, &mut out, &x, &weight, &bias, &mut kept);
        close(&out, &wanted, &what);
        let mut found = (vec![f64::NAN; channels], vec![f64::NAN; channels]);
        both_ways(&dx, &what, |dx, into| {
            norm::backward(&norm, dx, &dy, &x, &weight, &mut found.0, &mut found.1, &mut kept, true, into);
            close(&found.0, &dw, &what);
            close(&found.1, &db, &what);
        });
        found.0.fill(f64::NAN);
        norm::backward(&norm, &mut [], &dy, &x, &weight, &mut found.0, &mut found.1, &mut kept, false, Into::Set);
        close(&found.0, &dw, &what);
    }
}

#[test]
fn activations_and_dropout_are_their_definition() {
    let x: Vec<f64> = draw(14, 50_000).iter().map(|x| 2.0 * x).chain([0.0]).collect();
    let dy = draw(15, x.len());
    let gelu = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    let definitions: [(Activation, &dyn Fn(f64) -> f64); 7] = [
        (Activation::Relu, &|x| x.max(0.0)),
        (Activation::LeakyRelu, &|x| if x > 0.0 { x } else { x / 100.0 }),
        (Activation::Elu, &|x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        (Activation::Tanh, &|x| (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())),
        (Activation::Sigmoid, &|x| x.exp() / (1.0 + x.exp())),
        (Activation::Silu, &|x| x / (1.0 + (-x).exp())),
        (Activation::GeluTanh, &gelu),
    ];
    for (activation, definition) in definitions {
        let wanted: Vec<f64> = x.iter().map(|x| definition(*x)).collect();
        let mut y = vec![f64::NAN; x.len()];
        activate(activation, &mut y, &x);
        close(&y, &wanted, &format!("{activation:?}"));
        let mut dx = vec![f64::NAN; x.len()];
        activate_back(activation, &mut dx, &dy, &x, &y, false);
        for (n, x) in x.iter().enumerate().filter(|(_, x)| x.abs() > 1e-4) {
            let slope = (definition(x + 1e-5) - definition(x - 1e-5)) / 2e-5;
            assert!((dx[n] - dy[n] * slope).abs() < 1e-8 * (1.0 + dy[n].abs()), "{activation:?} at {x}");
        }
    }
    for rate in [0.0, 0.1, 0.5, 0.875] {
        let mask = Mask { key: key("mask", &[]), rate };
        let mut stream = Stream::new(mask.key);
        let factors: Vec<f64> =
            x.iter().map(|_| if stream.uniform() < rate { 0.0 } else { 1.0 / (1.0 - rate) }).collect();
        let times = |values: &[f64]| values.iter().zip(&factors).map(|(x, f)| x * f).collect::<Vec<_>>();
        let mut y = x.clone();
        mask.apply(&mut y);
        close(&y, &times(&x), "dropout");
        both_ways(&times(&dy), "dropout", |dx, into| mask.back(dx, &dy, into == Into::Add));
        let (mut y, mut dx) = (x.clone(), dy.clone());
        rectify(&mut y, Some(&mask));
        close(&y, &times(&x.iter().map(|x| x.max(0.0)).collect::<Vec<_>>()), "ReLU and dropout");
        rectify_back(&mut dx, &y, Some(&mask));
        let through: Vec<f64> = dy.iter().zip(&x).map(|(dy, x)| if *x > 0.0 { *dy } else { 0.0 }).collect();
        close(&dx, &times(&through), "back through ReLU and dropout");
    }
}

fn net(layers: &str, input: &[usize], outputs: usize) -> Net {
    let model: Model = serde_json::from_str(&format!(r#"{{"layers": {layers}}}"#)).unwrap();
    Net::new(Architecture::new(&model, input, outputs, Penalty::default()).unwrap()).unwrap()
}

#[test]
fn dense_layers_and_residual_sums_are_their_definition() {
    let net = net(r#"[{"residual": {"branch": [{"dense": {"units": 5}}, {"activation": "tanh"}]}}]"#, &[5], 3);
    let parameters = draw(16, net.parameters());
    let mut places = std::collections::BTreeMap::new();
    for (tensor, range) in net.tensors() {
        places.insert(tensor.name.clone(), parameters[range].to_vec());
    }
    let x = draw(17, 4 * 5);
    let dense = |name: &str, x: &[f64], outputs: usize| -> Vec<f64> {
        let (weight, bias) = (&places[&format!("{name}.weight")], &places[&format!("{name}.bias")]);
        let unit = |o: usize| (0..x.len()).map(|i| weight[o * x.len() + i] * x[i]).sum::<f64>() + bias[o];
        (0..outputs).map(unit).collect()
    };
    let mut work = net.workspace(4);
    work.input().copy_from_slice(&x);
    let found = net.forward(&mut work, &parameters, 4, None).to_vec();
    let wanted: Vec<f64> = x
        .chunks(5)
        .flat_map(|x| {
            let branch = dense("layer00", x, 5);
            let sum: Vec<f64> = x.iter().zip(&branch).map(|(x, b)| x + b.tanh()).collect();
            dense("layer01", &sum, 3)
        })
        .collect();
    close(&found, &wanted, "dense and residual");
}
