//! Machines that lose their power and come back: one, two at once, all.

use super::{super::house::Clock, all_up, begin, four, over, study_file, undisturbed, until_round};
use consilium_e2e::hosts::Hosts;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a machine stays off, and how many rounds a study has.
const OFF: Duration = Duration::from_secs(3);

#[test]
fn one_machine_two_and_all_four_lose_their_power_in_mid_round_and_no_round_is_another() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    all_up(&houses);
    clock.step("four run");
    for (number, count) in ["0", "1", "2"].into_iter().zip([1, 2, 4]) {
        let rounds = 5 + count;
        begin(&houses, &tables, &study_file(at, rounds, 1), number);
        until_round(&houses[0], number, 2);
        // the last of them, so that the first is among them only where all are
        let lost = &houses[4 - count as usize..];
        // a machine that is off for a while, and one that is back before the others miss it
        lost.iter().for_each(|house| house.lose());
        sleep(OFF);
        lost.iter().for_each(|house| house.up());
        let began = Instant::now();
        let closed = over(&houses, number, rounds.into());
        undisturbed(&houses, &tables, at, number, &closed);
        clock.step(&format!(
            "{count} of four were off for {OFF:?}; {:.1} s later it was over",
            began.elapsed().as_secs_f64()
        ));
    }
}
