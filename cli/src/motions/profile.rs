//! What an institution says about itself on the chain: `consilium profile set` and `show`.

use super::{account, own::signs_for, Acting};
use crate::{
    chain::consortium::{Consortium, CONSORTIUM},
    options::{Asked, Format},
    plain::seen,
    show::print_json,
};
use anyhow::{anyhow, bail, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_primitives::{text::unseen, InstitutionId};
use pallet_consortium::{Profile, MAX_PROFILE_LEN};
use serde_json::{json, Value};
use sp_core::crypto::AccountId32;
use std::{fs, path::PathBuf};

/// What is done with profiles.
#[derive(Subcommand)]
pub enum Command {
    /// Say something about the institution, which all members can read and the chain's history keeps
    Set(Box<Set>),
    /// What institutions say about themselves
    Show(Show),
}

/// What `profile set` takes.
#[derive(Args)]
pub struct Set {
    /// Plain text: whom to call, where to write; 512 bytes at most
    #[arg(value_name = "TEXT", required_unless_present_any = ["file", "none"], conflicts_with_all = ["file", "none"])]
    text: Option<String>,
    /// A file with the text
    #[arg(long, value_name = "FILE", conflicts_with = "none")]
    file: Option<PathBuf>,
    /// Nothing any more
    #[arg(long)]
    none: bool,
    #[command(flatten)]
    acting: Acting,
}

/// What `profile show` takes.
#[derive(Args)]
pub struct Show {
    /// An institution by name or account. Left out: all
    #[arg(value_name = "WHO")]
    who: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Sets or shows profiles.
///
/// # Errors
/// A text that cannot be a profile; no such institution; what the chain refused.
pub async fn run(command: &Command) -> Result<()> {
    match command {
        Command::Set(options) => set(options).await,
        Command::Show(options) => show(options).await,
    }
}

async fn set(options: &Set) -> Result<()> {
    let acting = &options.acting;
    let text = match (&options.text, &options.file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            text.replace("\r\n", "\n").trim_end_matches('\n').to_owned()
        }
        (None, None) => String::new(),
    };
    let profile = checked(&text)?;
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let name = here.name(&signs_for(&chain, &here, account(&signer)).await?);
    let done = chain.send(&signer, CONSORTIUM, "set_profile", profile.encode()).await?;
    if acting.json() {
        return print_json(
            &json!({ "done": "profile", "block": done.block.number, "institution": name, "profile": text }),
        );
    }
    match text.is_empty() {
        true => out!("{name} says nothing about itself any more (block {})", done.block.number),
        false => out!("{name} says about itself now (block {}):\n{}", done.block.number, shown(&text)),
    }
    Ok(())
}

async fn show(options: &Show) -> Result<()> {
    let chain = options.asked.chain().await?;
    let here = chain.consortium(chain.best().await?).await?;
    let all = match &options.who {
        Some(text) => vec![here.find(text)?],
        None => here.institutions.keys().cloned().collect(),
    };
    let told: Vec<(AccountId32, String)> = all.into_iter().map(|who| (who.clone(), text_of(&here, &who))).collect();
    if options.asked.connection.format == Format::Json {
        let each = |(who, text): &(AccountId32, String)| json!({ "id": InstitutionId(who.clone().into()).to_string(), "name": here.name(who), "profile": text });
        return print_json(&Value::Array(told.iter().map(each).collect()));
    }
    for (who, text) in &told {
        match text.is_empty() {
            true => out!("{}: nothing", here.name(who)),
            false => out!("{}:\n{}", here.name(who), shown(text)),
        }
    }
    Ok(())
}

/// What an institution says about itself; empty where it says nothing.
fn text_of(here: &Consortium, who: &AccountId32) -> String {
    here.institutions.get(who).map(|it| String::from_utf8_lossy(&it.profile).into_owned()).unwrap_or_default()
}

/// A profile for people, indented, each line for itself.
fn shown(text: &str) -> String {
    text.split('\n').map(|line| format!("  {}", seen(line))).collect::<Vec<_>>().join("\n")
}

/// A text as the chain takes it: it must be plain, and not too long.
///
/// # Errors
/// What is wrong with it.
fn checked(text: &str) -> Result<Profile> {
    if let Some(wrong) = text.chars().find(|c| unseen(*c) && *c != '\n') {
        bail!(
            "a profile is plain text, and this one has a character that is not seen ({}): write it without",
            wrong.escape_unicode()
        );
    }
    let length = text.len();
    Profile::try_from(text.as_bytes().to_vec()).map_err(|_| {
        anyhow!("a profile has at most {MAX_PROFILE_LEN} bytes, and this one has {length}: make it shorter")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::motions::tally::tests::consortium;

    #[test]
    fn a_profile_is_plain_and_short_or_refused_with_what_is_wrong() {
        let text = "Universitätsklinikum Köln\nstudies@koeln.example";
        assert_eq!(checked(text).unwrap().to_vec(), text.as_bytes());
        // as the chain takes it: its length in SCALE, then its bytes
        assert_eq!(checked("Köln").unwrap().encode(), [&[5 << 2][..], "Köln".as_bytes()].concat());
        assert!(checked("").unwrap().is_empty());
        let said = checked("a\u{1b}[2Jb").unwrap_err().to_string();
        assert!(said.contains("\\u{1b}") && said.contains("write it without"), "{said}");
        assert!(checked("\u{202e}").is_err());
        checked(&"ö".repeat(256)).unwrap();
        let said = checked(&"ö".repeat(257)).unwrap_err().to_string();
        assert!(said.contains("at most 512 bytes") && said.contains("514"), "{said}");
    }

    #[test]
    fn what_others_say_about_themselves_moves_nothing_on_a_terminal() {
        let mut here = consortium(&["hill"]);
        let (who, it) = here.institutions.iter_mut().next().unwrap();
        let who = who.clone();
        it.profile = Profile::truncate_from("one\nt\u{1b}wo".into());
        assert_eq!(shown(&text_of(&here, &who)), "  one\n  t\\u{1b}wo");
    }
}
