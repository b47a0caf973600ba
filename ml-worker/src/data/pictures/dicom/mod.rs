//! Greyscale DICOM images, one frame to a file.
//!
//! Of a file, the elements listed in [`KEPT`] are taken, none of which is about a patient; all others are stepped over by
//! their lengths, without a look at what they hold. No message quotes a value of the file but its numbers of rows, columns,
//! frames, bits and bytes, and names of the standard.
//!
//! The limits of [`super::image`] hold. Compressed images are compared with what the file says of their size before they
//! are decoded.

use crate::data::{
    error::{caught, DataError},
    pictures::image::{read_limited, Grey},
};
use coded::Raw;
use elements::{broken, Elements};
use std::path::Path;
use stored::Image;

mod coded;
mod elements;
mod stored;

pub use consilium_study::Window;
pub use elements::KEPT;

/// Reads an image. Each stored value v, of the stored bits alone and signed where the file says so, becomes
/// `x = slope v + intercept` (1 and 0 where the file has none), then, with the window's centre c and width w, as DICOM
/// PS3.3 C.11.2.1.2 has it for the function LINEAR and an output of 0 to 1:
///
/// * 0 where `x <= c - 0.5 - (w - 1) / 2`,
/// * 1 where `x > c - 0.5 + (w - 1) / 2`,
/// * `(x - (c - 0.5)) / (w - 1) + 0.5` elsewhere.
///
/// The full range is `(x - least) / (greatest - least)`. MONOCHROME1, where the least value is white, becomes 1 minus
/// that. All in 64 bits, rounded once. Pixel padding values are treated like any other. Tables and overlays are not applied:
/// a file with a Modality LUT is refused, and for [`Window::Own`] one with a VOI LUT and no window.
///
/// # Errors
/// It cannot be read, is no DICOM file, is damaged, has no pixels, several frames, colours, a coding that is not read, or
/// attributes that would make other numbers of the pixels than said here.
pub fn read_dicom(path: &Path, window: Window) -> Result<Grey, DataError> {
    parse_dicom(&read_limited(path)?, path, window)
}

/// [`read_dicom`], of bytes that have been read from `path`.
///
/// # Errors
/// As [`read_dicom`], but for reading.
pub fn parse_dicom(bytes: &[u8], path: &Path, window: Window) -> Result<Grey, DataError> {
    caught(|| decode(bytes, window)).unwrap_or_else(|| Err(broken())).map_err(|e| e.of(path))
}

fn decode(bytes: &[u8], window: Window) -> Result<Grey, DataError> {
    let file = Elements::of(bytes)?;
    let image = Image::of(&file)?;
    let shown = image.shown(&file, window)?;
    let grey = |value: u16| shown.of(image.stored(value));
    let pixels = match image.raw(&file)? {
        Raw::Bytes(bytes) => bytes.iter().map(|b| grey(u16::from(*b))).collect(),
        Raw::Words(bytes) => bytes.as_chunks::<2>().0.iter().map(|b| grey(u16::from_le_bytes(*b))).collect(),
        Raw::Decoded(values) => values.into_iter().map(grey).collect(),
    };
    Ok(Grey { width: image.width, height: image.height, pixels })
}
