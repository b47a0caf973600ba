//! Normalisation.
use super::matrix::Into;
use crate::learn::real::Real;
/// Shapes.
pub struct Norm;
impl Norm {
    /// New.
    pub fn new(_input: &[usize], _groups: usize, _epsilon: f64) -> Self {
        Self
    }
}
/// Forward.
pub fn forward<R: Real>(_n: &Norm, _out: &mut [R], _x: &[R], _weight: &[R], _bias: &[R], _kept: &mut Vec<R>) {
    unimplemented!()
}
/// Backward.
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Real>(
    _n: &Norm,
    _dx: &mut [R],
    _dy: &[R],
    _x: &[R],
    _weight: &[R],
    _dw: &mut [R],
    _db: &mut [R],
    _kept: &[R],
    _wanted: bool,
    _into: Into,
) {
    unimplemented!()
}
