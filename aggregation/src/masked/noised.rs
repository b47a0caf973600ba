//! Sums of gradients whose noise the sites of a sum share: whole numbers on an agreed grid, summed as they are.
//!
//! With `y` a site's sum of gradients and its part of the noise, and `units` those in one, what is sent is
//! `round(y · units)`, ties to even, modulo 2^32, and masks. No number is held at a bound, and weights are in none of them: a sum modulo
//! 2^32 follows from the sum of what sites add, and with it all that is made of it. With `S` the sum, with a sign, and `W_U` the
//! weights of those whose files are summed, the step is `−(learning rate ÷ q) · S ÷ units ÷ W_U`.

use super::{encoding::power_of_two, figures::enough_masks, MaskedError, MaskedLayout, MaskedRound, OwnUpdate};
use crate::{files::FilesError, layout::Layout, rules::MergeError};
use consilium_masks::Streams;
use consilium_primitives::Hash;
use std::fs;

/// Powers of two that there can be units in one.
const UNITS: std::ops::RangeInclusive<i32> = -60..=60;

/// How a sum of noised gradients is counted, and what step it becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noised {
    units_log2: i32,
    learning_rate: f64,
    rate: f64,
}

impl Noised {
    /// With 2^`units_log2` units in one, for steps at this learning rate against the mean gradient of records that are drawn with
    /// probability `rate`.
    pub fn new(units_log2: i32, learning_rate: f64, rate: f64) -> Self {
        let units_log2 = units_log2.clamp(*UNITS.start(), *UNITS.end());
        Self { units_log2, learning_rate, rate }
    }

    /// A number in units: the nearest whole one, ties to even, modulo 2^32.
    pub fn word(self, number: f64) -> u32 {
        (number * power_of_two(self.units_log2)).round_ties_even() as i64 as u32
    }

    /// What one unit of a sum moves a number by, for a weight of one.
    pub(super) fn moves(self) -> f64 {
        -(self.learning_rate / self.rate) * power_of_two(-self.units_log2)
    }
}

/// The file of what a site has computed for a noised sum. It stays at the site: one site's words by themselves have only a part of
/// the noise.
///
/// # Errors
/// A layout that makes no file; another count of words.
pub fn encode_noised(layout: &Layout, duty: &Hash, words: &[u32]) -> Result<Vec<u8>, MaskedError> {
    let masked = MaskedLayout::model(layout)?;
    if words.len() != masked.words() {
        return Err(MergeError::Length { input: 0, expected: masked.words(), found: words.len() }.into());
    }
    let rest = masked.padded() - words.len() + super::figures::SUMS;
    Ok(masked.encode(duty, words.iter().copied().chain(std::iter::repeat_n(0, rest))))
}

/// Masks a file of [`encode_noised`] into one that names `duty`.
///
/// # Errors
/// A round in which nothing is noised, or a merge that cannot be masked; a file that is not what it must be.
pub fn mask_noised(
    round: &MaskedRound<'_>,
    own: &OwnUpdate<'_>,
    streams: &Streams,
    duty: &Hash,
) -> Result<Vec<u8>, MaskedError> {
    if round.bound()?.is_some() {
        return Err(MaskedError::Noise { what: "a norm bound would look at the noise" });
    }
    if round.noised.is_none() {
        return Err(MaskedError::Noise { what: "by the agreement each site's noise is its own" });
    }
    enough_masks(streams)?;
    let masked = MaskedLayout::model(round.layout)?;
    let bytes = fs::read(own.path).map_err(|error| FilesError::Io { path: own.path.into(), error })?;
    let words = masked.decode(&bytes, own.duty).map_err(|error| FilesError::Input { input: 0, error })?;
    let (mut words, padded) = (words, masked.padded());
    words.truncate(padded);
    streams.add(0, &mut words);
    let figures = own.figures.masked(streams, padded);
    Ok(masked.encode(duty, words.into_iter().chain(figures)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_to_the_nearest_unit_ties_to_even_and_around_at_the_end() {
        let noised = Noised::new(4, 0.5, 1.0);
        for (number, word) in [(0.0, 0), (1.0, 16), (-1.0, -16), (0.03125, 0), (0.09375, 2), (-0.09375, -2), (0.97, 16)]
        {
            assert_eq!(noised.word(number) as i32, word, "{number}");
        }
        // what is beyond a word comes around, so that sums modulo 2^32 are those of the numbers
        let (a, b) = (f64::from(1 << 27), f64::from(1 << 26) + 0.5);
        assert_eq!(noised.word(a + b), noised.word(a).wrapping_add(noised.word(b)));
        assert_eq!(noised.word(a), 1 << 31);
        assert_eq!(Noised::new(0, 1.0, 1.0).word(-4_294_967_297.0) as i32, -1);
    }

    #[test]
    fn a_unit_moves_a_number_against_the_gradient_by_the_learning_rate() {
        assert_eq!(Noised::new(10, 0.5, 0.25).moves(), -2.0 / 1024.0);
        assert_eq!(Noised::new(-3, 1.0, 1.0).moves(), -8.0);
    }
}
