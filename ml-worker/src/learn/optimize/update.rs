//! What one step makes of a few numbers: of a parameter, its gradient, and what is remembered of it.

use crate::learn::real::Real;
use consilium_study::{EpsilonForm, Optimizer};
use std::ops::Range;

/// Parameters that are treated alike: a part of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub range: Range<usize>,
    pub l1: f64,
    pub l2: f64,
    /// Weight decay acts on it.
    pub kernel: bool,
    /// Proximal gradient descent: L1's part of a step is no derivative but what comes after it.
    pub shrinks: bool,
}

/// The numbers of one step that are the same for all parameters.
#[derive(Clone, Copy)]
pub(in crate::learn) struct Now {
    pub(super) rate: f64,
    /// Adam: `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    pub(super) left: (f64, f64),
    /// Clipping by norm multiplies by this.
    pub(super) factor: f64,
    /// Clipping by value.
    pub(super) bound: Option<f64>,
}

/// A slice per chunk of four buffers, of which some may be empty.
pub(super) struct Chunk<'a, R> {
    pub part: &'a Part,
    pub w: &'a mut [R],
    pub g: &'a mut [R],
    pub first: &'a mut [R],
    pub second: &'a mut [R],
    pub base: &'a [R],
}

/// Cuts the first `n` numbers off; none where there are none.
pub(super) fn cut<'a, R>(rest: &mut &'a mut [R], n: usize) -> &'a mut [R] {
    let n = n.min(rest.len());
    let (head, tail) = std::mem::take(rest).split_at_mut(n);
    *rest = tail;
    head
}

impl Part {
    /// Adds the derivative of the penalties, and of the term `proximal/2·Σ (w − w₀)²`, to a gradient.
    #[inline(always)]
    pub(super) fn add_to<R: Real>(&self, proximal: f64, g: &mut [R], w: &[R], base: &[R]) {
        if self.l2 != 0.0 {
            let two = R::of(2.0 * self.l2);
            g.iter_mut().zip(w).for_each(|(g, w)| *g += two * *w);
        }
        if self.l1 != 0.0 && !self.shrinks {
            let one = R::of(self.l1);
            for (g, w) in g.iter_mut().zip(w) {
                if *w > R::ZERO {
                    *g += one;
                } else if *w < R::ZERO {
                    *g -= one;
                }
            }
        }
        if proximal != 0.0 {
            let mu = R::of(proximal);
            g.iter_mut().zip(w).zip(base).for_each(|((g, w), b)| *g += mu * (*w - *b));
        }
    }
}

#[inline(always)]
pub(super) fn update<R: Real>(optimizer: &Optimizer, c: &mut Chunk<'_, R>, now: Now) {
    if now.factor != 1.0 {
        let factor = R::of(now.factor);
        c.g.iter_mut().for_each(|g| *g *= factor);
    }
    if let Some(bound) = now.bound {
        let bound = R::of(bound);
        // NaN stays NaN
        c.g.iter_mut().for_each(|g| {
            if *g > bound {
                *g = bound;
            } else if *g < -bound {
                *g = -bound;
            }
        });
    }
    let rate = R::of(now.rate);
    match optimizer {
        Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => {
            c.w.iter_mut().zip(&*c.g).for_each(|(w, g)| *w -= rate * *g);
        }
        Optimizer::Sgd { momentum, nesterov, .. } => {
            let momentum = R::of(*momentum);
            for ((w, g), v) in c.w.iter_mut().zip(&*c.g).zip(&mut *c.first) {
                *v = momentum * *v + *g;
                *w -= rate * if *nesterov { *g + momentum * *v } else { *v };
            }
        }
        Optimizer::Adam { beta1, beta2, epsilon, epsilon_form, .. } => {
            adam(c, now, (*beta1, *beta2), *epsilon, *epsilon_form);
        }
        Optimizer::AdamW { beta1, beta2, epsilon, weight_decay, .. } => {
            if c.part.kernel {
                let stays = R::of(1.0 - now.rate * weight_decay);
                c.w.iter_mut().for_each(|w| *w *= stays);
            }
            adam(c, now, (*beta1, *beta2), *epsilon, EpsilonForm::Corrected);
        }
        Optimizer::RmsProp { decay, epsilon, .. } => {
            let (decay, rest, epsilon) = (R::of(*decay), R::of(1.0 - decay), R::of(*epsilon));
            for ((w, g), v) in c.w.iter_mut().zip(&*c.g).zip(&mut *c.second) {
                *v = decay * *v + rest * *g * *g;
                *w -= rate * *g / (v.sqrt() + epsilon);
            }
        }
        Optimizer::ProximalGradient {} => {
            let threshold = R::of(now.rate * c.part.l1);
            for (w, g) in c.w.iter_mut().zip(&*c.g) {
                let there = *w - rate * *g;
                // exactly 0 within the threshold; NaN stays NaN
                *w = there - there.max(-threshold).min(threshold);
            }
        }
    }
}

/// `w -= α·m ÷ (√v + ε)` with `α` and `ε` of this step: `α·m̂ ÷ (√v̂ + ε)` is
/// `α·√(1 − β₂ᵗ) ÷ (1 − β₁ᵗ) · m ÷ (√v + ε·√(1 − β₂ᵗ))`.
#[inline(always)]
fn adam<R: Real>(c: &mut Chunk<'_, R>, now: Now, (beta1, beta2): (f64, f64), epsilon: f64, form: EpsilonForm) {
    let root = now.left.1.sqrt();
    let alpha = R::of(now.rate * root / now.left.0);
    let epsilon = R::of(match form {
        EpsilonForm::Corrected => epsilon * root,
        EpsilonForm::Keras => epsilon,
    });
    let (b1, b2) = (R::of(beta1), R::of(beta2));
    let (r1, r2) = (R::of(1.0 - beta1), R::of(1.0 - beta2));
    for (((w, g), m), v) in c.w.iter_mut().zip(&*c.g).zip(&mut *c.first).zip(&mut *c.second) {
        *m = b1 * *m + r1 * *g;
        *v = b2 * *v + r2 * *g * *g;
        *w -= alpha * *m / (v.sqrt() + epsilon);
    }
}
