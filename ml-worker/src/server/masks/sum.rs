//! Other sites' masked files: gathered, and summed once their masks can be taken off.

use super::{looked_at, mask::round_of, named_inputs, partners, used};
use crate::{
    server::{
        job::{other, JobError},
        Worker,
    },
    site::StudyKey,
};
use anyhow::Context;
use consilium_aggregation::{
    hash_file,
    masked::{
        merge_masked, merge_masked_statistics, sum_figures, verify_masked, Figures, MaskedError, MaskedLayout, Noised,
    },
    FilesError, InputFile,
};
use consilium_masks::{unmask_streams, Error, Id, Opened, Partners, Reveal, Streams};
use consilium_primitives::{
    round::Kind, BlobRef, DutyKind, DutyOrder, DutyOutput, Hash, InstitutionId, MaskOrder, VoidReason,
};
use consilium_study::StudySpec;
use serde_json::json;
use std::{io, path::PathBuf};

/// Why files were not summed, among errors of the file system.
struct Fault(MaskedError);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self(FilesError::Io { path: "the blob store".into(), error }.into())
    }
}

/// What a sum of masked files gave.
struct Sum {
    /// Of the file; zero where there is none.
    root: Hash,
    figures: Figures,
    norm: Option<f64>,
}

fn layout(masked: &MaskOrder, spec: &StudySpec) -> anyhow::Result<MaskedLayout> {
    Ok(match masked.kind {
        Kind::Statistics => MaskedLayout::statistics(spec.data.statistics_columns())?,
        Kind::Model => MaskedLayout::model(&spec.layout()?)?,
        Kind::Evaluation => MaskedLayout::figures()?,
    })
}

impl Worker {
    /// Whether all masked files of the list are here, and each is whole; `None`: the job says which are not.
    pub(in crate::server) fn gather(
        &self,
        order: &DutyOrder,
        spec: &StudySpec,
    ) -> Result<Option<DutyOutput>, JobError> {
        let masked = self.mask_order(order).ok_or(JobError::Missing("what the order needs"))?;
        looked_at(named_inputs(order, &masked))?;
        if let Err(error) = self.mask_again(order, &masked, spec) {
            let (study, round) = (order.duty.study, order.duty.round);
            tracing::error!(
                "study {study}, round {round}: this site's own masked file is gone, and cannot be made again: {error}"
            );
        }
        Ok(self.all_whole(order, &masked, spec)?.then_some(DutyOutput::Held))
    }

    fn all_whole(&self, order: &DutyOrder, masked: &MaskOrder, spec: &StudySpec) -> Result<bool, JobError> {
        let layout = looked_at(layout(masked, spec))?;
        let (mut have, mut invalid) = (0u64, 0u64);
        for (place, input) in order.inputs.iter().enumerate() {
            if !self.blobs.has(&input.blob) {
                continue;
            }
            let bit = 1u64.checked_shl(place as u32).unwrap_or(0);
            let look = |blob: &BlobRef| verify_masked(&self.blobs.path(&blob.root), &layout, &input.duty, &blob.root);
            match self.verified(&input.blob, &input.duty, look)? {
                None => {}
                Some(Ok(())) => have |= bit,
                Some(Err(error)) => {
                    invalid |= bit;
                    self.report_invalid(order, &input.institution.to_string(), &input.blob, &error);
                }
            }
        }
        self.change(&crate::server::key(order), |job| {
            job.have = have;
            job.invalid = invalid;
            job.scanned = true;
        });
        Ok(have.count_ones() as usize == order.inputs.len())
    }

