//! The egress log, and the folder that it lies in.

use super::*;
use crate::courier::{
    gate::Grant,
    marker::{bind, NotOurs},
};
use std::os::unix::fs::PermissionsExt;

fn log_in(dir: &tempfile::TempDir) -> (PathBuf, EgressLog) {
    let path = dir.path().join("egress.log");
    let log = EgressLog::open(&path, &GENESIS).unwrap();
    (path, log)
}

fn note(log: &EgressLog) {
    let grant =
        Grant { study: 7, round: 3, kind: BlobKind::Update, institution: site(2), name: "hospital 2".to_owned() };
    log.note(&grant, &peer(2), &blob(10, 1).1, &(0..10)).unwrap();
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
    slice(house.ask(2, &first(blob)));
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
    let request = first(blob);
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
