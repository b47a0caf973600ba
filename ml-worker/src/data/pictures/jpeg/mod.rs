//! JPEG files (ITU-T T.81): what one says of itself, whether all of it is there, and its samples.
//!
//! The walk from mark to mark, and that through the coded data, stay by hand: decoders fill up what is missing without a
//! word, and none tells whether the coded data hold what the headers promise.

use crate::data::{
    error::{damaged, refused, DataError},
    pictures::size::check_size,
};
use jpeg_decoder::{Decoder, PixelFormat};

mod bits;
mod coded;
mod marks;

use marks::PROGRESSIVE;
pub(super) use marks::{Jpeg, LOSSLESS};

/// Scans a JPEG may have; progressive ones have about ten, and each costs a pass over all pixels.
const MAX_SCANS: usize = 64;

impl Jpeg<'_> {
    /// Samples of 8 bits (one channel, or red, green and blue), or of a lossless one's precision in as many bytes as its
    /// precision needs, in this machine's order. None where it is damaged.
    ///
    /// The caller has seen to it that the size fits and that it is of a kind that the decoder has right.
    pub(super) fn samples(&self) -> Option<(Vec<u8>, PixelFormat)> {
        coded::whole(self)?;
        let mut decoder = Decoder::new(self.bytes);
        decoder.set_color_transform(self.colours);
        let samples = decoder.decode().ok()?;
        let info = decoder.info()?;
        ((usize::from(info.width), usize::from(info.height)) == (self.width, self.height))
            .then_some((samples, info.pixel_format))
    }
}

/// Red, green and blue, or grey, of a JPEG picture.
pub(super) fn decode(bytes: &[u8]) -> Result<(usize, usize, Vec<u8>, PixelFormat), DataError> {
    let jpeg = Jpeg::find(bytes).ok_or_else(|| damaged("JPEG"))?;
    check_size(jpeg.width, jpeg.height)?;
    let channels = jpeg.components.len();
    if !matches!(channels, 1 | 3) {
        return Err(refused(format!("is a JPEG of {channels} colour channels (such as CMYK); save it as grey or RGB")));
    }
    if jpeg.precision != 8 || jpeg.process > PROGRESSIVE {
        return Err(refused("is a JPEG of a rare kind (not 8 bits a sample, lossless or arithmetic); save it as PNG"));
    }
    if jpeg.oddly_sampled() {
        return Err(refused("is a JPEG of a rare kind (how its colours are sampled); save it as PNG"));
    }
    if jpeg.scans > MAX_SCANS {
        return Err(refused(format!("is a JPEG of more than {MAX_SCANS} scans; save it as PNG")));
    }
    let (samples, format) = jpeg.samples().ok_or_else(|| damaged("JPEG"))?;
    Ok((jpeg.width, jpeg.height, samples, format))
}
