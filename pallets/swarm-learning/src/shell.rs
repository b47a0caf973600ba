//! What the calls do: one step of one study, with everything that follows from it.

use crate::{
    pallet::{block_number, *},
    sr25519,
    types::*,
    KEY_TYPE, MAX_PROPOSED,
};
#[cfg(any(feature = "try-runtime", test))]
use alloc::vec::Vec;
use consilium_primitives::{
    blocks,
    round::{Early, Effect, Event as RoundEvent, Kind, Phase, Refusal, Study},
    Hash, InstitutionId, StudyId, StudyRules, Vote,
};
use frame_support::pallet_prelude::*;
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use sp_application_crypto::RuntimeAppPublic;
use sp_core::crypto::AccountId32;
use sp_runtime::{
    traits::OpaqueKeys,
    transaction_validity::{
        InvalidTransaction, TransactionSource, TransactionValidityWithRefund, UnknownTransaction, ValidTransaction,
    },
};

/// Votes wait this many blocks in the pool at most.
const VOTE_LONGEVITY: u64 = blocks(64_000) as u64;
/// Priority of votes: they move rounds, so they go before signed calls.
const VOTE_PRIORITY: u64 = 1 << 32;

impl<T: Config> Pallet<T> {
    /// The institution that a call is signed for.
    pub(crate) fn ensure_institution(origin: OriginFor<T>) -> Result<AccountId32, DispatchError> {
        let signer = ensure_signed(origin)?;
        Ok(T::Membership::signs_for(&signer).ok_or(Error::<T>::NotAParticipant)?)
    }

    pub(crate) fn ensure_participant(origin: OriginFor<T>) -> Result<InstitutionId, DispatchError> {
        let who = Self::ensure_institution(origin)?;
        ensure!(T::Membership::is_participant(&who), Error::<T>::NotAParticipant);
        Ok(institution(&who))
    }

    pub(crate) fn do_register(proposer: InstitutionId, rules: StudyRules, spec: Spec) -> DispatchResult {
        ensure!(!spec.is_empty(), Error::<T>::EmptySpec);
        // the metadata calls it text, and clients read it as such
        ensure!(core::str::from_utf8(&spec).is_ok(), Error::<T>::SpecNotText);
        let mut running = Running::<T>::get();
        let proposed = running.iter().filter(|(_, p)| *p == proposer).count();
        ensure!((proposed as u32) < MAX_PROPOSED, Error::<T>::TooManyProposals);
        let study = NextStudy::<T>::get();
        running.try_push((study, proposer)).map_err(|_| Error::<T>::TooManyStudies)?;
        let agreement = agreement_hash(genesis::<T>(), &proposer, &rules, &spec);
        // sites keep what they know of a study under its agreement
        ensure!(!Agreements::<T>::contains_key(agreement), Error::<T>::AlreadyRuns);
        let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
        let state = Study::new(proposer, rules, T::Membership::validators(), now).map_err(Error::<T>::from)?;
        let info = StudyInfo {
            agreement,
            spec_hash: Hash::from(sp_io::hashing::blake2_256(&spec)),
            registered_at: now,
            state,
        };
        NextStudy::<T>::put(study.saturating_add(1));
        Running::<T>::put(running);
        Agreements::<T>::insert(agreement, study);
        Specs::<T>::insert(study, spec);
        Self::schedule(study, info.state.deadline());
        Studies::<T>::insert(study, info);
        Self::deposit_event(Event::Registered { study, proposer, agreement });
        Ok(())
    }

    /// A private study is enrolled in with a data set, and no other one is.
    pub(crate) fn do_enrol(
        who: InstitutionId,
        study: StudyId,
        agreement: Hash,
        samples: u32,
        dataset: Option<Hash>,
    ) -> DispatchResult {
        let info = Studies::<T>::get(study).ok_or(Error::<T>::NoSuchStudy)?;
        ensure!(info.agreement == agreement, Error::<T>::OtherAgreement);
        let counted = Self::counted(&who, study, info.state.rules.privacy.as_ref(), dataset)?;
        Self::apply(study, RoundEvent::Enrol { who, samples })?;
        if let Some(counted) = counted {
            Counts::<T>::insert(study, who, counted);
        }
        Self::deposit_event(Event::Enrolled { study, institution: who, samples });
        Ok(())
    }

