//! A whole run over real processes: certificate, equal bytes, the same bits as a plain loop; and what faults leave.

use super::{checks::check, SITES, STUDY};
use consilium_e2e::{bin_dir, connections, free_port, lock_files, still_listening, workspace, Run};
use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const MINUTES: Duration = Duration::from_secs(15 * 60);

fn arguments<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--format", "json"];
    arguments.extend_from_slice(more);
    arguments
}

/// The same study as a plain loop in one process.
pub fn plain_loop(out: &Path, rounds: u32) -> Value {
    let mut command = Command::new(bin_dir().unwrap().join("ml-worker"));
    command.arg("compare").arg("--spec").arg(out.join("spec.json")).arg("--rules").arg(out.join("rules.json"));
    command.arg("--sites").arg(out.join("sites.json")).arg("--rounds").arg(rounds.to_string());
    let output = command.arg("--held-out").arg(out.join("data/held-out.csv")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a script of `e2e/merges` says of a run.
fn python(script: &str, out: &Path) -> String {
    let folder = workspace().join("e2e/merges");
    let python = folder.join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: scripts/setup.sh tests installs it", python.display());
    let output = Command::new(python).arg(folder.join(script)).arg(out).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{script}: {said}");
    said
}

#[test]
fn a_run_ends_with_a_certificate_and_gives_the_bits_of_a_plain_loop() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "10", "--seed", "1"])).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report = check(&out, 10);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["final_root"], report["final_root"], "--format json prints the report");
    let auc = report["swarm"]["held_out"]["auc"].as_f64().unwrap();
    assert!(auc >= 0.96, "the swarm has learned: AUC {auc}");

    let plain = plain_loop(&out, 10);
    for (name, is) in report["swarm"]["held_out"].as_object().unwrap() {
        let wanted = &plain["swarm"]["held_out"][name];
        let same = match (is.as_f64(), wanted.as_f64()) {
            (Some(is), Some(wanted)) => (is - wanted).abs() <= 1e-12,
            _ => is == wanted,
        };
        assert!(same, "{name} of the swarm's model: {is}, in the plain loop {wanted}");
    }
    let simulated = &plain["simulated"];
    let chain: Vec<&str> = report["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["kind"] == "round")
        .map(|r| r["root"].as_str().unwrap())
        .collect();
    let plain: Vec<&str> = simulated["rounds"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert_eq!(chain, plain, "every round's merge has the bits of the plain loop's");
    assert_eq!(simulated["canonical"], report["study"]["certificate"]["round"]);

    // the same for people: one page by itself, and a card beside the model
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!page.contains("<script") && !page.contains("src=") && page.contains("default-src 'none'"));
    let told = &report["report"];
    assert_eq!((&told["consilium_report"], &told["made"]["localnet"]), (&1.into(), &true.into()));
    assert_eq!(told["study"]["certificate"]["root"], report["final_root"]);
    assert_eq!(told["faults"].as_array().unwrap().len(), 0, "{}", told["faults"]);
    assert_eq!(told["unread"].as_array().unwrap().len(), 0, "{}", told["unread"]);
    let told = told["figures"].as_array().unwrap();
    assert_eq!(told.len(), SITES.len());
    for joining in report["joining"].as_array().unwrap() {
        let site = told.iter().find(|told| told["site"] == joining["site"]).unwrap();
        assert_eq!(site["verdict"], joining["verdict"]);
        let (is, wanted) = (&site["figures"]["difference"], &joining["difference"]);
        assert_eq!((&is["value"], &is["interval"]), (&wanted["difference"], &wanted["interval"]));
        // none of the four has 50 rows of either class to measure on
        assert!(site["figures"]["swarm"]["curves"].is_null(), "{site}");
        assert_eq!(site["figures"]["alone"]["by_round"].as_array().unwrap().len(), 10);
    }
    assert!(page.contains("On 114 rows held out from everyone") && page.contains("Too few rows for curves"), "{page}");
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.starts_with("---\nlibrary_name: consilium\n") && card.contains("Out-of-scope use"), "{card}");

    // numpy and the safetensors package know nothing of our code
    let merges = python("recompute.py", &out);
    assert!(merges.contains("10 merges recomputed, all equal to the bit"), "{merges}");
    let tensors = python("open.py", &out);
    assert_eq!(tensors.lines().count(), 4, "two layers with weights and biases: {tensors}");

    // every blob that left is in the log of the house it left
    for site in SITES {
        let log = fs::read_to_string(out.join(site).join("node/courier/egress.log")).unwrap();
        let hashes: BTreeSet<String> = log
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["hash"].as_str().unwrap().to_owned())
            .collect();
        let updates = report["rounds"].as_array().unwrap().iter().flat_map(|r| r["inputs"].as_array().unwrap());
        for update in updates.filter(|i| i["site"] == site) {
            let root = update["root"].as_str().unwrap();
            assert!(hashes.contains(root), "{site}: {root} left without a line in the egress log");
        }
    }
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (out_one, out_two) = (one.path().join("out"), two.path().join("out"));
    let more = |seed| ["--rounds", "2", "--keep", "--seed", seed];
    let first = Run::start(one.path(), &arguments(&out_one, &more("1"))).unwrap();
    let second = Run::start(two.path(), &arguments(&out_two, &more("2"))).unwrap();
    let mut runs = [(first, &out_one), (second, &out_two)];
    for (run, _) in &mut runs {
        run.until(MINUTES, |run| run.said().contains("the network keeps running")).unwrap();
    }
    let connected = |n: usize, site: &'static str| connections(runs[n].0.find("consilium-node", site).unwrap());
    let nodes: Vec<_> = [0, 1]
        .into_iter()
        .flat_map(|n| SITES.map(|site| (n, site)))
        .map(|(n, site)| (n, site, connected(n, site)))
        .collect();
    for (run, site, own) in &nodes {
        let meets = |others: &BTreeSet<_>| own.iter().any(|(here, there)| others.contains(&(*there, *here)));
        let met: Vec<_> = nodes.iter().filter(|(.., others)| meets(others)).map(|(n, other, _)| (*n, *other)).collect();
        let wanted: Vec<_> = SITES.into_iter().filter(|other| other != site).map(|other| (*run, other)).collect();
        assert_eq!(met, wanted, "whom {site} of run {run} has met");
    }
    for (_, out) in &runs {
        check(out, 2);
    }
    let chain = |out: &Path| fs::read(out.join("chain.json")).unwrap();
    assert_ne!(chain(&out_one), chain(&out_two), "each founds its own");
    for ((run, _), signal) in runs.into_iter().zip([Signal::SIGINT, Signal::SIGTERM]) {
        run.signal(signal).unwrap();
        let outcome = run.finish(Duration::from_secs(30)).unwrap();
        assert!(outcome.status.success(), "after {signal}: {}", outcome.stderr);
        assert!(outcome.orphans.is_empty());
    }
}

