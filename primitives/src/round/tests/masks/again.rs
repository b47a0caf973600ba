//! That no update is in sums of different sites where sites train the same again on the same model: after rounds of which nothing came,
//! and after a return to an earlier model. In a second study of the same specification nobody looks for it.

use super::{model::Game, site::Rule, *};

/// How many schedules are played.
const SCHEDULES: u64 = 1_500;
/// And how many where sites do not keep their rule, and it shows.
const FEWER: u64 = 400;
/// How many things happen in each of the two studies of one: enough for some rounds.
const STEPS: u32 = 80;

/// What was seen in all of them.
#[derive(Debug, Default)]
struct Tally {
    sums: usize,
    voids: u32,
    fell_back: u32,
    refused: u32,
    /// Shares for a second sum of the same numbers.
    broken: u32,
    /// The same numbers in sums of different sites of one study,
    twice: usize,
    /// and of both.
    across: usize,
}

/// All do what they are asked for, one after the other, but for some that are away.
fn sweep(game: &mut Game, chain: usize, members: u8) {
    let first = game.below(members.into()) as u8;
    for step in 0..members {
        if game.below(8) > 0 {
            game.act(chain, (first + step) % members);
        }
    }
}

fn play(schedule: u64, rule: Rule, tally: &mut Tally) {
    let members = 4 + (schedule % 4) as u8;
    let bad = 1 + (schedule / 4) as u32 % 2;
    let mut game = Game::new(members, (1 << bad) - 1, bad + 2, true, schedule);
    (game.rule, game.mishaps) = (rule, true);
    // in every other schedule some of them draw the order of their rows anew in each round
    let all = (1 << members) - 1;
    game.again = if schedule.is_multiple_of(2) { all } else { game.below(1 << members) as Mask };
    for step in 0..2 * STEPS {
        if step == STEPS {
            game.second_study();
        }
        let chain = game.below(game.chains.len());
        match game.below(16) {
            0 => game.tick(chain, false),
            1 | 2 => game.tick(chain, true),
            3 if game.below(4) == 0 => game.fork(chain),
            4 => game.resume(chain),
            5..=7 => game.finalise(chain),
            _ => sweep(&mut game, chain, members),
        }
    }
    let (seen, twice) = (game.seen(), game.twice());
    assert!(seen.is_empty(), "schedule {schedule}, {members} sites, {bad} of them together: {seen:?}");
    if rule == Rule::Whole {
        assert!(twice.is_empty() && game.broken == 0, "schedule {schedule}, {members} sites: {twice:?}");
    }
    let mut across: BTreeMap<(u8, Hash), BTreeSet<Mask>> = BTreeMap::new();
    for (set, updates) in game.sums() {
        tally.sums += 1;
        for (site, update) in updates {
            if let Some(base) = update.source.again {
                across.entry((site, base)).or_default().insert(set);
            }
        }
    }
    tally.voids += game.voids;
    tally.fell_back += game.fell_back;
    tally.refused += game.refused;
    tally.broken += game.broken;
    tally.twice += twice.len();
    tally.across += across.values().filter(|sets| sets.len() > 1).count();
}

fn all(rule: Rule, schedules: u64) -> Tally {
    let mut tally = Tally::default();
    (0..schedules).for_each(|schedule| play(schedule, rule, &mut tally));
    tally
}

#[test]
fn no_site_gives_shares_for_two_sums_of_the_same_numbers_and_where_all_train_so_none_are_in_two() {
    let tally = all(Rule::Whole, SCHEDULES);
    assert!(tally.sums > 50 && tally.voids > 50 && tally.fell_back > 0, "it happens at all: {tally:?}");
    assert!(tally.broken == 0 && tally.twice == 0 && tally.refused > 50, "{tally:?}");
    assert!(tally.across > 0, "docs/masks.md says that across studies nobody looks: {tally:?}");
}

#[test]
fn sites_that_look_at_no_other_sum_put_the_same_numbers_into_two() {
    let tally = all(Rule::OfOnePairing, FEWER);
    assert!(tally.broken > 0 && tally.twice > 0, "{tally:?}");
}

#[test]
fn sites_that_look_only_at_sums_that_they_have_seen_give_shares_for_a_second_one() {
    let tally = all(Rule::OfSumsSeen, FEWER);
    assert!(tally.broken > 0, "{tally:?}");
}
