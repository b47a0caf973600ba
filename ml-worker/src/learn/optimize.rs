//! How parameters follow gradients: one pass over flat buffers, which adds penalties, clips and steps.

mod update;

use super::{
    kernels::{
        fast,
        outer::{outer, COLUMNS},
        CHUNK, WORTH_THREADS,
    },
    memory::{copy, soon, zeros},
    net::Net,
    private::Noise,
    real::Real,
};
use codec::{Decode, Encode};
use consilium_study::{Clip, Optimizer, Schedule, Training};
use rayon::prelude::*;
use std::ops::Range;
pub(super) use update::Now;
use update::{cut, update, Chunk, Part};

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

/// Up to so many steps a power of a decay is multiplied up step by step; beyond, where a state that is taken up would cost too
/// many multiplications, each power is computed by itself. Of a decay up to .9996 nothing is left then that changes a bit of
/// `1 − βᵗ` (`.9996^100000 < 2⁻⁵⁴`).
const LAST_POWER: u64 = 100_000;

/// Penalties of a network's weights, and the term that holds them near the round's base.
#[derive(Clone, Debug)]
pub struct Penalties {
    parts: Vec<Part>,
    proximal: f64,
}

impl Penalties {
    /// Those of a network, and the training's `μ`.
    pub fn new(net: &Net, proximal: f64) -> Self {
        let mut parts = Vec::new();
        for (tensor, range) in net.tensors() {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + CHUNK);
                let (l1, l2, kernel) = (tensor.l1, tensor.l2, tensor.kernel);
                parts.push(Part { range: start..end, l1, l2, kernel, shrinks: false });
                start = end;
            }
        }
        Self { parts, proximal }
    }

    /// The same, where L1 acts by shrinking.
    fn shrinking(mut self, shrinks: bool) -> Self {
        self.parts.iter_mut().for_each(|part| part.shrinks = shrinks);
        self
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
            part.add_to(self.proximal, &mut gradient[part.range.clone()], &parameters[part.range.clone()], b);
        }
    }
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
            penalties: Penalties::new(net, training.proximal).shrinking(shrinks),
            base: if training.proximal == 0.0 { Vec::new() } else { copy(base) },
            steps: 0,
            first: zeros(first),
            second: zeros(second),
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
    pub fn remember(&mut self, steps: u64, first: &[R], second: &[R]) -> bool {
        if first.len() != self.first.len() || second.len() != self.second.len() {
            return false;
        }
        self.steps = steps;
        // into the memory that is there
        self.first.copy_from_slice(first);
        self.second.copy_from_slice(second);
        self.powers = (1.0, 1.0);
        if steps <= LAST_POWER {
            (0..steps).for_each(|_| self.raise());
        }
        true
    }

    /// Its penalties.
    pub fn penalties(&self) -> &Penalties {
        &self.penalties
    }

    /// The powers of the decays, of one step more.
    fn raise(&mut self) {
        if let Optimizer::Adam { beta1, beta2, .. } | Optimizer::AdamW { beta1, beta2, .. } = &self.optimizer {
            self.powers = match self.steps <= LAST_POWER {
                true => (self.powers.0 * beta1, self.powers.1 * beta2),
                false => (beta1.powf(self.steps as f64), beta2.powf(self.steps as f64)),
            };
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
        let now = self.begin(round, share);
        self.follow_all(now, parameters, gradient, |_| true, None);
    }

    /// The same of a private step: from the sum of clipped gradients, to which the noise comes first.
    pub fn step_with_noise(&mut self, parameters: &mut [R], sums: &mut [R], noise: &Noise, (round, share): (f64, f64)) {
        let now = self.begin(round, share);
        self.follow_all(now, parameters, sums, |_| true, Some(noise));
    }

    /// Begins a step.
    pub(super) fn begin(&mut self, round: f64, share: f64) -> Now {
        self.steps += 1;
        self.raise();
        let bound = if let Some(Clip::Value(bound)) = self.clip { Some(bound) } else { None };
        Now { rate: self.rate(round, share), left: (1.0 - self.powers.0, 1.0 - self.powers.1), factor: 1.0, bound }
    }

    /// Whether no parameter's step depends on the gradient of another.
    pub(super) fn follows_parts(&self) -> bool {
        !matches!(self.clip, Some(Clip::Norm(_)))
    }

    /// Lets those parameters follow their gradient of which `wanted`, given where each tensor's part begins, says so. With
    /// `noise` it is a sum that becomes a gradient by it.
    pub(super) fn follow_all(
        &mut self,
        mut now: Now,
        parameters: &mut [R],
        gradient: &mut [R],
        wanted: impl Fn(usize) -> bool,
        noise: Option<&Noise>,
    ) {
        let (optimizer, proximal) = (&self.optimizer, self.penalties.proximal);
        let noisy = |c: &mut Chunk<'_, R>| {
            if let Some(noise) = noise {
                noise.add(c.part.range.start, c.g);
            }
        };
        let threads = parameters.len() >= WORTH_THREADS;
        let mut chunks = Vec::with_capacity(self.penalties.parts.len());
        let (mut w, mut g) = (&mut parameters[..], &mut gradient[..]);
        let (mut first, mut second) = (&mut self.first[..], &mut self.second[..]);
        for part in &self.penalties.parts {
            let n = part.range.len();
            let chunk = Chunk {
                part,
                w: cut(&mut w, n),
                g: cut(&mut g, n),
                first: cut(&mut first, n),
                second: cut(&mut second, n),
                base: self.base.get(part.range.clone()).unwrap_or_default(),
            };
            if wanted(part.range.start) {
                chunks.push(chunk);
            }
        }
        let added = if let Some(Clip::Norm(bound)) = self.clip {
            let square = |c: &mut Chunk<'_, R>| {
                noisy(c);
                fast(
                    #[inline(always)]
                    || {
                        c.part.add_to(proximal, c.g, c.w, c.base);
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
            true
        } else {
            false
        };
        let act = |mut c: Chunk<'_, R>| {
            if !added {
                noisy(&mut c);
            }
            fast(
                #[inline(always)]
                || {
                    if !added {
                        c.part.add_to(proximal, c.g, c.w, c.base);
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

    /// Lets the weights of a dense layer, at `weight` among the parameters, follow their gradient `dyᵀ·x`, of which a few rows
    /// and columns are made at a time: they are in a core's cache when they are used, and are written nowhere else. With `noise` it
    /// is a sum that becomes a gradient by it.
    pub(super) fn follow_dense(
        &mut self,
        now: Now,
        parameters: &mut [R],
        weight: &Range<usize>,
        (dy, x): (&[R], &[R]),
        inputs: usize,
        noise: Option<&Noise>,
    ) {
        let (optimizer, proximal) = (&self.optimizer, self.penalties.proximal);
        let Some(part) = self.penalties.parts.iter().find(|part| part.range.start == weight.start) else { return };
        let mut first = self.first.get_mut(weight.clone()).unwrap_or_default();
        let mut second = self.second.get_mut(weight.clone()).unwrap_or_default();
        let rows = parameters[weight.clone()].chunks_exact_mut(inputs);
        let pieces = rows.flat_map(|row| row.chunks_mut(COLUMNS)).map(|w| {
            let n = w.len();
            [w, cut(&mut first, n), cut(&mut second, n)]
        });
        let base = self.base.get(weight.clone()).unwrap_or_default();
        let wanted = |piece: &[&mut [R]; 3], columns: Range<usize>| {
            piece.iter().filter_map(|numbers| numbers.get(columns.clone())).for_each(soon);
        };
        outer(dy, x, inputs, pieces.collect(), wanted, |[w, first, second], (row, column), g| {
            let start = row * inputs + column;
            if let Some(noise) = noise {
                noise.add(weight.start + start, g);
            }
            let base = base.get(start..start + g.len()).unwrap_or_default();
            let mut chunk = Chunk { part, w, g, first, second, base };
            fast(
                #[inline(always)]
                || {
                    chunk.part.add_to(proximal, chunk.g, chunk.w, chunk.base);
                    update(optimizer, &mut chunk, now);
                },
            );
        });
    }
}

fn from_bits(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|b| f32::from_bits(*b)).collect()
}

impl Stepper<f32> {
    /// Goes on from a saved state. A state of another length is none: it starts anew.
    pub fn resume(&mut self, state: &OptimizerState) {
        self.remember(state.steps, &from_bits(&state.first), &from_bits(&state.second));
    }

    /// What must be kept to go on later.
    pub fn state(&self) -> OptimizerState {
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect();
        OptimizerState { steps: self.steps, first: bits(&self.first), second: bits(&self.second) }
    }
}

#[cfg(test)]
mod tests;
