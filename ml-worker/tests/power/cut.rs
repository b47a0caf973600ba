//! The real program and a cut of the power.

use super::*;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &demo_csv(1));
    dir
}

fn merge(spec: &StudySpec, base: Hash, round: u32, update: Hash, duty: Hash) -> DutyOrder {
    let mut merge = order(spec, DutyKind::Merge, round, Some(base));
    let blob = BlobRef { root: update, len: spec.update_len().unwrap() };
    merge.inputs = vec![MergeInput { institution: InstitutionId([1; 32]), duty, blob, weight: 1 }];
    sealed(merge)
}

#[test]
fn a_training_waits_for_the_disk_for_its_promise_and_a_merge_does_not() {
    let (dir, spec) = (folder(), unscaled(1));
    let Some(disk) = Disk::new(dir.path(), &["home", "blobs"], 1) else { return no_compiler() };
    let process = Process::serve_with(dir.path(), |command| disk.under(command));
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    let first = order(&spec, DutyKind::Train, 1, Some(base));
    let first_update = root(process.done(&spec, &first));
    let base = root(process.done(&spec, &merge(&spec, base, 1, first_update, first.duty.hash())));
    // in the first round, what is noted once for a study is new; what settles later comes between
    std::thread::sleep(Duration::from_secs(6));
    let forced = disk.forced();
    for blob in [first_update, base] {
        assert!(
            forced.iter().any(|path| path.ends_with(&hex::encode(blob))),
            "what can wait has not come there: {forced:?}"
        );
    }
    let before = forced.len();
    let train = order(&spec, DutyKind::Train, 2, Some(base));
    let update = root(process.done(&spec, &train));
    let forced = disk.forced()[before..].to_vec();
    let ends: Vec<&str> = forced.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    println!("a training forced {forced:?}");
    // the update and the result, in a file whose name is there
    assert_eq!(ends, ["results.journal"], "{forced:?}");
    let before = disk.forced().len();
    process.done(&spec, &merge(&spec, base, 2, update, train.duty.hash()));
    assert_eq!(disk.forced()[before..], [] as [String; 0]);
}

fn no_compiler() {
    println!("no C compiler here: nothing was tried");
}

/// A worker whose process somebody else owns.
struct At(u16);

impl Door for At {
    fn answer(&self, request: &DutyRequest) -> DutyReply {
        answer(self.0, request)
    }
}

/// Asks until the power is cut, so long after the first question; the update that was named before, if one was.
fn asked_until_the_cut(process: Process, spec: &StudySpec, train: &DutyOrder, after: Duration) -> Option<Hash> {
    let worker = At(process.port);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        drop(process);
    });
    let mut named = None;
    while !killer.is_finished() {
        // a connection that breaks off is the cut
        let said = std::panic::catch_unwind(AssertUnwindSafe(|| worker.ask(spec, train)));
        match said {
            Ok(DutyState::Done(output)) => {
                assert!(named.is_none_or(|before| before == root(output)), "two answers to one duty");
                named = Some(root(output));
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(DutyState::Failed(code)) => panic!("{code:?}"),
            _ => {}
        }
    }
    killer.join().unwrap();
    named
}

#[test]
fn an_update_that_was_named_is_there_after_a_power_cut_and_no_second_one_is_ever_named() {
    let (dir, spec) = (folder(), unscaled(20));
    let Some(mut disk) = Disk::new(dir.path(), &["home", "blobs"], 42) else { return no_compiler() };
    let serve = |disk: &Disk| Process::serve_with(dir.path(), |command| disk.under(command));
    let process = serve(&disk);
    let init = order(&spec, DutyKind::Init, 0, None);
    let base = root(process.done(&spec, &init));
    // how long a training takes here, so that cuts fall before, in and after it
    let began = Instant::now();
    process.done(&spec, &order(&spec, DutyKind::Train, 1, Some(base)));
    let whole = began.elapsed();
    drop(process);
    disk.cut();
    let data = fs::read(dir.path().join("data.csv")).unwrap();
    let (mut named, mut lost) = (0, 0);
    for cut in 0..20u32 {
        let train = order(&spec, DutyKind::Train, cut + 2, Some(base));
        let process = serve(&disk);
        initial(&process, &spec, &init, dir.path());
        let before = asked_until_the_cut(process, &spec, &train, whole.mul_f64(f64::from(cut % 10 + 1) / 6.0));
        lost += disk.cut();
        let held =
            |update: Hash| blob_hash(&fs::read(dir.path().join("blobs").join(hex::encode(update))).unwrap()) == update;
        if let Some(update) = before {
            named += 1;
            // nothing could be trained any more: only what was kept can be named
            fs::write(dir.path().join("data.csv"), "diagnosis\nM\n").unwrap();
            let process = serve(&disk);
            assert_eq!(quickly(&process, &spec, &train), DutyState::Done(kept(&dir, &train, update)), "cut {cut}");
            // a worker that starts takes it out of its journal, if the file itself was not on the disk yet
            assert!(held(update), "cut {cut}: the update that was named is gone");
            fs::write(dir.path().join("data.csv"), &data).unwrap();
        } else {
            let process = serve(&disk);
            initial(&process, &spec, &init, dir.path());
            assert!(held(root(process.done(&spec, &train))));
        }
        disk.whole();
    }
    println!("of 20 cuts {named} came after an update was named; {lost} files were lost or spoilt");
    assert!((5..=19).contains(&named) && lost > 0, "{named} {lost}: the cuts do not fall where they should");
}

/// Has the initial model made again that a cut took. One of the right length with other bytes is found out when it is read, removed,
/// and fetched from others; here there are none, so it is made again, too.
fn initial(process: &Process, spec: &StudySpec, init: &DutyOrder, dir: &Path) {
    loop {
        let base = root(process.done(spec, init));
        let path = dir.join("blobs").join(hex::encode(base));
        match fs::read(&path) {
            Ok(bytes) if blob_hash(&bytes) == base => return,
            _ => drop(fs::remove_file(&path)),
        }
    }
}

/// What the file of a result says, which must name this update.
fn kept(dir: &tempfile::TempDir, train: &DutyOrder, update: Hash) -> DutyOutput {
    let output = Home::existing(&dir.path().join("home")).unwrap().result(&train.duty.hash()).unwrap().unwrap();
    assert_eq!(root(output), update);
    output
}

/// The first answer that is not that the worker is at it.
fn quickly(process: &Process, spec: &StudySpec, train: &DutyOrder) -> DutyState {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let state = process.ask(spec, train);
        if !matches!(state, DutyState::Queued | DutyState::Running { .. }) || Instant::now() > until {
            return state;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
