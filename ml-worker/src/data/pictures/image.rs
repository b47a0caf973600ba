//! PNG and JPEG files as pixels, grey or in colours, and the resampling that brings pictures to a model's size.
//!
//! Resampling stays by hand: what a pixel becomes is part of what a study agrees on, so it is said below as a formula and
//! does not change with a version of a library.
//!
//! Limits, checked before anything is decoded: [`MAX_FILE`], and those of [`check_size`]. With them a picture takes at
//! most about 600 MB while it is read. Colour profiles, gamma and the orientation that cameras note are not applied: the
//! pixels are taken as they are stored. Transparency is ignored.

use crate::data::{
    error::{caught, damaged, refused, DataError},
    pictures::{
        jpeg,
        size::{check_size, MAX_PIXELS},
    },
};
use consilium_primitives::FailureCode;
use image::{codecs::png::PngDecoder, ColorType, DynamicImage, ImageDecoder, ImageError, Limits};
use jpeg_decoder::PixelFormat;
use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

/// Bytes a picture file may have: 128 MiB.
pub const MAX_FILE: u64 = 1 << 27;
const RARE_PNG: &str = "is a PNG of a kind that is not read; save it as a plain PNG";

/// A greyscale picture, or one channel of a picture in colours, row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct Grey {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values from 0, black, to 1, white.
    pub pixels: Vec<f32>,
}

/// Reads a PNG or JPEG file; which of them it is, its first bytes say. A colour picture becomes
/// `(299 R + 587 G + 114 B) / 1000`, the luma of ITU-R BT.601, of the values as stored; then all is divided by 255, or by
/// 65535 where there are 16 bits.
///
/// # Errors
/// It cannot be read, is neither, is damaged or cut off, too large, or of another kind of colour.
pub fn read_picture(path: &Path) -> Result<Grey, DataError> {
    parse_picture(&read_limited(path)?, path)
}

/// [`read_picture`], of bytes that have been read from `path`.
///
/// # Errors
/// It is neither PNG nor JPEG, is damaged or cut off, too large, or of another kind of colour.
pub fn parse_picture(bytes: &[u8], path: &Path) -> Result<Grey, DataError> {
    let mut grey = Grey { width: 0, height: 0, pixels: Vec::new() };
    decoded(bytes, path, Colours::Grey, &mut |plane| grey = plane)?;
    Ok(grey)
}

/// The same in colours: red, green and blue are handed over one after the other, each as [`parse_picture`] gives a grey picture, with
/// the values as stored divided by 255, or by 65535 where there are 16 bits. Of a picture that is grey all three are the same.
///
/// # Errors
/// As [`parse_picture`].
pub fn parse_colours(bytes: &[u8], path: &Path, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    decoded(bytes, path, Colours::Three, each)
}

fn decoded(bytes: &[u8], path: &Path, colours: Colours, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    caught(|| decode(bytes, colours, each)).unwrap_or_else(|| Err(damaged("picture"))).map_err(|e| e.of(path))
}

/// What becomes of colours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    /// One channel, their luma.
    Grey,
    /// Three channels.
    Three,
}

/// All bytes of a file, if it is not larger than a picture may be.
pub(crate) fn read_limited(path: &Path) -> Result<Vec<u8>, DataError> {
    limited(path).map_err(|e| e.of(path))
}

/// [`read_limited`], with errors that do not name the file.
pub(crate) fn limited(path: &Path) -> Result<Vec<u8>, DataError> {
    let unreadable = |e: std::io::Error| DataError::io("cannot be read", &e);
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(DataError::new(FailureCode::DataUnreadable, "is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused("is larger than 128 MiB, which is the most a picture may have"));
    }
    Ok(bytes)
}

fn decode(bytes: &[u8], colours: Colours, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png(bytes, colours, each)
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        decode_jpeg(bytes, colours, each)
    } else if bytes.is_empty() {
        Err(refused("is empty"))
    } else {
        Err(refused("is neither a PNG nor a JPEG file, whatever its name says; convert it to PNG"))
    }
}

