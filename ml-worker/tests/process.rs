//! The real process: its death, its orders to stop, and what it never says.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::blob_hash;
use consilium_primitives::{BlobRef, DutyKind, DutyState, FailureCode, Hash, InstitutionId, MergeInput};
use consilium_study::{StudyFile, StudySpec};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};
use support::{
    below, command, demo_csv, order, prepare, program, put_token, root, says, sealed, unscaled, Door, Process,
    AGREEMENT,
};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &demo_csv(1));
    dir
}

/// When a worker dies in a round that it trains.
enum Death {
    /// As soon as it says that it trains.
    AtOnce,
    /// Once this share of the steps is done, in parts per million.
    After(u32),
    /// Once a checkpoint of the round is on its disk.
    Checkpointed,
}

fn checkpoints(dir: &Path) -> usize {
    below(dir).iter().filter(|f| f.to_string_lossy().contains("checkpoint-")).count()
}

/// Three rounds of one site alone. At each death of its round, the worker is training.
fn three_rounds(dir: &Path, spec: &StudySpec, deaths: &[(u32, Death)]) -> Vec<Hash> {
    let mut process = Process::serve(dir);
    let mut base = root(process.done(spec, &order(spec, DutyKind::Init, 0, None)));
    let mut roots = vec![base];
    for round in 1..=3 {
        let train = order(spec, DutyKind::Train, round, Some(base));
        for (_, death) in deaths.iter().filter(|(of, _)| *of == round) {
            process.until(spec, &train, |state| match (state, death) {
                (DutyState::Queued, _) => None,
                (DutyState::Running { .. }, Death::AtOnce) => Some(()),
                (DutyState::Running { done }, Death::After(share)) => (done >= *share).then_some(()),
                (DutyState::Running { .. }, Death::Checkpointed) => (checkpoints(dir) > 0).then_some(()),
                (other, _) => panic!("it was to die at work: train for longer: {other:?}"),
            });
            drop(process);
            process = Process::serve(dir);
        }
        let update = root(process.done(spec, &train));
        let blob = BlobRef { root: update, len: spec.update_len().unwrap() };
        let mut merge = order(spec, DutyKind::Merge, round, Some(base));
        merge.inputs =
            vec![MergeInput { institution: InstitutionId([1; 32]), duty: train.duty.hash(), blob, weight: 1 }];
        base = root(process.done(spec, &sealed(merge)));
        roots.extend([update, base]);
    }
    roots
}

/// The example, unscaled, with so many steps in a round: a round of 300,000 lasts one to some seconds.
fn long(steps: u32) -> StudySpec {
    let mut spec = unscaled(1);
    (spec.training.epochs, spec.training.batches) = (0, steps);
    // so slow that it does not come to rest in so many steps
    let adam = r#"{"adam":{"learning_rate":1e-6}}"#;
    spec.training.optimizer = serde_json::from_str(adam).unwrap();
    spec
}

#[test]
fn a_gpu_that_is_not_there_fails_the_round_in_words_and_nothing_else() {
    let (dir, spec) = (folder(), unscaled(1));
    let sites = dir.path().join("sites.toml");
    let cpu = fs::read_to_string(&sites).unwrap();
    fs::write(&sites, format!("{cpu}gpu = 999\n")).unwrap();
    let process = Process::serve(dir.path());
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    let train = |round| order(&spec, DutyKind::Train, round, Some(base));
    assert_eq!(process.failed(&spec, &train(1)), FailureCode::Internal);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("Internal: GPU 999 cannot be used") && !log.contains("panicked"), "{log}");
    fs::write(&sites, cpu).unwrap();
    process.done(&spec, &train(2));
}

