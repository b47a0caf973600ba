//! What a report is made of: the own node's chain at a final block, and the own folder.

use super::{
    answers::Known,
    columns,
    document::{sorted, Document, HeldOut, LearnedFrom, Made, Told, VERSION},
    faults::faults,
    question::Question,
};
use crate::{
    chain::{Chain, StudyInfo},
    dashboard::{
        base::Link,
        egress::Log,
        state::{Study, Sum},
        study::Studies,
        Site,
    },
    late::{self, tell::Round},
    plain::{seen, told},
    show::{existing, names, Names},
    up::rpc::Node,
};
use anyhow::{Context, Result};
use consilium_primitives::StudyId;
use consilium_study::StudySpec;
use sp_crypto_hashing::blake2_256;
use std::{fs, path::Path, sync::Arc};

/// What was gathered, before figures are taken in.
pub struct Gathered {
    /// By whom, and of which state.
    pub made: Made,
    /// The study.
    pub study: Study,
    /// As the chain has it.
    pub info: StudyInfo,
    /// Its question.
    pub question: Question,
    /// Which rows it learned from.
    pub learned_from: LearnedFrom,
    /// What its blocks tell; none where they were not read.
    pub told: Option<Vec<Round>>,
    /// What could not be looked at.
    pub unread: Vec<String>,
    /// What left the own institution in this study.
    pub left: Vec<Sum>,
}

/// Whether the blocks of a study are read, too: that takes a dozen questions to the node for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// They are.
    Read,
    /// They are not.
    Skip,
}

/// A study at the newest final block of a node.
///
/// # Errors
/// The node does not answer, or there is no such study.
pub async fn link(site: &Site, chain: Chain) -> Result<Link> {
    let at = chain.finalised().await?;
    let names = Arc::new(names(&chain.institutions(at).await?));
    let block_ms = chain.block_ms().await?;
    let chain = Arc::new(chain.of_folder(Some(&site.dir)));
    Ok(Link { chain, at, names, block_ms })
}

/// The bytes of a study's specification: the chain's, or those that the own worker has kept under their hash.
pub async fn spec(dir: &Path, link: &Link, number: StudyId, info: &StudyInfo) -> Result<Option<Vec<u8>>> {
    let fits = |bytes: &Vec<u8>| blake2_256(bytes) == info.spec_hash.0;
    if let Some(bytes) = link.chain.spec(number, link.at).await?.filter(fits) {
        return Ok(Some(bytes));
    }
    let kept = dir.join("worker/specs").join(hex::encode(info.spec_hash));
    Ok(fs::read(kept).ok().filter(fits))
}

/// Everything but figures.
///
/// # Errors
/// The node does not answer, or there is no such study in the block that is looked at.
pub async fn gather(site: &Site, link: &Link, number: StudyId, hint: &str, blocks: Blocks) -> Result<Gathered> {
    let Link { chain, at, block_ms, .. } = link;
    let info = existing(chain, number, *at, hint).await?;
    let mut study = Studies::new(site).told(site, link, number).await?.context("a study without its state")?;
    let spec = spec(&site.dir, link, number, &info).await?;
    let spec = spec.and_then(|bytes| StudySpec::from_canonical(&bytes).ok());
    let question = match &spec {
        Some(spec) => Question::of(spec),
        None => Question::unknown("the chain keeps the specification no longer, and the own worker has none"),
    };
    let learned_from = columns::read(&site.dir, spec.as_ref(), info.state.statistics.as_ref());
    // models to compare with are taken in as figures, or not at all
    study.arms = None;
    if let Some(spec) = &spec {
        study.title = seen(&spec.title);
    }
    let mut unread = Vec::new();
    let events = match blocks {
        Blocks::Skip => {
            unread.push(format!("Pauses, and whose part did not come: the study's blocks were not read; `consilium late {number} --dir FOLDER` does."));
            None
        }
        Blocks::Read => {
            let last = info.state.ended_at.unwrap_or(at.number).min(at.number);
            match late::history(chain, number, (info.registered_at, last), *block_ms).await {
                Ok(rounds) => Some(rounds),
                Err(error) => {
                    unread.push(format!(
                        "Pauses, and whose part did not come: this node keeps the states of older blocks no longer ({}).",
                        seen(&told(&error))
                    ));
                    None
                }
            }
        }
    };
    let mut log = Log::of(&site.dir);
    let egress = log.told();
    unread.extend(egress.missing.map(|why| format!("All that left the building: {}.", seen(&why))));
    let node = Node::connect(&site.settings.rpc_url()).await;
    let (version, runtime) = match &node {
        Ok(node) => (node.version().await.ok(), node.spec_version().await.ok()),
        Err(_) => (None, None),
    };
    let made = Made {
        by: site.name.clone(),
        genesis: hex::encode(chain.genesis()),
        block: at.number,
        at_ms: chain.time(at.number).await?,
        spec: hex::encode(info.spec_hash),
        program: env!("CARGO_PKG_VERSION").into(),
        node: version.as_deref().map(seen),
        runtime,
        localnet: false,
    };
    Ok(Gathered {
        made,
        question,
        learned_from,
        told: events,
        unread,
        left: egress.sums.into_iter().filter(|sum| sum.study == number).collect(),
        info,
        study,
    })
}

impl Gathered {
    /// The whole document, with these figures.
    pub fn document(self, names: &Names, figures: Vec<Told>, held_out: Option<HeldOut>) -> Document {
        let figures = sorted(figures, &self.study.members);
        let known = Known {
            study: &self.study,
            question: &self.question,
            figures: &figures,
            held_out: held_out.as_ref(),
            unread: &self.unread,
            localnet: self.made.localnet,
        };
        let (answers, limits) = (known.answers(), known.limits());
        Document {
            consilium_report: VERSION,
            faults: faults(&self.study, self.told.as_deref(), names),
            made: self.made,
            study: self.study,
            question: self.question,
            learned_from: self.learned_from,
            figures,
            held_out,
            unread: self.unread,
            left: self.left,
            answers,
            limits,
        }
    }
}
