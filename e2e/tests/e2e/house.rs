//! Institutions on machines with addresses of their own, each with its folder, led by the command line alone.

mod hands;

pub use hands::Program;

use consilium_e2e::{bin_dir, clock, hosts::Hosts, workspace};
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs::{self, DirBuilder, File},
    os::unix::fs::{symlink, DirBuilderExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// Names of the institutions, by machine.
const NAMES: [&str; 7] = ["st-mary", "st-john", "hill", "lakeside", "newcomer", "latecomer", "riverside"];
/// What four found together.
const CONSORTIUM: [&str; 2] = ["--consortium", "north-lungs"];

/// One institution, on its machine.
pub struct House<'a> {
    hosts: &'a Hosts,
    /// Number of its machine.
    pub n: u8,
    /// Its name.
    pub name: &'static str,
    /// Its folder.
    pub dir: PathBuf,
    /// What `up` says; beside the folder.
    log: PathBuf,
    /// Its machine's clock, if a test sets that; beside the folder.
    clock: PathBuf,
    up: RefCell<Option<Child>>,
    /// Its node and its worker, where a test starts them itself.
    by_hand: RefCell<[Option<Child>; 2]>,
}

/// Where all tests keep compiled runtimes: to compile one takes a processor for some seconds, and each machine would do so several
/// times.
fn compiled() -> PathBuf {
    let folder = bin_dir().unwrap().join("e2e-wasm");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    folder
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl<'a> House<'a> {
    /// Makes the folder of the institution on this machine; `how` founds or joins.
    pub fn init(hosts: &'a Hosts, scratch: &Path, n: u8, how: &[&str]) -> Self {
        let name = NAMES[usize::from(n) - 1];
        let beside = |what: &str| scratch.join(format!("{name}.{what}"));
        let (dir, log, clock) = (scratch.join(name), beside("log"), beside("clock"));
        let house = Self { hosts, n, name, dir, log, clock, up: RefCell::default(), by_hand: RefCell::default() };
        let address = format!("/ip4/{}/tcp/30333", Hosts::address(n));
        house.done(&[&["init", "--name", name, "--dir", text(&house.dir), "--address", &address][..], how].concat());
        symlink(compiled(), house.dir.join("node/wasm")).unwrap();
        house
    }

    /// Its folder, as an argument.
    pub fn dir(&self) -> &str {
        text(&self.dir)
    }

    /// The file with its phrase, as an argument.
    pub fn key(&self) -> String {
        text(&self.dir.join("institution.key")).to_owned()
    }

    /// Sets its machine's clock: so far beside the right one, such as `-10s` or `+1h`; `+0` is right. Programs have a clock that
    /// can be set if it was set before they were started.
    pub fn set_clock(&self, off: &str) {
        let new = self.clock.with_extension("new");
        fs::write(&new, off).unwrap();
        fs::rename(&new, &self.clock).unwrap();
    }

    /// A program of this workspace, on its machine and by its clock.
    fn on(&self, program: &str) -> Command {
        let mut command = self.hosts.on(self.n, bin_dir().unwrap().join(program));
        if self.clock.exists() {
            command.envs(clock::environment(&self.clock).unwrap());
        }
        command
    }

    /// What its node counts, by name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures(name).first().map(|(_, value)| *value)
    }

    /// All of that name, each with its labels.
    pub fn figures(&self, name: &str) -> Vec<(String, f64)> {
        // nothing else is sure to be there that asks a port of the machine
        let ask = "exec 3<>/dev/tcp/127.0.0.1/9615 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3";
        let output = self.hosts.on(self.n, "bash").args(["-c", ask]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(of, value)| (of.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// Its node's log.
    pub fn node_log(&self) -> String {
        fs::read_to_string(self.dir.join("logs/node.log")).unwrap_or_default()
    }

    /// Starts the command line on its machine, and does not wait for it.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.on("consilium");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs the command line on its machine.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.on("consilium").args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What a command that must succeed has printed.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8(output.stdout).unwrap());
        assert!(output.status.success(), "{}: {arguments:?}: {}: {said}\n{printed}", self.name, output.status);
        printed
    }

    /// What a command that must fail has said.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{}: {arguments:?}: {said}", self.name);
        String::from_utf8(output.stderr).unwrap()
    }

    /// What a command that must succeed has printed for programs.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    /// Changes what its people may change in `consilium.toml`.
    pub fn set(&self, name: &str, value: &str) {
        let file = self.dir.join("consilium.toml");
        let text = fs::read_to_string(&file).unwrap();
        let old = text.lines().find(|line| line.starts_with(&format!("{name} = "))).expect(name);
        fs::write(&file, text.replace(old, &format!("{name} = \"{value}\""))).unwrap();
    }

    /// Starts the institution's programs.
    pub fn up(&self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.on("consilium");
        command.args(["up", "--dir", self.dir()]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        *self.up.borrow_mut() = Some(command.spawn().unwrap());
    }

    /// Ends the institution's programs as its people do, and starts them again.
    pub fn again(&self) {
        if let Some(mut up) = self.up.take() {
            kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
            up.wait().unwrap();
        }
        self.up();
    }

    /// Cuts the power.
    pub fn lose(&self) {
        [Program::Node, Program::Worker].into_iter().for_each(|program| self.kill(program));
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    /// What its people would look at when something does not happen.
    pub fn logs(&self) -> String {
        let tail = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        format!(
            "{}\n--- up\n{}\n--- node\n{}\n--- worker\n{}",
            self.name,
            tail(&self.log),
            tail(&self.dir.join("logs/node.log")),
            tail(&self.dir.join("logs/worker.log"))
        )
    }

    /// Waits for something.
    #[track_caller]
    pub fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}\n{}", self.logs());
            sleep(Duration::from_millis(500));
        }
    }

    /// Votes aye as soon as its node knows the motion.
    #[track_caller]
    pub fn aye(&self, motion: &str) -> String {
        self.until("the motion", || self.run(&["motions", motion]).status.success().then_some(()));
        self.done(&["vote", motion, "aye", "--dir", self.dir()])
    }

    /// How far its node is, as `up --status` says; none while it does not answer.
    pub fn chain(&self) -> Option<Value> {
        let output = self.run(&["up", "--status", "--dir", self.dir(), "--format", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["chain"].clone()).filter(Value::is_object)
    }

    /// What its node says of an institution.
    pub fn institution(&self, name: &str) -> Option<Value> {
        let output = self.run(&["institutions", "--format", "json"]);
        let all: Value = serde_json::from_slice(&output.stdout).ok()?;
        all.as_array()?.iter().find(|it| it["name"] == name).cloned()
    }

    /// Where a file of its folder lies for this test, on whatever disk.
    pub fn seen(&self, name: &str) -> PathBuf {
        self.hosts.seen(&self.dir.join(name))
    }

    /// What its node says of a study, as soon as it says anything: on a machine that is busy a question may go unanswered.
    #[track_caller]
    pub fn shown(&self, study: &str) -> Value {
        self.until("the study", || self.study(study))
    }

    /// What its node says of a study.
    pub fn study(&self, study: &str) -> Option<Value> {
        let output = self.run(&["study", study, "--format", "json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Lets its worker work on a study with one table, and signs up.
    #[track_caller]
    pub fn enrol(&self, study: &str, agreement: &str, file: &Path, data: &Path) {
        let sites = self.dir.join("sites.toml");
        let more = format!("[[study]]\nagreement = \"{agreement}\"\ndata = \"{}\"\n", data.display());
        fs::write(&sites, fs::read_to_string(&sites).unwrap() + &more).unwrap();
        let worker = bin_dir().unwrap().join("ml-worker");
        let secret = self.dir.join("worker/secret");
        let mut checked = self.hosts.on(self.n, worker);
        checked.args(["check", "--study", text(file), "--data", text(data), "--secret", text(&secret)]);
        let checked: Value = serde_json::from_slice(&checked.output().unwrap().stdout).unwrap();
        let rows = checked["training"]["rows"].to_string();
        self.until("the study is here", || self.study(study));
        let signed = ["--agreement", agreement, "--samples", &rows, "--key", &self.key(), "--yes"];
        self.done(&[&["study", "enrol", study], &signed[..]].concat());
    }
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        self.lose();
    }
}

/// The number in `motion N: proposed`.
#[track_caller]
pub fn motion(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("motion ") && line.contains("proposed")).expect(said);
    line["motion ".len()..].split(':').next().unwrap().to_owned()
}

/// Prints how long a step took.
pub struct Clock(pub Instant);

impl Clock {
    /// Says how long it took since the last one.
    pub fn step(&mut self, what: &str) {
        println!("{:>6.1} s  {what}", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// So many institutions, each with its folder and in it the chain that they have founded of their cards by these terms.
pub fn founders<'a>(hosts: &'a Hosts, scratch: &Path, count: u8, terms: &[&str]) -> Vec<House<'a>> {
    let founders: Vec<House> = (1..=count).map(|n| House::init(hosts, scratch, n, &CONSORTIUM)).collect();
    let compiled = compiled();
    let terms = [terms, &["--wasm-cache", text(&compiled)]].concat();
    for house in &founders {
        let cards = scratch.join(format!("cards-of-{}", house.name));
        fs::create_dir(&cards).unwrap();
        for other in &founders {
            fs::copy(other.dir.join("card.json"), cards.join(format!("{}.json", other.n))).unwrap();
        }
        let chain = house.dir.join("chain.json");
        house.done(&[&["found"], &CONSORTIUM[..], &["--cards", text(&cards), "--out", text(&chain)], &terms].concat());
    }
    let (cards, chain) = (scratch.join("cards-of-st-john"), founders[0].dir.join("chain.json"));
    let check = ["--cards", text(&cards), "--check", text(&chain)];
    founders[1].done(&[&["found"], &CONSORTIUM[..], &check, &terms].concat());
    founders
}

/// Starts them all, and waits until a block is final for each.
pub fn all_up(houses: &[House]) {
    houses.iter().for_each(House::up);
    for house in houses {
        house.until("it runs", || house.chain()?["finalised"].as_u64().filter(|block| *block > 0));
    }
}

/// Makes the tables of the four hospitals that come with the worker; gives their paths, a to d.
pub fn demo_data(hosts: &Hosts, scratch: &Path) -> [PathBuf; 4] {
    let data = scratch.join("data");
    let mut make = hosts.on(1, bin_dir().unwrap().join("ml-worker"));
    let made = make.args(["demo-data", "--seed", "1", "--out", text(&data)]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    ["a", "b", "c", "d"].map(|letter| data.join(format!("hospital-{letter}.csv")))
}

/// The study that ships, but for the number of rounds and the seed, in a file.
pub fn study_file(scratch: &Path, rounds: u32, seed: u32) -> PathBuf {
    let example = fs::read_to_string(workspace().join("examples/breast-cancer/study.toml")).unwrap();
    let text = example
        .replace("rounds = 10", &format!("rounds = {rounds}"))
        .replace("seed = 1\n", &format!("seed = {seed}\n"));
    let file = scratch.join(format!("study-{seed}.toml"));
    fs::write(&file, text).unwrap();
    file
}

/// Registers a study, signs everybody up, and starts it.
pub fn study(proposer: &House, members: &[(&House, PathBuf)], file: &Path, number: &str) {
    agreed(proposer, members, file, number);
    proposer.done(&["study", "start", number, "--key", &proposer.key()]);
}

/// Registers a study, and signs everybody up.
pub fn agreed(proposer: &House, members: &[(&House, PathBuf)], file: &Path, number: &str) {
    let key = proposer.key();
    let mut register = vec!["study", "register", text(file), "--key", &key];
    for (member, _) in members {
        register.extend(["--invite", member.name]);
    }
    let registered = proposer.json(&register);
    assert_eq!(registered["study"].to_string(), number);
    let agreement = registered["agreement"].as_str().unwrap();
    for (member, data) in members {
        member.enrol(number, agreement, file, data);
    }
    proposer.until("all are enrolled", || {
        let state = proposer.study(number)?;
        (state["members"].as_array()?.len() == members.len()).then_some(())
    });
}

/// Waits until a study is completed at a house, and the certified model is with all of these. Gives its hash.
pub fn same_model(houses: &[&House], number: &str) -> String {
    let certified = |house: &House| Some(house.study(number)?["certificate"]["root"].as_str()?.to_owned());
    let root = houses[0].until("the certificate", || certified(houses[0]));
    for house in houses {
        assert_eq!(house.until("the certificate", || certified(house)), root, "{}", house.name);
        let file = house.seen("blobs").join(&root);
        let model = house.until("the model", || fs::read(&file).ok());
        assert_eq!(blake3::hash(&model).to_hex().to_string(), root, "{}", house.name);
    }
    root
}
