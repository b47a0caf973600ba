//! Whose folder this is, by its card and its keys, and what a chain says of that: the chain as it was founded, from its
//! specification, and as it is, from a node that is in step.

use super::rpc::Values;
use crate::{
    institution::folder::{find, KEYSTORE, NODE_KEY},
    plain::seen,
};
use anyhow::{bail, ensure, Context, Result};
use codec::{Compact, Decode, Encode};
use consilium_founding::{Card, PeerId};
use serde_json::Value;
use sp_core::{ed25519, Pair};
use sp_crypto_hashing::{blake2_128, twox_128, twox_64};
use std::{collections::BTreeMap, fs, path::Path};

/// Session keys in the order in which the chain keeps them: what they do, and their type.
const KEYS: [(&str, [u8; 4]); 3] = [("blocks", *b"aura"), ("finality", *b"gran"), ("votes", *b"swrm")];

/// An institution, as its folder shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Its account, for good.
    pub account: [u8; 32],
    /// The chain that its card is for; none where it founds one.
    pub chain: Option<[u8; 32]>,
    /// Its node.
    pub peer: PeerId,
    /// Public keys in the keystore, by type.
    pub keys: BTreeMap<[u8; 4], Vec<[u8; 32]>>,
}

/// What a chain says of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is an institution's, with this node and these keys.
    Same,
    /// It is an institution's, and this is not as the chain has it.
    Differs(Vec<String>),
    /// There is no such institution.
    Unknown,
}

fn map(pallet: &str, item: &str, key: &[u8]) -> Vec<u8> {
    [&twox_128(pallet.as_bytes())[..], &twox_128(item.as_bytes()), key].concat()
}

fn blake(key: &[u8]) -> Vec<u8> {
    [&blake2_128(key)[..], key].concat()
}

fn twox(key: &[u8]) -> Vec<u8> {
    [&twox_64(key)[..], key].concat()
}

fn institution_key(account: &[u8]) -> Vec<u8> {
    map("Consortium", "Institutions", &blake(account))
}

fn owner_key(kind: &[u8; 4], public: &[u8; 32]) -> Vec<u8> {
    map("Session", "KeyOwner", &twox(&(*kind, public.to_vec()).encode()))
}

impl Own {
    /// Reads a folder.
    ///
    /// # Errors
    /// What is missing or wrong, by file.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = find(dir);
        let shown = file.display();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {shown}"))?;
        let (card, identity) = match Card::read(&bytes) {
            Err(error) => Card::read_unsigned(&bytes).map_err(|_| error),
            read => read,
        }
        .with_context(|| shown.to_string())?;
        let file = dir.join(NODE_KEY);
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "cannot read {}: put it back from the backup, or have a new one registered (`consilium rotate node`; docs/runbook.md, Rotate keys)",
                file.display()
            )
        })?;
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed)
            .map_err(|_| anyhow::anyhow!("{}: must hold 64 hexadecimal digits", file.display()))?;
        let peer = PeerId { key: ed25519::Pair::from_seed(&seed).public().0 };
        let keys = keystore(&dir.join(KEYSTORE))?;
        Ok(Self { name: card.name, account: identity.account, chain: identity.chain, peer, keys })
    }

    fn peer_key(&self) -> Vec<u8> {
        map("Consortium", "PeerIds", &blake(&self.peer.bytes().encode()))
    }

    fn next_keys_key(&self) -> Vec<u8> {
        map("Session", "NextKeys", &twox(&self.account))
    }

    fn each_key(&self) -> impl Iterator<Item = (&[u8; 4], &[u8; 32])> {
        self.keys.iter().flat_map(|(kind, keys)| keys.iter().map(move |key| (kind, key)))
    }

    /// Keys of the values that [`Own::stands`] needs of a chain's state.
    pub fn wanted(&self) -> Vec<Vec<u8>> {
        let owners = self.each_key().map(|(kind, key)| owner_key(kind, key));
        [institution_key(&self.account), self.peer_key(), self.next_keys_key()].into_iter().chain(owners).collect()
    }

    /// What a chain's state says of this folder.
    ///
    /// # Errors
    /// Its node key or a session key is another institution's: with two nodes that sign by one key, both are at fault for all.
    pub fn stands(&self, values: &Values) -> Result<Standing> {
        let other = |owner: &[u8]| match values.get(&institution_key(owner)).and_then(|bytes| name_of(bytes)) {
            Some(name) => format!("that of {}", seen(&name)),
            None => format!("that of another institution, 0x{}", hex::encode(owner)),
        };
        let peer_owner = values.get(&self.peer_key()).and_then(|value| value.get(..32));
        if let Some(owner) = peer_owner.filter(|owner| **owner != self.account) {
            bail!(
                "{NODE_KEY}: is {} on this chain, not of {}; put this institution's own there",
                other(owner),
                self.name
            );
        }
        for (kind, key) in self.each_key() {
            let owner = values.get(&owner_key(kind, key)).and_then(|value| value.get(..32));
            if let Some(owner) = owner.filter(|owner| **owner != self.account) {
                bail!(
                    "{KEYSTORE}/{}{}: is {} on this chain, not of {}; put this institution's own there",
                    hex::encode(kind),
                    hex::encode(key),
                    other(owner),
                    self.name
                );
            }
        }
        if !values.contains_key(&institution_key(&self.account)) {
            return Ok(Standing::Unknown);
        }
        let mut differences = Vec::new();
        if peer_owner.is_none() {
            differences.push(format!("{NODE_KEY} is of another node, {}", self.peer));
        }
        match values.get(&self.next_keys_key()) {
            None => differences.push("the chain has no session keys of it".into()),
            Some(registered) => {
                for ((what, kind), key) in KEYS.iter().zip(registered.chunks(32)) {
                    if !self.keys.get(kind).is_some_and(|keys| keys.iter().any(|own| own == key)) {
                        differences.push(format!("{KEYSTORE} has not its key for {what}, 0x{}", hex::encode(key)));
                    }
                }
            }
        }
        Ok(if differences.is_empty() { Standing::Same } else { Standing::Differs(differences) })
    }
}

