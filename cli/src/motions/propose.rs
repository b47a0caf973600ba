//! `consilium propose`: a motion is put to the vote.

use super::{
    vote::{explain, tell},
    words::{share_of, KINDS},
    Acting,
};
use crate::{
    chain::{
        consortium::{Consortium, Motion, CONSORTIUM},
        Chain,
    },
    institution::card::table,
    options::yes_or_no,
    show::running,
};
use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_founding::{Card, Identity, Span};
use consilium_primitives::Hash;
use pallet_consortium::{Address, Admission, Share, MAX_VOICES, RESCUE_LEAST, RESCUE_MOST};
use sp_core::crypto::{AccountId32, Ss58Codec};
use std::{fs, path::PathBuf};

/// What can be proposed.
#[derive(Subcommand)]
pub enum Command {
    /// Admit an institution, by its card: name, flags, node, addresses and session keys in one act
    Admit(Admit),
    /// Suspend an institution
    Suspend(Whom),
    /// Reinstate a suspended institution
    Reinstate(Whom),
    /// Remove an institution for good
    Remove(Remove),
    /// Change what an institution does: make blocks, take part in studies
    Flags(Flags),
    /// Change how many voices decide what
    Thresholds(Shares),
    /// Give an institution another account, by which it signs from then on
    Account(Account),
    /// Call the new runtime off that was decided and is not applied yet
    CancelUpgrade(Plain),
    /// Let finality go on without validators that are gone for good; suspend those first
    Rescue(Rescue),
}

/// What `admit` takes.
#[derive(Args)]
pub struct Admit {
    /// The newcomer's card, made by `consilium init --join CHAIN.json`
    #[arg(value_name = "CARD")]
    card: PathBuf,
    #[command(flatten)]
    acting: Acting,
}

/// What motions about an institution take.
#[derive(Args)]
pub struct Whom {
    /// The institution: its name or account, or a beginning that no other has
    #[arg(value_name = "INSTITUTION")]
    who: String,
    #[command(flatten)]
    acting: Acting,
}

/// What `remove` takes.
#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    whom: Whom,
    /// Cut its node off at once, although finality may still wait for it
    #[arg(long)]
    at_once: bool,
}

/// What `flags` takes.
#[derive(Args)]
pub struct Flags {
    /// Whether it makes blocks. Left out: as it is
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no, required_unless_present = "participant")]
    validator: Option<bool>,
    /// Whether it takes part in studies. Left out: as it is
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    participant: Option<bool>,
    #[command(flatten)]
    whom: Whom,
}

/// What `thresholds` takes.
#[derive(Args)]
pub struct Shares {
    /// KIND=NUM/DEN for at least so much, KIND=+NUM/DEN for more than it, as in admit=3/4 or suspend=+1/2; the others stay
    #[arg(value_name = "KIND=SHARE", required = true, value_parser = kind_and_share)]
    shares: Vec<(String, Share)>,
    #[command(flatten)]
    acting: Acting,
}

/// What `account` takes.
#[derive(Args)]
pub struct Account {
    /// The institution's new account
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    #[command(flatten)]
    whom: Whom,
}

/// What `cancel-upgrade` takes.
#[derive(Args)]
pub struct Plain {
    #[command(flatten)]
    acting: Acting,
}

/// What `rescue` takes.
#[derive(Args)]
pub struct Rescue {
    /// Number of the last block that was final for everybody. Left out: the last that is final for this node
    #[arg(long, value_name = "BLOCK")]
    from_block: Option<u32>,
    /// How long after the next change of validators finality begins anew
    #[arg(long, value_name = "TIME", default_value = "1m")]
    delay: Span,
    #[command(flatten)]
    acting: Acting,
}

