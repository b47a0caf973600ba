//! That nothing opens twice: random schedules of forks, pauses, restarts and losses, with sites that work together and give away all
//! that they hold, while an adversary chooses what each of the others sees.

use super::{model::Game, *};

/// How many schedules are played.
const SCHEDULES: u64 = 10_000;
/// How many things happen in each.
const STEPS: u32 = 90;

/// What was seen in all of them, so that a test in which nothing happens fails.
#[derive(Debug, Default)]
struct Tally {
    sums: usize,
    refused: u32,
    sums_without: usize,
}

fn play(schedule: u64, finality: bool, tally: &mut Tally) {
    let members = 3 + (schedule % 5) as u8;
    let t = masks::threshold(members.into());
    // as many as claimed: with one final view one fewer than open a secret, if two others are there; else as many as a merge survives
    let most =
        if finality { (t - 1).min(u32::from(members) - 2) } else { crate::rules::liars_survived(members.into()) };
    let bad = (schedule / 5) as u32 % (most + 1);
    let least = (bad + 2).clamp(3, members.into());
    let mut game = Game::new(members, (1 << bad) - 1, least, finality, schedule);
    // some train the same again on the same model, in each mixture with those that work together
    game.again = (schedule / 11) as Mask & ((1 << members) - 1);
    for _ in 0..STEPS {
        let chain = game.below(game.chains.len());
        match game.below(40) {
            0 => game.tick(chain, false),
            1 | 2 => game.tick(chain, true),
            3 => game.fork(chain),
            4 | 5 => game.resume(chain),
            6 if game.below(4) == 0 => {
                let member = game.below(members.into()) as u8;
                game.restore(member);
            }
            7..=9 => game.finalise(chain),
            _ => {
                let member = game.below(members.into()) as u8;
                game.act(chain, member);
            }
        }
    }
    let seen = game.seen();
    assert!(seen.is_empty(), "schedule {schedule}, {members} sites, {bad} of them together: {seen:?}");
    let sums = game.sums();
    assert!(sums.iter().all(|(set, _)| set.count_ones() >= 3), "a sum over two, in schedule {schedule}");
    if finality {
        assert_eq!(game.broken, 0, "shares for a second sum of the same numbers, in schedule {schedule}");
        let twice = game.twice();
        assert!(twice.is_empty(), "updates in sums of different sites, in schedule {schedule}: {twice:?}");
    }
    tally.sums += sums.len();
    tally.refused += game.refused;
    tally.sums_without += sums.iter().filter(|(set, _)| set.count_ones() < u32::from(members)).count();
}

#[test]
fn nothing_opens_twice_and_no_update_is_in_two_sums_with_one_final_view() {
    let mut tally = Tally::default();
    (0..SCHEDULES / 2).for_each(|schedule| play(schedule, true, &mut tally));
    assert!(tally.sums > 50 && tally.sums_without > 0 && tally.refused > 50, "it happens at all: {tally:?}");
}

#[test]
fn nothing_opens_twice_where_finality_is_broken() {
    let mut tally = Tally::default();
    (0..SCHEDULES / 2).for_each(|schedule| play(schedule, false, &mut tally));
    assert!(tally.sums > 50 && tally.sums_without > 0 && tally.refused > 50, "it happens at all: {tally:?}");
}

#[test]
fn who_is_not_in_the_set_never_opens_its_seed() {
    let mut shell = Shell::masking(masked(), 5);
    shell.pair_up(&[0, 1, 2, 3, 4]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    assert_eq!(shell.asks(4), None, "it is not asked");
    // of it the others give the pair secret; a share of its seed is refused
    let (root, dealer) = (shell.pair().keys_root, id(5));
    let place = shell.pair().deals.iter().position(|(member, _)| *member == 4).expect("it has dealt");
    let mut bytes = shell.shares_of(0, 0);
    let at = 8 + 32 * place;
    assert_eq!(bytes[at..at + 32], *share(&root, &dealer, &id(1), 1).as_bytes());
    bytes[at..at + 32].copy_from_slice(share(&root, &dealer, &id(1), 0).as_bytes());
    assert_eq!(shell.post(0, bytes), Err(Refusal::WrongShare));
    // and a vote of its own, on the duty that the others have, is for nothing
    let mut vote = shell.answer(0, VoteBody::Posted { hash: hash("x"), len: 8 }).expect("asked for");
    vote.institution = dealer;
    assert_eq!(shell.step(Event::Post { vote, bytes: vec![0; 8] }), Err(Refusal::NoSuchDuty));
}

#[test]
fn a_sum_over_two_is_never_opened() {
    // three of four there, one is dropped in gathering: two are left, and are not a set
    let mut shell = Shell::masking(masked(), 4);
    shell.pair_up(&[0, 1, 2, 3]);
    (0..3).for_each(|member| drop(shell.mask(member).expect("asked for")));
    shell.deadline();
    let Phase::Gathering(m) = &shell.study.phase else { panic!("not gathering") };
    assert_eq!((m.inputs.len(), m.needs), (3, 3));
    let fetched = m.began + shell.windows().fetch;
    shell.until(fetched);
    (0..2).for_each(|member| drop(shell.partial(member, 0b011, 0).expect("may be told")));
    while matches!(shell.study.phase, Phase::Gathering(_)) {
        shell.deadline();
    }
    assert!(matches!(shell.study.phase, Phase::Paused(_)));
    assert!(shell.study.masking.pair.is_none(), "nothing was opened, and nothing will be");
}
