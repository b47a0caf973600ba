//! Whether a set of GRANDPA authorities has finalised a block.

use crate::chain::BlockHeader;
use anyhow::{bail, ensure, Context, Result};
use codec::{Decode, DecodeAll, Encode};
use consilium_primitives::Hash;
use finality_grandpa::{voter_set::VoterSet, Chain, Error as GrandpaError, Message};
use serde::{Deserialize, Serialize};
use sp_consensus_grandpa::{check_message_signature, AuthorityId, AuthorityList, GrandpaJustification};
use std::{collections::HashMap, fs, path::Path};

/// Sets of authorities that rescues may have passed over at most: each wants a change of the validators, decided by motion.
const MOST_PASSED_OVER: u64 = 64;

/// The SDK's proof that a block is final: a justification of it or of one of its descendants, and the headers between.
#[derive(Clone, Debug, Encode, Decode)]
pub struct FinalityProof {
    /// The block that the justification is for.
    pub block: Hash,
    /// The justification, in SCALE.
    pub justification: Vec<u8>,
    /// All headers after the block in question, up to and with `block`.
    pub unknown_headers: Vec<BlockHeader>,
}

impl FinalityProof {
    /// Reads one from SCALE.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        Self::decode_all(&mut &bytes[..]).map_err(|_| anyhow::anyhow!("it is no finality proof in SCALE"))
    }

    fn justification(&self) -> Result<GrandpaJustification<BlockHeader>> {
        DecodeAll::decode_all(&mut &self.justification[..])
            .map_err(|_| anyhow::anyhow!("its justification cannot be read"))
    }

    /// Whether this shows that the block of `header` is final, under `set`. Gives the number of the block that the set
    /// has signed, and by how many of its keys.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, header: &BlockHeader, set: &AuthoritySet) -> Result<(u32, usize)> {
        let mut last = header.hash();
        for (place, next) in self.unknown_headers.iter().enumerate() {
            ensure!(next.parent_hash == last, "header {place} of the finality proof does not follow the one before it");
            last = next.hash();
        }
        ensure!(last == self.block, "the finality proof is not for this block, nor for one that follows it");
        let justification = self.justification()?;
        let commit = &justification.commit;
        ensure!(commit.target_hash == self.block, "the justification is for another block than the proof says");
        let voters = VoterSet::new(set.authorities.iter().cloned()).context("the authority set is empty")?;
        let valid = |number: u64, signed: &finality_grandpa::SignedPrecommit<_, _, _, _>| {
            let message = Message::Precommit(Clone::clone(&signed.precommit));
            check_message_signature(&message, &signed.id, &signed.signature, justification.round, number).is_valid()
        };
        // voters count fewer sets than the chain where a rescue has passed over some
        let counted = (0..=MOST_PASSED_OVER).filter_map(|less| set.id.checked_sub(less));
        let first = commit.precommits.first();
        let number =
            first.and_then(|signed| counted.into_iter().find(|number| valid(*number, signed))).unwrap_or(set.id);
        for signed in &commit.precommits {
            let id = &signed.id;
            ensure!(
                valid(number, signed),
                "the signature of {} is none of authority set {}",
                hex::encode(AsRef::<[u8]>::as_ref(id)),
                set.id
            );
        }
        let valid = finality_grandpa::validate_commit(commit, &voters, &Ancestry::new(&justification.votes_ancestries))
            .map(|result| result.is_valid());
        if !matches!(valid, Ok(true)) {
            let signers = commit.precommits.iter().filter(|signed| voters.contains(&signed.id)).count();
            bail!(
                "{signers} of the {} keys of authority set {} have signed this block: that is too little to finalise it",
                set.authorities.len(),
                set.id
            );
        }
        let mut signers: Vec<_> = commit.precommits.iter().map(|signed| &signed.id).collect();
        signers.retain(|id| voters.contains(id));
        signers.sort();
        signers.dedup();
        Ok((commit.target_number, signers.len()))
    }
}

/// Headers by their hash, for the routes from precommits to the block.
struct Ancestry<'a>(HashMap<Hash, &'a BlockHeader>);

impl<'a> Ancestry<'a> {
    fn new(headers: &'a [BlockHeader]) -> Self {
        Self(headers.iter().map(|header| (header.hash(), header)).collect())
    }
}

impl Chain<Hash, u32> for Ancestry<'_> {
    fn ancestry(&self, base: Hash, block: Hash) -> Result<Vec<Hash>, GrandpaError> {
        let mut route = Vec::new();
        let mut at = block;
        while at != base {
            // a hash chain has no cycle, so that this ends
            at = self.0.get(&at).ok_or(GrandpaError::NotDescendent)?.parent_hash;
            route.push(at);
        }
        route.pop();
        Ok(route)
    }
}

/// Who finalises: keys with weights, and the number of their set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritySet {
    /// Number of the set, counted from 0 by the chain.
    pub id: u64,
    /// Their ed25519 keys and weights.
    pub authorities: AuthorityList,
}

/// [`AuthoritySet`] as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFile {
    genesis: String,
    set_id: u64,
    authorities: Vec<AuthorityEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityEntry {
    key: String,
    weight: u64,
}

impl AuthoritySet {
    /// Reads `{"genesis": "…", "set_id": 0, "authorities": [{"key": "0x…", "weight": 1}]}`, block 0's hash and keys in
    /// hexadecimal: block 0 and the set. What authorities sign does not name their chain.
    ///
    /// # Errors
    /// The file cannot be read, or has another form.
    pub fn read(path: &Path) -> Result<(Hash, Self)> {
        let shown = || format!("--trust-authorities {}", path.display());
        let text = fs::read_to_string(path).with_context(shown)?;
        let file: SetFile = serde_json::from_str(&text).with_context(shown)?;
        let mut authorities = AuthorityList::new();
        for entry in file.authorities {
            let bytes = hex::decode(entry.key.trim_start_matches("0x")).unwrap_or_default();
            let raw = <[u8; 32]>::try_from(bytes).ok();
            let raw = raw.with_context(|| format!("{}: key {:?} has not 64 hexadecimal digits", shown(), entry.key))?;
            authorities.push((AuthorityId::from(sp_core::ed25519::Public::from_raw(raw)), entry.weight));
        }
        ensure!(authorities.iter().any(|(_, weight)| *weight > 0), "{}: it names no key that has a weight", shown());
        let genesis = hash_of("genesis", &file.genesis).with_context(shown)?;
        Ok((genesis, Self { id: file.set_id, authorities }))
    }

    /// In the form of the file that [`read`](Self::read) takes.
    ///
    /// # Errors
    /// None that can be met.
    pub fn json(&self, genesis: &Hash) -> Result<serde_json::Value> {
        let entry = |(id, weight): &(AuthorityId, u64)| AuthorityEntry {
            key: format!("0x{}", hex::encode(AsRef::<[u8]>::as_ref(id))),
            weight: *weight,
        };
        let authorities = self.authorities.iter().map(entry).collect();
        Ok(serde_json::to_value(SetFile { genesis: hex::encode(genesis), set_id: self.id, authorities })?)
    }
}

/// A hash that somebody has given as `what`.
///
/// # Errors
/// It is none.
pub fn hash_of(what: &str, text: &str) -> Result<Hash> {
    let bytes = hex::decode(text.trim_start_matches("0x")).unwrap_or_default();
    let bytes = <[u8; 32]>::try_from(bytes).ok();
    Ok(Hash::from(bytes.with_context(|| format!("{what} {text}: a hash has 64 hexadecimal digits"))?))
}
