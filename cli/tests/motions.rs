//! What institutions decide together, by the command line alone, on a chain of four that they have founded: real nodes, real
//! votes, and a new runtime.
//!
//! The node lies beside the command line: `cargo build --release --workspace --bins` makes both.
#![allow(clippy::unwrap_used)]

use consilium_e2e::runtime::next_version;
use serde_json::Value;
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a node may take to answer, to meet others, and to follow them.
const PATIENCE: Duration = Duration::from_secs(180);

fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_consilium")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --bins", path.display());
    path
}

fn consilium(arguments: &[&str]) -> Output {
    Command::new(program("consilium")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What a call that must succeed has printed.
fn done(arguments: &[&str]) -> String {
    let output = consilium(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a call that must fail has said.
fn refused(arguments: &[&str]) -> String {
    let output = consilium(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

/// An institution's folder, and its node while it runs.
struct House {
    dir: PathBuf,
    rpc: u16,
    p2p: u16,
    node: Option<Child>,
}

impl House {
    /// Makes a folder; `how` founds or joins.
    fn init(scratch: &Path, name: &str, how: &[&str]) -> Self {
        let held: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let [rpc, p2p] = [0, 1].map(|n| held[n].local_addr().unwrap().port());
        let dir = scratch.join(name);
        let address = format!("/ip4/127.0.0.1/tcp/{p2p}");
        done(&[&["init", "--name", name, "--dir", text(&dir), "--address", &address][..], how].concat());
        // people choose the port of their node's JSON-RPC in this file
        let settings = dir.join("consilium.toml");
        let written = fs::read_to_string(&settings).unwrap().replace("rpc_port = 9944", &format!("rpc_port = {rpc}"));
        fs::write(&settings, written).unwrap();
        Self { dir, rpc, p2p, node: None }
    }

    fn dir(&self) -> &str {
        text(&self.dir)
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.rpc)
    }

    fn start(&mut self, chain: &Path) {
        let log = File::options().create(true).append(true).open(self.dir.join("node.log")).unwrap();
        let at = |name: &str| text(&self.dir.join(name)).to_owned();
        let child = Command::new(program("consilium-node"))
            .args(["--chain", text(chain), "--base-path", &at("node"), "--keystore-path", &at("keystore")])
            .args(["--node-key-file", &at("node.key"), "--validator", "--allow-private-ip", "--no-mdns"])
            .args([
                "--listen-addr",
                &format!("/ip4/127.0.0.1/tcp/{}", self.p2p),
                "--state-pruning",
                "archive-canonical",
            ])
            .args(["--experimental-rpc-endpoint"])
            .arg(format!("listen-addr=127.0.0.1:{},retry-random-port=false,methods=safe", self.rpc))
            .args(["--no-telemetry", "--no-prometheus"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.node = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.node.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What is voted on, and the number of this node's best block; none while the node does not answer.
    fn motions(&self) -> Option<Value> {
        let output = consilium(&["motions", "--format", "json", "--decided", "0", "--url", &self.url()]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn best(&self) -> Option<u64> {
        self.motions()?["block"].as_u64()
    }

    /// Waits until this node's best block is this one or a later one.
    #[track_caller]
    fn follows(&self, block: u64) {
        let until = Instant::now() + PATIENCE;
        while self.best().is_none_or(|best| best < block) {
            let log = || fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
            assert!(Instant::now() < until, "{:?}: no block {block}\n{}", self.dir, log());
            sleep(Duration::from_millis(500));
        }
    }

    /// Votes, and gives what was said.
    #[track_caller]
    fn votes(&self, number: u32, voice: &str) -> String {
        // its node must have seen the motion
        let until = Instant::now() + PATIENCE;
        while !self.motions().is_some_and(|all| all["open"].as_array().unwrap().iter().any(|it| it["number"] == number))
        {
            assert!(Instant::now() < until, "{:?}: no motion {number}", self.dir);
            sleep(Duration::from_millis(300));
        }
        done(&["vote", &number.to_string(), voice, "--dir", self.dir()])
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The number in `motion N: proposed`.
#[track_caller]
fn number(said: &str) -> u32 {
    let line = said.lines().find(|line| line.starts_with("motion ") && line.contains("proposed")).unwrap();
    line["motion ".len()..].split(':').next().unwrap().parse().unwrap()
}

/// The runtime that this chain was founded with.
fn founding_runtime(chain: &Path) -> Vec<u8> {
    let spec: Value = serde_json::from_slice(&fs::read(chain).unwrap()).unwrap();
    let code = spec["genesis"]["raw"]["top"]["0x3a636f6465"].as_str().unwrap();
    hex::decode(code.trim_start_matches("0x")).unwrap()
}

#[test]
fn institutions_decide_together_and_act_for_themselves_by_the_command_line_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let founding = ["--consortium", "north-lungs"];
    let mut houses: Vec<House> =
        ["house-a", "house-b", "house-c", "hill"].map(|name| House::init(at, name, &founding)).into();
    let (cards, chain) = (at.join("cards"), at.join("chain.json"));
    fs::create_dir(&cards).unwrap();
    for (n, house) in houses.iter().enumerate() {
        fs::copy(house.dir.join("card.json"), cards.join(format!("{n}.json"))).unwrap();
    }
    let terms = ["--test", "--private-addresses", "--upgrade-delay", "4s", "--motion-life", "60s", "--silence", "4s"];
    let line = ["found", "--consortium", "north-lungs", "--cards", text(&cards), "--out", text(&chain)];
    done(&[&line[..], &terms].concat());
    houses.iter_mut().for_each(|house| house.start(&chain));
    let [a, b, c, d] = &houses[..] else { panic!("four") };
    a.follows(2);
    says(&done(&["motions", "--url", &a.url()]), &["No motion is open"]);

    // keys are rotated while the others go on
    let old_keys: Vec<_> =
        fs::read_dir(b.dir.join("keystore")).unwrap().flatten().map(|file| file.file_name()).collect();
    b.follows(2);
    let rotating = Command::new(program("consilium"))
        .args(["rotate", "session", "--wait", "400", "--dir", b.dir()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    // names
    let several = refused(&["propose", "suspend", "house", "--dir", a.dir()]);
    says(&several, &["could be one of several", "house-a", "house-b", "house-c"]);
    assert!(!several.contains("hill"), "{several}");
    says(&refused(&["propose", "suspend", "nobody", "--dir", a.dir()]), &["no institution", "hill"]);

    // three of four suspend one, which says nay
    let said = done(&["propose", "suspend", "hi", "--dir", a.dir()]);
    says(
        &said,
        &["suspend hill", "3 of 4 validators; then 3 of 3", "proposed, which is an aye", "1 of 3", "2 more decide it"],
    );
    let first = number(&said);
    says(&d.votes(first, "nay"), &["voted nay", "1 of 3"]);
    c.votes(first, "aye");
    let shown = done(&["motions", "--url", &c.url()]);
    says(&shown, &["suspend hill", "proposed by house-a", "ayes 2 of 3", "nays 1: hill; not heard: house-b", "for "]);
    says(&b.votes(first, "aye"), &["it is decided: passed", "hill is suspended"]);
    let again = refused(&["vote", &first.to_string(), "aye", "--dir", b.dir()]);
    says(&again, &["decided already", "consilium motions"]);

    // who is suspended has no voice, and the chain says why
    let said = refused(&["propose", "cancel-upgrade", "--dir", d.dir()]);
    says(&said, &["NoVoice", "reinstated first"]);
    let said = done(&["propose", "reinstate", "hill", "--dir", a.dir()]);
    says(&said, &["1 of 2", "1 more decide it"]);
    says(&c.votes(number(&said), "aye"), &["passed", "hill is reinstated"]);

    // this one is left to its time, which is a minute
    let forgotten = number(&done(&["propose", "thresholds", "admit=3/4", "--dir", d.dir()]));
    says(&done(&["motions", &forgotten.to_string(), "--url", &d.url()]), &["admit: at least 3/4, now at least 2/3"]);
    says(&refused(&["close", &forgotten.to_string(), "--dir", d.dir()]), &["can still be voted on"]);

    // a newcomer: its card, two thirds, its node
    let joining = ["--join", text(&chain)];
    let mut e = House::init(at, "new-house", &joining);
    let (card, other) = (e.dir.join("card.json"), a.dir.join("card.json"));
    let fingerprint = done(&["card", e.dir()]).lines().find(|line| line.starts_with("fingerprint")).unwrap().to_owned();
    says(&refused(&["propose", "admit", text(&other), "--dir", a.dir()]), &["founding"]);
    let said = done(&["propose", "admit", text(&card), "--dir", a.dir()]);
    says(&said, &[&fingerprint, "admit \"new-house\"", "1 of 3"]);
    let admission = number(&said);
    b.follows(a.best().unwrap());
    let compared = done(&["motions", &admission.to_string(), "--card", text(&card), "--url", &b.url()]);
    says(&compared, &["is the card of this motion", "consilium vote "]);
    assert!(!compared.contains("compare it with"), "it was compared already: {compared}");
    b.votes(admission, "aye");
    says(&c.votes(admission, "aye"), &["passed", "new-house is an institution"]);
    e.start(&chain);

    // a new runtime: by its file, three quarters of the four, a delay, by anybody
    let (wasm, wrong) = (at.join("next.wasm"), at.join("wrong.wasm"));
    let code = next_version(&founding_runtime(&chain)).unwrap();
    fs::write(&wasm, &code).unwrap();
    fs::write(&wrong, [&code[..], b"\0"].concat()).unwrap();
    let said = refused(&["upgrade", "propose", "--wasm", text(&chain), "--dir", a.dir()]);
    says(&said, &["specification"]);
    let said = done(&["upgrade", "propose", "--wasm", text(&wasm), "--dir", a.dir()]);
    says(&said, &["runtime      consilium, version ", "calls: the same ", "no study runs", "1 of 3"]);
    let upgrade = number(&said);
    c.follows(a.best().unwrap());
    let motion = upgrade.to_string();
    says(
        &done(&["motions", &motion, "--wasm", text(&wasm), "--url", &c.url()]),
        &["the runtime of this motion, to the byte", "calls: the same "],
    );
    says(&refused(&["motions", &motion, "--wasm", text(&wrong), "--url", &c.url()]), &["ANOTHER runtime"]);
    c.votes(upgrade, "aye");
    says(&d.votes(upgrade, "aye"), &["passed", "can be applied from block"]);
    says(&refused(&["upgrade", "apply", "--wasm", text(&wrong), "--url", &d.url()]), &["ANOTHER runtime"]);
    let until = Instant::now() + PATIENCE;
    while !done(&["upgrade", "status", "--url", &d.url()]).contains("to be applied now") {
        assert!(Instant::now() < until, "the delay does not end");
        sleep(Duration::from_millis(500));
    }
    let said = done(&["upgrade", "apply", "--wasm", text(&wasm), "--url", &d.url()]);
    says(&said, &["the chain has the new runtime, version "]);
    says(&refused(&["upgrade", "apply", "--wasm", text(&wasm), "--url", &d.url()]), &["has this runtime already"]);
    let block = d.best().unwrap();
    [a, b, c].iter().for_each(|house| house.follows(block));
    let same = |said: &str| said.lines().find(|line| line.starts_with("code ")).unwrap().to_owned();
    assert_eq!(
        same(&done(&["upgrade", "status", "--url", &a.url()])),
        same(&done(&["upgrade", "status", "--url", &d.url()]))
    );

    // the newcomer follows, through the change of runtimes, and acts
    e.follows(block);
    let address = format!("/ip4/127.0.0.1/tcp/{}", e.p2p);
    says(&done(&["addresses", "set", &address, "--dir", e.dir()]), &[&address]);
    says(&done(&["rotate", "node", "--dir", e.dir()]), &["Start the node again", "node.key.old"]);
    assert!(fs::read(e.dir.join("node.key")).unwrap() != fs::read(e.dir.join("node.key.old")).unwrap());

    // the keys that were rotated are used, and the older ones are put away
    let output = rotating.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    says(&said, &["new session keys are registered", "they are used", "3 older keys"]);
    for name in old_keys {
        assert!(b.dir.join("keystore/old").join(&name).exists() && !b.dir.join("keystore").join(&name).exists());
    }
    assert_eq!(fs::read_dir(b.dir.join("keystore")).unwrap().count(), 4, "three keys and a folder");

    // one leaves, by its whole name
    says(&refused(&["leave", "hil", "--dir", d.dir()]), &["signs for \"hill\""]);
    says(&done(&["leave", "hill", "--dir", d.dir()]), &["hill has left"]);
    says(&refused(&["propose", "cancel-upgrade", "--dir", d.dir()]), &["signs for no institution"]);

    // what was not decided in time is taken away by anybody; what was is remembered by its blocks
    let until = Instant::now() + PATIENCE;
    while !done(&["motions", &forgotten.to_string(), "--url", &a.url()]).contains("its time is over") {
        assert!(Instant::now() < until, "the motion's time does not end");
        sleep(Duration::from_secs(1));
    }
    says(&done(&["close", &forgotten.to_string(), "--dir", c.dir()]), &["not decided in time"]);
    let past = done(&["motions", "--decided", "9", "--url", &c.url()]);
    says(
        &past,
        &["No motion is open", "admit \"new-house\": passed", "reinstate", "a new runtime", "not decided in time"],
    );
    says(&done(&["motions", &first.to_string(), "--url", &c.url()]), &["passed", "house-a, house-c, house-b; nays "]);
}