/// The name in an institution's entry, which begins with it.
fn name_of(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    let len = Compact::<u32>::decode(&mut rest).ok()?.0 as usize;
    Some(String::from_utf8_lossy(rest.get(..len)?).into_owned())
}

/// Public keys by type: a keystore's files are named by both.
fn keystore(folder: &Path) -> Result<BTreeMap<[u8; 4], Vec<[u8; 32]>>> {
    let mut keys: BTreeMap<[u8; 4], Vec<[u8; 32]>> = BTreeMap::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries.flatten() {
        let mut bytes = [0; 36];
        if hex::decode_to_slice(entry.file_name().as_encoded_bytes(), &mut bytes).is_err() {
            continue;
        }
        let (mut kind, mut key) = ([0; 4], [0; 32]);
        kind.copy_from_slice(&bytes[..4]);
        key.copy_from_slice(&bytes[4..]);
        keys.entry(kind).or_default().push(key);
    }
    ensure!(!keys.is_empty(), "{}: holds no session key", folder.display());
    Ok(keys)
}

/// The state that a chain begins with, from its raw specification.
///
/// # Errors
/// The file is none.
pub fn genesis_values(file: &Path) -> Result<Values> {
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let spec: Value = serde_json::from_slice(&bytes).with_context(|| format!("{shown}: no chain specification"))?;
    let top =
        spec["genesis"]["raw"]["top"].as_object().with_context(|| format!("{shown}: no raw chain specification"))?;
    let unhex = |text: &str| hex::decode(text.trim_start_matches("0x")).ok();
    Ok(top.iter().filter_map(|(key, value)| Some((unhex(key)?, unhex(value.as_str()?)?))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn own() -> Own {
        let keys = KEYS.iter().enumerate().map(|(at, (_, kind))| (*kind, vec![[at as u8 + 10; 32]])).collect();
        Own { name: "St. Mary".into(), account: [1; 32], chain: None, peer: PeerId { key: [2; 32] }, keys }
    }

    /// A chain that has exactly this folder's institution.
    fn chain(own: &Own) -> Values {
        let mut values = Values::new();
        values.insert(institution_key(&own.account), ("St. Mary".to_owned(), true).encode());
        values.insert(own.peer_key(), own.account.to_vec());
        let all = KEYS.iter().flat_map(|(_, kind)| own.keys[kind][0]).collect();
        values.insert(own.next_keys_key(), all);
        for (kind, key) in own.each_key() {
            values.insert(owner_key(kind, key), own.account.to_vec());
        }
        values
    }

    #[test]
    fn a_folder_is_held_against_what_the_chain_says() {
        let own = own();
        let whole = chain(&own);
        assert!(own.wanted().iter().all(|key| whole.contains_key(key)) && own.wanted().len() == whole.len());
        assert_eq!(own.stands(&whole).unwrap(), Standing::Same);
        assert_eq!(own.stands(&Values::new()).unwrap(), Standing::Unknown);

        let mut changed = own.clone();
        changed.peer = PeerId { key: [3; 32] };
        changed.keys.insert(*b"gran", vec![[9; 32]]);
        let Standing::Differs(found) = changed.stands(&whole).unwrap() else { panic!("the same") };
        let finality = hex::encode([11; 32]);
        assert!(found.len() == 2 && found[0].contains("12D3KooW") && found[1].contains(&finality), "{found:?}");
        // a keystore keeps old keys beside new ones
        changed.peer = own.peer;
        changed.keys.insert(*b"gran", vec![[9; 32], [11; 32]]);
        assert_eq!(changed.stands(&whole).unwrap(), Standing::Same);
        let mut without = whole.clone();
        without.remove(&own.next_keys_key());
        assert!(
            matches!(own.stands(&without).unwrap(), Standing::Differs(found) if found[0].contains("no session keys"))
        );
    }

    #[test]
    fn another_institution_s_keys_are_refused_by_its_name() {
        let own = own();
        let whole = chain(&own);
        let mut other = own.clone();
        (other.account, other.name) = ([7; 32], "North".into());
        let error = other.stands(&whole).unwrap_err().to_string();
        assert!(error.contains("node.key") && error.contains("that of St. Mary") && error.contains("North"), "{error}");
        other.peer = PeerId { key: [8; 32] };
        let error = other.stands(&whole).unwrap_err().to_string();
        assert!(error.contains("keystore/61757261") && error.contains("that of St. Mary"), "{error}");
        // where the name is not at hand, the account is
        let mut nameless = whole;
        nameless.insert(institution_key(&own.account), vec![0xff]);
        assert!(other.stands(&nameless).unwrap_err().to_string().contains(&hex::encode([1; 32])));
    }
}