#[test]
fn an_interrupted_run_leaves_no_process_no_socket_and_no_lock() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let mut run = Run::start(scratch.path(), &arguments(&out, &[])).unwrap();
        // four nodes with three sockets each, four workers with one
        run.until(Duration::from_secs(120), |run| run.processes().len() == 9 && run.listening().len() == 16).unwrap();
        let listening = run.listening();
        assert!(listening.iter().all(|a| a.ip() == Ipv4Addr::LOCALHOST), "only this machine may ask: {listening:?}");
        let held = |out: &Path| lock_files(out).unwrap().into_iter().filter(|(_, held)| *held).count();
        assert_eq!(held(&out), 8, "each node holds its database's lock, each worker its folder's");
        run.signal(signal).unwrap();
        let outcome = run.finish(Duration::from_secs(20)).unwrap();
        assert!(!outcome.status.success());
        assert!(outcome.orphans.is_empty(), "after {signal}: {:?}", outcome.orphans);
        // the kernel takes a moment to close what a killed process had open
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && (!still_listening(&listening).is_empty() || held(&out) > 0) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(still_listening(&listening), [], "after {signal}");
        assert_eq!(held(&out), 0, "after {signal}: a lock is held");
    }
}

#[test]
fn a_process_that_dies_is_named_and_the_others_are_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut run = Run::start(scratch.path(), &arguments(&out, &[])).unwrap();
    run.until(Duration::from_secs(120), |run| run.processes().len() == 9).unwrap();
    let victim = run.find("ml-worker", "hospital-c").unwrap();
    kill(victim, Signal::SIGKILL).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("the worker of hospital-c has ended"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("to go on: consilium localnet resume {}", out.display())),
        "{}",
        outcome.stderr
    );
    assert!(outcome.orphans.is_empty());
}

