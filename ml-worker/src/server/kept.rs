//! A site's data as a duty needs them. Pictures are decoded once and kept from one duty to the next, as long as their
//! hash, which is taken anew each time, stays the same; tables are read anew.

use super::Worker;
use crate::{
    data::{hash_data, read_file, DataError, Read, Reading, Table},
    site::group_key,
};
use consilium_primitives::{DutyOrder, Hash};
use consilium_study::StudySpec;
use std::path::{Path, PathBuf};

/// The pictures of the last duty that had any.
pub(super) struct Kept {
    path: PathBuf,
    spec: Hash,
    hash: Hash,
    table: Table,
}

impl Worker {
    /// Reads a study's data, and hashes what is read. Several duties wait for each other where there are pictures: they
    /// would all need the same memory.
    pub(super) fn read(
        &self,
        path: &Path,
        order: &DutyOrder,
        spec: &StudySpec,
        how: &Reading,
    ) -> Result<Read, DataError> {
        let key = group_key(&self.secret, &order.spec.0);
        if spec.data.pictures.is_none() {
            return read_file(path, &spec.data, &key, how);
        }
        let mut kept = self.pictures.lock();
        if let Some(there) = kept.as_ref().filter(|there| there.path == path && there.spec == order.spec) {
            if hash_data(path, &spec.data)? == there.hash {
                return Ok(Read { hash: there.hash, table: Ok(there.table.clone()) });
            }
        }
        // before memory is looked at
        *kept = None;
        let read = read_file(path, &spec.data, &key, how)?;
        if let Ok(table) = &read.table {
            *kept = Some(Kept { path: path.into(), spec: order.spec, hash: read.hash, table: table.clone() });
        }
        Ok(read)
    }
}
