//! Lines that fail: between half of all pairs of sites, to one site for longer than a round's windows, and to half of all sites for so
//! long that the study pauses.

use super::{
    super::house::{agreed, Clock, House},
    all_up, begin, closed, four, inputs, logs, over, round, study_file, takes_part, undisturbed, until_round, GRACE,
    NOT_WAITED,
};
use consilium_e2e::hosts::Hosts;
use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// Three of six pairs: what is left is a line of four, from the first to the last.
const PARTED: [(u8, u8); 3] = [(1, 3), (1, 4), (2, 4)];
/// Rounds that must close while they are parted.
const MEANWHILE: u64 = 4;

/// The study that ships, for a training that is expected to take so many seconds.
pub(super) fn quick_study(at: &Path, rounds: u32, seconds: u32) -> PathBuf {
    let file = study_file(at, rounds, 1);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("training_seconds = 10 ", &format!("training_seconds = {seconds} "))).unwrap();
    file
}

#[test]
fn where_half_of_all_pairs_are_parted_every_site_stays_in_every_round() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    all_up(&houses);
    begin(&houses, &tables, &study_file(at, 12, 1), "0");
    until_round(&houses[0], "0", 2);
    clock.step("four run a study");
    PARTED.iter().for_each(|(one, other)| hosts.part(*one, *other, true).unwrap());
    let parted = round(&houses[0], "0").unwrap();
    until_round(&houses[0], "0", parted + 1 + MEANWHILE);
    clock.step(&format!("three of six pairs were parted, and {} rounds closed", MEANWHILE + 1));
    PARTED.iter().for_each(|(one, other)| hosts.part(*one, *other, false).unwrap());
    let closed = over(&houses, "0", 12);
    undisturbed(&houses, &tables, at, "0", &closed);
    clock.step("they are joined again, and the study is over");
}

/// One site is cut off in mid-round, for so long; the others go on, and it comes back.
fn one_is_cut(cut: Duration) {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, .., lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    // so many that it is not over when the site is back
    let rounds = 30 + (cut.as_secs() / 2) as u32;
    begin(&houses, &tables, &quick_study(at, rounds, 1), "0");
    until_round(mary, "0", 2);
    clock.step("four run a study");
    hosts.cable(lake.n, false).unwrap();
    sleep(cut);
    let (without, rejoined) = (mary.until("its rounds", || closed(mary, "0")).len(), Instant::now());
    clock.step(&format!("one was cut off for {cut:?}, and the others are in round {without}"));
    hosts.cable(lake.n, true).unwrap();
    let missed = takes_part(lake, mary, "0");
    // three as long as it catches up, and those that do not wait for it
    assert!(missed <= 3 + NOT_WAITED, "{missed} rounds closed without it after it was back\n{}", lake.logs());
    clock.step(&format!(
        "its update is in the {}. round after, {:.1} s after",
        missed + 1,
        rejoined.elapsed().as_secs_f64()
    ));
    let rounds = over(&houses, "0", rounds.into());
    assert!(rounds.iter().any(|round| inputs(round).len() == 3), "nothing went on without it");
    // it had made blocks of its own, with its votes in them, which were taken back when it came into reach: no vote that counted
    // was lost by that, or kept out of a pool for good
    for house in &houses {
        let lost = house.figures("consilium_votes_lost_total");
        assert!(!lost.is_empty(), "{}", house.logs());
        println!(
            "         {}: lost {lost:?}, refused {:?}",
            house.name,
            house.figures("consilium_votes_refused_total")
        );
        let expired = lost.iter().filter(|(of, _)| of.contains("expired"));
        assert_eq!(expired.map(|(_, votes)| votes).sum::<f64>(), 0.0, "{}: {lost:?}\n{}", house.name, house.logs());
    }
    clock.step("the study is over");
}

#[test]
fn one_site_is_cut_off_for_longer_than_a_round_waits() {
    one_is_cut(Duration::from_secs(1 + GRACE + 10));
}

#[test]
#[ignore = "eight minutes: scripts/faults.sh"]
fn one_site_is_cut_off_for_six_minutes() {
    one_is_cut(Duration::from_secs(6 * 60));
}

/// Where a study stands.
fn phase(house: &House) -> String {
    house.study("0").map(|study| study["phase"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// Two of four are off for at least so long; back, they and the others go on by themselves. `trained`: they are lost in mid-round,
/// where the merge waits for finality; else before the study begins, and it pauses.
fn half_are_off(least: Duration, trained: bool) {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    // some may not have trained after all; and the freeze may have been final before they were lost
    let waits = |phase: &str| {
        phase.contains("paused") || trained && (phase.contains("waiting for finality") || phase.contains("merging"))
    };
    let file = quick_study(at, 8, 1);
    if trained {
        begin(&houses, &tables, &file, "0");
        until_round(mary, "0", 2);
        [hill, lake].iter().for_each(|house| house.lose());
    } else {
        // they have no part in what the study begins with
        let members: Vec<_> = houses.iter().zip(tables.iter().cloned()).collect();
        agreed(mary, &members, &file, "0");
        [hill, lake].iter().for_each(|house| house.lose());
        mary.done(&["study", "start", "0", "--key", &mary.key()]);
    }
    clock.step("four run a study, and two of them are lost");
    let off = Instant::now();
    let end = off + least + Duration::from_secs(240);
    while off.elapsed() < least || !waits(&phase(mary)) {
        assert!(Instant::now() < end, "it is {}, and waits for nobody\n{}", phase(mary), mary.logs());
        sleep(Duration::from_millis(500));
    }
    clock.step(&format!("two of four are off: {}", phase(mary)));
    let closed = || mary.study("0").and_then(|study| Some(study["rounds"].as_array()?.len()));
    let before = closed();
    [hill, lake].iter().for_each(|house| house.up());
    let back = Instant::now();
    mary.until("the study goes on by itself", || (closed() > before).then_some(()));
    clock.step(&format!("they are back, and it went on by itself {:.1} s later", back.elapsed().as_secs_f64()));
    let rounds = over(&houses, "0", 8);
    let all = houses.iter().map(|house| house.name).collect();
    let short: Vec<_> = rounds.iter().skip(1).filter(|round| inputs(round) != all).collect();
    if trained && !short.is_empty() {
        // a commitment comes with the vote on the round before: one that was in no block when its site was lost is not in that one round
        let away = [hill.name, lake.name];
        let mut missing = short.iter().flat_map(|round| &all - &inputs(round));
        assert!(
            short.len() == 1 && missing.all(|name| away.contains(&name)),
            "somebody was left out: {short:#?}\n{}",
            logs(&houses)
        );
        clock.step(
            "the study is over; one that was lost had not yet committed to its update, and is not in that one round",
        );
        return;
    }
    undisturbed(&houses, &tables, at, "0", &rounds);
    clock.step("the study is over");
}

#[test]
fn two_of_four_are_off_when_all_have_trained_and_the_merge_goes_on_when_finality_does() {
    half_are_off(Duration::from_secs(20), true);
}

#[test]
fn two_of_four_are_off_until_the_study_pauses_and_it_goes_on_by_itself() {
    half_are_off(Duration::ZERO, false);
}

#[test]
#[ignore = "nine minutes: scripts/faults.sh"]
fn two_of_four_are_off_for_six_minutes_and_the_study_goes_on_by_itself() {
    half_are_off(Duration::from_secs(6 * 60), false);
}
