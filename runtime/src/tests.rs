//! What only the whole runtime shows: what may be called and by whom, what follows from a departure, and that every call
//! fits in a block.

mod metadata;
mod money;
mod wrapped;

use crate::*;
use consilium_primitives::{
    round::Phase, rules::MAX_SPEC_LEN, Merge, MergeRule, OnStall, StudyRules, VoteBody, Weighting,
};
use frame_support::{assert_ok, dispatch::GetDispatchInfo};
use frame_system::offchain::CreateAuthorizedTransaction;
use pallet_consortium::Motion;
use sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET;
use sp_keyring::Sr25519Keyring;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Dave};
use sp_runtime::{
    traits::Dispatchable,
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidityError},
    DispatchError,
};

/// The local testnet at block 1.
fn chain() -> sp_io::TestExternalities {
    fn merge(into: &mut serde_json::Value, patch: serde_json::Value) {
        match (into, patch) {
            (serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
                for (key, value) in patch {
                    merge(into.entry(key).or_insert(serde_json::Value::Null), value);
                }
            }
            (into, patch) => *into = patch,
        }
    }
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it has a form in JSON");
    let preset = get_preset(&LOCAL_TESTNET_RUNTIME_PRESET.into()).expect("there is such a preset");
    merge(&mut config, serde_json::from_slice(&preset).expect("it is JSON"));
    let mut ext = sp_io::TestExternalities::default();
    ext.execute_with(|| {
        let config = serde_json::to_vec(&config).expect("it is JSON");
        frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(config).expect("it is sound");
        System::set_block_number(1);
    });
    ext
}

fn rules() -> StudyRules {
    StudyRules {
        training_blocks: 10,
        transfer_blocks: 2,
        enrolment_blocks: 50,
        auto_start: false,
        min_participants: 2,
        rule_min: 0,
        max_rounds: 2,
        max_share: 500_000,
        strict: false,
        on_stall: OnStall::Pause,
        keep_updates: 2,
        invited: Default::default(),
        merge: Merge::by(MergeRule::Mean(Weighting::Samples)),
        update_len: 1000,
        merged_len: 900,
        statistics_len: 0,
        target: None,
        patience: 0,
        masked: None,
        privacy: None,
    }
}

fn call(call: impl Into<RuntimeCall>, origin: RuntimeOrigin) -> Result<(), DispatchError> {
    call.into().dispatch(origin).map(|_| ()).map_err(|e| e.error)
}

/// Lets Alice, Bob and Charlie decide something.
fn decide(motion: Motion<AccountId, Hash>) {
    let id = pallet_consortium::NextMotion::<Runtime>::get();
    assert_ok!(call(pallet_consortium::Call::propose { motion }, RuntimeOrigin::signed(Alice.to_account_id())));
    for who in [Bob, Charlie] {
        let voted = call(pallet_consortium::Call::vote { id, aye: true }, RuntimeOrigin::signed(who.to_account_id()));
        assert_ok!(voted);
    }
    let passed = RuntimeEvent::Consortium(pallet_consortium::Event::Passed { motion: id });
    assert!(System::events().iter().any(|record| record.event == passed));
}

/// A call as an institution's client signs it.
fn signed(who: Sr25519Keyring, call: impl Into<RuntimeCall>, nonce: Nonce) -> UncheckedExtrinsic {
    let mut extension = <Runtime as CreateAuthorizedTransaction<RuntimeCall>>::create_extension();
    extension.6 = pallet_consortium::CheckQuota::from(nonce);
    let payload = generic::SignedPayload::new(call.into(), extension).expect("all that is signed is known");
    let signature = codec::Encode::using_encoded(&payload, |bytes| who.sign(bytes));
    let (call, extension, _) = payload.deconstruct();
    UncheckedExtrinsic::new_signed(call, who.to_account_id().into(), signature.into(), extension)
}

