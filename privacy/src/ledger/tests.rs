use super::*;
use crate::{spend, Mechanism};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

fn ask(duty: u8, seed: u8, spend: Spend) -> Ask {
    Ask {
        time: 1_700_000_000 + u64::from(duty),
        agreement: [9; 32],
        study: 3,
        round: u32::from(duty),
        duty: [duty; 32],
        unit: Unit::Patient,
        delta_exp: 5,
        spend,
        seed: seed_hash(&[seed; 32]),
    }
}

/// A round of the demo: a quarter of the rows, eight steps, σ 3.
fn round() -> Spend {
    *ROUND
}

static ROUND: LazyLock<Spend> = LazyLock::new(|| spend(&Mechanism { rate_ppm: 250_000, sigma_1024: 3_072 }, 8));

#[test]
fn the_same_seed_costs_nothing_again_and_another_one_does() {
    let mut ledger = Ledger::default();
    let mut text = String::new();
    text.push_str(&ledger.reserve(&ask(1, 1, round()), 8_000_000).unwrap().unwrap());
    let once = ledger.epsilon_micro();
    assert_eq!(ledger.reserve(&ask(1, 1, round()), 8_000_000), Ok(None));
    assert_eq!((ledger.epsilon_micro(), ledger.entries().len()), (once, 1));
    text.push_str(&ledger.reserve(&ask(1, 2, round()), 8_000_000).unwrap().unwrap());
    assert!(ledger.epsilon_micro() > once);
    assert_eq!((ledger.studies(), ledger.rounds(), ledger.entries().len()), (1, 1, 2));
    // what was written is what is read
    let (again, whole) = Ledger::read(text.as_bytes()).unwrap();
    assert_eq!((again, whole), (ledger, text.len()));
}

#[test]
fn a_round_beyond_the_limit_is_refused_in_words_and_leaves_no_line() {
    let mut ledger = Ledger::default();
    let mut rounds = 0;
    let refused = loop {
        match ledger.reserve(&ask(rounds + 1, 1, round()), 2_000_000) {
            Ok(Some(_)) => rounds += 1,
            Ok(None) => panic!("no round is asked for twice"),
            Err(refused) => break refused,
        }
    };
    assert!(rounds >= 2, "{rounds}");
    assert!(ledger.epsilon_micro() <= 2_000_000);
    assert_eq!(ledger.entries().len(), usize::from(rounds));
    let said = refused.to_string();
    assert!(said.contains("of ε 2 are spent") && said.contains("sites.toml"), "{said}");
    // a higher limit lets it through
    assert!(ledger.reserve(&ask(rounds + 1, 1, round()), 3_000_000).unwrap().is_some());
}

#[test]
fn records_and_patients_are_not_counted_together() {
    let mut ledger = Ledger::default();
    ledger.reserve(&ask(1, 1, round()), 8_000_000).unwrap();
    let record = Ask { unit: Unit::Record, ..ask(2, 1, round()) };
    let refused = ledger.reserve(&record, 8_000_000).unwrap_err();
    assert_eq!(refused, Refused::OtherUnit { ledger: Unit::Patient, study: Unit::Record });
    assert!(refused.to_string().contains("per patient"), "{refused}");
}

#[test]
fn the_smallest_delta_of_all_studies_counts() {
    let mut ledger = Ledger::default();
    ledger.reserve(&ask(1, 1, round()), 8_000_000).unwrap();
    let before = ledger.epsilon_micro();
    ledger.reserve(&Ask { delta_exp: 7, spend: [0; 16], ..ask(2, 1, round()) }, 8_000_000).unwrap();
    assert!(ledger.epsilon_micro() > before, "the same sum at a smaller δ is a larger ε");
}

#[test]
fn a_changed_or_missing_line_is_found_and_a_torn_one_makes_room() {
    let mut ledger = Ledger::default();
    let lines: Vec<String> =
        (1..=4).map(|n| ledger.reserve(&ask(n, 1, round()), 8_000_000).unwrap().unwrap()).collect();
    let text = lines.concat();
    let without = [&lines[0], &lines[2], &lines[3]].map(String::as_str).concat();
    assert_eq!(Ledger::read(without.as_bytes()).unwrap_err().line, 2);
    let cheaper = text.replacen("\"round\":2", "\"round\":7", 1);
    assert_eq!(Ledger::read(cheaper.as_bytes()).unwrap_err().line, 3, "the line behind the changed one");
    let torn = &text.as_bytes()[..text.len() - 20];
    let (short, whole) = Ledger::read(torn).unwrap();
    assert_eq!(short.entries().len(), 3);
    assert_eq!(whole, lines[..3].concat().len());
    assert_eq!(Ledger::read(b"").unwrap(), (Ledger::default(), 0));
    assert!(Ledger::read(b"{}\n").unwrap_err().to_string().contains("line 1 cannot be read"));
}

