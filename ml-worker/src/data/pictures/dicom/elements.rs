//! The elements of a DICOM file, one after the other, of which few are looked at.

use crate::data::error::{damaged, refused, DataError};

/// Transfer syntaxes that are read.
const SYNTAXES: [(&str, Coding); 9] = [
    ("1.2.840.10008.1.2", Coding::Plain),
    ("1.2.840.10008.1.2.1", Coding::Plain),
    ("1.2.840.10008.1.2.4.50", Coding::Jpeg),
    ("1.2.840.10008.1.2.4.51", Coding::Jpeg),
    ("1.2.840.10008.1.2.4.57", Coding::Jpeg),
    ("1.2.840.10008.1.2.4.70", Coding::Jpeg),
    ("1.2.840.10008.1.2.4.90", Coding::Jpeg2000),
    ("1.2.840.10008.1.2.4.91", Coding::Jpeg2000),
    ("1.2.840.10008.1.2.5", Coding::RunLength),
];

/// Names of others that are met in practice, for the message.
const OTHERS: [(&str, &str); 8] = [
    ("1.2.840.10008.1.2.2", "Explicit VR Big Endian"),
    ("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian"),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless"),
    ("1.2.840.10008.1.2.4.100", "MPEG2"),
    ("1.2.840.10008.1.2.4.102", "MPEG-4"),
    ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless"),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"),
];

/// Deepest nesting of sequences that is stepped over.
const MAX_DEPTH: usize = 64;
const PIXEL_DATA: (u16, u16) = (0x7fe0, 0x0010);
/// The length of what ends with a mark of its own.
const OPEN: usize = u32::MAX as usize;

/// What is taken of a file besides its transfer syntax and its pixels: samples per pixel, photometric interpretation,
/// frames, rows, columns, bits allocated, bits stored, high bit, signedness, window centre and width, rescale intercept
/// and slope, VOI LUT function, presentation LUT shape.
pub const KEPT: [(u16, u16); 15] = [
    (0x0028, 0x0002),
    (0x0028, 0x0004),
    (0x0028, 0x0008),
    (0x0028, 0x0010),
    (0x0028, 0x0011),
    (0x0028, 0x0100),
    (0x0028, 0x0101),
    (0x0028, 0x0102),
    (0x0028, 0x0103),
    (0x0028, 0x1050),
    (0x0028, 0x1051),
    (0x0028, 0x1052),
    (0x0028, 0x1053),
    (0x0028, 0x1056),
    SHAPE,
];
const SHAPE: (u16, u16) = (0x2050, 0x0020);

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Coding {
    Plain,
    Jpeg,
    Jpeg2000,
    RunLength,
}

pub(super) enum Pixels<'a> {
    Plain(&'a [u8]),
    Fragments(Vec<&'a [u8]>),
}

pub(super) fn broken() -> DataError {
    damaged("DICOM file")
}

/// What is taken of a file.
pub(super) struct Elements<'a> {
    pub(super) coding: Coding,
    kept: Vec<((u16, u16), &'a [u8])>,
    /// Whether there is a VOI LUT.
    pub(super) curve: bool,
    pub(super) pixels: Pixels<'a>,
}

impl<'a> Elements<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, DataError> {
        if bytes.get(128..132) != Some(b"DICM") {
            return Err(refused("is not a DICOM file: the mark DICM is missing at its beginning"));
        }
        let mut walk = Walk { bytes, at: 132 };
        let mut syntax: &[u8] = &[];
        // these name their types, but some programs write them without
        let explicit = walk.bytes.get(136..138).is_some_and(|kind| kind.iter().all(u8::is_ascii_uppercase));
        while walk.bytes.get(walk.at..walk.at + 2) == Some(&[2, 0]) {
            let head = walk.head(explicit)?;
            let value = walk.take(head.length).ok_or_else(broken)?;
            if head.tag == (2, 0x10) {
                syntax = value;
            }
        }
        let coding = coding(syntax)?;
        let explicit = !matches!(syntax.trim_ascii_end(), b"1.2.840.10008.1.2" | b"1.2.840.10008.1.2\0");
        let mut kept = Vec::with_capacity(KEPT.len());
        let mut curve = false;
        while walk.at < bytes.len() {
            let head = walk.head(explicit)?;
            if head.tag == PIXEL_DATA {
                let pixels = if head.length == OPEN {
                    Pixels::Fragments(walk.fragments()?)
                } else {
                    Pixels::Plain(walk.take(head.length).ok_or_else(broken)?)
                };
                return Ok(Self { coding, kept, curve, pixels });
            }
            match head.tag {
                (0x5200, 0x9229 | 0x9230) => {
                    return Err(refused("is an enhanced multi-frame object; export it as single classic images"));
                }
                (0x0028, 0x3000) if walk.holds(head.length) => {
                    return Err(refused("has a Modality LUT, which is not applied; export it with a rescale slope"));
                }
                (0x0028, 0x3010) => curve |= walk.holds(head.length),
                (0x7fe0, 0x0008 | 0x0009) => {
                    return Err(refused("has pixels that are not whole numbers; export it with 8 or 16 bits a pixel"));
                }
                _ => {}
            }
            if head.length == OPEN {
                walk.step_over(explicit && head.kind != *b"UN")?;
                continue;
            }
            let value = walk.take(head.length).ok_or_else(broken)?;
            if KEPT.contains(&head.tag) {
                kept.push((head.tag, value));
            }
        }
        Err(refused("has no pixel data; is it a report or a plan rather than an image?"))
    }

    fn get(&self, element: u16) -> Option<&'a [u8]> {
        self.at((0x0028, element))
    }

    fn at(&self, tag: (u16, u16)) -> Option<&'a [u8]> {
        self.kept.iter().find(|(at, _)| *at == tag).map(|(_, value)| *value)
    }

    /// The presentation LUT shape: whether it turns grey round.
    pub(super) fn inverse(&self) -> Option<bool> {
        match self.at(SHAPE)?.trim_ascii() {
            b"INVERSE" => Some(true),
            b"IDENTITY" => Some(false),
            _ => None,
        }
    }

    /// A whole number of 16 bits of the group 0028; none where it is missing or empty.
    pub(super) fn whole(&self, element: u16) -> Result<Option<u16>, DataError> {
        match self.get(element) {
            None | Some([]) => Ok(None),
            Some([low, high]) => Ok(Some(u16::from_le_bytes([*low, *high]))),
            Some(_) => Err(broken()),
        }
    }

    /// The first of the texts of an element of the group 0028; none where it is missing, empty or not text.
    pub(super) fn text(&self, element: u16) -> Option<&'a str> {
        let text = std::str::from_utf8(self.get(element)?).ok()?;
        let first = text.split('\\').next()?.trim_matches([' ', '\0']);
        (!first.is_empty()).then_some(first)
    }

    /// The first of the numbers that an element of the group 0028 has as text.
    pub(super) fn decimal(&self, element: u16, name: &str) -> Result<Option<f64>, DataError> {
        let finite = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
        let wrong = || refused(format!("has a {name} that is not a number; export it again"));
        self.text(element).map(|text| finite(text).ok_or_else(wrong)).transpose()
    }
}

