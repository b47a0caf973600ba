//! Biases, activations and dropout.

use super::{chunks, fast, CHUNK};
use crate::{learn::real::Real, random::Stream};
use consilium_study::Activation;
use std::ops::Range;

/// Writes the bias into every row of `out` (`[rows, outputs]`).
pub fn fill_bias<R: Real>(out: &mut [R], bias: &[R]) {
    for row in out.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

/// Sums of columns: of `[rows, outputs]` to `[outputs]`, rows in order.
pub fn column_sums<R: Real>(out: &mut [R], rows: &[R]) {
    out.fill(R::ZERO);
    fast(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(out.len()) {
                for (sum, value) in out.iter_mut().zip(row) {
                    *sum += *value;
                }
            }
        },
    );
}

/// `out += other`.
pub fn add<R: Real>(out: &mut [R], other: &[R]) {
    chunks(out, |start, part| {
        let other = &other[start..start + part.len()];
        fast(
            #[inline(always)]
            || part.iter_mut().zip(other).for_each(|(a, b)| *a += *b),
        );
    });
}

/// The value of an activation.
#[inline(always)]
pub fn value<R: Real>(activation: Activation, x: R) -> R {
    match activation {
        Activation::Relu => {
            // NaN must not become 0: it is found in the loss, and named
            if x > R::ZERO || x.is_nan() {
                x
            } else {
                R::ZERO
            }
        }
        Activation::LeakyRelu => {
            if x > R::ZERO {
                x
            } else {
                R::of(0.01) * x
            }
        }
        Activation::Elu => {
            if x > R::ZERO {
                x
            } else {
                x.exp_m1()
            }
        }
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::GeluTanh => R::of(0.5) * x * (R::ONE + gelu_inner(x).tanh()),
    }
}

/// Its derivative at `x`, where its value is `y`.
#[inline(always)]
pub fn slope<R: Real>(activation: Activation, x: R, y: R) -> R {
    match activation {
        Activation::Relu => {
            if y > R::ZERO {
                R::ONE
            } else {
                R::ZERO
            }
        }
        Activation::LeakyRelu => {
            if x > R::ZERO {
                R::ONE
            } else {
                R::of(0.01)
            }
        }
        Activation::Elu => {
            if x > R::ZERO {
                R::ONE
            } else {
                y + R::ONE
            }
        }
        Activation::Tanh => R::ONE - y * y,
        Activation::Sigmoid => y * (R::ONE - y),
        Activation::Silu => {
            let s = sigmoid(x);
            s + y * (R::ONE - s)
        }
        Activation::GeluTanh => {
            let t = gelu_inner(x).tanh();
            let inner = R::of(GELU) * (R::ONE + R::of(3.0 * 0.044715) * x * x);
            R::of(0.5) * (R::ONE + t) + R::of(0.5) * x * (R::ONE - t * t) * inner
        }
    }
}

/// `√(2÷π)`.
const GELU: f64 = 0.797_884_560_802_865_4;

#[inline(always)]
fn gelu_inner<R: Real>(x: R) -> R {
    R::of(GELU) * (x + R::of(0.044715) * x * x * x)
}

#[inline(always)]
fn sigmoid<R: Real>(x: R) -> R {
    R::ONE / (R::ONE + (-x).exp())
}

/// `out = activation(x)`.
pub fn activate<R: Real>(activation: Activation, out: &mut [R], x: &[R]) {
    chunks(out, |start, part| {
        let x = &x[start..start + part.len()];
        fast(
            #[inline(always)]
            || part.iter_mut().zip(x).for_each(|(y, x)| *y = value(activation, *x)),
        );
    });
}

/// `dx = dy·activation′(x)`, or added to `dx`.
pub fn activate_back<R: Real>(activation: Activation, dx: &mut [R], dy: &[R], x: &[R], y: &[R], add: bool) {
    chunks(dx, |start, part| {
        let range = start..start + part.len();
        let (dy, x, y) = (&dy[range.clone()], &x[range.clone()], &y[range]);
        fast(
            #[inline(always)]
            || {
                for (((dx, dy), x), y) in part.iter_mut().zip(dy).zip(x).zip(y) {
                    let gradient = *dy * slope(activation, *x, *y);
                    *dx = if add { *dx + gradient } else { gradient };
                }
            },
        );
    });
}

