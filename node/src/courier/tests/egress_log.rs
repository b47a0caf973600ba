//! The egress log, and the folder that it lies in.

use super::*;
use crate::courier::{
    gate::Grant,
    marker::{bind, NotOurs},
};
use std::{io::Write, os::unix::fs::PermissionsExt, time::Duration};

fn log_in(dir: &tempfile::TempDir) -> (PathBuf, EgressLog) {
    let path = dir.path().join("egress.log");
    let log = EgressLog::open(&path, &GENESIS).unwrap();
    (path, log)
}

fn note(log: &EgressLog) {
    part(log, 2, blob(10, 1).1, 0..10);
}

/// Notes that a part of a blob goes to an institution's node.
fn part(log: &EgressLog, to: u8, blob: BlobRef, range: std::ops::Range<u64>) -> u64 {
    let grant = Grant { entry: update(blob), institution: site(to), name: format!("hospital {to}") };
    log.note(&grant, &peer(to), &range).unwrap()
}

/// Lines that can be read, and those that cannot.
fn lines(path: &std::path::Path) -> (usize, usize) {
    let text = fs::read_to_string(path).unwrap();
    let good = text.lines().filter(|line| serde_json::from_str::<Line>(line).is_ok()).count();
    (good, text.lines().count() - good)
}

#[test]
fn a_line_that_a_power_cut_tore_does_not_spoil_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&dir);
    note(&log);
    note(&log);
    drop(log);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let (_, log) = log_in(&dir);
    note(&log);
    assert_eq!(lines(&path), (2, 1));
    // nothing is added where nothing is torn
    drop(log);
    let (_, log) = log_in(&dir);
    note(&log);
    assert_eq!(lines(&path), (3, 1));
}

#[test]
fn after_a_rotation_lines_go_into_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&dir);
    note(&log);
    // moved away, and nothing in its place
    let old = dir.path().join("egress.log.1");
    fs::rename(&path, &old).unwrap();
    note(&log);
    assert_eq!((lines(&old), lines(&path)), ((1, 0), (1, 0)));
    // moved away, and an empty file in its place, as logrotate's `create` leaves it
    fs::rename(&path, &old).unwrap();
    fs::write(&path, "").unwrap();
    note(&log);
    note(&log);
    assert_eq!((lines(&old), lines(&path)), ((1, 0), (2, 0)));
}

#[test]
fn lines_wait_for_the_disk_until_the_next_sync_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (_, log) = log_in(&dir);
    assert!(!log.sync().unwrap());
    note(&log);
    note(&log);
    assert!(log.sync().unwrap());
    assert!(!log.sync().unwrap());
    note(&log);
    assert!(log.sync().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_courier_syncs_the_log_by_itself() {
    let (house, _, blob) = holder(1024, 1);
    slice(house.ask(2, &first(update(blob))));
    let clock = tokio::spawn(crate::courier::sync(house.server.clone()));
    tokio::time::sleep(2 * crate::courier::SYNC_EVERY).await;
    clock.abort();
    assert!(!house.server.sync_egress().unwrap(), "a line still waited");
}

#[test]
fn the_folder_of_another_chain_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("courier");
    assert!(bind(&folder, &GENESIS).is_ok());
    assert!(bind(&folder, &GENESIS).is_ok());
    let other = sp_core::H256::repeat_byte(8);
    let refused = bind(&folder, &other).unwrap_err();
    assert!(matches!(refused, NotOurs::OtherChain { .. }));
    let text = refused.to_string();
    for part in [folder.display().to_string(), hex::encode(GENESIS), hex::encode(other)] {
        assert!(text.contains(&part), "{text}");
    }
    // the refusal changed nothing
    assert!(bind(&folder, &GENESIS).is_ok());
}

#[test]
fn nothing_of_the_courier_is_for_everybody() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    let there = House::new();
    let mut download = crate::courier::download::Download::resume(&there.store, blob).unwrap();
    let request = first(update(blob));
    download.accept(&request, &slice(house.ask(2, &request))).unwrap();
    bind(&there.dir.path().join("courier"), &GENESIS).unwrap();
    let mut folders = vec![there.dir.path().join("courier"), there.dir.path().join("blobs")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o027, 0, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "{}", path.display());
        }
    }
    // the log, the marker, a download and its note
    assert_eq!(seen, 4);
}

