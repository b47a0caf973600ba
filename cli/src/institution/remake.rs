//! `consilium card make`: a folder's card, made again of the keys that are there: after a move, with other addresses, after keys
//! were rotated, or for another chain.

use super::{
    folder::{
        chain_of, find, say_card, write_card, Account, Said, SiteSettings, CARD, INSTITUTION_KEY, KEYSTORE, NODE_KEY,
        UNSIGNED_CARD,
    },
    modes::check_modes,
};
use crate::{key, programs::Programs};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use consilium_founding::Card;
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    ed25519,
    proof_of_possession::statement_of_ownership,
    sr25519, Pair,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use subxt_signer::sr25519::Keypair;

/// What a card that another one takes the place of is called from then on.
const OLD_CARD: &str = "card.old.json";

/// What `card make` takes.
#[derive(Args)]
pub struct Make {
    /// The institution's folder: name, validator and addresses are those of its consilium.toml
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// For joining the chain of this specification. Left out: for what the card of before was
    #[arg(long, value_name = "CHAIN.json")]
    join: Option<PathBuf>,
    /// For founding a consortium of this name. Left out: for what the card of before was
    #[arg(long, value_name = "NAME", conflicts_with = "join")]
    consortium: Option<String>,
    /// How others reach the institution's people. Left out: as the card of before says
    #[arg(long)]
    contact: Option<String>,
    /// Whether it is to take part in studies. Left out: as the card of before says
    #[arg(long, value_name = "yes|no", value_parser = crate::options::yes_or_no)]
    participant: Option<bool>,
    /// The institution's account, where its key is elsewhere. Left out: as the card of before says
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    /// File with the institution's key. Left out: institution.key in the folder, and without one the card is to be signed elsewhere
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// Makes the card, and says what to do with it. The one of before is kept.
///
/// # Errors
/// What is missing, and where it can be said.
pub async fn run(options: &Make) -> Result<()> {
    let dir = &options.dir;
    let settings = SiteSettings::read(dir)?;
    check_modes(dir)?;
    let before = before(dir)?;
    let signer = signer(options)?;
    let account = account(options, before.as_ref(), signer.as_ref())?;
    let (consortium, chain) = match (&options.join, &options.consortium, &before) {
        (Some(file), _, _) => {
            let (consortium, genesis) = chain_of(&Programs::find(options.bin_dir.as_deref())?, file).await?;
            (consortium, Some(genesis))
        }
        (None, Some(consortium), _) => (consortium.clone(), None),
        (None, None, Some(card)) => (card.consortium.clone(), chain_in(card)?),
        (None, None, None) => {
            bail!("{}: has no card: say with --join or --consortium what this one is for", dir.display())
        }
    };
    let said = Said {
        consortium,
        chain,
        contact: options
            .contact
            .clone()
            .or_else(|| before.as_ref().map(|card| card.contact.clone()))
            .unwrap_or_default(),
        participant: options.participant.or_else(|| before.as_ref().map(|card| card.participant)).unwrap_or(true),
        account: Account::Elsewhere(account),
        unsigned: signer.is_none(),
        settings,
    };
    let mut card = said.card(&account, &node_key(dir)?, session_keys(&dir.join(KEYSTORE), &account)?)?;
    replace(dir, &mut card, signer.as_ref())?;
    say_card(dir, &card);
    if dir.join(OLD_CARD).exists() {
        out!("The card of before is {OLD_CARD}.");
    }
    Ok(())
}

/// The card that the folder has; one that cannot be read stands in the way of none.
fn before(dir: &Path) -> Result<Option<Card>> {
    let file = find(dir);
    if !file.exists() {
        return Ok(None);
    }
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    // signed or not, it is of this folder; its signatures are made anew
    Ok(serde_json::from_slice(&bytes).ok())
}

fn signer(options: &Make) -> Result<Option<Keypair>> {
    let own = options.dir.join(INSTITUTION_KEY);
    match &options.key {
        Some(file) => key::read(file).map(Some),
        None if own.exists() => key::read(&own).map(Some),
        None => Ok(None),
    }
}

/// The institution's account: for good its first one, by which the chain knows it, also where another one signs for it by now.
fn account(options: &Make, before: Option<&Card>, signer: Option<&Keypair>) -> Result<[u8; 32]> {
    let read = |what: &str, text: &str| {
        AccountId32::from_ss58check(text)
            .map(<[u8; 32]>::from)
            .map_err(|_| anyhow::anyhow!("{what} {text}: is no address"))
    };
    match (&options.account, before, signer) {
        (Some(text), _, _) => read("--account", text),
        (None, Some(card), _) => read("the card of before: account", &card.account),
        (None, None, Some(signer)) => Ok(signer.public_key().0),
        (None, None, None) => bail!("whose card? Give --account ADDRESS, or --key FILE"),
    }
}

fn chain_in(card: &Card) -> Result<Option<[u8; 32]>> {
    let Some(text) = &card.chain else { return Ok(None) };
    let mut genesis = [0; 32];
    hex::decode_to_slice(text.trim_start_matches("0x"), &mut genesis).context("the card of before: chain")?;
    Ok(Some(genesis))
}

fn node_key(dir: &Path) -> Result<ed25519::Pair> {
    let file = dir.join(NODE_KEY);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| anyhow::anyhow!("{}: must hold 64 hexadecimal digits", file.display()))?;
    Ok(ed25519::Pair::from_seed(&seed))
}

