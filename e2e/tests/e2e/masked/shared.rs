//! A private study whose noise sites share, among real processes: the model is made of the sum alone, whoever is lost; each site is
//! charged once a round, and whoever audits finds the same.

use super::*;

const SHARED: &str = "examples/breast-cancer/shared.toml";
/// Units of the grid in one, for the range that the example has.
const UNITS: f64 = 262_144.0;

/// The example, in which three sites are enough for a sum, so that one may be lost.
fn study(scratch: &Path) -> PathBuf {
    let mut text = fs::read_to_string(workspace().join(SHARED)).unwrap();
    for needed in ["masked_range = 4096.0 ", "learning_rate = 1.0 ", "rate = 1.0 "] {
        assert!(text.contains(needed), "{needed}");
    }
    let (four, three) = ("min_participants = 4 ", "min_participants = 3 ");
    assert!(text.contains(four));
    text = text.replace(four, three);
    let file = scratch.join("shared.toml");
    fs::write(&file, text).unwrap();
    file
}

/// What a site has added to a sum, in units of the grid.
fn words(file: &[u8]) -> Vec<i64> {
    let (head, rest) = file.split_first_chunk::<8>().unwrap();
    let data = &rest[usize::try_from(u64::from_le_bytes(*head)).unwrap()..];
    let (words, _) = data.as_chunks::<4>();
    words.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect()
}

fn model(out: &Path, root: &Value) -> Vec<f64> {
    let root = root.as_str().unwrap();
    let found = SITES.iter().find_map(|site| fs::read(out.join(site).join("blobs").join(root)).ok());
    numbers(&found.unwrap_or_else(|| panic!("nobody has the model {root}")))
}

/// A round's model is the one before, moved against the sum of what its inputs' authors have added.
fn is_of_their_sum(out: &Path, record: &Value, trained: &Trained) {
    let number = record["round"].as_u64().unwrap();
    let (before, after) = (model(out, &record["base"]), model(out, &record["root"]));
    let (mut sum, mut samples) = (vec![0i64; before.len()], 0.0);
    for input in record["inputs"].as_array().unwrap() {
        let site = input["site"].as_str().unwrap();
        let note = study_folder(out, site).unwrap().join(format!("training-{number:04}.json"));
        let note: Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
        let all = trained.0.borrow();
        let added = all.get(note["result"].as_str().unwrap()).unwrap_or_else(|| panic!("round {number} of {site}"));
        sum.iter_mut().zip(words(added)).for_each(|(sum, word)| *sum += word);
        samples += input["weight"].as_f64().unwrap();
    }
    for ((after, before), sum) in after.iter().zip(&before).zip(sum) {
        let expected = before - sum as f64 / UNITS / samples;
        assert!((after - expected).abs() <= 1e-6 * expected.abs().max(0.1), "round {number}: {after}, {expected}");
    }
    assert!(after != before);
}

#[test]
fn sites_that_share_noise_give_away_a_sum_alone_and_are_charged_for_it_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (out, study, port) = (scratch.path().join("out"), study(scratch.path()), free_port().unwrap().to_string());
    let what = ["localnet", "run", "--study", study.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let how = ["--rounds", "3", "--epsilon", "2", "--keep", "--rpc-port", &port];
    let trained = Trained::default();
    let liars = "hospital-d=gone-before-keys@2";
    let mut run = Run::with_liars(scratch.path(), &[&what[..], &how].concat(), liars).unwrap();
    let over = |run: &Run| {
        trained.look(&out, &SITES);
        run.said().contains("the network keeps running")
    };
    run.until(MINUTES, over).unwrap();
    let (url, blobs) = (format!("ws://127.0.0.1:{port}"), out.join("hospital-b/blobs"));
    run.until(Duration::from_secs(60), |_| audit(&url, &blobs).1["phase"] == "completed").unwrap();
    let (code, audited) = audit(&url, &blobs);
    assert_eq!(code, 0, "{audited:#}");
    assert!(audited["merges_recomputed"].as_u64() >= Some(2), "{audited:#}");
    let findings = audited["findings"].as_array().unwrap();
    let privacy = findings.iter().find(|finding| finding["what"] == "privacy").unwrap();
    assert_eq!(privacy["verdict"], "verified", "{privacy:#}");
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);

    let report = report(&out);
    nobody_dissents(&out);
    same_model(&out, &report, &SITES);
    nothing_plain_has_left(&out, &trained);
    assert_eq!(names(&round(&report, 2)["inputs"]), without("hospital-d"));
    for number in [2, 3] {
        is_of_their_sum(&out, &round(&report, number), &trained);
    }
    for site in without("hospital-d") {
        let ledger = fs::read_to_string(out.join(site).join("worker/ledger/localnet")).unwrap();
        assert_eq!(ledger.lines().count(), 3, "{site}: {ledger}");
    }
}
