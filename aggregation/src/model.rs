//! Model files: the update of one participant, which names its duty, and merged models, which name none.

use crate::layout::{Dtype, FileError, Layout};
use consilium_primitives::Hash;
use rayon::prelude::*;

const CHUNK: usize = 1 << 16;
/// The largest number of an update, 2⁵⁰. No model comes near it, and what a server-side optimiser remembers of the squares of
/// such numbers stays within `f32` over all rounds that a study can have.
pub const LARGEST: f32 = (1u64 << 50) as f32;

/// A model: all its tensors, `f32`, one after the other by name.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Which tensors.
    pub layout: Layout,
    /// The duty an update answers; none in merged models and in the initial model.
    pub duty: Option<Hash>,
    /// All numbers, tensors by name, each row-major.
    pub data: Vec<f32>,
}

impl ModelFile {
    /// The file's bytes, always the same for the same model.
    ///
    /// # Errors
    /// Data of another length than the layout's, NaN or infinity; in an update numbers beyond [`LARGEST`].
    pub fn encode(&self) -> Result<Vec<u8>, FileError> {
        if self.data.len() != self.layout.elements() {
            return Err(FileError::Length {
                expected: self.layout.elements() as u64 * 4,
                found: self.data.len() as u64 * 4,
            });
        }
        if self.duty.is_some() {
            within(&self.layout, &self.data)?;
        } else {
            finite(&self.layout, &self.data)?;
        }
        let mut bytes = self.layout.header(Dtype::F32, self.duty.as_ref());
        let start = bytes.len();
        bytes.resize(start + self.data.len() * 4, 0);
        bytes[start..].par_chunks_mut(CHUNK * 4).zip(self.data.par_chunks(CHUNK)).for_each(|(to, from)| {
            for (slot, number) in to.chunks_exact_mut(4).zip(from) {
                slot.copy_from_slice(&number.to_le_bytes());
            }
        });
        Ok(bytes)
    }

    /// Reads a file that must hold exactly the tensors of `layout`, in canonical form.
    ///
    /// # Errors
    /// Any byte that is not as it must be; all these errors mean that the *file* is invalid.
    pub fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, FileError> {
        let (duty, start) = layout.open(Dtype::F32, bytes, false)?;
        let mut data = vec![0f32; layout.elements()];
        data.par_chunks_mut(CHUNK).zip(bytes[start..].par_chunks(CHUNK * 4)).for_each(|(to, from)| {
            for (number, slot) in to.iter_mut().zip(from.chunks_exact(4)) {
                *number = f32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]);
            }
        });
        finite(layout, &data)?;
        Ok(Self { layout: layout.clone(), duty, data })
    }

    /// [`ModelFile::decode`], for an update that must answer `duty`.
    ///
    /// # Errors
    /// As `decode`, [`FileError::Duty`] where the file names none or another, and [`FileError::TooLarge`].
    pub fn decode_update(bytes: &[u8], layout: &Layout, duty: &Hash) -> Result<Self, FileError> {
        let file = expect_duty(Self::decode(bytes, layout)?, Some(*duty))?;
        within(layout, &file.data)?;
        Ok(file)
    }

    /// [`ModelFile::decode`], for a merged or initial model, which names no duty. What a server-side optimiser remembers may
    /// follow in the file; it is checked and left out.
    ///
    /// # Errors
    /// As `decode`, and [`FileError::Duty`] where the file names one.
    pub fn decode_merged(bytes: &[u8], layout: &Layout) -> Result<Self, FileError> {
        let Ok(whole) = layout.merged(bytes.len() as u64) else {
            return expect_duty(Self::decode(bytes, layout)?, None);
        };
        let mut file = expect_duty(Self::decode(bytes, &whole)?, None)?;
        file.data.truncate(layout.elements());
        Ok(Self { layout: layout.clone(), ..file })
    }

    /// The numbers of one tensor, row-major.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        let (_, range) = self.layout.ranges().find(|(tensor, _)| tensor.name == name)?;
        self.data.get(range)
    }
}

fn expect_duty(file: ModelFile, expected: Option<Hash>) -> Result<ModelFile, FileError> {
    if file.duty == expected {
        Ok(file)
    } else {
        Err(FileError::Duty { expected, found: file.duty })
    }
}

fn finite(layout: &Layout, data: &[f32]) -> Result<(), FileError> {
    let first = first_without(data, f32::is_finite);
    first.map_or(Ok(()), |at| Err(unfit(layout, at, data[at])))
}

/// [`finite`], and small enough for an update.
fn within(layout: &Layout, data: &[f32]) -> Result<(), FileError> {
    let first = first_without(data, fits);
    first.map_or(Ok(()), |at| Err(unfit(layout, at, data[at])))
}

/// Where the first number stands of which something does not hold. All numbers of a chunk are looked at before any is found: without
/// a way out at each, the processor compares many at once.
pub(crate) fn first_without(data: &[f32], holds: impl Fn(f32) -> bool + Sync) -> Option<usize> {
    let all = |chunk: &[f32]| chunk.iter().fold(true, |all, number| all & holds(*number));
    let start = CHUNK * data.par_chunks(CHUNK).position_first(|chunk| !all(chunk))?;
    let place = data[start..].iter().position(|number| !holds(*number))?;
    Some(start + place)
}

/// Whether a number may stand in an update.
#[inline]
pub(crate) fn fits(number: f32) -> bool {
    // NaN is not
    number.abs() <= LARGEST
}

/// What is wrong with a number that may not stand where it does.
pub(crate) fn unfit(layout: &Layout, at: usize, number: f32) -> FileError {
    let ((tensor, index), value) = (layout.locate(at), f64::from(number));
    if number.is_finite() {
        FileError::TooLarge { tensor, index, value }
    } else {
        FileError::NotFinite { tensor, index, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_does_not_fit_is_found_wherever_it_stands() {
        for (count, bad) in [
            (0, vec![]),
            (1, vec![0]),
            (CHUNK, vec![CHUNK - 1]),
            (CHUNK + 1, vec![CHUNK]),
            (3 * CHUNK + 7, vec![3 * CHUNK + 6, CHUNK + 5, CHUNK + 6, 2 * CHUNK]),
            (2 * CHUNK, vec![]),
        ] {
            for value in [f32::NAN, f32::NEG_INFINITY, LARGEST * 2.0] {
                let mut data = vec![-LARGEST; count];
                bad.iter().for_each(|place| data[*place] = value);
                let wanted = bad.iter().min().copied();
                assert_eq!(first_without(&data, fits), wanted, "{value} among {count}");
                let wanted = wanted.filter(|_| !value.is_finite());
                assert_eq!(first_without(&data, f32::is_finite), wanted, "{value} among {count}");
            }
        }
    }
}
