//! What a JPEG says of itself, mark by mark.

use jpeg_decoder::ColorTransform;

/// The n of a frame's mark, SOFn, by what it is.
pub(super) const PROGRESSIVE: u8 = 2;
pub(in crate::data::pictures) const LOSSLESS: u8 = 3;

/// What a JPEG says of itself.
pub(in crate::data::pictures) struct Jpeg<'a> {
    pub(super) bytes: &'a [u8],
    /// The n of its SOFn mark: 0 baseline, 1 extended, 2 progressive, 3 lossless.
    pub(in crate::data::pictures) process: u8,
    pub(in crate::data::pictures) precision: u8,
    pub(in crate::data::pictures) width: usize,
    pub(in crate::data::pictures) height: usize,
    pub(in crate::data::pictures) components: Vec<Component>,
    pub(super) scans: usize,
    /// Whether restart marks stand in its coded data.
    pub(in crate::data::pictures) restarts: bool,
    /// Whether its samples were divided by a power of two before they were coded (a lossless one's point transform).
    pub(in crate::data::pictures) shifted: bool,
    pub(super) colours: ColorTransform,
}

/// A colour channel.
pub(in crate::data::pictures) struct Component {
    pub(super) id: u8,
    /// Sampling factors, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

/// What stands behind a mark.
pub(super) struct Segment<'a> {
    pub(super) mark: u8,
    /// What stands in the segment behind its length.
    pub(super) body: &'a [u8],
    /// A scan's coded data, up to the next mark that is no restart.
    pub(super) coded: &'a [u8],
}

/// Hands over each segment up to the end of the image; none where it does not come to that end, or `each` wants no more.
pub(super) fn walk<'a>(bytes: &'a [u8], each: &mut dyn FnMut(Segment<'a>) -> Option<()>) -> Option<()> {
    let byte = |at: usize| bytes.get(at).copied();
    let pair = |at: usize| Some(usize::from(byte(at)?) << 8 | usize::from(byte(at + 1)?));
    if pair(0)? != 0xffd8 {
        return None;
    }
    let mut at = 2;
    loop {
        if byte(at)? != 0xff {
            return None;
        }
        while byte(at)? == 0xff {
            at += 1;
        }
        let mark = byte(at)?;
        at += 1;
        match mark {
            0xd9 => return Some(()),
            0x01 => continue,
            0x00 | 0xd0..=0xd8 => return None,
            _ => {}
        }
        let length = pair(at)?;
        let body = bytes.get(at + 2..at + length)?;
        at += length;
        let start = at;
        if mark == 0xda {
            // 255 among coded data is followed by 0; before a mark there may be more of them (B.1.1.2)
            loop {
                at += memchr::memchr(0xff, bytes.get(at..)?)?;
                let fill = at;
                while byte(at)? == 0xff {
                    at += 1;
                }
                if !matches!(byte(at)?, 0x00 | 0xd0..=0xd7) {
                    at = fill;
                    break;
                }
                at += 1;
            }
        }
        each(Segment { mark, body, coded: &bytes[start..at] })?;
    }
}

impl<'a> Jpeg<'a> {
    /// Goes through a JPEG mark by mark to its end; none where it does not come to one.
    pub(in crate::data::pictures) fn find(bytes: &'a [u8]) -> Option<Self> {
        let mut found: Option<Self> = None;
        let (mut jfif, mut adobe) = (false, None);
        walk(bytes, &mut |segment| {
            let body = segment.body;
            match segment.mark {
                0xc0..=0xcf if !matches!(segment.mark, 0xc4 | 0xc8 | 0xcc) => {
                    let [precision, h1, h0, w1, w0, count, components @ ..] = body else { return None };
                    if found.is_some() || components.len() != usize::from(*count) * 3 {
                        return None;
                    }
                    let component = |c: &[u8; 3]| {
                        let (across, down) = (usize::from(c[1] >> 4), usize::from(c[1] & 15));
                        ((1..=4).contains(&across) && (1..=4).contains(&down)).then_some(Component {
                            id: c[0],
                            across,
                            down,
                        })
                    };
                    let components: Option<Vec<_>> = components.as_chunks::<3>().0.iter().map(component).collect();
                    found = Some(Self {
                        bytes,
                        process: segment.mark - 0xc0,
                        precision: *precision,
                        height: usize::from(*h1) << 8 | usize::from(*h0),
                        width: usize::from(*w1) << 8 | usize::from(*w0),
                        components: components?,
                        scans: 0,
                        restarts: false,
                        shifted: false,
                        colours: ColorTransform::Grayscale,
                    });
                }
                0xda => {
                    let jpeg = found.as_mut()?;
                    jpeg.scans += 1;
                    jpeg.shifted |= body.last()? & 15 != 0 && jpeg.process == LOSSLESS;
                    jpeg.restarts |= restart_marks(segment.coded).next().is_some();
                }
                0xe0 if body.len() >= 12 => jfif |= body.starts_with(b"JFIF\0"),
                0xee if body.len() >= 12 && body.starts_with(b"Adobe") => adobe = Some(body[11]),
                _ => {}
            }
            Some(())
        })?;
        let mut jpeg = found.filter(|f| f.scans > 0)?;
        if let [a, b, c] = &jpeg.components[..] {
            // as libjpeg has it, whose reading is everybody's
            jpeg.colours = match (jfif, adobe, [a.id, b.id, c.id]) {
                (false, Some(0), _) | (false, None, [b'R', b'G', b'B']) => ColorTransform::RGB,
                _ => ColorTransform::YCbCr,
            };
        }
        Some(jpeg)
    }

    /// Largest sampling factors, across and down.
    pub(super) fn most(&self) -> (usize, usize) {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }

    /// Whether some channel has a sampling factor that is neither 1 nor the largest: scans of one such channel have blocks
    /// that the decoder counts otherwise than A.2.2 does.
    pub(super) fn oddly_sampled(&self) -> bool {
        let (across, down) = self.most();
        self.components.len() > 1
            && self.components.iter().any(|c| ![1, across].contains(&c.across) || ![1, down].contains(&c.down))
    }
}

/// Where restart marks stand among coded data.
pub(super) fn restart_marks(coded: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memchr_iter(0xff, coded).filter(|at| matches!(coded.get(at + 1), Some(0xd0..=0xd7)))
}
