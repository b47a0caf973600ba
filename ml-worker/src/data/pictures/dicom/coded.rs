//! Pixels as a DICOM file stores them, with their compression undone.
//!
//! Run lengths are undone here, in thirty lines: the DICOM library's decoder takes good files of 16 MiB and more for
//! attacks where they are packed more than 32 to 1 (run lengths reach 64 to 1), and believes a file's number of segments
//! before it asks for memory.

use super::{
    elements::{broken, Coding, Elements, Pixels},
    stored::Image,
};
use crate::data::{
    error::{refused, DataError},
    pictures::jpeg::{Jpeg, LOSSLESS},
};

/// Tiles a JPEG 2000 image may have.
const MAX_TILES: usize = 4096;

/// Pixels as stored.
pub(super) enum Raw<'a> {
    /// 8 bits each.
    Bytes(&'a [u8]),
    /// 16 bits each, little endian.
    Words(&'a [u8]),
    Decoded(Vec<u16>),
}

impl Image {
    pub(super) fn raw<'a>(&self, file: &Elements<'a>) -> Result<Raw<'a>, DataError> {
        let fragments = match (&file.pixels, file.coding) {
            (Pixels::Plain(bytes), Coding::Plain) => return self.plain(bytes),
            (Pixels::Fragments(fragments), coding) if coding != Coding::Plain => fragments,
            _ => return Err(broken()),
        };
        // one frame, though it may be in pieces
        let code = fragments.concat();
        let pixels = match file.coding {
            Coding::RunLength => self.run_lengths(&code).ok_or_else(broken)?,
            Coding::Jpeg => self.jpeg(&code)?,
            _ => self.jpeg2000(&code)?,
        };
        // what stands beside the stored bits is not to be looked at, but a decoder leaves nothing there
        let beside = |value: &u16| {
            let (value, bits) = (u32::from(*value), u32::from(self.bits));
            let rest = value >> bits;
            rest == 0 || self.signed && rest == 0xffff >> bits && value >> (bits - 1) & 1 == 1
        };
        if file.coding != Coding::RunLength && !pixels.iter().all(beside) {
            return Err(refused(format!(
                "has values of more than the {} bits that it says are stored; export it uncompressed",
                self.bits
            )));
        }
        Ok(Raw::Decoded(pixels))
    }

    fn plain<'a>(&self, bytes: &'a [u8]) -> Result<Raw<'a>, DataError> {
        let due = self.count() * usize::from(self.allocated / 8);
        if bytes.len() >= 2 * due {
            let found = bytes.len();
            return Err(refused(format!(
                "has {found} bytes of pixels, where its rows, columns and bits make {due}: is it of several frames or of \
                 other bits? Export it again"
            )));
        }
        let bytes = bytes.get(..due).ok_or_else(broken)?;
        Ok(if self.allocated == 8 { Raw::Bytes(bytes) } else { Raw::Words(bytes) })
    }

    fn count(&self) -> usize {
        self.width * self.height
    }

    /// That compressed values of this precision are those of the file: the stored bits begin at the lowest, and a sign is
    /// where the file says it is.
    fn agrees(&self, what: &str, precision: u16, signed: bool) -> Result<(), DataError> {
        if self.high + 1 != self.bits {
            return Err(refused(
                "has compressed pixels that are not said to begin at the lowest bit; export it uncompressed",
            ));
        }
        let same = if signed { self.signed } else { !self.signed || precision >= self.bits };
        if same {
            return Ok(());
        }
        let kind = |signed: bool| if signed { "signed" } else { "unsigned" };
        Err(refused(format!(
            "has {what} of {precision} bits, {}, but says that {} bits are stored, {}; export it uncompressed",
            kind(signed),
            self.bits,
            kind(self.signed)
        )))
    }

    fn jpeg(&self, code: &[u8]) -> Result<Vec<u16>, DataError> {
        let jpeg = Jpeg::find(code).ok_or_else(alien)?;
        if jpeg.process < LOSSLESS && jpeg.precision != 8 {
            return Err(refused("has a lossy JPEG of more than 8 bits, which is not read; export it uncompressed"));
        }
        let same = (jpeg.width, jpeg.height, jpeg.components.len()) == (self.width, self.height, 1);
        if !same || !matches!(jpeg.process, 0 | 1 | LOSSLESS) || u16::from(jpeg.precision) > self.allocated {
            return Err(alien());
        }
        if jpeg.process == LOSSLESS && (jpeg.restarts || jpeg.shifted || jpeg.precision < 2) {
            // the decoder gives other pixels for each of them (a test in tests/pictures.rs says when that has changed)
            let what = if jpeg.restarts { "restart intervals" } else { "a point transform" };
            return Err(refused(format!(
                "has a JPEG Lossless image with {what}, which is not read; export it uncompressed"
            )));
        }
        self.agrees("a JPEG image", jpeg.precision.into(), false)?;
        let (samples, _) = jpeg.samples().ok_or_else(broken)?;
        let wide = jpeg.precision != 8;
        let pixels: Vec<u16> = match wide {
            true => samples.as_chunks::<2>().0.iter().map(|b| u16::from_ne_bytes(*b)).collect(),
            false => samples.iter().map(|b| u16::from(*b)).collect(),
        };
        Some(pixels).filter(|p| p.len() == self.count()).ok_or_else(broken)
    }

    fn jpeg2000(&self, code: &[u8]) -> Result<Vec<u16>, DataError> {
        let depth = self.jpeg2000_depth(code).ok_or_else(alien)?;
        self.agrees("a JPEG 2000 image", u16::from(depth & 0x7f) + 1, depth & 0x80 != 0)?;
        jpeg2000_parts(code).ok_or_else(broken)?;
        let image = jpeg2k::Image::from_bytes(code).map_err(|_| broken())?;
        let [component] = image.components() else { return Err(broken()) };
        if (component.width() as usize, component.height() as usize) != (self.width, self.height) {
            return Err(broken());
        }
        // two's complement, as it is stored
        Ok(component.data().iter().map(|value| *value as u16).collect())
    }

    /// The SIZ segment's word on sign and bits, where the rest of it fits; it comes first.
    fn jpeg2000_depth(&self, code: &[u8]) -> Option<u8> {
        let long = |at: usize| code.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes).map(|n| n as usize);
        let size = |first: usize, origin: usize| long(first)?.checked_sub(long(origin)?);
        let tiles = |first: usize, tile: usize, origin: usize| {
            Some(size(first, origin)?.div_ceil(long(tile).filter(|t| *t > 0)?))
        };
        let same = code.starts_with(b"\xff\x4f\xff\x51") && size(8, 16)? == self.width && size(12, 20)? == self.height;
        let few = tiles(8, 24, 32)?.checked_mul(tiles(12, 28, 36)?)? <= MAX_TILES;
        let [.., components_high, components, depth, dx, dy] = code.get(..45)? else { return None };
        let one = (*components_high, *components, *dx, *dy) == (0, 1, 1, 1);
        (same && few && one && u16::from(depth & 0x7f) < self.allocated).then_some(*depth)
    }

    /// Undoes run lengths (PS3.5 annex G): a segment for each byte of a pixel, the high one first.
    fn run_lengths(&self, code: &[u8]) -> Option<Vec<u16>> {
        let long = |at: usize| Some(u32::from_le_bytes(code.get(at..at + 4)?.try_into().ok()?) as usize);
        let size = usize::from(self.allocated / 8);
        if long(0)? != size {
            return None;
        }
        let mut out = vec![0; self.count()];
        for segment in 0..size {
            let end = if segment + 1 < size { long(4 * segment + 8)? } else { code.len() };
            let mut bytes = code.get(long(4 * segment + 4)?..end)?.iter().copied();
            let mut places = out.iter_mut();
            while places.len() > 0 {
                let head = bytes.next()?;
                let run = match head {
                    0..=127 => usize::from(head) + 1,
                    128 => continue,
                    129..=255 => 257 - usize::from(head),
                }
                .min(places.len());
                let same = if head > 128 { Some(bytes.next()?) } else { None };
                for place in places.by_ref().take(run) {
                    *place = *place << 8 | u16::from(same.or_else(|| bytes.next())?);
                }
            }
        }
        Some(out)
    }
}

/// Goes through a JPEG 2000 image's tile-parts by the lengths that each names (ITU-T T.800 A.4.2): where bytes were lost, the
/// next one does not begin there. The decoder makes something of what is left.
fn jpeg2000_parts(code: &[u8]) -> Option<()> {
    let pair = |at: usize| code.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
    let mut at = 2;
    while pair(at)? != 0xff90 {
        at += 2 + usize::from(pair(at + 2)?).max(2);
    }
    while pair(at) == Some(0xff90) {
        let length = u32::from_be_bytes(code.get(at + 6..at + 10)?.try_into().ok()?) as usize;
        match length {
            // up to the end
            0 => return code.strip_suffix(b"\0").unwrap_or(code).ends_with(b"\xff\xd9").then_some(()),
            12.. => at += length,
            _ => return None,
        }
    }
    // some encoders leave the last mark out
    (pair(at) == Some(0xffd9) || at == code.len()).then_some(())
}

fn alien() -> DataError {
    refused("has a compressed image of another size or kind than it says itself, or a damaged one; export it again")
}