#[test]
fn a_worker_killed_while_it_trains_gives_the_bytes_of_an_undisturbed_one() {
    // with Adam, whose moments are carried from round to round
    let spec = long(1_000_000);
    assert!(spec.training.keep_optimizer_state);
    let (calm, troubled) = (folder(), folder());
    let expected = three_rounds(calm.path(), &spec, &[]);
    let deaths = [(1, Death::After(5_000)), (2, Death::AtOnce), (2, Death::After(50_000)), (3, Death::Checkpointed)];
    assert_eq!(three_rounds(troubled.path(), &spec, &deaths), expected);
    // the last death came after the first checkpoint
    let log = fs::read_to_string(troubled.path().join("log")).unwrap();
    assert!(log.contains("round 3: goes on after step"), "{log}");
    assert_eq!(checkpoints(troubled.path()), 0, "checkpoints of what is done are removed");
    let optimizer = |dir: &Path| {
        let folder = dir.join("home/studies").join(hex::encode(AGREEMENT)).join("study-0/optimizer");
        let mut files: Vec<_> =
            below(&folder).into_iter().map(|f| (f.file_name().unwrap().to_owned(), fs::read(f).unwrap())).collect();
        files.sort();
        files
    };
    assert_eq!(optimizer(calm.path()), optimizer(troubled.path()));
    let left: Vec<_> = below(troubled.path()).into_iter().filter(|f| f.to_string_lossy().contains("/.tmp-")).collect();
    assert!(left.is_empty(), "unfinished files pile up: {left:?}");

    // without the state of the round before, round 3 is another one: it was really carried over the deaths
    let [.., base, _, _] = expected[..] else { panic!() };
    let reset = folder();
    let process = Process::serve(reset.path());
    fs::create_dir_all(reset.path().join("blobs")).unwrap();
    fs::copy(calm.path().join("blobs").join(hex::encode(base)), reset.path().join("blobs").join(hex::encode(base)))
        .unwrap();
    assert_ne!(root(process.done(&spec, &order(&spec, DutyKind::Train, 3, Some(base)))), expected[5]);
    assert!(fs::read_to_string(reset.path().join("log")).unwrap().contains("no optimiser state of the round before"));
}

#[test]
fn a_hold_stops_what_runs_and_what_waits_and_shows_nothing_of_what_was_done() {
    let spec = long(300_000);
    let dir = folder();
    let process = Process::serve(dir.path());
    let home = dir.path().join("home");
    let verb = |verb: &str| String::from_utf8(says(&[verb.as_ref(), "--dir".as_ref(), home.as_os_str()])).unwrap();
    let init = order(&spec, DutyKind::Init, 0, None);
    let base = root(process.done(&spec, &init));
    let (runs, waits) = (order(&spec, DutyKind::Train, 1, Some(base)), order(&spec, DutyKind::Train, 2, Some(base)));
    process.running(&spec, &runs);
    assert_eq!(process.ask(&spec, &waits), DutyState::Queued);

    assert_eq!(verb("hold"), format!("held: {}\n", home.display()));
    for order in [&init, &runs, &waits] {
        assert_eq!(process.ask(&spec, order), DutyState::Held, "{:?}", order.duty.kind);
    }
    let until = Instant::now() + Duration::from_secs(2);
    while process.status()["duties"] != serde_json::json!([]) {
        assert!(Instant::now() < until, "still at work: {}", process.status());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(process.status()["held"], true);
    assert_eq!(below(&home.join("results")).len(), 1, "nothing but the initial model was done");

    assert_eq!(verb("resume"), format!("resumed: {}\n", home.display()));
    assert!(matches!(process.ask(&spec, &init), DutyState::Done(_)));
    process.done(&spec, &runs);
    process.done(&spec, &waits);
}

#[test]
fn only_a_workers_folder_can_be_held_resumed_or_given_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let typo = dir.path().join("wroker");
    fs::write(dir.path().join("sites.toml"), "").unwrap();
    let hash = "07".repeat(32);
    for (verb, more) in [("hold", vec![]), ("resume", vec![]), ("accept-data", vec!["--agreement", &hash])] {
        for wrong in [typo.clone(), dir.path().to_path_buf()] {
            let mut arguments = vec![verb.into(), "--dir".into(), wrong.display().to_string()];
            arguments.extend(more.iter().map(|m: &&str| (*m).to_owned()));
            if verb == "accept-data" {
                arguments.extend(["--sites".into(), dir.path().join("sites.toml").display().to_string()]);
            }
            let output = program(&arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success());
            assert!(said.contains(&format!("{} is no worker's folder", wrong.display())), "{verb}: {said}");
        }
    }
    assert!(!typo.exists(), "nothing is made");
}

