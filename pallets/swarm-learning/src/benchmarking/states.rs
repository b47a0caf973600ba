//! The dearest states that were found, for benchmarks.

use super::*;
use crate::Losses;
use consilium_primitives::round::PerMember;

/// A study whose first merge is open, with all inputs.
pub(super) fn merging<T: Config>(all: &[(AccountId32, AuthorityId)], rules: StudyRules) -> StudyId {
    let study = full::<T>(all, rules);
    assert_ok!(Pallet::<T>::start(RawOrigin::Signed(all[0].0.clone()).into(), study));
    for (who, _) in all {
        if matches!(phase::<T>(study), Phase::Init { .. }) {
            answer::<T>(study, who, VoteBody::Root(hash(0)));
        }
    }
    for ((who, _), n) in all.iter().zip(1..) {
        answer::<T>(study, who, VoteBody::Update { root: hash(n), len: LEN, metric: None });
    }
    assert!(matches!(phase::<T>(study), Phase::Merging(_)));
    study
}

/// A merge on which all but the last have voted: so many for one root, everybody else each for one of their own. With
/// half of all, the last one decides; with one more, the deadline.
pub(super) fn disputed<T: Config>(all: &[(AccountId32, AuthorityId)], rules: StudyRules, agreed: usize) -> StudyId {
    let study = merging::<T>(all, rules);
    let last = all.len().saturating_sub(1);
    for ((who, _), n) in all.iter().take(last).zip(0u32..) {
        let root = if (n as usize) < agreed { hash(1_000) } else { hash(n.saturating_add(2_000)) };
        answer::<T>(study, who, VoteBody::Root(root));
    }
    study
}

/// Lets a study whose merge is open be in its third and last round, of which everybody has reported every loss: what closes
/// it also compares the second round with the first.
pub(super) fn judged<T: Config>(study: StudyId, all: &[(AccountId32, AuthorityId)]) {
    // the rounds themselves would take too long; what is read of them are their losses
    Studies::<T>::mutate(study, |info| {
        if let Some(info) = info {
            (info.state.round, info.state.rules.max_rounds, info.state.best) = (3, 3, Some(1));
            info.state.rules.target = Some(0);
            info.state.base_round = 2;
        }
    });
    for round in 1..3u32 {
        let mut losses = PerMember::new();
        for ((who, _), n) in all.iter().zip(1u32..) {
            let loss = round.wrapping_mul(2_654_435_761).wrapping_add(n.wrapping_mul(40_503)) % 1_000_000;
            let stored = losses.try_push((institution(who), loss));
            assert!(stored.is_ok());
        }
        Losses::<T>::insert(study, round, losses);
    }
}

/// A study that has paused because nobody agreed on a merge: with all commitments, which freeze at once when it goes on.
pub(super) fn paused<T: Config>(all: &[(AccountId32, AuthorityId)]) -> StudyId {
    let study = merging::<T>(all, rules());
    while matches!(phase::<T>(study), Phase::Merging(_)) {
        for ((who, _), n) in all.iter().zip(0u32..) {
            answer::<T>(study, who, VoteBody::Root(hash(n)));
        }
    }
    assert!(matches!(phase::<T>(study), Phase::Paused(_)));
    study
}
