//! A convolution whose output is pooled at once, against the two layers one after the other: the same bits.

use super::{draw, sides};
use consilium_ml_worker::learn::{
    kernels::{
        conv::{self, Conv},
        matrix::Into,
        pool::{self, Pool},
    },
    real::Real,
};

/// Batch, channels, height, width, filters, kernel, stride, padding: by columns, directly, by Winograd's; sides even and odd.
const SHAPES: [[usize; 8]; 8] = [
    [2, 3, 8, 6, 4, 1, 1, 0],
    [2, 3, 9, 8, 5, 3, 2, 1],
    [3, 1, 12, 10, 4, 3, 1, 1],
    [2, 2, 9, 7, 3, 5, 1, 2],
    [2, 8, 12, 14, 9, 3, 1, 1],
    [1, 9, 9, 7, 8, 3, 1, 1],
    [5, 10, 36, 33, 17, 3, 1, 0],
    [2, 2, 3, 2, 1, 2, 1, 0],
];

fn numbers<R: Real>(seed: u32, count: usize) -> Vec<R> {
    draw(seed, count).into_iter().map(R::of).collect()
}

/// Bits, and NaN whatever its bits are.
fn bits<R: Real>(numbers: &[R]) -> Vec<u64> {
    numbers.iter().map(|number| if number.is_nan() { u64::MAX } else { number.f64().to_bits() }).collect()
}

fn same_bits<R: Real>(bad: bool) {
    for [batch, c, h, w, f, k, s, p] in SHAPES {
        for rectified in [false, true] {
            let what = format!("{:?}, rectified {rectified}, NaN {bad}", [batch, c, h, w, f, k, s, p]);
            let (oh, ow) = (sides(h, k, s, p), sides(w, k, s, p));
            let (ph, pw) = (oh / 2, ow / 2);
            if ph * pw == 0 {
                continue;
            }
            let pool = || Pool::new(&[f, oh, ow], &[f, ph, pw], 2, 2, 0);
            let (alone, pooled) = (|| Conv::new(&[c, h, w], &[f, oh, ow], k, s, p), pool());
            let both = alone().pooled(pool());
            let alone = alone();
            let (mut x, weight, bias) = (numbers::<R>(1, batch * c * h * w), numbers(2, f * c * k * k), numbers(3, f));
            if bad {
                x[h * w / 2] = R::of(f64::NAN);
            }
            let dy = numbers::<R>(4, batch * f * ph * pw);
            let y = |y| rectified.then_some(y);

            let (mut kept, mut places) = (Vec::new(), Vec::new());
            let mut between = vec![R::of(7.0); batch * f * oh * ow];
            conv::forward(&alone, &mut between, &x, &weight, &bias, rectified, &mut kept, &mut places);
            let mut wanted = vec![R::of(7.0); dy.len()];
            pool::max(&pooled, &mut wanted, &between, &mut places);
            let mut slopes = vec![R::of(7.0); between.len()];
            pool::max_back(&pooled, &mut slopes, &dy, &places, Into::Set);
            let mut back = (vec![R::of(7.0); x.len()], vec![R::ZERO; weight.len()], vec![R::ZERO; f]);
            let (dx, dw, db) = (&mut back.0, &mut back.1, &mut back.2);
            conv::backward(
                &alone,
                dx,
                (&slopes, &[]),
                y(&between[..]),
                &x,
                &weight,
                dw,
                db,
                &mut kept,
                true,
                Into::Set,
            );

            let (mut kept, mut places) = (Vec::new(), Vec::new());
            let mut found = vec![R::of(7.0); dy.len()];
            conv::forward(&both, &mut found, &x, &weight, &bias, rectified, &mut kept, &mut places);
            assert_eq!(bits(&found), bits(&wanted), "{what}");
            for wish in [true, false] {
                let mut again = (vec![R::of(7.0); x.len()], vec![R::ZERO; weight.len()], vec![R::ZERO; f]);
                let (dx, dw, db) = (&mut again.0, &mut again.1, &mut again.2);
                conv::backward(
                    &both,
                    if wish { dx } else { &mut [] },
                    (&dy, &places),
                    y(&found[..]),
                    &x,
                    &weight,
                    dw,
                    db,
                    &mut kept,
                    wish,
                    Into::Set,
                );
                if wish {
                    assert_eq!(bits(&again.0), bits(&back.0), "{what}: input");
                }
                assert_eq!(bits(&again.1), bits(&back.1), "{what}: weights");
                assert_eq!(bits(&again.2), bits(&back.2), "{what}: biases");
            }
        }
    }
}

#[test]
fn a_pooled_convolution_is_the_two_layers_one_after_the_other() {
    same_bits::<f32>(false);
    same_bits::<f64>(false);
}

#[test]
fn a_nan_in_a_pooled_convolution_goes_where_it_went() {
    same_bits::<f32>(true);
}
