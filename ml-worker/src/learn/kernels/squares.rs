//! Squares of numbers whose rows are made columns.

#[cfg(target_arch = "x86_64")]
use pulp::bytemuck::cast;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256;

/// Rows and columns that are turned at a time.
pub const SQUARE: usize = 8;

/// [`turn`](super::turn::turn) of multiples of [`SQUARE`].
pub fn squares<R: Copy + Default>(
    to: &mut [R],
    to_step: usize,
    from: &[R],
    step: usize,
    (rows, columns): (usize, usize),
) {
    each(to, to_step, from, step, (rows, columns), |square: [[R; SQUARE]; SQUARE]| {
        let mut turned = square;
        for (row, turned) in turned.iter_mut().enumerate() {
            for (number, from) in turned.iter_mut().zip(&square) {
                *number = from[row];
            }
        }
        turned
    });
}

/// The same in registers of AVX2, where these are.
pub fn squares_of_f32(to: &mut [f32], to_step: usize, from: &[f32], step: usize, shape: (usize, usize)) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || {
                each(
                    to,
                    to_step,
                    from,
                    step,
                    shape,
                    #[inline(always)]
                    |square| in_registers(simd, square),
                )
            },
        );
    }
    squares(to, to_step, from, step, shape);
}

#[inline(always)]
fn each<R: Copy + Default>(
    to: &mut [R],
    to_step: usize,
    from: &[R],
    step: usize,
    (rows, columns): (usize, usize),
    turned: impl Fn([[R; SQUARE]; SQUARE]) -> [[R; SQUARE]; SQUARE],
) {
    for row in (0..rows).step_by(SQUARE) {
        for column in (0..columns).step_by(SQUARE) {
            let mut square = [[R::default(); SQUARE]; SQUARE];
            for (n, square) in square.iter_mut().enumerate() {
                square.copy_from_slice(&from[(row + n) * step + column..][..SQUARE]);
            }
            for (n, turned) in turned(square).iter().enumerate() {
                to[(column + n) * to_step + row..][..SQUARE].copy_from_slice(turned);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn in_registers(simd: pulp::x86::V3, square: [[f32; SQUARE]; SQUARE]) -> [[f32; SQUARE]; SQUARE] {
    let avx = simd.avx;
    let [a, b, c, d, e, f, g, h]: [__m256; SQUARE] = cast(square);
    let (upper, lower) = (half(simd, [a, b, c, d]), half(simd, [e, f, g, h]));
    let mut turned = [upper[0]; SQUARE];
    for n in 0..SQUARE / 2 {
        turned[n] = avx._mm256_permute2f128_ps::<0x20>(upper[n], lower[n]);
        turned[n + SQUARE / 2] = avx._mm256_permute2f128_ps::<0x31>(upper[n], lower[n]);
    }
    cast(turned)
}

/// Four columns of four rows in the lower half of each, and the other four in the upper half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn half(simd: pulp::x86::V3, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    let avx = simd.avx;
    let (low, low_next) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpacklo_ps(c, d));
    let (high, high_next) = (avx._mm256_unpackhi_ps(a, b), avx._mm256_unpackhi_ps(c, d));
    [
        avx._mm256_shuffle_ps::<0x44>(low, low_next),
        avx._mm256_shuffle_ps::<0xee>(low, low_next),
        avx._mm256_shuffle_ps::<0x44>(high, high_next),
        avx._mm256_shuffle_ps::<0xee>(high, high_next),
    ]
}
