//! What the chain asks of an institution, and what it says about blobs: the read side, for offchain worker and node.

use crate::{
    types::Around, Budgets, Config, Ended, History, Membership, Over, Pallet, Running, Steps, Studies, StudyInfo,
    Sweeps,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use consilium_primitives::{
    duty::{ATTESTED_ROUNDS, COMMITTED_ROUNDS},
    round::{Kind, OpenDuty, Phase},
    rules::UPDATES_AFTER_END,
    Ahead, Attested, BlobRef, DutyKind, DutyOrder, Hash, InstitutionId, MaskOrder, MaskedBlobs, MergeInput, StudyBlobs,
    StudyId,
};
use sp_core::crypto::AccountId32;

/// Whether institutions are participants of the consortium, as far as it was asked.
type Claims = BTreeMap<InstitutionId, bool>;

/// A duty with what is needed to sign its answer.
pub(crate) struct Asked {
    pub order: DutyOrder,
    pub attempt: u32,
    pub resumed: u32,
    /// Whether missing inputs may be reported.
    pub partial: bool,
    /// Whether it was said that the freeze is not final here.
    pub not_final: bool,
    /// Block of the freeze that a merge stands on, else 0.
    pub frozen_at: u32,
    /// How long fetching may take, in blocks.
    pub fetch: u32,
    /// Whether it was said to be there without the model that the study stands on.
    pub lacked: bool,
    /// What follows a merge.
    pub ahead: Option<Ahead>,
    /// What a masked sum needs beyond the order.
    pub masked: Option<MaskOrder>,
}

impl<T: Config> Pallet<T> {
    /// What is asked of one institution now, over all studies.
    pub fn orders(who: &InstitutionId) -> Vec<DutyOrder> {
        Self::asked(who).into_iter().map(|asked| asked.order).collect()
    }

    pub(crate) fn asked(who: &InstitutionId) -> Vec<Asked> {
        let asked_in = |(study, info): (StudyId, StudyInfo)| {
            let around = Around::<T>::new(study, info.agreement);
            // what is masked is made while partners are found: two things at once
            let work = info.state.open_work(&around, who);
            let both = work.into_iter().chain(info.state.open_duty(&around, who));
            both.map(|open| Self::order(study, &info, who, open)).collect::<Vec<_>>()
        };
        Self::listed().into_iter().flat_map(asked_in).collect()
    }

    /// Institutions of which something is in a merge that runs: others may ask them for it until it has closed.
    pub fn serving() -> BTreeSet<InstitutionId> {
        let studies = Running::<T>::get().into_iter().filter_map(|(study, _)| Studies::<T>::get(study));
        studies.flat_map(|info| info.state.serving()).collect()
    }

    /// Studies that run, and those that ended lately.
    fn listed() -> Vec<(StudyId, StudyInfo)> {
        let running = Running::<T>::get().into_iter().map(|(study, _)| study);
        running
            .chain(Ended::<T>::get())
            .filter_map(|study| Studies::<T>::get(study).map(|info| (study, info)))
            .collect()
    }

    fn order(study: StudyId, info: &StudyInfo, who: &InstitutionId, open: OpenDuty) -> Asked {
        let rules = &info.state.rules;
        let masked = Self::mask_order(study, info, who, &open);
        let model = |root: Hash| BlobRef { root, len: rules.merged_len };
        let statistics = info.state.statistics.map(|root| BlobRef { root, len: rules.statistics_len });
        let (base, output_len) = match open.duty.kind {
            DutyKind::Statistics | DutyKind::MergeStatistics => (None, rules.statistics_len),
            DutyKind::Keys | DutyKind::Deal => (None, 0),
            // the model that what is masked stands on; statistics stand on none
            DutyKind::Mask | DutyKind::Gather | DutyKind::Reveal => {
                let kind = masked.as_ref().map_or(Kind::Model, |masked| masked.kind);
                let base = (kind != Kind::Statistics).then(|| model(info.state.base));
                let made = if open.duty.kind == DutyKind::Mask { rules.part_len(kind) } else { 0 };
                (base, made)
            }
            // of figures comes no file
            DutyKind::Merge if masked.as_ref().is_some_and(|masked| masked.kind == Kind::Evaluation) => {
                (Some(model(info.state.base)), 0)
            }
            DutyKind::Init => (None, rules.merged_len),
            DutyKind::Merge => (Some(model(info.state.base)), rules.merged_len),
            DutyKind::Train => (Some(model(info.state.base)), rules.update_len),
            DutyKind::Evaluate | DutyKind::Acknowledge => (Some(model(open.duty.base)), 0),
            // it makes no file; the length is that of the models it is to look for
            DutyKind::Present => {
                (Some(open.duty.base).filter(|base| *base != Hash::zero()).map(model), rules.merged_len)
            }
        };
        let listed = match &info.state.phase {
            Phase::Merging(m) | Phase::Gathering(m) => Some((m.kind, &m.inputs)),
            Phase::Revealing(r) => Some((r.set.kind, &r.set.inputs)),
            Phase::Summing(s) => Some((s.set.kind, &s.set.inputs)),
            _ => None,
        };
        let inputs = match listed {
            Some((kind, inputs)) => {
                let len = rules.part_len(kind);
                let named = inputs.iter().filter_map(|input| {
                    let member = info.state.member(input.commitment.member)?;
                    Some(MergeInput {
                        institution: member.id,
                        duty: input.commitment.duty,
                        blob: BlobRef { root: input.commitment.root, len },
                        weight: input.weight,
                    })
                });
                named.collect()
            }
            None => Vec::new(),
        };
        let merges = matches!(open.duty.kind, DutyKind::Merge | DutyKind::MergeStatistics);
        let merge = merges.then(|| rules.merge.clone());
        let stands_on = match open.duty.kind {
            DutyKind::Train | DutyKind::Merge | DutyKind::Mask | DutyKind::Gather | DutyKind::Reveal => {
                info.state.base_round
            }
            _ => open.duty.round,
        };
        let attested = Self::attested(study, info.state.round, stands_on);
        let spec = info.spec_hash;
        let needs_rows = matches!(open.duty.kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate);
        let committed_before = needs_rows && Self::committed_before(study, info.state.round, who);
        let order = DutyOrder {
            duty: open.duty,
            spec,
            base,
            statistics,
            inputs,
            merge,
            output_len,
            attested,
            committed_before,
        };
        Asked {
            order,
            attempt: open.attempt,
            resumed: open.resumed,
            partial: open.partial,
            not_final: open.not_final,
            frozen_at: open.frozen_at,
            lacked: open.lacked,
            ahead: open.ahead,
            fetch: info.state.windows().fetch,
            masked,
        }
    }

    /// Whether something of this institution is in a merge that has closed: the statistics, or a round's not longer ago than
    /// [`COMMITTED_ROUNDS`]. Where a site takes part in every round, the first records read say so; also one that has
    /// withdrawn and enrolled anew counts as having been there.
    fn committed_before(study: StudyId, round: u32, who: &InstitutionId) -> bool {
        let oldest = round.saturating_sub(COMMITTED_ROUNDS).max(1);
        let rounds = (oldest..=round).rev().map(|round| (Kind::Model, round));
        rounds
            .chain(core::iter::once((Kind::Statistics, 0)))
            .filter_map(|key| History::<T>::get(study, key))
            .any(|record| record.inputs.iter().any(|input| input.institution == *who))
    }

    /// What of a study is attested, as far back as orders name it, and in the round that the duty stands on.
    pub(crate) fn attested(study: StudyId, round: u32, asked: u32) -> Vec<Attested> {
        let oldest = round.saturating_sub(ATTESTED_ROUNDS);
        let models = (asked < oldest).then_some(asked).into_iter().chain(oldest..=round);
        let keys = core::iter::once((Kind::Statistics, 0)).chain(models.map(|round| (Kind::Model, round)));
        keys.filter_map(|key| History::<T>::get(study, key))
            // nothing is attested of a round whose sum could not be used
            .filter(|r| r.void().is_none())
            .map(|r| Attested { kind: r.kind, round: r.round, inputs_root: r.inputs_root, root: r.root })
            .collect()
    }

    /// Blobs of studies that run or ended lately. Whether an institution has a claim to anything is read once for all
    /// studies, and records once for each study.
    pub fn blobs() -> Vec<StudyBlobs> {
        let mut claims = Claims::default();
        Self::listed().iter().map(|(study, info)| Self::list_blobs(*study, info, &mut claims)).collect()
    }

    /// Masked files of the studies with masks among these.
    pub fn masked_blobs() -> Vec<MaskedBlobs> {
        let mut claims = Claims::default();
        let masked = Self::listed().into_iter().filter(|(_, info)| info.state.rules.masked.is_some());
        let listed = masked.map(|(study, info)| {
            let now = Around::<T>::new(study, info.agreement).now;
            let claim = |id: &InstitutionId| {
                *claims.entry(*id).or_insert_with(|| T::Membership::is_participant(&AccountId32::from(id.0)))
            };
            info.state.masked_blobs(study, now, |kind, round| History::<T>::get(study, (kind, round)), claim)
        });
        listed.collect()
    }

    /// The studies whose blobs are listed, in that order, each with a number that is another one whenever what is said of its
    /// blobs may be: it counts the study's steps, and the day after its end on which its updates are dropped.
    pub fn changes() -> Vec<(StudyId, u64)> {
        let now = crate::pallet::block_number::<T>(frame_system::Pallet::<T>::block_number());
        let over = |study: StudyId| Self::ended(study).is_some_and(|at| now.saturating_sub(at) >= UPDATES_AFTER_END);
        let running = Running::<T>::get().into_iter().map(|(study, _)| (study, false));
        let ended = Ended::<T>::get().into_iter().map(|study| (study, over(study)));
        running
            .chain(ended)
            .map(|(study, over)| (study, Steps::<T>::get(study).saturating_mul(2).saturating_add(over.into())))
            .collect()
    }

    /// Whether nothing here waits for a time that is counted in blocks: no study is proposed or runs, none has ended within the day for which
    /// its updates are kept, nothing of masked sums is to be forgotten, and no higher limit of a budget waits.
    pub fn idle() -> bool {
        let now = crate::pallet::block_number::<T>(frame_system::Pallet::<T>::block_number());
        let kept = |study: &StudyId| Self::ended(*study).is_some_and(|at| now.saturating_sub(at) <= UPDATES_AFTER_END);
        Running::<T>::get().is_empty()
            && Over::<T>::get().is_empty()
            && Sweeps::<T>::iter_keys().next().is_none()
            && !Ended::<T>::get().last().is_some_and(kept)
            && !Budgets::<T>::iter_values().any(|budget| budget.raise_to().is_some_and(|raise| raise.from > now))
    }

    /// Blobs of one study, be it listed or not.
    pub fn blobs_of(study: StudyId) -> Option<StudyBlobs> {
        let info = Studies::<T>::get(study)?;
        Some(Self::list_blobs(study, &info, &mut Claims::default()))
    }

    /// Block in which a study ended. Never taken back in a later block of the same chain.
    pub fn ended(study: StudyId) -> Option<u32> {
        Studies::<T>::get(study)?.state.ended_at
    }

    fn list_blobs(study: StudyId, info: &StudyInfo, claims: &mut Claims) -> StudyBlobs {
        let now = Around::<T>::new(study, info.agreement).now;
        let claim = |id: &InstitutionId| {
            *claims.entry(*id).or_insert_with(|| T::Membership::is_participant(&AccountId32::from(id.0)))
        };
        info.state.blobs(study, now, |kind, round| History::<T>::get(study, (kind, round)), claim)
    }
}