    /// To be called when an institution was suspended, has lost its participant flag or has left: no study waits
    /// for it any longer.
    pub fn departed(who: &AccountId32) {
        let who = institution(who);
        for (study, _) in Running::<T>::get() {
            if Self::apply(study, RoundEvent::Withdraw { who }).is_ok() {
                Self::deposit_event(Event::Withdrawn { study, institution: who });
            }
        }
    }

    /// One step of one study, with everything that follows from it.
    pub(crate) fn apply(study: StudyId, event: RoundEvent) -> DispatchResult {
        let mut info = Studies::<T>::get(study).ok_or(Error::<T>::NoSuchStudy)?;
        let around = Around::<T>::new(study, info.agreement);
        let mut round = info.state.round;
        let enrolling = matches!(info.state.phase, Phase::Enrolling { .. });
        let effects = info.state.step(&around, event).map_err(Error::<T>::from)?;
        for effect in effects {
            let opened = match &effect {
                Effect::Opened { round, .. } => Some(*round),
                _ => None,
            };
            if let (Effect::Opened { kind: Kind::Model, round }, Some(_)) = (&effect, &info.state.rules.masked) {
                Self::forget_rounds_before(study, round.saturating_sub(info.state.rules.keep_updates.max(1)));
            }
            if let (Effect::Spent { who, round, base }, Some(privacy)) = (&effect, &info.state.rules.privacy) {
                Self::charge(study, *who, privacy, (*round, *base));
            }
            Self::store(study, round, effect);
            // a round may be opened and frozen in the step that closes the one before
            round = opened.unwrap_or(round);
        }
        Self::schedule(study, info.state.deadline());
        if info.state.ended() {
            Self::retire(study, &info.agreement, !enrolling);
        }
        Studies::<T>::insert(study, info);
        Steps::<T>::mutate(study, |steps| *steps = steps.saturating_add(1));
        Ok(())
    }

    fn store(study: StudyId, round: u32, effect: Effect) {
        match effect {
            Effect::Closed(record) => {
                Self::deposit_event(Event::RoundClosed {
                    study,
                    kind: record.kind,
                    round: record.round,
                    root: record.root,
                    attesters: record.attesters.len() as u32,
                    attempts: record.attempts,
                });
                for (institution, attested) in &record.dissenters {
                    Self::deposit_event(Event::Dissent {
                        study,
                        round: record.round,
                        institution: *institution,
                        attested: *attested,
                        root: record.root,
                    });
                }
                History::<T>::insert(study, (record.kind, record.round), *record);
            }
            Effect::AttestedLate { kind, round, who, root, agrees } => {
                // a round that somebody attests late has closed, and keeps its record
                let Some(mut record) = History::<T>::get(study, (kind, round)) else { return };
                record.silent.retain(|silent| *silent != who);
                // each list is as long as a study has members
                let stored = match agrees {
                    true => record.attesters.try_push(who).is_ok(),
                    false => record.dissenters.try_push((who, root)).is_ok(),
                };
                debug_assert!(stored);
                if !agrees {
                    let (institution, attested, root) = (who, root, record.root);
                    Self::deposit_event(Event::Dissent { study, round, institution, attested, root });
                }
                History::<T>::insert(study, (kind, round), record);
                Self::deposit_event(Event::AttestedLate { study, round, institution: who, root, agrees });
            }
            Effect::PairingOver { round, pairing } => Self::forget_pairing(study, round, pairing),
            other => {
                match &other {
                    Effect::PairingOpened { round, pairing } => Self::note_pairing(study, *round, *pairing),
                    Effect::Posted { who, round, pairing, step, bytes } => {
                        Self::keep_posting(study, (*round, *pairing), *step, *who, bytes.clone());
                    }
                    // it stays in the history, as what a round came to
                    Effect::Voided(record) => History::<T>::insert(study, (record.kind, record.round), &**record),
                    _ => {}
                }
                if let Effect::Loss { round, who, value } = &other {
                    Self::store_loss(study, *round, (*who, *value));
                }
                if let Some(event) = Event::of(study, round, other) {
                    Self::deposit_event(event);
                }
            }
        }
    }

