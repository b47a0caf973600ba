//! What a duty of a masked sum needs beyond its order, read from the study and from what was posted.

use crate::{Config, Pallet, StudyInfo};
use alloc::vec::Vec;
use consilium_primitives::{
    round::{Kind, OpenDuty, Pairing, PairingStep, Phase},
    Duty, DutyKind, Hash, InstitutionId, MaskOrder, PostStep, StudyId,
};

impl<T: Config> Pallet<T> {
    /// Of a duty that is open in a study; none where nothing of it is masked.
    pub(crate) fn mask_order(
        study: StudyId,
        info: &StudyInfo,
        who: &InstitutionId,
        open: &OpenDuty,
    ) -> Option<MaskOrder> {
        let state = &info.state;
        if state.rules.masked.is_none()
            || matches!(open.duty.kind, DutyKind::Init | DutyKind::Acknowledge | DutyKind::Present)
        {
            return None;
        }
        let pair = state.masking.pair.as_ref()?;
        let of_work = matches!(open.duty.kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate);
        let listed = !of_work && pair.step != PairingStep::Keys;
        let paired = !of_work && pair.step == PairingStep::Paired;
        let set = match &state.phase {
            Phase::Revealing(r) => Some(&r.set),
            Phase::Summing(s) => Some(&s.set),
            _ => None,
        };
        let at = (state.round, pair.number);
        let dealt = match open.duty.kind {
            DutyKind::Reveal => Self::dealt_to(study, info, pair, who),
            _ => Vec::new(),
        };
        let summed = set.filter(|_| matches!(open.duty.kind, DutyKind::Merge | DutyKind::MergeStatistics));
        let reveals = summed.map_or_else(Vec::new, |set| {
            let mut given: Vec<(InstitutionId, Vec<u8>)> = set
                .reveals
                .iter()
                .filter_map(|(index, _)| state.member(*index))
                .filter_map(|it| Some((it.id, Self::posting(study, at.0, at.1, PostStep::Reveal, &it.id)?)))
                .collect();
            given.sort();
            given
        });
        Some(MaskOrder {
            kind: pair.kind,
            pairing: pair.number,
            proposer: state.proposer,
            rules: state.rules.clone(),
            work: Self::work_hash(info, pair.kind, &open.duty),
            keys: if listed { state.key_list(pair) } else { Vec::new() },
            keys_root: if listed { pair.keys_root } else { Hash::zero() },
            partners: if paired { state.partners(pair) } else { Vec::new() },
            partners_root: if paired { pair.partners_root } else { Hash::zero() },
            fixed_at: set.map_or(0, |set| set.fixed_at),
            dealt,
            reveals,
        })
    }

    /// What each partner has dealt to one of them, in order of partners.
    fn dealt_to(study: StudyId, info: &StudyInfo, pair: &Pairing, who: &InstitutionId) -> Vec<Vec<u8>> {
        let place = info.state.position(who).and_then(|index| pair.place(index));
        let Some(place) = place else { return Vec::new() };
        let at = (info.state.round, pair.number);
        let dealers = pair.deals.iter().filter_map(|(index, _)| info.state.member(*index));
        dealers.map(|dealer| Self::dealt(study, at, &dealer.id, place)).collect()
    }

    /// The name of the work whose result is masked: as asked for beside.
    fn work_hash(info: &StudyInfo, kind: Kind, duty: &Duty) -> Hash {
        let state = &info.state;
        let statistics = state.statistics.unwrap_or_default();
        let (kind, base, statistics) = match kind {
            Kind::Statistics => (DutyKind::Statistics, Hash::zero(), Hash::zero()),
            Kind::Model => (DutyKind::Train, state.base, statistics),
            Kind::Evaluation => (DutyKind::Evaluate, state.base, statistics),
        };
        Duty { kind, base, statistics, ..*duty }.hash()
    }
}
