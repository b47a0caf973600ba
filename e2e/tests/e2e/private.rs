//! Private studies among real processes: what one has spent is gone for another on the same rows, at the site and on the chain; and sites
//! that share the noise.

use super::{
    errors::as_on_the_page,
    json::fits,
    liars::{names, nobody_dissents, report, round, same_model},
    SITES,
};
use consilium_e2e::{bin_dir, free_port, workspace, Run};
use consilium_primitives::budget::epsilon_micro;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(15 * 60);
const STUDY: &str = "examples/breast-cancer/private.toml";
/// What all studies together may cost a site's rows: more than the first one does, and less than two do.
const LIMIT_MICRO: u64 = 4_500_000;

/// Exit code of `consilium`, and what it printed on both streams.
fn consilium(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(bin_dir().unwrap().join("consilium"));
    let output = command.args(arguments).current_dir(workspace()).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

fn done(arguments: &[&str]) -> String {
    let (code, said) = consilium(arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

fn json(arguments: &[&str]) -> Value {
    let said = done(&[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"))
}

fn numbers(list: &Value) -> [u64; 16] {
    let list: Vec<u64> = list.as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
    list.try_into().unwrap()
}

/// Lines of a site's own ledger, and their sum.
fn ledger(out: &Path, site: &str) -> (usize, [u64; 16]) {
    let text = fs::read_to_string(out.join(site).join("worker/ledger/localnet")).unwrap();
    let mut sum = [0; 16];
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        sum.iter_mut().zip(numbers(&entry["spend"])).for_each(|(sum, spend)| *sum += spend);
    }
    (text.lines().count(), sum)
}

/// What the chain has charged to a site's data set, which is what the site's ledger says, and within the limit. Gives the rounds.
fn both_agree(out: &Path, site: &str) -> usize {
    let dir = out.join(site);
    let shown = json(&["budget", "show", "--dir", dir.to_str().unwrap(), "--chain"]);
    fits("consilium budget show", &shown);
    let chain = &shown[0]["chain"];
    let (rounds, own) = ledger(out, site);
    assert_eq!(numbers(&chain["spent"]), own, "{site}: {shown:#}");
    assert_eq!(chain["epsilon_micro"], epsilon_micro(&own, 5).unwrap(), "{shown:#}");
    assert_eq!(chain["limit_micro"], LIMIT_MICRO, "{shown:#}");
    assert!(chain["epsilon_micro"].as_u64() <= Some(LIMIT_MICRO), "{shown:#}");
    rounds
}

/// What the sum of all studies comes to, held against each site's budget: each has one, for so many rounds of these studies.
fn sums_are_right(url: &str, rounds: &[&[u64]]) {
    let sums = json(&["budget", "audit", "--url", url]);
    fits("consilium budget audit", &sums);
    assert_eq!((&sums["verdict"], sums["exit_code"].as_u64()), (&Value::from("verified"), Some(0)), "{sums:#}");
    let sets = sums["datasets"].as_array().unwrap();
    assert_eq!(sets.len(), SITES.len(), "{sums:#}");
    for (site, rounds) in SITES.iter().zip(rounds) {
        let set = sets.iter().find(|set| set["institution"] == *site).unwrap_or_else(|| panic!("{site}: {sums:#}"));
        assert_eq!((&set["verdict"], &set["notes"]), (&Value::from("verified"), &Value::Array(Vec::new())), "{sums:#}");
        let charged: Vec<u64> =
            set["studies"].as_array().unwrap().iter().map(|part| part["rounds"].as_u64().unwrap()).collect();
        assert_eq!(charged, *rounds, "{sums:#}");
    }
}

/// What a study says that it has spent at each site, against the chain's own sum; its account.
fn accounted(number: &str, url: &str, out: &Path, rounds: &[u64]) -> Value {
    let study = json(&["study", number, "--url", url]);
    fits("consilium study N", &study);
    let privacy = &study["privacy"];
    assert_eq!(
        (&privacy["promised_micro"], &privacy["delta_exp"]),
        (&Value::from(4_000_000), &Value::from(5)),
        "{privacy:#}"
    );
    let sites = privacy["sites"].as_array().unwrap();
    for (site, rounds) in SITES.iter().zip(rounds) {
        let told = sites.iter().find(|told| told["name"] == *site).unwrap_or_else(|| panic!("{site}: {privacy:#}"));
        assert_eq!(told["rounds"].as_u64(), Some(*rounds), "{privacy:#}");
        let (_, own) = ledger(out, site);
        assert_eq!(told["spent_micro"].as_u64(), epsilon_micro(&own, 5), "{privacy:#}");
        assert_eq!(told["limit_micro"].as_u64(), Some(LIMIT_MICRO), "{privacy:#}");
    }
    privacy.clone()
}

fn audited(number: &str, url: &str, out: &Path) -> Value {
    let blobs = out.join("hospital-b/blobs");
    let audit = json(&["audit", number, "--url", url, "--blobs", blobs.to_str().unwrap()]);
    let findings = audit["findings"].as_array().unwrap();
    let privacy = findings.iter().find(|finding| finding["what"] == "privacy");
    privacy.unwrap_or_else(|| panic!("{audit:#}")).clone()
}

#[test]
fn two_private_studies_on_the_same_rows_have_one_budget_that_site_and_chain_keep() {
    let scratch = tempfile::tempdir().unwrap();
    let (out, port) = (scratch.path().join("out"), free_port().unwrap().to_string());
    let url = format!("ws://127.0.0.1:{port}");
    let what = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap()];
    let how = ["--epsilon", "4.5", "--keep", "--rpc-port", &port];
    let mut run = Run::start(scratch.path(), &[&what[..], &how].concat()).unwrap();
    run.until(MINUTES, |run| run.said().contains("the network keeps running")).unwrap();

    // the first study: ten rounds, each charged once on both sides, and no loss told
    for site in SITES {
        assert_eq!(both_agree(&out, site), 10, "{site}");
    }
    let first = audited("0", &url, &out);
    assert_eq!(first["verdict"], "verified", "{first:#}");
    let notes: Vec<&str> = first["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert_eq!(notes.len(), SITES.len());
    assert!(notes.iter().all(|note| note.contains("10 rounds were charged")), "{first:#}");
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["study"]["certificate"]["round"], 10, "{report:#}");

    // promised and spent, wherever they are told
    let ten: &[u64] = &[10];
    sums_are_right(&url, &[ten; 4]);
    let account = accounted("0", &url, &out, &[10; 4]);
    // the sixteen orders of the ledger cost at most a little more than all of them
    let spent = account["rounds_micro"].as_u64().unwrap();
    assert!(
        (3_900_000..=4_060_000).contains(&spent) && account["all_rounds_micro"].as_u64() == Some(spent),
        "{account:#}"
    );
    assert_eq!(report["report"]["study"]["privacy"]["sites"], account["sites"], "{account:#}");
    let certificate = report["report"]["study"]["certificate"]["text"].as_str().unwrap();
    let certificate: Value = serde_json::from_str(certificate).unwrap();
    assert_eq!(certificate["privacy"]["rounds_epsilon_micro"].as_u64(), Some(spent), "{certificate:#}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.contains("What it may tell about one record") && page.contains("Whoever guesses from everything"),
        "no part"
    );
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("## Privacy: what it may tell about one record"), "{card}");
    let said = done(&["study", "0", "--url", &url]);
    assert!(said.contains("privacy: each record is promised ε 4 (δ 10⁻⁵) for all 10 rounds"), "{said}");

    // the second one, on the same rows
    let dir = |site: &str| out.join(site).to_str().unwrap().to_owned();
    let text = fs::read_to_string(workspace().join(STUDY)).unwrap();
    let file = scratch.path().join("second.toml");
    fs::write(&file, text.replace("title = \"Malignant", "title = \"Once more: malignant")).unwrap();
    let proposer = dir(SITES[0]);
    let registered = json(&["study", "register", file.to_str().unwrap(), "--dir", &proposer]);
    assert_eq!(registered["study"], 1, "{registered:#}");
    let agreement = registered["agreement"].as_str().unwrap();
    let enrol = |site: &str, more: &[&str]| {
        let (folder, data) = (dir(site), out.join("data").join(format!("{site}.csv")));
        let all = ["study", "enrol", "1", "--agreement", agreement, "--data", data.to_str().unwrap(), "--dir", &folder];
        consilium(&[&all[..], &["--yes"], more].concat())
    };
    // neither without a data set, nor with one that nobody has declared; the page's alder is the first hospital
    symlink(out.join(SITES[0]), scratch.path().join("alder")).unwrap();
    fs::copy(out.join("data").join(format!("{}.csv", SITES[0])), scratch.path().join("north.csv")).unwrap();
    for title in ["Enrolling in a private study without a data set", "A data set that has no budget on the chain"] {
        as_on_the_page(scratch.path(), title, agreement);
    }
    for site in SITES {
        // the people of one let their worker spend less than they have told the chain
        let epsilon = if site == SITES[3] { "4.2" } else { "4.5" };
        let (code, said) = enrol(site, &["--dataset", "localnet", "--epsilon", epsilon]);
        assert_eq!(code, 0, "{said}");
    }
    done(&["study", "start", "1", "--dir", &proposer]);
    let paused = |_: &Run| {
        let (_, said) = consilium(&["study", "1", "--dir", &proposer, "--format", "json"]);
        let study: Value = serde_json::from_str(&said).unwrap_or_default();
        study["phase"].as_str().is_some_and(|phase| phase.starts_with("paused"))
    };
    run.until(MINUTES, paused).unwrap();
    let stands = json(&["study", "1", "--dir", &proposer]);
    fits("consilium study N", &stands);
    assert!(stands["standstill"]["next"].is_string(), "{stands:#}");

    // it has trained as long as there was room, at each site by whichever limit is less, and not a round longer
    let rounds: Vec<usize> = SITES.iter().map(|site| both_agree(&out, site)).collect();
    // ten of them are the first study's
    assert!(rounds.iter().all(|rounds| (10..20).contains(rounds)) && rounds[0] > 10, "{rounds:?}");
    assert!(rounds[3] < rounds[0] && rounds[0] == rounds[1] && rounds[0] == rounds[2], "{rounds:?}");
    for (site, rounds) in SITES.iter().zip(&rounds) {
        let (_, spent) = ledger(&out, site);
        let one_more = spent.map(|sum| sum + sum / *rounds as u64);
        let limit = if *site == SITES[3] { 4_200_000 } else { LIMIT_MICRO };
        assert!(epsilon_micro(&one_more, 5) > Some(limit), "{site}: there was room for a round more");
    }
    let worker = fs::read_to_string(out.join(SITES[3]).join("worker.log")).unwrap();
    assert!(worker.contains("of ε 4.2 are spent, and this round would make it"), "{worker}");
    let node = fs::read_to_string(out.join(SITES[0]).join("node.log")).unwrap();
    assert!(node.contains("its worker is not asked to train"), "{node}");
    assert_eq!(audited("1", &url, &out)["verdict"], "verified");
    // what this study was charged, and both together
    let second: Vec<u64> = rounds.iter().map(|rounds| *rounds as u64 - 10).collect();
    accounted("1", &url, &out, &second);
    let both: Vec<[u64; 2]> = second.iter().map(|rounds| [10, *rounds]).collect();
    let both: Vec<&[u64]> = both.iter().map(|rounds| rounds.as_slice()).collect();
    sums_are_right(&url, &both);

    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}

/// Seeds of a site's own ledger, as it tells them apart.
fn seeds(out: &Path, site: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(out.join(site).join("worker/ledger/localnet")).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| entry["seed"].as_str().unwrap().to_owned()).collect()
}

/// A sum with a wrong word in it is void; but it was opened, and so is the next one on the same model: two releases, each with noise of
/// its own, and each charged.
#[test]
fn sites_that_share_the_noise_are_charged_for_every_round_and_a_void_one_is_followed_by_one_with_other_noise() {
    let scratch = tempfile::tempdir().unwrap();
    let (out, port) = (scratch.path().join("out"), free_port().unwrap().to_string());
    let url = format!("ws://127.0.0.1:{port}");
    let what = ["localnet", "run", "--study", "examples/breast-cancer/shared.toml", "--out", out.to_str().unwrap()];
    let how = ["--rounds", "5", "--epsilon", "4.5", "--keep", "--rpc-port", &port];
    let all = [&what[..], &how].concat();
    let mut run = Run::with_liars(scratch.path(), &all, "hospital-b=wrong-word@3").unwrap();
    run.until(MINUTES, |run| run.said().contains("the network keeps running")).unwrap();
    let blobs = out.join("hospital-b/blobs");
    let audit = ["audit", "0", "--url", &url, "--blobs", blobs.to_str().unwrap()];
    let over = |_: &Run| {
        let (_, said) = consilium(&[&audit[..], &["--format", "json"]].concat());
        serde_json::from_str::<Value>(&said).is_ok_and(|audit| audit["phase"] == "completed")
    };
    run.until(Duration::from_secs(60), over).unwrap();

    // every sum is what files, shares and rules give; noise and cost follow from the specification
    let audited = json(&audit);
    assert!(audited["merges_recomputed"].as_u64() >= Some(3), "{audited:#}");
    let findings = audited["findings"].as_array().unwrap();
    let privacy = findings.iter().find(|finding| finding["what"] == "privacy").unwrap();
    assert_eq!(privacy["verdict"], "verified", "{privacy:#}");
    let mut all_seeds = BTreeSet::new();
    for site in SITES {
        assert_eq!(both_agree(&out, site), 5, "{site}");
        let own = seeds(&out, site);
        assert_eq!(own.len(), 5, "{site}: {own:?}");
        all_seeds.extend(own);
        // nobody has seen what a site adds by itself
        let log = fs::read_to_string(out.join(site).join("node/courier/egress.log")).unwrap();
        let sent = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone());
        let kinds: BTreeSet<String> = sent.map(|kind| kind.as_str().unwrap().to_owned()).collect();
        assert!(kinds.contains("masked") && !kinds.contains("update"), "{site}: {kinds:?}");
    }
    assert_eq!(all_seeds.len(), 20, "no noise is anybody else's");

    let report = report(&out);
    let (second, third, fourth) = (round(&report, 2), round(&report, 3), round(&report, 4));
    assert_eq!(third["root"], "00".repeat(32), "{third:#}");
    assert_eq!(fourth["base"], second["root"], "{fourth:#}");
    for record in [&second, &third, &fourth] {
        assert_eq!(names(&record["inputs"]), BTreeSet::from(SITES), "a sum over fewer is not opened: {record:#}");
    }
    assert_eq!(report["study"]["certificate"]["round"], 5, "{report:#}");
    same_model(&out, &report, &SITES);
    nobody_dissents(&out);
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}
