//! A worker that has lost its folder. Which rows train and which validate follows from the site's secret, and is kept. A worker
//! that comes back in mid-study with another secret would train on rows that validated before, and the losses that it reports
//! would look better than they are: that is for people to decide.

use super::Worker;
use anyhow::Result;
use consilium_primitives::{DutyKind, DutyOrder};

impl Worker {
    /// Whether this site's rows may be used for a duty: not where they were split by another secret, nor where the chain has
    /// something of this site in the study and nothing is known of a split here. Merges, the initial model and
    /// acknowledgements use no rows.
    pub(super) fn split_known(&self, order: &DutyOrder) -> Result<bool> {
        let duty = &order.duty;
        if !matches!(duty.kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate) {
            return Ok(true);
        }
        let why = match self.home.split_by(&duty.agreement, &self.secret)? {
            Some(true) => return Ok(true),
            None if !order.committed_before => return Ok(true),
            Some(false) => "was decided by another secret than the one that is in this worker's folder now",
            None => {
                "is not known here, although something of this site was merged in this study before: this worker's folder is \
                 new, or was put back without that"
            }
        };
        if self.lost.lock().insert(duty.agreement) {
            let (folder, agreement) = (self.home.folder().display(), hex::encode(duty.agreement));
            let note = format!(
                "study {}: which rows of this site train and which are validation rows {why}. By a new split it would train on \
                 rows that it has validated on, and its losses, which help to choose the certified round, would look better \
                 than they are. This site neither trains nor evaluates for this agreement until its people decide: put back the \
                 files `secret` and `studies` of the earlier folder {folder} and start the worker again; or withdraw from the \
                 study; or go on with a new split all the same, by `ml-worker accept-split --dir {folder} --agreement \
                 {agreement}`",
                duty.study
            );
            let path = self.home.put_split_lost(&duty.agreement, &note)?;
            tracing::error!("{note} ({})", path.display());
        }
        Ok(false)
    }
}
