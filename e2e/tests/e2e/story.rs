//! A consortium's life by the command line alone: machines with addresses of their own, a folder on each, cards exchanged as
//! files. Nothing is set by an environment variable, no call is made by hand, no JSON is edited; `sites.toml` is written as a
//! site's people write it.

use consilium_e2e::{bin_dir, hosts::Hosts, workspace};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// Names of the institutions, by machine.
const NAMES: [&str; 5] = ["st-mary", "st-john", "hill", "lakeside", "newcomer"];

/// One institution, on its machine.
struct House<'a> {
    hosts: &'a Hosts,
    n: u8,
    name: &'static str,
    dir: PathBuf,
    up: RefCell<Option<Child>>,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl<'a> House<'a> {
    fn init(hosts: &'a Hosts, scratch: &Path, n: u8, how: &[&str]) -> Self {
        let name = NAMES[usize::from(n) - 1];
        let house = Self { hosts, n, name, dir: scratch.join(name), up: RefCell::default() };
        let address = format!("/ip4/{}/tcp/30333", Hosts::address(n));
        house.done(&[&["init", "--name", name, "--dir", text(&house.dir), "--address", &address][..], how].concat());
        house
    }

    fn dir(&self) -> &str {
        text(&self.dir)
    }

    fn key(&self) -> String {
        text(&self.dir.join("institution.key")).to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.hosts
            .on(self.n, bin_dir().unwrap().join("consilium"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a command that must succeed has printed.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {arguments:?}: {said}", self.name);
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    /// Starts the institution's programs.
    fn up(&self) {
        let log = File::options().create(true).append(true).open(self.dir.join("up.log")).unwrap();
        let mut command = self.hosts.on(self.n, bin_dir().unwrap().join("consilium"));
        command.args(["up", "--dir", self.dir()]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        *self.up.borrow_mut() = Some(command.spawn().unwrap());
    }

    /// Cuts the power.
    fn lose(&self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    /// What its people would look at when something does not happen.
    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.dir.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        format!(
            "{}\n--- up\n{}\n--- node\n{}\n--- worker\n{}",
            self.name,
            tail("up.log"),
            tail("node.log"),
            tail("worker.log")
        )
    }

    #[track_caller]
    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
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
    fn aye(&self, motion: &str) -> String {
        self.until("the motion", || self.run(&["motions", motion]).status.success().then_some(()));
        self.done(&["vote", motion, "aye", "--dir", self.dir()])
    }

    /// How far its node is, as `up --status` says; none while it does not answer.
    fn chain(&self) -> Option<Value> {
        let output = self.run(&["up", "--status", "--dir", self.dir(), "--format", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["chain"].clone()).filter(Value::is_object)
    }

    /// What its node says of an institution.
    fn institution(&self, name: &str) -> Option<Value> {
        let output = self.run(&["institutions", "--format", "json"]);
        let all: Value = serde_json::from_slice(&output.stdout).ok()?;
        all.as_array()?.iter().find(|it| it["name"] == name).cloned()
    }

    fn study(&self, study: &str) -> Option<Value> {
        let output = self.run(&["study", study, "--format", "json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Lets its worker work on a study with one table, and signs up.
    #[track_caller]
    fn enrol(&self, study: &str, agreement: &str, file: &Path, data: &Path) {
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
        self.done(&["study", "enrol", study, "--agreement", agreement, "--samples", &rows, "--key", &self.key()]);
    }
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        self.lose();
    }
}

/// The number in `motion N: proposed`.
#[track_caller]
fn motion(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("motion ") && line.contains("proposed")).expect(said);
    line["motion ".len()..].split(':').next().unwrap().to_owned()
}

/// Prints how long a step took.
struct Clock(Instant);

impl Clock {
    fn step(&mut self, what: &str) {
        println!("{:>6.1} s  {what}", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// Registers a study, signs everybody up, and starts it.
fn study(proposer: &House, members: &[(&House, PathBuf)], file: &Path, number: &str) {
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
    proposer.done(&["study", "start", number, "--key", &key]);
}

#[test]
fn hospitals_found_govern_guard_and_repair_a_chain_of_their_own() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let hosts = Hosts::new(5).unwrap();
    let mut clock = Clock(Instant::now());

    // every institution makes its folder; cards go round as files
    let founding = ["--consortium", "north-lungs"];
    let founders: Vec<House> = (1..=4).map(|n| House::init(&hosts, at, n, &founding)).collect();
    let [mary, john, hill, lake] = &founders[..] else { panic!("four") };
    let terms = ["--private-addresses", "--test", "--upgrade-delay", "10s", "--silence", "10s", "--motion-life", "10m"];
    for house in &founders {
        let cards = at.join(format!("cards-of-{}", house.name));
        fs::create_dir(&cards).unwrap();
        for other in &founders {
            fs::copy(other.dir.join("card.json"), cards.join(format!("{}.json", other.n))).unwrap();
        }
        let chain = house.dir.join("chain.json");
        let line = ["found", "--consortium", "north-lungs", "--cards", text(&cards), "--out", text(&chain)];
        house.done(&[&line[..], &terms].concat());
    }
    let cards = at.join("cards-of-st-john");
    let chain = mary.dir.join("chain.json");
    let check = ["found", "--consortium", "north-lungs", "--cards", text(&cards), "--check", text(&chain)];
    john.done(&[&check[..], &terms].concat());
    clock.step("four founders: folders, cards, the chain at each, checked");

    founders.iter().for_each(House::up);
    for house in &founders {
        house.until("it runs", || house.chain()?["finalised"].as_u64().filter(|block| *block > 0));
    }
    clock.step("all run");

    // a study
    let data = at.join("data");
    let demo = hosts
        .on(1, bin_dir().unwrap().join("ml-worker"))
        .args(["demo-data", "--seed", "1", "--out", text(&data)])
        .output();
    assert!(demo.unwrap().status.success());
    let table = |letter: &str| data.join(format!("hospital-{letter}.csv"));
    let file = at.join("study.toml");
    let example = fs::read_to_string(workspace().join("examples/breast-cancer/study.toml")).unwrap();
    fs::write(&file, example.replace("rounds = 10", "rounds = 30")).unwrap();
    let members = [(mary, table("a")), (john, table("b")), (hill, table("c")), (lake, table("d"))];
    study(mary, &members, &file, "0");
    clock.step("study 0 is registered, all have signed up, and it has started");
    let round = |house: &House, least: u64| {
        house.until("rounds go on", || (house.study("0")?["round"].as_u64()? >= least).then_some(()));
    };
    round(mary, 2);
    clock.step("two rounds");

    // keys are rotated in mid-study
    john.done(&["rotate", "session", "--dir", john.dir()]);
    clock.step("st-john has rotated its session keys");

    // one is suspended, and reinstated
    let suspension = motion(&mary.done(&["propose", "suspend", "lakeside", "--dir", mary.dir()]));
    john.aye(&suspension);
    assert!(hill.aye(&suspension).contains("lakeside is suspended"));
    let reinstatement = motion(&mary.done(&["propose", "reinstate", "lakeside", "--dir", mary.dir()]));
    john.aye(&reinstatement);
    clock.step("lakeside was suspended and reinstated");

    // a fifth asks, is admitted, starts, and stands among the validators
    let join = ["--join", text(&chain)];
    let newcomer = House::init(&hosts, at, 5, &join);
    fs::copy(&chain, newcomer.dir.join("chain.json")).unwrap();
    let admission =
        motion(&mary.done(&["propose", "admit", text(&newcomer.dir.join("card.json")), "--dir", mary.dir()]));
    john.aye(&admission);
    assert!(hill.aye(&admission).contains("newcomer is an institution"));
    newcomer.up();
    newcomer.until("it is in step", || newcomer.chain().filter(|chain| chain["in_step"] == true));
    clock.step("a fifth was admitted and is in step");
    mary.until("the newcomer makes blocks", || (mary.institution("newcomer")?["makes_blocks"] == true).then_some(()));
    clock.step("it is a validator");

    // it takes part in the next study, while the first one goes on
    let next = at.join("next.toml");
    fs::write(&next, example.replace("rounds = 10", "rounds = 5").replace("seed = 1\n", "seed = 2\n")).unwrap();
    let members = [(mary, table("a")), (john, table("b")), (&newcomer, table("d"))];
    study(mary, &members, &next, "1");
    let completed = |house: &House, number: &str| {
        house.until("the certificate", || house.study(number).filter(|study| study["certificate"]["root"].is_string()))
    };
    completed(&newcomer, "1");
    clock.step("study 1, the newcomer in it, is completed");

    // one leaves, by its whole name
    hill.done(&["leave", "hill", "--dir", hill.dir()]);
    clock.step("hill has left");

    // a machine is lost for good: its institution is removed
    lake.lose();
    let removal = motion(&mary.done(&["propose", "remove", "lakeside", "--dir", mary.dir()]));
    john.aye(&removal);
    mary.until("lakeside is removed", || mary.institution("lakeside").is_none().then_some(()));
    let best = mary.chain().unwrap()["best"].as_u64().unwrap();
    mary.until("blocks become final without it", || {
        mary.chain()?["finalised"].as_u64().filter(|block| *block > best + 5)
    });
    clock.step("lakeside's machine was lost, and the chain goes on without it");
}
