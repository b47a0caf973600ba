//! What a DICOM file says of its pixels, and how stored values become grey.

use super::elements::{broken, Elements};
use crate::data::{
    error::{refused, DataError},
    pictures::size::check_size,
};
use consilium_study::Window;

/// How stored values become grey.
pub(super) struct Shown {
    slope: f64,
    intercept: f64,
    /// Centre and width; none: the full range.
    window: Option<(f64, f64)>,
    least: f64,
    greatest: f64,
    inverted: bool,
}

impl Shown {
    pub(super) fn of(&self, stored: i32) -> f32 {
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
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) allocated: u16,
    pub(super) bits: u16,
    pub(super) high: u16,
    pub(super) signed: bool,
    pub(super) inverted: bool,
}

impl Image {
    pub(super) fn of(file: &Elements) -> Result<Self, DataError> {
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
    pub(super) fn stored(&self, raw: u16) -> i32 {
        let value = i32::from(raw >> (self.high + 1 - self.bits)) & ((1 << self.bits) - 1);
        if self.signed && value >> (self.bits - 1) != 0 {
            value - (1 << self.bits)
        } else {
            value
        }
    }

    pub(super) fn shown(&self, file: &Elements, window: Window) -> Result<Shown, DataError> {
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
