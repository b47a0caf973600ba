//! Convolution.
use super::matrix::Into;
use crate::learn::real::Real;
/// Shapes.
pub struct Conv;
impl Conv {
    /// New.
    pub fn new(_input: &[usize], _output: &[usize], _kernel: usize, _stride: usize, _padding: usize) -> Self {
        Self
    }
}
/// Forward.
pub fn forward<R: Real>(
    _c: &Conv,
    _out: &mut [R],
    _x: &[R],
    _weight: &[R],
    _bias: &[R],
    _rectified: bool,
    _columns: &mut Vec<R>,
) {
    unimplemented!()
}
/// Backward.
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Real>(
    _c: &Conv,
    _dx: &mut [R],
    _dy: &[R],
    _weight: &[R],
    _dw: &mut [R],
    _db: &mut [R],
    _columns: &mut Vec<R>,
    _wanted: bool,
    _into: Into,
) {
    unimplemented!()
}