#[test]
fn a_second_worker_on_a_folder_is_refused_before_it_touches_anything() {
    let dir = folder();
    let mut first = Process::serve(dir.path());
    let unfinished = ["home/results", "home/studies", "blobs"].map(|f| dir.path().join(f).join(".tmp-worker-1-1"));
    for file in &unfinished {
        fs::write(file, "half of what the first one is writing").unwrap();
    }
    fs::remove_file(dir.path().join("token")).unwrap();
    let output = command(dir.path(), "127.0.0.1:0").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let home = dir.path().join("home");
    assert!(said.contains(&home.display().to_string()) && said.contains("another worker is running"), "{said}");
    assert!(unfinished.iter().all(|f| f.exists()), "swept beside a running worker");
    assert!(!dir.path().join("token").exists(), "another token was written");
    assert!(first.alive());
    // one on another folder, but for the same door, has not swept its own either
    fs::remove_file(home.join("results/.tmp-worker-1-1")).unwrap();
    let other = folder();
    fs::create_dir_all(other.path().join("home/results")).unwrap();
    fs::write(other.path().join("home/results/.tmp-worker-1-1"), "half").unwrap();
    let output = command(other.path(), &format!("127.0.0.1:{}", first.port)).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen"));
    assert!(other.path().join("home/results/.tmp-worker-1-1").exists());
    // the lock dies with its holder, however that ends
    drop(first);
    put_token(dir.path());
    let next = Process::serve(dir.path());
    assert_eq!(next.status()["held"], false);
    assert!(unfinished.iter().all(|f| !f.exists()), "the next one sweeps");
}

#[test]
fn what_the_worker_writes_is_the_owners_and_blobs_the_nodes_too() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &demo_csv(1));
    for made in ["home/secret", "token"] {
        fs::remove_file(dir.path().join(made)).unwrap();
    }
    fs::remove_dir(dir.path().join("home")).unwrap();
    let spec = unscaled(1);
    drop(Process::serve(dir.path()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("token")), 0o640);
    put_token(dir.path());
    let process = Process::serve(dir.path());
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    process.done(&spec, &order(&spec, DutyKind::Train, 1, Some(base)));
    let home = dir.path().join("home");
    says(&["hold".as_ref(), "--dir".as_ref(), home.as_os_str()]);
    let all = below(&home);
    for needed in ["secret", "hold", "split.json", "data.blake3", "spec.blake2", "training-0001.json", "lock"] {
        assert!(all.iter().any(|f| f.ends_with(needed)), "{needed}");
    }
    for path in all.iter().chain([&home]) {
        assert_eq!(mode(path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let blobs = dir.path().join("blobs");
    assert_eq!(mode(&blobs), 0o750);
    assert_eq!(below(&blobs).len(), 2);
    assert!(below(&blobs).iter().all(|blob| mode(blob) == 0o640));
}

#[test]
fn what_starting_again_does_not_mend_has_an_exit_code_of_its_own() {
    let dir = folder();
    let ends = |listen: &str, says: &str| {
        let output = command(dir.path(), listen).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(says), "{said}");
        output.status.code()
    };
    let wrong = Some(i32::from(consilium_founding::EXIT_CONFIGURATION));
    assert_eq!(ends("0.0.0.0:0", "of this machine alone"), wrong);
    assert_eq!(ends("nowhere", "--listen"), wrong);
    let (sites, token) = (dir.path().join("sites.toml"), dir.path().join("token"));
    let good = fs::read(&sites).unwrap();
    fs::write(&sites, "[[study]\n").unwrap();
    assert_eq!(ends("127.0.0.1:0", "sites.toml"), wrong);
    fs::write(&sites, good).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ends("127.0.0.1:0", "has mode 644"), wrong);
    put_token(dir.path());
    fs::write(dir.path().join("home/secret"), "no secret").unwrap();
    assert_eq!(ends("127.0.0.1:0", "64 hexadecimal digits"), wrong);
    // a port that another program has may be free in a moment
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(ends(&taken.local_addr().unwrap().to_string(), "cannot listen"), Some(1));
}

