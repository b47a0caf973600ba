//! Budgets of data sets: what all studies together may cost one, at which δ, and of whom it counts. The sums are
//! [`consilium_primitives::budget`]'s; no study is charged until studies with privacy are taken.

use crate::{
    pallet::{block_number, *},
    MAX_DATASETS,
};
use consilium_primitives::{
    budget::{Budget, BudgetError},
    Hash, InstitutionId, PrivacyUnit,
};
use frame_support::pallet_prelude::*;

impl<T> From<BudgetError> for Error<T> {
    fn from(error: BudgetError) -> Self {
        match error {
            BudgetError::Limit => Error::BadLimit,
            BudgetError::Delta => Error::BadDelta,
            BudgetError::NoChange => Error::LimitStays,
            // nothing is charged yet
            BudgetError::Unit | BudgetError::OverBudget => Error::PrivacyNotYet,
        }
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_declare(
        institution: InstitutionId,
        dataset: Hash,
        limit_micro: u32,
        delta_exp: u8,
        unit: PrivacyUnit,
    ) -> DispatchResult {
        ensure!(!Budgets::<T>::contains_key(institution, dataset), Error::<T>::HasBudget);
        let many = Datasets::<T>::get(institution);
        ensure!(many < MAX_DATASETS, Error::<T>::TooManyDatasets);
        let budget = Budget::declare(limit_micro, delta_exp, unit).map_err(Error::<T>::from)?;
        Budgets::<T>::insert(institution, dataset, budget);
        Datasets::<T>::insert(institution, many.saturating_add(1));
        let from = block_number::<T>(frame_system::Pallet::<T>::block_number());
        Self::deposit_event(Event::BudgetSet { institution, dataset, limit_micro, from });
        Ok(())
    }

    pub(crate) fn do_raise(institution: InstitutionId, dataset: Hash, limit_micro: u32) -> DispatchResult {
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let mut budget = Budgets::<T>::get(institution, dataset).ok_or(Error::<T>::NoBudget)?;
        let from = budget.raise(limit_micro, now).map_err(Error::<T>::from)?;
        Budgets::<T>::insert(institution, dataset, budget);
        Self::deposit_event(Event::BudgetSet { institution, dataset, limit_micro, from });
        Ok(())
    }

    pub(crate) fn do_lower(institution: InstitutionId, dataset: Hash, limit_micro: u32) -> DispatchResult {
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let mut budget = Budgets::<T>::get(institution, dataset).ok_or(Error::<T>::NoBudget)?;
        budget.lower(limit_micro, now).map_err(Error::<T>::from)?;
        Budgets::<T>::insert(institution, dataset, budget);
        Self::deposit_event(Event::BudgetSet { institution, dataset, limit_micro, from: now });
        Ok(())
    }

    /// Whether budgets are counted right, and none is spent beyond its limit.
    ///
    /// # Errors
    /// What is not so.
    #[cfg(any(feature = "try-runtime", test))]
    pub(crate) fn try_budgets() -> Result<(), sp_runtime::TryRuntimeError> {
        for (institution, many) in Datasets::<T>::iter() {
            let declared = Budgets::<T>::iter_prefix(institution).count();
            ensure!(declared == many as usize && many <= MAX_DATASETS, "budgets are not as many as are counted");
        }
        for (institution, _, budget) in Budgets::<T>::iter() {
            ensure!(Datasets::<T>::contains_key(institution), "a budget that is not counted");
            ensure!(budget.limit_micro(0) > 0, "a budget of nothing");
        }
        Ok(())
    }
}
