//! Another account signs for an institution.

use super::*;
use crate::{Error, Event, PendingUpgrade, Removed, SignerOf, Signers, VOICE_MILLIS};
use frame_support::{assert_noop, assert_ok};

fn set_profile(who: u64) -> DispatchResult {
    Consortium::set_profile(RuntimeOrigin::signed(who), b"x".to_vec().try_into().unwrap())
}

#[test]
fn the_new_account_acts_for_the_same_institution_and_the_old_one_no_longer() {
    run(|| {
        all_vote(Motion::RotateAccount { who: 4, to: 44 }, [2, 3]);
        assert!(System::events()
            .iter()
            .any(|it| it.event == Event::AccountRotated { institution: 4, account: 44 }.into()));
        assert_noop!(set_profile(4), Error::<Test>::NotAnInstitution);
        assert_noop!(propose(4, upgrade()), Error::<Test>::NotAnInstitution);
        assert_ok!(set_profile(44));
        assert_eq!(stored(4).profile.to_vec(), b"x");
        assert_eq!((Consortium::signs_for(&44), Consortium::signs_for(&4)), (Some(4), None));
        assert_eq!(System::providers(&44), 1);

        assert_ok!(propose(1, Motion::Suspend { who: 2 }));
        let id = crate::NextMotion::<Test>::get() - 1;
        assert_ok!(vote(44, id, true));
        assert!(crate::Motions::<Test>::get(id).unwrap().ayes.contains(&4));
        let (key, signature) = claim(&node_key(4), 4);
        assert_ok!(Consortium::set_peer_id(RuntimeOrigin::signed(44), key, signature));
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(44)));
        assert_eq!((System::providers(&44), System::providers(&4)), (0, 0));
        assert!(Signers::<Test>::iter().next().is_none() && SignerOf::<Test>::iter().next().is_none());
    });
}

#[test]
fn an_account_signs_for_one_institution_at_most() {
    run(|| {
        assert_noop!(Consortium::do_rotate_account(9, 44), Error::<Test>::NotAnInstitution);
        assert_noop!(Consortium::do_rotate_account(4, 1), Error::<Test>::AccountTaken);
        assert_noop!(Consortium::do_rotate_account(4, 4), Error::<Test>::AccountTaken);
        assert_ok!(Consortium::do_rotate_account(4, 44));
        assert_noop!(Consortium::do_rotate_account(3, 44), Error::<Test>::AccountTaken);
        assert_noop!(Consortium::do_rotate_account(4, 44), Error::<Test>::AccountTaken);
        assert_noop!(Consortium::do_admit(44, name("X"), false, true), Error::<Test>::AccountTaken);
        assert_ok!(Consortium::do_rotate_account(4, 45));
        assert_eq!((Consortium::signs_for(&44), Consortium::signs_for(&45)), (None, Some(4)));
        assert_eq!((System::providers(&44), System::providers(&45)), (0, 1));
    });
}

#[test]
fn taking_over_an_account_gives_no_majority_the_code_for_fourteen_days() {
    run_of(7, || {
        all_vote(Motion::RotateAccount { who: 7, to: 77 }, 2..=5);
        all_vote(Motion::RotateAccount { who: 6, to: 66 }, 2..=5);
        all_vote(upgrade(), [2, 3, 4, 5, 77, 66]);
        assert!(PendingUpgrade::<Test>::get().is_none(), "two voices are counted and not heard");
        // nor by leaving with it
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(77)));
        assert_eq!(Removed::<Test>::get().into_inner(), vec![(7, 1)]);
        assert_ok!(vote(2, 2, true));
        assert!(PendingUpgrade::<Test>::get().is_none());
        jump(blocks(VOICE_MILLIS) + 1);
        all_vote(upgrade(), [2, 3, 4, 66]);
        assert!(PendingUpgrade::<Test>::get().is_some(), "five of six, fourteen days later");
    });
}
