//! What the chain asks of an institution, and what it says about blobs: the read side, for offchain worker and node.

use crate::{types::Around, Config, Ended, History, Membership, Pallet, Running, Studies, StudyInfo};
use alloc::{vec, vec::Vec};
use consilium_primitives::{
    duty::{ATTESTED_ROUNDS, COMMITTED_ROUNDS},
    round::{Kind, Phase, RoundRecord},
    Attested, BlobKind, BlobNotice, BlobRef, DutyKind, DutyOrder, Hash, InstitutionId, MergeInput, StudyId,
};
use sp_core::crypto::AccountId32;

/// A duty with what is needed to sign its answer.
pub(crate) struct Asked {
    pub order: DutyOrder,
    pub attempt: u32,
    pub resumed: u32,
    pub partial: bool,
}

impl<T: Config> Pallet<T> {
    /// What is asked of one institution now, over all studies.
    pub fn orders(who: &InstitutionId) -> Vec<DutyOrder> {
        Self::asked(who).into_iter().map(|asked| asked.order).collect()
    }

    pub(crate) fn asked(who: &InstitutionId) -> Vec<Asked> {
        Self::listed().into_iter().filter_map(|(study, info)| Self::asked_in(study, &info, who)).collect()
    }

    /// Studies that run, and those that ended lately.
    fn listed() -> Vec<(StudyId, StudyInfo)> {
        let running = Running::<T>::get().into_iter().map(|(study, _)| study);
        running
            .chain(Ended::<T>::get())
            .filter_map(|study| Studies::<T>::get(study).map(|info| (study, info)))
            .collect()
    }

    fn asked_in(study: StudyId, info: &StudyInfo, who: &InstitutionId) -> Option<Asked> {
        let around = Around::<T>::new(study, info.agreement);
        let open = info.state.open_duty(&around, who)?;
        let rules = &info.state.rules;
        let model = |root: Hash| BlobRef { root, len: rules.merged_len };
        let statistics = info.state.statistics.map(|root| BlobRef { root, len: rules.statistics_len });
        let (base, output_len) = match open.duty.kind {
            DutyKind::Statistics | DutyKind::MergeStatistics => (None, rules.statistics_len),
            DutyKind::Init => (None, rules.merged_len),
            DutyKind::Merge => (Some(model(info.state.base)), rules.merged_len),
            DutyKind::Train => (Some(model(info.state.base)), rules.update_len),
            DutyKind::Evaluate | DutyKind::Acknowledge => (Some(model(open.duty.base)), 0),
        };
        let inputs = match &info.state.phase {
            Phase::Merging(m) => {
                let len = if m.kind == Kind::Statistics { rules.statistics_len } else { rules.update_len };
                let named = m.inputs.iter().filter_map(|input| {
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
            _ => Vec::new(),
        };
        let merges = matches!(open.duty.kind, DutyKind::Merge | DutyKind::MergeStatistics);
        let merge = merges.then(|| rules.merge.clone());
        let attested = Self::attested(study, info.state.round, open.duty.round);
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
        Some(Asked { order, attempt: open.attempt, resumed: open.resumed, partial: open.partial })
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

    /// What of a study is attested, as far back as orders name it, and in the round of the duty.
    pub(crate) fn attested(study: StudyId, round: u32, asked: u32) -> Vec<Attested> {
        let oldest = round.saturating_sub(ATTESTED_ROUNDS);
        let models = (asked < oldest).then_some(asked).into_iter().chain(oldest..=round);
        let keys = core::iter::once((Kind::Statistics, 0)).chain(models.map(|round| (Kind::Model, round)));
        keys.filter_map(|key| History::<T>::get(study, key))
            .map(|r| Attested { kind: r.kind, round: r.round, inputs_root: r.inputs_root, root: r.root })
            .collect()
    }

    /// Blobs of studies that run or ended lately.
    pub fn blobs() -> Vec<BlobNotice> {
        Self::listed().into_iter().flat_map(|(study, info)| Self::blobs_of(study, &info)).collect()
    }

    fn blobs_of(study: StudyId, info: &StudyInfo) -> Vec<BlobNotice> {
        let state = &info.state;
        let among = |mask| -> Vec<InstitutionId> {
            let named = state.named(mask).into_iter();
            // who was suspended has no claim to anything, also of studies that have ended
            named.filter(|id| T::Membership::is_participant(&AccountId32::from(id.0))).collect()
        };
        let members = among(state.active());
        let mut notices = Vec::new();
        let mut merged = |round, root, len, holders: Vec<InstitutionId>| {
            notices.push(BlobNotice {
                study,
                round,
                kind: BlobKind::Merged,
                blob: BlobRef { root, len },
                holders,
                members: members.clone(),
                wanted: true,
            });
        };
        let record = |kind, round| History::<T>::get(study, (kind, round));
        let attesters = |r: &RoundRecord| r.attesters.to_vec();
        let statistics = record(Kind::Statistics, 0);
        if let Some(r) = &statistics {
            merged(0, r.root, state.rules.statistics_len, attesters(r));
        }
        // the model that training stands on: that of the last closed round
        let last = (0..2).filter_map(|back| state.round.checked_sub(back)).find_map(|round| record(Kind::Model, round));
        if let Some(r) = &last {
            merged(r.round, r.root, state.rules.merged_len, attesters(r));
        }
        let canonical = match &state.phase {
            Phase::Certifying(c) => Some(c.round),
            Phase::Completed(c) => Some(c.round),
            _ => None,
        };
        if let Some(r) = canonical.and_then(|round| record(Kind::Model, round)) {
            merged(r.round, r.root, state.rules.merged_len, attesters(&r));
        }
        let mut update = |kind, round, root, author, wanted| {
            let len = if kind == Kind::Statistics { state.rules.statistics_len } else { state.rules.update_len };
            notices.push(BlobNotice {
                study,
                round,
                kind: BlobKind::Update,
                blob: BlobRef { root, len },
                holders: vec![author],
                // who enrolled later has no part in this round
                members: among(state.counted(round)),
                wanted,
            });
        };
        if let Phase::Merging(m) = &state.phase {
            for input in &m.inputs {
                if let Some(author) = state.member(input.commitment.member) {
                    update(m.kind, state.round, input.commitment.root, author.id, true);
                }
            }
        }
        // those of the last closed round stay until the next one has closed: who finds another merge than the attested one
        // looks at them once more
        let oldest = state.round.saturating_sub(state.rules.keep_updates.max(1));
        let closed = (oldest..=state.round).rev().filter_map(|round| record(Kind::Model, round)).chain(statistics);
        for r in closed {
            for input in &r.inputs {
                update(r.kind, r.round, input.root, input.institution, false);
            }
        }
        notices
    }
}