#[test]
fn a_study_that_pauses_ends_with_what_people_must_know_of_each_site_and_goes_on_once_that_is_mended() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "100"])).unwrap();
    run.until(Duration::from_secs(300), |run| run.said().contains("round  1 of 100")).unwrap();
    // two of four change their tables in the middle of the study, and three are needed for a round
    let tables: Vec<_> = SITES[1..3].iter().map(|site| out.join("data").join(format!("{site}.csv"))).collect();
    let before: Vec<String> = tables.iter().map(|table| fs::read_to_string(table).unwrap()).collect();
    for (table, text) in tables.iter().zip(&before) {
        fs::write(table, format!("{text}\n")).unwrap();
    }
    let outcome = run.finish(Duration::from_secs(300)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("was paused"), "{}", outcome.stderr);
    for site in SITES {
        let changed = SITES[1..3].contains(&site);
        let part = outcome.stderr.split(&format!("\n  {site} has ")).nth(1).unwrap_or_default();
        let part = part.split("\n  hospital-").next().unwrap();
        assert_eq!(part.starts_with("NOT committed"), changed, "{site}: {}", outcome.stderr);
        assert_eq!(part.contains("DataChanged"), changed, "{site}: {}", outcome.stderr);
        assert!(part.contains(out.join(site).join("worker.log").to_str().unwrap()), "{site}: {}", outcome.stderr);
    }
    assert!(outcome.orphans.is_empty());
    let line = format!("to go on: consilium localnet resume {}", out.display());
    assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);

    // it is let go on by its proposer, without an hour's waiting
    for (table, text) in tables.iter().zip(before) {
        fs::write(table, text).unwrap();
    }
    let mut run = Run::start(scratch.path(), &["localnet", "resume", out.to_str().unwrap()]).unwrap();
    let later = |said: &str| (3..30).any(|round| said.contains(&format!("round {round:>2} of 100")));
    run.until(Duration::from_secs(300), |run| later(&run.said())).unwrap();
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains(&line) && outcome.orphans.is_empty(), "{}", outcome.stderr);
}