/// What the pool says of it.
fn pool(extrinsic: UncheckedExtrinsic) -> Result<(), TransactionValidityError> {
    Executive::validate_transaction(TransactionSource::External, extrinsic, System::block_hash(0)).map(|_| ())
}

fn profile() -> pallet_consortium::Call<Runtime> {
    pallet_consortium::Call::set_profile { profile: b"x".to_vec().try_into().expect("short") }
}

#[test]
fn who_has_left_or_was_removed_signs_nothing_that_is_let_in() {
    chain().execute_with(|| {
        assert_ok!(pool(signed(Dave, profile(), 0)));
        assert_ok!(call(pallet_consortium::Call::leave {}, RuntimeOrigin::signed(Dave.to_account_id())));
        let remark = || frame_system::Call::remark { remark: alloc::vec![0; 1000] };
        assert!(pool(signed(Dave, profile(), 0)).is_err());
        assert!(pool(signed(Dave, remark(), 0)).is_err());
        // also where something keeps its account alive
        System::inc_providers(&Dave.to_account_id());
        assert_eq!(pool(signed(Dave, profile(), 0)), Err(InvalidTransaction::BadSigner.into()));
        assert!(!pallet_session::NextKeys::<Runtime>::contains_key(Dave.to_account_id()));
        // an outsider never had an account
        assert_eq!(pool(signed(Sr25519Keyring::Eve, profile(), 0)), Err(InvalidTransaction::BadSigner.into()));
    });
}

#[test]
fn an_institution_has_a_quota_and_what_is_too_long_is_never_taken() {
    chain().execute_with(|| {
        let spec = alloc::vec![b' '; MAX_SPEC_LEN as usize].try_into().expect("as long as it may be");
        let register = pallet_swarm_learning::Call::register { rules: alloc::boxed::Box::new(rules()), spec };
        assert_ok!(pool(signed(Alice, register, 0)));
        assert_ok!(pool(signed(Alice, profile(), 8)));
        assert_eq!(pool(signed(Alice, profile(), 9)), Err(InvalidTransaction::Future.into()));
        let code = alloc::vec![7; 300_000];
        let apply = || frame_system::Call::apply_authorized_upgrade { code: code.clone() };
        assert_eq!(pool(signed(Alice, apply(), 0)), Err(InvalidTransaction::ExhaustsResources.into()));
        System::do_authorize_upgrade(BlakeTwo256::hash(&[7; 300_001]), true);
        assert_eq!(pool(signed(Alice, apply(), 0)), Err(InvalidTransaction::ExhaustsResources.into()));
        // of the runtime that was decided it is let in, although it is as long
        System::do_authorize_upgrade(BlakeTwo256::hash(&code), true);
        assert_ok!(pool(signed(Alice, apply(), 0)));
        pallet_consortium::Quota::<Runtime>::insert(Alice.to_account_id(), (0, System::block_number()));
        assert_eq!(pool(signed(Alice, profile(), 0)), Err(InvalidTransaction::ExhaustsResources.into()));
        assert_ok!(pool(signed(Alice, apply(), 0)));
        assert_ok!(pool(signed(Bob, profile(), 0)));
    });
}

#[test]
fn a_study_leaves_little_more_in_the_state_than_its_call() {
    chain().execute_with(|| {
        let everybody: Vec<_> = (0..64).map(|n| InstitutionId([n; 32])).collect();
        let invited = StudyRules { invited: everybody.try_into().expect("as many as may be"), ..rules() };
        for (study, rules) in [(0, rules()), (1, invited)] {
            let spec = alloc::vec![b'x'].try_into().expect("short");
            let register = pallet_swarm_learning::Call::register { rules: alloc::boxed::Box::new(rules), spec };
            let sent = codec::Encode::encoded_size(&RuntimeCall::from(register.clone()));
            let alice = || RuntimeOrigin::signed(Alice.to_account_id());
            assert_ok!(call(register, alice()));
            assert_ok!(call(pallet_swarm_learning::Call::abort { study }, alice()));
            let left = pallet_swarm_learning::Studies::<Runtime>::get(study).expect("it is kept");
            assert!(!pallet_swarm_learning::Specs::<Runtime>::contains_key(study));
            let key = pallet_swarm_learning::Studies::<Runtime>::hashed_key_for(study).len();
            let left = codec::Encode::encoded_size(&left) + key;
            assert!(left <= sent + 400, "{left} bytes are left of {sent}");
        }
    });
}

