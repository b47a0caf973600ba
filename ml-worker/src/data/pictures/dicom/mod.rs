//! Greyscale DICOM images, one frame to a file.
//!
//! Of a file, the elements listed in [`KEPT`] are taken, none of which is about a patient; all others are stepped over by
//! their lengths, without a look at what they hold. No message quotes a value of the file but its numbers of rows, columns,
//! frames, bits and bytes, and names of the standard.
//!
//! The limits of [`super::image`] hold. Compressed images are compared with what the file says of their size before they
//! are decoded.

use crate::data::{
    error::{caught, damaged, refused, DataError},
    pictures::{
        image::{read_limited, Grey},
        size::check_size,
    },
};
use coded::Raw;
use elements::Elements;
use std::path::Path;

mod coded;
mod elements;

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

fn broken() -> DataError {
    damaged("DICOM file")
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

/// How stored values become grey.
struct Shown {
    slope: f64,
    intercept: f64,
    /// Centre and width; none: the full range.
    window: Option<(f64, f64)>,
    least: f64,
    greatest: f64,
    inverted: bool,
}

impl Shown {
    fn of(&self, stored: i32) -> f32 {
        let x = self.slope * f64::from(stored) + self.intercept;
        let y = match self.window {
            Some((c, w)) if x <= c - 0.5 - (w - 1.0) / 2.0 => 0.0,
            Some((c, w)) if x > c - 0.5 + (w - 1.0) / 2.0 => 1.0,
            Some((c, w)) => (x - (c - 0.5)) / (w - 1.0) + 0.5,
            None => (x - self.least) / (self.greatest - self.least),
        }
        .clamp(0.0, 1.0);
        (if self.inverted { 1.0 - y } else { y }) as f32
    }
}

/// What the file says of its pixels.
struct Image {
    width: usize,
    height: usize,
    allocated: u16,
    bits: u16,
    high: u16,
    signed: bool,
    inverted: bool,
}

impl Image {
    fn of(file: &Elements) -> Result<Self, DataError> {
        let needed = |element: u16, name: &str| {
            file.whole(element)?.ok_or_else(|| refused(format!("does not say its {name}; export it again")))
        };
        let frames = file.text(0x0008).map(|t| t.parse::<u32>().map_err(|_| broken())).transpose()?.unwrap_or(1);
        if frames != 1 {
            return Err(refused(format!("has {frames} frames; export each as a file of its own")));
        }
        let name = file.text(0x0004);
        let samples = file.whole(0x0002)?.unwrap_or(1);
        let inverted = match name {
            Some("MONOCHROME1") if samples == 1 => true,
            Some("MONOCHROME2") if samples == 1 => false,
            None => return Err(refused("does not say its photometric interpretation; export it again")),
            Some(name) => {
                let known =
                    ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"];
                let name = known.into_iter().find(|k| *k == name).unwrap_or("not monochrome");
                return Err(refused(format!("is a colour image ({name}); only MONOCHROME1 and MONOCHROME2 are read")));
            }
        };
        if file.inverse().is_some_and(|inverse| inverse != inverted) {
            return Err(refused(
                "says by its photometric interpretation that its grey is the other way round than by its presentation LUT \
                 shape; export it again",
            ));
        }
        let bits = needed(0x0101, "bits stored")?;
        let image = Self {
            height: needed(0x0010, "number of rows")?.into(),
            width: needed(0x0011, "number of columns")?.into(),
            allocated: needed(0x0100, "bits allocated")?,
            bits,
            high: file.whole(0x0102)?.unwrap_or(bits.saturating_sub(1)),
            signed: match file.whole(0x0103)? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(broken()),
            },
            inverted,
        };
        check_size(image.width, image.height)?;
        if !matches!(image.allocated, 8 | 16) {
            return Err(refused(format!("has {} bits allocated to a pixel; 8 and 16 are read", image.allocated)));
        }
        if bits == 0 || image.high >= image.allocated || image.high + 1 < bits {
            return Err(broken());
        }
        Ok(image)
    }

    /// The stored bits of a value, and nothing that stands beside them.
    fn stored(&self, raw: u16) -> i32 {
        let value = i32::from(raw >> (self.high + 1 - self.bits)) & ((1 << self.bits) - 1);
        if self.signed && value >> (self.bits - 1) != 0 {
            value - (1 << self.bits)
        } else {
            value
        }
    }

    fn shown(&self, file: &Elements, window: Window) -> Result<Shown, DataError> {
        let slope = file.decimal(0x1053, "rescale slope")?.unwrap_or(1.0);
        let intercept = file.decimal(0x1052, "rescale intercept")?.unwrap_or(0.0);
        let shown = match window {
            Window::Full => None,
            Window::Fixed { center, width } => Some((center, width)),
            Window::Own => file.decimal(0x1050, "window centre")?.zip(file.decimal(0x1051, "window width")?),
        };
        if window == Window::Own && shown.is_none() && file.curve {
            return Err(refused(
                "has a VOI LUT and no window beside it; the table is not applied: fix a window in the study, or take the full \
                 range",
            ));
        }
        if shown.is_some_and(|(c, w)| !c.is_finite() || !w.is_finite() || w < 1.0) {
            return Err(refused("cannot be shown: its window, or the study's, is less than 1 wide; fix another one"));
        }
        if window == Window::Own && shown.is_some() && file.text(0x1056).is_some_and(|f| f != "LINEAR") {
            return Err(refused("has a window that is not linear (VOI LUT function); fix one in the study"));
        }
        let end = |value: i32| slope * f64::from(value) + intercept;
        let half = 1 << (self.bits - 1);
        let (first, last) = if self.signed { (end(-half), end(half - 1)) } else { (end(0), end(2 * half - 1)) };
        let (least, greatest) = (first.min(last), first.max(last));
        // a slope of 0, or one so small or large that the values are the same or not finite
        if !(greatest - least).is_finite() || greatest <= least {
            return Err(refused("has a rescale slope and intercept that leave no range of values; export it again"));
        }
        Ok(Shown { slope, intercept, window: shown, least, greatest, inverted: self.inverted })
    }
}
