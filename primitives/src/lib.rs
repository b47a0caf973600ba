//! The vocabulary that every room of Consilium shares.
//!
//! * [`blobs`]: what the chain says about blobs to the node.
//! * [`budget`]: what a data set may cost, and has cost.
//! * [`ids`]: what things are called: institutions, studies, blobs.
//! * [`kinds`]: kinds of duties, failures and files.
//! * [`masks`]: keys, roots, commitments and lengths of masked sums.
//! * [`members`]: what the chain says about the members of a consortium to the node.
//! * [`rules`]: [`StudyRules`], the numbers that the chain itself needs of an agreement, and what follows from them.
//! * [`recovery`]: what survivors agree on when most validators are gone.
//! * [`duty`]: [`Duty`], what the chain asks of one participant now, and the messages between node and worker.
//! * [`text`]: what texts of others may hold.
//! * [`time`]: the slot, and durations in blocks.
//! * [`vote`]: what a participant answers, and the bytes it signs.
//! * [`round`]: the merge round as a pure state machine.
//!
//! Nothing here reads a clock, does input or output, or uses a float.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

extern crate alloc;

pub mod blobs;
pub mod budget;
pub mod duty;
pub mod ids;
pub mod kinds;
pub mod masks;
pub mod members;
pub mod recovery;
pub mod round;
pub mod rules;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub mod time;
pub mod vote;

pub use blobs::{BlobKind, BlobNotice, Change, InstitutionNotice, MaskedBlobs, MergedBlob, RoundUpdates, StudyBlobs};
pub use duty::{
    Ahead, Attested, Duty, DutyAnswer, DutyKind, DutyOrder, DutyOutput, DutyReply, DutyRequest, DutyState, FailureCode,
    MaskOrder, MergeInput,
};
pub use ids::{BlobRef, Hash, InstitutionId, StudyId};
pub use masks::{Partner, PostStep};
pub use members::Member;
pub use recovery::{Consent, FinalitySet, Recovery};
pub use rules::{Masked, Merge, MergeRule, OnStall, Privacy, PrivacyUnit, StudyRules, Weighting, Windows};
pub use text::{Address, Name, Text};
pub use time::{as_blocks, blocks, restated, BlockNumber, SLOT_MILLIS, SLOT_MILLIS_BEFORE_5};
pub use vote::{Marks, MaskKeys, Next, VoidReason, Vote, VoteBody};
