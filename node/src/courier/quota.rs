//! How much the courier may keep: what its institution's studies need, not what else lies in the blob store.

use consilium_primitives::BlobRef;
use std::collections::BTreeMap;

/// More is wanted than may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{used} bytes of blobs that studies need and of partial downloads are here, {wanted} more are wanted, {quota} are allowed")]
pub struct OverQuota {
    /// Bytes of what must be held and is here, and of partial downloads.
    pub used: u64,
    /// Bytes wanted on top.
    pub wanted: u64,
    /// Bytes allowed.
    pub quota: u64,
}

impl OverQuota {
    /// The quota that would be enough, in MiB.
    #[must_use]
    pub fn needed_mib(&self) -> u64 {
        self.used.saturating_add(self.wanted).div_ceil(1024 * 1024)
    }
}

/// What is on disk, from one reading of the folders.
#[derive(Debug, Default)]
pub struct Usage {
    /// Bytes that count.
    pub used: u64,
    /// What is there already of partial downloads.
    pub partial: BTreeMap<BlobRef, u64>,
    quota: u64,
}

impl Usage {
    /// Nothing yet, of so many bytes that are allowed.
    #[must_use]
    pub fn new(quota: u64) -> Self {
        Self { quota, ..Self::default() }
    }

    /// Whether what is still to come of downloads fits.
    ///
    /// # Errors
    /// It does not.
    pub fn room_for(&self, downloads: &[BlobRef]) -> Result<(), OverQuota> {
        let there = |blob| self.partial.get(blob).copied().unwrap_or_default();
        let wanted = downloads.iter().map(|blob| blob.len.saturating_sub(there(blob))).fold(0, u64::saturating_add);
        if self.used.saturating_add(wanted) <= self.quota {
            Ok(())
        } else {
            Err(OverQuota { used: self.used, wanted, quota: self.quota })
        }
    }
}
