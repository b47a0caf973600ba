//! The dearest states that were found, for benchmarks.

use super::*;
use crate::Losses;
use consilium_primitives::{round::PerMember, Privacy};

/// A study in which everybody has enrolled.
pub(super) fn full<T: Config>(all: &[(AccountId32, AuthorityId)], rules: StudyRules) -> StudyId {
    let study = registered::<T>(&all[0].0, rules);
    for (who, _) in all {
        enrol::<T>(study, who);
    }
    study
}

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

/// A vote on a merge, with the update of the round that follows.
pub(super) fn ahead<T: Config>(study: StudyId, who: &AccountId32) -> Vote {
    let root = hash(1_000);
    let vote = ballot::<T>(study, who, VoteBody::Root(root));
    let id = institution(who);
    let asked = Pallet::<T>::asked(&id).into_iter().find(|asked| asked.order.duty.study == study && !is_work(asked));
    let duty = asked.expect("the benchmark has brought the study to this duty").order.duty;
    let duty = Duty { kind: DutyKind::Train, round: duty.round.saturating_add(1), base: root, ..duty };
    let next = Next::Update { duty: duty.hash(), root: hash(3_000), len: LEN, metric: Some(1) };
    Vote { body: VoteBody::Ahead { root, marks: Marks::default(), next }, ..vote }
}

/// Rules of a study that promises privacy.
pub(super) fn private() -> StudyRules {
    let privacy = Privacy {
        unit: PrivacyUnit::Record,
        rate_ppm: PPM,
        steps: 1,
        clip_micro: 1,
        sigma_1024: 1,
        delta_exp: 5,
        shared: false,
        colluders: 0,
        spend: [1; 16],
    };
    StudyRules { privacy: Some(privacy), ..rules() }
}

/// Declares a budget of a participant, and enrols it with that.
pub(super) fn enrolled_private<T: Config>(study: StudyId, who: &AccountId32) {
    let signed = RawOrigin::Signed(who.clone());
    assert_ok!(Pallet::<T>::declare_budget(signed.clone().into(), hash(1), 4_000_000, 5, PrivacyUnit::Record));
    assert_ok!(Pallet::<T>::enrol_private(signed.into(), study, agreement::<T>(study), 1_000, hash(1)));
}
