//! What `--version` says.

use std::fmt;

/// The release of polkadot-sdk that all programs, and the runtime that they bring, are built from.
pub const SDK: &str = "polkadot-sdk 2609.2.0";

/// Which build of a program this is. Made by [`version!`](crate::version) alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    number: &'static str,
    commit: Option<&'static str>,
}

impl Version {
    /// Of a package's number and what the build said of its commit; an empty word says nothing.
    #[must_use]
    pub const fn new(number: &'static str, commit: Option<&'static str>) -> Self {
        let commit = match commit {
            Some(commit) if !commit.is_empty() => Some(commit),
            _ => None,
        };
        Self { number, commit }
    }

    /// Number and commit in one word, as nodes of Substrate chains tell each other: `0.1.0-1234567890a`.
    #[must_use]
    pub fn word(&self) -> String {
        match self.commit {
            Some(commit) => format!("{}-{}", self.number, commit.replace(' ', "-")),
            None => self.number.to_owned(),
        }
    }
}

/// `0.1.0 (commit 1234567890a, polkadot-sdk 2609.2.0)`
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.commit {
            Some(commit) => write!(f, "{} (commit {commit}, {SDK})", self.number),
            None => write!(f, "{} (built without naming a commit, {SDK})", self.number),
        }
    }
}

/// The [`Version`] of the program whose `main.rs` this stands in.
///
/// The commit is what `CONSILIUM_COMMIT` says at build time; `scripts/env.sh` sets it. A variable and no build script: one would
/// have the whole package compiled anew after each commit, and this only the file that it stands in.
#[macro_export]
macro_rules! version {
    () => {
        $crate::Version::new(env!("CARGO_PKG_VERSION"), option_env!("CONSILIUM_COMMIT"))
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_names_the_commit_or_says_that_it_has_none() {
        let version = |commit| Version::new("1.2.3", commit);
        assert_eq!(version(Some("0123456789a")).to_string(), format!("1.2.3 (commit 0123456789a, {SDK})"));
        assert_eq!(version(Some("0123456789a with changes")).word(), "1.2.3-0123456789a-with-changes");
        for none in [None, Some("")] {
            assert_eq!(version(none).to_string(), format!("1.2.3 (built without naming a commit, {SDK})"));
            assert_eq!(version(none).word(), "1.2.3");
        }
    }

    #[test]
    fn the_release_of_the_sdk_is_the_one_that_the_manifest_names() {
        let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let named = manifest["workspace"]["metadata"]["polkadot-sdk"].as_str().unwrap();
        assert_eq!(SDK, format!("polkadot-sdk {named}"));
    }
}