/// The head of an element.
struct Head {
    tag: (u16, u16),
    kind: [u8; 2],
    length: usize,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn head(&mut self, explicit: bool) -> Result<Head, DataError> {
        let (place, rest) = (self.at, self.bytes.len().saturating_sub(self.at));
        self.named(explicit).ok_or_else(|| {
            if rest < 8 {
                return broken();
            }
            refused(format!(
                "strays from PS3.10: at byte {place}, the type (VR) of an element is missing; export it again as Explicit \
                 VR Little Endian"
            ))
        })
    }

    /// None where the file ends, or no type is named.
    fn named(&mut self, explicit: bool) -> Option<Head> {
        let tag = (self.short()?, self.short()?);
        // items and their ends name no type
        if !explicit || tag.0 == 0xfffe {
            return Some(Head { tag, kind: [0, 0], length: self.long()? });
        }
        let kind: [u8; 2] = self.take(2)?.try_into().ok()?;
        let length = match &kind {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                self.take(2)?;
                self.long()?
            }
            [b'A'..=b'Z', b'A'..=b'Z'] => self.short()?.into(),
            _ => return None,
        };
        Some(Head { tag, kind, length })
    }

    /// Whether a sequence of this length, which has just begun, has an item.
    fn holds(&self, length: usize) -> bool {
        length > 0 && self.bytes.get(self.at..self.at + 4) != Some(b"\xfe\xff\xdd\xe0")
    }

    /// Goes to the end of a sequence whose length is not said, and which has just begun.
    fn step_over(&mut self, explicit: bool) -> Result<(), DataError> {
        /// Whether its elements name their types, and whether it is an item rather than a sequence.
        type Level = (bool, bool);
        let mut open: Vec<Level> = vec![(explicit, false)];
        while let Some((explicit, item)) = open.last().copied() {
            let head = self.head(explicit)?;
            match (item, head.tag) {
                (false, (0xfffe, 0xe0dd)) | (true, (0xfffe, 0xe00d)) => {
                    open.pop();
                }
                (false, (0xfffe, 0xe000)) if head.length == OPEN => open.push((explicit, true)),
                (false, (0xfffe, 0xe000)) => drop(self.take(head.length).ok_or_else(broken)?),
                (false, _) | (true, (0xfffe, _)) => return Err(broken()),
                (true, _) if head.length == OPEN => open.push((explicit && head.kind != *b"UN", false)),
                (true, _) => drop(self.take(head.length).ok_or_else(broken)?),
            }
            if open.len() > MAX_DEPTH {
                return Err(broken());
            }
        }
        Ok(())
    }

    /// The pieces of compressed pixels, without the table of offsets that comes first.
    fn fragments(&mut self) -> Result<Vec<&'a [u8]>, DataError> {
        let mut all = Vec::new();
        loop {
            let head = self.head(false)?;
            match head.tag {
                (0xfffe, 0xe0dd) => break,
                (0xfffe, 0xe000) if head.length != OPEN => all.push(self.take(head.length).ok_or_else(broken)?),
                _ => return Err(broken()),
            }
        }
        if all.len() < 2 {
            return Err(broken());
        }
        Ok(all.split_off(1))
    }
}

fn coding(syntax: &[u8]) -> Result<Coding, DataError> {
    let name = std::str::from_utf8(syntax).map_err(|_| broken())?.trim_end_matches(['\0', ' ']);
    if name.is_empty() {
        return Err(refused("does not say its transfer syntax; export it again"));
    }
    if name.len() > 64 || !name.bytes().all(|b| b == b'.' || b.is_ascii_digit()) {
        return Err(broken());
    }
    if let Some((_, coding)) = SYNTAXES.iter().find(|(uid, _)| *uid == name) {
        return Ok(*coding);
    }
    let known = OTHERS.iter().find(|(uid, _)| *uid == name).map_or(String::new(), |(_, n)| format!(" ({n})"));
    Err(refused(format!(
        "is in the transfer syntax {name}{known}, which is not read; export it as Explicit VR Little Endian"
    )))
}
