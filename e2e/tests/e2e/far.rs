//! Machines that lie far apart: whether their lines are as long and lose as much as was asked, and how fast a study goes over such lines.
//!
//! The long forms, told apart by `#[ignore]`, are run by `bench/wan.sh`, which says what they measure.

use super::house::{all_up, demo_data, founders, same_model, study, study_file, Clock, House};
use consilium_e2e::{
    bin_dir,
    far::Line,
    hosts::{Hosts, Program},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Terms of a chain that is tried out.
const TERMS: [&str; 4] = ["--private-addresses", "--test", "--motion-life", "10m"];
/// Where a machine answers whoever measures its line.
const PORT: u16 = 7_007;

/// What one machine of two measures of its line to the other, with so many packets.
fn measured(line: Line, packets: u32) -> (Vec<f64>, Vec<f64>, &'static str) {
    let hosts = Hosts::far(2, line).unwrap();
    let (program, at) = (bin_dir().unwrap().join("far-line"), format!("{}:{PORT}", Hosts::address(1)));
    let _answers = Program::ready(hosts.on(1, &program).args(["answers", &at])).unwrap();
    let output = hosts.on(2, &program).args(["asks", &at, &packets.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = |name: &str| {
        let mut all: Vec<f64> = told[name].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    (numbers("away"), numbers("connections"), hosts.by())
}

#[test]
fn far_lines_are_as_long_and_lose_as_much_as_was_asked() {
    let round_trip = Duration::from_millis(50);
    let (away, connections, by) = measured(Line { round_trip, loss: 0.0, seed: 1 }, 500);
    assert_eq!(away.len(), 500, "nothing is lost where nothing is to be");
    let (least, middle) = (away[0], away[away.len() / 2]);
    println!(
        "{by}: 50 ms asked, {least:.2} ms at the least, {middle:.2} ms in the median; connections {connections:.1?}"
    );
    assert!(least >= 50.0, "a packet was back after {least} ms");
    // what the two programs take, on a machine that is busy with other tests
    assert!(middle < 58.0, "half of all packets were back after {middle} ms only");
    // a connection takes one round trip, and the byte another one
    assert!(connections[0] >= 100.0 && connections[2] < 125.0, "{connections:?}");

    const PACKETS: u32 = 4_000;
    let (away, _, by) = measured(Line { round_trip: Duration::from_millis(4), loss: 0.05, seed: 7 }, PACKETS);
    let back = away.len() as f64 / f64::from(PACKETS);
    println!("{by}: 5 % asked each way, so that 90.25 % come back; {:.2} % did", back * 100.0);
    // five standard deviations of such a share of 4,000
    assert!((back - 0.9025).abs() < 0.0235, "{back} of all packets came back");
}

/// A study of four founded institutions, all this far from each other: seconds of its rounds, sorted, but of the last one, which no other
/// one ends.
fn rounds_over(line: Line, rounds: u32) -> Vec<f64> {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::far(4, line).unwrap());
    let mut clock = Clock(Instant::now());
    let houses = founders(&hosts, at, 4, &TERMS);
    let tables: [PathBuf; 4] = demo_data(&hosts, at);
    all_up(&houses);
    clock.step("four founded institutions run");
    let members: Vec<(&House, PathBuf)> = houses.iter().zip(tables).collect();
    study(&houses[0], &members, &study_file(at, rounds, 1), "0");
    same_model(&houses.iter().collect::<Vec<_>>(), "0");
    clock.step(&format!("{rounds} rounds, and the certificate"));
    let closed = houses[0].shown("0")["rounds"].clone();
    let all: BTreeSet<&str> = houses.iter().map(|house| house.name).collect();
    for round in closed.as_array().unwrap().iter().filter(|round| round["round"].as_u64() > Some(0)) {
        let inputs: BTreeSet<&str> =
            round["inputs"].as_array().unwrap().iter().map(|input| input["site"].as_str().unwrap()).collect();
        assert_eq!(inputs, all, "a round is without a site: {round:#}");
    }
    let late = houses[0].json(&["late", "0"]);
    let of_training: Vec<&Value> =
        late["rounds"].as_array().unwrap().iter().filter(|round| round["round"].is_u64()).collect();
    let mut seconds: Vec<f64> = of_training.iter().map(|round| round["seconds"].as_f64().unwrap()).collect();
    assert_eq!(seconds.len(), rounds as usize, "{late:#}");
    if line.loss > 0.0 {
        println!("{}", houses[0].done(&["late", "0"]));
    }
    seconds.pop();
    seconds.sort_by(f64::total_cmp);
    let (middle, last) = (seconds[seconds.len() / 2], seconds[(seconds.len() * 95).div_ceil(100) - 1]);
    let figure = |name: &str, kind: &str| {
        houses[0].figure(&format!("consilium_round_phase_seconds_{name}{{phase=\"{kind}\"")).unwrap_or(0.0)
    };
    for kind in ["finality", "fetching", "collecting", "merging"] {
        println!("  {kind}: {:.3} s in the mean at {}", figure("sum", kind) / figure("count", kind), houses[0].name);
    }
    println!(
        "{}: round trip {} ms, loss {} %, seed {}: {} rounds, median {middle:.2} s, 95th percentile {last:.2} s",
        hosts.by(),
        line.round_trip.as_millis(),
        line.loss * 100.0,
        line.seed,
        seconds.len()
    );
    seconds
}

#[test]
fn a_study_over_far_lines_has_every_site_in_every_round() {
    let seconds = rounds_over(Line { round_trip: Duration::from_millis(50), loss: 0.0, seed: 1 }, 8);
    // tests run beside each other, on whatever machine: the bar stands with the long form
    assert!(seconds[seconds.len() / 2] <= 3.0, "{seconds:?}");
}

/// Thirty rounds over a line that loses one packet in a thousand, and the longest median that passes, in seconds.
fn bar(milliseconds: u64, most: f64) {
    let line = Line { round_trip: Duration::from_millis(milliseconds), loss: 0.001, seed: 1 };
    let seconds = rounds_over(line, 30);
    let middle = seconds[seconds.len() / 2];
    assert!(middle <= most, "{middle} s a round in the median, at most {most}: {seconds:?}");
}

#[test]
#[ignore = "a bar of speed: bench/wan.sh"]
fn thirty_rounds_over_50_ms() {
    bar(50, 1.1);
}

#[test]
#[ignore = "a bar of speed: bench/wan.sh"]
fn thirty_rounds_over_100_ms() {
    bar(100, 1.6);
}

#[test]
#[ignore = "for comparison: bench/wan.sh"]
fn thirty_rounds_over_200_ms() {
    // no bar was set for it; a round must end before its windows do
    bar(200, 10.0);
}
