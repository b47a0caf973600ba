//! How those who remain go on when so many validators are gone for good that no motion can pass and nothing becomes final.
//!
//! Not a vote: all validators that remain sign, and the chain itself has seen that the others are silent.

use crate::{
    pallet::{Awake, Config, Error, Event, Founding, Heard, Institutions, Pallet, Recovered, SignerOf},
    OnDeparture, WeightInfo, Witness,
};
use alloc::{collections::BTreeSet, vec::Vec};
use consilium_primitives::{blocks, Consent, Recovery};
use frame_support::{
    dispatch::DispatchResult,
    ensure,
    traits::Get,
    weights::{constants::WEIGHT_REF_TIME_PER_MICROS, Weight},
    BoundedVec,
};
use frame_system::pallet_prelude::BlockNumberFor;

/// A recovery is taken for so long after its last final block, in milliseconds, counted in blocks.
pub const RECOVERY_MILLIS: u64 = 14 * 24 * 3_600_000;
/// Microseconds that checking a signature takes at most.
const SIGNATURE_MICROS: u64 = 150;

impl<T: Config> Pallet<T> {
    /// Remembers when each validator made its last block.
    pub(crate) fn note_author() {
        let Some((author, slot)) = T::Witness::author() else { return };
        let active = pallet_session::Pallet::<T>::validators();
        let (last, before) = Awake::<T>::get();
        let two_turns = u64::try_from(active.len()).unwrap_or(u64::MAX).saturating_mul(2);
        // while the whole chain stood, nobody was silent
        let awake = before.saturating_add(slot.saturating_sub(last).min(two_turns));
        Awake::<T>::put((slot, awake));
        let mut heard = Heard::<T>::get();
        if !heard.iter().map(|(who, _)| who).eq(active.iter()) {
            // whoever is new here is as if it had made this block: nobody is silent before it could be heard
            let at = |who: &T::AccountId| heard.iter().find(|(other, _)| other == who).map_or(awake, |(_, at)| *at);
            let all: Vec<_> = active.iter().map(|who| (who.clone(), at(who))).collect();
            heard = BoundedVec::truncate_from(all);
        }
        if let Some(it) = heard.iter_mut().find(|(who, _)| *who == author) {
            it.1 = awake;
        }
        Heard::<T>::put(heard);
    }

    /// Whether an active validator has made no block for as long as was agreed at founding, while others did.
    fn is_silent(who: &T::AccountId) -> bool {
        let (_, awake) = Awake::<T>::get();
        let agreed = u64::from(blocks(Founding::<T>::get().silence));
        Heard::<T>::get()
            .iter()
            .find(|(other, _)| other == who)
            .is_some_and(|(_, at)| awake.saturating_sub(*at) >= agreed)
    }

    /// What a node must know before it goes on by a recovery: whether it is for this chain, is needed, and has the consent
    /// of those who remain. Asked of the state of the last final block, and once more where the chain takes it.
    ///
    /// # Errors
    /// `OtherChain`, `NotLost`, `NotNeeded`, `InvalidConsent`, `TooFewConsents`.
    pub fn check_recovery(
        recovery: &Recovery<T::AccountId>,
        consents: &[Consent<T::AccountId>],
    ) -> Result<(), Error<T>> {
        ensure!(recovery.genesis.as_bytes() == Self::genesis().as_ref(), Error::<T>::OtherChain);
        let active = pallet_session::Pallet::<T>::validators();
        let lost: BTreeSet<_> = recovery.lost.iter().collect();
        ensure!(recovery.lost.is_sorted_by(|a, b| a < b), Error::<T>::NotLost);
        // some may have been suspended since, by changes that never became final
        let gone = active.iter().filter(|who| lost.contains(who)).count();
        ensure!(gone > 0, Error::<T>::NotLost);
        // finality needs more than two thirds of the active set
        let most_away = active.len().saturating_sub(1) / 3;
        ensure!(gone > most_away && gone < active.len(), Error::<T>::NotNeeded);

        let digest = recovery.digest();
        ensure!(consents.is_sorted_by(|a, b| a.institution < b.institution), Error::<T>::InvalidConsent);
        let mut agreed = BTreeSet::new();
        for Consent { institution, signature } in consents {
            let stands = Institutions::<T>::get(institution).is_some_and(|it| !it.suspended);
            ensure!(stands && !lost.contains(institution), Error::<T>::InvalidConsent);
            let signer = SignerOf::<T>::get(institution).unwrap_or_else(|| institution.clone());
            ensure!(T::Witness::has_signed(&signer, &digest, signature), Error::<T>::InvalidConsent);
            agreed.insert(institution);
        }
        let mut standing: usize = 0;
        for (who, it) in Institutions::<T>::iter() {
            if it.suspended || lost.contains(&who) {
                continue;
            }
            standing = standing.saturating_add(1);
            ensure!(agreed.contains(&who) || !active.contains(&who), Error::<T>::TooFewConsents);
        }
        ensure!(agreed.len().saturating_mul(3) >= standing.saturating_mul(2), Error::<T>::TooFewConsents);
        ensure!(!agreed.is_empty(), Error::<T>::TooFewConsents);
        Ok(())
    }

    /// The same, in words, for people and their nodes: none if nothing speaks against it.
    pub fn recovery_error(
        recovery: &Recovery<T::AccountId>,
        consents: &[Consent<T::AccountId>],
    ) -> Option<&'static str> {
        Self::check_recovery(recovery, consents).err().map(Into::into)
    }

    pub(crate) fn do_recover(recovery: &Recovery<T::AccountId>, consents: &[Consent<T::AccountId>]) -> DispatchResult {
        Self::check_recovery(recovery, consents)?;
        let (number, hash) = recovery.last_final;
        ensure!(number < Self::now(), Error::<T>::OtherChain);
        let known = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::from(number));
        // hashes of old blocks are not kept
        let forgotten = known == T::Hash::default();
        ensure!(forgotten || known.as_ref() == hash.as_bytes(), Error::<T>::OtherChain);
        // what was signed once is no word for ever
        ensure!(Self::now().saturating_sub(number) <= blocks(RECOVERY_MILLIS), Error::<T>::RecoveryTooOld);
        ensure!(Recovered::<T>::get().is_none_or(|last| last < number), Error::<T>::RecoveredAlready);
        let active = pallet_session::Pallet::<T>::validators();
        let lost: Vec<_> = recovery.lost.iter().filter(|who| active.contains(who)).cloned().collect();
        ensure!(lost.iter().all(Self::is_silent), Error::<T>::StillHeard);
        for who in &lost {
            // those who were leaving are out of the registry already
            if Institutions::<T>::contains_key(who) {
                Self::do_remove(who.clone(), true)?;
            }
        }
        Recovered::<T>::put(number);
        Self::deposit_event(Event::Recovered { last_final: number, lost });
        Ok(())
    }

    /// Not measured: each signature, each institution read twice, and a removal for each of the lost.
    pub(crate) fn recover_weight(lost: usize, consents: usize) -> Weight {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let most = T::MaxInstitutions::get();
        let removal = <T as Config>::WeightInfo::remove(most).saturating_add(T::OnDeparture::weight());
        let signature = Weight::from_parts(WEIGHT_REF_TIME_PER_MICROS.saturating_mul(SIGNATURE_MICROS), 0)
            .saturating_add(T::DbWeight::get().reads(2));
        removal
            .saturating_mul(count(lost))
            .saturating_add(signature.saturating_mul(count(consents)))
            .saturating_add(<T as Config>::WeightInfo::vote(most))
    }
}
