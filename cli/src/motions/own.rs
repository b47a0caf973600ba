//! What an institution does for itself without asking anybody: its addresses, and leaving.

use super::{account, Acting};
use crate::{
    chain::{
        consortium::{Consortium, CONSORTIUM},
        Chain,
    },
    institution::folder::{SiteSettings, SETTINGS},
    show::print_json,
    up::ports::drift,
};
use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use pallet_consortium::{Address, AddressList, MAX_ADDRESSES};
use serde_json::json;
use sp_core::crypto::{AccountId32, Ss58Codec};

/// What is done with addresses.
#[derive(Subcommand)]
pub enum Addresses {
    /// Say where the others reach the institution's node
    Set(Set),
}

/// What `addresses set` takes.
#[derive(Args)]
pub struct Set {
    /// As /dns/node.example.org/tcp/30333; up to four
    #[arg(value_name = "ADDRESS", required_unless_present = "none")]
    addresses: Vec<String>,
    /// None: the node only dials others
    #[arg(long, conflicts_with = "addresses")]
    none: bool,
    #[command(flatten)]
    acting: Acting,
}

/// What `leave` takes.
#[derive(Args)]
pub struct Leave {
    /// The institution's own name, whole, so that nobody leaves by mistake
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    acting: Acting,
}

/// The institution that a key signs for.
///
/// # Errors
/// There is none.
pub async fn signs_for(chain: &Chain, here: &Consortium, signer: AccountId32) -> Result<AccountId32> {
    let who = if here.institutions.contains_key(&signer) { signer } else { chain.signs_for(signer, here.at).await? };
    let shown = who.to_ss58check();
    ensure!(here.institutions.contains_key(&who), "{shown} is no institution of this chain, and signs for none");
    Ok(who)
}

/// Says where the others reach the node.
///
/// # Errors
/// An address is none, or what the chain refused.
pub async fn addresses(command: &Addresses) -> Result<()> {
    let Addresses::Set(options) = command;
    let acting = &options.acting;
    for address in &options.addresses {
        consilium_founding::check_address(address)?;
    }
    let list: Option<Vec<Address>> =
        options.addresses.iter().map(|text| Address::try_from(text.as_bytes().to_vec()).ok()).collect();
    let list: Option<AddressList> = list.and_then(|all| all.try_into().ok());
    let list = list.with_context(|| format!("a node has at most {MAX_ADDRESSES} addresses"))?;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let done = chain.send(&signer, CONSORTIUM, "set_addresses", list.encode()).await?;
    if acting.json() {
        return print_json(&json!({ "done": "addresses", "block": done.block.number, "addresses": options.addresses }));
    }
    let all = if options.none { "none: the node only dials others".into() } else { options.addresses.join(", ") };
    out!("addresses    {all} (block {})", done.block.number);
    if let Some(dir) = &acting.dir {
        let settings = SiteSettings::read(dir).ok();
        let told = settings.map(|settings| SiteSettings { addresses: options.addresses.clone(), ..settings });
        if let Some(words) = told.as_ref().and_then(drift) {
            out!("Note: {words}.");
        }
        out!("The others learn them from the chain. Where the node listens is in {SETTINGS}.");
    }
    Ok(())
}

/// Takes the institution out of the consortium.
///
/// # Errors
/// It has another name, or what the chain refused.
pub async fn leave(options: &Leave) -> Result<()> {
    let acting = &options.acting;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let who = signs_for(&chain, &here, account(&signer)).await?;
    let name = here.name(&who);
    ensure!(options.name == name, "this key signs for {name:?}, not for {:?}: give the name whole", options.name);
    let done = chain.send(&signer, CONSORTIUM, "leave", Vec::new()).await?;
    if acting.json() {
        return print_json(&json!({ "done": "left", "block": done.block.number, "institution": name }));
    }
    out!("{name} has left the consortium (block {})", done.block.number);
    out!("  its studies go on without it; to come back it must be admitted");
    if here.validators.contains(&who) {
        out!(
            "  let its node run until the set of validators has changed and that is final: finality needs {} of {} until then",
            super::words::finality(here.validators.len()),
            here.validators.len()
        );
    }
    Ok(())
}
