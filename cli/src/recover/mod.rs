//! `consilium recover`: what those who remain do when most validators are gone for good, and nothing can be voted on any more.
//!
//! One proposes a file, the others check it by their own nodes and sign; each gives it to its node, and one sends it to the
//! chain, which takes out who is lost.
//!
//! * [`statement`]: what follows from the chain, for whoever proposes and whoever signs;
//! * [`show`]: the file for people.

mod show;
mod statement;

use crate::{
    chain::{
        consortium::{Consortium, CONSORTIUM},
        Chain,
    },
    motions::{account, own::signs_for, Acting},
    options::Connection,
    programs::write_new,
    show::print_json,
    up::arguments::CHAIN,
};
use anyhow::{bail, ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_founding::RecoveryFile;
use serde_json::json;
use sp_core::crypto::AccountId32;
use std::{fs, path::PathBuf};
use subxt_signer::sr25519::Keypair;

/// What is done.
#[derive(Subcommand)]
pub enum Command {
    /// Write a recovery from the last block that is final for this node, and sign it
    Propose(Propose),
    /// Check a recovery by this institution's node, and add a signature
    Sign(Sign),
    /// Say what a recovery does, who has signed it and who is still to, and whether the chain would take it
    Show(Show),
    /// Put a recovery into the institution's folder, from where its node takes it up at the next start
    Take(Take),
    /// Send a recovery to the chain, once its nodes have taken it up: who is lost is taken out
    Send(Send),
}

/// What `propose` takes.
#[derive(Args)]
pub struct Propose {
    /// An institution whose node is gone for good; once for each
    #[arg(long, value_name = "WHO", required = true)]
    lost: Vec<String>,
    /// File for the recovery
    #[arg(long, value_name = "FILE", default_value = "recovery.json")]
    out: PathBuf,
    #[command(flatten)]
    acting: Acting,
}

/// What `sign` takes.
#[derive(Args)]
pub struct Sign {
    /// The recovery; the signature is added to it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    acting: Acting,
}

/// What `show` takes.
#[derive(Args)]
pub struct Show {
    /// The recovery
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The institution's folder, whose node is asked unless --url names another
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What `take` takes.
#[derive(Args)]
pub struct Take {
    /// The recovery
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// What `send` takes.
#[derive(Args)]
pub struct Send {
    /// The recovery
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    acting: Acting,
}

/// Does what the command says.
///
/// # Errors
/// The file or the chain is otherwise; what the chain refused.
pub async fn run(command: &Command) -> Result<()> {
    match command {
        Command::Propose(options) => propose(options).await,
        Command::Sign(options) => sign(options).await,
        Command::Show(options) => show::run(&options.file, options.dir.as_deref(), &options.connection).await,
        Command::Take(options) => take(options),
        Command::Send(options) => send(options).await,
    }
}

/// The institution that signs, which must be one that remains.
async fn signing(chain: &Chain, here: &Consortium, signer: &Keypair, file: &RecoveryFile) -> Result<AccountId32> {
    let who = signs_for(chain, here, account(signer)).await?;
    let lost = file.statement()?.lost.contains(who.as_ref());
    ensure!(!lost, "{} is named among the lost: it cannot sign", here.name(&who));
    let suspended = here.institutions.get(&who).is_some_and(|it| it.suspended);
    ensure!(!suspended, "{} is suspended: its signature does not count", here.name(&who));
    Ok(who)
}

fn add(file: &mut RecoveryFile, here: &Consortium, who: &AccountId32, signer: &Keypair) -> Result<()> {
    let signature = signer.sign(&file.statement()?.digest()).0;
    file.add(*who.as_ref(), &here.name(who), &signature)
}

async fn propose(options: &Propose) -> Result<()> {
    let acting = &options.acting;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let mut lost = Vec::new();
    for text in &options.lost {
        lost.push(*AsRef::<[u8; 32]>::as_ref(&here.find(text)?));
    }
    lost.sort_unstable();
    lost.dedup();
    let from = chain.finalised().await?;
    let stated = statement::state(&chain, from, &lost, None).await?;
    let mut file = RecoveryFile::of(&stated, |id| here.name(&AccountId32::from(*id)));
    let who = signing(&chain, &here, &signer, &file).await?;
    add(&mut file, &here, &who, &signer)?;
    write_new(&options.out, &file.file(), 0o644)?;
    if acting.json() {
        return print_json(&json!({
            "done": "proposed", "file": options.out, "fingerprint": file.fingerprint()?, "from_block": from.number,
        }));
    }
    show::print(&file, Some(&show::Towards::of(&chain, &file).await?))?;
    out!("");
    out!(
        "{} is written and signed by {}. Send it to the others: each checks and signs with",
        options.out.display(),
        here.name(&who)
    );
    out!("`consilium recover sign FILE --dir FOLDER`, and reads the fingerprint to you on the telephone.");
    Ok(())
}

async fn sign(options: &Sign) -> Result<()> {
    let acting = &options.acting;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let mut file = show::read(&options.file)?;
    let stated = file.statement()?;
    ensure!(stated.genesis == chain.genesis(), "{}: it is for another chain", options.file.display());
    let (number, hash) = stated.last_final;
    let own = chain.block_at(number).await?;
    ensure!(
        own.hash == hash,
        "this node has another block {number} ({:?}) than the recovery names ({hash:?}): compare by telephone whose chain is \
         the longer one, and let all nodes follow it",
        own.hash
    );
    let last = chain.finalised().await?.number;
    ensure!(
        last <= number,
        "block {last} is final for this node, and the recovery goes on from {number}: others could make another block final than \
         those between. Propose it from here"
    );
    let ours = statement::state(&chain, own, &stated.lost, Some(&stated.sets)).await?;
    if ours.sets != stated.sets {
        bail!(
            "this node finds other sets of finality than the recovery names: {} (recovery: {}). Propose it anew here, and let \
             whoever proposed it compare",
            statement::shown(&ours),
            statement::shown(&stated)
        );
    }
    let who = signing(&chain, &here, &signer, &file).await?;
    add(&mut file, &here, &who, &signer)?;
    fs::write(&options.file, file.file()).with_context(|| format!("cannot write {}", options.file.display()))?;
    if acting.json() {
        return print_json(&json!({ "done": "signed", "fingerprint": file.fingerprint()?, "by": here.name(&who) }));
    }
    show::print(&file, Some(&show::Towards::of(&chain, &file).await?))?;
    out!("");
    out!("signed by {}; what this node has is what the recovery says", here.name(&who));
    Ok(())
}

fn take(options: &Take) -> Result<()> {
    let file = show::read(&options.file)?;
    ensure!(options.dir.join(CHAIN).is_file(), "{}: no institution's folder with a {CHAIN}", options.dir.display());
    let place = options.dir.join(format!("recovery-{}.json", file.last_final.number));
    if place.exists() {
        // more have signed since
        ensure!(
            show::read(&place)?.statement()? == file.statement()?,
            "{}: is another recovery from the same block; there must be one alone. Delete it, if this is the one that all have signed",
            place.display()
        );
        fs::write(&place, file.file()).with_context(|| format!("cannot write {}", place.display()))?;
    } else {
        write_new(&place, &file.file(), 0o644)?;
    }
    out!("{}: the node takes it up at its next start; fingerprint {}", place.display(), file.fingerprint()?);
    out!("Start `consilium up` again (units of systemd: print them anew first). Delete the file if the lost come back before that.");
    Ok(())
}

async fn send(options: &Send) -> Result<()> {
    let acting = &options.acting;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let file = show::read(&options.file)?;
    let (stated, consents) = (file.statement()?, file.consents()?);
    let towards = show::Towards::of(&chain, &file).await?;
    let done = chain.send(&signer, CONSORTIUM, "recover", (stated, consents).encode()).await;
    let done = done.with_context(|| towards.silences())?;
    let names: Vec<&str> = file.lost.iter().map(|it| it.name.as_str()).collect();
    if acting.json() {
        return print_json(&json!({ "done": "recovered", "block": done.block.number, "lost": names }));
    }
    out!(
        "{} are taken out (block {}); the validators are those who remain in half a minute",
        names.join(", "),
        done.block.number
    );
    out!("Keep the recovery: a node that joins later needs it (`consilium recover take`).");
    Ok(())
}
