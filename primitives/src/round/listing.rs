//! Which files of a study must stay, and who may have them.

use super::{bit, state::*, Study};
use crate::{
    blobs::{MaskedBlobs, MergedBlob, RoundUpdates, StudyBlobs},
    ids::{BlobRef, Hash, InstitutionId, StudyId},
    rules::UPDATES_AFTER_END,
};
use alloc::{collections::BTreeSet, vec::Vec};

impl Study {
    /// What is said of this study's blobs at block `now`, with the records of its closed rounds. `claims` says whether an
    /// institution may have anything at all: who was suspended may not, also of studies that have ended.
    ///
    /// These merged files stay: the statistics; the model on which training stands, of the last closed round that counts; the canonical one
    /// or, until it is chosen, the best so far; and, as long as a round's updates stay, what that round started from and
    /// what it came to.
    pub fn blobs(
        &self,
        study: StudyId,
        now: u32,
        record: impl Fn(Kind, u32) -> Option<RoundRecord>,
        mut claims: impl FnMut(&InstitutionId) -> bool,
    ) -> StudyBlobs {
        let mut among = |mask| -> Vec<InstitutionId> { self.named(mask).into_iter().filter(|id| claims(id)).collect() };
        let over = self.ended_at.is_some_and(|at| now.saturating_sub(at) >= UPDATES_AFTER_END);
        let statistics = record(Kind::Statistics, 0);
        // those of the last closed round stay until the next one has closed: who finds another merge than the attested one
        // looks at them once more
        let oldest = self.round.saturating_sub(self.rules.keep_updates.max(1));
        // one more, for the model that the oldest round started from
        let models: Vec<RoundRecord> =
            (oldest.saturating_sub(1)..=self.round).rev().filter_map(|round| record(Kind::Model, round)).collect();
        // the newest round that counts: the last closed one, but where the study fell back to an older one
        let last = models.iter().find(|r| r.round == self.base_round).cloned();
        let last = last.or_else(|| record(Kind::Model, self.base_round));
        let chosen = match &self.phase {
            Phase::Certifying(c) => Some(c.round),
            Phase::Completed(c) => Some(c.round),
            Phase::Paused(Pause { back: Back::Certifying { round, .. }, .. }) => Some(*round),
            _ => self.best,
        };
        let mut merged = Vec::new();
        let mut listed = BTreeSet::new();
        let mut list = |r: &RoundRecord, len, wanted| {
            // a sum that could not be used has no file
            if r.root != Hash::zero() && listed.insert((r.round, len, r.root)) {
                let blob = BlobRef { root: r.root, len };
                merged.push(MergedBlob { round: r.round, blob, holders: r.attesters.to_vec(), wanted });
            }
        };
        if let Some(r) = &statistics {
            list(r, self.rules.statistics_len, true);
        }
        if let Some(r) = &last {
            list(r, self.rules.merged_len, true);
        }
        if let Some(r) = chosen
            .filter(|round| last.as_ref().is_none_or(|last| last.round != *round))
            .and_then(|round| models.iter().find(|r| r.round == round).cloned().or_else(|| record(Kind::Model, round)))
        {
            list(&r, self.rules.merged_len, true);
        }
        let mut rounds = Vec::new();
        if !over {
            for r in &models {
                list(r, self.rules.merged_len, false);
            }
        }
        // masked files are listed apart
        if !over && self.rules.masked.is_none() {
            let mut updates = |kind, round, wanted, updates: Vec<(InstitutionId, Hash)>| {
                if updates.is_empty() {
                    return;
                }
                let authors = updates.iter().filter_map(|(author, _)| self.position(author));
                let authors = authors.fold(0, |mask, index| mask | bit(index)) & self.active();
                // who enrolled later has no part in this round, but for an author that has come back
                let members = among(self.counted(round) | authors);
                let len = if kind == Kind::Statistics { self.rules.statistics_len } else { self.rules.update_len };
                rounds.push(RoundUpdates { round, members, wanted, len, updates });
            };
            if let Phase::Merging(m) = &self.phase {
                let inputs = m.inputs.iter().filter_map(|input| {
                    self.member(input.commitment.member).map(|author| (author.id, input.commitment.root))
                });
                updates(m.kind, self.round, true, inputs.collect());
            }
            for r in models.iter().filter(|r| r.round >= oldest).chain(&statistics) {
                updates(r.kind, r.round, false, r.inputs.iter().map(|i| (i.institution, i.root)).collect());
            }
        }
        let members = among(self.active());
        StudyBlobs { study, ended: self.ended_at, members, merged, rounds }
    }

    /// What is said of the masked files of this study at block `now`: of each from its commitment on, since without what is opened
    /// later it is random words, and as long as updates would stay. Nothing where nothing is masked.
    pub fn masked_blobs(
        &self,
        study: StudyId,
        now: u32,
        record: impl Fn(Kind, u32) -> Option<RoundRecord>,
        mut claims: impl FnMut(&InstitutionId) -> bool,
    ) -> MaskedBlobs {
        let mut rounds = Vec::new();
        let over = self.ended_at.is_some_and(|at| now.saturating_sub(at) >= UPDATES_AFTER_END);
        if over || self.rules.masked.is_none() {
            return MaskedBlobs { study, rounds };
        }
        let mut list = |kind, round, wanted, updates: Vec<(InstitutionId, Hash)>| {
            if updates.is_empty() {
                return;
            }
            let authors = updates.iter().filter_map(|(author, _)| self.position(author));
            let authors = authors.fold(0, |mask, index| mask | bit(index)) & self.active();
            let members = self.named(self.counted(round) | authors).into_iter().filter(|id| claims(id)).collect();
            let len = self.rules.part_len(kind);
            rounds.push(RoundUpdates { round, members, wanted, len, updates });
        };
        let open = match &self.phase {
            Phase::Collecting(c) => {
                let named = c.commitments.iter().filter_map(|it| Some((self.member(it.member)?.id, it.root)));
                Some((c.kind, named.collect()))
            }
            Phase::Gathering(m) => Some((m.kind, self.files(&m.inputs))),
            Phase::Revealing(r) => Some((r.set.kind, self.files(&r.set.inputs))),
            Phase::Summing(s) => Some((s.set.kind, self.files(&s.set.inputs))),
            Phase::Paused(Pause { back: Back::Revealing(set) | Back::Summing(set), .. }) => {
                Some((set.kind, self.files(&set.inputs)))
            }
            _ => None,
        };
        if let Some((kind, files)) = open {
            list(kind, self.round, true, files);
        }
        let oldest = self.round.saturating_sub(self.rules.keep_updates.max(1));
        let closed = (oldest..=self.round).rev().filter_map(|round| record(Kind::Model, round));
        let figures = record(Kind::Evaluation, self.round);
        for r in closed.chain(record(Kind::Statistics, 0)).chain(figures) {
            list(r.kind, r.round, false, r.inputs.iter().map(|input| (input.institution, input.root)).collect());
        }
        MaskedBlobs { study, rounds }
    }
}
