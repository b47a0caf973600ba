//! There is no money on this chain: what stands where others have some, and how it went.

use crate::{AccountId, Balance, Nonce, Runtime, RuntimeHoldReason};
use codec::{Decode, Encode};
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    storage::unhashed,
    traits::{
        fungible::{self, Dust},
        tokens::{DepositConsequence, Fortitude, Preservation, Provenance, WithdrawConsequence},
        OnRuntimeUpgrade,
    },
    weights::Weight,
};
use frame_system::AccountInfo;
use scale_info::TypeInfo;
use sp_runtime::{traits::Zero, DispatchError, DispatchResult, TokenError};

/// The currency in which the session pallet would take deposits: nobody has any of it, and nobody can be given any.
pub struct NoMoney;

/// Nothing can always be paid, anything else never.
fn nothing(amount: Balance) -> DispatchResult {
    if amount.is_zero() {
        Ok(())
    } else {
        Err(TokenError::Unsupported.into())
    }
}

impl fungible::Inspect<AccountId> for NoMoney {
    type Balance = Balance;

    fn total_issuance() -> Balance {
        0
    }
    fn minimum_balance() -> Balance {
        0
    }
    fn total_balance(_: &AccountId) -> Balance {
        0
    }
    fn balance(_: &AccountId) -> Balance {
        0
    }
    fn reducible_balance(_: &AccountId, _: Preservation, _: Fortitude) -> Balance {
        0
    }
    fn can_deposit(_: &AccountId, amount: Balance, _: Provenance) -> DepositConsequence {
        nothing(amount).map_or(DepositConsequence::CannotCreate, |()| DepositConsequence::Success)
    }
    fn can_withdraw(_: &AccountId, amount: Balance) -> WithdrawConsequence<Balance> {
        nothing(amount).map_or(WithdrawConsequence::BalanceLow, |()| WithdrawConsequence::Success)
    }
}

impl fungible::Unbalanced<AccountId> for NoMoney {
    fn handle_dust(_: Dust<AccountId, Self>) {}
    fn write_balance(_: &AccountId, amount: Balance) -> Result<Option<Balance>, DispatchError> {
        nothing(amount).map(|()| None)
    }
    fn set_total_issuance(_: Balance) {}
}

impl fungible::Mutate<AccountId> for NoMoney {}

impl fungible::hold::Inspect<AccountId> for NoMoney {
    type Reason = RuntimeHoldReason;

    fn total_balance_on_hold(_: &AccountId) -> Balance {
        0
    }
    fn balance_on_hold(_: &RuntimeHoldReason, _: &AccountId) -> Balance {
        0
    }
}

impl fungible::hold::Unbalanced<AccountId> for NoMoney {
    fn set_balance_on_hold(_: &RuntimeHoldReason, _: &AccountId, amount: Balance) -> DispatchResult {
        nothing(amount)
    }
}

impl fungible::hold::Mutate<AccountId> for NoMoney {}

/// What an account had before runtime 7: free, reserved and frozen money, all 0, and a word on how it is counted.
type Purse = (Balance, Balance, Balance, u128);

/// Before runtime 7 there was a pallet of balances, with nothing in it.
pub struct ForgetBalances;

impl OnRuntimeUpgrade for ForgetBalances {
    fn on_runtime_upgrade() -> Weight {
        let weights = <Runtime as frame_system::Config>::DbWeight::get();
        let balances = sp_io::hashing::twox_128(b"Balances");
        if !unhashed::contains_prefixed_key(&balances) {
            return weights.reads(1);
        }
        let mut accounts: u64 = 0;
        frame_system::Account::<Runtime>::translate_values(|it: AccountInfo<Nonce, Purse>| {
            accounts = accounts.saturating_add(1);
            let AccountInfo { nonce, consumers, providers, sufficients, .. } = it;
            Some(AccountInfo { nonce, consumers, providers, sufficients, data: () })
        });
        // the pallet's version, and the issuance where it was ever written
        let gone = unhashed::clear_prefix(&balances, Some(16), None);
        let touched = accounts.saturating_add(gone.loops.into()).saturating_add(1);
        weights.reads_writes(touched, touched)
    }
}

sp_api::decl_runtime_apis! {
    /// What a call costs, as wallets and libraries ask it of any chain: nothing.
    #[api_version(4)]
    pub trait TransactionPaymentApi<Balance> where Balance: codec::Codec {
        /// What a transaction weighs, and its fee.
        fn query_info(uxt: Block::Extrinsic, len: u32) -> RuntimeDispatchInfo<Balance>;
        /// What its fee is made of.
        fn query_fee_details(uxt: Block::Extrinsic, len: u32) -> FeeDetails<Balance>;
        /// The fee for so much weight.
        fn query_weight_to_fee(weight: Weight) -> Balance;
        /// The fee for so many bytes.
        fn query_length_to_fee(length: u32) -> Balance;
    }
}

/// What a transaction weighs, and its fee.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RuntimeDispatchInfo<Balance> {
    /// Its weight.
    pub weight: Weight,
    /// In which part of a block it counts.
    pub class: DispatchClass,
    /// Its fee without a tip.
    pub partial_fee: Balance,
}

/// What a fee is made of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct FeeDetails<Balance> {
    /// What must be paid.
    pub inclusion_fee: Option<InclusionFee<Balance>>,
    /// What may be paid.
    pub tip: Balance,
}

/// What must be paid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct InclusionFee<Balance> {
    /// For being a transaction.
    pub base_fee: Balance,
    /// For its length.
    pub len_fee: Balance,
    /// For its weight.
    pub adjusted_weight_fee: Balance,
}

impl RuntimeDispatchInfo<Balance> {
    /// Of a transaction that costs nothing.
    pub(crate) fn free(call: &impl GetDispatchInfo) -> Self {
        let info = call.get_dispatch_info();
        Self { weight: info.total_weight(), class: info.class, partial_fee: 0 }
    }
}

impl FeeDetails<Balance> {
    /// Nothing.
    pub(crate) const NONE: Self =
        Self { inclusion_fee: Some(InclusionFee { base_fee: 0, len_fee: 0, adjusted_weight_fee: 0 }), tip: 0 };
}
