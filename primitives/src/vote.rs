//! What a participant answers, and the bytes it signs.

pub use crate::kinds::{Marks, MaskKeys, Next, VoidReason};

use crate::{
    ids::{Hash, InstitutionId, StudyId},
    kinds::{DutyKind, FailureCode},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// First bytes of what a vote signs.
pub const VOTE_CONTEXT: &[u8] = b"consilium/vote/1";

/// A participant's answer to one duty.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
pub struct Vote {
    /// Study.
    pub study: StudyId,
    /// Round.
    pub round: u32,
    /// Attempt of the merge, 0 where there are none.
    pub attempt: u32,
    /// How often the study had been taken up again after a pause.
    pub resumed: u32,
    /// Kind of the duty answered.
    pub kind: DutyKind,
    /// Who votes.
    pub institution: InstitutionId,
    /// Hash of the duty answered.
    pub duty: Hash,
    /// What it says.
    pub body: VoteBody,
}

/// What a vote says.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
pub enum VoteBody {
    /// Statistics, Train: an update is committed.
    Update {
        /// BLAKE3 hash of the file.
        root: Hash,
        /// Its length in bytes.
        len: u64,
        /// Loss of the base model on this site's validation rows, micro-units.
        metric: Option<u32>,
    },
    /// Statistics, Train: no update will come.
    Failure(FailureCode),
    /// Init, MergeStatistics, Merge: computed for itself, this is the hash.
    Root(Hash),
    /// MergeStatistics, Merge, after the fetch window: not all inputs are here. Bits by position in the frozen list.
    Partial {
        /// Inputs that are here and verified.
        have: u64,
        /// Inputs that are here and are not what they must be.
        invalid: u64,
        /// Whether the freeze is not final here, or has not been for long enough to fetch: updates are served once it is. May
        /// be followed by another report that says that it is now.
        not_final: bool,
    },
    /// Evaluate: loss of the last merge, micro-units.
    Metric(Option<u32>),
    /// Acknowledge: the canonical model is held. Gather: all inputs of this root are held, and each is whole.
    Held(Hash),
    /// Merge, where the rule did not take every input as it was: the hash, and what was done to which. Where nothing was
    /// done to any, [`VoteBody::Root`] says so.
    Marked {
        /// BLAKE3 hash of the merged file.
        root: Hash,
        /// What was done to which input.
        marks: Marks,
    },
    /// Present: node and worker answer. May be followed by another answer that says that the model which the study stands on is
    /// here now.
    Present {
        /// Merged models that are here: [`HELD_BASE`](crate::duty::HELD_BASE), and
        /// [`held_bit`](crate::duty::held_bit) for each of the last rounds.
        held: u16,
    },
    /// Merge, by a site that has already worked on what it merged: where the chain attests this root with these marks, what
    /// follows counts for the next duty. Else, only what it says of the merge counts.
    Ahead {
        /// BLAKE3 hash of the merged file.
        root: Hash,
        /// What was done to which input.
        marks: Marks,
        /// The answer to the duty that follows if this merge is attested.
        next: Next,
    },
    /// Keys: the keys for one masked sum.
    Keys(MaskKeys),
    /// Deal, Reveal: these bytes come with the vote.
    Posted {
        /// BLAKE2b-256 of the bytes.
        hash: Hash,
        /// How many there are.
        len: u32,
    },
    /// MergeStatistics, Merge of masked files: summed for itself.
    Summed {
        /// BLAKE3 hash of the merged file; zero where the sum is of figures, and gives none.
        root: Hash,
        /// The loss of the model that the round stands on, over all sites' validation rows, micro-units; none where too few
        /// have reported one.
        pooled: Option<u32>,
    },
    /// MergeStatistics, Merge of masked files: their sum cannot be used.
    Void(VoidReason),
}

impl VoteBody {
    /// What it says that a merge gave, if it does.
    pub fn merged(&self) -> Option<(Hash, Marks)> {
        match self {
            Self::Root(root) | Self::Summed { root, .. } => Some((*root, Marks::default())),
            Self::Marked { root, marks } | Self::Ahead { root, marks, .. } => Some((*root, *marks)),
            _ => None,
        }
    }

    /// What it says of the duty that follows, if it does.
    pub fn next(&self) -> Option<Next> {
        match self {
            Self::Ahead { next, .. } => Some(*next),
            _ => None,
        }
    }
}

impl Vote {
    /// The 32 bytes that the institution's `swarm` key signs:
    /// `blake2_256("consilium/vote/1" ‖ genesis ‖ study ‖ agreement ‖ institution ‖ duty ‖ round ‖ attempt ‖ resumed ‖ kind ‖ body)`.
    pub fn payload(&self, genesis: &Hash, agreement: &Hash) -> [u8; 32] {
        let mut bytes = alloc::vec::Vec::with_capacity(256);
        bytes.extend_from_slice(VOTE_CONTEXT);
        genesis.encode_to(&mut bytes);
        self.study.encode_to(&mut bytes);
        agreement.encode_to(&mut bytes);
        self.institution.encode_to(&mut bytes);
        self.duty.encode_to(&mut bytes);
        (self.round, self.attempt, self.resumed, self.kind, self.body).encode_to(&mut bytes);
        sp_crypto_hashing::blake2_256(&bytes)
    }
}
