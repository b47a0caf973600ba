//! Loss and rows of validation: what sites report of a model is summed under masks, too, so that nobody's own is seen.

use super::{file::MaskedLayout, MaskedError, OutOfRange, MIN_SUMMED};
use crate::{
    blob::blob_hash,
    files::{FilesError, InputFile},
};
use consilium_masks::{Streams, FIGURES};
use consilium_primitives::{
    rules::{MAX_PARTICIPANTS, MAX_WEIGHT},
    Hash,
};

/// Words that the figures take in a file.
pub(super) const SUMS: usize = 2 * FIGURES;
/// The fewest sites of whose losses a mean is told.
pub const MIN_REPORTERS: u64 = 3;

/// What a site reports of the model that it was given, or the sum of what several do. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Loss in millionths, times rows.
    pub loss: u64,
    /// Rows of validation.
    pub rows: u64,
    /// Sites that report.
    pub reporters: u64,
}

impl Figures {
    /// What one site reports: its loss in millionths, the mean over so many rows.
    pub fn of(loss_micro: u32, rows: u32) -> Self {
        if rows == 0 {
            return Self::default();
        }
        Self { loss: u64::from(loss_micro) * u64::from(rows), rows: u64::from(rows), reporters: 1 }
    }

    /// The loss in millionths over all rows of those that reported, to the nearest whole number, halves up. `None` where fewer
    /// than [`MIN_REPORTERS`] of the `summed` sites did, or not more than half of them.
    pub fn pooled(&self, summed: usize) -> Option<u32> {
        if self.reporters < MIN_REPORTERS || self.reporters.saturating_mul(2) <= summed as u64 {
            return None;
        }
        let (loss, rows) = (u128::from(self.loss), u128::from(self.rows));
        u32::try_from((loss + rows / 2).checked_div(rows)?).ok()
    }

    fn numbers(self) -> [u64; FIGURES] {
        [self.loss, self.rows, self.reporters]
    }

    /// As words of a file, under masks; `padded`: words before them.
    pub(super) fn masked(self, streams: &Streams, padded: usize) -> [u32; SUMS] {
        let mut numbers = self.numbers();
        streams.add_figures(padded as u64, &mut numbers);
        let mut words = [0; SUMS];
        for (pair, number) in words.chunks_exact_mut(2).zip(numbers) {
            pair[0] = number as u32;
            pair[1] = (number >> 32) as u32;
        }
        words
    }

    /// The sum of what several files have as their figures, without the masks. Such a sum is none of honest sites' where there
    /// are more reporters than sites, fewer rows than reporters, or more loss than so many rows can have.
    pub(super) fn opened(tails: &[Vec<u32>], streams: &Streams, padded: usize) -> Result<Self, OutOfRange> {
        let mut numbers = [0u64; FIGURES];
        for words in tails {
            for (sum, pair) in numbers.iter_mut().zip(words.chunks_exact(2)) {
                *sum = sum.wrapping_add(u64::from(pair[1]) << 32 | u64::from(pair[0]));
            }
        }
        streams.add_figures(padded as u64, &mut numbers);
        let [loss, rows, reporters] = numbers;
        let sites = tails.len();
        let possible = reporters <= sites as u64
            && rows >= reporters
            && rows <= reporters * u64::from(MAX_WEIGHT)
            && u128::from(loss) <= u128::from(rows) * u128::from(u32::MAX);
        if !possible {
            return Err(OutOfRange::Figures { sites });
        }
        Ok(Self { loss, rows, reporters })
    }
}

/// A file of one site's figures alone, as in the final evaluation.
///
/// # Errors
/// [`MaskedError::TooFew`] where there are too few masks to hide anything.
pub fn mask_figures(figures: Figures, streams: &Streams, duty: &Hash) -> Result<Vec<u8>, MaskedError> {
    enough_masks(streams)?;
    let layout = MaskedLayout::figures()?;
    Ok(layout.encode(duty, figures.masked(streams, layout.padded()).into_iter()))
}

