//! Since when a site that is waited for is away, and why as far as the chain tells. Pure, but for what the chain is asked.

use super::{sentences::span, waiting::Waiting};
use crate::{
    chain::{Block, Chain},
    plain::counted,
};
use consilium_primitives::{
    round::{Kind, RoundRecord},
    time::IDLE_STRIDE,
    InstitutionId,
};
use sp_core::crypto::AccountId32;

/// Since when sites are away that a study waits for, and why as far as the chain tells.
pub async fn gone(chain: &Chain, at: Block, waits: &Waiting, records: &[RoundRecord]) -> Vec<(InstitutionId, String)> {
    let (silences, ms) = (chain.silences(at).await.unwrap_or_default(), chain.block_ms().await.unwrap_or_default());
    let limit = quiet(silences.len() as u64, ms);
    let awaited = waits.sites.iter().filter(|site| site.duty.is_some());
    awaited
        .filter_map(|site| {
            let since = since(records, &site.who)?;
            let silent = silences.get(&AccountId32::from(site.who.0)).map(|slots| slots.saturating_mul(ms.into()));
            let why = silent.map(|silent| format!("; {}", node(silent, limit))).unwrap_or_default();
            Some((site.who, since + &why))
        })
        .collect()
}

/// Since when no closed round has an update of a site; none where the newest one has, or no round of training has closed.
pub fn since(records: &[RoundRecord], who: &InstitutionId) -> Option<String> {
    let trained: Vec<&RoundRecord> =
        records.iter().filter(|record| record.kind == Kind::Model && record.round > 0).collect();
    let has = |record: &&&RoundRecord| record.inputs.iter().any(|input| input.institution == *who);
    let last = trained.iter().rev().find(has);
    let missed = trained.iter().rev().take_while(|record| !has(record)).count() as u64;
    if missed == 0 {
        return None;
    }
    let have = if missed == 1 { "has" } else { "have" };
    let rounds = counted(missed, "round");
    Some(match last {
        Some(last) => format!(
            "its last update is in round {}, which closed in block {}; {rounds} {have} closed without it since",
            last.round, last.closed_at
        ),
        None => format!("no update of it is in the {rounds} of training that {have} closed"),
    })
}

/// Why a site whose node has made no block for so many milliseconds may be late; `limit`: for how many one has none in any case.
pub fn node(silent_ms: u64, limit: u64) -> String {
    match silent_ms > limit {
        true => format!("its node has made no block for {}: it is down or cut off", span(silent_ms)),
        false => "its node makes blocks: its worker is slow, or has stopped".into(),
    }
}

/// For how many milliseconds a validator that is well may make no block: each has its turn once in as many slots as there are makers,
/// and on an idle chain makes a block in one turn of three. Four such blocks must be missing. As `quiet` in dashboard/src/words.ts.
pub fn quiet(makers: u64, block_ms: u32) -> u64 {
    u64::max(10_000, 4 * IDLE_STRIDE * makers * u64::from(block_ms))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::{id, World};

    #[test]
    fn since_when_and_why_a_site_is_away_is_said() {
        let mut records = World::new().history.records;
        assert_eq!(since(&records, &id(2)), None, "the newest has it");
        for record in records.iter_mut().filter(|record| record.kind == Kind::Model && record.round >= 2) {
            record.inputs.retain(|input| input.institution != id(2));
        }
        let said = since(&records, &id(2)).unwrap();
        assert!(said.starts_with("its last update is in round 1, which closed in block "), "{said}");
        assert!(said.ends_with("2 rounds have closed without it since"), "{said}");
        assert_eq!(since(&records, &id(9)).unwrap(), "no update of it is in the 3 rounds of training that have closed");
        assert_eq!(since(&[], &id(2)), None);
        assert!(node(200_000, quiet(4, 500)).contains("no block for 3 min"));
        assert!(
            node(23_000, quiet(4, 500)).contains("its worker is slow"),
            "an idle chain has a block of it every six seconds"
        );
        assert_eq!(quiet(10, 6_000), 720_000);
    }
}