#[test]
fn the_quota_is_check_nonce_on_the_wire() {
    use sp_runtime::traits::TransactionExtension;
    let names: Vec<_> = TxExtension::metadata().into_iter().map(|it| it.identifier).collect();
    assert_eq!(names[6], "CheckNonce");
    let quota = pallet_consortium::CheckQuota::<Runtime>::from(70_000);
    let nonce = frame_system::CheckNonce::<Runtime>::from(70_000);
    assert_eq!(codec::Encode::encode(&quota), codec::Encode::encode(&nonce));
}

#[test]
fn nobody_sets_or_purges_keys_but_by_the_consortium() {
    chain().execute_with(|| {
        let alice = || RuntimeOrigin::signed(Alice.to_account_id());
        let purge = pallet_session::Call::purge_keys {};
        assert_eq!(call(purge, alice()), Err(frame_system::Error::<Runtime>::CallFiltered.into()));
        let keys = pallet_session::NextKeys::<Runtime>::get(Alice.to_account_id()).expect("a founder has keys");
        let set = pallet_session::Call::set_keys { keys, proof: alloc::vec![] };
        assert_eq!(call(set, alice()), Err(frame_system::Error::<Runtime>::CallFiltered.into()));
        let stalled = pallet_grandpa::Call::note_stalled { delay: 1, best_finalized_block_number: 0 };
        assert_eq!(call(stalled, alice()), Err(frame_system::Error::<Runtime>::CallFiltered.into()));
        assert_ok!(call(profile(), alice()));
    });
}

#[test]
fn a_suspended_institution_is_out_of_its_studies_at_once() {
    chain().execute_with(|| {
        let spec = b"{}".to_vec().try_into().expect("short");
        let alice = RuntimeOrigin::signed(Alice.to_account_id());
        assert_ok!(SwarmLearning::register(alice.clone(), alloc::boxed::Box::new(rules()), spec));
        let agreement = pallet_swarm_learning::Studies::<Runtime>::get(0).expect("registered").agreement;
        for who in [Alice, Bob, Charlie, Dave] {
            let who = RuntimeOrigin::signed(who.to_account_id());
            assert_ok!(SwarmLearning::enrol(who, 0, agreement, 10));
        }
        assert_ok!(SwarmLearning::start(alice, 0));
        decide(Motion::Suspend { who: Dave.to_account_id() });
        let state = pallet_swarm_learning::Studies::<Runtime>::get(0).expect("registered").state;
        assert!(matches!(state.phase, Phase::Init { .. }));
        assert_eq!(state.active(), 0b0111);
        let orders = |who: sp_keyring::Sr25519Keyring| SwarmLearning::orders(&InstitutionId(who.to_raw_public())).len();
        assert_eq!((orders(Charlie), orders(Dave)), (1, 0));
    });
}

#[test]
fn who_leaves_while_validators_need_it_can_be_asked_for_what_it_has_made_and_who_is_cut_off_cannot() {
    chain().execute_with(|| {
        let who = Dave.to_account_id();
        let listed = || crate::institutions().into_iter().find(|it| it.id == InstitutionId(Dave.to_raw_public()));
        let before = listed().expect("it is an institution");
        let departed = |at_once| pallet_consortium::Departed {
            name: before.name.clone(),
            peer_ids: Default::default(),
            addresses: Default::default(),
            at_once,
        };
        pallet_consortium::pallet::Institutions::<Runtime>::remove(&who);
        assert_eq!(listed(), None);
        pallet_consortium::pallet::Leaving::<Runtime>::insert(&who, departed(false));
        let leaving = listed().expect("it is still there");
        assert!(!leaving.validator && !leaving.participant && leaving.name == before.name);
        pallet_consortium::pallet::Leaving::<Runtime>::insert(&who, departed(true));
        assert_eq!(listed(), None);
    });
}

