//! `consilium card`: shows a card to people, and signs one where the institution's key is. ([`remake`] makes one again.)

use super::{
    folder::{find, sign, CARD, UNSIGNED_CARD},
    modes::check_modes,
    remake,
};
use crate::{key, options::Format, programs::write_new, show::print_json};
use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use consilium_founding::Card;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What `card` takes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// A card, or an institution's folder. Left out: card.json here
    #[arg(value_name = "FILE", default_value = CARD)]
    file: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is done with a card.
#[derive(Subcommand)]
enum Command {
    /// Sign a card with the institution's key
    Sign(Sign),
    /// Make a folder's card again, of its keys as they are
    Make(Box<remake::Make>),
}

/// What `sign` takes.
#[derive(Args)]
struct Sign {
    /// The card that is not signed yet
    #[arg(value_name = "FILE", default_value = UNSIGNED_CARD)]
    file: PathBuf,
    /// File with the institution's phrase, which only you can read
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File for the signed card. Left out: card.json in the same folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Shows, signs or makes a card.
///
/// # Errors
/// It is no card, or not signed as it should be.
pub async fn run(options: &Options) -> Result<()> {
    match &options.command {
        Some(Command::Sign(command)) => sign_file(command),
        Some(Command::Make(command)) => remake::run(command).await,
        None => show(&options.file, options.format),
    }
}

fn show(path: &Path, format: Format) -> Result<()> {
    if path.is_dir() {
        ensure!(
            find(path).exists(),
            "{0} is no institution's folder, for it has no {CARD}: name a card itself, as in `consilium card {0}/one.json`",
            path.display()
        );
        check_modes(path)?;
    }
    let path = find(path);
    let shown = path.display();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
    let (card, signed) = match Card::read(&bytes) {
        Ok((card, _)) => (card, true),
        Err(error) => match Card::read_unsigned(&bytes) {
            Ok((card, _)) => (card, false),
            Err(_) => return Err(error.context(shown.to_string())),
        },
    };
    if format == Format::Json {
        return print_json(&json!({ "card": card, "fingerprint": card.fingerprint(), "signed": signed }));
    }
    table(&card, signed).iter().for_each(|line| out!("{line}"));
    Ok(())
}

/// A card in lines, for people.
pub fn table(card: &Card, signed: bool) -> Vec<String> {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let addresses = if card.addresses.is_empty() { "none: it dials others".into() } else { card.addresses.join(", ") };
    let by = if signed { "yes, by node and institution" } else { "by the node alone, not yet by the institution" };
    vec![
        format!("institution  {}", card.name),
        format!("fingerprint  {}", card.fingerprint()),
        format!("consortium   {}", card.consortium),
        format!("chain        {}", card.chain.as_deref().unwrap_or("none named: it is for founding one")),
        format!("contact      {}", card.contact),
        format!("validator    {}", yes(card.validator)),
        format!("participant  {}", yes(card.participant)),
        format!("account      {}", card.account),
        format!("node         {}", card.peer),
        format!("addresses    {addresses}"),
        format!("signed       {by}"),
    ]
}

fn sign_file(command: &Sign) -> Result<()> {
    let shown = command.file.display();
    let bytes = fs::read(&command.file).with_context(|| format!("cannot read {shown}"))?;
    let (mut card, _) = Card::read_unsigned(&bytes).with_context(|| shown.to_string())?;
    sign(&mut card, &key::read(&command.key)?).with_context(|| shown.to_string())?;
    let out = command.out.clone().unwrap_or_else(|| command.file.with_file_name(CARD));
    write_new(&out, &card.file(), 0o644)?;
    out!("card         {}", out.display());
    out!("fingerprint  {}", card.fingerprint());
    Ok(())
}