/// What the command line says, as JSON.
fn consilium(arguments: &[&str]) -> Value {
    let output = Command::new(bin_dir().unwrap().join("consilium")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_studies_with_different_members_run_at_once_and_both_finish() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = free_port().unwrap().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let more = ["--rounds", "6", "--keep", "--rpc-port", &port];
    let mut run = Run::start(scratch.path(), &arguments(&out, &more)).unwrap();
    run.until(Duration::from_secs(180), |run| run.said().contains("study 0 is registered")).unwrap();

    // three of the four agree on a second study, by hand
    let members = &SITES[1..];
    let file = scratch.path().join("second.toml");
    let text = fs::read_to_string(workspace().join(STUDY)).unwrap();
    let text = text.replace("rounds = 10", "rounds = 3").replace("seed = 1\n", "seed = 2\n");
    fs::write(&file, text).unwrap();
    let key = |site: &str| out.join(site).join("institution.key").to_str().unwrap().to_owned();
    let common = ["--url", &url, "--format", "json"];
    let call = |arguments: &[&str]| consilium(&[arguments, &common].concat());
    let proposer = key(members[0]);
    let mut register = vec!["study", "register", file.to_str().unwrap(), "--key", &proposer];
    for site in members {
        register.extend(["--invite", site]);
    }
    let registered = call(&register);
    assert_eq!(registered["study"], 1);
    let agreement = registered["agreement"].as_str().unwrap();
    for site in members {
        let data = out.join("data").join(format!("{site}.csv"));
        let sites = out.join(site).join("sites.toml");
        let entry = format!("\n[[study]]\nagreement = \"{agreement}\"\ndata = \"{}\"\n", data.display());
        // the worker reads this file at any moment, and must find it whole
        let next = sites.with_extension("next");
        fs::write(&next, fs::read_to_string(&sites).unwrap() + &entry).unwrap();
        fs::rename(&next, &sites).unwrap();
        let checked = Command::new(bin_dir().unwrap().join("ml-worker"))
            .args(["check", "--study", file.to_str().unwrap(), "--data", data.to_str().unwrap(), "--secret"])
            .arg(out.join(site).join("worker/secret"))
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let samples = checked["training"]["rows"].to_string();
        call(&["study", "enrol", "1", "--agreement", agreement, "--samples", &samples, "--key", &key(site), "--yes"]);
    }
    call(&["study", "start", "1", "--key", &proposer]);

    run.until(MINUTES, |run| {
        run.said().contains("the network keeps running") && call(&["study", "1"])["phase"] == "completed"
    })
    .unwrap();
    let report = check(&out, 6);
    let (first, second) = (call(&["study", "0"]), call(&["study", "1"]));
    assert_eq!(first["certificate"]["root"], report["final_root"]);
    assert_eq!(first["rules"]["max_rounds"], 6);
    assert_eq!(first["spec"]["data"]["label"], "diagnosis");
    let kinds: Vec<&str> = first["rounds"].as_array().unwrap().iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, [&["statistics"][..], &["round"; 7]].concat());
    let studies = call(&["studies"]);
    let listed = |key: &str| studies.as_array().unwrap().iter().map(|s| s[key].clone()).collect::<Vec<_>>();
    assert_eq!(listed("number"), [0, 1]);
    assert_eq!(listed("phase"), ["completed", "completed"]);
    assert_eq!(listed("agreement"), [first["agreement"].clone(), agreement.into()]);
    assert!(listed("title").iter().all(|title| title == &first["spec"]["title"]), "{studies}");
    // of a round that went well: a mean over all of its sites, and nobody is missing
    let round = &second["rounds"][2];
    assert_eq!((&round["kind"], &round["without"]), (&"round".into(), &serde_json::json!([])), "{round}");
    assert_eq!(round["mean_loss"]["sites"], 3, "{round}");
    assert!(second["standstill"].is_null() && second["chain"]["final"].as_u64() <= second["chain"]["best"].as_u64());
    let institutions = call(&["institutions"]);
    let known: BTreeSet<&str> = institutions.as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(known, BTreeSet::from(SITES));
    for institution in institutions.as_array().unwrap() {
        assert!(institution["peer_id"].as_str().unwrap().starts_with("12D3KooW"), "{institution}");
        assert!(institution["validator"] == true && institution["participant"] == true, "{institution}");
    }
    let text = Command::new(bin_dir().unwrap().join("consilium")).args(["study", "1", "--url", &url]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    // once it is over, what came of it is told, and what was signed to programs alone
    assert!(text.contains("round 3, merged of 3 updates: computed alike by 3 sites"), "{text}");
    assert!(text.contains("log-loss of each round's model") && text.contains(" over 3 of 3 sites"), "{text}");
    assert!(text.contains(&format!("“{}”", second["spec"]["title"].as_str().unwrap())), "{text}");
    assert_eq!(second["spec"]["training"]["batch_size"], 32);
    assert_eq!(second["rules"]["max_rounds"], 3);
    let of = |study: &Value, edge: &str| -> Vec<u64> {
        study["rounds"].as_array().unwrap().iter().map(|r| r[edge].as_u64().unwrap()).collect()
    };
    assert!(
        of(&second, "opened_at").iter().min() < of(&first, "closed_at").iter().max(),
        "the second study has begun before the first one ended"
    );
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()
    };
    let wanted: BTreeSet<String> = members.iter().map(|s| (*s).to_owned()).collect();
    assert_eq!(names(&second["certificate"]["held_by"]), wanted);
    let root = second["certificate"]["root"].as_str().unwrap();
    for site in SITES {
        let holds = out.join(site).join("blobs").join(root).is_file();
        assert_eq!(holds, wanted.contains(site), "{site}: the second study's model is its members' alone");
    }
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
}

#[test]
fn a_worker_that_stops_answering_is_reported_missing_and_the_others_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "5"])).unwrap();
    run.until(Duration::from_secs(300), |run| run.said().contains("round  1 of 5 · training")).unwrap();
    let worker = run.find("ml-worker", "hospital-d").unwrap();
    kill(worker, Signal::SIGSTOP).unwrap();
    let log = out.join("hospital-d/node.log");
    run.until(Duration::from_secs(300), |_| {
        fs::read_to_string(&log).unwrap_or_default().contains("answered Failure(WorkerMissing)")
    })
    .unwrap();
    kill(worker, Signal::SIGCONT).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let inputs = |r: &Value| r["inputs"].as_array().unwrap().len();
    let merges: Vec<usize> =
        report["rounds"].as_array().unwrap().iter().filter(|r| r["kind"] == "round").skip(1).map(inputs).collect();
    assert!(merges.contains(&3), "one round went on with three: {merges:?}");
    assert_eq!(merges.last(), Some(&4), "the site is back: {merges:?}");
    assert_eq!(report["study"]["certificate"]["held_by"].as_array().unwrap().len(), 4);
}
