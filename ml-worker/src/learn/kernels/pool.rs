//! Pooling.
use super::matrix::Into;
use crate::learn::real::Real;
/// Shapes.
pub struct Pool;
impl Pool {
    /// New.
    pub fn new(_input: &[usize], _output: &[usize], _size: usize, _stride: usize, _padding: usize) -> Self {
        Self
    }
    /// One window that is the whole picture.
    pub fn whole(_input: &[usize]) -> Self {
        Self
    }
}
/// Max.
pub fn max<R: Real>(_p: &Pool, _out: &mut [R], _x: &[R], _places: &mut Vec<u32>) {
    unimplemented!()
}
/// Back.
pub fn max_back<R: Real>(_p: &Pool, _dx: &mut [R], _dy: &[R], _places: &[u32], _into: Into) {
    unimplemented!()
}
/// Mean.
pub fn average<R: Real>(_p: &Pool, _out: &mut [R], _x: &[R]) {
    unimplemented!()
}
/// Back.
pub fn average_back<R: Real>(_p: &Pool, _dx: &mut [R], _dy: &[R], _into: Into) {
    unimplemented!()
}
