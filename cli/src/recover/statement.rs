//! What a recovery says, from the chain as this node has it.

use crate::chain::{Block, Chain};
use anyhow::{ensure, Context, Result};
use consilium_primitives::{FinalitySet, Recovery};
use sp_consensus_grandpa::GRANDPA_ENGINE_ID;
use sp_core::crypto::AccountId32;

/// The recovery from block `from` on, without `lost`, ascending. Where another one has `named` the blocks in which sets were
/// signalled, these are looked at, and none is looked for: that needs states that a pruned node has no more.
///
/// # Errors
/// The node does not answer or keeps old states no longer; nobody would remain.
pub async fn state(
    chain: &Chain,
    from: Block,
    lost: &[[u8; 32]],
    named: Option<&[FinalitySet]>,
) -> Result<Recovery<[u8; 32]>> {
    let best = chain.best().await?;
    let (then, now) = (chain.set_id(from).await?, chain.set_id(best).await?);
    // nodes count otherwise than the chain, once changes were lost to a rescue
    let last = chain.finalised().await?;
    let (client, there) = (chain.voters_set_id().await?, chain.set_id(last).await?);
    let as_nodes = |id: u64| (id + client).checked_sub(there).context("the node counts fewer sets than it can");

    let mut sets = vec![FinalitySet {
        id: as_nodes(then)?,
        signalled: match named.and_then(|sets| sets.first()) {
            Some(set) => signalled_there(chain, then, set).await?,
            None => signalled(chain, then, 0, from.number).await?,
        },
        authorities: remaining(chain, from, lost).await?,
    }];
    for id in then + 1..=now {
        let block = signalled(chain, id, from.number, best.number).await?;
        let (number, hash) = block.context("a set without a block")?;
        let authorities = remaining(chain, Block { hash, number }, lost).await?;
        sets.push(FinalitySet { id: as_nodes(id)?, signalled: block, authorities });
    }
    Ok(Recovery { genesis: chain.genesis(), last_final: (from.number, from.hash), lost: lost.to_vec(), sets })
}

/// Who votes on finality from this block on, but for the lost.
async fn remaining(chain: &Chain, at: Block, lost: &[[u8; 32]]) -> Result<Vec<[u8; 32]>> {
    let (validators, keys) = (chain.consortium(at).await?.validators, chain.finalisers(at).await?);
    ensure!(
        validators.len() == keys.len(),
        "block {}: {} validators have {} keys for finality: which are whose is not known",
        at.number,
        validators.len(),
        keys.len()
    );
    let is_lost = |who: &AccountId32| lost.contains(who.as_ref());
    let all = validators.iter().zip(keys).filter(|(who, _)| !is_lost(who)).map(|(_, key)| key);
    let left: Vec<[u8; 32]> = all.collect();
    ensure!(!left.is_empty(), "block {}: nobody of those who vote on finality would remain", at.number);
    ensure!(
        left.len() < validators.len(),
        "block {}: none of the lost votes on finality: nothing is to recover",
        at.number
    );
    Ok(left)
}

/// The first block in which a set has this number, in `low..=high`; none for the set of block 0.
async fn signalled(chain: &Chain, id: u64, low: u32, high: u32) -> Result<Option<(u32, sp_core::H256)>> {
    if id == 0 {
        return Ok(None);
    }
    let (mut low, mut high) = (low, high);
    // the number is smaller at `low`, and reached at `high`
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let at = chain.block_at(middle).await?;
        let there = chain.set_id(at).await.with_context(|| {
            format!(
                "the node keeps the state of block {middle} no longer: propose it where `pruning` is archive-canonical"
            )
        })?;
        if there < id {
            low = middle;
        } else {
            high = middle;
        }
    }
    let block = chain.block_at(high).await?;
    Ok(Some((block.number, block.hash)))
}

/// The block that another one has named, if it signals a change of those who vote on finality.
async fn signalled_there(chain: &Chain, id: u64, set: &FinalitySet) -> Result<Option<(u32, sp_core::H256)>> {
    let Some((number, hash)) = set.signalled else {
        ensure!(id == 0, "the recovery names no block in which its first set was signalled");
        return Ok(None);
    };
    let block = chain.block_at(number).await?;
    ensure!(block.hash == hash, "this node has another block {number} than the recovery names for its first set");
    let logs = chain.header(block).await?.digest.logs;
    let signals = logs.iter().any(|log| log.as_consensus().is_some_and(|(engine, _)| engine == GRANDPA_ENGINE_ID));
    ensure!(
        signals,
        "block {number} signals no change of those who vote on finality, and the recovery says that it does"
    );
    Ok(set.signalled)
}

/// The sets in a line.
pub fn shown(recovery: &Recovery<[u8; 32]>) -> String {
    let of = |set: &FinalitySet| {
        let since = set.signalled.map_or_else(|| "the first block".into(), |(number, _)| format!("block {number}"));
        format!("set {} since {since} with {} keys", set.id, set.authorities.len())
    };
    recovery.sets.iter().map(of).collect::<Vec<_>>().join(", ")
}
