//! A text of records, cut where records end, so that its pieces can be read at the same time.
//!
//! Records end with a line feed, a carriage return or both, outside quotation marks; a mark opens where a cell begins,
//! and two within stand for one. As the `csv` crate reads them, which reads the pieces that have quotation marks; unlike
//! it, what follows a closed cell must be a delimiter or a line's end ([`stray`]). By hand, since no crate cuts a text
//! into pieces that are read at the same time and still says in which line something is wrong.

use memchr::{memchr, memchr2, memchr_iter, memrchr2};
use std::ops::{ControlFlow, Range};

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// How many line feeds there are.
pub(in crate::data) fn line_feeds(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes).count()
}

/// Whether there are quotation marks.
fn has_marks(bytes: &[u8]) -> bool {
    memchr(b'"', bytes).is_some()
}

/// Where a byte stands next. The first eight are looked at at once before a search is begun: most cells are shorter.
fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let Some(near) = rest.first_chunk::<8>() else { return memchr(wanted, rest).map(|n| from + n) };
    match equal(u64::from_le_bytes(*near), eight(wanted)) {
        0 => memchr(wanted, &rest[8..]).map(|n| from + 8 + n),
        found => Some(from + found.trailing_zeros() as usize / 8),
    }
}

/// Where a cell begins with a quotation mark that is not closed where the cell ends, the first such, in a text of whole
/// records: a reader that takes it leniently joins rows, or loses them.
pub(in crate::data) fn stray(bytes: &[u8], delimiter: u8) -> Option<usize> {
    if has_marks(bytes) {
        outside(bytes, delimiter, |_| {})
    } else {
        None
    }
}

/// Hands over what stands outside quotation marks, in a text that begins where a record does; the first [`stray`] mark.
fn outside(bytes: &[u8], delimiter: u8, mut each: impl FnMut(Range<usize>)) -> Option<usize> {
    let (mut from, mut at) = (0, 0);
    let mut stray = None;
    while let Some(mark) = find(bytes, at, b'"') {
        let opens = mark.checked_sub(1).and_then(|n| bytes.get(n)).is_none_or(|b| *b == delimiter || ends_line(*b));
        if !opens {
            at = mark + 1;
            continue;
        }
        each(from..mark);
        let mut close = mark + 1;
        loop {
            let Some(end) = find(bytes, close, b'"') else { return stray.or(Some(mark)) };
            match bytes.get(end + 1) {
                Some(b'"') => close = end + 2,
                next => {
                    if stray.is_none() && next.is_some_and(|b| *b != delimiter && !ends_line(*b)) {
                        stray = Some(mark);
                    }
                    (from, at) = (end + 1, end + 1);
                    break;
                }
            }
        }
    }
    each(from..bytes.len());
    stray
}

/// How many of these bytes are whole records, each with its end.
pub(in crate::data) fn whole(bytes: &[u8], delimiter: u8) -> usize {
    if !has_marks(bytes) {
        return memrchr2(b'\n', b'\r', bytes).map_or(0, |n| n + 1);
    }
    let mut end = 0;
    // between two cells with marks there is a byte or two
    let last =
        |range: Range<usize>| bytes[range.clone()].iter().rposition(|b| ends_line(*b)).map(|n| range.start + n + 1);
    outside(bytes, delimiter, |range| end = last(range).unwrap_or(end));
    end
}

/// Cuts whole records (the last one may lack its end) into about so many pieces of whole records. Beside them the first
/// [`stray`] mark.
pub(in crate::data) fn cut(bytes: &[u8], delimiter: u8, pieces: usize) -> (Vec<Range<usize>>, Option<usize>) {
    let step = bytes.len() / pieces.max(1) + 1;
    let mut ends: Vec<usize> = Vec::with_capacity(pieces + 1);
    let mut look = |range: Range<usize>| loop {
        let from = range.start.max(ends.last().copied().unwrap_or(0) + step);
        match bytes.get(from..range.end).and_then(|part| memchr2(b'\n', b'\r', part)) {
            Some(n) => ends.push(from + n + 1),
            None => break,
        }
    };
    let mut stray = None;
    if has_marks(bytes) {
        stray = outside(bytes, delimiter, look);
    } else {
        look(0..bytes.len());
    }
    let mut start = 0;
    ends.push(bytes.len());
    let all = ends.into_iter().map(|end| std::mem::replace(&mut start, end)..end).filter(|range| !range.is_empty());
    (all.collect(), stray)
}

/// One record's cells.
pub(in crate::data) struct Cells<'a> {
    bytes: &'a [u8],
    bounds: &'a [(u32, u32)],
}

impl<'a> Cells<'a> {
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    pub fn cell(&self, index: usize) -> &'a [u8] {
        let (from, to) = self.bounds[index];
        &self.bytes[from as usize..to as usize]
    }
}

