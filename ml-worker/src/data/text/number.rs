//! Cells as numbers.
//!
//! By hand, since the libraries for it (`fast-float2`, `lexical-core`) are no part of this program otherwise and read one
//! number's bytes in turn: here eight digits are read at once, and a text in which commas may be decimal marks at all.

use crate::data::{
    table::cell::What,
    text::pieces::{eight, equal},
};
use consilium_study::Decimal;

/// What stands before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Mark {
    Comma,
    Point,
}

impl Mark {
    pub(in crate::data) fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Point => "point",
        }
    }
}

/// Which marks may stand before decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Marks {
    pub comma: bool,
    pub point: bool,
    /// Whether nobody has said which, so that one comma may also be a mark between thousands.
    pub doubt: bool,
}

impl Marks {
    /// Those of a study's tables whose cells are parted by this delimiter; of columns without one.
    pub fn of(decimal: Option<Decimal>, delimiter: Option<u8>) -> Self {
        let parts = delimiter == Some(b',');
        Self {
            comma: if parts { decimal == Some(Decimal::Comma) } else { decimal != Some(Decimal::Point) },
            point: parts || decimal != Some(Decimal::Comma),
            doubt: !parts && decimal.is_none(),
        }
    }
}

/// Whether a number with one mark may as well be one of thousands: one to three digits, not begun by 0, and three behind.
pub(in crate::data) fn like_thousands(cell: &[u8]) -> bool {
    let text = cell.trim_ascii();
    let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let Some(place) = text.len().checked_sub(4).filter(|place| (1..=3).contains(place)) else { return false };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    text[0] != b'0' && digits(&text[..place]) && digits(&text[place + 1..])
}

/// Whether a text is a number with marks between its thousands.
fn grouped(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    [',', '.', ' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}'].into_iter().any(|mark| {
        let other = if mark == ',' { '.' } else { ',' };
        let (whole, decimals) = text.split_once(other).unwrap_or((text, ""));
        let mut parts = whole.split(mark);
        let first = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        (1..=3).contains(&first.len())
            && digits(first)
            && digits(decimals)
            && !rest.is_empty()
            && rest.iter().all(|part| part.len() == 3 && digits(part))
    })
}

/// Whether a text stands for a missing value.
pub(in crate::data) fn is_missing(text: &str) -> bool {
    ["", "NA", "NaN", "nan"].contains(&text)
}

/// A cell as a number, NaN where it is empty, and its decimal mark if it has one.
pub(in crate::data) fn number(cell: &[u8], marks: Marks) -> Result<(f64, Option<Mark>), What> {
    match plain(cell) {
        Some((value, point)) if marks.point || !point => Ok((value, point.then_some(Mark::Point))),
        Some(_) => Err(What::Decimal),
        None => other(cell, marks),
    }
}

/// What is no usual number.
fn other(cell: &[u8], marks: Marks) -> Result<(f64, Option<Mark>), What> {
    let text = std::str::from_utf8(cell).map_err(|_| What::NotUtf8)?.trim();
    if is_missing(text) {
        return Ok((f64::NAN, None));
    }
    let commas = text.matches(',').count();
    let parsed = match commas {
        0 => text.parse::<f64>().map(|value| (value, text.contains('.').then_some(Mark::Point))),
        1 if !text.contains('.') => text.replace(',', ".").parse::<f64>().map(|value| (value, Some(Mark::Comma))),
        _ => return Err(if grouped(text) || marks.comma { What::Thousands } else { What::NotNumber }),
    };
    let (value, mark) = parsed.map_err(|_| if grouped(text) { What::Thousands } else { What::NotNumber })?;
    match mark {
        _ if !value.is_finite() => Err(What::NotFinite),
        Some(Mark::Comma) if !marks.comma => Err(if grouped(text) { What::Thousands } else { What::Decimal }),
        Some(Mark::Point) if !marks.point => Err(What::Decimal),
        mark => Ok((value, mark)),
    }
}

