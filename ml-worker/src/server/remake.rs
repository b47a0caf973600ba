//! Updates of this site whose files are gone from its disk, or are cut short there, before others have fetched them: they are made
//! again, while the duty itself or the merge that needs them is asked for. What was promised is the hash of the first one. Where it
//! does not come out again, as where the optimiser's state of the round before is lost too, nothing else is said in its place.

use super::{key, Worker};
use anyhow::bail;
use consilium_primitives::{BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, Hash};

impl Worker {
    /// Whether the file of an update that was made here is there, as far as its name and length say.
    pub(super) fn holds_update(&self, order: &DutyOrder, root: &Hash) -> bool {
        match order.duty.kind {
            DutyKind::Train | DutyKind::Mask if order.output_len > 0 => {
                self.blobs.has(&BlobRef { root: *root, len: order.output_len })
            }
            // a length that nobody has named is no reason to train for ever
            _ => self.blobs.is_there(root),
        }
    }

    /// The order for this site's own input of a merge, where its file is not there and was made here.
    pub(super) fn lost_update(&self, merge: &DutyOrder) -> Option<DutyOrder> {
        let own = merge.inputs.iter().find(|input| input.institution == merge.duty.institution)?;
        if self.blobs.has(&own.blob) {
            return None;
        }
        let (kind, base, statistics) = match merge.duty.kind {
            DutyKind::Merge => (DutyKind::Train, merge.base, merge.statistics),
            DutyKind::MergeStatistics => (DutyKind::Statistics, None, None),
            _ => return None,
        };
        let root = |blob: Option<BlobRef>| blob.map(|blob| blob.root).unwrap_or_default();
        let order = DutyOrder {
            duty: Duty { kind, base: root(base), statistics: root(statistics), ..merge.duty },
            base,
            statistics,
            inputs: Vec::new(),
            merge: None,
            output_len: own.blob.len,
            // its rows are not split in another way for it
            committed_before: true,
            ..merge.clone()
        };
        let made = || matches!(self.home.result(&key(&order)), Ok(Some(DutyOutput::Update { root, .. })) if root == own.blob.root);
        (order.duty.hash() == own.duty && made()).then_some(order)
    }

    /// Keeps what a duty gave; of an update that was made again, that it is the first one.
    ///
    /// # Errors
    /// It is another one; what the file system says.
    pub(super) fn keep_first(&self, key: &Hash, output: &DutyOutput) -> anyhow::Result<()> {
        self.home.put_result(key, output, &self.blobs)?;
        let (DutyOutput::Update { root, .. }, Some(DutyOutput::Update { root: first, .. })) =
            (output, self.home.result(key)?)
        else {
            return Ok(());
        };
        if *root != first {
            bail!(
                "the update {} was promised and is gone; made again, it is {}, and that is not said in its place",
                hex::encode(first),
                hex::encode(root)
            );
        }
        Ok(())
    }
}
