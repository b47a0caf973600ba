//! A masked file: what this site trained, counted or evaluated, under masks.

use super::{looked_at, partners, work_key, Unanswered};
use crate::{
    data::DataError,
    server::{
        job::{other, JobError},
        Worker,
    },
    site::{Source, StudyKey},
};
use consilium_aggregation::{
    blob_hash, hash_file,
    masked::{
        mask_figures, mask_noised, mask_update, Figures, MaskedError, MaskedRound, MaskedUpdate, Noised, OwnUpdate,
        Scale,
    },
};
use consilium_masks::{mask_streams, Partners, Streams};
use consilium_primitives::{round::Kind, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, FailureCode, Hash, MaskOrder};
use consilium_study::StudySpec;
use std::io;

/// Why a file was not made, among errors of the file system.
enum Fault {
    Masked(MaskedError),
    /// Made again, it is another one: it must not leave.
    Other(Hash),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for JobError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Masked(error @ MaskedError::StepTooLarge { .. }) => {
                DataError::new(FailureCode::StepTooLarge, error.to_string()).into()
            }
            Fault::Masked(error) => other(error),
            Fault::Other(found) => Self::Other(anyhow::anyhow!(
                "the masked file of this pairing was lost and, made again, is {}, another one: under the same masks it would show \
                 what differs, and it is given to nobody",
                hex::encode(found)
            )),
            Fault::Io(error) => error.into(),
        }
    }
}

/// What is masked with: the masks, what this site counts for, and the file that was made before.
struct With<'a> {
    streams: Streams,
    partners: &'a Partners,
    weight: u32,
    before: Option<Hash>,
}

impl Worker {
    /// Masks what this site's work gave, and puts the masked file into the blob store.
    pub(in crate::server) fn mask(
        &self,
        order: &DutyOrder,
        duty: &Hash,
        spec: &StudySpec,
    ) -> Result<DutyOutput, JobError> {
        let masked = self.mask_order(order).ok_or(JobError::Missing("what the order needs"))?;
        // another request may have brought other rules since it was asked for
        if let Some(why) = self.unsigned(order, &masked) {
            return Err(DataError::new(FailureCode::Refused, why).into());
        }
        Ok(DutyOutput::Update { root: self.mask_with(order, &masked, duty, spec)?, metric: None })
    }

    /// Makes this site's own masked file again, where it is gone before the others have it: while its secrets are here, the same one
    /// comes out.
    pub(super) fn mask_again(&self, gather: &DutyOrder, masked: &MaskOrder, spec: &StudySpec) -> Result<(), JobError> {
        let own = gather.inputs.iter().find(|input| input.institution == gather.duty.institution);
        let Some(own) = own.filter(|own| !self.blobs.has(&own.blob)) else { return Ok(()) };
        let duty = Duty { kind: DutyKind::Mask, base: masked.partners_root, statistics: Hash::zero(), ..gather.duty };
        let base = super::base_of(gather, masked);
        let order = DutyOrder { duty, base, inputs: Vec::new(), output_len: own.blob.len, ..gather.clone() };
        if duty.hash() == own.duty {
            self.mask_with(&order, masked, &own.duty, spec)?;
        }
        Ok(())
    }

    fn mask_with(
        &self,
        order: &DutyOrder,
        masked: &MaskOrder,
        duty: &Hash,
        spec: &StudySpec,
    ) -> Result<Hash, JobError> {
        let pair = self.pair(order, masked);
        let partners = looked_at(partners(&pair, masked))?;
        looked_at(super::same("partners", order.duty.base, (*partners.root()).into()))?;
        if !is_of(order, masked) {
            let why = "the node names another work to be masked than the training of this round on this model";
            return Err(DataError::new(FailureCode::Refused, why).into());
        }
        let work = work_key(order, masked);
        let _one = self.masking.one.lock();
        let source = self.source(order, masked, work)?;
        let maskable = pair.may_mask(&partners, duty, &source).map_err(Unanswered::job)?;
        let own = partners.partners().iter().find(|partner| partner.id == pair.own);
        let with = With {
            streams: mask_streams(&maskable.secrets, &pair.own, &partners).map_err(other)?,
            weight: own.map_or(0, |own| own.weight),
            before: maskable.before,
            partners: &partners,
        };
        let root = match masked.kind {
            Kind::Model => self.mask_model(order, masked, spec, duty, &work, &with)?,
            Kind::Evaluation => {
                let figures = self.own_figures(order, &work)?;
                self.put_masked(&mask_figures(figures, &with.streams, duty).map_err(other)?, &with)?
            }
            Kind::Statistics => {
                let sums = self.exact(order, &work).ok_or(JobError::Missing("the sums of this site's columns"))?;
                self.put_masked(&sums.masked(&with.streams, duty).map_err(other)?, &with)?
            }
        };
        if with.before.is_none() {
            pair.masked(&partners, *duty, source, root).map_err(Unanswered::job)?;
        }
        Ok(root)
    }

