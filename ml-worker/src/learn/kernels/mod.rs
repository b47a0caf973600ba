//! What layers compute, forward and backward, on plain slices. Every function here writes each number of its result by a
//! fixed sequence of operations, whatever the number of threads: a training has the same bits at one thread and at many.

pub mod conv;
pub mod elementwise;
pub mod matrix;
pub mod norm;
pub mod pool;

use rayon::prelude::*;

/// Below so many numbers threads cost more than they give.
pub const WORTH_THREADS: usize = 1 << 15;
/// Numbers that one thread takes at a time.
pub const CHUNK: usize = 1 << 14;

/// Runs a function with the widest vector instructions that this machine has.
#[inline(always)]
pub fn fast<T>(function: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(function)
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
