//! Errors that starting again does not mend, told from those that may pass.

use crate::site::SiteError;
use std::{fmt, io};

/// A setting, a file or its mode is wrong: whoever keeps the worker running should not start it again by itself.
#[derive(Debug)]
pub struct Misconfigured(anyhow::Error);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Misconfigured {}

impl Misconfigured {
    /// Marks an error of the start, unless the system may think otherwise in a moment: a full disk, too many open files.
    pub(super) fn unless_it_passes(error: anyhow::Error) -> anyhow::Error {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
        let stays = [NotFound, PermissionDenied, NotADirectory, IsADirectory, ReadOnlyFilesystem];
        let passes = error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|io| !stays.contains(&io.kind()))
                || cause.downcast_ref::<SiteError>().is_some_and(|site| site.passes)
        });
        if passes {
            error
        } else {
            Self(error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_not_held_against_the_configuration() {
        let marked = |error: anyhow::Error| Misconfigured::unless_it_passes(error).is::<Misconfigured>();
        let io = |kind: io::ErrorKind| anyhow::Error::from(io::Error::from(kind)).context("cannot write secret");
        assert!(marked(anyhow::anyhow!("the token must be one line")));
        assert!(marked(io(io::ErrorKind::PermissionDenied)) && marked(io(io::ErrorKind::NotFound)));
        assert!(!marked(io(io::ErrorKind::StorageFull)) && !marked(io(io::ErrorKind::Interrupted)));
        let shown = Misconfigured::unless_it_passes(io(io::ErrorKind::NotFound)).to_string();
        assert!(shown.starts_with("cannot write secret: "), "{shown}");
    }
}