/// Proposes.
///
/// # Errors
/// What cannot be proposed, and why; what the chain refused.
pub async fn run(command: Command) -> Result<()> {
    let acting = match &command {
        Command::Admit(options) => &options.acting,
        Command::Suspend(whom) | Command::Reinstate(whom) => &whom.acting,
        Command::Remove(options) => &options.whom.acting,
        Command::Flags(options) => &options.whom.acting,
        Command::Thresholds(options) => &options.acting,
        Command::Account(options) => &options.whom.acting,
        Command::CancelUpgrade(options) => &options.acting,
        Command::Rescue(options) => &options.acting,
    };
    let chain = acting.chain().await?;
    let here = chain.consortium(chain.best().await?).await?;
    let motion = match &command {
        Command::Admit(options) => admit(options, &chain, &here)?,
        Command::Suspend(whom) => Motion::Suspend { who: here.find(&whom.who)? },
        Command::Reinstate(whom) => Motion::Reinstate { who: here.find(&whom.who)? },
        Command::Remove(options) => Motion::Remove { who: here.find(&options.whom.who)?, at_once: options.at_once },
        Command::Flags(options) => flags(options, &here)?,
        Command::Thresholds(options) => thresholds(options, &here)?,
        Command::Account(options) => {
            Motion::RotateAccount { who: here.find(&options.whom.who)?, to: address("--to", &options.to)? }
        }
        Command::CancelUpgrade(_) => Motion::CancelUpgrade,
        Command::Rescue(options) => rescue(options, &chain, &here).await?,
    };
    propose(acting, &chain, &here, motion).await
}

/// Sends a motion and tells what became of it.
///
/// # Errors
/// What the chain refused.
pub async fn propose(acting: &Acting, chain: &Chain, here: &Consortium, motion: Motion) -> Result<()> {
    let signer = acting.signer()?;
    explain(acting, here, &motion, &running(chain, here.at).await?);
    let done = chain.send(&signer, CONSORTIUM, "propose", motion.encode()).await?;
    let proposed = done.events.iter().find(|event| event.pallet == CONSORTIUM && event.name == "Proposed");
    let number = proposed.and_then(|event| event.fields.get(..4)).and_then(|bytes| bytes.try_into().ok());
    let number = u32::from_le_bytes(number.context("the chain does not say which number the motion has")?);
    tell(acting, chain, number, "proposed, which is an aye", &done).await
}

fn address(what: &str, text: &str) -> Result<AccountId32> {
    AccountId32::from_ss58check(text).map_err(|_| anyhow::anyhow!("{what} {text}: is no address"))
}

fn admit(options: &Admit, chain: &Chain, here: &Consortium) -> Result<Motion> {
    let shown = options.card.display();
    let bytes = fs::read(&options.card).with_context(|| format!("cannot read {shown}"))?;
    let (card, identity) = Card::read(&bytes).with_context(|| shown.to_string())?;
    let admission = admission(&card, &identity, &chain.genesis()).with_context(|| shown.to_string())?;
    let folded = card.name.to_lowercase();
    for (who, other) in &here.institutions {
        let name = String::from_utf8_lossy(&other.name);
        ensure!(*who != admission.who, "{shown}: its account is that of {} already", here.name(who));
        ensure!(name.to_lowercase() != folded, "{shown}: an institution has the name {name:?} already");
    }
    if !options.acting.json() {
        table(&card, true).iter().for_each(|line| out!("{line}"));
        out!("Read the fingerprint to the newcomer's people, over a line that you knew before.");
    }
    Ok(Motion::Admit(admission))
}

