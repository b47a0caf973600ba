//! What tells that what is said of blobs has changed: never silent where it has.

use crate::{mock::*, *};
use consilium_primitives::{rules::UPDATES_AFTER_END, *};
use std::collections::BTreeSet;

/// What is said of blobs, and what tells that it has changed.
type Said = (Vec<StudyBlobs>, (Vec<(StudyId, u64)>, usize));

/// That, now: with how many institutions were shut out, which the runtime tells
/// beside it.
fn said(shut_out: usize) -> Said {
    (Swarm::blobs(), (Swarm::changes(), shut_out))
}

/// Numbers that follow from a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, cases: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % cases
    }

    fn site(&mut self) -> u8 {
        self.below(4) as u8
    }
}

/// An answer to a duty: mostly the one that all give.
fn body(duty: &Duty, draws: &mut Draws) -> VoteBody {
    let odd = draws.below(12) == 0;
    let made = hash(if odd { 200 + draws.below(4) as u8 } else { 100 + duty.round as u8 });
    match duty.kind {
        _ if draws.below(30) == 0 => VoteBody::Failure(FailureCode::Internal),
        DutyKind::Statistics => VoteBody::Update { root: hash(draws.below(250) as u8), len: 300, metric: None },
        DutyKind::Train => update(draws.below(250) as u8, Some(draws.below(90) as u32 + 1)),
        DutyKind::Init | DutyKind::Merge | DutyKind::MergeStatistics => VoteBody::Root(made),
        DutyKind::Evaluate => VoteBody::Metric(Some(50)),
        DutyKind::Acknowledge => VoteBody::Held(duty.base),
        DutyKind::Present => VoteBody::Present { held: draws.below(8) as u16 },
        // of masked sums alone, and none of these studies masks
        DutyKind::Keys | DutyKind::Deal | DutyKind::Mask | DutyKind::Gather | DutyKind::Reveal => VoteBody::Root(made),
    }
}

/// Something that happens; whether anything did.
fn happens(draws: &mut Draws, out: &mut usize) -> bool {
    let n = draws.site();
    let next = NextStudy::<Test>::get();
    let study = draws.below(u64::from(next.max(1))) as StudyId;
    match draws.below(40) {
        0..=1 => {
            let statistics_len = if draws.below(2) == 0 { 0 } else { 300 };
            register(n, StudyRules { max_rounds: 3, statistics_len, keep_updates: draws.below(3) as u32, ..rules() })
                .is_ok()
        }
        2..=5 => enrol(n, study, 100 + u32::from(n)).is_ok(),
        6 => Swarm::withdraw(signed(n), study).is_ok(),
        7..=8 => Swarm::start(signed(n), study).is_ok(),
        9 => Swarm::resume(signed(n), study).is_ok(),
        10 if draws.below(4) == 0 => Swarm::abort(signed(n), study).is_ok(),
        11 if draws.below(8) == 0 && *out < 2 => {
            shut_out(account(n));
            *out += 1;
            true
        }
        10..=16 => {
            to_block(System::block_number() + 1 + draws.below(8) as u32);
            true
        }
        _ => {
            let asked = Swarm::asked(&id(n));
            if asked.is_empty() {
                return false;
            }
            let duty = asked[draws.below(asked.len() as u64) as usize].order.duty;
            send(n, ballot(n, duty.study, body(&duty, draws))).is_ok()
        }
    }
}

#[test]
fn what_is_said_of_blobs_never_changes_without_a_word() {
    let mut kinds = BTreeSet::new();
    let (mut silent, mut moved) = (0, 0);
    for seed in 0..60 {
        run(|| {
            let mut draws = Draws(seed);
            let mut out = 0;
            let mut before = said(out);
            for _ in 0..400 {
                if !happens(&mut draws, &mut out) {
                    continue;
                }
                let now = said(out);
                compare(&before, &now);
                moved += usize::from(now.0 != before.0);
                silent += usize::from(now.0 == before.0 && now.1 == before.1);
                for (was, is) in before.0.iter().zip(&now.0).filter(|(was, is)| was.study == is.study) {
                    kinds.extend((was.members != is.members).then_some("members"));
                    kinds.extend((was.merged != is.merged).then_some("merged"));
                    kinds.extend((was.rounds.len() < is.rounds.len()).then_some("freeze"));
                    kinds.extend((was.ended != is.ended).then_some("end"));
                }
                before = now;
            }
            // time alone
            let ends: Vec<u32> = before.0.iter().filter_map(|blobs| blobs.ended).collect();
            for end in ends {
                let over = end + UPDATES_AFTER_END;
                for block in [over - 1, over] {
                    if block > System::block_number() {
                        to_block(block);
                        let now = said(out);
                        compare(&before, &now);
                        let fewer = |(was, is): (&StudyBlobs, &StudyBlobs)| {
                            was.study == is.study && was.rounds.len() > is.rounds.len()
                        };
                        kinds.extend(before.0.iter().zip(&now.0).any(fewer).then_some("over"));
                        before = now;
                    }
                }
            }
        });
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["end", "freeze", "members", "merged", "over"]);
    // and it speaks only where something may have
    assert!(moved > 500 && silent > 500, "{moved} {silent}");
}

fn compare(before: &Said, now: &Said) {
    let ((was, told_then), (is, told_now)) = (before, now);
    assert!(was == is || told_then != told_now, "{was:#?} became {is:#?} at {told_now:?}");
    // in the same order
    assert_eq!(is.iter().map(|it| it.study).collect::<Vec<_>>(), told_now.0.iter().map(|it| it.0).collect::<Vec<_>>());
    // each study by itself
    for (blobs, told) in is.iter().zip(&told_now.0) {
        let before = was.iter().find(|it| it.study == blobs.study);
        let alike = told_then.0.contains(told) && told_then.1 == told_now.1;
        assert!(!alike || before == Some(blobs), "{before:#?} became {blobs:#?} at {told:?}");
    }
}
