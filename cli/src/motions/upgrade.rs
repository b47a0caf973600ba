//! `consilium upgrade`: a new runtime, from its file to its first block.

use super::{propose, Acting};
use crate::{
    chain::{
        calls::Calls,
        consortium::{Consortium, Motion},
        Block, Chain,
    },
    institution::folder::node_answer,
    options::{Asked, Format},
    programs::Programs,
    show::{print_json, running},
};
use anyhow::{bail, ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_founding::Span;
use consilium_primitives::Hash;
use serde_json::{json, Value};
use sp_crypto_hashing::blake2_256;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
    time::{Duration, Instant},
};

/// Largest compiled runtime that fits a block with what else a block holds, in bytes: 1.4 MiB.
const MOST_BYTES: usize = 1_468_006;
/// How long a new runtime may take to make its first block.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is done about a new runtime.
#[derive(Subcommand)]
pub enum Command {
    /// Put a new runtime to the vote, by its file
    Propose(Propose),
    /// Give the chain the new runtime that was decided, after its delay; anybody can
    Apply(Apply),
    /// Which runtime the chain has, and which was decided
    Status(Asked),
}

/// What `propose` takes.
#[derive(Args)]
pub struct Propose {
    /// The compiled runtime, consilium_runtime.compact.compressed.wasm
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// Time between the deciding vote and its effect. Left out: the least that was agreed at founding
    #[arg(long, value_name = "TIME")]
    delay: Option<Span>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    acting: Acting,
}

/// What `apply` takes.
#[derive(Args)]
pub struct Apply {
    /// The compiled runtime that was decided
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    #[command(flatten)]
    asked: Asked,
}

/// Does it.
///
/// # Errors
/// A file that is no such runtime; what the chain refused.
pub async fn run(command: &Command) -> Result<()> {
    match command {
        Command::Propose(options) => propose_file(options).await,
        Command::Apply(options) => apply(options).await,
        Command::Status(asked) => status(asked).await,
    }
}

/// A compiled runtime and its BLAKE2b-256 hash.
///
/// # Errors
/// The file cannot be read, or is none.
pub fn code_of(file: &Path) -> Result<(Vec<u8>, Hash)> {
    let shown = file.display();
    let code = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    ensure!(code.first() != Some(&b'{'), "{shown}: is a chain's specification, not a compiled runtime");
    let hash = Hash::from(blake2_256(&code));
    Ok((code, hash))
}

async fn propose_file(options: &Propose) -> Result<()> {
    let (acting, shown) = (&options.acting, options.wasm.display());
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let (code, hash) = code_of(&options.wasm)?;
    let mut ask = Process::new(&programs.node);
    ask.arg("inspect-runtime").arg("--metadata").arg(&options.wasm);
    let is = node_answer(ask).await?;
    let chain = acting.chain().await?;
    let here = chain.consortium(chain.best().await?).await?;
    let (name, version) = chain.runtime(here.at).await?;
    fits(&is, code.len(), (&name, version)).with_context(|| shown.to_string())?;
    let delay = delay(&here, options.delay)?;
    if !acting.json() {
        out!("runtime      {name}, version {} (the chain has {version})", is["spec_version"]);
        out!("code         {hash:?}");
        out!("size         {} bytes", code.len());
        if is["slot_millis"] != here.block_ms {
            out!("slots        {} ms (the chain has {} ms)", is["slot_millis"], here.block_ms);
        }
        let changes = chain.calls(here.at).await?.changes(&Calls::of_answer(&is)?);
        changes.iter().for_each(|line| out!("{line}"));
    }
    propose::propose(acting, &chain, &here, Motion::Upgrade { code: hash, delay }).await
}

/// Whether a runtime, as the node describes it, can take the place of the chain's: its name and version.
fn fits(is: &Value, size: usize, (name, version): (&str, u32)) -> Result<()> {
    ensure!(is["spec_name"] == name, "is a runtime of {}, and the chain's is {name:?}", is["spec_name"]);
    ensure!(
        is["spec_version"].as_u64() > Some(version.into()),
        "has version {}, and the chain has {version} already: a new runtime has a higher one",
        is["spec_version"]
    );
    ensure!(
        size <= MOST_BYTES,
        "has {size} bytes, and a block takes no more than {MOST_BYTES}: give the compressed one, …compact.compressed.wasm"
    );
    Ok(())
}

/// Blocks between the deciding vote and the effect.
fn delay(here: &Consortium, wanted: Option<Span>) -> Result<u32> {
    let least = here.founding.upgrade_delay;
    let millis = wanted.map_or(least, |span| span.millis);
    ensure!(millis >= least, "--delay: at founding no less than {} was agreed", super::words::span(least));
    Ok(u32::try_from(millis.div_ceil(u64::from(here.block_ms.max(1))))?.max(1))
}

