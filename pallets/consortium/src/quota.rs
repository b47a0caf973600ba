//! Who may sign, and how much: nothing is paid for on a chain of institutions, so each has a bucket of tokens instead.

use crate::pallet::{Config, Pallet, Quota};
use codec::{Decode, DecodeWithMemTracking, Encode};
use consilium_primitives::blocks;
use core::fmt;
use frame_support::{
    dispatch::DispatchInfo,
    pallet_prelude::TransactionSource,
    traits::{Contains, Get},
    weights::Weight,
};
use frame_system::{CheckNonce, Pallet as System};
use scale_info::TypeInfo;
use sp_runtime::{
    traits::{
        AsSystemOriginSigner, DispatchInfoOf, Dispatchable, PostDispatchInfoOf, Saturating, TransactionExtension,
        ValidateResult,
    },
    transaction_validity::{InvalidTransaction, TransactionValidityError, ValidTransaction},
    DispatchResult,
};

/// Tokens of an institution that has not called for a while.
pub const BURST: u32 = 60;
/// A token comes back after so long, in milliseconds.
pub const REFILL_MILLIS: u64 = 10_000;
/// Bytes of a transaction that one token pays for.
pub const BYTES_PER_TOKEN: u32 = 4096;
/// So far ahead of its account's a nonce may be. With one transaction for each nonce, that is what one account can have ready in the
/// pool. It does not bound the pool's queue of those whose turn has not come: it may hold any number with one nonce, and ends at the
/// pool's own limit for all accounts together.
pub const MOST_AHEAD: u32 = 8;

/// Most bytes of signed transactions that one institution can get into the blocks of a day.
pub const MOST_BYTES_A_DAY: u64 = (86_400_000 / REFILL_MILLIS + BURST as u64) * BYTES_PER_TOKEN as u64;

/// Tokens that a transaction of `len` bytes costs: one, and more where it is long.
pub fn cost(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX).div_ceil(BYTES_PER_TOKEN).max(1)
}

impl<T: Config> Pallet<T> {
    /// The tokens that `who` has now, and the block from which on the next one is counted.
    pub(crate) fn tokens(who: &T::AccountId) -> (u32, u32) {
        let now = Self::now();
        let Some((left, at)) = Quota::<T>::get(who) else { return (BURST, now) };
        let every = blocks(REFILL_MILLIS);
        let come = now.saturating_sub(at).checked_div(every).unwrap_or(0);
        let tokens = left.saturating_add(come);
        if tokens >= BURST {
            (BURST, now)
        } else {
            (tokens, at.saturating_add(come.saturating_mul(every)))
        }
    }

    /// Takes `cost` tokens of `who`, or nothing if there are fewer.
    pub(crate) fn take_tokens(who: &T::AccountId, cost: u32) -> bool {
        let (tokens, at) = Self::tokens(who);
        let Some(left) = tokens.checked_sub(cost) else { return false };
        if cost > 0 {
            Quota::<T>::insert(who, (left, at));
        }
        true
    }
}

/// [`CheckNonce`], and with it who may sign: the account that signs for an institution, and for as many transactions as the
/// institution has tokens ([`BURST`], [`REFILL_MILLIS`], [`BYTES_PER_TOKEN`]). On the wire it is `CheckNonce`, under that
/// name, so that clients need to know nothing of it. Calls that are not signed pass.
///
/// Refusals: `BadSigner` to who signs for no institution; those of [`CheckNonce`]; `Future` where the nonce is more than
/// [`MOST_AHEAD`] ahead; `ExhaustsResources` where the tokens do not suffice. A transaction longer than all of them pay for
/// is never taken.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo)]
#[scale_info(skip_type_params(T))]
pub struct CheckQuota<T: frame_system::Config>(pub CheckNonce<T>);

impl<T: frame_system::Config> CheckQuota<T> {
    /// With this nonce.
    pub fn from(nonce: T::Nonce) -> Self {
        Self(CheckNonce::from(nonce))
    }
}

impl<T: frame_system::Config> fmt::Debug for CheckQuota<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckQuota({:?})", self.0)
    }
}

/// Who is to pay how many tokens; nobody where the call is not signed.
type Due<T> = Option<(Signer<T>, Signer<T>, u32)>;
type Signer<T> = <T as frame_system::Config>::AccountId;

impl<T: Config + Send + Sync> TransactionExtension<<T as frame_system::Config>::RuntimeCall> for CheckQuota<T>
where
    <T as frame_system::Config>::RuntimeCall: Dispatchable<Info = DispatchInfo>,
    <<T as frame_system::Config>::RuntimeCall as Dispatchable>::RuntimeOrigin:
        AsSystemOriginSigner<T::AccountId> + Clone,
{
    const IDENTIFIER: &'static str = "CheckNonce";
    type Implicit = ();
    type Val = Due<T>;
    /// Weight that was not needed.
    type Pre = Weight;

    fn weight(&self, call: &<T as frame_system::Config>::RuntimeCall) -> Weight {
        // not measured: signer, institution, quota
        self.0.weight(call).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }

    fn validate(
        &self,
        origin: <T as frame_system::Config>::RuntimeOrigin,
        call: &<T as frame_system::Config>::RuntimeCall,
        _info: &DispatchInfoOf<<T as frame_system::Config>::RuntimeCall>,
        len: usize,
        _self_implicit: Self::Implicit,
        _inherited_implication: &impl Encode,
        _source: TransactionSource,
    ) -> ValidateResult<Self::Val, <T as frame_system::Config>::RuntimeCall> {
        let Some(signer) = origin.as_system_origin_signer() else {
            return Ok((ValidTransaction::default(), None, origin));
        };
        let nonce = self.0 .0;
        // first: an outsider has no account either, and would be told that it has too little money
        let institution = Pallet::<T>::signs_for(signer).ok_or(InvalidTransaction::BadSigner)?;
        let valid = CheckNonce::<T>::validate_nonce_for_account(signer, nonce)?;
        if nonce.saturating_sub(System::<T>::account_nonce(signer)) > MOST_AHEAD.into() {
            return Err(InvalidTransaction::Future.into());
        }
        let cost = if T::Unmetered::contains(call) { 0 } else { cost(len) };
        if Pallet::<T>::tokens(&institution).0 < cost {
            return Err(InvalidTransaction::ExhaustsResources.into());
        }
        let valid = ValidTransaction { provides: valid.provides, requires: valid.requires, ..Default::default() };
        let due = Some((signer.clone(), institution, cost));
        Ok((valid, due, origin))
    }

    fn prepare(
        self,
        due: Self::Val,
        _origin: &<T as frame_system::Config>::RuntimeOrigin,
        call: &<T as frame_system::Config>::RuntimeCall,
        _info: &DispatchInfoOf<<T as frame_system::Config>::RuntimeCall>,
        _len: usize,
    ) -> Result<Self::Pre, TransactionValidityError> {
        let Some((signer, institution, cost)) = due else { return Ok(self.weight(call)) };
        if !Pallet::<T>::take_tokens(&institution, cost) {
            return Err(InvalidTransaction::ExhaustsResources.into());
        }
        CheckNonce::<T>::prepare_nonce_for_account(&signer, self.0 .0)?;
        Ok(Weight::zero())
    }

    fn post_dispatch_details(
        unspent: Self::Pre,
        _info: &DispatchInfo,
        _post_info: &PostDispatchInfoOf<<T as frame_system::Config>::RuntimeCall>,
        _len: usize,
        _result: &DispatchResult,
    ) -> Result<Weight, TransactionValidityError> {
        Ok(unspent)
    }
}
