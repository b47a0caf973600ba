//! What layers compute, forward and backward, on plain slices. Every function here writes each number of its result by a
//! fixed sequence of operations, whatever the number of threads: a training has the same bits at one thread and at many.

pub mod apart;
pub mod conv;
mod direct;
pub mod elementwise;
mod inner;
pub mod matrix;
pub mod norm;
pub mod outer;
pub mod pool;
mod product;
pub(super) mod squares;
mod turn;
pub mod vectors;
mod winograd;

use super::real::Real;
use rayon::prelude::*;
use vectors::arch;

/// Below so many numbers threads cost more than they give.
pub const WORTH_THREADS: usize = 1 << 15;
/// Numbers that one thread takes at a time.
pub const CHUNK: usize = 1 << 14;

/// Runs a function with the widest vector instructions that this machine has, and [may use](vectors).
#[inline(always)]
pub fn fast<T>(function: impl FnOnce() -> T) -> T {
    arch().dispatch(function)
}

/// Calls a function for each chunk of `out`, with the position of its first number; on several threads where it is worth
/// it.
pub fn chunks<R: Send>(out: &mut [R], function: impl Fn(usize, &mut [R]) + Sync) {
    if out.len() < WORTH_THREADS {
        function(0, out);
    } else {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(n, part)| function(n * CHUNK, part));
    }
}

/// Whether work on so many numbers is worth threads.
fn worth_threads(numbers: usize) -> bool {
    numbers >= WORTH_THREADS
}

/// Calls a function for each piece of `size` numbers of `out`, with the piece's position; on several threads where it is
/// worth it, each of which takes enough of them.
fn pieces<R: Send>(out: &mut [R], size: usize, function: impl Fn(usize, &mut [R]) + Sync) {
    if worth_threads(out.len()) {
        let parts = out.par_chunks_mut(size).with_min_len((CHUNK / size).max(1));
        parts.enumerate().for_each(|(n, part)| function(n, part));
    } else {
        out.chunks_mut(size).enumerate().for_each(|(n, part)| function(n, part));
    }
}

/// Sums are made in so many lanes, which are added up at the end of each block.
const LANES: usize = 16;
/// Numbers per block: sums of blocks lose less to rounding than one long sum.
const BLOCK: usize = 4096;

/// `Σ x`.
fn sum<R: Real>(x: &[R]) -> R {
    sum_of(x, |x| x)
}

/// `Σ f(x)`.
fn sum_of<R: Real>(x: &[R], function: impl Fn(R) -> R) -> R {
    sum_of_three(x, x, x, |x, _, _| function(x))
}

/// `Σ f(x, y)`.
fn sum_of_both<R: Real>(x: &[R], y: &[R], function: impl Fn(R, R) -> R) -> R {
    sum_of_three(x, y, y, |x, y, _| function(x, y))
}

/// `Σ f(x, y, z)`.
fn sum_of_three<R: Real>(x: &[R], y: &[R], z: &[R], function: impl Fn(R, R, R) -> R) -> R {
    let mut total = R::ZERO;
    for ((x, y), z) in x.chunks(BLOCK).zip(y.chunks(BLOCK)).zip(z.chunks(BLOCK)) {
        total += fast(
            #[inline(always)]
            || {
                let mut lanes = [R::ZERO; LANES];
                let (xs, ys, zs) = (x.chunks_exact(LANES), y.chunks_exact(LANES), z.chunks_exact(LANES));
                let rest = xs.remainder().iter().zip(ys.remainder()).zip(zs.remainder());
                for ((x, y), z) in xs.zip(ys).zip(zs) {
                    for (n, lane) in lanes.iter_mut().enumerate() {
                        *lane += function(x[n], y[n], z[n]);
                    }
                }
                lanes.iter_mut().zip(rest).for_each(|(lane, ((x, y), z))| *lane += function(*x, *y, *z));
                lanes.into_iter().sum::<R>()
            },
        );
    }
    total
}
