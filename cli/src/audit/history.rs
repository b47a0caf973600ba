//! What an audit goes by: what a chain says of a study, and what the auditor knows of it beforehand.

use crate::{
    chain::{budgets::Counts, StudyInfo},
    show::Names,
};
use anyhow::{bail, Result};
use consilium_primitives::{
    round::{Back, Kind, Phase, RoundRecord},
    Hash, InstitutionId, MaskedBlobs, PostStep, RoundUpdates, StudyBlobs, StudyId,
};
use std::collections::BTreeMap;

/// Bytes that were posted for masked sums, by round, pairing, step and institution.
pub type Postings = BTreeMap<(u32, u32, PostStep, InstitutionId), Vec<u8>>;

/// What a chain says of one study.
#[derive(Clone, Debug)]
pub struct History {
    /// Hash of block 0.
    pub genesis: Hash,
    /// Number of the study.
    pub study: StudyId,
    /// The study as the chain keeps it.
    pub info: StudyInfo,
    /// The spec's bytes; `None` where the chain keeps them no longer.
    pub spec: Option<Vec<u8>>,
    /// All closed rounds.
    pub records: Vec<RoundRecord>,
    /// What institutions posted for masked sums, as far as the chain still keeps it: by round, pairing, step and institution.
    pub postings: Postings,
    /// What was charged to whose data sets; nothing where the study is not private.
    pub counts: Counts,
    /// Names of institutions, as far as they are known.
    pub names: Names,
    /// Individual updates may be missing because whoever made the archive left them out.
    pub left_out: bool,
    /// Whether the chain still lists the study for its files: it runs, or is among those that ended last.
    pub listed: bool,
    /// Number of the block that says so.
    pub now: u32,
}

/// What an auditor knows of the study beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Its number.
    pub study: Option<StudyId>,
    /// The agreement that was signed.
    pub agreement: Option<Hash>,
}

impl Expected {
    /// Whether this is the study.
    ///
    /// # Errors
    /// It is another.
    pub fn check(&self, history: &History) -> Result<()> {
        if let Some(study) = self.study.filter(|study| *study != history.study) {
            bail!("this is study {}, and you asked for {study}", history.study);
        }
        if let Some(agreement) = self.agreement.filter(|agreement| *agreement != history.info.agreement) {
            let (is, wanted) = (hex::encode(history.info.agreement), hex::encode(agreement));
            bail!("study {} has the agreement {is}, and you asked for {wanted}", history.study);
        }
        Ok(())
    }
}

impl History {
    /// The record of a closed round.
    pub fn record(&self, kind: Kind, round: u32) -> Option<&RoundRecord> {
        self.records.iter().find(|record| record.kind == kind && record.round == round)
    }

    /// The newest round before `round` that came to this model: where the models in between cannot be had, a study falls back
    /// to it.
    pub(super) fn earlier(&self, round: u32, root: Hash) -> Option<&RoundRecord> {
        let models = self.records.iter().filter(|record| record.kind == Kind::Model);
        models.filter(|record| record.round < round && record.root == root).max_by_key(|record| record.round)
    }

    /// The files that must stay, as the chain says it to nodes; none of a study that it lists no more.
    fn kept(&self) -> Option<StudyBlobs> {
        let state = &self.info.state;
        let record = |kind, round| self.record(kind, round).cloned();
        // rules that no chain lets in say nothing, and could ask for rounds without end
        let listed = self.listed && state.rules.check().is_ok();
        listed.then(|| state.blobs(self.study, self.now, record, |_| true))
    }

    /// The masked files that must stay.
    fn kept_masked(&self) -> Option<MaskedBlobs> {
        let state = &self.info.state;
        let record = |kind, round| self.record(kind, round).cloned();
        let listed = self.listed && state.rules.check().is_ok();
        listed.then(|| state.masked_blobs(self.study, self.now, record, |_| true))
    }

    /// Whether the agreement still keeps the individual updates of a closed round, or the parts of its statistics.
    pub fn keeps(&self, record: &RoundRecord) -> bool {
        let of = |round: &RoundUpdates| {
            let named = round.updates.iter().map(|(_, root)| root);
            round.round == record.round && named.eq(record.inputs.iter().map(|input| &input.root))
        };
        if record.masked.is_some() {
            return self.kept_masked().is_some_and(|kept| kept.rounds.iter().any(of));
        }
        self.kept().is_some_and(|kept| kept.rounds.iter().any(of))
    }

    /// What an institution posted for one masked sum, if the chain still keeps it.
    pub fn posting(&self, round: u32, pairing: u32, step: PostStep, who: &InstitutionId) -> Option<&[u8]> {
        self.postings.get(&(round, pairing, step, *who)).map(Vec::as_slice)
    }

    /// Root of the merged statistics: of their record, or where that is gone as the study names it.
    pub(super) fn statistics(&self) -> Option<Hash> {
        self.record(Kind::Statistics, 0).map(|record| record.root).or(self.info.state.statistics)
    }

    /// Whether the merged file of a closed round must stay.
    pub fn keeps_merged(&self, record: &RoundRecord) -> bool {
        self.kept().is_some_and(|kept| kept.merged.iter().any(|merged| merged.blob.root == record.root))
    }

    /// Rounds that must have a record.
    pub(super) fn must_be_closed(&self) -> u32 {
        let state = &self.info.state;
        let over = match &state.phase {
            Phase::FinalEvaluation { .. } | Phase::Certifying(_) | Phase::Completed(_) => true,
            Phase::Paused(pause) => matches!(pause.back, Back::Certifying { .. }),
            // the last figures of a study with masks are summed once its rounds are over
            _ => state.evaluates(),
        };
        state.round.saturating_add(u32::from(over))
    }
}
