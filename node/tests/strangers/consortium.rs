//! Institutions that found a chain as people do: keys, cards, and the chain that follows from them; and what they sign.

use crate::house::{port, wait, word, House, NODE};
use codec::{Decode, Encode};
use consilium_founding::Card;
use consilium_runtime::{
    AccountId, Address, Hash, Runtime, RuntimeCall, Signature, TxExtension, UncheckedExtrinsic, VERSION,
};
use pallet_consortium::{Admission, Motion};
use sc_network_types::ed25519::Keypair;
use serde_json::{json, Value};
use sp_core::{crypto::Ss58Codec, sr25519, Pair, H256};
use sp_crypto_hashing::twox_128;
use sp_runtime::generic::{Era, SignedPayload};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Name of the consortium.
const CONSORTIUM: &str = "strangers";

/// An institution's folder and keys.
pub struct Founder {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its people's key.
    pub key: sr25519::Pair,
    /// Its node's.
    pub node: Keypair,
    /// Port on which its node listens.
    pub port: u16,
    keys: String,
    proof: String,
}

/// What a program prints, run to its end.
fn said(arguments: &[&str]) -> Value {
    let out = Command::new(NODE).args(arguments).output().expect("it runs");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.trim_start_matches("0x")).expect("hexadecimal")
}

impl Founder {
    /// Makes its folder with all keys.
    pub fn new(scratch: &Path, name: &str) -> Self {
        let dir = scratch.join(name);
        fs::create_dir(&dir).expect("made");
        let (key, node) = (sr25519::Pair::generate().0, Keypair::generate());
        let owner = hex::encode(key.public());
        let made = said(&["make-keys", "--keystore-path", &word(&dir.join("keystore")), "--owner", &owner]);
        let text = |field: &str| made[field].as_str().expect("text").to_owned();
        let (keys, proof) = (text("keys"), text("proof"));
        let this = Self { name: name.into(), dir, key, node, port: port(), keys, proof };
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(this.node_key()).expect("a file");
        file.write_all(hex::encode(this.node.secret().to_bytes()).as_bytes()).expect("written");
        this
    }

    /// The file with its node's key.
    pub fn node_key(&self) -> PathBuf {
        self.dir.join("node.key")
    }

    /// The folder with its session keys.
    pub fn keystore(&self) -> PathBuf {
        self.dir.join("keystore")
    }