fn decode_png(bytes: &[u8], colours: Colours, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    // the size comes first of all, in a chunk that is always the same
    let side = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let (Some(width), Some(height)) = (side(16), side(20)) else { return Err(damaged("PNG")) };
    check_size(width as usize, height as usize)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS as u64 * 8 + (1 << 25));
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(|e| failed(&e))?;
    planes_of(decoder, colours, each)
}

fn decode_jpeg(bytes: &[u8], colours: Colours, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    let (width, height, samples, format) = jpeg::decode(bytes)?;
    let per = match format {
        PixelFormat::L8 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::L16 | PixelFormat::CMYK32 => return Err(damaged("JPEG")),
    };
    planes(&samples, (width, height), (per, 255), colours, each);
    Ok(())
}

fn failed(error: &ImageError) -> DataError {
    match error {
        ImageError::Unsupported(_) => refused(RARE_PNG),
        ImageError::Limits(_) => refused("is a PNG that takes too much memory; save it as a plain PNG"),
        _ => damaged("PNG"),
    }
}

fn planes_of(decoder: impl ImageDecoder, colours: Colours, each: &mut dyn FnMut(Grey)) -> Result<(), DataError> {
    let (width, height) = decoder.dimensions();
    let size = (width as usize, height as usize);
    check_size(size.0, size.1)?;
    let color = decoder.color_type();
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| failed(&e))?;
    match (color, picture) {
        (ColorType::L8, DynamicImage::ImageLuma8(p)) => planes(p.as_raw(), size, (1, 255), colours, each),
        (ColorType::La8, DynamicImage::ImageLumaA8(p)) => planes(p.as_raw(), size, (2, 255), colours, each),
        (ColorType::L16, DynamicImage::ImageLuma16(p)) => planes(p.as_raw(), size, (1, 65535), colours, each),
        (ColorType::La16, DynamicImage::ImageLumaA16(p)) => planes(p.as_raw(), size, (2, 65535), colours, each),
        (ColorType::Rgb8, DynamicImage::ImageRgb8(p)) => planes(p.as_raw(), size, (3, 255), colours, each),
        (ColorType::Rgba8, DynamicImage::ImageRgba8(p)) => planes(p.as_raw(), size, (4, 255), colours, each),
        (ColorType::Rgb16, DynamicImage::ImageRgb16(p)) => planes(p.as_raw(), size, (3, 65535), colours, each),
        (ColorType::Rgba16, DynamicImage::ImageRgba16(p)) => planes(p.as_raw(), size, (4, 65535), colours, each),
        _ => return Err(refused(RARE_PNG)),
    }
    Ok(())
}

/// Hands over the channels of samples, of which `per` are one pixel's, up to `max`: with three and more of them the first three are
/// colours.
fn planes<S: Copy + Into<u32>>(
    samples: &[S],
    (width, height): (usize, usize),
    (per, max): (usize, u32),
    colours: Colours,
    each: &mut dyn FnMut(Grey),
) {
    let mut plane = |pixels| each(Grey { width, height, pixels });
    match (colours, per >= 3) {
        (Colours::Grey, false) => plane(one(samples, per, 0, max)),
        (Colours::Grey, true) => plane(luma(samples, per, max)),
        (Colours::Three, false) => (0..3).for_each(|_| plane(one(samples, per, 0, max))),
        (Colours::Three, true) => (0..3).for_each(|channel| plane(one(samples, per, channel, max))),
    }
}

/// Sample number `which`, from 0, of `per` samples of each pixel.
fn one<S: Copy + Into<u32>>(samples: &[S], per: usize, which: usize, max: u32) -> Vec<f32> {
    samples.chunks_exact(per).map(|p| (f64::from(p[which].into()) / f64::from(max)) as f32).collect()
}

