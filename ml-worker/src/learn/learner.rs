//! What becomes of gradients on the way back through a network.

use super::{
    kernels::outer::{outer, COLUMNS},
    real::Real,
};
use std::ops::Range;

/// What becomes of gradients on the way back through a network.
pub(super) trait Learner<R> {
    /// Whether the gradient of the mean loss is made on the way. If not, slopes are all that is made, those of each row's own
    /// loss: what [parameters are told](super::net::Net::gather) of them comes afterwards.
    const GATHERS: bool = true;
    /// The parameters, and where gradients are written.
    fn both(&mut self) -> (&[R], &mut [R]);
    /// Told the loss before anything else. False: the way back is not gone.
    fn begins(&mut self, loss: f64) -> bool;
    /// Takes the gradient `dyᵀ·x` of a dense layer's weights, which nothing asks for any more; `x` has rows of `inputs` numbers.
    fn dense(&mut self, weight: &Range<usize>, dy: &[R], x: &[R], inputs: usize);
}

/// Keeps the gradient, and leaves the parameters as they are.
pub(super) struct Whole<'a, R> {
    pub parameters: &'a [R],
    pub gradient: &'a mut [R],
}

impl<R: Real> Learner<R> for Whole<'_, R> {
    fn both(&mut self) -> (&[R], &mut [R]) {
        (self.parameters, self.gradient)
    }

    fn begins(&mut self, _: f64) -> bool {
        true
    }

    fn dense(&mut self, weight: &Range<usize>, dy: &[R], x: &[R], inputs: usize) {
        let rows = self.gradient[weight.clone()].chunks_exact_mut(inputs);
        let pieces = rows.flat_map(|row| row.chunks_mut(COLUMNS)).collect();
        outer(dy, x, inputs, pieces, |_, _| {}, |piece: &mut &mut [R], _, gradient| piece.copy_from_slice(gradient));
    }
}

/// Has only slopes made.
pub(super) struct Slopes<'a, R> {
    pub parameters: &'a [R],
}

impl<R: Real> Learner<R> for Slopes<'_, R> {
    const GATHERS: bool = false;

    fn both(&mut self) -> (&[R], &mut [R]) {
        (self.parameters, &mut [])
    }

    fn begins(&mut self, _: f64) -> bool {
        // a row whose loss is not finite is left out later, the others' slopes are asked for
        true
    }

    fn dense(&mut self, _: &Range<usize>, _: &[R], _: &[R], _: usize) {}
}
