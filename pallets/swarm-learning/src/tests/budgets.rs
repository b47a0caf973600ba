//! Budgets of data sets.

use crate::{mock::*, *};
use consilium_primitives::{
    budget::{dataset_id, RAISE_BLOCKS},
    PrivacyUnit,
};
use frame_support::{assert_noop, assert_ok};

#[test]
fn a_budget_is_declared_once_raised_after_seven_days_and_lowered_at_once() {
    run(|| {
        let set = dataset_id(&id(1), "oncology-2026");
        let limit = |block: u32| Budgets::<Test>::get(id(1), set).unwrap().limit_micro(block);
        assert_noop!(Swarm::raise_budget(signed(1), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::lower_budget(signed(1), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::declare_budget(signed(1), set, 0, 5, PrivacyUnit::Patient), Error::<Test>::BadLimit);
        assert_noop!(Swarm::declare_budget(signed(1), set, 1, 2, PrivacyUnit::Patient), Error::<Test>::BadDelta);
        assert_ok!(Swarm::declare_budget(signed(1), set, 4_000_000, 5, PrivacyUnit::Patient));
        assert_noop!(Swarm::declare_budget(signed(1), set, 9, 5, PrivacyUnit::Patient), Error::<Test>::HasBudget);
        // another institution's data set of this name is another one
        assert_noop!(Swarm::lower_budget(signed(2), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::raise_budget(signed(1), set, 4_000_000), Error::<Test>::LimitStays);
        assert_ok!(Swarm::raise_budget(signed(1), set, 8_000_000));
        let from = System::block_number() + RAISE_BLOCKS;
        assert_eq!((limit(from - 1), limit(from)), (4_000_000, 8_000_000));
        let told = Event::<Test>::BudgetSet { institution: id(1), dataset: set, limit_micro: 8_000_000, from };
        assert!(System::events().iter().any(|record| record.event == RuntimeEvent::Swarm(told.clone())));
        assert_noop!(Swarm::lower_budget(signed(1), set, 4_000_000), Error::<Test>::LimitStays);
        assert_ok!(Swarm::lower_budget(signed(1), set, 1_000_000));
        assert_eq!(limit(from), 1_000_000, "a higher one that waits is off");
        shut_out(account(3));
        assert_noop!(Swarm::declare_budget(signed(3), set, 9, 5, PrivacyUnit::Record), Error::<Test>::NotAParticipant);
    });
}

#[test]
fn an_institution_declares_so_many_budgets_and_no_more() {
    run(|| {
        let set = |n: u32| dataset_id(&id(1), &format!("set-{n}"));
        for n in 0..MAX_DATASETS {
            assert_ok!(Swarm::declare_budget(signed(1), set(n), 1, 5, PrivacyUnit::Record));
        }
        let one_more = Swarm::declare_budget(signed(1), set(MAX_DATASETS), 1, 5, PrivacyUnit::Record);
        assert_eq!(one_more, Err(Error::<Test>::TooManyDatasets.into()));
        assert_ok!(Swarm::declare_budget(signed(2), set(0), 1, 5, PrivacyUnit::Record));
    });
}