async fn apply(options: &Apply) -> Result<()> {
    let (code, hash) = code_of(&options.wasm)?;
    let chain = options.asked.chain().await?;
    let at = chain.best().await?;
    let here = chain.consortium(at).await?;
    let shown = options.wasm.display();
    match (here.authorised, here.pending) {
        (Some(authorised), _) if authorised == hash => {}
        (Some(authorised), _) => {
            bail!("{shown} is ANOTHER runtime, {hash:?}, than the one that was decided, {authorised:?}")
        }
        (None, Some((pending, _))) if pending != hash => {
            bail!("{shown} is ANOTHER runtime, {hash:?}, than the one that was decided, {pending:?}")
        }
        (None, Some((_, from))) => {
            bail!(
                "this runtime can be applied from block {from} on, in {}",
                here.blocks(from.saturating_sub(at.number))
            )
        }
        (None, None) if chain.code_hash(at).await? == hash => bail!("the chain has this runtime already"),
        (None, None) => bail!("no new runtime has been decided: `consilium upgrade propose` puts one to the vote"),
    }
    let (_, before) = chain.runtime(at).await?;
    let block = chain.send_unsigned("System", "apply_authorized_upgrade", code.encode()).await?;
    let after = replaced(&chain, block, hash, before).await?;
    if options.asked.connection.format == Format::Json {
        return print_json(&json!({ "block": block.number, "code": hash, "version": after, "version_before": before }));
    }
    out!("the chain has the new runtime, version {after} in place of {before}, code {hash:?} (block {})", block.number);
    Ok(())
}

/// Waits until a block has been made by the new runtime; gives its version.
async fn replaced(chain: &Chain, block: Block, hash: Hash, before: u32) -> Result<u32> {
    if chain.code_hash(block).await? != hash {
        bail!(
            "block {} has the call, but the chain refused the code: its name or version do not follow those of the runtime \
             that it has",
            block.number
        );
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let at = chain.best().await?;
        let (_, version) = chain.runtime(at).await?;
        if at.number > block.number && version != before && chain.code_hash(at).await? == hash {
            return Ok(version);
        }
        ensure!(Instant::now() < until, "the new runtime is in block {}, and has made no block since", block.number);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn status(asked: &Asked) -> Result<()> {
    let chain = asked.chain().await?;
    let here = chain.consortium(chain.best().await?).await?;
    let (name, version) = chain.runtime(here.at).await?;
    let code = chain.code_hash(here.at).await?;
    let studies = running(&chain, here.at).await?;
    if asked.connection.format == Format::Json {
        return print_json(&json!({
            "block": here.at.number, "name": name, "version": version, "code": code,
            "pending": here.pending.map(|(code, from)| json!({ "code": code, "from": from })),
            "authorised": here.authorised, "studies": studies,
        }));
    }
    out!("runtime      {name}, version {version} (block {})", here.at.number);
    out!("code         {code:?}");
    match (here.authorised, here.pending) {
        (Some(code), _) => {
            out!("decided      {code:?}, to be applied now: consilium upgrade apply --wasm FILE{}", asked.hint())
        }
        (None, Some((code, from))) => {
            out!(
                "decided      {code:?}, from block {from} on, in {}",
                here.blocks(from.saturating_sub(here.at.number))
            );
        }
        (None, None) => out!("decided      no other"),
    }
    out!("studies      {}", if studies.is_empty() { "none runs".into() } else { studies.join(", ") });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tally::tests::consortium;
    use super::*;

    #[test]
    fn a_runtime_that_cannot_follow_is_refused_with_the_reason() {
        let is = |name: &str, version: u32| json!({ "spec_name": name, "spec_version": version });
        let now = ("consilium", 2);
        fits(&is("consilium", 3), 500_000, now).unwrap();
        for (is, size, says) in [
            (is("other", 3), 1, "runtime of \"other\""),
            (is("consilium", 2), 1, "version 2"),
            (is("consilium", 1), 1, "higher"),
            (is("consilium", 3), MOST_BYTES + 1, "compact.compressed.wasm"),
        ] {
            let error = fits(&is, size, now).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_delay_is_what_was_agreed_or_more() {
        let here = consortium(&["a"]);
        assert_eq!(delay(&here, None).unwrap(), 43_200);
        assert_eq!(delay(&here, Some("2d".parse().unwrap())).unwrap(), 86_400);
        assert!(delay(&here, Some("1h".parse().unwrap())).unwrap_err().to_string().contains("1 d was agreed"));
    }

    #[test]
    fn a_specification_is_no_runtime() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        fs::write(&file, "{}").unwrap();
        assert!(code_of(&file).unwrap_err().to_string().contains("specification"));
        fs::write(&file, "abc").unwrap();
        assert_eq!(code_of(&file).unwrap().1, Hash::from(blake2_256(b"abc")));
    }
}