/// Hands over a piece's records one by one, each with the place where it begins. Pieces are below 4 GiB.
pub(in crate::data) fn each_record(piece: &[u8], delimiter: u8, each: impl FnMut(usize, Cells<'_>) -> ControlFlow<()>) {
    if has_marks(piece) {
        quoted(piece, delimiter, each);
    } else {
        plain(piece, delimiter, each);
    }
}

fn quoted(piece: &[u8], delimiter: u8, mut each: impl FnMut(usize, Cells<'_>) -> ControlFlow<()>) {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(piece);
    let mut record = csv::ByteRecord::new();
    let mut bounds = Vec::new();
    // bytes in memory, records of any length: nothing can fail
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let start = record.position().map_or(0, csv::Position::byte) as usize;
        // the reader counts empty lines before a record as its own
        let empty = piece.iter().skip(start).take_while(|b| ends_line(**b)).count();
        bounds.clear();
        bounds.extend((0..record.len()).filter_map(|n| record.range(n)).map(|r| (r.start as u32, r.end as u32)));
        if each(start + empty, Cells { bytes: record.as_slice(), bounds: &bounds }).is_break() {
            return;
        }
    }
}

/// Eight times the same byte.
pub(in crate::data) const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each of a word's bytes that equals its fellow in `wanted` ([`eight`] of one byte), and no other bit.
pub(in crate::data) fn equal(word: u64, wanted: u64) -> u64 {
    const LOW: u64 = eight(0x7f);
    let other = word ^ wanted;
    !(((other & LOW) + LOW) | other | LOW)
}

/// Calls a function for every delimiter and line end from `start` on, eight bytes at a time, until it breaks off; where it
/// did, or where the text ends.
fn marks(piece: &[u8], start: usize, delimiter: u8, mut each: impl FnMut(usize) -> ControlFlow<usize>) -> usize {
    let wanted = [eight(delimiter), eight(b'\n'), eight(b'\r')];
    let (words, rest) = piece[start..].as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let mut found = wanted.iter().fold(0, |found, byte| found | equal(word, *byte));
        while found != 0 {
            if let ControlFlow::Break(at) = each(start + n * 8 + found.trailing_zeros() as usize / 8) {
                return at;
            }
            found &= found - 1;
        }
    }
    let tail = piece.len() - rest.len();
    for (n, byte) in rest.iter().enumerate() {
        if *byte == delimiter || ends_line(*byte) {
            if let ControlFlow::Break(at) = each(tail + n) {
                return at;
            }
        }
    }
    piece.len()
}

fn plain(piece: &[u8], delimiter: u8, mut each: impl FnMut(usize, Cells<'_>) -> ControlFlow<()>) {
    let mut bounds: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    while at < piece.len() {
        if ends_line(piece[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let mut cell = at;
        bounds.clear();
        at = marks(piece, start, delimiter, |mark| {
            if piece[mark] == delimiter {
                bounds.push((cell as u32, mark as u32));
                cell = mark + 1;
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(mark)
            }
        });
        bounds.push((cell as u32, at as u32));
        if each(start, Cells { bytes: piece, bounds: &bounds }).is_break() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::{key, Stream};

    fn records(piece: &[u8], delimiter: u8) -> Vec<(usize, Vec<Vec<u8>>)> {
        let mut all = Vec::new();
        each_record(piece, delimiter, |at, cells| {
            all.push((at, (0..cells.len()).map(|n| cells.cell(n).to_vec()).collect()));
            ControlFlow::Continue(())
        });
        all
    }

    #[test]
    fn a_mark_that_opens_a_cell_closes_it_or_is_found() {
        let cases: [(&[u8], Option<usize>); 12] = [
            (b"a,b\n1,2\n", None),
            (b"a,\"b\"\n\"1\",\"2\"", None),
            (b"a,\"b \"\"c\"\" d\",e\r\n", None),
            (b"a,\"\",\"\"\"\"\n", None),
            (b"a,scar 5\" long,\"in, marks\"\n", None),
            (b"a, \"b\",c\n", None),
            (b"a,\"fell\nb,c\n", Some(2)),
            (b"a,\"fell\nb,scar 2\" long\n", Some(2)),
            (b"a,\"b\" ,c\n", Some(2)),
            (b"a,\"b\",\"fell\nc,\"d\"\n", Some(6)),
            (b"\"a\"b,c\n", Some(0)),
            (b"1,2\n\"", Some(4)),
        ];
        for (text, wanted) in cases {
            assert_eq!(stray(text, b','), wanted, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn pieces_have_the_records_of_the_whole_wherever_it_is_cut() {
        let mut stream = Stream::new(key("pieces", &[]));
        let alphabets: [&[u8]; 3] = [b"ab1,;\"\"\n\n\r ", b"a1.,\n\r\t;", b"\"\",\na"];
        for n in 0..6_000 {
            let alphabet = alphabets[n % 3];
            let text: Vec<u8> =
                (0..stream.below(40)).map(|_| alphabet[stream.below(alphabet.len() as u32) as usize]).collect();
            for delimiter in *b",;\t" {
                let mut wanted = Vec::new();
                quoted(&text, delimiter, |at, cells| {
                    wanted.push((at, (0..cells.len()).map(|n| cells.cell(n).to_vec()).collect::<Vec<_>>()));
                    ControlFlow::Continue(())
                });
                let shown = String::from_utf8_lossy(&text);
                assert_eq!(records(&text, delimiter), wanted, "{shown:?}");
                for pieces in 1..6 {
                    let (cuts, found) = cut(&text, delimiter, pieces);
                    assert_eq!(found, stray(&text, delimiter), "{shown:?}");
                    assert_eq!(
                        cuts.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
                        (0..text.len()).collect::<Vec<_>>()
                    );
                    let parts: Vec<_> = cuts
                        .into_iter()
                        .flat_map(|r| {
                            let from = r.start;
                            records(&text[r], delimiter).into_iter().map(move |(at, cells)| (from + at, cells))
                        })
                        .collect();
                    assert_eq!(parts, wanted, "{shown:?} in {pieces}");
                }
                let end = whole(&text, delimiter);
                let mut parts = records(&text[..end], delimiter);
                parts.extend(records(&text[end..], delimiter).into_iter().map(|(at, cells)| (end + at, cells)));
                assert_eq!(parts, wanted, "{shown:?} at {end}");
                assert_eq!(whole(&text[end..], delimiter), 0, "{shown:?}");
            }
        }
    }
}
