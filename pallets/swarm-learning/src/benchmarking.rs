//! Benchmarks of every call, of the check of a vote, and of the deadlines, each with as many members as a study can
//! have and in the dearest state that was found: merges that close with half of the members in dissent, or with as many updates of the next round
//! as close one at once, a pause whose end freezes all commitments at once, shares of all partners' secrets.

pub(crate) mod masked;
mod states;

use crate::{
    pallet::{Budgets, Call, Config, Counts, Datasets, NextStudy, Pallet, Postings, Studies},
    sr25519::AuthorityId,
    types::{genesis, institution, Membership, Spec},
    MAX_RUNNING,
};
use alloc::{boxed::Box, vec, vec::Vec};
use consilium_primitives::{
    round::{Event, Phase},
    rules::{close_at_once, MAX_PARTICIPANTS, MAX_SPEC_LEN, PPM},
    Duty, DutyKind, Hash, Marks, Merge, MergeRule, Next, OnStall, PrivacyUnit, StudyId, StudyRules, Vote, VoteBody,
    Weighting,
};
use frame_benchmarking::v2::*;
use frame_support::{assert_ok, traits::Authorize, traits::Hooks};
use frame_system::RawOrigin;
use sp_application_crypto::RuntimeAppPublic;
use sp_core::crypto::AccountId32;
use sp_runtime::transaction_validity::TransactionSource;
use states::{ahead, disputed, enrolled_private, full, judged, merging, paused, private};

/// What a file's length is agreed to be.
const LEN: u64 = 1_000;

fn rules() -> StudyRules {
    StudyRules {
        training_blocks: 10,
        transfer_blocks: 2,
        enrolment_blocks: 50,
        auto_start: true,
        min_participants: 2,
        rule_min: 0,
        max_rounds: 1,
        max_share: PPM / 2,
        strict: false,
        on_stall: OnStall::Pause,
        keep_updates: 2,
        invited: Default::default(),
        merge: Merge::by(MergeRule::Mean(Weighting::Samples)),
        update_len: LEN,
        merged_len: LEN,
        statistics_len: 0,
        target: None,
        patience: 0,
        masked: None,
        privacy: None,
    }
}

fn spec(len: u32) -> Spec {
    Spec::truncate_from(vec![b's'; len as usize])
}

fn hash(n: u32) -> Hash {
    Hash::from(sp_io::hashing::blake2_256(&n.to_le_bytes()))
}

/// As many participants as a study can have, with keys.
fn participants<T: Config>() -> Vec<(AccountId32, AuthorityId)> {
    (0..MAX_PARTICIPANTS)
        .map(|n| {
            let who: AccountId32 = account("participant", n, 0);
            let key = AuthorityId::generate_pair(None);
            T::Membership::make_participant(&who, key.clone());
            (who, key)
        })
        .collect()
}

/// A registered study of the first participant.
fn registered<T: Config>(who: &AccountId32, rules: StudyRules) -> StudyId {
    let study = NextStudy::<T>::get();
    // each in an agreement of its own
    let spec = spec(study.saturating_add(100));
    assert_ok!(Pallet::<T>::register(RawOrigin::Signed(who.clone()).into(), Box::new(rules), spec));
    study
}

fn agreement<T: Config>(study: StudyId) -> Hash {
    Studies::<T>::get(study).map(|info| info.agreement).unwrap_or_default()
}

fn enrol<T: Config>(study: StudyId, who: &AccountId32) {
    assert_ok!(Pallet::<T>::enrol(RawOrigin::Signed(who.clone()).into(), study, agreement::<T>(study), 1_000));
}

/// What a participant answers to its open duty.
fn ballot<T: Config>(study: StudyId, who: &AccountId32, body: VoteBody) -> Vote {
    let id = institution(who);
    let asked = Pallet::<T>::asked(&id).into_iter().find(|asked| asked.order.duty.study == study && !is_work(asked));
    let asked = asked.expect("the benchmark has brought the study to this duty");
    let duty = asked.order.duty;
    let (round, attempt, resumed, kind) = (duty.round, asked.attempt, asked.resumed, duty.kind);
    Vote { study, round, attempt, resumed, kind, institution: id, duty: duty.hash(), body }
}

fn answer<T: Config>(study: StudyId, who: &AccountId32, body: VoteBody) {
    let vote = ballot::<T>(study, who, body);
    assert_ok!(Pallet::<T>::apply(study, Event::Vote(vote)));
}

fn phase<T: Config>(study: StudyId) -> Phase {
    Studies::<T>::get(study).expect("the benchmark has registered it").state.phase
}

