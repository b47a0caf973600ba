//! What the chain asks of one participant now, and the messages in which its node asks its worker.
//!
//! A duty is known by its hash. Node and worker exchange SCALE-encoded [`DutyRequest`] and [`DutyReply`] in
//! `PUT /v1/duties`; the request names all duties open at once, the reply says where each stands.

pub use crate::kinds::{DutyKind, FailureCode};

use crate::{
    ids::{BlobRef, Hash, InstitutionId, StudyId},
    kinds::{Kind, Marks, MaskKeys, Next, VoidReason},
    masks::Partner,
    rules::{Merge, StudyRules},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen, Output};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Version of the messages between node and worker. Since 7 they know masked sums; the node speaks it only where one of the duties
/// is of a masked sum.
pub const PROTOCOL_VERSION: u8 = 7;
/// Since this version a request says what follows a merge.
pub const AHEAD_PROTOCOL: u8 = 6;
/// Since this version messages know [`DutyKind::Present`]; else they are those of [`OLDER_PROTOCOL`].
pub const PRESENT_PROTOCOL: u8 = 5;
/// The oldest version that a worker still understands, and that a worker that is older than its chain is asked in.
pub const OLDER_PROTOCOL: u8 = 4;
/// Most duties in one request.
pub const MAX_ORDERS: usize = 64;
/// Closed rounds, counted back from the present one, whose merges an order names.
pub const ATTESTED_ROUNDS: u32 = 8;
/// Closed rounds, counted back from the present one, that are looked through for an institution's part in them: a site that
/// joins late has none, and what is read for it on each block must have a bound.
pub const COMMITTED_ROUNDS: u32 = 128;

/// Bit of an answer to [`DutyKind::Present`]: the model that the duty names as its base is here.
pub const HELD_BASE: u16 = 1;

/// Bit of an answer to [`DutyKind::Present`] for the merged model of `round`, where the duty names `newest` as its round; 0 for
/// rounds that it does not speak of: later ones, and those more than [`ATTESTED_ROUNDS`] before.
pub fn held_bit(newest: u32, round: u32) -> u16 {
    let back = newest.checked_sub(round).filter(|back| *back <= ATTESTED_ROUNDS);
    back.and_then(|back| 2u16.checked_shl(back)).unwrap_or(0)
}

/// What the chain asks of one participant. No attempt, deadline or block is part of it, so that work done once is
/// known again.
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
pub struct Duty {
    /// What is asked.
    pub kind: DutyKind,
    /// Genesis hash of the chain that asks.
    pub genesis: Hash,
    /// Study.
    pub study: StudyId,
    /// Hash of the agreement.
    pub agreement: Hash,
    /// Round; 0 for statistics and init. For [`DutyKind::Present`] the newest round whose model the study may go on from.
    pub round: u32,
    /// Who is asked.
    pub institution: InstitutionId,
    /// Root of the model it stands on; for merges the inputs root; zero where there is none. Of a masked sum: for
    /// [`DutyKind::Keys`] the [`context`](crate::masks::context), for [`DutyKind::Deal`] the
    /// [`keys_root`](crate::masks::keys_root), for [`DutyKind::Mask`] the [`partners_root`](crate::masks::partners_root), for
    /// [`DutyKind::Gather`], [`DutyKind::Reveal`] and the merge the inputs root.
    pub base: Hash,
    /// Root of the merged statistics by which rows are scaled, where any are read against a model: Train and Evaluate; zero
    /// otherwise, and where the study has none.
    pub statistics: Hash,
}

impl Duty {
    /// The name of this duty: BLAKE2b-256 of its SCALE encoding.
    pub fn hash(&self) -> Hash {
        Hash::from(sp_crypto_hashing::blake2_256(&self.encode()))
    }
}

/// What follows a merge, if the chain attests it as this site computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum Ahead {
    /// Training of the next round.
    Train {
        /// Length of its update, in bytes.
        len: u64,
    },
    /// The last evaluation.
    Evaluate,
}

/// One input of a merge.
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
pub struct MergeInput {
    /// Its author.
    pub institution: InstitutionId,
    /// Hash of the duty it answers; the file must name it.
    pub duty: Hash,
    /// The file.
    pub blob: BlobRef,
    /// Its integer weight, capped.
    pub weight: u32,
}

