//! What a row is known by, so that the same row of another export is the same row: its group, or what was read of it.

use crate::{data::text::number::POWERS, learn::kernels::fast};
use consilium_study::Task;
use std::{borrow::Cow, sync::LazyLock};

/// Significant digits of a number that all programs write alike: R writes so many, others the seventeen that a number of 64
/// bits may take.
pub(in crate::data) const DIGITS: usize = 15;

/// A group as it is compared: of a whole number that is written as another one is, with decimals of 0 or an exponent, its
/// digits alone. Programs write a column of numbers so once one of its cells is empty, or its numbers are large.
pub(in crate::data) fn group(text: &[u8]) -> Cow<'_, [u8]> {
    let short = || {
        let written = text.iter().any(|b| matches!(b, b'.' | b',' | b'e' | b'E'));
        let digits = text.strip_prefix(b"-").unwrap_or(text).first().is_some_and(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok().filter(|_| written && digits)?;
        let number: f64 = text.replace(',', ".").parse().ok()?;
        (number.fract() == 0.0 && number.abs() <= WHOLE).then(|| (number as i64).to_string().into_bytes())
    };
    short().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Up to here all whole numbers are numbers of f64.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// What was read of a row, not its text. `long`: whether numbers may have more than [`DIGITS`] digits; they are rounded to
/// so many, which leaves all others as they are. Whole numbers are never rounded.
pub(in crate::data) fn content(
    values: &[f64],
    long: bool,
    (task, labels): (Task, &[u32]),
    pictures: &[String],
    out: &mut Vec<u8>,
) {
    out.clear();
    out.reserve(values.len() * 8);
    let mut block = [0.0; BLOCK];
    for values in values.chunks(BLOCK) {
        let block = &mut block[..values.len()];
        // one zero and one NaN
        for (to, value) in block.iter_mut().zip(values) {
            *to = if value.is_nan() { f64::NAN } else { value + 0.0 };
        }
        if long {
            round(block);
        }
        block.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
    for label in labels {
        match task {
            Task::Binary => out.push(u8::from(*label == 1)),
            Task::Classes(_) | Task::Labels(_) | Task::Value | Task::Events(_) => {
                out.extend_from_slice(&label.to_le_bytes())
            }
        }
    }
    for name in pictures {
        out.extend_from_slice(name.as_bytes());
    }
}

/// Exponents of two of the numbers that are rounded by a product: from a little more than 10^-8 on, to half of 10^15. The
/// powers of ten that this takes are exact.
const EXPONENTS: std::ops::Range<i64> = -26..49;

/// Numbers that are rounded at a time.
const BLOCK: usize = 64;

/// What numbers of one exponent of two are multiplied by so that [`DIGITS`] digits stand before the point: the power of ten
/// that lies among them, or above them, and the factors below it and from it on.
struct Scales {
    next: [f64; COUNT],
    below: [f64; COUNT],
    above: [f64; COUNT],
}

const COUNT: usize = (EXPONENTS.end - EXPONENTS.start) as usize;

static SCALES: LazyLock<Scales> = LazyLock::new(|| {
    let power = |n: i64| {
        let of = |n: i64| usize::try_from(n).ok().and_then(|n| POWERS.get(n)).copied();
        of(n).or_else(|| of(-n).map(|power| 1.0 / power)).unwrap_or(f64::NAN)
    };
    let mut scales = Scales { next: [0.0; COUNT], below: [0.0; COUNT], above: [0.0; COUNT] };
    for (place, exponent) in EXPONENTS.enumerate() {
        let least = f64::from_bits(((exponent + 1_023) as u64) << 52);
        let next = (-9..16).find(|n| power(*n) > least).unwrap_or(16);
        let digits = DIGITS as i64 - next;
        scales.next[place] = power(next);
        scales.below[place] = power(digits);
        scales.above[place] = power(digits - 1);
    }
    scales
});

/// Rounds numbers to the nearest with [`DIGITS`] significant digits.
fn round(numbers: &mut [f64]) {
    let scales = &*SCALES;
    let plain = fast(
        #[inline(always)]
        || {
            let mut plain = true;
            for number in &*numbers {
                plain &= (place(*number) < COUNT) | (*number == 0.0);
            }
            if plain {
                numbers.iter_mut().for_each(|number| *number = rounded(*number, scales));
            }
            plain
        },
    );
    if !plain {
        for number in numbers {
            *number = if place(*number) < COUNT { rounded(*number, scales) } else { slowly(*number) };
        }
    }
}

/// Where the scales of a number stand; none stand there for 0, for what is no number and for what is far from 1.
#[inline(always)]
fn place(number: f64) -> usize {
    const FIRST: u64 = (EXPONENTS.start + 1_023) as u64;
    (number.abs().to_bits() >> 52).wrapping_sub(FIRST) as usize
}

/// Adding it to a number below 2⁵¹ and taking it away again rounds that to a whole number, of two the even one.
const ROUNDS: f64 = 6_755_399_441_055_744.0;

/// The number nearest to these [`DIGITS`] significant digits of a number.
///
/// As a text of so many digits is read: the product is rounded by what it is exactly, and the quotient of two numbers that
/// are both exact is rounded once. So a number that was written with so many digits comes out as it went in. 0 stays 0.
#[inline(always)]
fn rounded(number: f64, scales: &Scales) -> f64 {
    let size = number.abs();
    let place = place(number).min(COUNT - 1);
    let scale = if size >= scales.next[place] { scales.above[place] } else { scales.below[place] };
    let product = size * scale;
    // what the product was rounded by decides where it lies in the middle, and of a tie that the last digit is even
    let error = size.mul_add(scale, -product);
    let whole = (product + ROUNDS) - ROUNDS;
    let part = product - whole;
    let up = f64::from(u8::from((part == 0.5) & (error > 0.0)));
    let down = f64::from(u8::from((part == -0.5) & (error < 0.0)));
    ((whole + up - down) / scale).copysign(number)
}

/// The same of numbers that are none, or far from 1.
#[cold]
fn slowly(value: f64) -> f64 {
    if value.fract() == 0.0 || !value.is_finite() {
        value
    } else {
        format!("{value:.14e}").parse().unwrap_or(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::{key, Stream};

    #[test]
    fn fifteen_digits_stay_and_the_rest_is_rounded() {
        let rounded = |value| {
            let mut block = [1.5, value];
            round(&mut block);
            block[1]
        };
        let mut stream = Stream::new(key("rounded", &[]));
        for _ in 0..200_000 {
            let digits = 1 + stream.below(15) as usize;
            let mut text: String = (0..digits).map(|_| char::from(b'0' + stream.below(10) as u8)).collect();
            text.insert(stream.below(digits as u32 + 1) as usize, '.');
            if stream.below(3) == 0 {
                text.push_str(&format!("e-{}", stream.below(12)));
            }
            let value: f64 = format!("0{text}").parse().unwrap();
            assert_eq!(rounded(value).to_bits(), value.to_bits(), "{text}");
            assert_eq!(rounded(-value).to_bits(), (-value).to_bits(), "{text}");
            // and of any number it is what fifteen digits of it are read as
            let third = value / 3.0;
            let wanted: f64 = format!("{third:.14e}").parse().unwrap();
            if third.fract() != 0.0 {
                assert_eq!(rounded(third).to_bits(), wanted.to_bits(), "{text} / 3");
            }
        }
        assert_eq!(rounded(0.1 + 0.2), 0.3);
        assert_eq!(rounded(9_007_199_254_740_991.0), 9_007_199_254_740_991.0);
        assert!(rounded(f64::NAN).is_nan());
    }
}
