//! What a row holds, whoever it belongs to and whatever it is used for.

use crate::data::table::{identity, Table};
use std::{io, slice};

impl Table {
    /// Keyed hashes of what was read of each row, its label with it: two files of the same rows have the same ones, whatever they
    /// are called and however they are sorted. Numbers count with as many digits as all programs write alike.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn contents(&self, key: &[u8; 32]) -> io::Result<Vec<[u8; 32]>> {
        let mut bytes = Vec::new();
        let hash = |row: usize| {
            let picture = self.pictures.get(row).map_or(&[][..], slice::from_ref);
            // of pictures there are no values but their names
            let values = if self.form.raw() == 0 { Vec::new() } else { self.row(row)? };
            identity::content(&values, true, (self.form.task, self.label(row)), picture, &mut bytes);
            Ok(*blake3::keyed_hash(key, &bytes).as_bytes())
        };
        (0..self.rows()).map(hash).collect()
    }
}
