//! What an institution does for itself, and what others may ask about it.

use super::*;
use crate::{peer_id_claim, peer_id_of, Error, Event, Institutions, PeerIds, Profile};
use frame_support::{assert_noop, assert_ok};
use sp_core::{Pair, H256};
use sp_runtime::DispatchError::BadOrigin;

fn signed(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn profile(text: &[u8]) -> Profile {
    text.to_vec().try_into().unwrap()
}

#[test]
fn an_institution_describes_itself() {
    run(|| {
        let text = profile("https://hospital-a.example\nTumorboard Süd".as_bytes());
        assert_ok!(Consortium::set_profile(signed(1), text.clone()));
        assert_eq!(stored(1).profile, text);
        assert_eq!(last_event(), Event::ProfileSet { institution: 1 }.into());
        assert_ok!(Consortium::set_profile(signed(1), profile(b"")));
    });
}

#[test]
fn a_profile_is_plain_text_of_an_institution() {
    run(|| {
        assert_noop!(Consortium::set_profile(signed(7), profile(b"x")), Error::<Test>::NotAnInstitution);
        assert_noop!(Consortium::set_profile(signed(1), profile(b"\xff")), Error::<Test>::InvalidProfile);
        assert_noop!(Consortium::set_profile(signed(1), profile(b"\x1b[2J")), Error::<Test>::InvalidProfile);
        assert_noop!(Consortium::set_profile(signed(1), profile("\u{2066}".as_bytes())), Error::<Test>::InvalidProfile);
    });
}

#[test]
fn a_node_key_claims_its_peer_id_for_its_institution() {
    run(|| {
        let (key, signature) = claim(&node_key(1), 1);
        assert_ok!(Consortium::set_peer_id(signed(1), key, signature));
        let peer_id = peer_id_of(&key);
        assert_eq!(stored(1).peer_id, Some(peer_id.clone()));
        assert_eq!(PeerIds::<Test>::get(&peer_id), Some(1));
        assert_eq!(Consortium::peer_id(&1), Some(peer_id.to_vec()));
        assert_eq!(last_event(), Event::PeerIdSet { institution: 1, peer_id }.into());
        assert_ok!(Consortium::set_peer_id(signed(1), key, signature));
    });
}

#[test]
fn a_new_peer_id_counts_beside_the_old_one_for_an_hour() {
    run(|| {
        let peer_ids = |who: usize| Consortium::members()[who - 1].peer_ids.clone();
        let (old, signature) = claim(&node_key(1), 1);
        assert_ok!(Consortium::set_peer_id(signed(1), old, signature));
        let (new, signature) = claim(&node_key(2), 1);
        assert_ok!(Consortium::set_peer_id(signed(1), new, signature));
        assert_eq!(peer_ids(1), vec![peer_id_of(&new).to_vec(), peer_id_of(&old).to_vec()]);
        let (key, signature) = claim(&node_key(1), 2);
        assert_noop!(Consortium::set_peer_id(signed(2), key, signature), Error::<Test>::PeerIdTaken);
        jump(1 + blocks(crate::PREVIOUS_MILLIS));
        assert_eq!(peer_ids(1).len(), 2);
        jump(2 + blocks(crate::PREVIOUS_MILLIS));
        assert_eq!(peer_ids(1), vec![peer_id_of(&new).to_vec()]);
        assert_ok!(Consortium::set_peer_id(signed(2), key, signature));
        assert_eq!((peer_ids(1).len(), peer_ids(2)), (1, vec![peer_id_of(&old).to_vec()]));
    });
}

#[test]
fn a_third_peer_id_within_the_hour_gives_up_the_first() {
    run(|| {
        for seed in 1..=3 {
            let (key, signature) = claim(&node_key(seed), 1);
            assert_ok!(Consortium::set_peer_id(signed(1), key, signature));
        }
        let id = |seed: u8| peer_id_of(&node_key(seed).public().0);
        assert_eq!(PeerIds::<Test>::get(id(1)), None);
        assert_eq!(Consortium::members()[0].peer_ids, vec![id(3).to_vec(), id(2).to_vec()]);
        // back to the one before
        let (key, signature) = claim(&node_key(2), 1);
        assert_ok!(Consortium::set_peer_id(signed(1), key, signature));
        assert_eq!(Consortium::members()[0].peer_ids, vec![id(2).to_vec(), id(3).to_vec()]);
    });
}

#[test]
fn a_peer_id_belongs_to_one_institution_only() {
    run(|| {
        let (key, signature) = claim(&node_key(1), 1);
        assert_ok!(Consortium::set_peer_id(signed(1), key, signature));
        let (key, signature) = claim(&node_key(1), 2);
        assert_noop!(Consortium::set_peer_id(signed(2), key, signature), Error::<Test>::PeerIdTaken);
    });
}

#[test]
fn a_claim_counts_for_its_own_key_institution_and_chain_only() {
    run(|| {
        let refused = || Error::<Test>::InvalidPeerIdSignature;
        let (key, signature) = claim(&node_key(1), 1);
        assert_noop!(Consortium::set_peer_id(signed(2), key, signature), refused());
        assert_noop!(Consortium::set_peer_id(signed(1), node_key(2).public().0, signature), refused());
        assert_noop!(Consortium::set_peer_id(signed(1), key, [0; 64]), refused());
        let mut flipped = signature;
        flipped[0] ^= 1;
        assert_noop!(Consortium::set_peer_id(signed(1), key, flipped), refused());
        let (key, elsewhere) = claim_on(H256::repeat_byte(9), &node_key(1), 1);
        assert_noop!(Consortium::set_peer_id(signed(1), key, elsewhere), refused());
    });
}

#[test]
fn only_an_institution_claims_a_peer_id() {
    run(|| {
        let (key, signature) = claim(&node_key(7), 7);
        assert_noop!(Consortium::set_peer_id(signed(7), key, signature), Error::<Test>::NotAnInstitution);
    });
}

/// Bytes by Python: `cryptography` 48, key from seed 00..01, whose peer id in base58 is
/// 12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp, genesis 45..45, account 7 as u64; see `claim.py`.
#[test]
fn peer_id_and_claim_have_the_bytes_that_an_independent_program_makes() {
    let bytes = |text: &str| sp_core::bytes::from_hex(text).unwrap();
    let key: [u8; 32] = bytes("0x4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29").try_into().unwrap();
    let peer_id = bytes("0x0024080112204cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29");
    assert_eq!(peer_id_of(&key).to_vec(), peer_id);
    assert_eq!(crate::node_key_of(&peer_id), Some(key));
    assert_eq!(crate::node_key_of(&peer_id[1..]), None);
    assert_eq!(crate::node_key_of(&peer_id[..37]), None);
    assert_eq!(
        peer_id_claim(&[0x45; 32], &7u64, &peer_id),
        bytes(
            "0x636f6e73696c69756d2f706565722f314545454545454545454545454545454545454545454545454545454545454545\
             07000000000000000024080112204cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29"
        )
    );
    let signature: [u8; 64] = bytes(
        "0x91459a73e252ab490e2abbdfb8be2f097b4690a33e0d6f7e57267e65a9c17ee0\
         548d30c2c0bc6d61c88023292f228417f6251d6ac33fa53fbf6bff94bba1ce00",
    )
    .try_into()
    .unwrap();
    run(|| {
        // The mock's genesis hash is 45..45, which is what makes the signature valid here.
        assert_eq!(System::block_hash(0), H256::repeat_byte(0x45));
        assert_ok!(Consortium::do_admit(7, name("G"), false, true));
        assert_ok!(Consortium::set_peer_id(signed(7), key, signature));
    });
}

#[test]
fn a_suspended_institution_may_replace_its_node_key_and_profile_and_leave() {
    run(|| {
        assert_ok!(Consortium::do_suspend(4));
        let (key, signature) = claim(&node_key(4), 4);
        assert_ok!(Consortium::set_peer_id(signed(4), key, signature));
        assert_eq!(Consortium::peer_id(&4), Some(peer_id_of(&key).to_vec()));
        assert_ok!(Consortium::set_profile(signed(4), profile(b"node replaced")));
        assert_ok!(Consortium::leave(signed(4)));
    });
}

#[test]
fn an_institution_leaves_of_its_own_will() {
    run(|| {
        assert_ok!(Consortium::leave(signed(4)));
        assert_eq!(last_event(), Event::Left { institution: 4 }.into());
        assert_eq!(Departed::get(), vec![4]);
        assert!(!Consortium::is_member(&4));
        assert_noop!(Consortium::leave(signed(4)), Error::<Test>::NotAnInstitution);
    });
}

#[test]
fn the_last_validators_cannot_leave() {
    run(|| {
        assert_ok!(Consortium::leave(signed(1)));
        assert_noop!(Consortium::leave(signed(2)), Error::<Test>::TooFewValidators);
    });
}

#[test]
fn nobody_acts_for_an_institution_without_its_signature() {
    run(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Consortium::set_profile(origin.clone(), profile(b"x")), BadOrigin);
            assert_noop!(Consortium::set_peer_id(origin.clone(), [0; 32], [0; 64]), BadOrigin);
            assert_noop!(Consortium::leave(origin), BadOrigin);
        }
    });
}

#[test]
fn other_pallets_see_all_institutions_in_order_of_their_accounts() {
    run(|| {
        assert_ok!(Consortium::do_suspend(2));
        let all = <Consortium as Institutions<u64>>::all();
        assert_eq!(all.iter().map(|(who, _)| *who).collect::<Vec<_>>(), vec![1, 2, 3, 4]);
        assert!(all[1].1.suspended);
        assert!(Consortium::is_participant(&4) && !Consortium::is_participant(&7));
        assert!(!Consortium::is_member(&7));
        assert_eq!(Consortium::peer_id(&7), None);
        assert_eq!(Consortium::validator_count(), 2);
    });
}