    /// Where its node is reached.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        AccountId::from(self.key.public().0)
    }

    fn card(&self) -> Vec<u8> {
        let mut card = Card {
            card: 1,
            consortium: CONSORTIUM.into(),
            chain: None,
            name: self.name.clone(),
            contact: String::new(),
            validator: true,
            participant: true,
            account: self.account().to_ss58check(),
            peer: self.node.public().to_peer_id().to_string(),
            addresses: vec![self.address()],
            keys: self.keys.clone(),
            keys_proof: self.proof.clone(),
            peer_claim: None,
            node_signature: String::new(),
            account_signature: None,
        };
        card.node_signature = format!("0x{}", hex::encode(self.node.sign(&card.digest())));
        card.account_signature = Some(format!("0x{}", hex::encode(self.key.sign(&card.digest()))));
        card.file()
    }

    fn claim(&self, genesis: &H256) -> [u8; 64] {
        let peer = self.node.public().to_peer_id().to_bytes();
        let said = pallet_consortium::peer_id_claim(genesis.as_bytes(), &self.account(), &peer);
        self.node.sign(&said).try_into().expect("64 bytes")
    }

    /// Makes another key of its node's, in its folder; gives the call that says so.
    pub fn rekey(&mut self, genesis: &H256) -> pallet_consortium::Call<Runtime> {
        self.node = Keypair::generate();
        fs::write(self.node_key(), hex::encode(self.node.secret().to_bytes())).expect("written");
        pallet_consortium::Call::set_peer_id { node_key: self.node.public().to_bytes(), signature: self.claim(genesis) }
    }

    /// The motion that admits it: it takes part in studies, makes no blocks, and names no address, so that its node dials.
    pub fn admission(&self, genesis: &H256) -> Motion<AccountId, Hash> {
        Motion::Admit(Admission {
            who: self.account(),
            name: self.name.as_bytes().to_vec().try_into().expect("short enough"),
            validator: false,
            participant: true,
            node_key: self.node.public().to_bytes(),
            claim: self.claim(genesis),
            addresses: Default::default(),
            keys: bytes(&self.keys).try_into().expect("short enough"),
            proof: bytes(&self.proof).try_into().expect("short enough"),
        })
    }

    /// A transaction of its people's.
    pub fn signed(&self, genesis: &H256, nonce: u32, call: RuntimeCall) -> UncheckedExtrinsic {
        let extension: TxExtension = (
            frame_system::AuthorizeCall::<Runtime>::new(),
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            pallet_consortium::CheckQuota::from(nonce),
            frame_system::CheckWeight::new(),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        );
        let version = (VERSION.spec_version, VERSION.transaction_version);
        let implied = ((), (), version.0, version.1, *genesis, *genesis, (), (), None, ());
        let payload = SignedPayload::from_raw(call.clone(), extension.clone(), implied);
        let signature = payload.using_encoded(|bytes| self.key.sign(bytes));
        let from = Address::from(self.account());
        UncheckedExtrinsic::new_signed(call, from, Signature::from(signature), extension)
    }

    /// The nonce of its next transaction.
    pub fn nonce(&self, at: &House) -> u32 {
        let next = at.call("system_accountNextIndex", json!([self.account().to_ss58check()]));
        next.as_u64().and_then(|nonce| nonce.try_into().ok()).expect("a number")
    }

    /// How many transactions of its people's the best block has.
    pub fn used(&self, at: &House) -> u32 {
        let account = format!("0x{}", hex::encode(self.key.public()));
        let said = at.call("state_call", json!(["AccountNonceApi_account_nonce", account]));
        u32::decode(&mut &bytes(said.as_str().expect("bytes"))[..]).expect("a number")
    }

    /// In how many blocks each of some calls of its people's is, one sent every few seconds for so long: 1 is the next.
    pub fn inclusions(&self, at: &House, long: Duration) -> Vec<u32> {
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < long {
            let (from, used) = (at.best(), self.used(at));
            let profile = vec![took.len() as u8; 8].try_into().expect("short enough");
            self.send(at, pallet_consortium::Call::set_profile { profile });
            wait("a call is in a block", Duration::from_secs(60), || self.used(at) > used);
            took.push(at.best() - from);
            std::thread::sleep(Duration::from_secs(3));
        }
        took
    }

    /// Sends a call of its people's.
    pub fn send(&self, at: &House, call: pallet_consortium::Call<Runtime>) {
        let transaction = self.signed(&at.genesis(), self.nonce(at), RuntimeCall::Consortium(call));
        at.call("author_submitExtrinsic", json!([format!("0x{}", hex::encode(transaction.encode()))]));
    }
}

/// Founds a chain of these institutions' cards; gives its specification's file.
pub fn found(scratch: &Path, founders: &[&Founder]) -> PathBuf {
    let (cards, spec) = (scratch.join("cards"), scratch.join("chain.json"));
    fs::create_dir(&cards).expect("made");
    for founder in founders {
        fs::write(cards.join(format!("{}.json", founder.name)), founder.card()).expect("written");
    }
    let cache = word(&scratch.join("wasm"));
    let files = ["--cards", &word(&cards), "--out", &word(&spec), "--wasm-cache", &cache];
    said(&[&["found", "--consortium", CONSORTIUM, "--private-addresses"][..], &files].concat());
    spec
}

/// Proposes a motion by the first and has the others vote for it. That it has passed is for the caller to see.
pub fn decide(at: &House, voices: &[&Founder], motion: Motion<AccountId, Hash>) {
    let key = format!("0x{}{}", hex::encode(twox_128(b"Consortium")), hex::encode(twox_128(b"NextMotion")));
    let next = || {
        let value = at.call("state_getStorage", json!([key]));
        value.as_str().map_or(0, |text| u32::decode(&mut &bytes(text)[..]).expect("a number"))
    };
    let id = next();
    let (first, others) = voices.split_first().expect("somebody proposes");
    first.send(at, pallet_consortium::Call::propose { motion });
    wait("the motion is there", Duration::from_secs(60), || next() > id);
    for voice in others {
        voice.send(at, pallet_consortium::Call::vote { id, aye: true });
    }
}