/// Whether its result is for the institution's own worker alone: to be masked, not to be told.
fn is_work(asked: &crate::orders::Asked) -> bool {
    asked.masked.as_ref().is_some_and(|masked| masked.work == asked.order.duty.hash())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register(s: Linear<1, { MAX_SPEC_LEN }>) {
        let all = participants::<T>();
        let mut rules = rules();
        let mut invited: Vec<_> = all.iter().map(|(who, _)| institution(who)).collect();
        invited.sort();
        rules.invited = invited.try_into().expect("as many as there can be");
        let declared: Vec<_> = rules.invited.iter().map(|id| (*id, 1_000)).collect();
        let declared = Weighting::Declared(declared.try_into().expect("as many as there can be"));
        rules.merge = Merge::by(MergeRule::Mean(declared));

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), Box::new(rules), spec(s));

        assert_eq!(NextStudy::<T>::get(), 1);
    }

    #[benchmark]
    fn enrol() {
        let all = participants::<T>();
        let study = registered::<T>(&all[0].0, rules());
        for (who, _) in &all[1..] {
            super::enrol::<T>(study, who);
        }
        let agreement = agreement::<T>(study);

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), study, agreement, 1_000);

        assert_eq!(Studies::<T>::get(study).map(|info| info.state.members.len()), Some(all.len()));
    }

    #[benchmark]
    fn withdraw() {
        let all = participants::<T>();
        let study = disputed::<T>(&all, rules(), all.len() / 2);
        let last = all[all.len() - 1].0.clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(last), study);

        assert!(Studies::<T>::get(study).is_some_and(|info| info.state.members.iter().any(|m| !m.active)));
    }

    #[benchmark]
    fn start() {
        let all = participants::<T>();
        let study = full::<T>(&all, rules());

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), study);

        assert!(matches!(phase::<T>(study), Phase::Init { .. }));
    }

    #[benchmark]
    fn resume() {
        let all = participants::<T>();
        let study = paused::<T>(&all);

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), study);

        assert!(matches!(phase::<T>(study), Phase::Merging(_)));
    }

    #[benchmark]
    fn abort() {
        let all = participants::<T>();
        let study = paused::<T>(&all);

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), study);

        assert!(matches!(phase::<T>(study), Phase::Aborted { .. }));
    }

    #[benchmark]
    fn vote() {
        let all = participants::<T>();
        let study = merging::<T>(&all, rules());
        judged::<T>(study, &all);
        Studies::<T>::mutate(study, |info| {
            if let Some(info) = info {
                (info.state.rules.max_rounds, info.state.rules.target) = (9, None);
            }
        });
        // those that dissent, and of those that agree all but the one that closes it
        let agreed = close_at_once(MAX_PARTICIPANTS) as usize;
        for ((who, _), n) in all.iter().zip(0u32..).skip(agreed) {
            answer::<T>(study, who, VoteBody::Root(hash(n.saturating_add(2_000))));
        }
        for (who, _) in all.iter().take(agreed).skip(1) {
            let cast = ahead::<T>(study, who);
            assert_ok!(Pallet::<T>::apply(study, Event::Vote(cast)));
        }
        let (who, key) = &all[0];
        let cast = ahead::<T>(study, who);
        let signature =
            key.sign(&cast.payload(&genesis::<T>(), &agreement::<T>(study))).expect("the keystore has the key");

        #[extrinsic_call]
        _(RawOrigin::Authorized, cast, signature);

        assert!(matches!(phase::<T>(study), Phase::Collecting(c) if c.commitments.len() == agreed));
    }

    #[benchmark]
    fn authorize_vote() {
        let all = participants::<T>();
        let study = disputed::<T>(&all, rules(), all.len() / 2);
        let (who, key) = &all[all.len() - 1];
        let cast = ballot::<T>(study, who, VoteBody::Root(hash(1_000)));
        let signature =
            key.sign(&cast.payload(&genesis::<T>(), &agreement::<T>(study))).expect("the keystore has the key");
        let call = Call::<T>::vote { vote: cast, signature };
        let verdict;

        #[block]
        {
            verdict = call.authorize(TransactionSource::External);
        }

        assert!(matches!(verdict, Some(Ok(_))));
    }

    #[benchmark]
    fn post() {
        let all = participants::<T>();
        let study = masked::nearly_revealed::<T>(&all);
        let (who, key) = &all[all.len() - 1];
        let bytes = masked::shares::<T>(study, who);
        let cast = masked::posted::<T>(study, who, &bytes);
        let signature =
            key.sign(&cast.payload(&genesis::<T>(), &agreement::<T>(study))).expect("the keystore has the key");

        #[extrinsic_call]
        _(RawOrigin::Authorized, cast, bytes.try_into().expect("as many as may be posted"), signature);

        assert!(matches!(phase::<T>(study), Phase::Summing(_)));
    }

    #[benchmark]
    fn authorize_post() {
        let all = participants::<T>();
        let study = masked::nearly_revealed::<T>(&all);
        let (who, key) = &all[all.len() - 1];
        let bytes = masked::shares::<T>(study, who);
        let cast = masked::posted::<T>(study, who, &bytes);
        let signature =
            key.sign(&cast.payload(&genesis::<T>(), &agreement::<T>(study))).expect("the keystore has the key");
        let bytes = bytes.try_into().expect("as many as may be posted");
        let call = Call::<T>::post { vote: cast, bytes, signature };
        let verdict;

        #[block]
        {
            verdict = call.authorize(TransactionSource::External);
        }

        assert!(matches!(verdict, Some(Ok(_))));
    }

    #[benchmark]
    fn abandon() {
        let all = participants::<T>();
        let study = masked::revealing::<T>(&all);
        while !matches!(phase::<T>(study), Phase::Paused(_)) {
            let due = Studies::<T>::get(study).and_then(|info| info.state.deadline()).unwrap_or(1_000);
            frame_system::Pallet::<T>::set_block_number(due.into());
            assert_ok!(Pallet::<T>::apply(study, Event::Tick));
        }

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), study);

        assert!(matches!(phase::<T>(study), Phase::Collecting(_)));
    }

    #[benchmark]
    fn declare_budget() {
        let all = participants::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(all[0].0.clone()), hash(1), 4_000_000, 5, PrivacyUnit::Patient);

        assert_eq!(Datasets::<T>::get(institution(&all[0].0)), 1);
    }

    #[benchmark]
    fn raise_budget() {
        let all = participants::<T>();
        let who = RawOrigin::Signed(all[0].0.clone());
        assert_ok!(Pallet::<T>::declare_budget(who.clone().into(), hash(1), 1, 5, PrivacyUnit::Patient));

        #[extrinsic_call]
        _(who, hash(1), 4_000_000);

        assert!(Budgets::<T>::get(institution(&all[0].0), hash(1)).is_some_and(|it| it.raise_to().is_some()));
    }

    #[benchmark]
    fn lower_budget() {
        let all = participants::<T>();
        let who = RawOrigin::Signed(all[0].0.clone());
        assert_ok!(Pallet::<T>::declare_budget(who.clone().into(), hash(1), 9, 5, PrivacyUnit::Patient));

        #[extrinsic_call]
        _(who, hash(1), 4);

        assert!(Budgets::<T>::get(institution(&all[0].0), hash(1)).is_some_and(|it| it.limit_micro(0) == 4));
    }

    #[benchmark]
    fn enrol_private() {
        let all = participants::<T>();
        let study = registered::<T>(&all[0].0, private());
        for (who, _) in &all[1..] {
            enrolled_private::<T>(study, who);
        }
        let who = RawOrigin::Signed(all[0].0.clone());
        assert_ok!(Pallet::<T>::declare_budget(who.clone().into(), hash(1), 4_000_000, 5, PrivacyUnit::Record));
        let agreement = agreement::<T>(study);

        #[extrinsic_call]
        _(who, study, agreement, 1_000, hash(1));

        assert!(Counts::<T>::contains_key(study, institution(&all[0].0)));
    }

    #[benchmark]
    fn forget() {
        let all = participants::<T>();
        let study = masked::revealing::<T>(&all);
        for (who, _) in all.iter().take(close_at_once(MAX_PARTICIPANTS) as usize) {
            masked::post::<T>(study, who, masked::shares::<T>(study, who));
        }
        Pallet::<T>::forget_pairing(study, 1, 1);

        #[block]
        {
            assert!(Pallet::<T>::forget_one());
        }

        assert_eq!(Postings::<T>::iter().count(), 0);
    }

    #[benchmark]
    fn on_initialize(n: Linear<0, { MAX_RUNNING }>) {
        let all = participants::<T>();
        let mut studies = Vec::new();
        for index in 0..n {
            // each proposes as many as it may
            let mut all = all.clone();
            all.rotate_left((index / crate::MAX_PROPOSED) as usize);
            let study = disputed::<T>(&all, rules(), all.len() / 2 + 1);
            judged::<T>(study, &all);
            studies.push(study);
        }
        let due = studies.first().and_then(Studies::<T>::get).and_then(|info| info.state.deadline());
        let due = due.unwrap_or(1_000);
        frame_system::Pallet::<T>::set_block_number(due.into());

        #[block]
        {
            Pallet::<T>::on_initialize(due.into());
        }

        assert!(studies.iter().all(|s| matches!(phase::<T>(*s), Phase::FinalEvaluation { .. })));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::bench_chain(), crate::mock::Test);
}
