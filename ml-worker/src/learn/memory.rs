//! Memory for many numbers.
#![allow(unsafe_code)]

use super::real::Real;

/// So many bytes are worth large pages, of 2 MiB on most machines.
const LARGE: usize = 1 << 22;

/// Numbers, all of them 0, in large pages where the system has them and gives them to who asks: a step goes through all
/// parameters and what the optimiser remembers of them, and with pages of 4 KiB the processor looks up a place for each.
pub fn zeros<R: Real>(count: usize) -> Vec<R> {
    // not written yet: the system makes pages when they are first touched
    let mut numbers = vec![R::ZERO; count];
    if size_of_val(&numbers[..]) >= LARGE {
        advise(&mut numbers);
    }
    numbers
}

/// The same numbers in such memory.
pub fn copy<R: Real>(numbers: &[R]) -> Vec<R> {
    let mut copy = zeros(numbers.len());
    copy.copy_from_slice(numbers);
    copy
}

#[cfg(target_os = "linux")]
fn advise<R>(numbers: &mut [R]) {
    /// Advice is taken for whole pages.
    const PAGE: usize = 1 << 12;
    let start = numbers.as_mut_ptr().cast::<libc::c_void>();
    let skip = start.addr().next_multiple_of(PAGE) - start.addr();
    let len = size_of_val(numbers).saturating_sub(skip) / PAGE * PAGE;
    // SAFETY: the range lies within `numbers`, which are borrowed, and this advice changes no byte of them.
    unsafe {
        // a system without large pages says so, and goes on as before
        libc::madvise(start.byte_add(skip), len, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<R>(_: &mut [R]) {}

/// Asks for numbers that are wanted soon, so that a core need not wait for the memory then.
#[inline(always)]
pub fn soon<R: Real>(numbers: &[R]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(64 / size_of::<R>()) {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
        // SAFETY: this reads nothing, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_were_asked_to_be_whatever_their_count() {
        for count in [0, 1, 1000, LARGE / 4 - 1, LARGE / 4, LARGE + 77] {
            assert!(zeros::<f32>(count) == vec![0.0; count]);
            let numbers: Vec<f64> = (0..count / 2).map(|n| n as f64).collect();
            assert!(copy(&numbers) == numbers);
        }
    }
}