/// What a duty of a masked sum needs beyond its [`DutyOrder`].
///
/// An order's `inputs` are for Gather the frozen list, for Reveal and the merge the fixed set, with masked files and weights among all
/// partners. Its `output_len` is for Mask the length of the masked file, and its `base` the model that the work stands on, as in the
/// work's own order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MaskOrder {
    /// What is summed.
    pub kind: Kind,
    /// Number of the pairing.
    pub pairing: u32,
    /// Who proposed the study; with the rules and the spec it gives the agreement.
    pub proposer: InstitutionId,
    /// The signed rules.
    pub rules: StudyRules,
    /// Hash of the duty whose result is masked: Train, Statistics or Evaluate, which is asked for beside Keys, Deal and Mask. Where
    /// it is the duty of this very order, its result stays with this institution's own worker, and only a failure is told.
    pub work: Hash,
    /// The key list, in order of institution; empty for Keys and for the work.
    pub keys: Vec<(InstitutionId, MaskKeys)>,
    /// Hash over it; zero for Keys and for the work.
    pub keys_root: Hash,
    /// The partners, in order of institution; empty before Mask.
    pub partners: Vec<Partner>,
    /// Hash over them; zero before Mask.
    pub partners_root: Hash,
    /// Block that fixed the set; 0 before Reveal.
    pub fixed_at: u32,
    /// Reveal: what each partner has dealt to this institution, in order of partners: two commitments and the sealed shares,
    /// [`DEALT`](crate::masks::DEALT) bytes.
    pub dealt: Vec<Vec<u8>>,
    /// Merge: what was opened, and by whom, in order of institution.
    pub reveals: Vec<(InstitutionId, Vec<u8>)>,
}

/// What the chain attests of a merge, or of the initial model, that a duty stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Attested {
    /// Statistics or a model.
    pub kind: Kind,
    /// Round; 0 for statistics and the initial model.
    pub round: u32,
    /// Hash over what was merged, as in the merge's duty; zero for the initial model.
    pub inputs_root: Hash,
    /// The file.
    pub root: Hash,
}

/// A duty with everything a worker needs to do it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DutyOrder {
    /// The duty.
    pub duty: Duty,
    /// BLAKE2b-256 of the spec's bytes.
    pub spec: Hash,
    /// The model to start from, to evaluate or to hold; for a merge the one that its inputs stand on.
    pub base: Option<BlobRef>,
    /// The study's merged statistics, once there are any.
    pub statistics: Option<BlobRef>,
    /// Inputs of a merge, in canonical order (by institution id); empty otherwise.
    pub inputs: Vec<MergeInput>,
    /// How models are merged; only there for a merge. That of statistics has no use for it, but its inputs root names it.
    pub merge: Option<Merge>,
    /// Length in bytes of the file the duty makes.
    pub output_len: u64,
    /// The study's attested statistics, and its models of the last [`ATTESTED_ROUNDS`] rounds and of the duty's own: whoever has
    /// computed another one from the same inputs must know.
    pub attested: Vec<Attested>,
    /// Whether something that this institution made of its rows, an update or statistics, is in an earlier merge of the study:
    /// the statistics', or one of the last [`COMMITTED_ROUNDS`] rounds.
    /// A worker that knows nothing of it has lost its folder, and with it which rows train and which validate. Said where the
    /// duty needs rows; false for the others.
    pub committed_before: bool,
}

/// `PUT /v1/duties`, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyRequest {
    /// [`PROTOCOL_VERSION`]; an earlier one towards a worker that does not know that yet.
    pub version: u8,
    /// Specs the worker said it lacks.
    pub specs: Vec<Vec<u8>>,
    /// All duties open for this institution, at most [`MAX_ORDERS`].
    pub orders: Vec<DutyOrder>,
    /// What follows the merges among them, by their place; an order that stands beyond the end of this list has none. No part
    /// of the message before version 6.
    pub ahead: Vec<Option<Ahead>>,
    /// What those of masked sums need beyond their orders, by their place, likewise. No part of the message before version 7.
    pub masked: Vec<Option<MaskOrder>>,
}

