//! How parameters follow gradients: one pass over flat buffers, which adds penalties, clips and steps.

use super::{
    kernels::{fast, CHUNK, WORTH_THREADS},
    net::Net,
    real::Real,
};
use codec::{Decode, Encode};
use consilium_study::{Clip, EpsilonForm, Optimizer, Schedule, Training};
use rayon::prelude::*;
use std::ops::Range;

/// What an optimiser remembers between steps. Numbers are kept by their bits, so that a saved state is the same state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OptimizerState {
    /// Steps taken.
    pub steps: u64,
    /// SGD: velocity. Adam: first moment. One `f32` per parameter, by its bits; empty before the first step.
    pub first: Vec<u32>,
    /// Adam and RMSprop: second moment.
    pub second: Vec<u32>,
}

/// After so many steps a power of a decay counts as it was. Of a decay up to .9996 what is left then changes no bit of
/// `1 − βᵗ` (`.9996^100000 < 2⁻⁵⁴`). Of one nearer to 1, the correction stays where it is: at .99999 `1 − βᵗ` is held at .632,
/// and steps at √.632 = .795 (second moment) of what they would become after a million steps more.
const LAST_POWER: u64 = 100_000;

/// Parameters that are treated alike: a part of one tensor.
#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    l1: f64,
    l2: f64,
    /// Weight decay acts on it.
    kernel: bool,
}

/// Penalties of a network's weights, and the term that holds them near the round's base.
#[derive(Clone, Debug)]
pub struct Penalties {
    parts: Vec<Part>,
    proximal: f64,
    /// Proximal gradient descent: L1's part of a step is no derivative but what comes after it.
    shrinks: bool,
}

impl Penalties {
    /// Those of a network, and the training's `μ`.
    pub fn new(net: &Net, proximal: f64) -> Self {
        let mut parts = Vec::new();
        for (tensor, range) in net.tensors() {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + CHUNK);
                parts.push(Part { range: start..end, l1: tensor.l1, l2: tensor.l2, kernel: tensor.kernel });
                start = end;
            }
        }
        Self { parts, proximal, shrinks: false }
    }

    /// `Σ (λ₁·|w| + λ₂·w²) + μ/2·Σ (w − w₀)²`.
    pub fn value<R: Real>(&self, parameters: &[R], base: &[R]) -> f64 {
        self.parts.iter().fold(0.0, |sum, part| {
            let w = &parameters[part.range.clone()];
            let (mut ones, mut twos, mut near) = (0.0, 0.0, 0.0);
            if part.l1 != 0.0 {
                ones = w.iter().fold(0.0, |sum, w| sum + w.f64().abs());
            }
            if part.l2 != 0.0 {
                twos = w.iter().fold(0.0, |sum, w| sum + w.f64() * w.f64());
            }
            if self.proximal != 0.0 {
                let b = &base[part.range.clone()];
                near = w.iter().zip(b).fold(0.0, |sum, (w, b)| sum + (w.f64() - b.f64()) * (w.f64() - b.f64()));
            }
            sum + part.l1 * ones + part.l2 * twos + self.proximal / 2.0 * near
        })
    }

    /// Largest curvature of all of them but L1's, which has none.
    fn curvature(&self) -> f64 {
        self.parts.iter().fold(0.0f64, |most, part| most.max(2.0 * part.l2)) + self.proximal
    }

    /// Adds their derivative to a gradient; that of `|w|` at 0 is 0.
    pub fn add_to<R: Real>(&self, gradient: &mut [R], parameters: &[R], base: &[R]) {
        for part in &self.parts {
            let b = if self.proximal == 0.0 { &[][..] } else { &base[part.range.clone()] };
            self.add_part(part, &mut gradient[part.range.clone()], &parameters[part.range.clone()], b);
        }
    }

    #[inline(always)]
    fn add_part<R: Real>(&self, part: &Part, g: &mut [R], w: &[R], base: &[R]) {
        if part.l2 != 0.0 {
            let two = R::of(2.0 * part.l2);
            g.iter_mut().zip(w).for_each(|(g, w)| *g += two * *w);
        }
        if part.l1 != 0.0 && !self.shrinks {
            let one = R::of(part.l1);
            for (g, w) in g.iter_mut().zip(w) {
                if *w > R::ZERO {
                    *g += one;
                } else if *w < R::ZERO {
                    *g -= one;
                }
            }
        }
        if self.proximal != 0.0 {
            let mu = R::of(self.proximal);
            g.iter_mut().zip(w).zip(base).for_each(|((g, w), b)| *g += mu * (*w - *b));
        }
    }
}

