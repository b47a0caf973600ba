//! A newcomer's node, and that of who was suspended, says that it is in step before its institution stands.

use super::*;
use crate::{ready_payload, Call, Error, Event};
use codec::Decode;
use frame_support::{assert_noop, assert_ok, pallet_prelude::*, traits::Authorize};
use sp_core::offchain::{testing::TestTransactionPoolExt, OffchainDbExt, OffchainWorkerExt, TransactionPoolExt};
use sp_runtime::{
    testing::{TestSignature, UintAuthorityId},
    RuntimeAppPublic,
};

fn says(key: u64, who: u64, since: u32) -> TestSignature {
    UintAuthorityId(key).sign(&ready_payload(System::block_hash(0).as_bytes(), &who, since)).unwrap()
}

/// What the pool says of it, and if it takes it, what a block does.
fn send(institution: u64, since: u32, signature: TestSignature) -> Result<(), TransactionValidityError> {
    let call = RuntimeCall::Consortium(Call::ready { institution, since, signature: signature.clone() });
    call.authorize(TransactionSource::External).expect("it is an authorised call")?;
    assert_ok!(Consortium::ready(frame_system::RawOrigin::Authorized.into(), institution, since, signature));
    Ok(())
}

fn refused(code: u8) -> Result<(), TransactionValidityError> {
    Err(InvalidTransaction::Custom(code).into())
}

fn stand() -> Vec<u64> {
    let mut all: Vec<_> = Consortium::standing_validators().collect();
    all.sort();
    all
}

#[test]
fn a_newcomer_stands_once_its_node_says_so() {
    run(|| {
        assert_ok!(Consortium::do_admit(7, name("G"), false, true));
        register_keys(7);
        assert_eq!(send(7, 1, says(7, 7, 1)), refused(20), "it is no validator");
        assert_ok!(Consortium::do_set_flags(7, true, true));
        assert_eq!(stand(), vec![1, 2, 3]);
        assert!(!Changed::<Test>::exists());
        assert_eq!(send(7, 1, says(7, 7, 1)), Ok(()));
        assert_eq!(last_event(), Event::Ready { institution: 7 }.into());
        assert_eq!(stand(), vec![1, 2, 3, 7]);
        assert!(Changed::<Test>::exists());
        assert_eq!(send(7, 1, says(7, 7, 1)), refused(20), "once is enough");
    });
}

#[test]
fn founders_stand_from_the_first_block() {
    run(|| {
        assert_eq!(stand(), vec![1, 2, 3]);
        assert_eq!(send(1, 0, says(1, 1, 0)), refused(20));
    });
}

#[test]
fn who_was_suspended_waits_again_and_no_old_word_counts() {
    run(|| {
        assert_ok!(Consortium::do_suspend(3));
        assert_ok!(Consortium::do_reinstate(3));
        let first = says(3, 3, 1);
        assert_eq!(stand(), vec![1, 2]);
        assert_eq!(send(3, 1, first.clone()), Ok(()));
        next_block();
        assert_ok!(Consortium::do_suspend(3));
        assert_eq!(send(3, 2, says(3, 3, 2)), refused(20), "it is suspended");
        assert_ok!(Consortium::do_reinstate(3));
        assert_eq!(send(3, 1, first.clone()), refused(20));
        assert_eq!(send(3, 2, first), Err(InvalidTransaction::BadProof.into()));
        assert_eq!(stand(), vec![1, 2]);
    });
}

#[test]
fn only_its_own_key_says_so() {
    run(|| {
        assert_ok!(Consortium::do_suspend(3));
        assert_ok!(Consortium::do_reinstate(3));
        assert_eq!(send(3, 1, says(2, 3, 1)), Err(InvalidTransaction::BadProof.into()));
        assert_eq!(send(3, 1, says(3, 2, 1)), Err(InvalidTransaction::BadProof.into()));
        assert_eq!(send(9, 1, says(9, 9, 1)), refused(20));
        for origin in [RuntimeOrigin::signed(3), RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Consortium::ready(origin, 3, 1, says(3, 3, 1)), DispatchError::BadOrigin);
        }
        assert_noop!(Consortium::do_ready(9, 1), Error::<Test>::NotAnInstitution);
        assert_noop!(Consortium::do_ready(3, 2), Error::<Test>::NotWaiting);
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(3)));
        assert_eq!(send(3, 1, says(3, 3, 1)), refused(21));
    });
}

#[test]
fn the_offchain_worker_says_so_for_the_keys_that_it_holds_and_again_until_it_is_heard() {
    let mut ext = ext_with(genesis_institutions(), vec![], &[1, 2, 3]);
    let (offchain, _) = sp_core::offchain::testing::TestOffchainExt::new();
    let (pool, state) = TestTransactionPoolExt::new();
    ext.register_extension(OffchainWorkerExt::new(offchain.clone()));
    ext.register_extension(OffchainDbExt::new(offchain));
    ext.register_extension(TransactionPoolExt::new(pool));
    ext.execute_with(|| {
        let sent = || core::mem::take(&mut state.write().transactions);
        let run = |block: u64| <Consortium as Hooks<u64>>::offchain_worker(block);
        UintAuthorityId::set_all_keys([3u64, 8]);
        run(1);
        assert!(sent().is_empty(), "nobody waits");
        assert_ok!(Consortium::do_suspend(3));
        assert_ok!(Consortium::do_reinstate(3));
        assert_ok!(Consortium::do_admit(7, name("G"), false, true));
        register_keys(7);
        assert_ok!(Consortium::do_set_flags(7, true, true));
        run(1);
        let all = sent();
        assert_eq!(all.len(), 1, "of the two that wait, one is ours");
        let xt = Extrinsic::decode(&mut &all[0][..]).unwrap();
        let RuntimeCall::Consortium(Call::ready { institution, since, signature }) = xt.function else {
            panic!("another call")
        };
        run(2);
        assert!(sent().is_empty(), "just said");
        run(1 + u64::from(blocks(8_000)));
        assert_eq!(sent().len(), 1, "not heard yet");
        assert_eq!(send(institution, since, signature), Ok(()));
        run(1 + u64::from(blocks(16_000)));
        assert!(sent().is_empty());
        UintAuthorityId::set_all_keys(Vec::<u64>::new());
    });
}