impl Encode for DutyRequest {
    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        (self.version, &self.specs, &self.orders).encode_to(to);
        if self.version >= AHEAD_PROTOCOL {
            self.ahead.encode_to(to);
        }
        if self.version >= PROTOCOL_VERSION {
            self.masked.encode_to(to);
        }
    }
}

impl Decode for DutyRequest {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (version, specs, orders) = Decode::decode(input)?;
        let ahead = if version >= AHEAD_PROTOCOL { Decode::decode(input)? } else { Vec::new() };
        let masked = if version >= PROTOCOL_VERSION { Decode::decode(input)? } else { Vec::new() };
        Ok(Self { version, specs, orders, ahead, masked })
    }
}

/// `PUT /v1/duties`, answer: one entry per order, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DutyReply {
    /// That of the request.
    pub version: u8,
    /// Where each duty stands.
    pub answers: Vec<DutyAnswer>,
    /// The bytes that go with those that are [`DutyOutput::Posted`], by their place; empty ones, and those beyond the end of this
    /// list, have none. No part of the message before version 7.
    pub posts: Vec<Vec<u8>>,
}

impl Encode for DutyReply {
    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        (self.version, &self.answers).encode_to(to);
        if self.version >= PROTOCOL_VERSION {
            self.posts.encode_to(to);
        }
    }
}

impl Decode for DutyReply {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (version, answers): (u8, Vec<DutyAnswer>) = Decode::decode(input)?;
        let posts = if version >= PROTOCOL_VERSION { Decode::decode(input)? } else { Vec::new() };
        Ok(Self { version, answers, posts })
    }
}

/// Where one duty stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DutyAnswer {
    /// Which.
    pub duty: Hash,
    /// Where it stands.
    pub state: DutyState,
}

/// Where a duty stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum DutyState {
    /// Waiting, for its turn or for a blob.
    Queued,
    /// Being worked on; parts per million done.
    Running {
        /// Parts per million done.
        done: u32,
    },
    /// The worker lacks the spec: send it along next time.
    NeedSpec,
    /// Inputs of a merge are missing or invalid. Bits by position in [`DutyOrder::inputs`].
    Inputs {
        /// Inputs that are there and verified.
        have: u64,
        /// Inputs that are there and are not what they must be.
        invalid: u64,
    },
    /// Done.
    Done(DutyOutput),
    /// Cannot be done.
    Failed(FailureCode),
    /// A person at this site has put its work on hold.
    Held,
}

/// What a done duty gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum DutyOutput {
    /// Statistics, Train: the file's hash, and for Train the agreed metric of the base model.
    Update {
        /// BLAKE3 hash of the file.
        root: Hash,
        /// Loss of the base model on this site's validation rows, micro-units; `None` where there are too few rows.
        metric: Option<u32>,
    },
    /// MergeStatistics, Init, Merge: the file's hash.
    Root(Hash),
    /// Evaluate: the agreed metric of the base model.
    Metric(Option<u32>),
    /// Acknowledge: the file is there, byte for byte. Gather: all masked files are here, and each is whole.
    Held,
    /// Merge, where the rule did not take every input as it was: the file's hash, and what was done to which.
    Marked {
        /// BLAKE3 hash of the file.
        root: Hash,
        /// What was done to which input.
        marks: Marks,
    },
    /// Present: this site is there. Never kept: what it holds may be otherwise the next time.
    Present {
        /// Merged models that are here, as in [`VoteBody::Present`](crate::VoteBody::Present).
        held: u16,
    },
    /// Merge, where what follows it is done already. Never kept: each of both is.
    Ahead {
        /// BLAKE3 hash of the merged file.
        root: Hash,
        /// What was done to which input.
        marks: Marks,
        /// The answer to what follows.
        next: Next,
    },
    /// Keys: public keys for this masked sum. Always the same ones.
    Keys(MaskKeys),
    /// Deal, Reveal: the bytes stand in the reply, at the same place. Always the same ones.
    Posted,
    /// MergeStatistics, Merge of masked files.
    Summed {
        /// BLAKE3 hash of the merged file; zero where the sum is of figures, and gives none.
        root: Hash,
        /// The loss of the model that the round stands on, over all sites' validation rows, micro-units; none where too few have
        /// reported one.
        pooled: Option<u32>,
    },
    /// MergeStatistics, Merge of masked files: their sum cannot be used.
    Void(VoidReason),
}