/// A card as the chain takes it.
///
/// # Errors
/// It is for another chain, or for founding one.
pub fn admission(card: &Card, identity: &Identity, genesis: &Hash) -> Result<Admission<AccountId32>> {
    let chain = identity
        .chain
        .context("this card is for founding a chain; a newcomer makes one with `consilium init --join CHAIN.json`")?;
    ensure!(
        Hash::from(chain) == *genesis,
        "this card is for another chain, 0x{}; this one begins with {genesis:?}",
        hex::encode(chain)
    );
    let claim = card.peer_claim.as_deref().unwrap_or_default().trim_start_matches("0x");
    let claim: [u8; 64] = hex::decode(claim).ok().and_then(|bytes| bytes.try_into().ok()).context("peer_claim")?;
    let address = |text: &String| Address::try_from(text.as_bytes().to_vec()).ok();
    let addresses: Option<Vec<Address>> = card.addresses.iter().map(address).collect();
    Ok(Admission {
        who: identity.account.into(),
        name: card.name.as_bytes().to_vec().try_into().map_err(|_| anyhow::anyhow!("its name is too long"))?,
        validator: card.validator,
        participant: card.participant,
        node_key: identity.peer.key,
        claim,
        addresses: addresses.and_then(|all| all.try_into().ok()).context("its addresses are too many or too long")?,
        keys: identity.keys.concat().try_into().map_err(|_| anyhow::anyhow!("its session keys are too long"))?,
        proof: identity.proof.clone().try_into().map_err(|_| anyhow::anyhow!("its proof is too long"))?,
    })
}

fn flags(options: &Flags, here: &Consortium) -> Result<Motion> {
    let who = here.find(&options.whom.who)?;
    let now = here.institutions.get(&who).context("the institution has gone")?;
    let (validator, participant) =
        (options.validator.unwrap_or(now.validator), options.participant.unwrap_or(now.participant));
    ensure!(
        (validator, participant) != (now.validator, now.participant),
        "{} has these flags already",
        here.name(&who)
    );
    Ok(Motion::SetFlags { who, validator, participant })
}

fn thresholds(options: &Shares, here: &Consortium) -> Result<Motion> {
    let mut all = here.thresholds.clone();
    for (kind, share) in &options.shares {
        ensure!(
            share.is_sound(MAX_VOICES),
            "{kind}: must be more than half, and not so much that one of four institutions could hold it up for ever"
        );
        *share_of(&mut all, kind).with_context(|| format!("{kind}: no kind of motion"))? = *share;
    }
    Ok(Motion::SetThresholds(all))
}

async fn rescue(options: &Rescue, chain: &Chain, here: &Consortium) -> Result<Motion> {
    let best_final = match options.from_block {
        Some(number) => number,
        None => chain.finalised().await?.number,
    };
    let bounds = RESCUE_LEAST..=RESCUE_MOST;
    ensure!(bounds.contains(&options.delay.millis), "--delay {}: must be between 20s and 1h", options.delay);
    let delay = options.delay.millis.div_ceil(u64::from(here.block_ms.max(1)));
    Ok(Motion::Rescue { delay: u32::try_from(delay)?, best_final })
}

fn kind_and_share(text: &str) -> Result<(String, Share), String> {
    let how = || format!("must be KIND=NUM/DEN or KIND=+NUM/DEN, and KIND one of {}", KINDS.join(", "));
    let (kind, share) = text.split_once('=').ok_or_else(how)?;
    let (num, den) = share.trim_start_matches('+').split_once('/').ok_or_else(how)?;
    let number = |text: &str| text.parse::<u8>().ok();
    match (KINDS.contains(&kind), number(num), number(den)) {
        (true, Some(num), Some(den)) if den > 0 => Ok((kind.into(), Share { num, den, more: share.starts_with('+') })),
        _ => Err(how()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        let is = |text: &str| kind_and_share(text);
        assert_eq!(is("admit=3/4"), Ok(("admit".into(), Share { num: 3, den: 4, more: false })));
        assert_eq!(is("suspend=+1/2"), Ok(("suspend".into(), Share { num: 1, den: 2, more: true })));
        for wrong in ["admit", "admit=", "admit=3", "admit=1/0", "admit=300/4", "none=1/2", "admit=a/b"] {
            assert!(is(wrong).is_err_and(|text| text.contains("cancel-upgrade")), "{wrong}");
        }
        assert_eq!((yes_or_no("yes"), yes_or_no("no")), (Ok(true), Ok(false)));
        assert!(yes_or_no("true").is_err());
    }
}