#[test]
fn who_is_no_validator_and_leaves_gives_its_update_away_until_the_merge_has_closed() {
    use consilium_primitives::round::{bit, Commitment, Input, Kind, Merging, PerMember};
    use frame_support::traits::Hooks;
    chain().execute_with(|| {
        let spec = b"{}".to_vec().try_into().expect("short");
        let alice = RuntimeOrigin::signed(Alice.to_account_id());
        assert_ok!(SwarmLearning::register(alice.clone(), alloc::boxed::Box::new(rules()), spec));
        let agreement = pallet_swarm_learning::Studies::<Runtime>::get(0).expect("registered").agreement;
        for who in [Alice, Bob, Dave] {
            assert_ok!(SwarmLearning::enrol(RuntimeOrigin::signed(who.to_account_id()), 0, agreement, 10));
        }
        assert_ok!(SwarmLearning::start(alice, 0));
        // all three have sent their part, and nobody has merged yet
        let input = |member| {
            let commitment = Commitment { member, duty: Default::default(), root: Default::default(), at: 1 };
            Input { commitment, weight: 10 }
        };
        let merging = Merging {
            kind: Kind::Model,
            attempt: 1,
            needs: 2,
            inputs: PerMember::truncate_from((0..3).map(input).collect()),
            inputs_root: Default::default(),
            ballots: PerMember::truncate_from(alloc::vec![None; 3]),
            frozen_at: 1,
            window: 1_000,
            began: 1,
            stands: false,
            stood: None,
            until: 1_000,
            dropped: PerMember::new(),
        };
        pallet_swarm_learning::Studies::<Runtime>::mutate(0, |info| {
            info.as_mut().expect("registered").state.phase = Phase::Merging(merging);
        });
        let who = Dave.to_account_id();
        pallet_session::Validators::<Runtime>::mutate(|all| all.retain(|it| *it != who));
        pallet_session::QueuedKeys::<Runtime>::mutate(|all| all.retain(|(it, _)| *it != who));

        decide(Motion::Remove { who: who.clone(), at_once: false });
        let state = || pallet_swarm_learning::Studies::<Runtime>::get(0).expect("registered").state;
        assert_eq!(state().active() & bit(2), 0, "it has no part in what follows");
        let listed = || crate::institutions().into_iter().find(|it| it.id == InstitutionId(Dave.to_raw_public()));
        assert!(listed().is_some_and(|it| !it.validator && !it.participant));
        assert!(Consortium::keep_connected().contains(&who));
        let settle = consilium_primitives::blocks(pallet_consortium::SETTLE_MILLIS);
        let look = |turn: u32| {
            System::set_block_number(turn * settle);
            Consortium::on_initialize(turn * settle);
        };
        look(1);
        assert!(listed().is_some());

        pallet_swarm_learning::Studies::<Runtime>::mutate(0, |info| {
            info.as_mut().expect("registered").state.phase = Phase::Enrolling { until: 1_000 };
        });
        look(2);
        assert_eq!(listed(), None);
        assert!(!Consortium::keep_connected().contains(&who));
    });
}