/// Powers of ten that are numbers of f64 exactly.
pub(in crate::data) const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A usual number, and whether it has a decimal point: digits that make a whole number of f64, and a power of ten that
/// is one too. Their product or quotient is rounded once, so that it is the number nearest to the text, as the standard
/// library's. `None`: all others, which that must read.
fn plain(cell: &[u8]) -> Option<(f64, bool)> {
    let (negative, text) = match cell.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, cell),
    };
    if let Some((whole, after, point)) = short(text) {
        let value = whole as f64 / POWERS[after];
        return Some((if negative { -value } else { value }, point));
    }
    let mut whole = 0;
    let before = digits(text, &mut whole);
    let point = text.get(before) == Some(&b'.');
    let mut end = before + usize::from(point);
    let after = if point { digits(&text[end..], &mut whole) } else { 0 };
    end += after;
    let exponent = match text.get(end) {
        None => 0,
        Some(b'e' | b'E') => small(&text[end + 1..])?,
        Some(_) => return None,
    };
    // nineteen digits fit into 64 bits
    if !(1..=19).contains(&(before + after)) || whole > 1 << 53 {
        return None;
    }
    let power = exponent - after as i32;
    let scale = *POWERS.get(power.unsigned_abs() as usize)?;
    let value = if power < 0 { whole as f64 / scale } else { whole as f64 * scale };
    Some((if negative { -value } else { value }, point))
}

/// Four to eight digits, a point among them or not, all at once: the digits as a whole number, how many stand after the
/// point, and whether there is one. `None`: anything else.
fn short(text: &[u8]) -> Option<(u64, usize, bool)> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let length = text.len();
    if !(4..=8).contains(&length) {
        return None;
    }
    let four = |from: usize| text.get(from..from + 4).and_then(|t| t.try_into().ok()).map(u32::from_le_bytes);
    // the last four reach into the first, where they are the same bytes
    let all = u64::from(four(0)?) | u64::from(four(length - 4)?) << (8 * (length - 4));
    let empty = 8 * (8 - length) as u32;
    // the first digit stands lowest, after as many zeros as there is room for
    let mut word = all << empty | ZEROS & !(u64::MAX << empty);
    let point = equal(word, eight(b'.'));
    let mut after = 0;
    if point != 0 {
        let place = point.trailing_zeros() / 8;
        let behind = word & u64::MAX.checked_shl(8 * (place + 1)).unwrap_or(0);
        let before = word & !(u64::MAX << (8 * place));
        word = behind | before << 8 | u64::from(b'0');
        after = 7 - place as usize;
    }
    // 3a to 3f would carry into the upper half
    if word & HIGH != ZEROS || word.wrapping_add(0x0606_0606_0606_0606) & HIGH != ZEROS {
        return None;
    }
    // pairs of digits, then of pairs, then of these
    let pairs = (word - ZEROS).wrapping_mul(10).wrapping_add((word - ZEROS) >> 8);
    let fours = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let others = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some((fours.wrapping_add(others) >> 32, after, point != 0))
}

/// How many digits a text begins with; they are put behind those of `whole`.
fn digits(text: &[u8], whole: &mut u64) -> usize {
    let mut n = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit));
        n += 1;
    }
    n
}

