//! `consilium init`: an institution's folder, with all keys, and a card for the others.

use super::folder::{chain_of, make, say_card, Account, Said, SiteSettings, INSTITUTION_KEY};
use crate::{
    programs::{write_new, Programs},
    up::{
        arguments::CHAIN,
        ports::{drift, port_of, shared, sockets},
    },
};
use anyhow::{bail, Context, Result};
use clap::Args;
use sp_core::crypto::{AccountId32, Ss58Codec};
use std::{fs, path::PathBuf};

/// What `init` takes.
#[derive(Args)]
pub struct Options {
    /// Name of the consortium that is to be founded, the same for all
    #[arg(long, value_name = "NAME")]
    consortium: Option<String>,
    /// Join the chain of this specification instead of founding one
    #[arg(long, value_name = "CHAIN.json", conflicts_with = "consortium")]
    join: Option<PathBuf>,
    /// The institution's name
    #[arg(long)]
    name: String,
    /// How others reach its people
    #[arg(long, default_value = "")]
    contact: String,
    /// Where others reach its node, as /dns/node.example.org/tcp/30333; up to four. Left out: the node only dials others
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// TCP port on which the node listens. Left out: that of the first --address, or 30333
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// First of the three ports of this machine alone: JSON-RPC, figures, worker. Left out: 9944, 9615 and 8601. A second
    /// institution on one machine needs others
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_533))]
    ports_from: Option<u16>,
    /// Make no blocks
    #[arg(long)]
    no_validator: bool,
    /// Take no part in studies
    #[arg(long)]
    no_participant: bool,
    /// The institution's account, whose phrase stays where it is; the card is signed there, with `consilium card sign`
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    /// Write the card without the account's signature, which `consilium card sign` adds
    #[arg(long)]
    unsigned: bool,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// Makes an institution's folder and says what to do with it.
///
/// # Errors
/// What stands in the way. Nothing is left then.
pub async fn run(options: Options) -> Result<()> {
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let (consortium, chain) = match (&options.join, options.consortium) {
        (Some(file), _) => {
            let (consortium, genesis) = chain_of(&programs, file).await?;
            (consortium, Some(genesis))
        }
        (None, Some(consortium)) => (consortium, None),
        (None, None) => bail!("found or join? Give --consortium NAME for one that is to be founded, or --join CHAIN.json for one that exists"),
    };
    let account = match &options.account {
        Some(text) => {
            let account =
                AccountId32::from_ss58check(text).map_err(|_| anyhow::anyhow!("--account {text}: is no address"))?;
            Account::Elsewhere(account.into())
        }
        None => Account::fresh()?,
    };
    for address in &options.addresses {
        consilium_founding::check_address(address).context("--address")?;
    }
    let elsewhere = matches!(account, Account::Elsewhere(_));
    let unsigned = options.unsigned || elsewhere;
    let port = options.port.or_else(|| port_of(options.addresses.first()?)).unwrap_or(30333);
    let mut settings = SiteSettings::usual(&options.name, !options.no_validator, port, options.addresses);
    if let Some(first) = options.ports_from {
        (settings.rpc_port, settings.prometheus_port, settings.worker_port) = (first, first + 1, first + 2);
    }
    sockets(&settings).context("these ports do not go together (--address, --port, --ports-from)")?;
    let (notes, listens) = ([drift(&settings), shared(&settings, &options.dir)], settings.ports());
    let said = Said {
        consortium,
        chain,
        contact: options.contact,
        participant: !options.no_participant,
        account,
        unsigned,
        settings,
    };
    let card = make(&programs, &options.dir, &said).await?;
    let dir = options.dir.display();
    if let Some(file) = &options.join {
        let own = options.dir.join(CHAIN);
        let chain = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        write_new(&own, &chain, 0o644).with_context(|| format!("cannot copy {} into the folder", file.display()))?;
    }
    out!("folder       {dir}");
    say_card(&options.dir, &card);
    if !elsewhere {
        out!(
            "{dir}/{INSTITUTION_KEY} signs studies and motions; node and worker never need it. A trial leaves it there. Before real \
             use: write its phrase of 24 words down on paper, twice, and keep it off this machine (`--key FILE` names it wherever it lies)."
        );
    }
    out!("{listens}");
    for words in notes.into_iter().flatten() {
        out!("Note: {words}.");
    }
    if card.addresses.is_empty() {
        out!("No --address was given: this node dials the others, and nobody dials it.");
    }
    Ok(())
}
