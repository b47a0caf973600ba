//! Which vector instructions kernels and products use: the widest that the processor has, or no wider than the environment says,
//! so that what happens on a processor with AVX2 can be tried on one with AVX-512.
#![allow(unsafe_code)]

use crate::learn::real::Real;
use gemm::Parallelism;
use pulp::{Arch, Simd, WithSimd};
use std::{ffi::OsStr, sync::OnceLock};

/// The environment variable with the most bits that a vector may have; looked at once.
pub const VARIABLE: &str = "CONSILIUM_VECTOR_BITS";
/// Those of AVX-512, and of AVX2.
const WIDE: usize = 512;
const NARROW: usize = 256;

/// The most bits that a vector may have.
///
/// # Errors
/// The variable says something else than how many.
pub fn allowed() -> Result<usize, String> {
    read(std::env::var_os(VARIABLE).as_deref())
}

fn read(said: Option<&OsStr>) -> Result<usize, String> {
    let Some(said) = said else { return Ok(WIDE) };
    let bits = said.to_str().and_then(|said| said.parse().ok());
    bits.filter(|bits| [NARROW, WIDE].contains(bits)).ok_or_else(|| {
        format!("the environment variable {VARIABLE} is {said:?}: set it to {NARROW} for AVX2, to {WIDE} for AVX-512, or unset it")
    })
}

/// The instructions that are used.
///
/// # Panics
/// The environment says something that is [no width](allowed).
pub fn arch() -> Arch {
    static CHOSEN: OnceLock<Arch> = OnceLock::new();
    *CHOSEN.get_or_init(|| match allowed() {
        Ok(WIDE) => Arch::new(),
        Ok(_) => narrow(),
        Err(error) => panic!("{error}"),
    })
}

fn narrow() -> Arch {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Arch::V3(simd);
    }
    Arch::new()
}

/// Bits of the vectors of [these](arch) instructions.
pub fn vector_bits() -> usize {
    struct Bits;
    impl WithSimd for Bits {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            8 * size_of::<S::f32s>()
        }
    }
    arch().dispatch(Bits)
}

/// A matrix as `gemm` takes it: where it begins, and the distances from a column, and from a row, to the next.
pub(super) type Place<P> = (P, usize, usize);

/// `out = a·b` of `m x k` and `k x n`, or added to it, by the `gemm` crate, on this thread.
///
/// # Safety
/// All numbers of the three matrices can be read, those of `out` can be written, and nothing else reads or writes these. Where
/// it does not `add`, those of `out` are not read.
pub(super) unsafe fn multiply<R: Real>(
    (m, n, k): (usize, usize, usize),
    out: Place<*mut R>,
    a: Place<*const R>,
    b: Place<*const R>,
    add: bool,
) {
    #[cfg(target_arch = "x86_64")]
    if matches!(arch(), Arch::V3(_)) && avx2::multiply((m, n, k), out, a, b, add) {
        return;
    }
    gemm::gemm(
        m,
        n,
        k,
        out.0,
        out.1 as isize,
        out.2 as isize,
        add,
        a.0,
        a.1 as isize,
        a.2 as isize,
        b.0,
        b.1 as isize,
        b.2 as isize,
        R::ONE,
        R::ONE,
        false,
        false,
        false,
        Parallelism::None,
    );
}

/// `gemm` takes the widest instructions that it was built for and that there are: those for AVX2 must be called by their names.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Parallelism, Place, Real};
    use gemm_common::{
        gemm::gemm_basic_generic,
        simd::{MixedSimd, V3},
    };
    use std::any::TypeId;

    /// False where nothing was done.
    ///
    /// # Safety
    /// As of the module's.
    pub unsafe fn multiply<R: Real>(
        shape: (usize, usize, usize),
        out: Place<*mut R>,
        a: Place<*const R>,
        b: Place<*const R>,
        add: bool,
    ) -> bool {
        // results are made column by column
        let turned = out.1 < out.2;
        let (m, n, k) = if turned { (shape.1, shape.0, shape.2) } else { shape };
        let turn =
            |(at, columns, rows): Place<*const R>| if turned { (at, rows, columns) } else { (at, columns, rows) };
        let (a, b) = if turned { (turn(b), turn(a)) } else { (a, b) };
        let (out, (column, row)) = (out.0, if turned { (out.2, out.1) } else { (out.1, out.2) });
        macro_rules! of {
            ($t:ident, $library:ident, $lanes:literal) => {
                if TypeId::of::<R>() == TypeId::of::<$t>() {
                    use $library::microkernel::fma::$t::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
                    let Some(simd) = <V3 as MixedSimd<$t, $t, $t, $t>>::try_new() else { return false };
                    gemm_basic_generic::<_, $t, $lanes, { MR_DIV_N * $lanes }, NR, MR_DIV_N, H_M, H_N>(
                        simd,
                        m,
                        n,
                        k,
                        out.cast(),
                        column as isize,
                        row as isize,
                        add,
                        a.0.cast(),
                        a.1 as isize,
                        a.2 as isize,
                        b.0.cast(),
                        b.1 as isize,
                        b.2 as isize,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        |a, b, c| a * b + c,
                        &UKR,
                        &H_UKR,
                        false,
                        Parallelism::None,
                    );
                    return true;
                }
            };
        }
        of!(f32, gemm_f32, 8);
        of!(f64, gemm_f64, 4);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_wide_or_nothing() {
        assert_eq!(read(None), Ok(WIDE));
        assert_eq!(read(Some(OsStr::new("256"))), Ok(NARROW));
        assert_eq!(read(Some(OsStr::new("512"))), Ok(WIDE));
        for wrong in ["", "128", "avx2", "-256"] {
            let error = read(Some(OsStr::new(wrong))).expect_err("no width");
            assert!(error.contains(VARIABLE) && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn vectors_are_no_wider_than_they_may_be() {
        assert!(vector_bits() <= allowed().expect("a width"));
    }

    /// Whatever this machine has: both ways to a product are there to be tried.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn products_held_to_avx2_are_those_of_the_definition() {
        fn check<R: Real>((m, n, k): (usize, usize, usize)) {
            let number = |n: usize| R::of(((n * 37 + 11) % 23) as f64 - 11.0);
            let a: Vec<R> = (0..m * k).map(number).collect();
            let b: Vec<R> = (0..k * n).map(|n| number(n + 5)).collect();
            let mut out = vec![R::of(f64::NAN); m * n];
            for (add, times) in [(false, 1.0), (true, 2.0)] {
                // SAFETY: the slices hold all numbers of matrices that lie row by row
                let done = unsafe {
                    avx2::multiply((m, n, k), (out.as_mut_ptr(), 1, n), (a.as_ptr(), 1, k), (b.as_ptr(), 1, n), add)
                };
                assert!(done, "this machine has AVX2");
                for (place, found) in out.iter().enumerate() {
                    let (row, column) = (place / n, place % n);
                    let sum = (0..k).fold(0.0, |sum, i| sum + a[row * k + i].f64() * b[i * n + column].f64());
                    assert_eq!(found.f64(), times * sum, "{m} x {n} of {k}: {row}, {column}");
                }
            }
        }
        if pulp::x86::V3::try_new().is_none() {
            eprintln!("not tried: this machine has no AVX2");
            return;
        }
        for shape in [(1, 1, 1), (3, 5, 2), (17, 4, 70), (70, 65, 33), (150, 1, 90), (1, 130, 70), (130, 200, 600)] {
            check::<f32>(shape);
            check::<f64>(shape);
        }
    }
}