#[test]
fn a_log_that_grew_is_folded_to_who_got_how_much_of_what() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("egress.log");
    let open = || EgressLog::open_with(&path, &GENESIS, 20_000).unwrap();
    let read = || -> Vec<Line> {
        let text = fs::read_to_string(&path).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let [one, other] = [1, 2].map(|seed| blob(100_000, seed).1);
    let log = open();
    for n in 0..40 {
        part(&log, 2, one, n * 1000..(n + 1) * 1000);
        part(&log, 3, one, n * 1000..(n + 1) * 1000);
    }
    // again, and another
    part(&log, 2, one, 0..500);
    part(&log, 2, other, 7000..7010);
    let before = read();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"torn\n").unwrap();
    assert!(log.sync().unwrap());
    let lines = read();
    let of = |line: &Line| (line.peer.clone(), line.hash.clone());
    let expected = [
        (2, one, 40_500, 0, 39_999, Some(41)),
        (3, one, 40_000, 0, 39_999, Some(40)),
        (2, other, 10, 7000, 7009, None),
    ];
    assert_eq!(lines.len(), expected.len());
    for (line, (to, blob, bytes, first, last, parts)) in lines.iter().zip(expected) {
        assert_eq!(of(line), (peer(to).to_base58(), hex::encode(blob.root.0)));
        assert_eq!((line.bytes, line.first, line.last, line.parts), (bytes, first, last, parts));
        assert_eq!((line.study, line.round, line.kind.as_str()), (7, 3, "update"));
        let times: Vec<_> = before.iter().filter(|old| of(old) == of(line)).map(|old| old.time).collect();
        assert_eq!(
            (Some(&line.time), line.until.as_ref().or(Some(&line.time))),
            (times.iter().min(), times.iter().max())
        );
    }
    // what a power cut left stays, and nobody else may read the new file
    assert!(fs::read_to_string(&path).unwrap().contains("{\"torn\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    // goes on, and folds what was folded before, also after a restart
    for n in 0..40 {
        part(&log, 3, one, n * 1000..(n + 1) * 1000);
    }
    drop(log);
    let log = open();
    part(&log, 3, one, 40_000..40_001);
    for _ in 0..40 {
        part(&log, 2, other, 0..1);
    }
    assert!(log.sync().unwrap());
    let found: Vec<_> = read().iter().map(|line| (line.bytes, line.first, line.last, line.parts)).collect();
    assert_eq!(found, [(40_500, 0, 39_999, Some(41)), (80_001, 0, 40_000, Some(81)), (50, 0, 7009, Some(41))]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn lines_that_are_written_together_reach_the_disk_together() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&dir);
    let numbers: Vec<u64> = (0..8).map(|to| part(&log, to, blob(10, 1).1, 0..10)).collect();
    std::thread::scope(|scope| {
        for number in &numbers {
            scope.spawn(|| log.commit(*number).unwrap());
        }
    });
    assert_eq!((lines(&path), log.syncs()), ((8, 0), 1));
    // lines that come a moment after the first one after a pause go there with it; on a busy machine they may come too late for that
    let together = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        let before = log.syncs();
        let of = |to| part(&log, to, blob(10, 2).1, 0..10);
        std::thread::scope(|scope| {
            let commit = |line: u64| {
                let log = &log;
                scope.spawn(move || log.commit(line).unwrap());
            };
            commit(of(2));
            std::thread::sleep(Duration::from_micros(500));
            [0, 1].map(of).into_iter().for_each(commit);
        });
        log.syncs() == before + 1
    });
    assert!(together);
    let syncs = log.syncs();
    // nothing is left for the clock, and a line that is there is not brought there again
    assert!(!log.sync().unwrap());
    log.commit(numbers[0]).unwrap();
    assert_eq!(log.syncs(), syncs);
    // after a rotation, too
    fs::rename(&path, dir.path().join("egress.log.1")).unwrap();
    let number = part(&log, 2, blob(10, 1).1, 0..10);
    log.commit(number).unwrap();
    assert_eq!(lines(&path), (1, 0));
}

#[test]
fn nothing_is_given_where_the_line_does_not_reach_the_disk() {
    // it takes every byte, and cannot be brought to any disk
    let null = EgressLog::open(std::path::Path::new("/dev/null"), &GENESIS).unwrap();
    let number = part(&null, 2, blob(10, 1).1, 0..10);
    assert!(null.commit(number).is_err());
    assert!(null.commit(number).is_err(), "also for who asks again");
    let (house, _, blob) = holder(1000, 1);
    let server = Server::new(house.store.clone(), null, std::convert::identity, Figures::quiet());
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2])];
    server.update(chain(1, &listed, &listed));
    server.set_behind(false);
    assert_eq!(server.answer(&first(update(blob)).encode(), peer(2)).response, Response::Busy);
    // what is given is on the disk by then
    slice(house.ask(2, &first(update(blob))));
    assert!(!house.server.sync_egress().unwrap());
}
