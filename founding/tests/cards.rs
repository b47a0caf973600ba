//! Cards as institutions exchange them: a golden one, and everything that somebody else could do to one.
#![allow(clippy::unwrap_used)]

use consilium_founding::{peer_claim, Card, PeerId};
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    ed25519,
    proof_of_possession::statement_of_ownership,
    sr25519, Pair,
};

/// A card of the keys `//golden` and of the node key of 32 times 7, kept as it was once written.
const GOLDEN: &[u8] = include_bytes!("golden-card.json");
/// What `fingerprint.py` beside this file, which has nothing of this project, prints for it.
const FINGERPRINT: &str = include_str!("golden-fingerprint.txt");

/// An institution's keys.
struct Keys {
    account: sr25519::Pair,
    node: ed25519::Pair,
    session: (sr25519::Pair, ed25519::Pair, sr25519::Pair),
}

impl Keys {
    fn of(name: &str) -> Self {
        let sr = |path: &str| sr25519::Pair::from_string(&format!("//{name}{path}"), None).unwrap();
        let grandpa = ed25519::Pair::from_string(&format!("//{name}//grandpa"), None).unwrap();
        let session = (sr("//aura"), grandpa, sr("//swarm"));
        Self { account: sr(""), node: ed25519::Pair::from_seed(&[7; 32]), session }
    }

    fn keys(&self) -> String {
        let (aura, grandpa, swarm) = &self.session;
        hex(&[aura.public().0, grandpa.public().0, swarm.public().0].concat())
    }

    fn proof(&self, owner: &[u8; 32]) -> String {
        let said = statement_of_ownership(owner);
        let (aura, grandpa, swarm) = &self.session;
        hex(&[aura.sign(&said).0, grandpa.sign(&said).0, swarm.sign(&said).0].concat())
    }

    fn card(&self) -> Card {
        let account = self.account.public().0;
        let mut card = Card {
            card: 1,
            consortium: "north-lungs".into(),
            chain: None,
            name: "Sankt Märta".into(),
            contact: "it@st-marta.example".into(),
            validator: true,
            participant: true,
            account: AccountId32::from(account).to_ss58check(),
            peer: PeerId { key: self.node.public().0 }.to_string(),
            addresses: vec!["/dns/node.st-marta.example/tcp/30333".into(), "/ip4/198.51.100.7/tcp/30333".into()],
            keys: self.keys(),
            keys_proof: self.proof(&account),
            peer_claim: None,
            node_signature: String::new(),
            account_signature: None,
        };
        self.sign(&mut card);
        card
    }

