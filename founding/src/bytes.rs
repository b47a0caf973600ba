//! Bytes as files hold them, and as people read them out.

use anyhow::{ensure, Result};

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT: usize = 24;

/// 96 bits of a digest, in six groups of four hexadecimal digits.
pub fn grouped(digest: &[u8; 32]) -> String {
    let digits = hex::encode(digest);
    let groups: Vec<&str> = (0..FINGERPRINT).step_by(4).filter_map(|at| digits.get(at..at + 4)).collect();
    groups.join(" ")
}

/// Bytes as a card holds them: `0x` and lower-case digits.
///
/// # Errors
/// The text, which `what` names, is something else.
pub fn hex_bytes<const N: usize>(what: &str, text: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.strip_prefix("0x").unwrap_or_default();
    let fits = hex::decode_to_slice(digits, &mut bytes).is_ok() && digits == hex::encode(bytes);
    ensure!(fits, "{what}: must be 0x and {} lower-case hexadecimal digits", 2 * N);
    Ok(bytes)
}
