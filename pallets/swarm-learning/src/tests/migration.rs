//! Studies that an older runtime has stored.

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{round::Phase, VoteBody, SLOT_MILLIS_BEFORE_5};
use frame_support::{
    storage::unhashed,
    traits::{Hooks, StorageVersion},
};

/// Stores every study as runtime 4 did: without the length of a slot, and what pauses need to end by themselves, at its end.
fn as_before_5() {
    for (study, info) in Studies::<Test>::iter() {
        let bytes = info.encode();
        let it = &info.state;
        let later = (it.slot_millis, it.base_round, it.taken_up, it.tries, &it.presence).encoded_size()
            + (&it.ahead, &it.last, &it.missed, it.unawaited, &it.masking).encoded_size();
        let shorter = &bytes[..bytes.len() - later];
        unhashed::put_raw(&Studies::<Test>::hashed_key_for(study), shorter);
    }
    StorageVersion::new(1).put::<Swarm>();
}

#[test]
fn studies_that_run_go_on_and_their_deadlines_are_as_far_away_in_time() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        let ended = NextStudy::<Test>::get();
        register(1, rules()).unwrap();
        Swarm::abort(signed(1), ended).unwrap();
        to_block(3);
        let (before, over) = (info(study), info(ended));
        let planned = Scheduled::<Test>::get(study).unwrap();
        as_before_5();
        assert_eq!(info(study).state.slot_millis, SLOT_MILLIS_BEFORE_5);

        Swarm::on_runtime_upgrade();
        assert_eq!(StorageVersion::get::<Swarm>(), 5);
        let after = info(study);
        assert_eq!(after.agreement, before.agreement, "what was signed stays");
        assert_eq!(after.state.rules, before.state.rules);
        assert_eq!(after.state.deadline(), Some(3 + 4 * (planned - 3)));
        assert_eq!(Scheduled::<Test>::get(study), after.state.deadline());
        assert!(Agenda::<Test>::get(planned).is_empty());
        assert_eq!(info(ended).state.phase, over.state.phase);
        // written anew, so that everybody who goes by the metadata can read it
        let raw = unhashed::get_raw(&Studies::<Test>::hashed_key_for(ended)).unwrap();
        assert_eq!(raw, info(ended).encode());
        Swarm::do_try_state().unwrap();

        // only once
        Swarm::on_runtime_upgrade();
        assert_eq!(info(study), after);
        // a duty that was open is still the same one
        assert!(matches!(after.state.phase, Phase::Init { .. }));
        answer(0, study, VoteBody::Root(hash(1)));
    });
}

#[test]
fn studies_of_runtime_5_are_written_with_what_was_unknown_then() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        to_block(3);
        let before = info(study);
        let planned = Scheduled::<Test>::get(study);
        let bytes = before.encode();
        let it = &before.state;
        let later = (&it.ahead, &it.last, &it.missed, it.unawaited, &it.masking).encoded_size();
        let key = Studies::<Test>::hashed_key_for(study);
        unhashed::put_raw(&key, &bytes[..bytes.len() - later]);
        StorageVersion::new(2).put::<Swarm>();

        Swarm::on_runtime_upgrade();
        assert_eq!(StorageVersion::get::<Swarm>(), 5);
        assert_eq!(unhashed::get_raw(&key).unwrap(), bytes);
        assert_eq!((info(study), Scheduled::<Test>::get(study)), (before, planned), "no deadline has moved");
        Swarm::do_try_state().unwrap();
        // an update that was asked for before is taken
        answer(0, study, update(1, None));
    });
}

#[test]
fn in_studies_of_runtime_7_nobody_has_missed_a_round() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        answer(0, study, update(1, None));
        to_block(3);
        let before = info(study);
        let planned = Scheduled::<Test>::get(study);
        let bytes = before.encode();
        let later = (&before.state.missed, before.state.unawaited, &before.state.masking).encoded_size();
        let key = Studies::<Test>::hashed_key_for(study);
        unhashed::put_raw(&key, &bytes[..bytes.len() - later]);
        StorageVersion::new(3).put::<Swarm>();

        Swarm::on_runtime_upgrade();
        assert_eq!(StorageVersion::get::<Swarm>(), 5);
        assert_eq!(unhashed::get_raw(&key).unwrap(), bytes, "written with what was unknown then");
        assert_eq!((info(study), Scheduled::<Test>::get(study)), (before, planned), "no deadline has moved");
        Swarm::do_try_state().unwrap();
        // what was asked for before is taken, and the round that was open waits for all
        answer(1, study, update(2, None));
        assert!(matches!(info(study).state.phase, Phase::Collecting(_)));
        answer(2, study, update(3, None));
        assert!(matches!(info(study).state.phase, Phase::Merging(_)));
    });
}

#[test]
fn studies_of_runtime_8_go_on_and_nothing_of_them_is_masked() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        answer(0, study, update(1, None));
        to_block(3);
        let before = info(study);
        let planned = Scheduled::<Test>::get(study);
        let bytes = before.encode();
        let key = Studies::<Test>::hashed_key_for(study);
        unhashed::put_raw(&key, &bytes[..bytes.len() - before.state.masking.encoded_size()]);
        StorageVersion::new(4).put::<Swarm>();
        // it is read as it was before the upgrade, too
        assert_eq!(info(study), before);

        Swarm::on_runtime_upgrade();
        assert_eq!(StorageVersion::get::<Swarm>(), 5);
        assert_eq!(unhashed::get_raw(&key).unwrap(), bytes, "written with what was unknown then");
        assert_eq!((info(study), Scheduled::<Test>::get(study)), (before, planned), "no deadline has moved");
        // the agreement is that of the same bytes: it is compared with them here
        Swarm::do_try_state().unwrap();
        assert!(Swarm::masked_blobs().is_empty());
        answer(1, study, update(2, None));
        answer(2, study, update(3, None));
        assert!(matches!(info(study).state.phase, Phase::Merging(_)));
    });
}
