//! The calls of a runtime: what can be signed, and how its arguments are built. Held against each other before a new runtime is
//! voted on.

use super::{Block, Chain};
use crate::institution::folder::node_answer;
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use std::{collections::BTreeMap, path::Path, process::Command};
use subxt::metadata::Metadata;

/// Version of the metadata that both are read from.
const METADATA: u32 = 15;

/// Calls by `Pallet.call`, each with a hash of its arguments, their names and all that their types are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<String, [u8; 32]>);

impl Calls {
    /// Those of a runtime with this metadata.
    ///
    /// # Errors
    /// It is none.
    pub fn of(metadata: &[u8]) -> Result<Self> {
        let metadata = Metadata::decode_from(metadata).context("its metadata cannot be read")?;
        let mut calls = BTreeMap::new();
        for pallet in metadata.pallets() {
            for call in pallet.call_variants().unwrap_or_default() {
                let hash = pallet.call_hash(&call.name).unwrap_or_default();
                calls.insert(format!("{}.{}", pallet.name(), call.name), hash);
            }
        }
        Ok(Self(calls))
    }

    /// Those of a compiled runtime in a file, which the node runs for it.
    ///
    /// # Errors
    /// The file holds none.
    pub async fn of_file(node: &Path, file: &Path) -> Result<Self> {
        let mut command = Command::new(node);
        command.arg("inspect-runtime").arg("--metadata").arg(file);
        Self::of_answer(&node_answer(command).await?)
    }

    /// Those in what the node's `inspect-runtime --metadata` has said.
    ///
    /// # Errors
    /// It said none.
    pub fn of_answer(said: &serde_json::Value) -> Result<Self> {
        let text = said["metadata"].as_str().context("consilium-node says no metadata: is it of this version?")?;
        Self::of(&hex::decode(text.trim_start_matches("0x")).context("the metadata is no hexadecimal")?)
    }

    /// What becomes of these with a runtime that has those, in lines.
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let missing =
            |from: &Self, of: &Self| of.0.keys().filter(|name| !from.0.contains_key(*name)).cloned().collect();
        let changed =
            |(name, hash): (&String, &[u8; 32])| new.0.get(name).is_some_and(|new| new != hash).then(|| name.clone());
        let all: [(&str, Vec<String>); 3] = [
            ("added", missing(self, new)),
            ("removed", missing(new, self)),
            ("with other arguments", self.0.iter().filter_map(changed).collect()),
        ];
        let lines: Vec<String> = all
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("calls {what}: {}", names.join(", ")))
            .collect();
        if lines.is_empty() {
            return vec![format!("calls: the same {} as now, with the same arguments", self.0.len())];
        }
        lines
    }
}

impl Chain {
    /// The calls of the chain's runtime in the state of a block.
    ///
    /// # Errors
    /// The node does not answer, or its runtime has no metadata of that version.
    pub async fn calls(&self, at: Block) -> Result<Calls> {
        let asked = METADATA.encode();
        let answer = self.state_call("Metadata_metadata_at_version", &asked, at).await;
        let answer = answer.context("the chain's runtime does not tell its calls")?;
        let metadata = Option::<Vec<u8>>::decode(&mut &answer[..]).context("the chain's metadata cannot be read")?;
        Calls::of(&metadata.with_context(|| format!("the chain has no metadata of version {METADATA}"))?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn calls(all: &[(&str, u8)]) -> Calls {
        Calls(all.iter().map(|(name, hash)| ((*name).to_owned(), [*hash; 32])).collect())
    }

    #[test]
    fn what_comes_goes_and_changes_is_listed_by_name() {
        let old = calls(&[("Consortium.close", 1), ("Consortium.leave", 2), ("Consortium.vote", 3)]);
        let new = calls(&[("Consortium.close", 1), ("Consortium.recover", 4), ("Consortium.vote", 5)]);
        assert_eq!(
            old.changes(&new),
            [
                "calls added: Consortium.recover",
                "calls removed: Consortium.leave",
                "calls with other arguments: Consortium.vote"
            ]
        );
        assert_eq!(old.changes(&old), ["calls: the same 3 as now, with the same arguments"]);
        assert!(Calls::of(b"meta").is_err());
        assert!(Calls::of_answer(&serde_json::json!({})).unwrap_err().to_string().contains("of this version"));
    }
}
