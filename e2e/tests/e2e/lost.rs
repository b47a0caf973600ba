//! Validators that are gone for good: two of five, without which a majority goes on by motions, and two of four, without which
//! nothing can be voted on any more.

use super::{
    house::{all_up, demo_data, founders, motion, same_model, study, study_file, text, Clock, House},
    json::fits,
};
use consilium_e2e::hosts::Hosts;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// Terms of a chain that is tried out: short times.
const TERMS: [&str; 8] =
    ["--private-addresses", "--test", "--upgrade-delay", "10s", "--silence", "20s", "--motion-life", "10m"];
/// How long a study may take whose members are lost in mid-round.
const STUDY: Duration = Duration::from_secs(420);
/// Blocks by which the best one must be ahead of the last final one before finality is said to stand.
const BEHIND: u64 = 8;

fn heights(house: &House) -> Option<(u64, u64)> {
    let chain = house.chain()?;
    Some((chain["best"].as_u64()?, chain["finalised"].as_u64()?))
}

/// Waits until blocks are made and none of them is final.
fn stands(house: &House) {
    house.until("finality stands", || heights(house).filter(|(best, last)| *best >= last + BEHIND));
}

/// Waits until a block is final that was made from now on.
fn goes_on(house: &House) {
    let (best, _) = house.until("an answer", || heights(house));
    house.until("finality goes on", || heights(house).filter(|(_, last)| *last > best));
}

/// An institution that is admitted by these, with its folder; `sync` is how its node takes the chain.
fn newcomer<'a>(hosts: &'a Hosts, scratch: &Path, n: u8, sync: &str, by: &[&House]) -> House<'a> {
    let chain = by[0].dir.join("chain.json");
    let house = House::init(hosts, scratch, n, &["--join", text(&chain)]);
    fs::copy(&chain, house.dir.join("chain.json")).unwrap();
    house.set("sync", sync);
    if sync == "warp" {
        house.set("pruning", "256");
    }
    let card = house.dir.join("card.json");
    let admission = motion(&by[0].done(&["propose", "admit", text(&card), "--dir", by[0].dir()]));
    for voter in &by[1..] {
        voter.aye(&admission);
    }
    house
}

/// Starts it, and waits until it has what the others have.
fn in_step(house: &House) {
    house.up();
    house.until("it is in step", || house.chain().filter(|chain| chain["in_step"] == true));
    goes_on(house);
}

/// Makes an archive of study 0 by a house's node, and audits it under the authorities of that time.
fn archived(house: &House, scratch: &Path) {
    let (archive, authorities) = (scratch.join("study-0.tar"), scratch.join("authorities.json"));
    let (blobs, out) = (house.dir.join("blobs"), text(&archive));
    let made = house.json(&["export", "0", "--blobs", text(&blobs), "--out", out]);
    fs::write(&authorities, made["authorities"].to_string()).unwrap();
    let said = house.done(&["audit", "--archive", out, "--trust-authorities", text(&authorities)]);
    assert!(said.starts_with("relative to authority set"), "{said}");
}