    /// Sums masked files, once all are here. `None`: some are missing, and the job says which.
    pub(in crate::server) fn sum(
        &self,
        order: &DutyOrder,
        masked: &MaskOrder,
        spec: &StudySpec,
    ) -> Result<Option<DutyOutput>, JobError> {
        looked_at(named_inputs(order, masked))?;
        let own = order.inputs.iter().find(|input| input.institution == order.duty.institution);
        if own.is_some() && masked.kind == Kind::Model && spec.training.keep_optimizer_state {
            self.home.put_merged(&StudyKey::of(&order.duty), order.duty.round, &masked.work)?;
        }
        if !self.all_whole(order, masked, spec)? {
            return Ok(None);
        }
        let partners = looked_at(partners(&self.pair(order, masked), masked))?;
        let used = looked_at(used(order, &partners))?;
        if let Some(own) = own {
            let _one = self.masking.one.lock();
            self.pair(order, masked).note_sum(&partners, (used, &own.blob.root))?;
        }
        let opened = match Opened::new(&partners, used, &reveals(order, masked, &partners)) {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(order, error).map(Some),
        };
        let streams = unmask_streams(&partners, &opened).map_err(other)?;
        if masked.kind == Kind::Model {
            self.restore_initial(order, spec)?;
            self.whole_base(order)?;
        }
        let noised = spec.noised().map_err(other)?;
        match self.summed(order, masked, (spec, noised), &partners, &streams) {
            Ok(sum) => {
                let pooled = pooled(spec, sum.figures, order.inputs.len());
                if let Err(error) = self.tell_sum(order, masked, &sum, pooled) {
                    let (study, round) = (order.duty.study, order.duty.round);
                    tracing::warn!("study {study}, round {round}: no note on the sum: {error:#}");
                }
                Ok(Some(DutyOutput::Summed { root: sum.root, pooled }))
            }
            Err(error) => self.not_summed(order, error),
        }
    }

    /// What is said where shares do not give the secrets that they are of.
    fn not_opened(&self, order: &DutyOrder, error: Error) -> Result<DutyOutput, JobError> {
        let first = |ids: &[Id]| ids.first().copied().map(InstitutionId);
        let reason = match &error {
            Error::BadDeal { who } => first(who).map(|who| VoidReason::BadDeal { who }),
            // that shares are missing the chain sees itself
            _ => None,
        };
        let Some(reason) = reason else { return Err(other(error)) };
        Ok(void(order, reason, &error.to_string()))
    }

    /// What is said where the sum is none of honest sites'; and what becomes of a file that has changed since it was looked through.
    fn not_summed(&self, order: &DutyOrder, error: MaskedError) -> Result<Option<DutyOutput>, JobError> {
        if let Some(reason) = error.void() {
            return Ok(Some(void(order, reason, &error.to_string())));
        }
        match &error {
            MaskedError::Files(FilesError::Differs { input, .. }) => {
                // it was whole when it was looked at
                if let Some(damaged) = order.inputs.get(*input) {
                    self.blobs.remove_damaged(&damaged.blob.root)?;
                }
                self.forget(order);
                let bit = 1u64.checked_shl(*input as u32).unwrap_or(0);
                self.change(&crate::server::key(order), |job| job.have &= !bit);
                Ok(None)
            }
            _ => {
                self.forget(order);
                Err(other(error))
            }
        }
    }

    fn summed(
        &self,
        order: &DutyOrder,
        masked: &MaskOrder,
        (spec, noised): (&StudySpec, Option<Noised>),
        partners: &Partners,
        streams: &Streams,
    ) -> Result<Sum, MaskedError> {
        let input = |i: &consilium_primitives::MergeInput| InputFile {
            path: self.blobs.path(&i.blob.root),
            blob: i.blob,
            duty: i.duty,
            weight: i.weight,
        };
        let files: Vec<InputFile> = order.inputs.iter().map(input).collect();
        match masked.kind {
            Kind::Evaluation => Ok(Sum { root: Hash::zero(), figures: sum_figures(&files, streams)?, norm: None }),
            Kind::Statistics => {
                let merged = merge_masked_statistics(&files, spec.data.statistics_columns(), streams)?;
                let bytes = merged.encode(None).map_err(FilesError::Base)?;
                let root = self.blobs.put_loosely(&bytes).map_err(|error| Fault::from(error).0)?;
                Ok(Sum { root, figures: Figures::default(), norm: None })
            }
            Kind::Model => {
                let layout = spec.layout()?;
                let base = order.base.map(|base| self.blobs.path(&base.root)).unwrap_or_default();
                let round = round_of(masked, partners, (&base, &layout), noised);
                let merged = self.blobs.make(|file, path| {
                    let merged = merge_masked(&round, &files, streams, (file, path)).map_err(Fault)?;
                    Ok::<_, Fault>((merged.blob, merged))
                });
                let (blob, merged) = merged.map_err(|fault| fault.0)?;
                Ok(Sum { root: blob.root, figures: merged.figures, norm: merged.norm })
            }
        }
    }

