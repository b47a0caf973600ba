//! The two number types that everything here computes in: `f32` in studies, `f64` where gradients are checked.

use super::kernels::squares;
use pulp::Simd;
use std::{
    cell::Cell,
    fmt::Debug,
    iter::Sum,
    ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign},
};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Send
    + Sync
    + Default
    + Debug
    + PartialEq
    + PartialOrd
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounded to this type.
    fn of(number: f64) -> Self;
    /// Exactly.
    fn f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// `eˣ − 1`, precise near 0.
    fn exp_m1(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// `|x|`.
    fn abs(self) -> Self;
    /// The larger one; of NaN and a number, the number.
    fn max(self, other: Self) -> Self;
    /// The smaller one; of NaN and a number, the number.
    fn min(self, other: Self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// NaN.
    fn is_nan(self) -> bool;
    /// As many of these as one register of an instruction set holds.
    type Vector<S: Simd>: Copy;
    /// A vector of the same number everywhere.
    fn splat<S: Simd>(simd: S, number: Self) -> Self::Vector<S>;
    /// A slice as vectors; what is left of it at its end is not among them.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];
    /// The same, to write.
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];
    /// `a·b + c`, rounded once if the machine does so in one instruction.
    fn mul_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a − b`.
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// [`turn`](super::kernels) of squares.
    fn turn_squares(to: &mut [Self], to_step: usize, from: &[Self], step: usize, shape: (usize, usize));
    /// Sum of a vector's numbers.
    fn total<S: Simd>(simd: S, vector: Self::Vector<S>) -> Self;
    /// Calls a function with numbers of this thread to write on, whatever they are: they are kept, so that not every call
    /// asks the system for memory.
    fn scratch<T>(numbers: usize, function: impl FnOnce(&mut [Self]) -> T) -> T;
}

macro_rules! real {
    (
        $($t:ident $vector:ident $splat:ident $vectors:ident $vectors_mut:ident $mul_add:ident $plus:ident $minus:ident
        $total:ident $turn:ident),*
    ) => {$(
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn of(number: f64) -> Self {
                number as $t
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $t::exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                $t::exp_m1(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $t::tanh(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $t::max(self, other)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                $t::min(self, other)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            type Vector<S: Simd> = S::$vector;
            #[inline(always)]
            fn splat<S: Simd>(simd: S, number: Self) -> S::$vector {
                simd.$splat(number)
            }
            #[inline(always)]
            fn vectors<S: Simd>(numbers: &[Self]) -> &[S::$vector] {
                S::$vectors(numbers).0
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$vector] {
                S::$vectors_mut(numbers).0
            }
            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$plus(a, b)
            }
            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$minus(a, b)
            }
            fn turn_squares(to: &mut [Self], to_step: usize, from: &[Self], step: usize, shape: (usize, usize)) {
                squares::$turn(to, to_step, from, step, shape);
            }
            #[inline(always)]
            fn total<S: Simd>(simd: S, vector: S::$vector) -> Self {
                simd.$total(vector)
            }
            fn scratch<T>(numbers: usize, function: impl FnOnce(&mut [Self]) -> T) -> T {
                thread_local!(static SCRATCH: Cell<Vec<$t>> = const { Cell::new(Vec::new()) });
                let mut scratch = SCRATCH.take();
                if scratch.len() < numbers {
                    scratch.resize(numbers, 0.0);
                }
                let result = function(&mut scratch[..numbers]);
                SCRATCH.set(scratch);
                result
            }
        }
    )*};
}

real!(
    f32 f32s splat_f32s as_simd_f32s as_mut_simd_f32s mul_add_e_f32s add_f32s sub_f32s reduce_sum_f32s squares_of_f32,
    f64 f64s splat_f64s as_simd_f64s as_mut_simd_f64s mul_add_e_f64s add_f64s sub_f64s reduce_sum_f64s squares
);