/// The sum of figures from files of [`mask_figures`], which come in order of institution id. `streams` are the masks, each with
/// the sign that takes it off. The files' weights count for nothing.
///
/// # Errors
/// Too few files; one that is not what was committed, or no such file; figures that no sites can have.
pub fn sum_figures(inputs: &[InputFile], streams: &Streams) -> Result<Figures, MaskedError> {
    let layout = MaskedLayout::figures()?;
    enough_files(inputs)?;
    let tails = inputs.iter().enumerate().map(|(input, file)| read(input, file, &layout));
    let tails = tails.collect::<Result<Vec<_>, _>>()?;
    Ok(Figures::opened(&tails, streams, layout.padded())?)
}

/// One's own mask and one in common with each of the others: of fewer than three sites, others could take them off.
pub(super) fn enough_masks(streams: &Streams) -> Result<(), MaskedError> {
    if streams.len() < MIN_SUMMED {
        return Err(MaskedError::TooFew { found: streams.len() });
    }
    Ok(())
}

pub(super) fn enough_files(inputs: &[InputFile]) -> Result<(), MaskedError> {
    if inputs.len() < MIN_SUMMED || inputs.len() > MAX_PARTICIPANTS as usize {
        return Err(MaskedError::TooFew { found: inputs.len() });
    }
    Ok(())
}

/// The words of a file that is small enough to be read at once.
pub(super) fn read(input: usize, file: &InputFile, layout: &MaskedLayout) -> Result<Vec<u32>, FilesError> {
    let bytes = std::fs::read(&file.path).map_err(|error| FilesError::Io { path: file.path.clone(), error })?;
    let found = blob_hash(&bytes);
    if found != file.blob.root {
        return Err(FilesError::Differs { input, found });
    }
    layout.decode(&bytes, &file.duty).map_err(|error| FilesError::Input { input, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooled_loss_needs_three_reporters() {
        let of = |reporters, summed| Figures { loss: 700, rows: 200, reporters }.pooled(summed);
        assert_eq!(of(3, 3), Some(4), "3.5, halves up");
        assert_eq!(of(3, 5), Some(4));
        assert_eq!(of(2, 3), None, "too few");
        assert_eq!(of(2, 2), None, "too few");
        assert_eq!(of(3, 6), None, "not more than half");
        assert_eq!(of(4, 7), Some(4));
        assert_eq!(of(0, 4), None);
        assert_eq!(Figures { loss: u64::MAX, rows: 0, reporters: 3 }.pooled(3), None);
        assert_eq!(Figures { loss: u64::MAX, rows: 3, reporters: 3 }.pooled(3), None);
    }

    #[test]
    fn figures_that_no_sites_can_have_are_out_of_range() {
        let none = Streams::new([]);
        let of = |numbers: [u64; FIGURES]| {
            let words: Vec<u32> = numbers.iter().flat_map(|n| [*n as u32, (*n >> 32) as u32]).collect();
            Figures::opened(&[words, vec![0; SUMS], vec![0; SUMS]], &none, 0)
        };
        let most = 3 * u64::from(MAX_WEIGHT);
        let good = Figures { loss: most * 5_000_000_000 / 2, rows: most, reporters: 3 };
        assert_eq!(of([good.loss, good.rows, 3]), Ok(good));
        assert_eq!(of([0; FIGURES]), Ok(Figures::default()));
        let bad = Err(OutOfRange::Figures { sites: 3 });
        for numbers in [[5, 5, 4], [5, 2, 3], [5, 0, 0], [0, 1, 0], [1 << 34, 3, 3], [5, most + 1, 3], [u64::MAX; 3]] {
            assert_eq!(of(numbers), bad, "{numbers:?}");
        }
        assert_eq!(Figures::of(700, 0), Figures::default());
        assert_eq!(Figures::of(u32::MAX, 9), Figures { loss: 38_654_705_655, rows: 9, reporters: 1 });
    }
}