    /// Both signatures anew.
    fn sign(&self, card: &mut Card) {
        card.node_signature = hex(&self.node.sign(&card.digest()).0);
        card.account_signature = Some(hex(&self.account.sign(&card.digest()).0));
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn refused(card: &Card, says: &str) {
    let error = format!("{:#}", card.check().unwrap_err());
    assert!(error.contains(says), "{error}");
}

/// Writes the golden card; its signatures are random, so that this was done once. After a change of the form:
/// `cargo test --release -p consilium-founding --test cards -- --ignored`, then `fingerprint.py`.
#[test]
#[ignore = "writes a new golden card: cargo test --release -p consilium-founding --test cards -- --ignored"]
fn write_a_new_golden_card() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden-card.json"), Keys::of("golden").card().file())
        .unwrap();
}

#[test]
fn the_golden_card_has_the_bytes_and_the_fingerprint_that_it_had() {
    let (card, identity) = Card::read(GOLDEN).unwrap();
    assert_eq!(card.fingerprint(), FINGERPRINT.trim());
    let keys = Keys::of("golden");
    assert_eq!(identity.account, keys.account.public().0);
    assert_eq!(identity.peer.key, keys.node.public().0);
    // all but the proofs and signatures of random ones follows from the keys
    let mut made = keys.card();
    made.keys_proof.clone_from(&card.keys_proof);
    keys.sign(&mut made);
    made.account_signature.clone_from(&card.account_signature);
    assert_eq!(made.file(), GOLDEN);
}

#[test]
fn every_byte_that_is_another_is_refused_or_changes_the_fingerprint() {
    let (card, _) = Card::read(GOLDEN).unwrap();
    let mut other = 0;
    for at in 0..GOLDEN.len() {
        // each bit, and what would be white space, a digit of the other case or another digit
        let changes = (0..8).map(|bit| GOLDEN[at] ^ (1 << bit)).chain(*b" \t\r\n\0aAfF09\"");
        for byte in changes.filter(|byte| *byte != GOLDEN[at]) {
            let mut file = GOLDEN.to_vec();
            file[at] = byte;
            if let Ok((read, _)) = Card::read(&file) {
                assert_ne!(read.fingerprint(), card.fingerprint(), "byte {at}: {byte:#x}");
                other += 1;
            }
        }
    }
    // both signatures are of the digest: whoever has no key makes no other card of this one
    assert_eq!(other, 0);
    for cut in [0, 1, GOLDEN.len() - 1] {
        assert!(Card::read(&GOLDEN[..cut]).is_err());
    }
    assert!(Card::read(&[GOLDEN, b"\n"].concat()).is_err());
    let crlf = String::from_utf8(GOLDEN.to_vec()).unwrap().replace('\n', "\r\n");
    assert!(Card::read(crlf.as_bytes()).unwrap_err().to_string().contains("has changed on the way"));
}

#[test]
fn proofs_of_others_of_nobody_and_for_another_account_are_refused() {
    let (own, other) = (Keys::of("own"), Keys::of("other"));
    let mut card = own.card();
    card.check().unwrap();
    let account = own.account.public().0;
    for proof in [other.proof(&account), hex(&[0; 192]), own.proof(&other.account.public().0)] {
        card.keys_proof = proof;
        own.sign(&mut card);
        refused(&card, "keys_proof");
    }
    // another's keys, with that one's own proof
    card.keys = other.keys();
    card.keys_proof = other.proof(&other.account.public().0);
    own.sign(&mut card);
    refused(&card, "keys_proof");
}

#[test]
fn signatures_of_others_and_missing_ones_are_refused() {
    let (own, mut other) = (Keys::of("own"), Keys::of("other"));
    let good = own.card();
    let mut card = good.clone();
    card.account_signature = Some(hex(&other.account.sign(&card.digest()).0));
    refused(&card, "account_signature");
    card.account_signature = None;
    refused(&card, "not signed this card yet");
    card.check_unsigned().unwrap();
    assert!(Card::read(&card.file()).is_err() && Card::read_unsigned(&card.file()).is_ok());
    assert!(Card::read_unsigned(&good.file()).is_err());
    other.node = ed25519::Pair::from_seed(&[8; 32]);
    let mut card = good.clone();
    card.node_signature = hex(&other.node.sign(&card.digest()).0);
    refused(&card, "node_signature");
    // what they signed cannot be moved to another card
    let mut card = good;
    card.name = "Sankt Marta".into();
    refused(&card, "node_signature");
}

#[test]
fn a_card_for_joining_claims_its_peer_id_on_that_chain_alone() {
    let own = Keys::of("own");
    let mut card = own.card();
    let peer = PeerId { key: own.node.public().0 };
    let claim = |genesis: &[u8; 32]| hex(&own.node.sign(&peer_claim(genesis, &own.account.public().0, &peer)).0);
    card.chain = Some(hex(&[3; 32]));
    own.sign(&mut card);
    refused(&card, "peer_claim");
    card.peer_claim = Some(claim(&[4; 32]));
    own.sign(&mut card);
    refused(&card, "peer_claim");
    card.peer_claim = Some(claim(&[3; 32]));
    own.sign(&mut card);
    assert_eq!(card.check().unwrap().chain, Some([3; 32]));
    card.chain = None;
    own.sign(&mut card);
    refused(&card, "peer_claim");
}

#[test]
fn what_has_not_the_form_is_refused_by_its_field() {
    let own = Keys::of("own");
    let check = |change: &dyn Fn(&mut Card), says: &str| {
        let mut card = own.card();
        change(&mut card);
        own.sign(&mut card);
        refused(&card, says);
    };
    check(&|card| card.consortium = "North".into(), "consortium");
    check(&|card| card.name.clear(), "name");
    check(&|card| card.name = "a\u{202e}b".into(), "name");
    check(&|card| card.name = " a".into(), "name");
    check(&|card| card.name = "ä".repeat(33), "name");
    check(&|card| card.contact = "a\nb".into(), "contact");
    check(&|card| card.account = format!("{}x", card.account), "account");
    check(&|card| card.peer = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".into(), "peer");
    check(&|card| card.addresses.push("/ip4/0.0.0.0/tcp/1".into()), "addresses");
    check(&|card| card.addresses = vec!["/dns/a.example/tcp/1".into(); 2], "twice");
    check(&|card| card.addresses = (1..6).map(|n| format!("/dns/a.example/tcp/{n}")).collect(), "at most 4");
    check(&|card| card.keys = card.keys.to_uppercase(), "keys");
    check(&|card| card.keys_proof.truncate(100), "keys_proof");
    check(&|card| card.chain = Some("0x00".into()), "chain");
    let mut file = own.card().file();
    file.truncate(file.len() - 3);
    file.extend_from_slice(b",\n  \"more\": 1\n}\n");
    assert!(Card::read(&file).unwrap_err().to_string().contains("no card"));
    let second = String::from_utf8(own.card().file()).unwrap().replace("\"card\": 1", "\"card\": 2");
    assert!(Card::read(second.as_bytes()).unwrap_err().to_string().contains("version 2"));
}