/// The numbers of one step that are the same for all parameters.
#[derive(Clone, Copy)]
struct Now {
    rate: f64,
    /// Adam: `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    left: (f64, f64),
    /// Clipping by norm multiplies by this.
    factor: f64,
    /// Clipping by value.
    bound: Option<f64>,
}

/// One optimiser at work.
pub struct Stepper<R> {
    optimizer: Optimizer,
    schedule: Schedule,
    warmup_rounds: f64,
    clip: Option<Clip>,
    penalties: Penalties,
    base: Vec<R>,
    steps: u64,
    first: Vec<R>,
    second: Vec<R>,
    /// Adam: `β₁ᵗ` and `β₂ᵗ`.
    powers: (f64, f64),
    /// Proximal gradient descent: largest curvature of the loss.
    curvature: f64,
}

/// A slice per chunk of four buffers, of which some may be empty.
struct Chunk<'a, R> {
    part: &'a Part,
    w: &'a mut [R],
    g: &'a mut [R],
    first: &'a mut [R],
    second: &'a mut [R],
    base: &'a [R],
}

/// Cuts the first `n` numbers off; none where there are none.
fn cut<'a, R>(rest: &mut &'a mut [R], n: usize) -> &'a mut [R] {
    let n = n.min(rest.len());
    let (head, tail) = std::mem::take(rest).split_at_mut(n);
    *rest = tail;
    head
}

impl<R: Real> Stepper<R> {
    /// An optimiser for a network, from its beginning; `base` is the model that the round begins with.
    pub fn new(training: &Training, net: &Net, base: &[R]) -> Self {
        let n = net.parameters();
        let (first, second) = match &training.optimizer {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => (0, 0),
            Optimizer::ProximalGradient {} => (0, 0),
            Optimizer::Sgd { .. } => (n, 0),
            Optimizer::Adam { .. } | Optimizer::AdamW { .. } => (n, n),
            Optimizer::RmsProp { .. } => (0, n),
        };
        let shrinks = matches!(training.optimizer, Optimizer::ProximalGradient {});
        Self {
            optimizer: training.optimizer.clone(),
            schedule: training.schedule,
            warmup_rounds: training.warmup_rounds,
            clip: training.clip,
            penalties: Penalties { shrinks, ..Penalties::new(net, training.proximal) },
            base: if training.proximal == 0.0 { Vec::new() } else { base.to_vec() },
            steps: 0,
            first: vec![R::ZERO; first],
            second: vec![R::ZERO; second],
            powers: (1.0, 1.0),
            curvature: 1.0,
        }
    }

    /// Proximal gradient descent needs the [largest curvature](super::curvature::of) of the loss, from which its step
    /// follows; 1 where nobody says it.
    #[must_use]
    pub fn with_curvature(mut self, curvature: f64) -> Self {
        self.curvature = curvature;
        self
    }

    /// Steps taken, first and second moments.
    pub fn memory(&self) -> (u64, &[R], &[R]) {
        (self.steps, &self.first, &self.second)
    }

    /// Goes on from steps taken and moments. False, and nothing is changed, where these are another optimiser's or another
    /// model's.
    pub fn remember(&mut self, steps: u64, first: Vec<R>, second: Vec<R>) -> bool {
        if first.len() != self.first.len() || second.len() != self.second.len() {
            return false;
        }
        (self.steps, self.first, self.second) = (steps, first, second);
        self.powers = (1.0, 1.0);
        for _ in 0..steps.min(LAST_POWER) {
            self.raise();
        }
        true
    }

    /// Its penalties.
    pub fn penalties(&self) -> &Penalties {
        &self.penalties
    }

    fn raise(&mut self) {
        if let Optimizer::Adam { beta1, beta2, .. } | Optimizer::AdamW { beta1, beta2, .. } = &self.optimizer {
            self.powers = (self.powers.0 * beta1, self.powers.1 * beta2);
        }
    }

