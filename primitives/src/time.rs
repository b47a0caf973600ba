//! Time on a chain is counted in blocks; what people mean is milliseconds.

/// Number of a block.
pub type BlockNumber = u32;

/// A slot, in milliseconds: one block, where nobody is away.
pub const SLOT_MILLIS: u64 = 2_000;

/// As many blocks as fit `ms` milliseconds, rounded up: at least one, and no more than can be counted.
pub const fn blocks(ms: u64) -> BlockNumber {
    let blocks = ms.div_ceil(SLOT_MILLIS);
    if blocks == 0 {
        1
    } else if blocks > BlockNumber::MAX as u64 {
        BlockNumber::MAX
    } else {
        blocks as BlockNumber
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_rounded_up_to_blocks_and_is_never_none() {
        assert_eq!(blocks(0), 1);
        assert_eq!(blocks(1), 1);
        assert_eq!(blocks(SLOT_MILLIS), 1);
        assert_eq!(blocks(SLOT_MILLIS + 1), 2);
        assert_eq!(blocks(10 * SLOT_MILLIS), 10);
        assert_eq!(blocks(u64::MAX), BlockNumber::MAX);
    }
}
