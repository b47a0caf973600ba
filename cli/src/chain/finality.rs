//! The next block that becomes final, and what people are told who wait for it.

use super::{Block, BlockHeader, Chain};
use anyhow::{bail, Context, Result};
use codec::Decode;
use sp_consensus_grandpa::GrandpaJustification;
use std::{future::Future, time::Duration};
use subxt::rpcs::client::rpc_params;
use tokio::time::{sleep_until, timeout, Instant};

/// How long a node may take to finalise another block.
const FINALITY_PATIENCE: Duration = Duration::from_secs(60);
/// After so long people are told what is waited for, and again each time that it has taken so much longer.
const SILENCE: Duration = Duration::from_secs(3);
const REMINDER: Duration = Duration::from_secs(15);

impl Chain {
    /// The next block that GRANDPA finalises, with the justification of it in SCALE. (A node can prove later which blocks were
    /// final only once the authorities have changed: `grandpa_proveFinality` knows nothing of a chain's first set.)
    ///
    /// It says on standard error what it waits for where that takes long.
    ///
    /// # Errors
    /// The node does not answer, has no such method, or finalises nothing for a minute.
    pub async fn next_final(&self) -> Result<(Block, Vec<u8>)> {
        let subscribed = self.rpc.subscribe::<String>(
            "grandpa_subscribeJustifications",
            rpc_params![],
            "grandpa_unsubscribeJustifications",
        );
        let mut stream = subscribed.await.context(
            "the node tells nothing of what it finalises (grandpa_subscribeJustifications): is it up to date?",
        )?;
        let said = |waited: Duration| async move {
            let words = self.unsettled().await;
            eprintln!("waiting for a final block, for {} s now: {words}", waited.as_secs());
        };
        let next = told_meanwhile(stream.next(), (SILENCE, REMINDER, FINALITY_PATIENCE), said).await;
        let Some(next) = next else {
            bail!("nothing has become final for {} s: {}", FINALITY_PATIENCE.as_secs(), self.unsettled().await)
        };
        let text = next.context("the node has ended the connection")??;
        let justification =
            hex::decode(text.trim_start_matches("0x")).context("the justification is no hexadecimal")?;
        let decoded = GrandpaJustification::<BlockHeader>::decode(&mut &justification[..])
            .context("the node's justification cannot be read")?;
        let commit = decoded.commit;
        Ok((Block { number: commit.target_number, hash: commit.target_hash }, justification))
    }

    /// How far finality is behind, where the chain stands or finality does; nothing where both move, or the node does not tell.
    pub async fn behind(&self) -> Option<String> {
        let pulse = timeout(SILENCE, self.pulse()).await.ok()?.ok()?;
        pulse.stands(&self.look).map(|_| pulse.unsettled(&self.look))
    }

    /// What whoever waits for a final block waits for, as far as the node tells.
    async fn unsettled(&self) -> String {
        let asked = timeout(SILENCE, self.pulse()).await;
        asked
            .ok()
            .and_then(Result::ok)
            .map_or_else(|| "the node does not say how the chain stands".into(), |pulse| pulse.unsettled(&self.look))
    }
}

/// Waits for something, at most so long as the last of three says; people are told after the first, and again after each of the
/// second. None: it has not come.
async fn told_meanwhile<T, F: Future<Output = ()>>(
    what: impl Future<Output = T>,
    (first, again, most): (Duration, Duration, Duration),
    say: impl Fn(Duration) -> F,
) -> Option<T> {
    tokio::pin!(what);
    let began = Instant::now();
    let mut next = first.min(most);
    loop {
        tokio::select! {
            come = &mut what => return Some(come),
            () = sleep_until(began + next) => {}
        }
        if next >= most {
            return None;
        }
        say(next).await;
        next = next.saturating_add(again).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_so_again_and_again_and_not_for_ever() {
        let told = std::cell::RefCell::new(Vec::new());
        let say = |waited: Duration| {
            told.borrow_mut().push(waited.as_millis());
            async {}
        };
        let times = [10, 30, 80].map(Duration::from_millis);
        let never = told_meanwhile(std::future::pending::<u8>(), (times[0], times[1], times[2]), say).await;
        assert_eq!((never, told.borrow().as_slice()), (None, &[10, 40, 70][..]));
        told.borrow_mut().clear();
        assert_eq!(told_meanwhile(async { 7 }, (times[2], times[1], times[2]), say).await, Some(7));
        assert!(told.borrow().is_empty(), "what comes at once is not waited for");
    }
}
