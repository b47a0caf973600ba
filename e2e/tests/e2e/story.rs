//! A consortium's life by the command line alone: machines with addresses of their own, a folder on each, cards exchanged as
//! files. Nothing is set by an environment variable, no call is made by hand, no JSON is edited; `sites.toml` is written as a
//! site's people write it.

use super::{
    house::{all_up, demo_data, founders, motion, same_model, study, study_file, text, Clock, House},
    json::fits,
};
use consilium_e2e::{hosts::Hosts, runtime};
use serde_json::Value;
use std::{fs, time::Instant};

#[test]
fn hospitals_found_govern_guard_and_repair_a_chain_of_their_own() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let hosts = Hosts::new(5).unwrap();
    let mut clock = Clock(Instant::now());

    // every institution makes its folder; cards go round as files; the chain begins with the runtime before the one of now
    let earlier = runtime::before();
    let times = ["--upgrade-delay", "10s", "--silence", "10s", "--motion-life", "10m"];
    let terms = [&["--private-addresses", "--test", "--runtime", text(&earlier)][..], &times].concat();
    let founders = founders(&hosts, at, 4, &terms);
    let [mary, john, hill, lake] = &founders[..] else { panic!("four") };
    let chain = mary.dir.join("chain.json");
    clock.step("four founders: folders, cards, the chain at each, checked");

    all_up(&founders);
    clock.step("all run");

    // a study
    let tables = demo_data(&hosts, at);
    let table = |n: usize| tables[n].clone();
    let members = [(mary, table(0)), (john, table(1)), (hill, table(2)), (lake, table(3))];
    study(mary, &members, &study_file(at, 400, 1), "0");
    clock.step("study 0 is registered, all have signed up, and it has started");
    let round = |house: &House, number: &str, least: u64| {
        house.until("rounds go on", || (house.study(number)?["round"].as_u64()? >= least).then_some(()));
    };
    round(mary, "0", 2);
    clock.step("two rounds");

    // keys are rotated in mid-study
    john.done(&["rotate", "session", "--dir", john.dir()]);
    clock.step("st-john has rotated its session keys");

    // one is suspended, and reinstated
    let suspension = motion(&mary.done(&["propose", "suspend", "lakeside", "--dir", mary.dir()]));
    john.aye(&suspension);
    assert!(hill.aye(&suspension).contains("lakeside is suspended"));
    let reinstatement = motion(&mary.done(&["propose", "reinstate", "lakeside", "--dir", mary.dir()]));
    john.aye(&reinstatement);
    clock.step("lakeside was suspended and reinstated");

    // a fifth asks, is admitted, starts, and stands among the validators
    let join = ["--join", text(&chain)];
    let newcomer = House::init(&hosts, at, 5, &join);
    fs::copy(&chain, newcomer.dir.join("chain.json")).unwrap();
    let admission =
        motion(&mary.done(&["propose", "admit", text(&newcomer.dir.join("card.json")), "--dir", mary.dir()]));
    john.aye(&admission);
    assert!(hill.aye(&admission).contains("newcomer is an institution"));
    newcomer.up();
    newcomer.until("it is in step", || newcomer.chain().filter(|chain| chain["in_step"] == true));
    clock.step("a fifth was admitted and is in step");
    mary.until("the newcomer makes blocks", || (mary.institution("newcomer")?["makes_blocks"] == true).then_some(()));
    clock.step("it is a validator");

    // it takes part in the next study, while the first one goes on
    let members = [(mary, table(0)), (john, table(1)), (&newcomer, table(3))];
    study(mary, &members, &study_file(at, 60, 2), "1");
    round(mary, "1", 1);
    clock.step("study 1, the newcomer in it, is in its first rounds");

    // a new runtime, while both studies are in a round
    let wasm = runtime::after(&earlier, at).unwrap();
    let wasm = text(&wasm);
    let said = mary.done(&["upgrade", "propose", "--wasm", wasm, "--dir", mary.dir()]);
    assert!(said.contains("study 0") && said.contains("study 1"), "{said}");
    let upgrade = motion(&said);
    john.until("the motion", || john.run(&["motions", &upgrade, "--wasm", wasm]).status.success().then_some(()));
    john.aye(&upgrade);
    assert!(hill.aye(&upgrade).contains("can be applied from block"));
    clock.step("a new runtime is decided");
    newcomer.until("the delay is over", || {
        newcomer.done(&["upgrade", "status"]).contains("to be applied now").then_some(())
    });
    let before = lake.json(&["upgrade", "status"])["version"].as_u64().unwrap();
    let applied = newcomer.json(&["upgrade", "apply", "--wasm", wasm]);
    fits("consilium upgrade apply", &applied);
    let (block, version) = (applied["block"].as_u64().unwrap(), applied["version"].as_u64().unwrap());
    assert!(version > before, "{applied}");
    lake.until("the new runtime", || {
        // while a node compiles it, it may not answer
        let output = lake.run(&["upgrade", "status", "--format", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["version"] == version).then_some(())
    });
    clock.step("the new runtime is applied, ten seconds after the vote at the earliest");

    // both studies go on across it
    let members = [&newcomer, mary, john];
    let root = same_model(&members, "1");
    let across = |number: &str| {
        let study = mary.shown(number);
        let ran =
            |round: &Value| round["opened_at"].as_u64() < Some(block) && round["closed_at"].as_u64() >= Some(block);
        let rounds = study["rounds"].as_array().unwrap();
        let (open, later) =
            (rounds.iter().any(ran), rounds.iter().any(|round| round["opened_at"].as_u64() > Some(block)));
        assert!(open && later, "the new runtime came with block {block}: {study:#}");
    };
    across("1");
    mary.until("study 0 goes on", || {
        let study = mary.study("0")?;
        let last = study["rounds"].as_array()?.last()?.clone();
        (last["opened_at"].as_u64()? > block).then_some(())
    });
    across("0");
    clock.step("study 1 is completed, with one model at its three sites");
    let (blobs, archive) = (newcomer.dir.join("blobs"), at.join("study-1.tar"));
    let made = newcomer.json(&["export", "1", "--blobs", text(&blobs), "--out", text(&archive)]);
    let trusted = made["block"].as_str().unwrap();
    let blobs = john.dir.join("blobs");
    let audit = ["audit", "--archive", text(&archive), "--trust-block", trusted, "--blobs", text(&blobs)];
    let report = john.json(&audit);
    // statistics, the initial model, sixty rounds
    assert_eq!(report["merges"], 62, "{report:#}");
    assert!(report["merges_recomputed"].as_u64().unwrap() > 1, "{report:#}");
    assert_eq!(report["findings"].as_array().unwrap().last().unwrap()["root"], root.as_str(), "{report:#}");
    clock.step("its archive is audited");

    // one leaves, by its whole name
    hill.done(&["leave", "hill", "--dir", hill.dir()]);
    clock.step("hill has left");

    // a machine is lost for good: its institution is removed
    lake.lose();
    let removal = motion(&mary.done(&["propose", "remove", "lakeside", "--dir", mary.dir()]));
    john.aye(&removal);
    mary.until("lakeside is removed", || mary.institution("lakeside").is_none().then_some(()));
    let best = mary.chain().unwrap()["best"].as_u64().unwrap();
    mary.until("blocks become final without it", || {
        mary.chain()?["finalised"].as_u64().filter(|block| *block > best + 5)
    });
    clock.step("lakeside's machine was lost, and the chain goes on without it");
}
