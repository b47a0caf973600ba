//! An institution's card: who it is, and where its node is, signed by both.

use crate::{
    bytes::{grouped, hex_bytes},
    check_address, peer_claim,
    terms::check_consortium,
    PeerId,
};
use anyhow::{bail, ensure, Context, Result};
use consilium_primitives::text::unseen;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    ed25519,
    proof_of_possession::statement_of_ownership,
    sr25519, Pair,
};
use sp_crypto_hashing::blake2_256;
use std::collections::BTreeMap;

/// First bytes of what a card's digest is of.
pub const CONTEXT: &[u8] = b"consilium/card/1";
/// Most bytes of a card's file.
const MOST_BYTES: usize = 4_096;
/// Most bytes of an institution's name, of its contact.
const MOST_TEXT: usize = 64;
/// Most addresses of a node.
const MOST_ADDRESSES: usize = 4;

/// A card, as its file holds it. Fields are in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Version of this form: 1.
    pub card: u32,
    /// Name of the consortium that it is for.
    pub consortium: String,
    /// Genesis hash of the chain that it is for, `0x` and 64 digits; none where that is still to be founded.
    pub chain: Option<String>,
    /// The institution's name, 1 to 64 bytes.
    pub name: String,
    /// How others reach its people, at most 64 bytes.
    pub contact: String,
    /// Is to make and finalise blocks.
    pub validator: bool,
    /// Is to take part in studies.
    pub participant: bool,
    /// Its account, SS58.
    pub account: String,
    /// Its node's peer id, base 58.
    pub peer: String,
    /// Where its node can be reached; none: it dials the others.
    pub addresses: Vec<String>,
    /// Its node's session keys: `0x`, then 32 bytes each for blocks, finality and votes.
    pub keys: String,
    /// Proof that it has them: `0x`, then a signature by each.
    pub keys_proof: String,
    /// The node key's claim of the peer id on the chain, `0x` and 64 bytes; none where that is still to be founded.
    pub peer_claim: Option<String>,
    /// Signature of the digest by the node key.
    pub node_signature: String,
    /// Signature of the digest by the account's key; none in a card that is still to be signed.
    pub account_signature: Option<String>,
}

/// What a card that was checked says, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: [u8; 32],
    /// The node.
    pub peer: PeerId,
    /// Session keys: blocks (sr25519), finality (ed25519), votes (sr25519).
    pub keys: [[u8; 32]; 3],
    /// Proof of possession of the three, in this order.
    pub proof: Vec<u8>,
    /// The chain that it is for.
    pub chain: Option<[u8; 32]>,
}

impl Card {
    /// Reads a card's file and checks all that can be checked with nothing else at hand.
    ///
    /// # Errors
    /// What is wrong with it. A file with white space, order or spelling other than [`Card::file`] gives is refused, too.
    pub fn read(file: &[u8]) -> Result<(Self, Identity)> {
        let card = Self::parse(file)?;
        let identity = card.check()?;
        Ok((card, identity))
    }

    /// Reads a card that its account has not signed yet.
    ///
    /// # Errors
    /// As [`Card::read`]'s.
    pub fn read_unsigned(file: &[u8]) -> Result<(Self, Identity)> {
        let card = Self::parse(file)?;
        ensure!(card.account_signature.is_none(), "this card is signed already");
        let identity = card.check_unsigned()?;
        Ok((card, identity))
    }

    fn parse(file: &[u8]) -> Result<Self> {
        ensure!(
            !is_secret(file),
            "this is a secret, the phrase or the key of an institution or a node, and no card: it must never leave its folder. Take \
             it away from here, and if others can have seen it, make that key anew; the card is card.json"
        );
        ensure!(file.len() <= MOST_BYTES, "no card: it has more than {MOST_BYTES} bytes");
        let card: Self = serde_json::from_slice(file).context("no card of an institution")?;
        ensure!(card.card == 1, "a card of version {}; this program reads version 1", card.card);
        if card.file() != file {
            bail!(
                "not as it was written: its white space, its order or its spelling has changed on the way; have the file sent \
                 again, as an attachment"
            );
        }
        Ok(card)
    }

    /// The file, as it is written: two spaces of indentation, a line feed at the end.
    pub fn file(&self) -> Vec<u8> {
        // a structure of texts, flags and numbers can always be written
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What is signed: `blake2_256("consilium/card/1" ‖ canonical)`, where the canonical form is the object without the two
    /// signatures, its keys sorted, without white space.
    pub fn digest(&self) -> [u8; 32] {
        let value = serde_json::to_value(self).unwrap_or_default();
        let mut fields: BTreeMap<&String, &Value> = value.as_object().into_iter().flatten().collect();
        fields.retain(|name, _| !["node_signature", "account_signature"].contains(&name.as_str()));
        let canonical = serde_json::to_vec(&fields).unwrap_or_default();
        blake2_256(&[CONTEXT, &canonical].concat())
    }

    /// What is read out on the telephone: 96 bits of the digest, in six groups of four hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        grouped(&self.digest())
    }

