//! `consilium authorities`: who finalises blocks, as the file that `consilium audit --trust-authorities` takes.

use super::{finality::AuthoritySet, format, verify, Trust};
use crate::{
    options::{Asked, Format},
    programs::write_new,
    show::print_json,
};
use anyhow::{Context, Result};
use clap::Args;
use codec::Decode;
use consilium_primitives::Hash;
use sp_consensus_grandpa::AuthorityList;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Whose authorities are wanted, and where they go.
#[derive(Args)]
pub struct Options {
    /// Take them from this archive, made by `consilium export`, in place of a node. Whoever made it could have made them up
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "url"])]
    archive: Option<PathBuf>,
    /// File with the age key that opens an encrypted archive
    #[arg(long, value_name = "FILE", requires = "archive")]
    identity: Option<PathBuf>,
    /// The file to write. Left out: they are only shown
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

/// The authorities in a chain's state.
struct Found {
    /// Hash of block 0.
    genesis: Hash,
    /// Number of the block in whose state they stand.
    block: u32,
    /// The set.
    set: AuthoritySet,
    /// Names of institutions by their registered key, where a node was asked.
    names: BTreeMap<[u8; 32], String>,
}

/// Shows who finalises blocks, and writes it to a file.
///
/// # Errors
/// No node answers, the archive is damaged, or the file is there already.
pub async fn run(options: &Options) -> Result<()> {
    let found = match &options.archive {
        Some(path) => of_archive(path, options.identity.as_deref())?,
        None => of_node(&options.asked).await?,
    };
    let document = found.set.json(&found.genesis)?;
    if let Some(out) = &options.out {
        write_new(out, (serde_json::to_string_pretty(&document)? + "\n").as_bytes(), 0o644)?;
    }
    if options.asked.connection.format == Format::Json {
        return print_json(&document);
    }
    found.lines().iter().for_each(|line| out!("{line}"));
    if options.archive.is_some() {
        out!("  whoever made the archive could have made them up: compare them with what a node of yours, or several institutions, say");
    }
    match &options.out {
        Some(out) => out!("  written to {}, for `consilium audit --trust-authorities`", out.display()),
        None => out!("  --out FILE writes them as `consilium audit --trust-authorities` takes them"),
    }
    Ok(())
}

/// At the newest final block of a node.
async fn of_node(asked: &Asked) -> Result<Found> {
    let chain = asked.chain().await?;
    let at = chain.finalised().await?;
    let bytes = chain.state_call("GrandpaApi_grandpa_authorities", &[], at).await?;
    let authorities = AuthorityList::decode(&mut &bytes[..]).context("the node's list of voters cannot be read")?;
    let set = AuthoritySet { id: chain.set_id(at).await?, authorities };
    let here = chain.consortium(at).await?;
    let mut names = BTreeMap::new();
    for who in here.institutions.keys() {
        if let Some(keys) = chain.registered_keys(who, at).await? {
            // blocks, finality, votes
            if let Some(key) = keys.get(32..64).and_then(|key| <[u8; 32]>::try_from(key).ok()) {
                names.insert(key, here.name(who));
            }
        }
    }
    Ok(Found { genesis: chain.genesis(), block: at.number, set, names })
}

/// In an archive's own state, which must hold together.
fn of_archive(path: &Path, identity: Option<&Path>) -> Result<Found> {
    let (evidence, blobs) = format::open(path, identity)?;
    let trust = Trust { trust_nothing: true, ..Trust::default() };
    let opened = verify(&evidence, blobs, &trust).with_context(|| format!("the archive {}", path.display()))?;
    let history = opened.proven.history;
    Ok(Found { genesis: history.genesis, block: history.now, set: opened.proven.set, names: BTreeMap::new() })
}

impl Found {
    /// For people.
    fn lines(&self) -> Vec<String> {
        let set = &self.set;
        let mut lines = vec![format!(
            "authority set {} in the state of block {}, on the chain whose block 0 is {}",
            set.id,
            self.block,
            hex::encode(self.genesis)
        )];
        lines.extend(set.authorities.iter().map(|(id, weight)| {
            let key: &[u8] = id.as_ref();
            let name = <[u8; 32]>::try_from(key).ok().and_then(|key| self.names.get(&key));
            let name = name.map(|name| format!("  {name}")).unwrap_or_default();
            format!("  0x{}  weight {weight}{name}", hex::encode(key))
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::testing::{pair, set, Made, SET},
        *,
    };
    use sp_core::Pair;
    use std::fs;

    #[test]
    fn the_file_is_one_that_an_audit_trusts() {
        let made = Made::new(false);
        made.write(&made.evidence);
        let found = of_archive(&made.path(), None).unwrap();
        assert_eq!((&found.set, found.block), (&set(SET, &[1, 2, 3, 4]), 20));
        let file = made.folder.path().join("trusted.json");
        fs::write(&file, found.set.json(&found.genesis).unwrap().to_string()).unwrap();
        assert_eq!(AuthoritySet::read(&file).unwrap(), (found.genesis, found.set));
        let opened = made.opened(&made.evidence, &Trust { trust_authorities: Some(file), ..Trust::default() }).unwrap();
        assert!(opened.rests_on.starts_with("relative to authority set 5"), "{}", opened.rests_on);
        // a changed archive gives none
        let mut evidence = made.evidence.clone();
        evidence.proof.pop();
        made.write(&evidence);
        assert!(of_archive(&made.path(), None).is_err());
    }

    #[test]
    fn each_key_is_shown_with_whose_it_is_where_that_is_known() {
        let key = pair(2).public().0;
        let found = Found {
            genesis: Hash::repeat_byte(7),
            block: 30,
            set: set(4, &[1, 2]),
            names: BTreeMap::from([(key, "Birch Hospital".to_owned())]),
        };
        let lines = found.lines();
        assert!(
            lines[0].starts_with("authority set 4 in the state of block 30") && lines[0].contains(&"07".repeat(32))
        );
        assert!(lines[1].ends_with("weight 1"), "{lines:?}");
        assert_eq!(lines[2], format!("  0x{}  weight 1  Birch Hospital", hex::encode(key)));
    }
}
