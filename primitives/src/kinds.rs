//! Kinds of things that duties, votes and rounds all speak of.

use crate::ids::{Hash, InstitutionId};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// What is collected, merged and attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum Kind {
    /// Column statistics, once per study.
    Statistics,
    /// Models.
    Model,
    /// Figures of the last merge, in studies with masked sums: each site's loss, in one sum. No file comes of it.
    Evaluation,
}

/// Kinds of duty.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum DutyKind {
    /// Count, mean and squared deviations of each column, over this site's training rows.
    Statistics,
    /// Merge all sites' statistics.
    MergeStatistics,
    /// Compute the initial model from the spec's seed.
    Init,
    /// Train from the base model; metrics of the base model come along.
    Train,
    /// Merge a round's updates.
    Merge,
    /// Evaluate the last merged model.
    Evaluate,
    /// Say that the canonical model is held, byte for byte.
    Acknowledge,
    /// Say, while a study is paused for want of voices, that this site is there, and which merged models it holds.
    Present,
    /// Make keys for one masked sum.
    Keys,
    /// Share out the secrets behind these keys, sealed for each one in the key list.
    Deal,
    /// Mask what was trained, counted or evaluated, and commit to the masked file.
    Mask,
    /// Hold all masked files of the frozen list, and see that each is whole.
    Gather,
    /// Give the shares that open what stands between the frozen files and their sum.
    Reveal,
}

/// Why a duty cannot be done. File, line and column stay in the worker's own log.
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
pub enum FailureCode {
    /// The data file could not be read.
    DataUnreadable,
    /// The data file is not the one this study began with.
    DataChanged,
    /// The data do not fit the study's schema.
    SchemaMismatch,
    /// Too few rows.
    TooFewSamples,
    /// Training rows of one class only.
    OneClass,
    /// Training left the finite numbers.
    NotFinite,
    /// Out of memory.
    OutOfMemory,
    /// Out of disk.
    OutOfDisk,
    /// No worker answered.
    WorkerMissing,
    /// The site does not allow this agreement.
    Refused,
    /// A fault of the worker itself.
    Internal,
    /// Too many coordinates of its step lie outside of the range that masked sums of this study have.
    StepTooLarge,
}

/// What a merge's rule did to its inputs. Bits by position in the frozen list.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub struct Marks {
    /// Inputs that have no part in the merged model.
    pub left_out: u64,
    /// Inputs that were shortened to the norm bound.
    pub shortened: u64,
}

impl Marks {
    /// All inputs that something was done to.
    pub fn any(&self) -> u64 {
        self.left_out | self.shortened
    }
}

/// What a site answers to the duty that follows a merge, before the chain has asked for it.
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
pub enum Next {
    /// The next round's update is committed.
    Update {
        /// Hash of the training duty of the next round that stands on this merge.
        duty: Hash,
        /// BLAKE3 hash of the file.
        root: Hash,
        /// Its length in bytes.
        len: u64,
        /// Loss of this merge on this site's validation rows, micro-units.
        metric: Option<u32>,
    },
    /// This is the last round: loss of this merge, micro-units.
    Last {
        /// Where there are enough rows.
        metric: Option<u32>,
    },
}

/// The public keys of one institution for one masked sum.
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
pub struct MaskKeys {
    /// X25519 key that shares are sealed for.
    pub seal: Hash,
    /// X25519 key that masks between two partners come from.
    pub pair: Hash,
    /// Commitment to the seed of its own mask.
    pub seed: Hash,
}

impl MaskKeys {
    /// Its 96 bytes.
    pub fn bytes(&self) -> [u8; 96] {
        let mut bytes = [0; 96];
        let all = [self.seal, self.pair, self.seed];
        for (to, from) in bytes.iter_mut().zip(all.iter().flat_map(|key| key.as_bytes())) {
            *to = *from;
        }
        bytes
    }
}

/// Why a masked sum cannot be used. Nobody's update has been seen; the round is trained anew.
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
pub enum VoidReason {
    /// A coordinate lies where no honest inputs can bring it: somebody's masks or file are wrong, and nobody can say whose.
    OutOfRange,
    /// The merged step is longer than the agreed bound, which no honest inputs can bring it to.
    TooLong,
    /// Too few shares could be given of this partner's secret: it dealt them wrongly, or their holders say so.
    Unrecoverable {
        /// Whose secret.
        whose: InstitutionId,
    },
    /// The shares of this partner are those that it committed to, and do not give the secret that it committed to.
    BadDeal {
        /// Who.
        who: InstitutionId,
    },
    /// People have given the sum up.
    Abandoned,
}