    /// Checks everything: form, proofs, and both signatures.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<Identity> {
        let identity = self.check_unsigned()?;
        let signature = self
            .account_signature
            .as_ref()
            .context("the institution has not signed this card yet: `consilium card sign` does, where its key is")?;
        let signature = sr25519::Signature::from_raw(hex_bytes("account_signature", signature)?);
        let account = sr25519::Public::from_raw(identity.account);
        ensure!(
            sr25519::Pair::verify(&signature, self.digest(), &account),
            "account_signature: the institution's key has not signed this card as it is: it was changed since, be it by one \
             character; ask its institution for the file again"
        );
        Ok(identity)
    }

    /// Checks everything but the account's signature.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_unsigned(&self) -> Result<Identity> {
        check_consortium(&self.consortium).context("consortium")?;
        let plain = |text: &str| !text.chars().any(unseen);
        ensure!(
            !self.name.is_empty() && self.name.len() <= MOST_TEXT && plain(&self.name) && self.name.trim() == self.name,
            "name: must have 1 to {MOST_TEXT} bytes of plain text, without control or format characters, and without spaces at its \
             ends"
        );
        ensure!(
            self.contact.len() <= MOST_TEXT && plain(&self.contact),
            "contact: must have at most {MOST_TEXT} bytes of plain text, without control or format characters"
        );
        ensure!(self.addresses.len() <= MOST_ADDRESSES, "addresses: a node has at most {MOST_ADDRESSES}");
        for (at, address) in self.addresses.iter().enumerate() {
            check_address(address).context("addresses")?;
            ensure!(
                !self.addresses.iter().take(at).any(|other| other == address),
                "addresses: {address} is there twice"
            );
        }
        let account = AccountId32::from_ss58check(&self.account).ok().filter(|a| a.to_ss58check() == self.account);
        let account: [u8; 32] = account.with_context(|| format!("account: {:?} is no address", self.account))?.into();
        let peer = PeerId::read(&self.peer).context("peer")?;
        let chain = self.chain.as_ref().map(|hash| hex_bytes::<32>("chain", hash)).transpose()?;
        let all: [u8; 96] = hex_bytes("keys", &self.keys)?;
        let proof: [u8; 192] = hex_bytes("keys_proof", &self.keys_proof)?;
        let mut keys = [[0; 32]; 3];
        for (key, part) in keys.iter_mut().zip(all.chunks_exact(32)) {
            key.copy_from_slice(part);
        }
        check_proof(&account, &keys, &proof)?;
        let identity = Identity { account, peer, keys, proof: proof.to_vec(), chain };
        self.check_node(&identity)?;
        Ok(identity)
    }

    /// Whether the node key has signed what it must have.
    fn check_node(&self, identity: &Identity) -> Result<()> {
        let node = ed25519::Public::from_raw(identity.peer.key);
        let signature = ed25519::Signature::from_raw(hex_bytes("node_signature", &self.node_signature)?);
        ensure!(
            ed25519::Pair::verify(&signature, self.digest(), &node),
            "node_signature: the node's key has not signed this card as it is: it was changed since, be it by one character; ask \
             its institution for the file again"
        );
        match (&self.peer_claim, &identity.chain) {
            (None, None) => Ok(()),
            (Some(claim), Some(chain)) => {
                let claim = ed25519::Signature::from_raw(hex_bytes("peer_claim", claim)?);
                let said = peer_claim(chain, &identity.account, &identity.peer);
                ensure!(
                    ed25519::Pair::verify(&claim, said, &node),
                    "peer_claim: the node's key has not claimed its peer id on this chain"
                );
                Ok(())
            }
            _ => bail!("peer_claim: is there if and only if the card names a chain"),
        }
    }
}

/// Whether a file in the place of a card is a phrase, or 64 hexadecimal digits: a secret that somebody has copied by mistake.
fn is_secret(file: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(file) else { return false };
    let text = text.trim();
    let small = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let phrase = text.split_whitespace().count() >= 12 && text.split_whitespace().all(small);
    let digits = text.trim_start_matches("0x");
    phrase || digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the three session keys have signed for this owner.
fn check_proof(owner: &[u8; 32], keys: &[[u8; 32]; 3], proof: &[u8; 192]) -> Result<()> {
    let said = statement_of_ownership(owner);
    let part = |at: usize| proof.get(64 * at..64 * at + 64).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let sr = |signature, key| {
        sr25519::Pair::verify(&sr25519::Signature::from_raw(signature), &said, &sr25519::Public::from_raw(key))
    };
    let ed = |signature, key| {
        ed25519::Pair::verify(&ed25519::Signature::from_raw(signature), &said, &ed25519::Public::from_raw(key))
    };
    let valid = match (part(0), part(1), part(2)) {
        (Some(aura), Some(grandpa), Some(swarm)) => {
            let [a, g, s] = *keys;
            sr(aura, a) && ed(grandpa, g) && sr(swarm, s)
        }
        _ => false,
    };
    ensure!(valid, "keys_proof: these session keys have not been proven for this account; make the card anew");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_in_the_place_of_a_card_is_called_one_and_not_repeated() {
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow\n";
        for secret in [phrase, &"ab".repeat(32), &format!("0x{}\n", "ab".repeat(32))] {
            let said = format!("{:#}", Card::read(secret.as_bytes()).unwrap_err());
            assert!(said.contains("this is a secret") && !said.contains("abab") && !said.contains("winner"), "{said}");
        }
        for other in ["{}", "name = \"x\"\n", "", "a few words and no more"] {
            let said = format!("{:#}", Card::read(other.as_bytes()).unwrap_err());
            assert!(said.contains("no card"), "{said}");
        }
    }
}
