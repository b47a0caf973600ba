//! What institutions decide together, and what each does for itself: motions and votes, a new runtime, keys, addresses, leaving.
//!
//! * [`show`]: what is open and what was decided; [`history`] finds the latter;
//! * [`propose`], [`vote`]: what is signed about motions;
//! * [`upgrade`]: a new runtime, from its file to its first block;
//! * [`own`], [`rotate`]: what an institution does for itself;
//! * [`words`], [`tally`], [`who`]: motions, votes and names as people read them.

pub mod history;
pub mod own;
pub mod propose;
pub mod rotate;
pub mod show;
pub mod tally;
pub mod upgrade;
pub mod vote;
pub mod who;
pub mod words;

use crate::{
    chain::Chain,
    institution::folder::{SiteSettings, INSTITUTION_KEY, SETTINGS},
    key, Connection, Format, DEFAULT_URL,
};
use anyhow::{ensure, Context, Result};
use clap::Args;
use sp_core::crypto::AccountId32;
use std::{
    fs,
    path::{Path, PathBuf},
};
use subxt_signer::sr25519::Keypair;

/// Who signs, and by which node.
#[derive(Args)]
pub struct Acting {
    /// The institution's folder: its institution.key signs, and its node is asked unless --url names another
    #[arg(long, value_name = "DIR", required_unless_present = "key")]
    pub dir: Option<PathBuf>,
    /// File with the institution's key: one line, a secret phrase or 0x and 64 hexadecimal digits; mode 600
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
}

impl Acting {
    /// What a command that is shown to people needs at its end to be signed by the same key, and to ask the same node.
    pub fn hint(&self) -> String {
        let given = [("--dir", &self.dir), ("--key", &self.key)].into_iter();
        let given = given.filter_map(|(option, path)| Some(format!(" {option} {}", path.as_ref()?.display())));
        given.collect::<String>() + &self.connection.hint()
    }

    /// The key that signs.
    ///
    /// # Errors
    /// There is none, or others can read it.
    pub fn signer(&self) -> Result<Keypair> {
        node_of(self.dir.as_deref(), &self.connection.url)?;
        match (&self.key, &self.dir) {
            (Some(file), _) => key::read(file),
            (None, Some(dir)) => key::read(&dir.join(INSTITUTION_KEY)).with_context(|| {
                format!(
                    "an institution's phrase is kept elsewhere as a rule; name its file with --key (folder {})",
                    dir.display()
                )
            }),
            (None, None) => anyhow::bail!("who signs? Give --dir FOLDER or --key FILE"),
        }
    }

    /// Whether programs read what is printed.
    pub fn json(&self) -> bool {
        self.connection.format == Format::Json
    }

    /// What a command that only reads needs at its end to ask the same node.
    pub fn asks(&self) -> String {
        match node_of(self.dir.as_deref(), &self.connection.url) {
            Ok(url) if url != DEFAULT_URL => format!(" --url {url}"),
            _ => String::new(),
        }
    }

    /// The node that is asked.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn chain(&self) -> Result<Chain> {
        Chain::connect(&node_of(self.dir.as_deref(), &self.connection.url)?).await
    }
}

/// JSON-RPC address of a folder's node, where no other was named.
///
/// # Errors
/// The folder's settings cannot be read.
pub fn node_of(dir: Option<&Path>, url: &str) -> Result<String> {
    let Some(dir) = dir else { return Ok(url.to_owned()) };
    // another one's node would be asked in its place
    ensure!(
        dir.is_dir(),
        "--dir {}: there is no such folder; name the one that `consilium init` has made",
        dir.display()
    );
    if url != DEFAULT_URL {
        return Ok(url.to_owned());
    }
    let file = dir.join(SETTINGS);
    if !file.exists() {
        return Ok(url.to_owned());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings: SiteSettings = toml::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(format!("ws://127.0.0.1:{}", settings.rpc_port))
}

/// The account of a key.
pub fn account(signer: &Keypair) -> AccountId32 {
    AccountId32::from(signer.public_key().0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_says_where_its_node_answers_unless_another_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(node_of(Some(dir.path()), DEFAULT_URL).unwrap(), DEFAULT_URL);
        let mut settings = SiteSettings::usual("x", true, 1, Vec::new());
        settings.rpc_port = 7;
        fs::write(dir.path().join(SETTINGS), toml::to_string(&settings).unwrap()).unwrap();
        assert_eq!(node_of(Some(dir.path()), DEFAULT_URL).unwrap(), "ws://127.0.0.1:7");
        assert_eq!(node_of(Some(dir.path()), "ws://127.0.0.1:8").unwrap(), "ws://127.0.0.1:8");
        assert_eq!(node_of(None, DEFAULT_URL).unwrap(), DEFAULT_URL);
        let nowhere = dir.path().join("nowhere");
        for url in [DEFAULT_URL, "ws://127.0.0.1:8"] {
            assert!(node_of(Some(&nowhere), url).unwrap_err().to_string().contains("consilium init"));
        }
        fs::write(dir.path().join(SETTINGS), "rpc_port").unwrap();
        assert!(format!("{:#}", node_of(Some(dir.path()), DEFAULT_URL).unwrap_err()).contains(SETTINGS));
    }
}