#[test]
fn names_of_data_sets_are_names_of_files() {
    assert_eq!(dataset_name("oncology-2026"), Ok(()));
    for wrong in ["", "../x", "a b", "a.b", "x".repeat(65).as_str()] {
        assert!(dataset_name(wrong).is_err(), "{wrong}");
    }
}

/// Numbers by a linear congruence, good enough to shuffle events.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Studies, rounds, refusals, re-orgs, restarts: what the site has reserved is at no moment less than what left it, nor than what the
/// chain has charged it, and neither is ever above its limit.
#[test]
fn a_thousand_random_sequences_never_spend_what_is_not_in_the_ledger() {
    let costs: Vec<Spend> = [(250_000, 3_072, 8), (1_000_000, 10_240, 1), (100_000, 1_536, 12), (20_000, 4_096, 500)]
        .map(|(rate_ppm, sigma_1024, steps)| spend(&Mechanism { rate_ppm, sigma_1024 }, steps))
        .to_vec();
    let (mut refusals, mut twice) = (0, 0);
    for sequence in 0..1_000u64 {
        let mut draws = Draws(sequence);
        let limit = 500_000 + draws.below(6_000_000) as u32;
        let chain_limit = 500_000 + draws.below(6_000_000) as u32;
        let (mut file, mut seeds, mut left) = (String::new(), BTreeMap::new(), BTreeSet::new());
        let (mut charged, mut chain) = (BTreeSet::new(), [0u64; 16]);
        let mut before = Vec::new();
        for _ in 0..16 {
            // the worker starts anew from what is on the disk, sometimes with a line cut off that was never synced
            let torn = if draws.below(4) == 0 { "{\"time\":17" } else { "" };
            let (mut ledger, whole) = Ledger::read(format!("{file}{torn}").as_bytes()).unwrap();
            assert_eq!(whole, file.len());
            let (study, round) = (draws.below(4), draws.below(4));
            let duty = (study * 8 + round) as u8;
            // a seed can be lost with its disk, never with a result that was kept
            if draws.below(10) == 0 {
                seeds.remove(&duty);
            }
            let seed = *seeds.entry(duty).or_insert_with(|| draws.below(250) as u8);
            let cost = costs[study as usize];
            match ledger.reserve(&ask(duty, seed, cost), limit) {
                Ok(line) => file.push_str(&line.unwrap_or_default()),
                Err(_) => {
                    refusals += 1;
                    continue;
                }
            }
            if draws.below(5) == 0 {
                continue; // killed before it voted: the reservation stands
            }
            if !left.insert((duty, seed)) {
                twice += 1;
            }
            // the chain takes one update of a duty, within its own limit
            let with = sum(&chain, &cost);
            if !charged.contains(&duty) && epsilon_micro(&with, 5) <= u64::from(chain_limit) {
                before.push((charged.clone(), chain));
                charged.insert(duty);
                chain = with;
            }
            // a re-org takes the last one back; its duty is asked for again, now or never
            if draws.below(8) == 0 {
                if let Some(back) = before.pop() {
                    (charged, chain) = back;
                }
            }
            let (ledger, _) = Ledger::read(file.as_bytes()).unwrap();
            let out = left.iter().fold([0; 16], |all, (duty, _)| sum(&all, &costs[usize::from(*duty) / 8]));
            for place in 0..16 {
                assert!(ledger.spent()[place] >= out[place] && ledger.spent()[place] >= chain[place]);
            }
            assert!(ledger.epsilon_micro() <= u64::from(limit));
            assert!(epsilon_micro(&chain, 5) <= u64::from(chain_limit));
        }
    }
    assert!(refusals > 1_000 && twice > 1_000, "{refusals} {twice}");
}

#[test]
fn a_cost_beyond_all_numbers_is_refused_by_the_largest_limit_and_leaves_no_line() {
    let mut ledger = Ledger::default();
    for spend in [[u64::MAX; 16], [u64::from(u32::MAX) * 1_000; 16]] {
        let refused = ledger.reserve(&ask(1, 1, spend), u32::MAX).unwrap_err();
        assert!(matches!(refused, Refused::Over { spent_micro: 0, limit_micro: u32::MAX, .. }), "{refused:?}");
        assert!(ledger.entries().is_empty());
    }
    // one that just fits leaves no room for the least of others
    let order_2 = u64::from(u32::MAX) * 1_000 - u64::try_from(crate::constants(5)[0]).unwrap();
    let mut most = [u64::MAX; 16];
    most[0] = order_2;
    ledger.reserve(&ask(1, 1, most), u32::MAX).unwrap().unwrap();
    assert_eq!(ledger.epsilon_micro(), u64::from(u32::MAX));
    assert!(ledger.reserve(&ask(2, 1, [1; 16]), u32::MAX).is_err());
    assert_eq!(ledger.entries().len(), 1);
}
