//! What slow links, many liars and heavy sites must not be able to do.

use super::*;
use crate::rules::MAX_WEIGHT;

/// All are honest; each lacks one input, another one than the others lack, until three fetch windows have passed where
/// the agreement expects one. The windows of three attempts are one, two and four attestation limits: fourteen fetch
/// windows.
#[test]
fn a_merge_whose_inputs_come_slowly_is_given_its_windows() {
    let mut shell = Shell::merging(plain(), 4);
    let (began, fetch) = (shell.world.now, shell.windows().fetch);
    while matches!(shell.study.phase, Phase::Merging(_)) {
        for member in 0..4 {
            let Some(open) = shell.study.open_duty(&shell.world, &id(member + 1)) else { continue };
            if !matches!(shell.study.phase, Phase::Merging(_)) {
                break;
            }
            if shell.world.now > began + 3 * fetch {
                shell.root(member, "merge").expect("asked for");
            } else if open.partial {
                shell.partial(member, 0b1111 & !bit((member + 1) % 4), 0).expect("asked for");
            }
        }
        shell.pass(1);
    }
    assert_eq!(shell.study.round, 2, "paused after {} blocks, with a fetch window of {fetch}", shell.world.now - began);
}

/// All are honest and fetch in the order of the list, over links that are slower than the agreement says: when the fetch
/// window ends all have the first six of ten, and the last four are dropped and struck.
#[test]
fn sites_at_the_end_of_the_list_are_not_dropped_where_all_links_are_slow() {
    let mut shell = Shell::merging(plain(), 10);
    shell.fetched();
    for member in 0..10 {
        shell.partial(member, 0b0000111111 | bit(member), 0).expect("asked for");
    }
    assert!(shell.dropped().is_empty(), "{:?}", shell.dropped());
}

/// Liars 9 to 12 of thirteen commit junk, and serve it one after the other, so that each attempt drops one of them.
/// After a pause all of them are asked again, and do the same; a second strike in one round counts for nothing.
#[test]
fn those_whose_inputs_were_dropped_do_not_stop_the_round_again_and_again() {
    let mut shell = Shell::merging(plain(), 13);
    for _ in 0..10 {
        while let Phase::Merging(m) = &shell.study.phase {
            let attempt = m.attempt;
            let last = m.inputs.len() as u8 - 1;
            let junk = m.inputs[usize::from(last)].commitment.member >= 9;
            let all = (1u64 << m.inputs.len()) - 1;
            shell.fetched();
            for member in 0..9 {
                if !matches!(&shell.study.phase, Phase::Merging(m) if m.attempt == attempt) {
                    break;
                }
                if junk {
                    shell.partial(member, all & !bit(last), bit(last)).expect("asked for");
                } else {
                    shell.root(member, "merge").expect("asked for");
                }
            }
        }
        if shell.study.round == 2 {
            return;
        }
        shell.paused();
        shell.step(Event::Resume { who: id(1) }).expect("the proposer");
        for liar in 9..13 {
            if matches!(shell.study.phase, Phase::Collecting(_)) && shell.asks(liar).is_some() {
                shell.commit(liar).expect("it may say so");
            }
        }
    }
    panic!("ten times resumed, and still in round {}", shell.study.round);
}

/// Losses of rounds 1 to 3, one row per round, one column per voter.
fn chosen(voters: &[(InstitutionId, u32)], losses: &[Vec<Option<u32>>]) -> Option<u32> {
    best_of(losses.len() as u32, voters, |round| {
        let row = losses[round as usize - 1].iter().zip(voters);
        row.filter_map(|(loss, (who, _))| loss.map(|loss| (*who, loss))).collect()
    })
}

/// The voters of a study with these sample counts, as the last evaluation weighs them.
fn voters(samples: &[u32]) -> Vec<(InstitutionId, u32)> {
    let shell = Shell::training(plain(), samples);
    let members: Vec<u8> = (0..samples.len() as u8).collect();
    members.iter().map(|m| id(m + 1)).zip(voting_weights(&shell.study.weights(&members))).collect()
}

/// All honest sites gain 400 by round 2 and at most 1 by round 1; those that declared many samples want round 1.
fn round_of_the_liars(samples: &[u32], liars: usize) -> Option<u32> {
    let voters = voters(samples);
    let row = |honest: u32, lie: u32| {
        let mut row = vec![Some(lie); liars];
        row.resize(samples.len(), Some(honest));
        row
    };
    let mut losses = vec![row(500, 0), row(100, u32::MAX), row(500, 500)];
    losses[0][liars] = Some(499);
    chosen(&voters, &losses)
}

#[test]
fn one_liar_of_four_that_declares_many_samples_does_not_choose_the_certificate() {
    assert_eq!(round_of_the_liars(&[MAX_WEIGHT - 1, 10, 10, 10], 1), Some(2));
}

#[test]
fn two_liars_of_seven_that_declare_many_samples_do_not_choose_the_certificate() {
    assert_eq!(round_of_the_liars(&[MAX_WEIGHT - 1, MAX_WEIGHT - 1, 10, 10, 10, 10, 10], 2), Some(2));
}

#[test]
fn a_liar_does_not_choose_the_certificate_where_an_honest_site_reports_nothing() {
    // 40, 20, 20 and 20 % of the weight; the last one has too few rows to report
    let voters = [(id(1), 40), (id(2), 20), (id(3), 20), (id(4), 20)];
    let losses = [
        vec![Some(0), Some(499), Some(500), None],
        vec![Some(u32::MAX), Some(100), Some(100), None],
        vec![Some(500), Some(500), Some(500), None],
    ];
    assert_eq!(chosen(&voters, &losses), Some(2));
}

#[test]
fn a_site_that_reports_nothing_does_not_keep_the_others_from_choosing() {
    let voters = voters(&[MAX_WEIGHT - 1, 10, 10, 10]);
    let losses = [vec![None, Some(100), Some(100), Some(100)], vec![None, Some(500), Some(500), Some(500)]];
    assert_eq!(chosen(&voters, &losses), Some(1));
}
