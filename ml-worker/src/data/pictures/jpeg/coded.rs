//! Whether a JPEG's coded data hold what its headers promise: every block of every scan, and nothing besides.
//!
//! Where bytes are lost from the middle of a file, all marks may still be there; the codes that follow make other blocks,
//! and either too few of them or too many. Nothing is made of the blocks here. What is lost within one block can go unseen:
//! a JPEG has no checksum.

use super::{
    bits::{Bits, Table},
    marks::{restart_marks, walk, Jpeg, LOSSLESS, PROGRESSIVE},
};
use std::ops::Range;

/// Goes through all scans; none where something is missing or left over, or a code is none.
pub(super) fn whole(jpeg: &Jpeg<'_>) -> Option<()> {
    let mut state = State { jpeg, tables: Default::default(), interval: 0, seen: Vec::new() };
    state.seen.resize_with(jpeg.components.len(), Progress::default);
    walk(jpeg.bytes, &mut |segment| match segment.mark {
        0xc4 => state.tables(segment.body),
        0xdd => {
            let [high, low] = segment.body else { return None };
            state.interval = usize::from(*high) << 8 | usize::from(*low);
            Some(())
        }
        0xda => state.scan(segment.body, segment.coded),
        _ => Some(()),
    })?;
    state.seen.iter().all(Progress::complete).then_some(())
}

/// What the scans so far have said of a component.
struct Progress {
    /// For each coefficient, of how many low bits nothing is known yet; none before its first scan.
    low: [Option<u8>; 64],
    /// For each block, which coefficients are not zero: a correction has a bit for each of them.
    nonzero: Vec<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { low: [None; 64], nonzero: Vec::new() }
    }
}

impl Progress {
    fn complete(&self) -> bool {
        self.low.iter().all(|low| *low == Some(0))
    }
}

struct State<'j> {
    jpeg: &'j Jpeg<'j>,
    /// For DC and for AC, four each.
    tables: [[Option<Box<Table>>; 4]; 2],
    interval: usize,
    seen: Vec<Progress>,
}

/// How a scan's blocks are coded.
#[derive(Clone, Copy)]
enum Code {
    Sequential,
    DcFirst,
    DcMore,
    AcFirst,
    AcMore,
    Lossless,
}

/// A component of a scan: which it is, and its tables for DC and AC.
type Part = (usize, [usize; 2]);

impl State<'_> {
    fn tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|c| usize::from(*c)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            let place = self.tables.get_mut(usize::from(kind >> 4))?.get_mut(usize::from(kind & 15))?;
            *place = Some(Box::new(Table::new(counts, values)?));
            body = rest;
        }
        Some(())
    }

    fn scan(&mut self, body: &[u8], coded: &[u8]) -> Option<()> {
        let [count, rest @ ..] = body else { return None };
        let (parts, end) = rest.split_at_checked(usize::from(*count) * 2)?;
        let [first, last, bits] = *end else { return None };
        let (before, low) = (bits >> 4, bits & 15);
        let mut all: Vec<Part> = Vec::with_capacity(4);
        for part in parts.as_chunks::<2>().0 {
            let which = self.jpeg.components.iter().position(|c| c.id == part[0])?;
            all.push((which, [usize::from(part[1] >> 4), usize::from(part[1] & 15)]));
        }
        let progressive = self.jpeg.process == PROGRESSIVE;
        let code = match self.jpeg.process {
            LOSSLESS => Code::Lossless,
            PROGRESSIVE if first == 0 && last == 0 => {
                if before == 0 {
                    Code::DcFirst
                } else {
                    Code::DcMore
                }
            }
            PROGRESSIVE if (1..=last).contains(&first) && last < 64 && all.len() == 1 => {
                if before == 0 {
                    Code::AcFirst
                } else {
                    Code::AcMore
                }
            }
            PROGRESSIVE => return None,
            _ => Code::Sequential,
        };
        let range = if progressive { usize::from(first)..usize::from(last) + 1 } else { 0..64 };
        for (which, _) in &all {
            for seen in &mut self.seen[*which].low[range.clone()] {
                // a progression's scans go on where the last one stopped, a bit at a time; otherwise there is one alone
                let fits = match *seen {
                    None => !progressive || before == 0,
                    Some(seen) => progressive && before > 0 && before == seen && low + 1 == before,
                };
                *seen = Some(if progressive { low } else { 0 });
                if !fits {
                    return None;
                }
            }
        }
        self.blocks(code, &all, range, coded)
    }

    /// For each component of a scan, how many blocks (samples of a lossless one) a unit has; and how many units there are.
    fn units(&self, code: Code, all: &[Part]) -> (Vec<usize>, usize) {
        let side = if let Code::Lossless = code { 1 } else { 8 };
        let (across, down) = self.jpeg.most();
        let (width, height) = (self.jpeg.width, self.jpeg.height);
        if let [(which, _)] = all {
            // alone in its scan: block by block, those alone that hold something of the picture (A.2.2)
            let c = &self.jpeg.components[*which];
            let (w, h) = ((width * c.across).div_ceil(across), (height * c.down).div_ceil(down));
            return (vec![1], w.div_ceil(side) * h.div_ceil(side));
        }
        let blocks = |(which, _): &Part| self.jpeg.components[*which].across * self.jpeg.components[*which].down;
        (all.iter().map(blocks).collect(), width.div_ceil(side * across) * height.div_ceil(side * down))
    }

    fn blocks(&mut self, code: Code, all: &[Part], range: Range<usize>, coded: &[u8]) -> Option<()> {
        let (blocks, mut left) = self.units(code, all);
        let total = left;
        let mut nonzero = match (code, all) {
            (Code::AcFirst | Code::AcMore, [(which, _)]) => {
                let mut nonzero = std::mem::take(&mut self.seen[*which].nonzero);
                nonzero.resize(total, 0);
                nonzero
            }
            _ => Vec::new(),
        };
        // where no table is needed, any will do
        let none = Table::new(&[0; 16], &[])?;
        let table = |kind: usize, place: usize| self.tables[kind].get(place)?.as_deref();
        let mut decoders: Vec<(usize, &Table, &Table)> = Vec::with_capacity(4);
        for ((_, [dc, ac]), blocks) in all.iter().zip(&blocks) {
            let (dc, ac) = match code {
                Code::Sequential => (table(0, *dc)?, table(1, *ac)?),
                Code::DcFirst | Code::Lossless => (table(0, *dc)?, &none),
                Code::DcMore => (&none, &none),
                Code::AcFirst | Code::AcMore => (&none, table(1, *ac)?),
            };
            decoders.push((*blocks, dc, ac));
        }
        let ends = restart_marks(coded).map(Some).chain([None]);
        let (mut start, mut mark) = (0, 0);
        for end in ends {
            let piece = coded.get(start..end.unwrap_or(coded.len()))?;
            let mut bits = Bits::of(piece);
            let mut run = 0;
            let due = if self.interval > 0 { self.interval.min(left) } else { left };
            for unit in total - left..total - left + due {
                for (blocks, dc, ac) in &decoders {
                    for _ in 0..*blocks {
                        match code {
                            Code::Sequential => {
                                dc_first(&mut bits, dc)?;
                                ac_all(&mut bits, ac)?;
                            }
                            Code::DcFirst | Code::Lossless => dc_first(&mut bits, dc)?,
                            Code::DcMore => bits.skip(1)?,
                            Code::AcFirst => ac_first(&mut bits, ac, &range, &mut run, nonzero.get_mut(unit)?)?,
                            Code::AcMore => ac_more(&mut bits, ac, &range, &mut run, nonzero.get_mut(unit)?)?,
                        }
                    }
                }
            }
            left -= due;
            // what is left are the bits that fill the last byte; zeros behind the last piece are let pass
            if run > 0 || !(bits.left() < 8 || end.is_none() && piece[bits.whole_bytes()..].iter().all(|b| *b == 0)) {
                return None;
            }
            if let Some(end) = end {
                if self.interval == 0 || coded.get(end + 1)? & 7 != mark {
                    return None;
                }
                mark = (mark + 1) & 7;
                start = end + 2;
            }
        }
        if let (Code::AcFirst | Code::AcMore, [(which, _)]) = (code, all) {
            self.seen[*which].nonzero = nonzero;
        }
        (left == 0).then_some(())
    }
}

