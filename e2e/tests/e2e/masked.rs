//! Masked sums among real processes: four institutions, of which one is lost at each moment of a round.

mod shared;

use super::{
    json::fits,
    liars::{dropped, names, nobody_dissents, report, round, same_model},
    SITES, STUDY,
};
use consilium_e2e::{bin_dir, free_port, workspace, Run};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(15 * 60);

/// The study that ships, with masks.
fn study(scratch: &Path) -> PathBuf {
    let example = fs::read_to_string(workspace().join(STUDY)).unwrap();
    assert!(example.contains("[rules]\n"), "{example}");
    let file = scratch.join("masked.toml");
    fs::write(&file, example.replace("[rules]\n", "[rules]\nmasked = true\n")).unwrap();
    file
}

/// What trainings gave, by BLAKE3 hash of the file that an unmasked study would commit. A worker keeps its last one, for itself.
#[derive(Default)]
pub struct Trained(RefCell<BTreeMap<String, Vec<u8>>>);

impl Trained {
    /// Takes what lies on the disks of these sites now.
    pub fn look(&self, out: &Path, sites: &[&str]) {
        let folders = sites.iter().filter_map(|site| study_folder(out, site)).map(|folder| folder.join("masks"));
        for entry in folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with("trained-") {
                continue;
            }
            // one that is just being replaced comes the next time
            let Ok(file) = fs::read(entry.path()) else { continue };
            self.0.borrow_mut().insert(blake3::hash(&file).to_hex().to_string(), file);
        }
    }
}

/// The folder that a site's worker keeps for the one study.
fn study_folder(out: &Path, site: &str) -> Option<PathBuf> {
    let studies = fs::read_dir(out.join(site).join("worker/studies")).ok()?;
    studies.flatten().map(|entry| entry.path().join("study-0")).find(|path| path.is_dir())
}

/// All numbers of a model's file.
fn numbers(file: &[u8]) -> Vec<f64> {
    let (head, rest) = file.split_first_chunk::<8>().unwrap();
    let data = &rest[usize::try_from(u64::from_le_bytes(*head)).unwrap()..];
    let (numbers, _) = data.as_chunks::<4>();
    numbers.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
}

/// A round's merge is the mean of what its inputs' authors have trained, by their weights, as near as masked words can say it.
/// `out` has the folders of all `sites`.
#[track_caller]
pub fn is_their_mean(out: &Path, sites: &[&str], record: &Value, trained: &Trained) {
    let number = record["round"].as_u64().unwrap();
    let (mut sum, mut total) = (Vec::new(), 0.0);
    for input in record["inputs"].as_array().unwrap() {
        let site = input["site"].as_str().unwrap();
        let note = study_folder(out, site).unwrap().join(format!("training-{number:04}.json"));
        let note: Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
        let all = trained.0.borrow();
        let update = all.get(note["result"].as_str().unwrap()).unwrap_or_else(|| panic!("round {number} of {site}"));
        let weight = input["weight"].as_f64().unwrap();
        sum.resize(numbers(update).len(), 0.0);
        sum.iter_mut().zip(numbers(update)).for_each(|(sum, x)| *sum += weight * x);
        total += weight;
    }
    let merged = sites
        .iter()
        .find_map(|site| fs::read(out.join(site).join("blobs").join(record["root"].as_str().unwrap())).ok());
    let merged = numbers(&merged.unwrap_or_else(|| panic!("nobody has the model of round {number}")));
    assert_eq!(merged.len(), sum.len());
    for (x, sum) in merged.iter().zip(sum) {
        let mean = sum / total;
        assert!((x - mean).abs() <= 4e-8 + 7e-8 * mean.abs(), "round {number}: {x} instead of {mean}");
    }
}