    fn store_loss(study: StudyId, round: u32, reported: (InstitutionId, u32)) {
        Losses::<T>::mutate(study, round, |losses| {
            losses.retain(|(id, _)| *id != reported.0);
            // one entry per member, and the list is as long as a study has members
            let stored = losses.try_push(reported);
            debug_assert!(stored.is_ok());
        });
    }

    pub(crate) fn schedule(study: StudyId, at: Option<u32>) {
        let planned = Scheduled::<T>::get(study);
        if planned == at {
            return;
        }
        if let Some(block) = planned {
            Agenda::<T>::mutate_exists(block, |due| {
                if let Some(list) = due {
                    list.retain(|s| *s != study);
                    if list.is_empty() {
                        *due = None;
                    }
                }
            });
            Scheduled::<T>::remove(study);
        }
        if let Some(block) = at {
            // a deadline that has passed is met in the next block
            let now = block_number::<T>(frame_system::Pallet::<T>::block_number());
            let block = block.max(now.saturating_add(1));
            Agenda::<T>::mutate(block, |due| {
                // no more studies run than an entry can hold
                let planned = due.try_push(study);
                debug_assert!(planned.is_ok());
            });
            Scheduled::<T>::insert(study, block);
        }
    }

    /// A study has ended. One that never `started` leaves nothing to ask for, to serve or to recompute.
    fn retire(study: StudyId, agreement: &Hash, started: bool) {
        Agreements::<T>::mutate_exists(agreement, |runs| *runs = runs.filter(|other| *other != study));
        if !started {
            Specs::<T>::remove(study);
        }
        let mut was_running = false;
        Running::<T>::mutate(|running| {
            let before = running.len();
            running.retain(|(s, _)| *s != study);
            was_running = running.len() != before;
        });
        if was_running {
            Self::plan_sweep(study);
        }
        if was_running && started {
            Ended::<T>::mutate(|ended| {
                if ended.is_full() {
                    ended.remove(0);
                }
                let kept = ended.try_push(study);
                debug_assert!(kept.is_ok());
            });
        }
    }

    /// Cheap checks first, signature last; the same answer for every source.
    ///
    /// A vote that comes early, since this node has not seen the block that asks for it, is not refused for good: where its
    /// author owes one answer before it, it waits for that one; else it is sent again. In a block only what is asked for counts.
    pub(crate) fn authorize_vote(
        source: TransactionSource,
        vote: &Vote,
        signature: &sr25519::AuthoritySignature,
    ) -> TransactionValidityWithRefund {
        Self::authorize(source, vote, None, signature)
    }

    /// The same for a vote with bytes: that they are those which the vote names is looked at before the signature, what they say
    /// after it, since looking at each share costs more than a stranger may ask for.
    pub(crate) fn authorize_post(
        source: TransactionSource,
        vote: &Vote,
        bytes: &Posting,
        signature: &sr25519::AuthoritySignature,
    ) -> TransactionValidityWithRefund {
        Self::authorize(source, vote, Some(bytes), signature)
    }

