//! How large a picture may be, whatever its file is.

use crate::data::error::{refused, DataError};

/// Pixels a picture may have in width and in height.
pub(super) const MAX_SIDE: usize = 1 << 14;
/// Pixels a picture may have: 2^25, about 33 million.
pub(super) const MAX_PIXELS: usize = 1 << 25;

/// Whether a picture of this size may be decoded.
pub(super) fn check_size(width: usize, height: usize) -> Result<(), DataError> {
    if width == 0 || height == 0 {
        return Err(refused("has no pixels"));
    }
    if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(refused(format!(
            "has {width} x {height} pixels; at most {MAX_SIDE} on a side and {MAX_PIXELS} in all are read: make it smaller"
        )));
    }
    Ok(())
}