    /// The learning rate when `round` rounds have begun and gone by: 2.5 in the middle of the third.
    fn rate(&self, round: f64, share: f64) -> f64 {
        let rate = match &self.optimizer {
            Optimizer::Sgd { learning_rate: rate, .. }
            | Optimizer::Adam { learning_rate: rate, .. }
            | Optimizer::AdamW { learning_rate: rate, .. }
            | Optimizer::RmsProp { learning_rate: rate, .. } => *rate,
            Optimizer::ProximalGradient {} => 1.0 / (self.curvature + self.penalties.curvature()),
        };
        let warm = if self.warmup_rounds > 0.0 { ((round + share) / self.warmup_rounds).min(1.0) } else { 1.0 };
        let since = (round - self.warmup_rounds).max(0.0);
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step { rounds, factor } => factor.powi((since / f64::from(rounds)).floor() as i32),
            Schedule::Cosine { rounds, floor } => {
                let done = (since / f64::from(rounds)).min(1.0);
                floor + (1.0 - floor) * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
            }
        };
        rate * warm * factor
    }

    /// One step, in place. `round` is how many rounds have gone by before this step (1.5 in the middle of the second), and
    /// `share` the share of a round that one step is. The gradient is that of the loss; what stands in it afterwards is of
    /// no use.
    pub fn step(&mut self, parameters: &mut [R], gradient: &mut [R], round: f64, share: f64) {
        let rate = self.rate(round, share);
        self.steps += 1;
        if self.steps <= LAST_POWER {
            self.raise();
        }
        let mut now = Now { rate, left: (1.0 - self.powers.0, 1.0 - self.powers.1), factor: 1.0, bound: None };
        let (optimizer, penalties) = (&self.optimizer, &self.penalties);
        let threads = parameters.len() >= WORTH_THREADS;
        let mut chunks = Vec::with_capacity(penalties.parts.len());
        let (mut w, mut g) = (&mut parameters[..], &mut gradient[..]);
        let (mut first, mut second) = (&mut self.first[..], &mut self.second[..]);
        for part in &penalties.parts {
            let n = part.range.len();
            chunks.push(Chunk {
                part,
                w: cut(&mut w, n),
                g: cut(&mut g, n),
                first: cut(&mut first, n),
                second: cut(&mut second, n),
                base: if self.base.is_empty() { &[] } else { &self.base[part.range.clone()] },
            });
        }
        match self.clip {
            None => {}
            Some(Clip::Value(bound)) => now.bound = Some(bound),
            Some(Clip::Norm(bound)) => {
                let square = |c: &mut Chunk<'_, R>| {
                    fast(
                        #[inline(always)]
                        || {
                            penalties.add_part(c.part, c.g, c.w, c.base);
                            c.g.iter().fold(0.0, |sum, g| sum + g.f64() * g.f64())
                        },
                    )
                };
                let squares: Vec<f64> = if threads {
                    chunks.par_iter_mut().map(square).collect()
                } else {
                    chunks.iter_mut().map(square).collect()
                };
                let norm = squares.iter().sum::<f64>().sqrt();
                if norm > bound {
                    now.factor = bound / norm;
                }
            }
        }
        let added = matches!(self.clip, Some(Clip::Norm(_)));
        let act = |mut c: Chunk<'_, R>| {
            fast(
                #[inline(always)]
                || {
                    if !added {
                        penalties.add_part(c.part, c.g, c.w, c.base);
                    }
                    update(optimizer, &mut c, now);
                },
            );
        };
        if threads {
            chunks.into_par_iter().for_each(act);
        } else {
            chunks.into_iter().for_each(act);
        }
    }
}

#[inline(always)]
fn update<R: Real>(optimizer: &Optimizer, c: &mut Chunk<'_, R>, now: Now) {
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

fn from_bits(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|b| f32::from_bits(*b)).collect()
}

impl Stepper<f32> {
    /// Goes on from a saved state. A state of another length is none: it starts anew.
    pub fn resume(&mut self, state: &OptimizerState) {
        self.remember(state.steps, from_bits(&state.first), from_bits(&state.second));
    }

    /// What must be kept to go on later.
    pub fn state(&self) -> OptimizerState {
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect();
        OptimizerState { steps: self.steps, first: bits(&self.first), second: bits(&self.second) }
    }
}

#[cfg(test)]
mod tests;