/// The size of a difference, and its bits (F.1.2.1, H.1.2.2).
#[inline]
fn dc_first(bits: &mut Bits<'_>, table: &Table) -> Option<()> {
    match bits.code(table)? {
        16 => Some(()),
        size @ 0..16 => bits.skip(size.into()),
        _ => None,
    }
}

/// The 63 further coefficients of a block (F.1.2.2).
#[inline]
fn ac_all(bits: &mut Bits<'_>, table: &Table) -> Option<()> {
    let mut k = 1;
    while k < 64 {
        let code = bits.code(table)?;
        let (run, size) = (code >> 4, code & 15);
        match (run, size) {
            (15, 0) => k += 16,
            (_, 0) => return Some(()),
            _ => {
                k += run + 1;
                bits.skip(size.into())?;
            }
        }
    }
    (k == 64).then_some(())
}

/// Coefficients of a block for the first time (G.1.2.2); `run`: how many blocks more have none.
fn ac_first(bits: &mut Bits<'_>, table: &Table, range: &Range<usize>, run: &mut u32, nonzero: &mut u64) -> Option<()> {
    if *run > 0 {
        *run -= 1;
        return Some(());
    }
    let mut k = range.start;
    while k < range.end {
        let code = bits.code(table)?;
        match (code >> 4, code & 15) {
            (15, 0) => k += 16,
            (zeros, 0) => {
                *run = (1 << zeros) - 1 + bits.take(zeros.into())?;
                return Some(());
            }
            (zeros, size) => {
                k += usize::from(zeros);
                bits.skip(size.into())?;
                *nonzero |= 1 << if k < range.end { k } else { return None };
                k += 1;
            }
        }
    }
    (k == range.end).then_some(())
}

/// A bit more of a block's coefficients (G.1.2.3): one for each that is not zero, and codes for those that become so.
fn ac_more(bits: &mut Bits<'_>, table: &Table, range: &Range<usize>, run: &mut u32, nonzero: &mut u64) -> Option<()> {
    let mut k = range.start;
    let known = |k: usize, nonzero: u64| nonzero >> k & 1 == 1;
    if *run == 0 {
        while k < range.end {
            let code = bits.code(table)?;
            let (mut zeros, size) = (code >> 4, code & 15);
            match (zeros, size) {
                (15, 0) => {}
                (_, 0) => {
                    *run = (1 << zeros) + bits.take(zeros.into())?;
                    break;
                }
                (_, 1) => bits.skip(1)?,
                _ => return None,
            }
            while k < range.end && (known(k, *nonzero) || zeros > 0) {
                if known(k, *nonzero) {
                    bits.skip(1)?;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if k == range.end {
                return None;
            }
            *nonzero |= u64::from(size) << k;
            k += 1;
        }
    }
    if *run > 0 {
        *run -= 1;
        for k in k..range.end {
            if known(k, *nonzero) {
                bits.skip(1)?;
            }
        }
    }
    Some(())
}
