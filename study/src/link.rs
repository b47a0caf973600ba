//! How long updates take over a link.

/// Seconds in which one of so many sites takes all others' updates of this length in bytes, and gives its own to each of them,
/// over a link of so many megabits per second.
pub(crate) fn seconds(update_len: u64, participants: u32, link_mbit: f64) -> f64 {
    let bits = update_len as f64 * 8.0 * f64::from(participants.saturating_sub(1)) * 2.0;
    bits / (link_mbit * 1e6)
}