/// Exit code and report of an audit.
fn audit(url: &str, blobs: &Path) -> (i32, Value) {
    let mut command = Command::new(bin_dir().unwrap().join("consilium"));
    command.args(["audit", "0", "--url", url, "--blobs", blobs.to_str().unwrap(), "--format", "json"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    (output.status.code().unwrap(), serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}")))
}

/// Runs the masked study with liars to its end, and audits it while its nodes still run; gives the run's folder, its report and what
/// was trained.
fn run(scratch: &Path, rounds: &str, liars: &str) -> (PathBuf, Value, Trained) {
    let (out, study, port) = (scratch.join("out"), study(scratch), free_port().unwrap().to_string());
    let what = ["localnet", "run", "--study", study.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let how = ["--rounds", rounds, "--keep", "--rpc-port", &port];
    let trained = Trained::default();
    let mut run = Run::with_liars(scratch, &[&what[..], &how].concat(), liars).unwrap();
    let over = |run: &Run| {
        trained.look(&out, &SITES);
        run.said().contains("the network keeps running")
    };
    run.until(MINUTES, over).unwrap();
    let (url, blobs) = (format!("ws://127.0.0.1:{port}"), out.join("hospital-b/blobs"));
    run.until(Duration::from_secs(60), |_| audit(&url, &blobs).1["phase"] == "completed").unwrap();
    let (code, audited) = audit(&url, &blobs);
    assert_eq!(code, 0, "{audited:#}");
    assert!(audited["merges_recomputed"].as_u64() >= Some(3), "{audited:#}");
    let mut command = Command::new(bin_dir().unwrap().join("consilium"));
    let output = command.args(["study", "0", "--url", &url, "--format", "json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    fits("consilium study N", &shown);
    assert!(
        shown["rounds"].as_array().unwrap().iter().any(|round| round["masked"]["partners"].is_array()),
        "{shown:#}"
    );
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report = report(&out);
    nobody_dissents(&out);
    (out, report, trained)
}

/// Nothing that a site has made of its rows has left it but under masks, and nothing of it lies where its node could give it away.
fn nothing_plain_has_left(out: &Path, trained: &Trained) {
    for site in SITES {
        let log = fs::read_to_string(out.join(site).join("node/courier/egress.log")).unwrap();
        let kinds: BTreeSet<String> = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
            .collect();
        assert!(kinds.contains("masked") && !kinds.contains("update"), "{site}: {kinds:?}");
        for root in trained.0.borrow().keys() {
            assert!(!out.join(site).join("blobs").join(root).exists(), "{site} has {root} among its blobs");
        }
    }
}

/// All sites but this one.
fn without(site: &str) -> BTreeSet<&str> {
    SITES.iter().copied().filter(|other| *other != site).collect()
}

#[test]
fn who_is_lost_before_its_update_is_taken_out_of_the_sum_and_who_is_lost_after_it_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let liars = "hospital-d=gone-before-keys@1,hospital-a=gone-after-keys@2,hospital-b=gone-after-deal@3,\
                 hospital-c=gone-after-update@4";
    let (out, report, trained) = run(scratch.path(), "5", liars);
    same_model(&out, &report, &SITES);
    nothing_plain_has_left(&out, &trained);
    for (number, lost) in [(1, "hospital-d"), (2, "hospital-a"), (3, "hospital-b")] {
        let record = round(&report, number);
        assert_eq!(names(&record["inputs"]), without(lost), "{record:#}");
        assert!(dropped(&record).is_empty(), "{record:#}");
        is_their_mean(&out, &SITES, &record, &trained);
    }
    for number in [4, 5] {
        let record = round(&report, number);
        assert_eq!(names(&record["inputs"]), BTreeSet::from(SITES), "{record:#}");
        is_their_mean(&out, &SITES, &record, &trained);
    }
    let fourth = round(&report, 4);
    assert!(!names(&fourth["attesters"]).contains("hospital-c"), "{fourth:#}");
}

#[test]
fn a_file_that_nobody_gets_is_left_out_and_shares_that_one_does_not_give_are_not_missed_and_wrong_words_void_the_round()
{
    let scratch = tempfile::tempdir().unwrap();
    let liars = "hospital-d=withhold@1,hospital-a=gone-after-gathering@2,hospital-b=wrong-word@3";
    let (out, report, trained) = run(scratch.path(), "5", liars);
    same_model(&out, &report, &SITES);
    nothing_plain_has_left(&out, &trained);
    let first = round(&report, 1);
    assert_eq!((names(&first["inputs"]), dropped(&first)), (without("hospital-d"), vec![("hospital-d", "Withheld")]));
    is_their_mean(&out, &SITES, &first, &trained);
    let second = round(&report, 2);
    assert_eq!(names(&second["inputs"]), BTreeSet::from(SITES), "{second:#}");
    assert!(!names(&second["attesters"]).contains("hospital-a"), "{second:#}");
    is_their_mean(&out, &SITES, &second, &trained);
    // nobody can say whose words were wrong: the round is void, nobody is named, and the next one stands on the same model
    let third = round(&report, 3);
    assert_eq!(third["root"], "00".repeat(32), "nothing came of it: {third:#}");
    assert!(dropped(&third).is_empty(), "{third:#}");
    let fourth = round(&report, 4);
    assert_eq!(fourth["base"], second["root"], "{fourth:#}");
    assert_eq!(names(&fourth["inputs"]), BTreeSet::from(SITES), "{fourth:#}");
    is_their_mean(&out, &SITES, &fourth, &trained);
}

#[test]
fn lies_of_keys_deals_and_shares_cost_the_liar_its_part_or_one_round() {
    let scratch = tempfile::tempdir().unwrap();
    let liars = "hospital-d=wrong-keys@1,hospital-a=wrong-share@2,hospital-b=rubbish-deal@3";
    let (out, report, trained) = run(scratch.path(), "5", liars);
    same_model(&out, &report, &SITES);
    nothing_plain_has_left(&out, &trained);
    // its own worker finds other keys in the list than its own, and deals nothing
    let first = round(&report, 1);
    assert_eq!(names(&first["inputs"]), without("hospital-d"), "{first:#}");
    is_their_mean(&out, &SITES, &first, &trained);
    // the chain takes no share that was not committed to, and the others' are enough
    let second = round(&report, 2);
    assert_eq!(names(&second["inputs"]), BTreeSet::from(SITES), "{second:#}");
    is_their_mean(&out, &SITES, &second, &trained);
    // of a partner without a file nobody can open what it sealed: the round is void, and the next one goes on from the same model
    let third = round(&report, 3);
    assert_eq!(third["root"], "00".repeat(32), "{third:#}");
    let fourth = round(&report, 4);
    assert_eq!(fourth["base"], second["root"], "{fourth:#}");
    assert_eq!(names(&fourth["inputs"]), BTreeSet::from(SITES), "{fourth:#}");
    is_their_mean(&out, &SITES, &fourth, &trained);
}
