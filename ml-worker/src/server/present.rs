//! What a site says of itself while a study waits for sites; and the initial model, which every site can make again.

use super::{job::JobError, Worker};
use consilium_primitives::{
    duty::{held_bit, HELD_BASE},
    round::Kind,
    BlobRef, DutyOrder, DutyOutput,
};
use consilium_study::StudySpec;

/// Whether what an order stands on is the initial model.
pub(super) fn is_initial(order: &DutyOrder) -> bool {
    let Some(base) = order.base else { return false };
    order.attested.iter().any(|it| it.kind == Kind::Model && it.round == 0 && it.root == base.root)
}

impl Worker {
    /// That this site is there, and which merged models it holds, by name and length: their bytes are checked when they are
    /// read.
    pub(super) fn present(&self, order: &DutyOrder) -> DutyOutput {
        let len = order.output_len;
        let models = order.attested.iter().filter(|it| it.kind == Kind::Model);
        let there = models.filter(|it| self.blobs.has(&BlobRef { root: it.root, len }));
        let held = there.fold(0, |mask, it| mask | held_bit(order.duty.round, it.round));
        let base = order.base.is_some_and(|base| self.blobs.has(&base));
        DutyOutput::Present { held: if base { held | HELD_BASE } else { held } }
    }

    /// Makes the initial model again where an order stands on it and it is not here: a study can fall back to it when nobody has
    /// it any more.
    pub(super) fn restore_initial(&self, order: &DutyOrder, spec: &StudySpec) -> Result<(), JobError> {
        if let Some(base) = order.base.filter(|base| is_initial(order) && !self.blobs.has(base)) {
            self.blobs.put(&self.initial_model(spec, base.len)?)?;
        }
        Ok(())
    }
}
