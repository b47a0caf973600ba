//! Budgets of data sets: what all studies together may cost one, at which δ, and of whom it counts; and what private studies are
//! charged to them. The sums are [`consilium_primitives::budget`]'s.
//!
//! An update is charged in the block that it is committed in: once for each round on one model, however often its author must commit to
//! it. Nothing is given back, not for a round that is void, nor for an update that is dropped.

use crate::{
    orders::Asked,
    pallet::{block_number, *},
    types::{Around, Counted},
    MAX_DATASETS,
};
use consilium_primitives::{
    budget::{Budget, BudgetError},
    round::{Kind, Surroundings},
    DutyKind, Hash, InstitutionId, Privacy, PrivacyUnit, StudyId,
};
use frame_support::pallet_prelude::*;

impl<T> From<BudgetError> for Error<T> {
    fn from(error: BudgetError) -> Self {
        match error {
            BudgetError::Limit => Error::BadLimit,
            BudgetError::Delta => Error::BadDelta,
            BudgetError::NoChange => Error::LimitStays,
            BudgetError::Unit => Error::OtherUnit,
            BudgetError::OtherDelta => Error::OtherDelta,
            BudgetError::OverBudget => Error::OverBudget,
        }
    }
}

/// Whether what one more training costs fits the budget that a participant of a study counts for. One that was charged already costs
/// nothing more.
pub(crate) fn affords<T: Config>(
    study: StudyId,
    now: u32,
    who: &InstitutionId,
    privacy: &Privacy,
    training: (u32, Hash),
) -> bool {
    let Some(counted) = Counts::<T>::get(study, who) else { return false };
    let room = |budget: Budget| budget.affords(privacy, now).is_ok();
    counted.last == Some(training) || Budgets::<T>::get(who, counted.dataset).is_some_and(room)
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

    /// What a participant that enrols counts for; none where nothing is promised.
    ///
    /// # Errors
    /// It names no data set though the study is private, or one though it is not; another than before; one whose budget is not there,
    /// counts otherwise, or has no room for a single round.
    pub(crate) fn counted(
        who: &InstitutionId,
        study: StudyId,
        privacy: Option<&Privacy>,
        dataset: Option<Hash>,
    ) -> Result<Option<Counted>, Error<T>> {
        let (privacy, dataset) = match (privacy, dataset) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(Error::NothingCounted),
            (Some(_), None) => return Err(Error::NoDataset),
            (Some(privacy), Some(dataset)) => (privacy, dataset),
        };
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let budget = Budgets::<T>::get(who, dataset).ok_or(Error::<T>::NoBudget)?;
        budget.affords(privacy, now).map_err(Error::<T>::from)?;
        match Counts::<T>::get(study, who) {
            Some(before) if before.dataset != dataset => Err(Error::OtherDataset),
            Some(before) => Ok(Some(before)),
            None => Ok(Some(Counted { dataset, rounds: 0, last: None })),
        }
    }

    /// Charges a training to the data set that its author counts for, where it was not charged already.
    pub(crate) fn charge(study: StudyId, who: InstitutionId, privacy: &Privacy, training: (u32, Hash)) {
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let Some(counted) = Counts::<T>::get(study, who).filter(|counted| counted.last != Some(training)) else {
            return;
        };
        let dataset = counted.dataset;
        let Some(mut budget) = Budgets::<T>::get(who, dataset) else { return };
        // that there is room was looked at when the vote was checked
        let charged = budget.charge(privacy, now);
        debug_assert!(charged.is_ok());
        let rounds = counted.rounds.saturating_add(1);
        Budgets::<T>::insert(who, dataset, budget);
        Counts::<T>::insert(study, who, Counted { dataset, rounds, last: Some(training) });
        let (institution, round, epsilon_micro) = (who, training.0, budget.epsilon_micro());
        Self::deposit_event(Event::Charged { institution, dataset, study, round, epsilon_micro });
    }

    /// Whether an update that is asked for could be taken: of a private study, only where its author's budget has room for it.
    pub(crate) fn affordable(asked: &Asked) -> bool {
        let duty = &asked.order.duty;
        let update = duty.kind == DutyKind::Train
            || duty.kind == DutyKind::Mask && asked.masked.as_ref().is_some_and(|masked| masked.kind == Kind::Model);
        if !update {
            return true;
        }
        let Some(info) = Studies::<T>::get(duty.study) else { return true };
        let Some(privacy) = &info.state.rules.privacy else { return true };
        let training = (info.state.round, info.state.base);
        Around::<T>::new(duty.study, info.agreement).affords(&duty.institution, privacy, training)
    }

    /// Whether budgets are counted right, and each holds exactly what the studies that are counted for it have charged.
    ///
    /// # Errors
    /// What is not so.
    #[cfg(any(feature = "try-runtime", test))]
    pub(crate) fn try_budgets() -> Result<(), sp_runtime::TryRuntimeError> {
        for (institution, many) in Datasets::<T>::iter() {
            let declared = Budgets::<T>::iter_prefix(institution).count();
            ensure!(declared == many as usize && many <= MAX_DATASETS, "budgets are not as many as are counted");
        }
        let mut charged = alloc::collections::BTreeMap::<(InstitutionId, Hash), [u64; 16]>::new();
        for (study, institution, counted) in Counts::<T>::iter() {
            let info = Studies::<T>::get(study).ok_or("a data set that is counted in no study")?;
            let privacy =
                info.state.rules.privacy.ok_or("a data set that is counted in a study that promises nothing")?;
            ensure!(info.state.position(&institution).is_some(), "a data set of somebody who is no member");
            ensure!(counted.last.is_some() == (counted.rounds > 0), "the last round that was charged is one of those");
            let sums = charged.entry((institution, counted.dataset)).or_insert([0; 16]);
            for (sum, spend) in sums.iter_mut().zip(privacy.spend) {
                *sum = sum.saturating_add(spend.saturating_mul(counted.rounds.into()));
            }
        }
        for (institution, dataset, budget) in Budgets::<T>::iter() {
            ensure!(Datasets::<T>::contains_key(institution), "a budget that is not counted");
            ensure!(budget.limit_micro(0) > 0, "a budget of nothing");
            let sums = charged.remove(&(institution, dataset)).unwrap_or([0; 16]);
            ensure!(*budget.spent() == sums, "a budget holds something else than was charged to it");
        }
        ensure!(charged.is_empty(), "something is charged to no budget");
        Ok(())
    }
}
