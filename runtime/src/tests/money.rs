//! Nobody has money: what other clients ask about it, and what a chain that had a pallet of balances keeps of that.

use super::*;
use crate::money::{runtime_decl_for_transaction_payment_api::TransactionPaymentApiV4, FeeDetails, InclusionFee};
use codec::Encode;
use frame_support::{
    storage::{storage_prefix, unhashed},
    traits::{
        fungible::{hold::Mutate as _, Inspect, Mutate},
        OnRuntimeUpgrade,
    },
};
use sp_runtime::TokenError;

#[test]
fn every_fee_is_nothing_and_every_weight_is_told() {
    chain().execute_with(|| {
        let call = signed(Alice, profile(), 0);
        let info = <Runtime as TransactionPaymentApiV4<Block, Balance>>::query_info(call.clone(), 200);
        assert_eq!((info.partial_fee, info.weight), (0, call.get_dispatch_info().total_weight()));
        let nothing = InclusionFee { base_fee: 0, len_fee: 0, adjusted_weight_fee: 0 };
        let details = <Runtime as TransactionPaymentApiV4<Block, Balance>>::query_fee_details(call, 200);
        assert_eq!(details, FeeDetails { inclusion_fee: Some(nothing), tip: 0 });
        let weight = Weight::from_parts(u64::MAX, u64::MAX);
        assert_eq!(<Runtime as TransactionPaymentApiV4<Block, Balance>>::query_weight_to_fee(weight), 0);
        assert_eq!(<Runtime as TransactionPaymentApiV4<Block, Balance>>::query_length_to_fee(u32::MAX), 0);
    });
}

#[test]
fn nobody_has_or_gets_any_money() {
    chain().execute_with(|| {
        let who = Alice.to_account_id();
        let reason = RuntimeHoldReason::from(pallet_session::HoldReason::Keys);
        assert_eq!(<crate::money::NoMoney as Inspect<_>>::total_balance(&who), 0);
        assert_eq!(crate::money::NoMoney::mint_into(&who, 0), Ok(0));
        assert_eq!(crate::money::NoMoney::mint_into(&who, 1), Err(TokenError::Unsupported.into()));
        assert_eq!(crate::money::NoMoney::hold(&reason, &who, 1), Err(TokenError::FundsUnavailable.into()));
        let all = frame_support::traits::tokens::Precision::BestEffort;
        assert_eq!(crate::money::NoMoney::release_all(&reason, &who, all), Ok(0));
    });
}

#[test]
fn a_chain_that_had_a_pallet_of_balances_forgets_it_and_keeps_its_accounts() {
    chain().execute_with(|| {
        let who = Alice.to_account_id();
        System::inc_account_nonce(&who);
        let now = System::account(&who);
        // as runtime 6 wrote it: four numbers of 16 bytes follow, the last one says how holds are counted
        let flags = 1u128 << 127;
        let before = (now.encode(), 0u128, 0u128, 0u128, flags).encode()[1..].to_vec();
        assert_eq!(before.len(), now.encoded_size() + 64);
        let key = frame_system::Account::<Runtime>::hashed_key_for(&who);
        unhashed::put_raw(&key, &before);
        let version = storage_prefix(b"Balances", b":__STORAGE_VERSION__:");
        unhashed::put(&version, &1u16);

        crate::money::ForgetBalances::on_runtime_upgrade();
        assert_eq!(unhashed::get_raw(&key), Some(now.encode()));
        assert_eq!(System::account(&who).nonce, 1);
        assert!(!unhashed::exists(&version));
        assert_ok!(pool(signed(Alice, profile(), 1)));
        // a second time nothing is read as what it is not
        crate::money::ForgetBalances::on_runtime_upgrade();
        assert_eq!(unhashed::get_raw(&key), Some(now.encode()));
    });
}
