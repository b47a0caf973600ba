//! `consilium audit`: recomputes what a study's chain says, from a node and files, or from an archive alone.
//!
//! * [`check`]: the audit, a pure function; [`history`]: what it goes by; [`rounds`]: one closed round; [`spent`]: what was
//!   charged; [`merge`]: the merge of models; [`blobs`]: where files are found; [`report`]: what came out.

pub mod blobs;
pub mod check;
pub mod history;
pub mod merge;
pub mod report;
mod rounds;
mod spent;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use crate::{
    archive,
    chain::{Block, Chain},
    options::{Asked, Format},
    show::{self, print_json},
};
use anyhow::{bail, Context, Result};
use blobs::Sources;
use check::audit;
use clap::Args;
use consilium_primitives::StudyId;
use history::{Expected, History};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

/// What to audit, and from what.
#[derive(Args)]
pub struct Options {
    /// Number of the study, as the node at --url knows it; of an archive it may be left out
    #[arg(required_unless_present = "archive")]
    study: Option<StudyId>,
    /// Hash of the agreement that was signed: the audit is refused where it is another
    #[arg(long, value_name = "HASH")]
    agreement: Option<String>,
    /// Folder of files named by their BLAKE3 hash, such as a worker's blobs, beside that of --dir; give it once for each
    #[arg(long, value_name = "DIR", required_unless_present_any = ["archive", "dir"])]
    blobs: Vec<PathBuf>,
    /// Audit this archive, made by `consilium export`, without any node
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    #[command(flatten)]
    trust: archive::Trust,
    #[command(flatten)]
    asked: Asked,
}

/// Audits a study, prints what came out, and says it in the exit code: 0 all that is there is as the chain says, 2
/// something differs, 3 something that should be there is not.
///
/// # Errors
/// No node answers, there is no such study, or the archive is damaged or does not hold under what is trusted.
pub async fn run(options: Options) -> Result<ExitCode> {
    let (asked, format) = (&options.asked, options.asked.connection.format);
    let sources = Sources::folders(asked.and_own(options.blobs))?;
    let agreement = options.agreement.as_deref().map(|text| archive::hash_of("--agreement", text)).transpose()?;
    let expected = Expected { study: options.study, agreement };
    if let Some(path) = options.archive {
        return archive::audit(&path, &options.trust, &expected, sources, format);
    }
    let Some(number) = options.study else { bail!("say which study: consilium audit STUDY --blobs DIR") };
    let chain = asked.chain().await?;
    let at = chain.finalised().await?;
    if let Some(words) = chain.behind().await {
        eprintln!("note: {words}; what is audited is block {}, the newest that is final", at.number);
    }
    let history = history(&chain, number, at, &asked.hint()).await?;
    expected.check(&history)?;
    let report = audit(&history, &sources);
    if format == Format::Json {
        let rests_on = json!({
            "node": asked.url()?,
            "block": hex::encode(at.hash),
            "number": at.number,
            "genesis": hex::encode(history.genesis),
            "agreement": hex::encode(history.info.agreement),
            "trust": "node",
        });
        print_json(&report.json(rests_on))?;
    } else {
        let (url, hash) = (&asked.url()?, hex::encode(at.hash));
        out!(
            "relative to what the node at {url} says of block {}, {hash}; study {number}, agreement {}, on the chain whose block \
             0 is {}",
            at.number,
            hex::encode(history.info.agreement),
            hex::encode(history.genesis)
        );
        out!("{report}");
    }
    Ok(report.exit())
}

/// What the chain says of a study at a block.
///
/// # Errors
/// There is no such study, or the node does not answer.
pub async fn history(chain: &Chain, number: StudyId, at: Block, hint: &str) -> Result<History> {
    let info = show::existing(chain, number, at, hint)
        .await
        .with_context(|| format!("at the newest finalised block, {}", at.number))?;
    Ok(History {
        genesis: chain.genesis(),
        study: number,
        spec: chain.spec(number, at).await?,
        records: show::history(chain, number, &info.state, at).await?,
        postings: chain.postings(number, &info.state, at).await?,
        counts: chain.counts(number, &info.state, at).await?,
        names: show::names(&chain.institutions(at).await?),
        left_out: false,
        listed: chain.listed(number, &info, at).await?,
        now: at.number,
        info,
    })
}