/// Luma of the first three of `per` samples: whole numbers up to one division, so that grey stays grey exactly.
fn luma<S: Copy + Into<u32>>(samples: &[S], per: usize, max: u32) -> Vec<f32> {
    let sum = |p: &[S]| 299 * p[0].into() + 587 * p[1].into() + 114 * p[2].into();
    samples.chunks_exact(per).map(|p| (f64::from(sum(p)) / f64::from(1000 * max)) as f32).collect()
}

impl Grey {
    /// The picture at another size, each direction for itself: rows first, then columns, in 64 bits, rounded once.
    ///
    /// From n pixels to fewer, m: the mean over the area of each new pixel. New pixel j is
    /// `sum_i overlap(i, j) p_i / n` where `overlap` is what `[i m, (i + 1) m)` and `[j n, (j + 1) n)` share.
    /// To more: linear between the middles of pixels. New pixel j lies at `s = (j + 1/2) n / m - 1/2`, moved into
    /// `[0, n - 1]`, and is `(1 - f) p_i + f p_(i+1)` with `i = floor(s)`, `f = s - i`. To as many: as it is.
    ///
    /// A picture without pixels becomes black. The caller sees to it that `width * height` fits memory.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let (across, down) = (taps(self.width, width), taps(self.height, height));
        let mut rows: Vec<f64> = Vec::with_capacity(width * self.height);
        for y in 0..self.height {
            let row = self.pixels.get(y * self.width..(y + 1) * self.width).unwrap_or_default();
            rows.extend(across.iter().map(|t| t.mean(|i| row.get(i).map_or(0.0, |p| f64::from(*p)))));
        }
        let mut pixels = Vec::with_capacity(width * height);
        for t in &down {
            pixels.extend((0..width).map(|x| t.mean(|i| rows.get(i * width + x).copied().unwrap_or(0.0)) as f32));
        }
        Self { width, height, pixels }
    }

    /// Values between `low` and `high` spread over 0 to 1: `(p - low) / (high - low)`, no less than 0, no more than 1.
    /// Where `high` is not above `low`, all above `low` is 1 and the rest 0.
    pub fn windowed(&self, low: f64, high: f64) -> Self {
        let spread = |p: &f32| {
            let p = f64::from(*p);
            if high > low {
                ((p - low) / (high - low)).clamp(0.0, 1.0) as f32
            } else {
                f32::from(u8::from(p > low))
            }
        };
        Self { width: self.width, height: self.height, pixels: self.pixels.iter().map(spread).collect() }
    }
}

/// Which old pixels make one new pixel, and with what weights.
struct Taps {
    first: usize,
    weights: Vec<f64>,
    sum: f64,
}

impl Taps {
    fn mean(&self, pixel: impl Fn(usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for (n, weight) in self.weights.iter().enumerate() {
            sum += weight * pixel(self.first + n);
        }
        sum / self.sum
    }
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let tap = |j: usize| {
        if from == to {
            return Taps { first: j, weights: vec![1.0], sum: 1.0 };
        }
        if to < from {
            let (begin, end) = (j * from, (j + 1) * from);
            let (first, last) = (begin / to, (end - 1) / to);
            let overlap = |i: usize| (((i + 1) * to).min(end) - (i * to).max(begin)) as f64;
            return Taps { first, weights: (first..=last).map(overlap).collect(), sum: from as f64 };
        }
        // twice over, in whole numbers: s = ((2 j + 1) from - to) / (2 to)
        let place = ((2 * j + 1) * from).saturating_sub(to).min(2 * to * from.saturating_sub(1));
        let (first, rest) = (place / (2 * to), place % (2 * to));
        let share = rest as f64 / (2 * to) as f64;
        Taps { first, weights: if rest == 0 { vec![1.0] } else { vec![1.0 - share, share] }, sum: 1.0 }
    };
    (0..to).map(tap).collect()
}
