//! When blocks were made. Their numbers do not tell: an idle chain leaves slots out, and any does while validators are away.

use super::{BlockHeader, Chain};
use codec::Decode;
use sp_runtime::DigestItem;

/// Whose word in a header names the slot.
const AURA: [u8; 4] = *b"aura";

impl Chain {
    /// When a block was made, in milliseconds since 1970: by its state or, where the node keeps that no longer, by its slot. None where
    /// neither tells. `now`: the time of a later block, and `slot_ms`: the length of its slots.
    pub async fn made(&self, number: u32, (now, slot_ms): (u64, u32)) -> Option<u64> {
        let time = self.time(number).await.ok().filter(|time| *time > 0);
        if time.is_some() {
            return time;
        }
        let at = self.block_at(number).await.ok()?;
        by_slot(&self.header(at).await.ok()?, (now, slot_ms))
    }
}

/// The time at which a block's slot began. None where it was counted in slots of another length: those of before runtime 5 were four times
/// as long, and would put it at a quarter of the time since 1970.
fn by_slot(header: &BlockHeader, (now, slot_ms): (u64, u32)) -> Option<u64> {
    let slot = header.digest.logs.iter().find_map(|item| match item {
        DigestItem::PreRuntime(AURA, bytes) => u64::decode(&mut &bytes[..]).ok(),
        _ => None,
    })?;
    let time = slot.saturating_mul(slot_ms.into());
    (now / 2..=now).contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use sp_core::H256;
    use sp_runtime::{traits::Header, Digest};

    #[test]
    fn a_slot_tells_when_its_block_was_made_but_where_slots_were_longer() {
        let header = |logs| BlockHeader::new(7, H256::zero(), H256::zero(), H256::zero(), Digest { logs });
        let now = 1_800_000_000_000;
        let of = |slot: u64| header(vec![DigestItem::Seal(AURA, vec![1]), DigestItem::PreRuntime(AURA, slot.encode())]);
        assert_eq!(by_slot(&of(3_599_990_000), (now, 500)), Some(now - 5_000_000));
        assert_eq!(by_slot(&of(3_599_990_000 / 4), (now, 500)), None, "slots of two seconds");
        assert_eq!(by_slot(&header(vec![]), (now, 500)), None);
    }
}
