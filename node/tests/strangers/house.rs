//! A real node of an institution, and what is asked of it over HTTP.

use crate::consortium::Founder;
use sc_network_types::PeerId;
use serde_json::{json, Value};
use sp_core::H256;
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// The program.
pub const NODE: &str = env!("CARGO_BIN_EXE_consilium-node");

/// A free port of the loopback interface, below those that outgoing connections are given; each is given once.
pub fn port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 14_000 + (std::process::id() % 15_000) as u16;
    let next = || first + GIVEN.fetch_add(1, Ordering::Relaxed) % 1_000;
    std::iter::repeat_with(next).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Waits until something is so; gives how long that took.
pub fn wait(what: &str, patience: Duration, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
    began.elapsed()
}

/// A path as a word of a command line.
pub fn word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
    /// Starts an institution's node, and waits until it answers.
    pub fn start(spec: &Path, of: &Founder, more: &[&str]) -> Self {
        let dir = &of.dir;
        fs::create_dir_all(dir.join("blobs")).expect("made");
        let log = dir.join("log");
        let out = File::options().append(true).create(true).open(&log).expect("a log");
        let rpc = port();
        let child = Command::new(NODE)
            .args(["--chain", &word(spec), "--base-path", &word(&dir.join("node")), "--name", &of.name])
            .args(["--blobs", &word(&dir.join("blobs")), "--keystore-path", &word(&of.keystore())])
            .args(["--node-key-file", &word(&of.node_key()), "--listen-addr", &of.address()])
            .args(["--experimental-rpc-endpoint", &format!("listen-addr=127.0.0.1:{rpc},retry-random-port=false")])
            .args(["--wasm-cache", &word(&dir.parent().expect("a parent").join("wasm"))])
            // all are on one machine, and its addresses are worth telling
            .args(["--no-mdns", "--no-telemetry", "--no-prometheus", "--discover-local"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .expect("it starts");
        let mut house = Self { child, log, rpc, p2p: of.port, peer: of.node.public().to_peer_id() };
        wait(&format!("{} answers", of.name), Duration::from_secs(120), || {
            assert!(house.child.try_wait().expect("a child").is_none(), "{} has ended:\n{}", of.name, house.log());
            house.ask("system_health", json!([])).is_some()
        });
        house
    }

    /// Port on which it listens for others.
    pub fn port(&self) -> u16 {
        self.p2p
    }

    /// Its peer id.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// All it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Memory that it occupies, in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// The answer to a call, an error of the node's included; nothing while nobody listens.
    pub fn ask(&self, method: &str, params: Value) -> Option<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.rpc)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        // a node refuses what names another host, and one without the port is another
        let head = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\nconnection: close",
            self.rpc
        );
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// Calls a method that must succeed.
    pub fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).unwrap_or_else(|| panic!("{method}: no answer:\n{}", self.log()));
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
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

    /// Times between the arrivals of its blocks, seen for so long.
    pub fn intervals(&self, long: Duration) -> Vec<Duration> {
        let (began, mut last, mut at, mut seen) = (Instant::now(), self.best(), None, Vec::new());
        while began.elapsed() < long {
            std::thread::sleep(Duration::from_millis(20));
            let best = self.best();
            if best > last {
                let now = Instant::now();
                // of several at once each has taken its part
                let since = at.map(|before| (now - before) / (best - last));
                seen.extend(std::iter::repeat_n(since, (best - last) as usize).flatten());
                (last, at) = (best, Some(now));
            }
        }
        seen
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // an error says that it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one in the middle.
pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    *all.get(all.len() / 2).expect("there is one")
}
