//! Benchmarks of every call and of planning a session, each with the most institutions that its cost can depend on.

use crate::{
    pallet::{Call, Config, Institutions, Pallet, PlannedValidators},
    peer_id_of, BenchmarkHelper, Institution, Name, Profile, MAX_NAME_LEN, MAX_PROFILE_LEN,
};
use alloc::vec;
use frame_benchmarking::v2::*;
use frame_support::{assert_ok, traits::Get};
use frame_system::RawOrigin;
use pallet_session::SessionManager;
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
    who
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

#[cfg(feature = "runtime-benchmarks")]
fn admin<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
    use frame_support::traits::EnsureOrigin;
    T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)
}

/// Where only the mock runs them, it is root that admits.
#[cfg(not(feature = "runtime-benchmarks"))]
fn admin<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
    Ok(RawOrigin::Root.into())
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

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn admit() -> Result<(), BenchmarkError> {
        clear::<T>();
        let origin = admin::<T>()?;
        let who: T::AccountId = account("newcomer", 0, SEED);
        T::BenchmarkHelper::register_keys(&who);

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone(), longest_name(), true, true);

        assert!(stored::<T>(&who)?.validator);
        Ok(())
    }

    #[benchmark]
    fn set_flags(
        n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>,
    ) -> Result<(), BenchmarkError> {
        let origin = admin::<T>()?;
        let who = consortium::<T>(n);

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone(), false, false);

        assert!(!stored::<T>(&who)?.validator);
        Ok(())
    }

    #[benchmark]
    fn suspend(
        n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>,
    ) -> Result<(), BenchmarkError> {
        let origin = admin::<T>()?;
        let who = consortium::<T>(n);

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone());

        assert!(stored::<T>(&who)?.suspended);
        Ok(())
    }

    #[benchmark]
    fn reinstate() -> Result<(), BenchmarkError> {
        let origin = admin::<T>()?;
        let who = consortium::<T>(T::MinValidators::get() + 1);
        Pallet::<T>::do_suspend(who.clone())?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone());

        assert!(!stored::<T>(&who)?.suspended);
        Ok(())
    }

    #[benchmark]
    fn remove(n: Linear<{ T::MinValidators::get() + 1 }, { T::MaxInstitutions::get() }>) -> Result<(), BenchmarkError> {
        let origin = admin::<T>()?;
        let who = consortium::<T>(n);
        claim_peer_id::<T>(&who)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone());

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