/// An exponent of one or two digits.
fn small(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if !(1..=2).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::{key, Stream};

    #[test]
    fn plain_numbers_have_the_bits_of_the_standard_library() {
        let mut stream = Stream::new(key("numbers", &[]));
        let mut plainly = 0;
        for _ in 0..200_000 {
            let mut text = String::new();
            if stream.below(3) == 0 {
                text.push('-');
            }
            for part in 0..2 {
                if part == 1 {
                    if stream.below(4) == 0 {
                        break;
                    }
                    text.push('.');
                }
                for _ in 0..stream.below(11) {
                    text.push(char::from(b'0' + stream.below(10) as u8));
                }
            }
            if stream.below(4) == 0 {
                let sign = ["", "-", "+"][stream.below(3) as usize];
                text.push_str(&format!("e{sign}{}", stream.below(30)));
            }
            let ours = plain(text.as_bytes());
            if let Some((value, point)) = ours {
                assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
                assert_eq!(point, text.contains('.'));
                plainly += 1;
            }
        }
        assert!(plainly > 100_000, "{plainly}");
        for text in ["", "-", ".", "-.", "e5", "1e", "1e+", "1-2", "1.2.3", "+1", " 1", "inf", "1e400", "1_0", "0x1"] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn marks_between_thousands_are_no_decimals() {
        let either = Marks::of(None, Some(b'\t'));
        assert_eq!(number(b" 1,5 ", either), Ok((1.5, Some(Mark::Comma))));
        assert_eq!(number(b"1,234", either), Ok((1.234, Some(Mark::Comma))));
        for text in
            ["1,234,567", "1.234.567", "1.234,5", "1,234.5", "-12 345", "12\u{a0}345", "1'234'567", "1\u{202f}234,5"]
        {
            assert_eq!(number(text.as_bytes(), either), Err(What::Thousands), "{text}");
        }
        for text in ["1,2,3x", "1.2.3", "12 3", "'", ","] {
            let found = number(text.as_bytes(), either);
            assert!(found == Err(What::NotNumber) || found == Err(What::Thousands) && text == "1,2,3x", "{text}");
        }
        let (comma, point) = (Marks::of(Some(Decimal::Comma), None), Marks::of(Some(Decimal::Point), Some(b';')));
        assert_eq!(number(b"1,234", comma), Ok((1.234, Some(Mark::Comma))));
        assert_eq!(number(b"1.234", comma), Err(What::Decimal));
        assert_eq!(number(b"1.234", point), Ok((1.234, Some(Mark::Point))));
        assert_eq!((number(b"1,234", point), number(b"1,5", point)), (Err(What::Thousands), Err(What::Decimal)));
        let parted = Marks::of(None, Some(b','));
        assert_eq!(
            (number(b"1,234", parted), number(b"0.5", parted)),
            (Err(What::Thousands), Ok((0.5, Some(Mark::Point))))
        );
        let like = ["1,234", "12.345", "-999,000", "+1,000", " 1,234 "];
        let unlike = ["0,512", "1,23", "1,2345", "1234,567", "1,23a", ",234", "12,345e1", "a,234"];
        assert!(like.iter().all(|text| like_thousands(text.as_bytes())));
        assert!(unlike.iter().all(|text| !like_thousands(text.as_bytes())));
    }

    #[test]
    fn bytes_beside_the_digits_are_never_taken_for_digits() {
        let mut stream = Stream::new(key("short", &[]));
        let alphabet = b"0123456789..:;/-+eE ,?\x00\x2f\x3a\x3f\x80\xb0\xb9\xff";
        for _ in 0..400_000 {
            let length = 4 + stream.below(5) as usize;
            // most of them digits, so that many are numbers
            let most = if stream.below(2) == 0 { 12 } else { alphabet.len() as u32 };
            let text: Vec<u8> = (0..length).map(|_| alphabet[stream.below(most) as usize]).collect();
            let is = text.iter().all(|b| b.is_ascii_digit() || *b == b'.')
                && text.iter().filter(|b| **b == b'.').count() < 2;
            let found = short(&text);
            assert_eq!(found.is_some(), is, "{text:?}");
            if let Some((whole, after, point)) = found {
                let digits: String = text.iter().filter(|b| **b != b'.').map(|b| char::from(*b)).collect();
                let place = text.iter().position(|b| *b == b'.');
                assert_eq!(whole, digits.parse::<u64>().unwrap(), "{text:?}");
                assert_eq!((after, point), (place.map_or(0, |p| length - 1 - p), place.is_some()), "{text:?}");
            }
        }
    }
}