/// The session keys of a keystore, and the proof that this folder has them, for an account: `0x` and digits, as a card holds them.
fn session_keys(keystore: &Path, account: &[u8; 32]) -> Result<(String, String)> {
    let said = statement_of_ownership(account);
    let (mut keys, mut proof) = (Vec::new(), Vec::new());
    for (kind, what) in [(b"aura", "blocks"), (b"gran", "finality"), (b"swrm", "votes")] {
        let (public, secret) = one(keystore, kind, what)?;
        let wrong =
            || anyhow::anyhow!("{}: the key for {what} is not the one that its file's name says", keystore.display());
        let signed = if kind == b"gran" {
            let pair = ed25519::Pair::from_string(&secret, None).map_err(|_| wrong())?;
            ensure!(pair.public().0 == public, wrong());
            pair.sign(&said).0
        } else {
            let pair = sr25519::Pair::from_string(&secret, None).map_err(|_| wrong())?;
            ensure!(pair.public().0 == public, wrong());
            pair.sign(&said).0
        };
        keys.extend(public);
        proof.extend(signed);
    }
    Ok((format!("0x{}", hex::encode(keys)), format!("0x{}", hex::encode(proof))))
}

/// The only key of a kind: its public half, which is in its file's name, and its secret.
fn one(keystore: &Path, kind: &[u8; 4], what: &str) -> Result<([u8; 32], String)> {
    let shown = keystore.display();
    let mut found = Vec::new();
    for entry in fs::read_dir(keystore).with_context(|| format!("cannot read {shown}"))?.flatten() {
        let mut name = [0; 36];
        if hex::decode_to_slice(entry.file_name().as_encoded_bytes(), &mut name).is_ok() && name.starts_with(kind) {
            let mut public = [0; 32];
            public.copy_from_slice(&name[4..]);
            found.push((public, entry.path()));
        }
    }
    let [(public, file)] = &found[..] else {
        bail!(
            "{shown}: has {} keys for {what}, and a card names one; `consilium rotate session` registers new ones, and with \
             --finish puts older ones away",
            found.len()
        )
    };
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // what is in the file is never repeated
    let secret =
        serde_json::from_str(&text).map_err(|_| anyhow::anyhow!("{}: no key of a keystore", file.display()))?;
    Ok((*public, secret))
}

/// Puts a card in the place of the one of before, which is kept.
fn replace(dir: &Path, card: &mut Card, signer: Option<&Keypair>) -> Result<()> {
    if let Some(signer) = signer {
        // a key of another account must be found out before anything is moved
        super::folder::sign(card, signer)?;
    }
    for name in [UNSIGNED_CARD, CARD] {
        let file = dir.join(name);
        if file.exists() {
            fs::rename(&file, dir.join(OLD_CARD)).with_context(|| format!("cannot rename {}", file.display()))?;
        }
    }
    write_card(dir, card, signer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keystore(dir: &Path, secret: &str) {
        let (sr, ed) =
            (sr25519::Pair::from_string(secret, None).unwrap(), ed25519::Pair::from_string(secret, None).unwrap());
        for (kind, public) in [(b"aura", sr.public().0), (b"gran", ed.public().0), (b"swrm", sr.public().0)] {
            let name = hex::encode([&kind[..], &public].concat());
            fs::write(dir.join(name), serde_json::to_string(secret).unwrap()).unwrap();
        }
    }

    #[test]
    fn keys_of_a_keystore_are_proven_for_one_account() {
        let dir = tempfile::tempdir().unwrap();
        let missing = session_keys(dir.path(), &[7; 32]).unwrap_err().to_string();
        assert!(missing.contains("has 0 keys for blocks"), "{missing}");
        keystore(dir.path(), "//Alice");
        let (keys, proof) = session_keys(dir.path(), &[7; 32]).unwrap();
        assert_eq!((keys.len(), proof.len()), (2 + 192, 2 + 384));
        let other = session_keys(dir.path(), &[8; 32]).unwrap();
        assert!(other.0 == keys && other.1 != proof);
        keystore(dir.path(), "//Bob");
        let two = session_keys(dir.path(), &[7; 32]).unwrap_err().to_string();
        assert!(two.contains("has 2 keys for blocks") && two.contains("--finish"), "{two}");
    }

    #[test]
    fn a_file_with_another_key_than_its_name_says_is_refused_without_repeating_it() {
        let dir = tempfile::tempdir().unwrap();
        keystore(dir.path(), "//Alice");
        for entry in fs::read_dir(dir.path()).unwrap().flatten() {
            fs::write(entry.path(), "\"//Mallory\"").unwrap();
        }
        let error = session_keys(dir.path(), &[7; 32]).unwrap_err().to_string();
        assert!(error.contains("not the one that its file") && !error.contains("Mallory"), "{error}");
    }
}
