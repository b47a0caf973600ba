//! Masked files: which words they hold.

use super::figures::SUMS;
use crate::{
    files::{self, FilesError},
    layout::{Dtype, FileError, Layout, LayoutError, TensorShape},
};
use consilium_primitives::Hash;
use std::path::Path;

/// Words of one column of statistics: three integers of 256 bits.
pub(super) const COLUMN: usize = 24;

/// What a masked file holds: so many words, one more where they are odd in number, and three sums of 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedLayout {
    words: usize,
    layout: Layout,
}

impl MaskedLayout {
    fn of(words: usize) -> Result<Self, LayoutError> {
        let all = words.saturating_add(words % 2).saturating_add(SUMS);
        Ok(Self { words, layout: Layout::new(vec![TensorShape::new("masked", [all])])? })
    }

    /// For an update of this layout: one word for each of its numbers.
    ///
    /// # Errors
    /// More numbers than can be counted.
    pub fn model(layout: &Layout) -> Result<Self, LayoutError> {
        Self::of(layout.elements())
    }

    /// For exact statistics of so many columns.
    ///
    /// # Errors
    /// More columns than can be counted.
    pub fn statistics(columns: usize) -> Result<Self, LayoutError> {
        Self::of(columns.saturating_mul(COLUMN))
    }

    /// For the figures alone, as in the final evaluation.
    ///
    /// # Errors
    /// None.
    pub fn figures() -> Result<Self, LayoutError> {
        Self::of(0)
    }

    /// Words that are summed one by one, the padding word not among them.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The same, with the padding word.
    pub fn padded(&self) -> usize {
        self.words + self.words % 2
    }

    /// Length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.layout.file_len(true)
    }

    /// As words of one tensor.
    pub(super) fn tensor(&self) -> &Layout {
        &self.layout
    }

    /// The file's bytes before its words.
    pub(super) fn header(&self, duty: &Hash) -> Vec<u8> {
        self.layout.header(Dtype::U32, Some(duty))
    }

    /// The whole file.
    pub(super) fn encode(&self, duty: &Hash, words: impl Iterator<Item = u32>) -> Vec<u8> {
        let mut bytes = self.header(duty);
        words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// The words of a whole file: length and header are looked at.
    pub(super) fn decode(&self, bytes: &[u8], duty: &Hash) -> Result<Vec<u32>, FileError> {
        let (found, start) = self.layout.open(Dtype::U32, bytes, false)?;
        if found.as_ref() != Some(duty) {
            return Err(FileError::Duty { expected: Some(*duty), found });
        }
        Ok(bytes[start..].chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// Looks through a masked file, which must have this layout, name this duty, and have this hash. Its words may be any.
///
/// # Errors
/// [`FilesError::Io`]; [`FilesError::Differs`] where the file does not have the hash it should have; else
/// [`FilesError::Input`] with what makes a file of this hash invalid. Its position is given as 0.
pub fn verify_masked(path: &Path, layout: &MaskedLayout, duty: &Hash, root: &Hash) -> Result<(), FilesError> {
    files::verify(path, Dtype::U32, layout.tensor(), duty, root, |_, _| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_file_is_safetensors_with_one_tensor_of_words() {
        let duty = Hash::repeat_byte(0xab);
        for (words, padded) in [(0, 0), (1, 2), (11, 12), (12, 12)] {
            let layout = MaskedLayout::of(words).unwrap();
            assert_eq!((layout.words(), layout.padded()), (words, padded));
            let content: Vec<u32> = (0..(padded + SUMS) as u32).map(|k| k.wrapping_mul(2_654_435_761)).collect();
            let bytes = layout.encode(&duty, content.iter().copied());
            assert_eq!(bytes.len() as u64, layout.file_len());
            let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
            let all = padded + SUMS;
            let expected = serde_json::json!({
                "__metadata__": { "duty": "ab".repeat(32) },
                "masked": { "dtype": "U32", "shape": [all], "data_offsets": [0, 4 * all] },
            });
            assert_eq!(header, expected);
            assert_eq!(bytes.len(), end + 4 * all);
            assert_eq!(layout.decode(&bytes, &duty).unwrap(), content);
            let other = Hash::repeat_byte(0xac);
            assert_eq!(
                layout.decode(&bytes, &other),
                Err(FileError::Duty { expected: Some(other), found: Some(duty) }),
                "{words}"
            );
            let expected = bytes.len() as u64;
            let found = expected - 1;
            assert_eq!(layout.decode(&bytes[..bytes.len() - 1], &duty), Err(FileError::Length { expected, found }));
        }
    }
}
