//! Papers that a study stands on, named by the hashes of their files.

use crate::error::{wrong, SpecError};
use serde::{Deserialize, Serialize};

/// What everybody who signs has agreed to have read: whoever holds another file holds another paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// SHA-256 of the study protocol's file, 64 hexadecimal digits in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The same of the ethics committee's vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethics_vote: Option<String>,
}

impl Documents {
    /// Each paper that is named, as people call it, with the hash of its file.
    pub fn named(&self) -> Vec<(&'static str, &str)> {
        let all = [("protocol", &self.protocol), ("ethics vote", &self.ethics_vote)];
        all.into_iter().filter_map(|(what, hash)| Some((what, hash.as_deref()?))).collect()
    }

    /// Whether each is a hash, and there is one.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        for (field, hash) in [("documents.protocol", &self.protocol), ("documents.ethics_vote", &self.ethics_vote)] {
            let Some(hash) = hash else { continue };
            if hash.len() != 64 || !hash.bytes().all(digit) {
                return Err(wrong(
                    field,
                    format!("{hash:?} is no SHA-256 hash: 64 hexadecimal digits in lower case, as sha256sum prints"),
                ));
            }
        }
        if self.named().is_empty() {
            return Err(wrong("documents", "names neither protocol nor ethics_vote; leave the table out"));
        }
        Ok(())
    }
}
