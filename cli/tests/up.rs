//! Two institutions' folders, founded, started, hurt and stopped as people do it.
//!
//! The node and the worker lie beside the command line: `cargo build --release --workspace --bins` makes all three.
#![allow(clippy::unwrap_used)]

use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

/// How long something may take that is waited for; on a machine that does much else, too.
const PATIENCE: Duration = Duration::from_secs(90);

fn command(arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_consilium"));
    for name in ["consilium-node", "ml-worker"] {
        let beside = program.with_file_name(name);
        assert!(beside.exists(), "{} is missing: cargo build --release --workspace --bins", beside.display());
    }
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What a call that must succeed has printed.
fn done(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// An institution's folder, and what runs on it.
struct House {
    dir: PathBuf,
    log: PathBuf,
    up: Option<Child>,
    worker_port: u16,
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(up) = &mut self.up {
            // its children are killed with it
            let _ = up.kill();
            let _ = up.wait();
        }
    }
}

impl House {
    fn init(scratch: &Path, name: &str) -> Self {
        let dir = scratch.join(name);
        let [p2p, rpc, prometheus, worker] = free_ports(4)[..] else { panic!("four") };
        let port = p2p.to_string();
        let address = format!("/ip4/127.0.0.1/tcp/{p2p}");
        let who = ["init", "--consortium", "north-lungs", "--name", name, "--dir", text(&dir)];
        done(&[&who[..], &["--address", &address, "--port", &port]].concat());
        let file = dir.join("consilium.toml");
        let mut settings: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        settings["listen"] = vec![address].into();
        for (name, port) in [("rpc_port", rpc), ("prometheus_port", prometheus), ("worker_port", worker)] {
            settings[name] = i64::from(port).into();
        }
        fs::write(file, settings.to_string()).unwrap();
        Self { log: scratch.join(format!("{name}.log")), dir, up: None, worker_port: worker }
    }

    fn start(&mut self) {
        let log = File::create(&self.log).unwrap();
        let mut up = command(&["up", "--dir", text(&self.dir)]);
        self.up = Some(up.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn status(&self) -> Value {
        let output = command(&["up", "--dir", text(&self.dir), "--status", "--format", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until the status is as it should be, and gives it.
    fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if is(&status) {
                return status;
            }
            if Instant::now() > until {
                let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
                let log = read(&self.dir.join("logs/node.log"));
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                panic!("not {what}: {status:#}\n{}\n{}", read(&self.log), tail.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks it to end; how long it took.
    fn stop(&mut self) -> Duration {
        let mut up = self.up.take().unwrap();
        let began = Instant::now();
        kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = up.wait().unwrap();
        assert!(status.success(), "{status}: {}", fs::read_to_string(&self.log).unwrap());
        began.elapsed()
    }

    /// An entry of a table that the worker may use.
    fn give_data(&self) {
        fs::write(self.dir.join("table.csv"), "age,crp,spo2,admitted\n1,2,3,yes\n").unwrap();
        let entry = format!("[[study]]\nagreement = \"{}\"\ndata = \"table.csv\"\n", "00".repeat(32));
        fs::write(self.dir.join("sites.toml"), entry).unwrap();
    }

    /// What `up` says that must not start here: it ends with 78, and nothing was started.
    fn refused(&self, more: &[&str]) -> String {
        let output = command(&[&["up", "--dir", text(&self.dir)], more].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
        assert!(!self.dir.join("up.json").exists());
        said(&output)
    }
}

fn pid(note: &Value) -> Pid {
    Pid::from_raw(i32::try_from(note["pid"].as_u64().unwrap_or_else(|| panic!("{note}"))).unwrap())
}

fn runs(status: &Value, program: &str) -> bool {
    status["programs"][program]["state"] == "running"
}

/// Both folders, and the chain of them.
fn found(scratch: &Path) -> [House; 2] {
    let houses = ["st-mary", "north"].map(|name| House::init(scratch, name));
    let cards = scratch.join("cards");
    fs::create_dir(&cards).unwrap();
    for (at, house) in houses.iter().enumerate() {
        fs::copy(house.dir.join("card.json"), cards.join(format!("{at}.json"))).unwrap();
    }
    let chain = scratch.join("chain.json");
    let words = ["found", "--consortium", "north-lungs", "--cards", text(&cards), "--private-addresses"];
    let cache = scratch.join("wasm");
    done(&[&words[..], &["--out", text(&chain), "--wasm-cache", text(&cache)]].concat());
    for house in &houses {
        fs::copy(&chain, house.dir.join("chain.json")).unwrap();
        // what founding has compiled need not be compiled by each
        let copied = Command::new("cp").arg("-a").arg(&cache).arg(house.dir.join("node/wasm")).status().unwrap();
        assert!(copied.success());
    }
    houses
}

/// Whatever must not be started, and what is said of it.
fn what_must_not_start(mary: &House, north: &House) {
    let mode = |name: &str, mode| fs::set_permissions(mary.dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    mode("node.key", 0o644);
    let text = mary.refused(&[]);
    assert!(text.contains("node.key") && text.contains("0644") && text.contains("chmod 600"), "{text}");
    mode("node.key", 0o600);

    let taken = TcpListener::bind(("127.0.0.1", mary.worker_port)).unwrap();
    let text = mary.refused(&[]);
    assert!(text.contains("worker_port") && text.contains(&mary.worker_port.to_string()), "{text}");
    drop(taken);

    let swap = |name: &str, from: &Path| {
        let own = fs::read(mary.dir.join(name)).unwrap();
        fs::write(mary.dir.join(name), fs::read(from).unwrap()).unwrap();
        let text = mary.refused(&[]);
        fs::write(mary.dir.join(name), own).unwrap();
        text
    };
    let text = swap("node.key", &north.dir.join("node.key"));
    assert!(text.contains("node.key: is that of north"), "{text}");
    // a key that nobody has
    let seed = mary.dir.join("seed");
    fs::write(&seed, "11".repeat(32)).unwrap();
    let text = swap("node.key", &seed);
    assert!(text.contains("node.key is of another node") && text.contains("--keys-changed"), "{text}");

    let settings = mary.dir.join("consilium.toml");
    let open = fs::read_to_string(&settings).unwrap().replace("rpc_ip = \"127.0.0.1\"", "rpc_ip = \"0.0.0.0\"");
    let file = mary.dir.join("open.toml");
    fs::write(&file, open).unwrap();
    let text = swap("consilium.toml", &file);
    assert!(text.contains("0.0.0.0") && text.contains("--i-know"), "{text}");
    fs::write(&file, "nice = 3").unwrap();
    assert!(swap("consilium.toml", &file).contains("consilium.toml"));

    fs::rename(mary.dir.join("chain.json"), mary.dir.join("away")).unwrap();
    let text = mary.refused(&[]);
    assert!(text.contains("chain.json") && text.contains("is missing"), "{text}");
    fs::rename(mary.dir.join("away"), mary.dir.join("chain.json")).unwrap();
}

#[test]
fn a_folder_is_started_kept_running_and_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let [mut mary, mut north] = found(scratch.path());
    what_must_not_start(&mary, &north);
    fs::remove_file(mary.dir.join("token")).unwrap();
    mary.give_data();
    mary.start();
    north.start();
    let advance = |status: &Value| status["chain"]["finalised"].as_u64().unwrap_or(0) >= 2;
    let status = mary.wait("final", |status| advance(status) && runs(status, "worker"));
    assert_eq!(status["up"], true);
    let first = status["programs"]["answered_after_ms"].as_u64().unwrap();
    assert!(fs::read_to_string(&mary.log).unwrap().contains("token was missing"), "and was made");
    north.wait("final", advance);

    // a second one is refused by the first one's process
    let output = command(&["up", "--dir", text(&mary.dir)]).output().unwrap();
    let process = format!("by process {};", mary.up.as_ref().unwrap().id());
    assert!(output.status.code() == Some(1) && said(&output).contains(&process), "{}", said(&output));

    // a worker without a table waits, and begins when there is one
    let status = north.wait("waiting", |status| status["programs"]["worker"]["state"] == "waiting");
    assert!(status["programs"]["worker"]["why"].as_str().unwrap().contains("sites.toml"), "{status}");
    let shown = command(&["up", "--dir", text(&north.dir), "--status"]).output().unwrap();
    assert!(
        shown.status.success() && said(&shown).contains("waits for sites.toml: it names no study"),
        "{}",
        said(&shown)
    );
    north.give_data();
    north.wait("working", |status| runs(status, "worker"));

    // what is killed comes back, one without the other
    let node = pid(&status_of(&mary, "node"));
    kill(pid(&status_of(&mary, "worker")), Signal::SIGKILL).unwrap();
    let status = mary.wait("back", |status| runs(status, "worker") && status["programs"]["worker"]["restarts"] == 1);
    assert_eq!(pid(&status["programs"]["node"]), node);
    assert!(status["programs"]["worker"]["last_exit"].as_str().unwrap().contains("SIGKILL"), "{status}");
    let worker = pid(&status["programs"]["worker"]);
    kill(node, Signal::SIGKILL).unwrap();
    let back = |status: &Value| {
        let programs = &status["programs"];
        runs(status, "node") && programs["node"]["restarts"] == 1 && programs["answered_after_ms"].is_u64()
    };
    let status = mary.wait("back", back);
    assert_eq!(pid(&status["programs"]["worker"]), worker);
    let second = status["programs"]["answered_after_ms"].as_u64().unwrap();
    println!("from the node's start to its first answer: {first} ms at first, {second} ms the second time");
    assert!(second < 10_000);

    // it goes on, and the chain knows this institution
    let at = north.status()["chain"]["finalised"].as_u64().unwrap();
    mary.wait("going on", |status| {
        let known = status["programs"]["institution"].as_str().unwrap_or_default().contains("as the chain has them");
        known && status["chain"]["finalised"].as_u64().unwrap_or(0) > at
    });
    let examined = command(&["doctor", "--dir", text(&mary.dir)]).output().unwrap();
    println!("{}", said(&examined));
    assert!(examined.status.success(), "{}", said(&examined));
    assert!(said(&examined).contains("north: connected, 127.0.0.1:"), "{}", said(&examined));

    // both end when asked to, with what they have started
    let pids = ["node", "worker"].map(|program| pid(&status_of(&mary, program)));
    let took = mary.stop();
    println!("stopped within {took:?}");
    assert!(took < Duration::from_secs(30));
    assert!(pids.iter().all(|pid| kill(*pid, None).is_err()));
    let shown = command(&["up", "--dir", text(&mary.dir), "--status"]).output().unwrap();
    assert!(shown.status.code() == Some(1) && said(&shown).contains("not running"), "{}", said(&shown));
    let examined = command(&["doctor", "--dir", text(&mary.dir)]).output().unwrap();
    assert!(examined.status.code() == Some(1) && said(&examined).contains("MEND  node"), "{}", said(&examined));

    // a worker that is configured wrongly is not started again, and its node goes on
    fs::write(mary.dir.join("sites.toml"), "[[study]\n").unwrap();
    mary.start();
    let refused = |status: &Value| {
        status["programs"]["worker"]["state"] == "refused" && status["programs"]["answered_after_ms"].is_u64()
    };
    let status = mary.wait("refused", refused);
    let worker = &status["programs"]["worker"];
    assert!(
        worker["last_exit"] == "exit code 78" && worker["why"].as_str().unwrap().contains("sites.toml"),
        "{status}"
    );
    assert!(worker["restarts"] == 0 && runs(&status, "node"), "{status}");
    println!("third start: {} ms", status["programs"]["answered_after_ms"]);

    // another node key, and the node started again before the block is final in which that was said
    done(&["rotate", "node", "--dir", text(&mary.dir)]);
    mary.stop();
    mary.start();
    let known = |status: &Value| {
        status["programs"]["institution"].as_str().unwrap_or_default().contains("as the chain has them")
    };
    mary.wait("known by its new key", known);
    let log = fs::read_to_string(&mary.log).unwrap();
    assert!(!log.contains("not as the chain has it"), "{log}");
    north.wait("connected to the new key", |status| status["chain"]["peers"] == 1);
    let examined = command(&["doctor", "--dir", text(&north.dir)]).output().unwrap();
    assert!(said(&examined).contains("st-mary: connected, 127.0.0.1:"), "{}", said(&examined));
    mary.stop();
    north.stop();
}

fn status_of(house: &House, program: &str) -> Value {
    house.status()["programs"][program].clone()
}
