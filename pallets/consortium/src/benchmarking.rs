//! Benchmarks of every call and of planning a session, each with the most institutions that its cost can depend on.

use crate::{
    motion::{Keys, Proof},
    pallet::{Addresses, Call, Config, Institutions, Motions, Pallet, PlannedValidators},
    peer_id_of, ready_payload, Address, AddressList, BenchmarkHelper, Institution, Motion, Name, Open, Profile,
    MAX_ADDRESSES, MAX_NAME_LEN, MAX_PROFILE_LEN,
};
use alloc::{vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{
    assert_ok,
    pallet_prelude::TransactionSource,
    traits::{Authorize, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use pallet_session::SessionManager;
use sp_application_crypto::RuntimeAppPublic;
use sp_core::crypto::KeyTypeId;

const SEED: u32 = 0;
const NODE_KEY: KeyTypeId = KeyTypeId(*b"bnch");

fn longest_name() -> Name {
    Name::truncate_from(vec![b'n'; MAX_NAME_LEN as usize])
}

fn longest_profile() -> Profile {
    Profile::truncate_from(vec![b'p'; MAX_PROFILE_LEN as usize])
}

/// Takes away what the genesis may have brought, so that the number of institutions is the benchmark's own.
fn clear<T: Config>() {
    let _ = Institutions::<T>::clear(u32::MAX, None);
    PlannedValidators::<T>::kill();
}

/// An institution with both flags, session keys, the longest texts, and a peer id if asked for.
fn institution<T: Config>(index: u32) -> T::AccountId {
    let who: T::AccountId = account("institution", index, SEED);
    T::BenchmarkHelper::register_keys(&who);
    assert_ok!(Pallet::<T>::do_admit(who.clone(), longest_name(), true, true));
    assert_ok!(Pallet::<T>::do_set_profile(who.clone(), longest_profile()));
    step_in::<T>(&who);
    who
}

/// Takes it that the node of `who` has said that it is in step.
fn step_in<T: Config>(who: &T::AccountId) {
    Institutions::<T>::mutate(who, |it| {
        if let Some(it) = it {
            it.waits_since = None;
        }
    });
}

/// `n` institutions in all, of which the last is returned.
fn consortium<T: Config>(n: u32) -> T::AccountId {
    clear::<T>();
    for index in 1..n {
        institution::<T>(index);
    }
    institution::<T>(n)
}

fn stored<T: Config>(who: &T::AccountId) -> Result<Institution, BenchmarkError> {
    Institutions::<T>::get(who).ok_or(BenchmarkError::Stop("the institution is not stored"))
}

/// A fresh node key's claim for `who`: the key and its signature.
fn claim<T: Config>(who: &T::AccountId) -> Result<([u8; 32], [u8; 64]), BenchmarkError> {
    let node_key = sp_io::crypto::ed25519_generate(NODE_KEY, None);
    let message = Pallet::<T>::peer_id_claim(who, &peer_id_of(&node_key.0));
    let signature = sp_io::crypto::ed25519_sign(NODE_KEY, &node_key, &message)
        .ok_or(BenchmarkError::Stop("the keystore does not sign"))?;
    Ok((node_key.0, signature.0))
}

fn claim_peer_id<T: Config>(who: &T::AccountId) -> Result<(), BenchmarkError> {
    let (node_key, signature) = claim::<T>(who)?;
    Ok(Pallet::<T>::do_set_peer_id(who.clone(), node_key, signature)?)
}

/// An institution that waits for its node, and what that says.
fn waiting<T: Config>() -> Result<(T::AccountId, u32, ReadySignature<T>), BenchmarkError> {
    let who = consortium::<T>(1);
    let key = T::ReadyKey::generate_pair(None);
    let payload = ready_payload(Pallet::<T>::genesis().as_ref(), &who, 0);
    let signature = key.sign(&payload).ok_or(BenchmarkError::Stop("the keystore does not sign"))?;
    T::BenchmarkHelper::register_ready_key(&who, key);
    Institutions::<T>::mutate(&who, |it| {
        if let Some(it) = it {
            it.waits_since = Some(0);
        }
    });
    Ok((who, 0, signature))
}

type ReadySignature<T> = <<T as Config>::ReadyKey as RuntimeAppPublic>::Signature;

impl<T: Config> Pallet<T> {
    /// Admits a participant without vote, for the benchmarks of other pallets.
    ///
    /// # Errors
    /// What an admission is refused for.
    pub fn benchmark_admit(who: T::AccountId, name: Name) -> frame_support::dispatch::DispatchResult {
        Self::do_admit(who, name, false, true)
    }
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn admit() -> Result<(), BenchmarkError> {
        clear::<T>();
        let who: T::AccountId = account("newcomer", 0, SEED);
        T::BenchmarkHelper::register_keys(&who);

        #[block]
        {
            Pallet::<T>::do_admit(who.clone(), longest_name(), true, true)?;
        }

        assert!(stored::<T>(&who)?.validator);
        Ok(())
    }

    #[benchmark]
    fn set_flags(
        n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>,
    ) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);

        #[block]
        {
            Pallet::<T>::do_set_flags(who.clone(), false, false)?;
        }

        assert!(!stored::<T>(&who)?.validator);
        Ok(())
    }

    #[benchmark]
    fn suspend(
        n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>,
    ) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);

        #[block]
        {
            Pallet::<T>::do_suspend(who.clone())?;
        }

        assert!(stored::<T>(&who)?.suspended);
        Ok(())
    }

    #[benchmark]
    fn reinstate() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(T::MinValidators::get() + 1);
        Pallet::<T>::do_suspend(who.clone())?;

        #[block]
        {
            Pallet::<T>::do_reinstate(who.clone())?;
        }

        assert!(!stored::<T>(&who)?.suspended);
        Ok(())
    }

    #[benchmark]
    fn remove(n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);
        claim_peer_id::<T>(&who)?;
        Pallet::<T>::do_rotate_account(who.clone(), account("signer", n, SEED))?;

        #[block]
        {
            Pallet::<T>::do_discharge(&who, true, true)?;
        }

        assert!(!Institutions::<T>::contains_key(&who));
        Ok(())
    }

    #[benchmark]
    fn set_profile() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(1);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), longest_profile());

        assert_eq!(stored::<T>(&who)?.profile, longest_profile());
        Ok(())
    }

    #[benchmark]
    fn set_peer_id() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(1);
        claim_peer_id::<T>(&who)?;
        let (node_key, signature) = claim::<T>(&who)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), node_key, signature);

        assert_eq!(stored::<T>(&who)?.peer_id, Some(peer_id_of(&node_key)));
        Ok(())
    }

    #[benchmark]
    fn set_addresses() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(1);
        let host = [b"/dns/".to_vec(), vec![b'h'; 60], b".example/tcp/30333".to_vec()].concat();
        let list = AddressList::truncate_from(vec![Address::truncate_from(host); MAX_ADDRESSES as usize]);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), list.clone());

        assert_eq!(Addresses::<T>::get(&who), list);
        Ok(())
    }

    #[benchmark]
    fn rotate_keys() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(1);
        let (keys, proof) = T::BenchmarkHelper::generate_keys(&who);
        let (keys, proof) = (Keys::truncate_from(keys), Proof::truncate_from(proof));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), keys, proof);

        assert!(stored::<T>(&who)?.keys_at.is_some());
        Ok(())
    }

    #[benchmark]
    fn ready() -> Result<(), BenchmarkError> {
        let (who, since, signature) = waiting::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Authorized, who.clone(), since, signature);

        assert!(stored::<T>(&who)?.waits_since.is_none());
        Ok(())
    }

    #[benchmark]
    fn authorize_ready() -> Result<(), BenchmarkError> {
        let (institution, since, signature) = waiting::<T>()?;
        let call = Call::<T>::ready { institution, since, signature };
        let verdict;

        #[block]
        {
            verdict = call.authorize(TransactionSource::External);
        }

        assert!(matches!(verdict, Some(Ok(_))));
        Ok(())
    }

    /// The dearest vote that decides nothing: as many have voted as can without a majority.
    #[benchmark]
    fn vote(n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);
        let all: Vec<T::AccountId> = Institutions::<T>::iter_keys().collect();
        let open = Open {
            motion: Motion::SetThresholds(Default::default()),
            proposer: who.clone(),
            ayes: BoundedVec::truncate_from(all.iter().take(all.len() / 2).cloned().collect()),
            nays: Default::default(),
            proposed_at: 0,
            until: u32::MAX,
        };
        Motions::<T>::insert(0, open);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 0, false);

        Ok(())
    }

    #[benchmark]
    fn close() -> Result<(), BenchmarkError> {
        let who = consortium::<T>(1);
        frame_system::Pallet::<T>::set_block_number(1u32.into());
        let open = Open {
            motion: Motion::CancelUpgrade,
            proposer: who.clone(),
            ayes: Default::default(),
            nays: Default::default(),
            proposed_at: 0,
            until: 0,
        };
        Motions::<T>::insert(0, open);

        #[extrinsic_call]
        _(RawOrigin::Signed(who), 0);

        assert!(!Motions::<T>::contains_key(0));
        Ok(())
    }

    #[benchmark]
    fn leave(n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);
        claim_peer_id::<T>(&who)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(!Institutions::<T>::contains_key(&who));
        Ok(())
    }

    #[benchmark]
    fn new_session(
        n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>,
    ) -> Result<(), BenchmarkError> {
        let who = consortium::<T>(n);
        let before = <Pallet<T> as SessionManager<_>>::new_session(1);
        assert!(before.is_some());
        Pallet::<T>::do_suspend(who)?;
        let planned;

        #[block]
        {
            planned = <Pallet<T> as SessionManager<_>>::new_session(2);
        }

        assert!(planned.is_some());
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_bench_ext(), crate::mock::Test);
}
