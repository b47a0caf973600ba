//! Pixels as a DICOM file stores them, with their compression undone.

use super::{
    broken,
    elements::{Coding, Elements, Pixels},
    Image,
};
use crate::data::{
    error::{refused, DataError},
    pictures::image::JpegFrame,
};
use dicom_object::{file::ReadPreamble, OpenFileOptions};
use dicom_pixeldata::PixelDecoder;
use std::borrow::Cow;

/// Tiles a JPEG 2000 image may have.
const MAX_TILES: usize = 4096;

impl Image {
    /// The pixels as stored, little endian, 8 or 16 bits to each.
    pub(super) fn raw<'a>(&self, file: &Elements<'a>) -> Result<Cow<'a, [u8]>, DataError> {
        let fragments = match (&file.pixels, file.coding) {
            (Pixels::Plain(bytes), Coding::Plain) => return Ok(Cow::Borrowed(bytes)),
            (Pixels::Fragments(fragments), coding) if coding != Coding::Plain => fragments,
            _ => return Err(broken()),
        };
        // one frame, though it may be in pieces
        let code = fragments.concat();
        let fits = match file.coding {
            Coding::RunLength => return self.run_lengths(&code).map(Cow::Owned).ok_or_else(broken),
            Coding::Jpeg if JpegFrame::find(&code).is_some_and(|f| f.process < 3 && f.precision != 8) => {
                return Err(refused("has a lossy JPEG of more than 8 bits, which is not read; export it uncompressed"));
            }
            Coding::Jpeg => self.jpeg_fits(&code),
            _ => self.jpeg2000_fits(&code),
        };
        if !fits {
            return Err(refused(
                "has a compressed image of another size or kind than it says itself, or a damaged one; export it again",
            ));
        }
        let reader = OpenFileOptions::new().read_preamble(ReadPreamble::Never);
        let object = reader.from_reader(&self.file(file.syntax, &code)[..]).map_err(|_| broken())?;
        Ok(Cow::Owned(object.decode_pixel_data().map_err(|_| broken())?.into_data()))
    }

    fn jpeg_fits(&self, code: &[u8]) -> bool {
        JpegFrame::find(code).is_some_and(|f| {
            let deep = f.precision > 8;
            (f.width, f.height, f.components) == (self.width, self.height, 1)
                && matches!(f.process, 0 | 1 | 3)
                && f.precision <= 16
                && deep == (self.allocated == 16)
        })
    }

    /// By the SIZ segment, which comes first.
    fn jpeg2000_fits(&self, code: &[u8]) -> bool {
        let long = |at: usize| code.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes).map(|n| n as usize);
        let size = |first: usize, origin: usize| long(first)?.checked_sub(long(origin)?);
        let tiles = |first: usize, tile: usize, origin: usize| {
            Some(size(first, origin)?.div_ceil(long(tile).filter(|t| *t > 0)?))
        };
        let fits = || {
            let same = size(8, 16)? == self.width && size(12, 20)? == self.height;
            let few = tiles(8, 24, 32)?.checked_mul(tiles(12, 28, 36)?)? <= MAX_TILES;
            let [.., components_high, components, depth, dx, dy] = code.get(..45)? else { return None };
            let one = (*components_high, *components, *dx, *dy) == (0, 1, 1, 1);
            Some(same && few && one && u16::from(depth & 0x7f) < self.allocated)
        };
        code.starts_with(b"\xff\x4f\xff\x51") && fits() == Some(true)
    }

    /// A file of nothing but the image, for the library.
    fn file(&self, syntax: &[u8], code: &[u8]) -> Vec<u8> {
        let mut out = b"DICM".to_vec();
        let mut put = |group: u16, element: u16, kind: &[u8; 2], value: &[u8]| {
            out.extend([group.to_le_bytes(), element.to_le_bytes()].concat());
            out.extend(kind);
            out.extend((value.len() as u16).to_le_bytes());
            out.extend(value);
        };
        put(2, 0, b"UL", &(8 * 4 + 6 + syntax.len() as u32).to_le_bytes());
        for element in [0x02, 0x03, 0x12] {
            put(2, element, b"UI", b"0\0");
        }
        put(2, 0x10, b"UI", syntax);
        put(0x28, 0x02, b"US", &[1, 0]);
        put(0x28, 0x04, b"CS", b"MONOCHROME2 ");
        let numbers = [self.height as u16, self.width as u16, self.allocated, self.bits, self.high, self.signed.into()];
        for (element, number) in [0x10, 0x11, 0x100, 0x101, 0x102, 0x103].into_iter().zip(numbers) {
            put(0x28, element, b"US", &number.to_le_bytes());
        }
        let odd = code.len() % 2;
        out.extend(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0");
        out.extend(((code.len() + odd) as u32).to_le_bytes());
        out.extend(code);
        out.extend(&[0][..odd]);
        out.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
        out
    }

    /// Undoes run lengths (PS3.5 annex G): a segment for each byte of a pixel, the high one first.
    fn run_lengths(&self, code: &[u8]) -> Option<Vec<u8>> {
        let long = |at: usize| Some(u32::from_le_bytes(code.get(at..at + 4)?.try_into().ok()?) as usize);
        let (count, size) = (self.width * self.height, usize::from(self.allocated / 8));
        if long(0)? != size {
            return None;
        }
        let mut out = vec![0; count * size];
        for segment in 0..size {
            let end = if segment + 1 < size { long(4 * segment + 8)? } else { code.len() };
            let mut bytes = code.get(long(4 * segment + 4)?..end)?.iter().copied();
            let mut places = out.iter_mut().skip(size - 1 - segment).step_by(size);
            let mut left = count;
            while left > 0 {
                let head = bytes.next()?;
                let run = match head {
                    0..=127 => usize::from(head) + 1,
                    128 => continue,
                    129..=255 => 257 - usize::from(head),
                }
                .min(left);
                let same = if head > 128 { Some(bytes.next()?) } else { None };
                for place in places.by_ref().take(run) {
                    *place = same.or_else(|| bytes.next())?;
                }
                left -= run;
            }
        }
        Some(out)
    }
}
