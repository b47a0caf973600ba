//! Disks that are full, that change what is on them, or that are put back to an earlier day; and models that few still have.

use super::{
    super::house::{Clock, House},
    all_up, begin, closed, four, over, round, study_file, takes_part, until_round,
};
use consilium_e2e::hosts::Hosts;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a disk stays full.
const FULL: Duration = Duration::from_secs(12);

/// All blobs that a house has now.
fn blobs(house: &House) -> Vec<PathBuf> {
    let entries = fs::read_dir(house.seen("blobs")).unwrap().flatten().map(|entry| entry.path());
    // what begins with a dot is being written
    entries.filter(|path| path.is_file() && !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

/// Changes one bit in the middle of a file, or takes away its second half; one that is gone meanwhile is let be.
fn spoil(path: &Path, cut: bool) {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return };
    let middle = file.metadata().unwrap().len() / 2;
    if cut {
        return file.set_len(middle).unwrap();
    }
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 4], middle).unwrap();
}

/// Newest closed round, and its model.
fn newest(house: &House, number: &str) -> Option<(u64, String)> {
    let last = closed(house, number)?.pop()?;
    Some((last["round"].as_u64()?, last["root"].as_str()?.to_owned()))
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "{}", from.display());
}

#[test]
fn blobs_are_flipped_and_cut_short_while_they_are_in_use_and_while_their_site_is_off() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    clock.step("four run");

    // every blob of one site is flipped or cut in half, while they are in use. Not round after round: among them may be the update for the
    // next round, trained ahead, and of two sites' updates in one round too few would be left
    begin(&houses, &tables, &study_file(at, 20, 1), "0");
    for (at, house) in (2..=12).step_by(2).zip([lake, hill].into_iter().cycle()) {
        until_round(mary, "0", at);
        blobs(house).iter().for_each(|path| spoil(path, at < 8));
    }
    over(&houses, "0", 20);
    clock.step("all blobs of one site or another were flipped or cut, six times");

    // of two at once, while they are off, so that nothing is in memory, and too few updates may be left for the round
    begin(&houses, &tables, &study_file(at, 10, 1), "1");
    until_round(mary, "1", 2);
    [hill, lake].iter().for_each(|house| house.lose());
    blobs(lake).iter().for_each(|path| spoil(path, false));
    blobs(hill).iter().for_each(|path| spoil(path, true));
    [hill, lake].iter().for_each(|house| house.up());
    over(&houses, "1", 10);
    clock.step("all blobs of two sites were spoilt while they were off");
}

#[test]
fn models_are_lost_and_a_disk_is_put_back_to_an_earlier_day() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, john, hill, lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    clock.step("four run");

    // two have lost the model that the study stands on, and of the two that have it one is off
    begin(&houses, &tables, &study_file(at, 11, 1), "0");
    until_round(mary, "0", 3);
    [hill, lake].iter().for_each(|house| house.lose());
    for house in [hill, lake] {
        // whatever closed last, this house has the model or will fetch it
        blobs(house).iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    john.lose();
    let (stands_on, _) = mary.until("a closed round", || newest(mary, "0"));
    [hill, lake].iter().for_each(|house| house.up());
    mary.until("rounds go on without the other holder", || {
        newest(mary, "0").filter(|(round, _)| *round > stands_on + 1)
    });
    john.up();
    over(&houses, "0", 11);
    clock.step("two had lost all models, one of the two others was off, and rounds went on");

    // a disk as it was some rounds ago, with everything on it
    begin(&houses, &tables, &study_file(at, 40, 1), "1");
    until_round(mary, "1", 2);
    lake.lose();
    let backup = at.join("yesterday");
    copy(&lake.dir, &backup);
    let saved = round(mary, "1").unwrap();
    lake.up();
    takes_part(lake, mary, "1");
    until_round(mary, "1", saved + 4);
    lake.lose();
    fs::remove_dir_all(&lake.dir).unwrap();
    copy(&backup, &lake.dir);
    lake.up();
    let missed = takes_part(lake, mary, "1");
    clock.step(&format!(
        "a disk of {} rounds ago was put back; {missed} rounds closed without it",
        round(mary, "1").unwrap() - saved
    ));
    over(&houses, "1", 40);
    clock.step("it has said nothing else than before, and the study is over");
}

/// Fills a disk in mid-study, frees it after a while, and waits until its site takes part again.
fn full(hosts: &Hosts, houses: &[House], number: &str, (site, folders): (&House, &[&str])) {
    let mary = &houses[0];
    let began = round(mary, number).unwrap();
    folders.iter().for_each(|folder| hosts.fill(&site.dir.join(folder), true).unwrap());
    sleep(FULL);
    folders.iter().for_each(|folder| hosts.fill(&site.dir.join(folder), false).unwrap());
    let free = Instant::now();
    let missed = takes_part(site, mary, number);
    println!(
        "         it was full in round {began} and free in round {}; {missed} rounds later, after {:.1} s, it takes part again",
        round(mary, number).unwrap(),
        free.elapsed().as_secs_f64()
    );
}

#[test]
fn the_disk_of_a_worker_and_that_of_a_node_are_full_and_freed() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, lake] = &houses[..] else { panic!("four") };
    hosts.disk(&lake.dir.join("worker"), 8).unwrap();
    hosts.disk(&lake.dir.join("blobs"), 8).unwrap();
    // its database keeps 64 MiB of it free
    hosts.disk(&hill.dir.join("node"), 384).unwrap();
    all_up(&houses);
    begin(&houses, &tables, &study_file(at, 40, 1), "0");
    until_round(mary, "0", 2);
    clock.step("four run a study");
    full(&hosts, &houses, "0", (lake, &["worker", "blobs"]));
    clock.step("the disk of a worker was full");
    full(&hosts, &houses, "0", (hill, &["node"]));
    clock.step("the disk of a node was full");
    over(&houses, "0", 40);
    clock.step("the study is over");
}