#[test]
fn files_and_folders_may_be_named_without_a_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sites.toml"), "").unwrap();
    let mut worker = std::process::Command::new(env!("CARGO_BIN_EXE_ml-worker"))
        .current_dir(dir.path())
        .args(["serve", "--dir", "worker", "--blobs", "blobs", "--token-file", "token", "--sites", "sites.toml"])
        .args(["--listen", "127.0.0.1:0"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !["token", "worker/secret"].iter().all(|made| dir.path().join(made).is_file()) {
        assert_eq!(worker.try_wait().unwrap(), None, "it ended");
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn changed_data_are_accepted_as_the_file_that_is_there() {
    let dir = folder();
    let (home, sites, data) = (dir.path().join("home"), dir.path().join("sites.toml"), dir.path().join("data.csv"));
    let agreement = hex::encode(AGREEMENT);
    let spec = unscaled(1);
    let process = Process::serve(dir.path());
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    process.done(&spec, &order(&spec, DutyKind::Train, 1, Some(base)));
    let accept = |agreement: &str| {
        let paths = [&home, &sites].map(|p| p.display().to_string());
        program(&["accept-data", "--dir", &paths[0], "--sites", &paths[1], "--agreement", agreement])
    };
    let new = demo_csv(2);
    fs::write(&data, &new).unwrap();
    let train = |round| order(&spec, DutyKind::Train, round, Some(base));
    assert_eq!(process.failed(&spec, &train(2)), consilium_primitives::FailureCode::DataChanged);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    let advice =
        format!("ml-worker accept-data --dir {} --sites {} --agreement {agreement}", home.display(), sites.display());
    assert!(log.contains(&advice), "{log}");
    let output = accept(&format!("0x{agreement}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let hash = hex::encode(blob_hash(new.as_bytes()));
    assert!(said.contains("data.csv") && said.contains(&hash), "{said}");
    process.done(&spec, &train(3));
    // the split knew none of these rows
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("none of its rows is among those"), "{log}");
    let refused = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    assert!(refused(accept("07")).contains("64 hexadecimal digits"));
    assert!(refused(accept(&"08".repeat(32))).contains("has no entry for this agreement"));
}

#[test]
fn what_stands_in_a_cell_is_never_said() {
    const MARKS: [&str; 4] = ["SECRETnumber", "SECRETlabel", "SECRETpatient", "73.25"];
    let spec_text = "title = \"t\"\n[data]\nfeatures = { columns = [\"x\"] }\nlabel = \"y\"\npositive = \"1\"\n\
        negative = \"0\"\ngroup = \"p\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\n\
        batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";
    let spec = StudyFile::parse(spec_text).unwrap().spec();
    for (separator, bad) in [
        (",", "SECRETnumber,1,r"),
        (",", "3,SECRETlabel,r"),
        (",", "3,1,SECRETpatient,SECRETnumber"),
        (",", "\"SECRETnumber,1,r"),
        (";", "73.25;1;SECRETpatient\n73,25;0;q"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let rows = "x,y,p\n15,1,SECRETpatient\n25,0,q\n".replace(',', separator);
        prepare(dir.path(), &format!("{rows}{bad}\n"));
        let study = dir.path().join("study.toml");
        fs::write(&study, spec_text).unwrap();
        let mut said = Vec::new();
        {
            let process = Process::serve(dir.path());
            let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
            process.failed(&spec, &order(&spec, DutyKind::Train, 1, Some(base)));
            said.extend(serde_json::to_vec(&process.status()).unwrap());
        }
        said.extend(fs::read(dir.path().join("log")).unwrap());
        let data = dir.path().join("data.csv");
        let check =
            program(&["check".as_ref(), "--study".as_ref(), study.as_os_str(), "--data".as_ref(), data.as_os_str()]);
        assert!(!check.status.success());
        said.extend(check.stderr);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("data.csv"), "the file is named: {said}");
        for mark in MARKS {
            assert!(!said.contains(mark), "{mark} in:\n{said}");
        }
    }
}
