//! One hospital's site, started with the commands that `docs/site.md` shows.

use consilium_e2e::{bin_dir, free_port, workspace};
use serde_json::Value;
use std::{
    fs::{self, File, Permissions},
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A process that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command of the node in `docs/site.md`, in words, without the program.
fn command() -> Vec<String> {
    let page = fs::read_to_string(workspace().join("docs/site.md")).unwrap().replace("\\\n", " ");
    let command = page.lines().find_map(|line| line.trim().strip_prefix("consilium-node ")).unwrap();
    command.split_whitespace().map(str::to_owned).collect()
}

/// Two institutions found a chain; the folder of one of them, with it.
fn founded(scratch: &Path) -> PathBuf {
    let done = |words: &[&str]| {
        let output =
            Command::new(bin_dir().unwrap().join("consilium")).args(words).current_dir(scratch).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::create_dir(scratch.join("cards")).unwrap();
    for (name, port) in [("mary", "30001"), ("john", "30002")] {
        let address = format!("/ip4/127.0.0.1/tcp/{port}");
        done(&["init", "--consortium", "north-lungs", "--name", name, "--address", &address, "--dir", name]);
        fs::copy(scratch.join(name).join("card.json"), scratch.join("cards").join(name).with_extension("json"))
            .unwrap();
    }
    let out = "mary/chain.json";
    done(&["found", "--consortium", "north-lungs", "--cards", "cards", "--private-addresses", "--out", out]);
    scratch.join("mary")
}

fn node(folder: &Path, words: &[String], said: &Path) -> Command {
    let mut command = Command::new(bin_dir().unwrap().join("consilium-node"));
    command.args(words).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(said).unwrap());
    command
}

/// What a node answers to a call.
fn call(port: u16, method: &str, params: &Value) -> Option<Value> {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // a node answers only who names it as it is reached, with the port
    let head = "connection: close\r\ncontent-type: application/json\r\n";
    write!(stream, "POST / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{head}content-length: {}\r\n\r\n{body}", body.len())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split("\r\n\r\n").nth(1)?).ok()
}

#[test]
fn a_site_that_is_started_as_its_page_says_keeps_its_key_and_its_worker_to_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let (folder, said) = (founded(scratch.path()), scratch.path().join("said"));
    let folder = folder.as_path();
    for (file, mode) in [("node.key", 0o600), ("token", 0o600), ("institution.key", 0o600), ("keystore", 0o700)] {
        assert_eq!(fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    let (rpc, peers) = (free_port().unwrap(), free_port().unwrap());
    let more = ["--rpc-port", &rpc.to_string(), "--port", &peers.to_string(), "--no-prometheus", "--no-mdns"];
    let start: Vec<String> = command().into_iter().chain(more.map(str::to_owned)).collect();

    // a key that others could copy is refused, and so is a token
    for (file, open, right) in [("node.key", 0o644, 0o600), ("token", 0o644, 0o640)] {
        fs::set_permissions(folder.join(file), Permissions::from_mode(open)).unwrap();
        let status = node(folder, &start, &said).status().unwrap();
        let text = fs::read_to_string(&said).unwrap();
        assert!(!status.success() && text.contains(file) && text.contains("0644") && text.contains("chmod"), "{text}");
        fs::set_permissions(folder.join(file), Permissions::from_mode(right)).unwrap();
    }

    let _node = Running(node(folder, &start, &said).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    while call(rpc, "system_health", &serde_json::json!([])).is_none() {
        assert!(Instant::now() < end, "{}", fs::read_to_string(&said).unwrap());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(fs::read_to_string(&said).unwrap().contains("safe methods only"));
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let (token, url) = (hex(b"consilium/worker/token"), hex(b"consilium/worker/url"));
    let elsewhere = hex(b"\x38http://evil:80");
    for (method, params) in [
        ("offchain_localStorageGet", serde_json::json!(["PERSISTENT", token])),
        ("offchain_localStorageSet", serde_json::json!(["PERSISTENT", url, elsewhere])),
        ("author_rotateKeys", serde_json::json!([])),
        ("author_insertKey", serde_json::json!(["swrm", "//Mallory", hex(&[0; 32])])),
    ] {
        let answer = call(rpc, method, &params).unwrap();
        assert!(answer["result"].is_null() && answer["error"].to_string().contains("unsafe"), "{method}: {answer}");
    }
    // the token lies in the database, where nobody else comes
    for entry in ["node", "node/chains", "node/courier", "blobs"] {
        let mode = fs::metadata(folder.join(entry)).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{entry}: {mode:o}");
    }
}
