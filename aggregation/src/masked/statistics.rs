//! Statistics for standardisation as sums of whole numbers, which masks can be added to: of each column the number of values,
//! their sum in units of 2⁻⁶⁴ and the sum of their squares in units of 2⁻¹²⁸, each of 256 bits in two's complement.
//!
//! Sums of whole numbers have no order and no rounding: what comes out is the same whoever adds them, and mean and squared
//! deviations follow as fractions, each rounded once.

use super::{
    encoding::power_of_two,
    exact::{nearest, whole},
    figures::{enough_files, enough_masks, read, Figures, SUMS},
    file::{MaskedLayout, COLUMN},
    MaskedError, OutOfRange, MIN_SUMMED,
};
use crate::{files::InputFile, Statistics};
use consilium_masks::Streams;
use consilium_primitives::{rules::MAX_WEIGHT, Hash};
use primitive_types::{U256, U512};

/// Largest magnitude of a value, 2⁴⁰: with it, and with fewer than 2³⁵ values, every sum stays below 2²⁴³.
pub const MAX_VALUE: f64 = (1u64 << 40) as f64;
/// A column with fewer values than this at all sites together is withheld. How many sites have any cannot be seen.
pub const MIN_VALUES: u64 = 30;
/// Units of a value, as a power of two.
const UNITS: i32 = 64;
/// Magnitude of a value in units, at most, as a power of two.
const VALUE: u32 = 40 + UNITS as u32;

/// Sums of one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Column {
    count: U256,
    /// In two's complement.
    sum: U256,
    squares: U256,
}

/// Exact sums of each feature column over one site's training rows, in the order of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactStatistics {
    columns: Vec<Column>,
}

impl ExactStatistics {
    /// Before the first row.
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![Column::default(); columns] }
    }

    /// Of rows given by column. Missing values are NaN, or left out.
    ///
    /// # Errors
    /// A value beyond [`MAX_VALUE`], by column.
    pub fn of_columns<C: AsRef<[f64]>>(columns: &[C]) -> Result<Self, MaskedError> {
        let mut all = Self::new(columns.len());
        for (column, values) in columns.iter().enumerate() {
            for value in values.as_ref() {
                all.columns[column].add(column, *value)?;
            }
        }
        Ok(all)
    }

    /// Adds a row; missing values are NaN.
    ///
    /// # Errors
    /// A value beyond [`MAX_VALUE`], by column; a row of another length. What was added of the row before stays.
    pub fn add_row(&mut self, row: &[f64]) -> Result<(), MaskedError> {
        if row.len() != self.columns.len() {
            return Err(MaskedError::Columns { expected: self.columns.len(), found: row.len() });
        }
        for (column, (sums, value)) in self.columns.iter_mut().zip(row).enumerate() {
            sums.add(column, *value)?;
        }
        Ok(())
    }

    /// The masked file.
    ///
    /// # Errors
    /// [`MaskedError::TooFew`] where there are too few masks to hide anything; more columns than can be counted, or none.
    pub fn masked(&self, streams: &Streams, duty: &Hash) -> Result<Vec<u8>, MaskedError> {
        enough_masks(streams)?;
        let layout = MaskedLayout::statistics(self.columns.len())?;
        let mut integers: Vec<[u32; 8]> =
            self.columns.iter().flat_map(|column| [column.count, column.sum, column.squares]).map(words).collect();
        streams.add_wide(0, &mut integers);
        let figures = Figures::default().masked(streams, layout.padded());
        Ok(layout.encode(duty, integers.into_iter().flatten().chain(figures)))
    }

    /// What [`merge_masked_statistics`] gives of the masked files of these sites, without files and without masks, which cancel: for
    /// simulations.
    ///
    /// # Errors
    /// Too few sites; sums that no sites can have; sites of different columns.
    pub fn merge_unmasked(sites: &[Self]) -> Result<Statistics, MaskedError> {
        let (Some(first), true) = (sites.first(), sites.len() >= MIN_SUMMED) else {
            return Err(MaskedError::TooFew { found: sites.len() });
        };
        let mut sums = vec![Column::default(); first.columns.len()];
        for site in sites {
            if site.columns.len() != sums.len() {
                return Err(MaskedError::Columns { expected: sums.len(), found: site.columns.len() });
            }
            for (sum, own) in sums.iter_mut().zip(&site.columns) {
                sum.count = sum.count.overflowing_add(own.count).0;
                sum.sum = sum.sum.overflowing_add(own.sum).0;
                sum.squares = sum.squares.overflowing_add(own.squares).0;
            }
        }
        opened(sums, sites.len())
    }
}

impl Column {
    fn add(&mut self, column: usize, value: f64) -> Result<(), MaskedError> {
        if value.is_nan() {
            return Ok(());
        }
        if value.abs() > MAX_VALUE {
            return Err(MaskedError::Value { column, value });
        }
        // a power of two: not rounded
        let units = whole(value * power_of_two(UNITS));
        let size = U256::from(units.abs() as u128);
        self.count = self.count.overflowing_add(U256::one()).0;
        self.sum = if units < 0.0 { self.sum.overflowing_sub(size).0 } else { self.sum.overflowing_add(size).0 };
        self.squares = self.squares.overflowing_add(size * size).0;
        Ok(())
    }

