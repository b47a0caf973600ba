//! Who signs for which institution.

use crate::pallet::{Config, Error, Event, Institutions, Leaving, Pallet, SignerOf, Signers};
use frame_support::{dispatch::DispatchResult, ensure};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
    /// The institution for which `signer` signs: another's, or itself unless another account signs for it.
    pub fn signs_for(signer: &T::AccountId) -> Option<T::AccountId> {
        Signers::<T>::get(signer).or_else(|| {
            let itself = Institutions::<T>::contains_key(signer) && !SignerOf::<T>::contains_key(signer);
            itself.then(|| signer.clone())
        })
    }

    /// The institution that a call is signed for.
    pub(crate) fn institution_of(origin: OriginFor<T>) -> Result<T::AccountId, DispatchError> {
        let signer = ensure_signed(origin)?;
        Ok(Self::signs_for(&signer).ok_or(Error::<T>::NotAnInstitution)?)
    }

    /// Lets `to` sign for `who` in place of who did so far.
    pub(crate) fn do_rotate_account(who: T::AccountId, to: T::AccountId) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        Self::ensure_free(&to)?;

        Self::forget_signer(&who);
        frame_system::Pallet::<T>::inc_providers(&to);
        Signers::<T>::insert(&to, &who);
        SignerOf::<T>::insert(&who, &to);
        institution.rotated_at = Some(Self::now());
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::AccountRotated { institution: who, account: to });
        Ok(())
    }

    /// Refuses an account that an institution has, or signs with.
    pub(crate) fn ensure_free(account: &T::AccountId) -> Result<(), Error<T>> {
        ensure!(!Institutions::<T>::contains_key(account), Error::<T>::AccountTaken);
        ensure!(!Signers::<T>::contains_key(account), Error::<T>::AccountTaken);
        ensure!(!Leaving::<T>::contains_key(account), Error::<T>::StillLeaving);
        Ok(())
    }

    /// Nobody but itself signs for `who` any more, and the account that did ceases to be.
    pub(crate) fn forget_signer(who: &T::AccountId) {
        if let Some(signer) = SignerOf::<T>::take(who) {
            Signers::<T>::remove(&signer);
            let gone = frame_system::Pallet::<T>::dec_providers(&signer);
            debug_assert!(gone.is_ok(), "nothing consumes an account that signs for another");
        }
    }
}
