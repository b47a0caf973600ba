//! What only the whole runtime shows: what may be called, what follows from a departure, and that every call fits in a
//! block.

use crate::*;
use consilium_primitives::{
    round::Phase, rules::MAX_SPEC_LEN, Merge, MergeRule, OnStall, StudyRules, VoteBody, Weighting,
};
use frame_support::{assert_ok, dispatch::GetDispatchInfo};
use sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Dave};
use sp_runtime::{traits::Dispatchable, DispatchError};

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
    }
}

fn call(call: impl Into<RuntimeCall>, origin: RuntimeOrigin) -> Result<(), DispatchError> {
    call.into().dispatch(origin).map(|_| ()).map_err(|e| e.error)
}

#[test]
fn nobody_transfers_and_nobody_purges_its_keys() {
    chain().execute_with(|| {
        let alice = || RuntimeOrigin::signed(Alice.to_account_id());
        let transfer = pallet_balances::Call::transfer_all { dest: Bob.to_account_id().into(), keep_alive: false };
        assert_eq!(call(transfer, alice()), Err(frame_system::Error::<Runtime>::CallFiltered.into()));
        let purge = pallet_session::Call::purge_keys {};
        assert_eq!(call(purge, alice()), Err(frame_system::Error::<Runtime>::CallFiltered.into()));
        let profile = pallet_consortium::Call::set_profile { profile: Default::default() };
        assert_ok!(call(profile, alice()));
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
        assert_ok!(Consortium::suspend(RuntimeOrigin::root(), Dave.to_account_id()));
        let state = pallet_swarm_learning::Studies::<Runtime>::get(0).expect("registered").state;
        assert!(matches!(state.phase, Phase::Init { .. }));
        assert_eq!(state.active(), 0b0111);
        let orders = |who: sp_keyring::Sr25519Keyring| SwarmLearning::orders(&InstitutionId(who.to_raw_public())).len();
        assert_eq!((orders(Charlie), orders(Dave)), (1, 0));
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
    let spec = alloc::vec![b' '; MAX_SPEC_LEN as usize].try_into().expect("as long as it may be");
    let calls: [RuntimeCall; 8] = [
        pallet_swarm_learning::Call::register { rules: alloc::boxed::Box::new(rules()), spec }.into(),
        pallet_swarm_learning::Call::withdraw { study: 0 }.into(),
        pallet_swarm_learning::Call::resume { study: 0 }.into(),
        pallet_swarm_learning::Call::vote { vote, signature }.into(),
        pallet_consortium::Call::suspend { institution: who.clone() }.into(),
        pallet_consortium::Call::remove { institution: who.clone() }.into(),
        pallet_consortium::Call::set_flags { institution: who, validator: false, participant: false }.into(),
        pallet_consortium::Call::leave {}.into(),
    ];
    for call in calls {
        let weight = call.get_dispatch_info().total_weight();
        assert!(weight.all_lte(most), "{call:?}: {weight} of {most}");
        assert!(weight.ref_time() > 0, "{call:?} has no weight");
    }
}
