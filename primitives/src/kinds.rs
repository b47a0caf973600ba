//! Kinds of things that duties, votes and rounds all speak of.

use crate::ids::Hash;
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