    /// The model that an order stands on, whole.
    pub(super) fn whole_base(&self, order: &DutyOrder) -> Result<PathBuf, JobError> {
        let base = order.base.filter(|base| self.blobs.has(base)).ok_or(JobError::Missing("the base model"))?;
        let path = self.blobs.path(&base.root);
        // hashed each time: what is in it is used unlooked at
        if hash_file(&path)? != base.root {
            self.blobs.remove_damaged(&base.root)?;
            return Err(JobError::Missing("the base model"));
        }
        Ok(path)
    }

    /// Notes whose files were summed, for this site's own people: `merge-ROUND.json` in the study's folder.
    fn tell_sum(&self, order: &DutyOrder, masked: &MaskOrder, sum: &Sum, pooled: Option<u32>) -> anyhow::Result<()> {
        if order.duty.kind != DutyKind::Merge || masked.kind != Kind::Model {
            return Ok(());
        }
        let updates: Vec<_> = order
            .inputs
            .iter()
            .map(|input| {
                json!({
                    "institution": input.institution.to_string(),
                    "file": hex::encode(input.blob.root),
                    "weight": input.weight,
                })
            })
            .collect();
        let partner = |partner: &consilium_primitives::Partner| partner.institution.to_string();
        let note = json!({
            "study": order.duty.study,
            "round": order.duty.round,
            "inputs_root": hex::encode(order.duty.base),
            "root": hex::encode(sum.root),
            "rules": masked.rules.merge,
            "masked": true,
            "partners": masked.partners.iter().map(partner).collect::<Vec<_>>(),
            "pooled_loss": pooled.map(|micro| f64::from(micro) / 1e6),
            "merged_norm": sum.norm,
            "updates": updates,
        });
        let study = StudyKey::of(&order.duty);
        self.home.put_note(&study, "merge", order.duty.round, &note).context("it cannot be written")
    }
}

/// The pooled loss of a sum. None of a private study, whose sites report none: the chain takes no such figure, and words that somebody has
/// put there must not keep the model that goes with them from being merged.
fn pooled(spec: &StudySpec, figures: Figures, summed: usize) -> Option<u32> {
    match spec.privacy {
        Some(_) => None,
        None => figures.pooled(summed),
    }
}

/// What was posted of shares. The chain has looked at each; what cannot be read all the same is left out.
fn reveals(order: &DutyOrder, masked: &MaskOrder, partners: &Partners) -> Vec<(Id, Reveal)> {
    let read = |(institution, bytes): &(InstitutionId, Vec<u8>)| match Reveal::from_bytes(bytes, partners) {
        Ok(reveal) => Some((institution.0, reveal)),
        Err(error) => {
            tracing::warn!("study {}: the shares of {institution} cannot be read: {error}", order.duty.study);
            None
        }
    };
    masked.reveals.iter().filter_map(read).collect()
}

fn void(order: &DutyOrder, reason: VoidReason, why: &str) -> DutyOutput {
    tracing::error!(
        "study {}, round {}: the sum cannot be used: {why}. Nobody's update is seen by this; the round counts for nothing",
        order.duty.study,
        order.duty.round
    );
    DutyOutput::Void(reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    #[test]
    fn no_figure_of_a_private_study_is_told_whatever_stands_in_the_words() {
        let text = include_str!("../../../../examples/breast-cancer/shared.toml");
        let mut spec = StudyFile::parse(text).unwrap().spec();
        let figures = Figures { loss: 800, rows: 200, reporters: 4 };
        assert_eq!(pooled(&spec, figures, 4), None);
        spec.privacy = None;
        assert_eq!(pooled(&spec, figures, 4), Some(4));
    }
}
