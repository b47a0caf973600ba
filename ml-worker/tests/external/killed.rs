//! What becomes of a trainer whose worker is killed in the middle of a job: it ends, too, with all that it started.

use super::support::{order, prepare, Process};
use super::*;
use consilium_ml_worker::site::Blobs;
use std::time::{Duration, Instant};

/// A running process: its number, its parent's, and when it began, for a number may be another's soon.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Runs {
    number: u32,
    parent: u32,
    began: u64,
}

/// All that run, but those that have ended and are only still listed.
fn all() -> Vec<Runs> {
    let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // the name before it may hold blanks and brackets
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, began) = (*fields.first()?, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
        (state != "Z").then_some(Runs { number, parent, began })
    });
    stats.collect()
}

/// Those below a process, at any depth.
fn below_process(root: u32) -> Vec<Runs> {
    let (all, mut found, mut line) = (all(), Vec::new(), vec![root]);
    while let Some(parent) = line.pop() {
        let children: Vec<Runs> = all.iter().filter(|it| it.parent == parent).cloned().collect();
        line.extend(children.iter().map(|it| it.number));
        found.extend(children);
    }
    found
}

#[test]
fn a_trainer_ends_with_its_worker_also_where_that_is_killed_in_the_middle_of_a_job() {
    for form in forms().into_iter().chain(["none: this code may do whatever the worker may"]) {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, spec) = (scratch.path(), study("misdeed = \"sleep\"", false));
        prepare(dir, &demo_csv(0));
        let blobs = Blobs::open(&dir.join("blobs")).unwrap();
        for bytes in [code(), initial(false)] {
            blobs.put(&bytes).unwrap();
        }
        fs::write(dir.join("sites.toml"), allowed(form, SLEEPLESS)).unwrap();
        let process = Process::serve(dir);
        let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
        let train = order(&spec, DutyKind::Train, 1, Some(base));
        let asleep = dir.join(format!("home/studies/{}/study-0/external/state/asleep", hex::encode(AGREEMENT)));
        process.until(&spec, &train, |state| match state {
            DutyState::Done(_) | DutyState::Failed(_) => panic!("{form}: {state:?}"),
            _ => asleep.exists().then_some(()),
        });
        let its = below_process(process.id());
        // the trainer, the child that it has started, and what ends them
        assert!(its.len() >= 3, "{form}: {its:?}");
        drop(process);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let left: Vec<Runs> = all()
                .into_iter()
                .filter(|it| its.iter().any(|one| (one.number, one.began) == (it.number, it.began)))
                .collect();
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "{form}: {left:?} of {its:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