    /// What is masked, as two sums are told apart by it.
    fn source(&self, order: &DutyOrder, masked: &MaskOrder, work: Hash) -> Result<Source, JobError> {
        let again = match masked.kind {
            Kind::Model => self.home.worked(&StudyKey::of(&order.duty), &work)?.is_some_and(|worked| worked.again),
            // of one work each, whatever the round
            Kind::Statistics | Kind::Evaluation => false,
        };
        Ok(Source { work, again: order.base.filter(|_| again).map(|base| base.root) })
    }

    fn own_figures(&self, order: &DutyOrder, work: &Hash) -> Result<Figures, JobError> {
        let worked = self.home.worked(&StudyKey::of(&order.duty), work)?;
        let loss = worked.ok_or(JobError::Missing("this site's own loss"))?.loss;
        Ok(loss.map_or_else(Figures::default, |(loss, rows)| Figures::of(loss, rows)))
    }

    /// Puts a small masked file there, if it is the one that was made before, or the first.
    fn put_masked(&self, bytes: &[u8], with: &With<'_>) -> Result<Hash, JobError> {
        let root = blob_hash(bytes);
        if with.before.is_some_and(|before| before != root) {
            return Err(Fault::Other(root).into());
        }
        Ok(self.blobs.put_update(bytes)?)
    }

    fn mask_model(
        &self,
        order: &DutyOrder,
        masked: &MaskOrder,
        spec: &StudySpec,
        duty: &Hash,
        work: &Hash,
        with: &With<'_>,
    ) -> Result<Hash, JobError> {
        let study = StudyKey::of(&order.duty);
        let worked = self.home.worked(&study, work)?.ok_or(JobError::Missing("what was trained"))?;
        let path = self.home.update_path(&study, work);
        if Some(hash_file(&path)?) != worked.update {
            tracing::warn!("{} does not hold what was trained; it is trained anew", path.display());
            self.home.forget_worked(&study, work)?;
            return Err(JobError::Missing("what was trained"));
        }
        self.restore_initial(order, spec)?;
        let base = self.whole_base(order)?;
        let layout = spec.layout().map_err(other)?;
        let noised = spec.noised().map_err(other)?;
        let round = round_of(masked, with.partners, (&base, &layout), noised);
        let figures = self.own_figures(order, work)?;
        let own = OwnUpdate { path: &path, duty: &masked.work, weight: with.weight, figures };
        if round.noised.is_some() {
            return self.put_masked(&mask_noised(&round, &own, &with.streams, duty).map_err(other)?, with);
        }
        let made = self.blobs.make(|file, path| {
            let made = mask_update(&round, &own, &with.streams, duty, (file, path)).map_err(Fault::Masked)?;
            if with.before.is_some_and(|before| before != made.blob.root) {
                return Err(Fault::Other(made.blob.root));
            }
            Ok((made.blob, made))
        });
        let (blob, made) = made?;
        self.tell_masked(order, &made);
        Ok(blob.root)
    }

    /// Says what became of this site's step, to its own people alone.
    fn tell_masked(&self, order: &DutyOrder, made: &MaskedUpdate) {
        let (study, round) = (order.duty.study, order.duty.round);
        if made.clamped > 0 {
            tracing::warn!(
                "study {study}, round {round}: {} numbers of this site's step were held at the range agreed on (rules.masked_range)",
                made.clamped
            );
        }
        if made.shortened < 1.0 {
            tracing::info!(
                "study {study}, round {round}: this site's step was shortened to {:.3} of itself, to the agreed bound (rules.norm_bound)",
                made.shortened
            );
        }
    }
}

/// Whether the update that an order has masked is of its own round, model and statistics: by the model two sums of one update are told
/// apart.
fn is_of(order: &DutyOrder, masked: &MaskOrder) -> bool {
    let root = |blob: &Option<BlobRef>| blob.map(|blob| blob.root).unwrap_or_default();
    let (base, statistics) = (root(&order.base), root(&order.statistics));
    let train = Duty { kind: DutyKind::Train, base, statistics, ..order.duty };
    masked.kind != Kind::Model || train.hash() == masked.work
}

/// What the partners of a round have in common.
pub(super) fn round_of<'a>(
    masked: &'a MaskOrder,
    partners: &Partners,
    (base, layout): (&'a std::path::Path, &'a consilium_aggregation::Layout),
    noised: Option<Noised>,
) -> MaskedRound<'a> {
    // where nothing is masked, no order comes as far as this
    let range = masked.rules.masked.map_or(0, |masked| masked.range_log2);
    MaskedRound {
        merge: &masked.rules.merge,
        scale: Scale::new(range),
        noised,
        total: partners.partners().iter().map(|partner| u64::from(partner.weight)).sum(),
        base,
        layout,
    }
}