    fn authorize(
        source: TransactionSource,
        vote: &Vote,
        bytes: Option<&Posting>,
        signature: &sr25519::AuthoritySignature,
    ) -> TransactionValidityWithRefund {
        let in_block = source == TransactionSource::InBlock;
        let Some(info) = Studies::<T>::get(vote.study) else {
            return Err(if vote.study < NextStudy::<T>::get() || in_block {
                InvalidTransaction::Custom(REFUSED_NO_STUDY).into()
            } else {
                UnknownTransaction::Custom(NOT_YET).into()
            });
        };
        let around = Around::<T>::new(vote.study, info.agreement);
        let tag =
            |round, attempt, kind, class: u8| (vote.study, round, attempt, vote.resumed, kind, vote.institution, class);
        let checked = match bytes {
            None => info.state.check_vote(&around, vote),
            Some(bytes) => info.state.check_posting(&around, vote, bytes),
        };
        let first = match checked {
            Ok(()) => None,
            Err(Refusal::NoSuchDuty) if !in_block => match info.state.early(&around, vote) {
                Early::Next(kind, round, attempt) => Some(tag(round, attempt, kind, ANSWER)),
                Early::Perhaps => return Err(UnknownTransaction::Custom(NOT_YET).into()),
                Early::Never => return Err(refused(Refusal::NoSuchDuty).into()),
            },
            Err(Refusal::TooEarly) if !in_block => return Err(UnknownTransaction::Custom(NOT_YET).into()),
            Err(refusal) => return Err(refused(refusal).into()),
        };
        let account = AccountId32::from(vote.institution.0);
        if !T::Membership::is_participant(&account) {
            return Err(InvalidTransaction::Custom(REFUSED_NOT_A_PARTICIPANT).into());
        }
        let key = pallet_session::Pallet::<T>::load_keys(&account)
            .and_then(|keys| keys.get::<sr25519::AuthorityId>(KEY_TYPE))
            .ok_or(InvalidTransaction::Custom(REFUSED_NO_KEY))?;
        let payload = vote.payload(&around.genesis, &info.agreement);
        if !key.verify(&payload, signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        // of a vote that comes early nobody can know yet what its shares must be
        if let (Some(bytes), None) = (bytes, first) {
            info.state.check_shares(&around, vote, bytes).map_err(refused)?;
        }
        let valid = ValidTransaction::with_tag_prefix("SwarmVote")
            .priority(VOTE_PRIORITY)
            .and_provides(tag(vote.round, vote.attempt, vote.kind, class(&vote.body)))
            .longevity(VOTE_LONGEVITY)
            .propagate(true);
        let valid = match first {
            Some(first) => valid.and_requires(first),
            None => valid,
        };
        valid.build().map(|valid| (valid, Weight::zero()))
    }

    /// What must always hold.
    ///
    /// # Errors
    /// What does not.
    #[cfg(any(feature = "try-runtime", test))]
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        let running: Vec<StudyId> = Running::<T>::get().iter().map(|(s, _)| *s).collect();
        for (study, info) in Studies::<T>::iter() {
            ensure!(study < NextStudy::<T>::get(), "a study beyond the next number");
            ensure!(running.contains(&study) != info.state.ended(), "running and ended disagree");
            let runs = Agreements::<T>::get(info.agreement) == Some(study);
            ensure!(runs != info.state.ended(), "every running study has its agreement alone");
            ensure!(info.state.silence_is_sound(), "rounds missed are noted of members, once of each");
            ensure!(
                info.state.masks_are_sound(),
                "only a study with masks has a pairing, and its lists fit each other"
            );
            let planned = Scheduled::<T>::get(study);
            ensure!(planned.is_some() != info.state.ended(), "every running study has one deadline");
            if let Some(block) = planned {
                let entries = Agenda::<T>::get(block).iter().filter(|s| **s == study).count();
                ensure!(entries == 1, "a deadline stands in the agenda once");
            }
            let Some(spec) = Specs::<T>::get(study) else {
                let never_started = matches!(info.state.phase, Phase::Aborted { .. }) && info.state.round == 0;
                ensure!(never_started, "a study without its spec");
                continue;
            };
            let agreement = agreement_hash(genesis::<T>(), &info.state.proposer, &info.state.rules, &spec);
            ensure!(agreement == info.agreement, "the agreement hash is that of rules and spec");
        }
        let planned: usize = Agenda::<T>::iter().map(|(_, due)| due.len()).sum();
        ensure!(planned == Scheduled::<T>::iter().count(), "agenda and schedule disagree");
        Self::try_postings()?;
        Self::try_budgets()
    }
}
