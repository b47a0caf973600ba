//! What was done here already, and what is being done.

use super::Worker;
use anyhow::Result;
use consilium_primitives::{duty::PROTOCOL_VERSION, DutyOrder, DutyOutput, DutyState, Hash};

impl Worker {
    /// What a duty gave, if it was done and is here. What can be computed again and was lost, as by a power cut, is computed again
    /// before this site says that it holds it; of an update, the first result stays.
    pub(super) fn done(&self, order: &DutyOrder, key: &Hash) -> Result<Option<DutyOutput>> {
        if self.masked_work(order).is_some() {
            return Ok(self.work_done(order, key)?.then_some(DutyOutput::Held));
        }
        let output = self.home.result(key)?;
        if let Some(DutyOutput::Update { root, .. }) = output {
            return Ok(output.filter(|_| self.holds_update(order, &root)));
        }
        let root = match output {
            Some(DutyOutput::Root(root) | DutyOutput::Marked { root, .. } | DutyOutput::Summed { root, .. }) => root,
            _ => return Ok(output),
        };
        // of a sum of figures there is no file
        if root == Hash::zero() || self.blobs.is_there(&root) {
            return Ok(output);
        }
        tracing::warn!("blob {} was made here, and is gone; it is made again", hex::encode(root));
        self.home.forget_result(key)?;
        self.jobs.lock().retain(|of, job| of != key || job.working);
        Ok(None)
    }

    /// What people see: which duties there are, and how far.
    pub(super) fn status(&self) -> serde_json::Value {
        let duties: Vec<_> = self
            .jobs
            .lock()
            .iter()
            .filter(|(_, job)| job.working)
            .map(|(_, job)| {
                let done = match job.state {
                    DutyState::Running { done } => done,
                    _ => 0,
                };
                serde_json::json!({
                    "duty": hex::encode(job.duty.hash()), "study": job.duty.study, "round": job.duty.round,
                    "kind": job.duty.kind, "done": done,
                })
            })
            .collect();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "protocol": PROTOCOL_VERSION, "held": self.home.held(), "duties": duties,
            "failed": self.failures.list(),
        })
    }
}
