//! A question for the time, and its answer.

use std::time::Duration;

/// Bytes of a request: a number. Bytes of an answer: the number, and milliseconds since 1970, both little-endian.
pub const REQUEST: usize = 8;
pub const ANSWER: usize = 16;

/// The answer to a request, if that is one.
pub fn answer_to(request: &[u8], now: Duration) -> Option<Vec<u8>> {
    let number = <[u8; REQUEST]>::try_from(request).ok()?;
    Some([number, (now.as_millis() as u64).to_le_bytes()].concat())
}

/// The time in an answer to the request of this number.
pub fn time_in(answer: &[u8], number: u64) -> Option<u64> {
    let (same, time) = answer.split_at_checked(REQUEST)?;
    (same == number.to_le_bytes()).then_some(u64::from_le_bytes(time.try_into().ok()?))
}
