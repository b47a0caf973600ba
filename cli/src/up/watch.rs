//! What a node that runs tells: its first answer, whether its program is older than the chain's runtime, and whether the chain's
//! state has this institution with this node and these keys.

use super::{
    identity::{Own, Standing},
    rpc::{Node, Values},
};
use crate::{institution::folder::node_answer, programs::Programs};
use anyhow::{Context, Result};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};

/// A node that was just started is tried so often.
const TRY: Duration = Duration::from_millis(50);
/// A node that runs is looked at so often, until the chain's state is known and afterwards.
const LOOK: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// So long must it be amiss before it is said: a node that was just started may not have come to the block yet in which its key
/// was registered.
const DOUBT: Duration = Duration::from_secs(15);

/// What is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// The node answers, so long after its start.
    Answers(Duration),
    /// The runtime built into the node is older than the chain's.
    Older {
        /// Version of that in the node.
        own: u64,
        /// Version of the chain's.
        chain: u64,
    },
    /// What the chain's state says of this institution; whether all is well; in words.
    Institution(bool, String),
}

/// What is watched.
pub struct Watch {
    /// JSON-RPC address of the node.
    pub url: String,
    /// The institution's folder. Keys in it change while the node runs.
    pub dir: PathBuf,
    /// The programs.
    pub programs: Programs,
    /// Where the node keeps its compiled runtime.
    pub cache: PathBuf,
    /// Genesis hash of the chain.
    pub genesis: String,
}

impl Watch {
    /// Watches a node that was started then, until nobody listens any more.
    pub async fn run(&self, started: Instant, tell: &UnboundedSender<Told>) {
        let mut node = self.first(started, tell).await;
        let mut compared = false;
        let mut last = None;
        let mut amiss: Option<Instant> = None;
        loop {
            let settled = match &node {
                Some(node) => {
                    if !compared {
                        compared = self.compare(node, tell).await.is_ok();
                    }
                    self.look(node).await
                }
                None => Err(anyhow::anyhow!("the node does not answer")),
            };
            let pause = match settled {
                Ok(Some((well, words))) => {
                    let since = if well { amiss.take() } else { Some(*amiss.get_or_insert_with(Instant::now)) };
                    let told = well || since.is_some_and(|since| since.elapsed() >= DOUBT);
                    if told && last.as_ref() != Some(&words) {
                        last = Some(words.clone());
                        if tell.send(Told::Institution(well, words)).is_err() {
                            return;
                        }
                    }
                    if well {
                        LOOK_AGAIN
                    } else {
                        LOOK
                    }
                }
                Ok(None) => LOOK,
                Err(_) => {
                    node = None;
                    LOOK
                }
            };
            sleep(pause).await;
            if node.is_none() {
                node = Node::connect(&self.url).await.ok();
            }
        }
    }

    /// Waits for the first answer of the node.
    async fn first(&self, started: Instant, tell: &UnboundedSender<Told>) -> Option<Node> {
        loop {
            if let Ok(Ok(node)) = timeout(Duration::from_secs(5), Node::connect(&self.url)).await {
                if node.genesis().await.is_ok_and(|genesis| genesis == self.genesis) {
                    tell.send(Told::Answers(started.elapsed())).ok()?;
                    return Some(node);
                }
            }
            sleep(TRY).await;
        }
    }

    /// Holds the runtime that is built into the node against the chain's.
    async fn compare(&self, node: &Node, tell: &UnboundedSender<Told>) -> Result<()> {
        let own = built_in(&self.programs, &self.cache).await?;
        let chain = node.spec_version().await?;
        if own < chain {
            tell.send(Told::Older { own, chain })?;
        }
        Ok(())
    }

    /// What the chain's state says; none while the node is not in step.
    async fn look(&self, node: &Node) -> Result<Option<(bool, String)>> {
        if !node.health().await?.in_step() {
            return Ok(None);
        }
        match Own::read(&self.dir) {
            Ok(own) => standing(node, &own).await.map(Some),
            Err(error) => Ok(Some((false, format!("{error:#}")))),
        }
    }
}

/// Version of the runtime that is built into the node.
///
/// # Errors
/// It says none.
pub async fn built_in(programs: &Programs, cache: &Path) -> Result<u64> {
    let mut command = Command::new(&programs.node);
    command.arg("inspect-runtime").arg("--wasm-cache").arg(cache);
    node_answer(command).await?["spec_version"].as_u64().context("consilium-node says no version of its runtime")
}

/// What the state of the newest final block says of an institution: whether all is well, and in words. Where it is not, and the
/// best block says otherwise, a change has just been made, and that one counts.
///
/// # Errors
/// The node does not answer.
pub async fn standing(node: &Node, own: &Own) -> Result<(bool, String)> {
    let last = said(own, &node.values(&own.wanted(), &node.finalised().await?).await?);
    if last.0 {
        return Ok(last);
    }
    let best = said(own, &node.values(&own.wanted(), &node.best().await?).await?);
    Ok(if best.0 { best } else { last })
}

fn said(own: &Own, values: &Values) -> (bool, String) {
    let name = &own.name;
    match own.stands(values) {
        Ok(Standing::Same) => (true, format!("{name}: node and keys are as the chain has them")),
        Ok(Standing::Differs(differences)) => (
            false,
            format!(
                "{name}: not as the chain has it: {}; put the right keys there, or have the new ones registered",
                differences.join("; ")
            ),
        ),
        Ok(Standing::Unknown) => (
            false,
            format!("{name}: is no institution of this chain: it was not admitted yet, or has left or been removed"),
        ),
        Err(error) => (false, format!("{error:#}")),
    }
}
