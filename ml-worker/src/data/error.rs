//! Why data cannot be used.

use consilium_primitives::FailureCode;
use std::{
    io,
    panic::{catch_unwind, AssertUnwindSafe},
    path::Path,
};

/// Why data cannot be used. The text is for the site's own people; others learn the code alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    /// What others learn.
    pub code: FailureCode,
    /// File, line, column, and what to do. Never a cell's content.
    pub message: String,
    /// Whether it may be otherwise in a moment, whatever the data are: too many files are open on this machine.
    pub passes: bool,
}

impl DataError {
    pub(crate) fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), passes: false }
    }

    pub(in crate::data) fn schema(message: impl Into<String>) -> Self {
        Self::new(FailureCode::SchemaMismatch, message)
    }

    /// Of the file system: what could not be done, and why.
    pub(in crate::data) fn io(what: &str, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::OutOfDisk,
            io::ErrorKind::OutOfMemory => FailureCode::OutOfMemory,
            _ => FailureCode::DataUnreadable,
        };
        Self { passes: too_many_files(error), ..Self::new(code, format!("{what}: {error}")) }
    }

    /// With the file's name before it, once.
    pub(crate) fn of(self, file: &Path) -> Self {
        if self.message.starts_with(&file.display().to_string()) {
            return self;
        }
        let place = ["line ", "row "].iter().any(|unit| self.message.starts_with(unit));
        let between = if place { "," } else { ":" };
        Self { message: format!("{}{between} {}", file.display(), self.message), ..self }
    }
}

/// Runs a decoder; none where it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// A file of a kind, or with content, that a study does not take.
pub(crate) fn refused(message: impl Into<String>) -> DataError {
    DataError::new(FailureCode::SchemaMismatch, message)
}

/// A file that was not written or copied whole.
pub(crate) fn damaged(what: &str) -> DataError {
    DataError::new(FailureCode::DataUnreadable, format!("is a damaged or cut-off {what}; export or copy it again"))
}

/// Whether no file can be opened because this process, or the machine, has too many open: `EMFILE` and `ENFILE` of Linux,
/// which the standard library has no names for.
pub fn too_many_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_for_want_of_descriptors_says_nothing_of_the_data() {
        for (number, passes) in [(24, true), (23, true), (2, false), (13, false), (5, false)] {
            let error = io::Error::from_raw_os_error(number);
            let error = DataError::io("cannot be read", &error).of(Path::new("data.csv"));
            assert_eq!((error.code, error.passes), (FailureCode::DataUnreadable, passes), "{number}");
        }
    }
}
