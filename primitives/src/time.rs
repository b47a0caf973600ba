//! Time on a chain is counted in blocks; what people mean is milliseconds.

/// Number of a block.
pub type BlockNumber = u32;

/// A slot, in milliseconds: one block, where nobody is away.
pub const SLOT_MILLIS: u64 = 500;

/// A slot before runtime 5, in milliseconds: what was stored in blocks then was meant in these.
pub const SLOT_MILLIS_BEFORE_5: u32 = 2_000;

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

/// As many blocks as `count` of them lasted when a slot had `slot_millis` milliseconds.
pub fn as_blocks(count: BlockNumber, slot_millis: u32) -> BlockNumber {
    blocks(u64::from(count).saturating_mul(slot_millis.into()))
}

/// A block noted while a slot had `slot_millis` milliseconds, as it is noted now that it has others: as far from `now` in time as
/// it was then. What would lie before the first block is put there.
pub fn restated(at: BlockNumber, now: BlockNumber, slot_millis: u32) -> BlockNumber {
    if at == now {
        at
    } else if at > now {
        now.saturating_add(as_blocks(at.saturating_sub(now), slot_millis))
    } else {
        now.saturating_sub(as_blocks(now.saturating_sub(at), slot_millis))
    }
}

/// On an idle chain one slot in so many has a block.
pub const IDLE_STRIDE: u64 = 3;

/// Whether an idle chain has a block in a slot: in every third one, and where the number of validators is a multiple of three, a slot
/// earlier with each turn of theirs, for else the same third of them would make all blocks. Each makes one in three turns.
pub const fn has_idle_block(slot: u64, validators: u64) -> bool {
    let shift = match (validators.checked_rem(IDLE_STRIDE), slot.checked_div(validators)) {
        (Some(0), Some(turn)) => turn,
        _ => 0,
    };
    matches!(slot.wrapping_add(shift).checked_rem(IDLE_STRIDE), Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_an_idle_chain_every_validator_makes_a_third_of_its_blocks() {
        for validators in 1..=60 {
            let turns = 30;
            let began = 1_000 * validators;
            let all = began..began + turns * validators;
            let used: Vec<u64> = all.filter(|slot| has_idle_block(*slot, validators)).collect();
            for who in 0..validators {
                let made: Vec<u64> = used.iter().copied().filter(|slot| slot % validators == who).collect();
                assert_eq!(made.len() as u64, turns / IDLE_STRIDE, "{who} of {validators}");
                assert!(made.windows(2).all(|two| two[1] - two[0] == IDLE_STRIDE * validators));
            }
            assert!(used.windows(2).all(|two| two[1] - two[0] <= 5), "{validators}: more than 2.5 s without a block");
        }
        assert!(has_idle_block(3, 0) && !has_idle_block(4, 0), "a number that nobody has");
    }

    #[test]
    fn a_duration_is_rounded_up_to_blocks_and_is_never_none() {
        assert_eq!(blocks(0), 1);
        assert_eq!(blocks(1), 1);
        assert_eq!(blocks(SLOT_MILLIS), 1);
        assert_eq!(blocks(SLOT_MILLIS + 1), 2);
        assert_eq!(blocks(10 * SLOT_MILLIS), 10);
        assert_eq!(blocks(u64::MAX), BlockNumber::MAX);
    }

    #[test]
    fn what_was_noted_in_longer_blocks_is_as_far_away_in_time() {
        let four = 4 * SLOT_MILLIS as u32;
        assert_eq!(as_blocks(7, four), 28);
        assert_eq!(restated(1_010, 1_000, four), 1_040);
        assert_eq!(restated(990, 1_000, four), 960);
        assert_eq!(restated(1_000, 1_000, four), 1_000);
        assert_eq!(restated(3, 1_000, four), 0, "before the first block");
        assert_eq!(restated(BlockNumber::MAX, 1_000, four), BlockNumber::MAX);
        assert_eq!(restated(1_010, 1_000, SLOT_MILLIS as u32), 1_010);
    }
}
