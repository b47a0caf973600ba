//! Who may sign, and how much.

use super::*;
use crate::{cost, CheckQuota, Quota, BURST, BYTES_PER_TOKEN, MOST_AHEAD, REFILL_MILLIS};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchInfo};
use sp_runtime::{
    traits::DispatchTransaction,
    transaction_validity::{InvalidTransaction, TransactionSource::External, TransactionValidityError},
};

fn call() -> RuntimeCall {
    RuntimeCall::Consortium(crate::Call::leave {})
}

/// What the pool says of a signed call with this nonce and length.
fn pool(who: u64, nonce: u32, call: &RuntimeCall, len: usize) -> Result<(), TransactionValidityError> {
    let checked = CheckQuota::<Test>::from(nonce).validate_only(
        RuntimeOrigin::signed(who),
        call,
        &DispatchInfo::default(),
        len,
        External,
        0,
    );
    checked.map(|_| ())
}

/// What a block does with the next call of an account.
fn apply(who: u64, call: &RuntimeCall, len: usize) -> Result<(), TransactionValidityError> {
    let nonce = System::account_nonce(who);
    let checked = CheckQuota::<Test>::from(nonce).validate_and_prepare(
        RuntimeOrigin::signed(who),
        call,
        &DispatchInfo::default(),
        len,
        0,
    );
    checked.map(|_| ())
}

fn refusal<T>(why: InvalidTransaction) -> Result<T, TransactionValidityError> {
    Err(why.into())
}

#[test]
fn sixty_at_once_and_then_one_each_ten_seconds() {
    run(|| {
        for _ in 0..BURST {
            assert_ok!(apply(1, &call(), 200));
        }
        let nonce = System::account_nonce(1);
        assert_eq!(nonce, BURST);
        assert_eq!(pool(1, nonce, &call(), 200), refusal(InvalidTransaction::ExhaustsResources));
        assert_noop!(apply(1, &call(), 200), TransactionValidityError::from(InvalidTransaction::ExhaustsResources));
        assert_ok!(apply(2, &call(), 200));
        let every = blocks(REFILL_MILLIS);
        jump(every);
        assert_eq!(pool(1, nonce, &call(), 200), refusal(InvalidTransaction::ExhaustsResources));
        jump(1 + every);
        assert_ok!(apply(1, &call(), 200));
        assert_eq!(pool(1, nonce + 1, &call(), 200), refusal(InvalidTransaction::ExhaustsResources));
        // a rest does not make more than a full bucket
        jump(1 + 1_000 * every);
        assert_eq!(Consortium::tokens(&1).0, BURST);
    });
}

#[test]
fn no_token_is_lost_by_calling_between_two() {
    run(|| {
        let every = blocks(REFILL_MILLIS);
        for _ in 0..10 {
            assert_ok!(apply(1, &call(), 200));
        }
        // as many calls as tokens come back, at odd moments
        for n in 1..=10 {
            jump(1 + n * every + n % every);
            assert_ok!(apply(1, &call(), 200));
            assert_eq!(Consortium::tokens(&1).0, BURST - 10);
        }
    });
}

#[test]
fn long_calls_cost_more_and_too_long_ones_are_never_taken() {
    run(|| {
        let page = BYTES_PER_TOKEN as usize;
        assert_eq!(
            [0, 1, page, page + 1, 10 * page, usize::MAX].map(cost),
            [1, 1, 1, 2, 10, u32::MAX.div_ceil(BYTES_PER_TOKEN)]
        );
        assert_ok!(apply(1, &call(), 10 * page));
        assert_eq!(Quota::<Test>::get(1), Some((BURST - 10, 1)));
        let most = BURST as usize * page;
        assert_ok!(pool(2, 0, &call(), most));
        assert_eq!(pool(2, 0, &call(), most + 1), refusal(InvalidTransaction::ExhaustsResources));
    });
}

#[test]
fn a_day_brings_no_more_than_the_documents_say() {
    assert_eq!(crate::MOST_BYTES_A_DAY, 35_635_200);
    run(|| {
        // all that can be had, block by block, with calls that fill their tokens
        let day = blocks(86_400_000);
        let mut taken: u64 = 0;
        for block in 1..=day {
            System::set_block_number(block.into());
            while apply(1, &call(), BYTES_PER_TOKEN as usize).is_ok() {
                taken += u64::from(BYTES_PER_TOKEN);
            }
        }
        assert!(taken <= crate::MOST_BYTES_A_DAY && taken + 2 * u64::from(BYTES_PER_TOKEN) >= crate::MOST_BYTES_A_DAY);
    });
}

#[test]
fn what_the_runtime_exempts_is_not_counted() {
    run(|| {
        let code = RuntimeCall::System(frame_system::Call::remark { remark: vec![] });
        assert_ok!(apply(1, &code, 1 << 20));
        assert!(Quota::<Test>::get(1).is_none());
    });
}

#[test]
fn a_nonce_may_be_eight_ahead() {
    run(|| {
        let ahead = MOST_AHEAD;
        assert_ok!(pool(1, ahead, &call(), 200));
        assert_eq!(pool(1, ahead + 1, &call(), 200), refusal(InvalidTransaction::Future));
        assert_ok!(apply(1, &call(), 200));
        assert_ok!(pool(1, ahead + 1, &call(), 200));
        assert_eq!(pool(1, 0, &call(), 200), refusal(InvalidTransaction::Stale));
    });
}

#[test]
fn who_signs_for_no_institution_is_turned_away() {
    run(|| {
        assert_eq!(System::providers(&9), 0);
        assert_eq!(pool(9, 0, &call(), 200), refusal(InvalidTransaction::BadSigner));
        // an account that something else keeps alive is none of an institution's either
        System::inc_providers(&9);
        assert_eq!(pool(9, 0, &call(), 200), refusal(InvalidTransaction::BadSigner));
        System::inc_providers(&4);
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(4)));
        assert_eq!(pool(4, 0, &call(), 200), refusal(InvalidTransaction::BadSigner));
    });
}

#[test]
fn the_bucket_is_the_institution_s_whoever_signs_for_it() {
    run(|| {
        assert_ok!(apply(4, &call(), 200));
        assert_ok!(Consortium::do_rotate_account(4, 44));
        assert_eq!(pool(4, 1, &call(), 200), refusal(InvalidTransaction::BadSigner));
        assert_ok!(apply(44, &call(), 200));
        assert_eq!(Quota::<Test>::get(4), Some((BURST - 2, 1)));
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(44)));
        assert!(Quota::<Test>::get(4).is_none());
    });
}

#[test]
fn what_is_not_signed_passes_and_is_not_counted() {
    run(|| {
        let authorised = frame_system::RawOrigin::Authorized.into();
        let info = DispatchInfo::default();
        let checked = CheckQuota::<Test>::from(0).validate_and_prepare(authorised, &call(), &info, 200, 0);
        assert!(checked.is_ok());
        assert!(Quota::<Test>::iter().next().is_none());
    });
}
