//! What institutions decide together, and what each does for itself: motions and votes, a new runtime, keys, addresses, leaving.
//!
//! * [`show`]: what is open and what was decided; [`history`] finds the latter;
//! * [`propose`], [`vote`]: what is signed about motions;
//! * [`upgrade`]: a new runtime, from its file to its first block;
//! * [`own`], [`rotate`], [`profile`]: what an institution does for itself;
//! * [`words`], [`tally`], [`who`]: motions, votes and names as people read them.

pub mod history;
pub mod own;
pub mod profile;
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
    institution::folder::{whose, INSTITUTION_KEY},
    key,
    options::{node_of, Connection, Format},
    plain::seen,
    show::{name, names},
};
use anyhow::{ensure, Result};
use clap::Args;
use consilium_primitives::InstitutionId;
use sp_core::crypto::AccountId32;
use std::path::{Path, PathBuf};
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
            (None, Some(dir)) => {
                let file = dir.join(INSTITUTION_KEY);
                ensure!(
                    file.exists(),
                    "{}: there is no such file; an institution's phrase is kept elsewhere as a rule: name its file with --key",
                    file.display()
                );
                key::read(&file)
            }
            (None, None) => anyhow::bail!("who signs? Give --dir FOLDER or --key FILE"),
        }
    }

    /// The institution that a key signs for on a chain, and its name; of a key that signs for none, the key's own account.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn institution(chain: &Chain, signer: &Keypair) -> Result<(InstitutionId, String)> {
        let at = chain.best().await?;
        let id = InstitutionId(chain.signs_for(account(signer), at).await?.into());
        Ok((id, name(&names(&chain.institutions(at).await?), &id)))
    }

    /// Refuses a key that signs for another institution than the one whose folder was named.
    async fn check_whose(&self, chain: &Chain) -> Result<()> {
        let Some((dir, (own, account))) = self.dir.as_ref().and_then(|dir| Some((dir, whose(dir)?))) else {
            return Ok(());
        };
        let signer = self.signer()?;
        if signer.public_key().0 == account {
            return Ok(());
        }
        let (id, theirs) = Self::institution(chain, &signer).await?;
        let file = self.key.clone().unwrap_or_else(|| dir.join(INSTITUTION_KEY));
        ensure!(id.0 == account, "{}", not_its_own(dir, &file, &seen(&own), &theirs));
        Ok(())
    }

    /// Whether programs read what is printed.
    pub fn json(&self) -> bool {
        self.connection.format == Format::Json
    }

    /// What a command that only reads needs at its end to ask the same node.
    pub fn asks(&self) -> String {
        let dir = self.dir.as_ref().map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default();
        dir + &self.connection.hint()
    }

    /// The node that is asked. What is signed by it is signed for the institution whose folder was named, if one was.
    ///
    /// # Errors
    /// It does not answer, or the key is another institution's than the folder.
    pub async fn chain(&self) -> Result<Chain> {
        let url = node_of(self.dir.as_deref(), &self.connection.url)?;
        let chain = Chain::connect(&url).await?.of_folder(self.dir.as_deref());
        self.check_whose(&chain).await?;
        Ok(chain)
    }
}

/// What is said of a key that is another institution's than the folder.
fn not_its_own(dir: &Path, file: &Path, own: &str, theirs: &str) -> String {
    format!(
        "--dir {}: {} signs for {theirs}, and the folder is that of {own} (by its card): put its own key there, or name it with \
         --key; nothing was signed",
        dir.display(),
        file.display()
    )
}

/// The account of a key.
pub fn account(signer: &Keypair) -> AccountId32 {
    AccountId32::from(signer.public_key().0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::options::DEFAULT_URL;

    #[test]
    fn a_key_that_is_not_the_folder_s_is_named_with_whose_it_is() {
        let said =
            not_its_own(Path::new("alder"), Path::new("alder/institution.key"), "Alder Clinic", "Birch Hospital");
        for part in [
            "--dir alder",
            "alder/institution.key signs for Birch Hospital",
            "that of Alder Clinic",
            "nothing was signed",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn a_phrase_that_is_not_there_is_said_to_be_missing_first() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection { url: DEFAULT_URL.into(), format: Format::Text };
        let acting = Acting { dir: Some(dir.path().to_owned()), key: None, connection };
        let said = acting.signer().err().unwrap().to_string();
        assert!(said.contains("institution.key: there is no such file") && said.contains("--key"), "{said}");
        assert_eq!(acting.asks(), format!(" --dir {}", dir.path().display()));
    }
}