    /// Number of values, mean and squared deviations from it, where they can be those of so many sites. All 0 where there are
    /// fewer than [`MIN_VALUES`].
    fn merged(&self, sites: usize) -> Option<(f64, f64, f64)> {
        if self.count >= U256::from(sites as u64 * u64::from(MAX_WEIGHT)) {
            return None;
        }
        let count = self.count.low_u64();
        let negative = self.sum.bit(255);
        let size = if negative { self.sum.overflowing_neg().0 } else { self.sum };
        if size > self.count << VALUE || self.squares > self.count << (2 * VALUE) {
            return None;
        }
        let (all, own) = (U512::from(self.count) * U512::from(self.squares), size.full_mul(size));
        if all < own {
            return None;
        }
        if count < MIN_VALUES {
            return Some((0.0, 0.0, 0.0));
        }
        let n = U512::from(count);
        Some((count as f64, nearest(negative, U512::from(size), n, UNITS), nearest(false, all - own, n, 2 * UNITS)))
    }
}

/// The merged statistics of files of [`ExactStatistics::masked`], which come in order of institution id. `streams` are the masks,
/// each with the sign that takes it off. The files' weights count for nothing.
///
/// # Errors
/// Too few files; one that is not what was committed, or no such file; sums that no sites can have.
pub fn merge_masked_statistics(
    inputs: &[InputFile],
    columns: usize,
    streams: &Streams,
) -> Result<Statistics, MaskedError> {
    enough_files(inputs)?;
    let layout = MaskedLayout::statistics(columns)?;
    let mut sums = vec![U256::zero(); columns * COLUMN / 8];
    let mut tails = Vec::with_capacity(inputs.len());
    for (input, file) in inputs.iter().enumerate() {
        let mut words = read(input, file, &layout)?;
        tails.push(words.split_off(words.len() - SUMS));
        for (sum, words) in sums.iter_mut().zip(words.chunks_exact(8)) {
            *sum = sum.overflowing_add(integer(words)).0;
        }
    }
    let sites = inputs.len();
    let mut integers: Vec<[u32; 8]> = sums.into_iter().map(words).collect();
    streams.add_wide(0, &mut integers);
    if Figures::opened(&tails, streams, layout.padded())? != Figures::default() {
        return Err(OutOfRange::Figures { sites }.into());
    }
    let columns = integers.chunks_exact(3).map(|three| {
        let [count, sum, squares] = [0, 1, 2].map(|place| integer(&three[place]));
        Column { count, sum, squares }
    });
    opened(columns, sites)
}

/// The statistics that sums of so many sites make.
fn opened(columns: impl IntoIterator<Item = Column>, sites: usize) -> Result<Statistics, MaskedError> {
    let mut all = Statistics { count: Vec::new(), mean: Vec::new(), m2: Vec::new() };
    for (column, sums) in columns.into_iter().enumerate() {
        let (count, mean, m2) = sums.merged(sites).ok_or(OutOfRange::Column { column, sites })?;
        all.count.push(count);
        all.mean.push(mean);
        all.m2.push(m2);
    }
    Ok(all)
}

/// The words of an integer, the least first.
fn words(integer: U256) -> [u32; 8] {
    let U256(halves) = integer;
    std::array::from_fn(|place| (halves[place / 2] >> (32 * (place % 2))) as u32)
}

/// The integer of eight words.
fn integer(words: &[u32]) -> U256 {
    let mut halves = [0u64; 4];
    for (half, pair) in halves.iter_mut().zip(words.chunks_exact(2)) {
        *half = u64::from(pair[1]) << 32 | u64::from(pair[0]);
    }
    U256(halves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_two_to_the_forty_are_refused_with_their_column() {
        let mut all = ExactStatistics::new(2);
        for value in [MAX_VALUE, -MAX_VALUE, f64::NAN, 5e-324, -0.0] {
            all.add_row(&[0.0, value]).unwrap();
        }
        assert_eq!(all.columns[1].count, U256::from(4), "a missing value is not counted");
        for value in [MAX_VALUE * (1.0 + f64::EPSILON), f64::INFINITY, f64::NEG_INFINITY, -1e300] {
            let error = all.add_row(&[0.0, value]).unwrap_err();
            assert!(matches!(error, MaskedError::Value { column: 1, .. }), "{error}");
        }
        let error = all.add_row(&[0.0]).unwrap_err();
        assert!(matches!(error, MaskedError::Columns { expected: 2, found: 1 }), "{error}");
    }

    #[test]
    fn sums_that_no_values_can_have_are_out_of_range() {
        let mut good = Column::default();
        (0..40).for_each(|k| good.add(0, f64::from(k) - 20.0).unwrap());
        assert_eq!(good.merged(3), Some((40.0, -0.5, 5330.0)));
        let one = U256::one();
        for bad in [
            Column { count: one << 255u32, ..good },
            Column { count: U256::from(3 * u64::from(MAX_WEIGHT)), ..good },
            Column { count: U256::zero(), ..good },
            Column { sum: (U256::from(40) << VALUE) + one, ..good },
            Column { squares: (U256::from(40) << (2 * VALUE)) + one, ..good },
            Column { squares: U256::zero(), ..good },
            Column { squares: one << 255u32, ..good },
        ] {
            assert_eq!(bad.merged(3), None, "{bad:?}");
        }
        assert_eq!(Column::default().merged(3), Some((0.0, 0.0, 0.0)));
        let (few, enough) = (29, 30);
        let of = |count| {
            let mut column = Column::default();
            (0..count).for_each(|_| column.add(0, 0.1).unwrap());
            column.merged(3)
        };
        assert_eq!(of(few), Some((0.0, 0.0, 0.0)));
        assert_eq!(of(enough), Some((30.0, 0.1, 0.0)));
    }

    #[test]
    fn integers_are_their_words() {
        let number =
            U256::from_dec_str("98765432109876543210987654321098765432109876543210987654321098765432109876").unwrap();
        assert_eq!(integer(&words(number)), number);
        assert_eq!(words(U256::from(0x1_0000_0002u64)), [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(words(U256::zero().overflowing_sub(U256::one()).0), [u32::MAX; 8]);
    }
}