#[test]
fn when_half_are_gone_those_who_remain_go_on_by_a_recovery_that_both_have_signed() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(6).unwrap());
    let mut clock = Clock(Instant::now());
    let houses = founders(&hosts, at, 4, &TERMS);
    let [mary, john, hill, lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    // so that the set that is lost is not the chain's first one
    mary.done(&["rotate", "session", "--dir", mary.dir()]);
    let [a, b, c, d] = demo_data(&hosts, at);
    let file = study_file(at, 6, 1);
    let two = fs::read_to_string(&file).unwrap().replace("min_participants = 3", "min_participants = 2");
    fs::write(&file, two).unwrap();
    study(mary, &[(mary, a), (john, b), (hill, c), (lake, d)], &file, "0");
    mary.until("rounds go on", || (mary.study("0")?["round"].as_u64()? >= 2).then_some(()));
    clock.step("four run a study");

    hill.lose();
    lake.lose();
    stands(mary);
    clock.step("two of four are lost, and finality stands");

    // what one has signed is not enough for its node, nor what says more than the chain
    let (draft, done) = (at.join("draft.json"), at.join("recovery.json"));
    let propose =
        ["recover", "propose", "--lost", "hill", "--lost", "lake", "--out", text(&draft), "--dir", mary.dir()];
    fits("consilium recover propose", &mary.json(&propose));
    let shown = john.json(&["recover", "show", text(&draft)]);
    fits("consilium recover show", &shown);
    let written: Value = serde_json::from_slice(&fs::read(&draft).unwrap()).unwrap();
    assert!(written["sets"][0]["signalled"]["number"].as_u64() > Some(0), "{written:#}");
    assert_eq!((&shown["missing"], &shown["refused"]), (&serde_json::json!(["st-john"]), &"TooFewConsents".into()));
    let mut wrong = written;
    wrong["sets"][0]["id"] = (wrong["sets"][0]["id"].as_u64().unwrap() + 1).into();
    fs::write(&done, wrong.to_string()).unwrap();
    let refused = john.refused(&["recover", "sign", text(&done), "--dir", john.dir()]);
    assert!(refused.contains("other sets of finality"), "{refused}");
    mary.done(&["recover", "take", text(&draft), "--dir", mary.dir()]);
    mary.again();
    let refusal = mary.until("the node refuses", || {
        let up: Value = serde_json::from_slice(&fs::read(mary.dir.join("up.json")).ok()?).ok()?;
        (up["node"]["state"] == "refused").then(|| up["node"]["why"].to_string())
    });
    assert!(refusal.contains("TooFewConsents"), "{refusal}");
    clock.step("wrong and unsigned recoveries are refused");

    fs::copy(&draft, &done).unwrap();
    fits("consilium recover sign", &john.json(&["recover", "sign", text(&done), "--dir", john.dir()]));
    for house in [mary, john] {
        house.done(&["recover", "take", text(&done), "--dir", house.dir()]);
        house.again();
    }
    goes_on(mary);
    goes_on(john);
    clock.step("both nodes have taken up the recovery, and finality goes on");

    let sent = mary.until("the lost were silent for long enough", || {
        let output = mary.run(&["recover", "send", text(&done), "--dir", mary.dir(), "--format", "json"]);
        output.status.success().then_some(output.stdout)
    });
    fits("consilium recover send", &serde_json::from_slice(&sent).unwrap());
    for name in ["hill", "lakeside"] {
        assert!(john.until("it is taken out", || john.institution(name).is_none().then_some(true)));
    }
    let again = john.refused(&["recover", "send", text(&done), "--dir", john.dir()]);
    assert!(again.contains("RecoveredAlready") || again.contains("NotLost"), "{again}");
    goes_on(john);
    clock.step("the lost are taken out");

    let full = newcomer(&hosts, at, 5, "full", &[mary, john]);
    full.done(&["recover", "take", text(&done), "--dir", full.dir()]);
    in_step(&full);
    clock.step("a newcomer has the chain, block by block");
    // a warp sync wants three nodes that answer, and the chain's first block names but two that are still there
    let warp = newcomer(&hosts, at, 6, "warp", &[mary, john]);
    let card: Value = serde_json::from_slice(&fs::read(full.dir.join("card.json")).unwrap()).unwrap();
    let third = format!("{}/p2p/{}", card["addresses"][0].as_str().unwrap(), card["peer"].as_str().unwrap());
    let settings = warp.dir.join("consilium.toml");
    let written = fs::read_to_string(&settings).unwrap();
    assert!(written.contains("reserved = []"), "{written}");
    fs::write(&settings, written.replace("reserved = []", &format!("reserved = [\"{third}\"]"))).unwrap();
    warp.done(&["recover", "take", text(&done), "--dir", warp.dir()]);
    in_step(&warp);
    clock.step("another has it by the sets of validators alone");

    // its round waits for the votes of the lost to the last attempt's end, and pauses then
    let until = Instant::now() + STUDY;
    while !mary.study("0").is_some_and(|study| study["certificate"]["root"].is_string()) {
        let phase = mary.study("0").map(|study| study["phase"].to_string()).unwrap_or_default();
        if phase.contains("paused") {
            mary.run(&["study", "resume", "0", "--key", &mary.key()]);
        }
        assert!(Instant::now() < until, "study 0 is still {phase}\n{}", mary.logs());
        sleep(Duration::from_secs(1));
    }
    same_model(&[mary, john], "0");
    archived(mary, at);
    clock.step("the study is completed, and its archive holds");
}

#[test]
fn when_two_of_five_are_gone_a_majority_goes_on_by_motions() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(6).unwrap());
    let mut clock = Clock(Instant::now());
    let houses = founders(&hosts, at, 5, &TERMS);
    let [mary, john, hill, lake, fifth] = &houses[..] else { panic!("five") };
    all_up(&houses);
    let [a, b, c, _] = demo_data(&hosts, at);
    study(mary, &[(mary, a), (john, b), (hill, c)], &study_file(at, 8, 1), "0");
    clock.step("five run, and a study of three has started");

    lake.lose();
    fifth.lose();
    stands(mary);
    clock.step("two of five are lost, and finality stands");
    for name in [lake.name, fifth.name] {
        let suspension = motion(&mary.done(&["propose", "suspend", name, "--dir", mary.dir()]));
        john.aye(&suspension);
        hill.aye(&suspension);
    }
    // refused until that is in force
    let rescue = mary.until("a rescue is taken", || {
        let output = mary.run(&["propose", "rescue", "--dir", mary.dir()]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    john.aye(&motion(&rescue));
    clock.step("they are suspended, and a rescue is decided");
    goes_on(mary);
    goes_on(hill);
    clock.step("finality goes on");

    same_model(&[mary, john, hill], "0");
    archived(john, at);
    clock.step("the study is completed, and its archive holds");
    let late = newcomer(&hosts, at, 6, "full", &[mary, john]);
    in_step(&late);
    clock.step("a newcomer has the chain");
}