#[test]
fn every_call_fits_in_a_block() {
    let most = RuntimeBlockWeights::get()
        .get(frame_support::dispatch::DispatchClass::Normal)
        .max_extrinsic
        .expect("normal calls have a limit");
    let who = Alice.to_account_id();
    let key: pallet_swarm_learning::sr25519::AuthorityPair =
        sp_core::Pair::from_string("//Alice", None).expect("a well-known key");
    let vote = consilium_primitives::Vote {
        study: 0,
        round: 1_000,
        attempt: 4,
        resumed: 0,
        kind: consilium_primitives::DutyKind::Evaluate,
        institution: InstitutionId(Alice.to_raw_public()),
        duty: Default::default(),
        body: VoteBody::Metric(Some(1)),
    };
    let signature = sp_core::Pair::sign(&key, &vote.payload(&Default::default(), &Default::default()));
    let said = sp_core::Pair::sign(&key, b"ready");
    let spec = alloc::vec![b' '; MAX_SPEC_LEN as usize].try_into().expect("as long as it may be");
    let bytes =
        alloc::vec![0; consilium_primitives::masks::MAX_POSTING as usize].try_into().expect("as many as there may be");
    let calls: [RuntimeCall; 13] = [
        pallet_swarm_learning::Call::register { rules: alloc::boxed::Box::new(rules()), spec }.into(),
        pallet_swarm_learning::Call::withdraw { study: 0 }.into(),
        pallet_swarm_learning::Call::resume { study: 0 }.into(),
        pallet_swarm_learning::Call::vote { vote, signature: signature.clone() }.into(),
        pallet_swarm_learning::Call::post { vote, bytes, signature }.into(),
        pallet_swarm_learning::Call::abandon { study: 0 }.into(),
        pallet_swarm_learning::Call::enrol_private {
            study: 0,
            agreement: Default::default(),
            samples: 1,
            dataset: Default::default(),
        }
        .into(),
        pallet_consortium::Call::propose { motion: Motion::Suspend { who: who.clone() } }.into(),
        pallet_consortium::Call::vote { id: 0, aye: true }.into(),
        pallet_consortium::Call::rotate_keys { keys: Default::default(), proof: Default::default() }.into(),
        pallet_consortium::Call::set_addresses { addresses: Default::default() }.into(),
        pallet_consortium::Call::ready { institution: who, since: 0, signature: said }.into(),
        pallet_consortium::Call::leave {}.into(),
    ];
    for call in calls {
        let weight = call.get_dispatch_info().total_weight();
        assert!(weight.all_lte(most), "{call:?}: {weight} of {most}");
        assert!(weight.ref_time() > 0, "{call:?} has no weight");
    }
}

#[test]
fn a_change_of_any_institution_or_study_is_told() {
    use pallet_swarm_learning_runtime_api::runtime_decl_for_swarm_api::SwarmApiV3;
    fn change() -> consilium_primitives::Change {
        <Runtime as SwarmApiV3<Block>>::change()
    }
    chain().execute_with(|| {
        let mut told = alloc::vec![change()];
        let mut tell = |what: &str, members: bool| {
            let (before, now) = (told[told.len() - 1].clone(), change());
            assert_eq!((before.members != now.members, before.studies != now.studies), (members, !members), "{what}");
            assert!(!told.contains(&now), "{what}");
            told.push(now);
        };
        let spec = b"{}".to_vec().try_into().expect("short");
        let register = pallet_swarm_learning::Call::register { rules: alloc::boxed::Box::new(rules()), spec };
        assert_ok!(call(register, RuntimeOrigin::signed(Alice.to_account_id())));
        tell("a new study", false);
        let agreement = pallet_swarm_learning::Studies::<Runtime>::get(0).expect("it is there").agreement;
        let enrol = pallet_swarm_learning::Call::enrol { study: 0, agreement, samples: 10 };
        assert_ok!(call(enrol, RuntimeOrigin::signed(Bob.to_account_id())));
        tell("a member", false);
        let flags = |participant| Motion::SetFlags { who: Dave.to_account_id(), validator: true, participant };
        decide(flags(false));
        tell("an institution takes part no more", true);
        decide(Motion::Suspend { who: Dave.to_account_id() });
        tell("one is suspended", true);
        pallet_consortium::pallet::Institutions::<Runtime>::mutate(Charlie.to_account_id(), |it| {
            it.as_mut().expect("it is there").peer_id = Some(b"another node".to_vec().try_into().expect("short"));
        });
        tell("a node of its own", true);
    });
}