/// Where a layer's dropout comes from in one step: a key, and the share left out. The unit at position `i` of the layer's
/// output (`[rows, ...]`) is left out when the `i`-th [uniform](Stream::uniform) of the stream is below the share.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    /// Key of the stream.
    pub key: [u8; 32],
    /// Share left out, at least 0 and below 1.
    pub rate: f64,
}

impl Mask {
    /// Calls `function(range of the part, words, least)` for all units of a part that begins at unit `start`, some at a time: of
    /// each there is a word, and it stays where that [says so](stays).
    #[inline(always)]
    fn each(&self, start: usize, length: usize, mut function: impl FnMut(Range<usize>, &[u32], u32)) {
        // u·2⁻²⁴ < rate is u < rate·2²⁴, and both sides are exact
        let least = (self.rate * f64::from(1u32 << 24)).ceil() as u32;
        let mut words = [0u32; 256];
        let mut stream = Stream::at(self.key, start as u64);
        for place in (0..length).step_by(words.len()) {
            let count = words.len().min(length - place);
            stream.words(&mut words[..count]);
            function(place..place + count, &words[..count], least);
        }
    }

    /// What units that stay are multiplied by.
    pub fn scale<R: Real>(&self) -> R {
        R::of(1.0 / (1.0 - self.rate))
    }

    /// Leaves units out in place.
    pub fn apply<R: Real>(&self, out: &mut [R]) {
        chunks(out, |start, part| self.apply_to(start, part));
    }

    /// The same in a part that begins at unit `start`.
    fn apply_to<R: Real>(&self, start: usize, part: &mut [R]) {
        let scale = self.scale::<R>();
        self.each(start, part.len(), |range, words, least| {
            let part = &mut part[range];
            fast(
                #[inline(always)]
                || {
                    for (y, word) in part.iter_mut().zip(words) {
                        *y = if stays(*word, least) { *y * scale } else { R::ZERO };
                    }
                },
            );
        });
    }

    /// `dx = dy·mask`, or added to `dx`: the mask is drawn again, not kept.
    pub fn back<R: Real>(&self, dx: &mut [R], dy: &[R], add: bool) {
        let scale = self.scale::<R>();
        chunks(dx, |start, part| {
            let dy = &dy[start..start + part.len()];
            self.each(start, part.len(), |range, words, least| {
                let (part, dy) = (&mut part[range.clone()], &dy[range]);
                fast(
                    #[inline(always)]
                    || {
                        for ((dx, dy), word) in part.iter_mut().zip(dy).zip(words) {
                            let gradient = if stays(*word, least) { *dy * scale } else { R::ZERO };
                            *dx = if add { *dx + gradient } else { gradient };
                        }
                    },
                );
            });
        });
    }
}

/// Whether a unit stays whose word this is.
#[inline(always)]
fn stays(word: u32, least: u32) -> bool {
    word >> 8 >= least
}

/// ReLU and then dropout, in place, in one pass.
pub fn rectify<R: Real>(out: &mut [R], mask: Option<&Mask>) {
    chunks(out, |start, part| {
        fast(
            #[inline(always)]
            || part.iter_mut().for_each(|y| *y = value(Activation::Relu, *y)),
        );
        if let Some(mask) = mask {
            mask.apply_to(start, part);
        }
    });
}

/// Back through [`rectify`], in place in the gradient: what came out as 0 passes nothing on, whether rectified or left out,
/// so that no mask need be kept.
pub fn rectify_back<R: Real>(dy: &mut [R], y: &[R], mask: Option<&Mask>) {
    let scale = mask.map_or(R::ONE, Mask::scale);
    chunks(dy, |start, part| {
        let y = &y[start..start + part.len()];
        fast(
            #[inline(always)]
            || part.iter_mut().zip(y).for_each(|(dy, y)| *dy = if *y > R::ZERO { *dy * scale } else { R::ZERO }),
        );
    });
}

const _: () = assert!(CHUNK.is_multiple_of(16), "a chunk begins at a block of the key stream");
