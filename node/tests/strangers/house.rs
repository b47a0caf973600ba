//! A real node of an institution, and what is asked of it over HTTP.

use codec::Encode;
use consilium_runtime::{AccountId, Address, Runtime, RuntimeCall, Signature, TxExtension, UncheckedExtrinsic};
use sc_network_types::{ed25519::Keypair, PeerId};
use serde_json::{json, Value};
use sp_core::H256;
use sp_keyring::Sr25519Keyring;
use sp_runtime::generic::{Era, SignedPayload};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// The program.
const NODE: &str = env!("CARGO_BIN_EXE_consilium-node");

/// A free port of the loopback interface, below those that outgoing connections are given; each is given once.
fn port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 14_000 + (std::process::id() % 5_000) as u16;
    let next = || first + GIVEN.fetch_add(1, Ordering::Relaxed) % 1_000;
    std::iter::repeat_with(next).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Waits until something is so.
pub fn wait(what: &str, patience: Duration, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
    began.elapsed()
}

/// The local testnet's specification, raw, in which these institutions' nodes are known from the first block on.
pub fn chain(dir: &Path, known: &[(Sr25519Keyring, &Keypair)]) -> PathBuf {
    let export = |arguments: &[&str]| {
        let out = Command::new(NODE).arg("export-chain-spec").args(arguments).output().expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let mut spec: Value = serde_json::from_slice(&export(&["--chain", "local"])).expect("JSON");
    let peers = known.iter().map(|(who, key)| (who.to_account_id(), key.public().to_peer_id().to_bytes()));
    spec["genesis"]["runtimeGenesis"]["patch"]["consortium"]["peerIds"] = json!(peers.collect::<Vec<_>>());
    let (plain, raw) = (dir.join("plain.json"), dir.join("raw.json"));
    fs::write(&plain, spec.to_string()).expect("written");
    let bytes = export(&["--chain", &plain.to_string_lossy(), "--raw"]);
    fs::write(&raw, bytes).expect("written");
    raw
}

/// A node. Dropping it ends it.
pub struct House {
    child: Child,
    log: PathBuf,
    rpc: u16,
    p2p: u16,
    peer: PeerId,
}

impl House {
    /// Starts one.
    pub fn start(dir: &Path, name: &str, chain: &Path, key: &Keypair, more: &[String]) -> Self {
        let dir = dir.join(name);
        fs::create_dir_all(dir.join("blobs")).expect("made");
        let secret = dir.join("node.key");
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&secret).expect("a file");
        file.write_all(hex::encode(key.secret().to_bytes()).as_bytes()).expect("written");
        let log = dir.join("log");
        let out = File::options().append(true).create(true).open(&log).expect("a log");
        let (rpc, p2p) = (port(), port());
        let word = |path: &Path| path.to_string_lossy().into_owned();
        let child = Command::new(NODE)
            .args([
                "--chain",
                &word(chain),
                "--base-path",
                &word(&dir.join("node")),
                "--blobs",
                &word(&dir.join("blobs")),
            ])
            .args(["--node-key-file", &word(&secret), "--listen-addr", &format!("/ip4/127.0.0.1/tcp/{p2p}")])
            .args(["--experimental-rpc-endpoint", &format!("listen-addr=127.0.0.1:{rpc},retry-random-port=false")])
            .args(["--wasm-cache", &word(&dir.parent().expect("a parent").join("wasm"))])
            .args(["--no-mdns", "--no-telemetry", "--no-prometheus"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .expect("it starts");
        let mut house = Self { child, log, rpc, p2p, peer: key.public().to_peer_id() };
        wait(&format!("{name} answers"), Duration::from_secs(120), || {
            assert!(house.child.try_wait().expect("a child").is_none(), "{name} has ended:\n{}", house.log());
            house.ask("system_health", json!([])).is_some()
        });
        house
    }

    /// Where others reach it.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.p2p, self.peer)
    }

    /// Its peer id.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// All it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ask(&self, method: &str, params: Value) -> Option<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.rpc)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let head = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let answer: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        Some(answer["result"].clone())
    }

    /// Calls a method.
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.ask(method, params).unwrap_or_else(|| panic!("{method}: no answer:\n{}", self.log()))
    }

    /// Its best block's number.
    pub fn best(&self) -> u32 {
        let number = self.call("chain_getHeader", json!([]))["number"].as_str().expect("a number").to_owned();
        u32::from_str_radix(number.trim_start_matches("0x"), 16).expect("a number")
    }

    /// The peers it follows the chain with.
    pub fn peers(&self) -> u64 {
        self.call("system_health", json!([]))["peers"].as_u64().expect("a number")
    }

    /// The hash of the first block.
    pub fn genesis(&self) -> H256 {
        let text = self.call("chain_getBlockHash", json!([0]));
        text.as_str().and_then(|text| text.parse().ok()).expect("a hash")
    }

    /// Claims a node for an institution, on the chain.
    pub fn claim(&self, who: Sr25519Keyring, key: &Keypair) {
        let (genesis, account): (H256, AccountId) = (self.genesis(), who.to_account_id());
        let peer = key.public().to_peer_id().to_bytes();
        let signature = key.sign(&pallet_consortium::peer_id_claim(genesis.as_bytes(), &account, &peer));
        let call = RuntimeCall::Consortium(pallet_consortium::Call::set_peer_id {
            node_key: key.public().to_bytes(),
            signature: signature.try_into().expect("64 bytes"),
        });
        let nonce =
            self.call("system_accountNextIndex", json!([account.to_string()])).as_u64().expect("a number") as u32;
        let extension: TxExtension = (
            frame_system::AuthorizeCall::<Runtime>::new(),
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            frame_system::CheckNonce::from(nonce),
            frame_system::CheckWeight::new(),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        );
        let version = consilium_runtime::VERSION;
        let implied = ((), (), version.spec_version, version.transaction_version, genesis, genesis, (), (), None, ());
        let payload = SignedPayload::from_raw(call.clone(), extension.clone(), implied);
        let signed = payload.using_encoded(|bytes| who.sign(bytes));
        let transaction =
            UncheckedExtrinsic::new_signed(call, Address::from(account), Signature::from(signed), extension);
        self.call("author_submitExtrinsic", json!([format!("0x{}", hex::encode(transaction.encode()))]));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // an error says that it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
