//! The length of a step, in the order in which [`Gram`](crate::Gram) sums, though the step comes in parts that end anywhere.

use crate::rules::{
    gram::{joined, LANES},
    BLOCK,
};

/// Squares of one part of a step, whose neighbours other threads work on.
#[derive(Clone, Debug, Default)]
pub(super) struct Squares {
    /// Numbers that belong to a block that began in the part before, and where the first of them stands.
    head: Vec<f64>,
    start: usize,
    /// Whether a block has begun in this part.
    begun: bool,
    /// Sums of whole blocks.
    blocks: Vec<f64>,
    /// What the block that is not yet whole has so far.
    lanes: [f64; LANES],
}

impl Squares {
    /// Takes the numbers from position `at` on, which follow those before.
    #[inline(always)]
    pub fn add(&mut self, mut at: usize, mut numbers: &[f64]) {
        while !numbers.is_empty() {
            self.begun |= at.is_multiple_of(BLOCK);
            let (now, later) = numbers.split_at(numbers.len().min(BLOCK - at % BLOCK));
            if self.begun {
                squares(at, now, &mut self.lanes);
            } else {
                if self.head.is_empty() {
                    self.start = at;
                }
                self.head.extend_from_slice(now);
            }
            at += now.len();
            numbers = later;
            if self.begun && at.is_multiple_of(BLOCK) {
                self.blocks.push(joined(&self.lanes));
                self.lanes = [0.0; LANES];
            }
        }
    }

    /// The length of the whole step.
    pub fn length<'a>(parts: impl IntoIterator<Item = &'a Self>) -> f64 {
        let (mut sum, mut lanes) = (0.0, [0.0; LANES]);
        for part in parts {
            squares(part.start, &part.head, &mut lanes);
            if part.begun {
                sum += joined(&lanes);
                for block in &part.blocks {
                    sum += block;
                }
                lanes = part.lanes;
            }
        }
        (sum + joined(&lanes)).sqrt()
    }
}

/// Adds squares to the lanes of one block: lane `l` takes numbers whose position leaves `l`.
#[inline(always)]
fn squares(at: usize, numbers: &[f64], lanes: &mut [f64; LANES]) {
    let lead = (at.next_multiple_of(LANES) - at).min(numbers.len());
    let (lead, rest) = numbers.split_at(lead);
    let mut sums = *lanes;
    for (sum, x) in sums.iter_mut().skip(at % LANES).zip(lead) {
        *sum += x * x;
    }
    let mut rows = rest.chunks_exact(LANES);
    for row in &mut rows {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x * x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rows.remainder()) {
        *sum += x * x;
    }
    *lanes = sums;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gram;

    #[test]
    fn a_step_in_parts_is_as_long_as_gram_says_to_the_bit() {
        for count in [0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77] {
            let numbers: Vec<f32> = (0..count).map(|k| ((k * k) % 1013) as f32 / 77.0 - 6.5).collect();
            let mut gram = Gram::new(1);
            gram.add(&[&numbers], &vec![0.0; count]);
            let steps: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
            // parts of four blocks and more but the last, and pieces that end anywhere
            for part in [4 * BLOCK + 6, 4 * BLOCK, 4 * BLOCK + 8191] {
                for piece in [1, 62, 4094, 20_000] {
                    let mut parts = Vec::new();
                    for (number, steps) in steps.chunks(part).enumerate() {
                        let mut squares = Squares::default();
                        for (at, steps) in steps.chunks(piece).enumerate() {
                            squares.add(number * part + at * piece, steps);
                        }
                        parts.push(squares);
                    }
                    let length = Squares::length(&parts);
                    assert_eq!(
                        length.to_bits(),
                        gram.norm(0).to_bits(),
                        "{count} in parts of {part}, pieces of {piece}"
                    );
                }
            }
        }
    }
}
