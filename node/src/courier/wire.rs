//! What couriers say to each other: one request for a range of a blob, one response with the range and its proof.

use super::listed::Notice;
use bao_tree::{
    io::{sync::DecodeResponseIter, BaoContentItem},
    BaoTree, BlockSize, ChunkNum, ChunkRanges,
};
use codec::{Decode, DecodeAll, Encode};
use consilium_primitives::{BlobKind, BlobRef, StudyId};
use std::{ops::Range, time::Duration};

/// Log base 2 of the BLAKE3 chunks in a chunk group: the smallest part of a blob that is verified by itself.
const GROUP_LOG: u8 = 4;

/// Bytes in a chunk group.
pub const GROUP: u64 = 1024 << GROUP_LOG;

/// Bytes of a blob in one response, at most.
pub const SPAN: u32 = 1024 * 1024;

/// Bytes of an encoded request, at most.
pub const MAX_REQUEST: u64 = 256;

/// Bytes of an encoded response, at most: the span, the hashes that prove it, and the frame.
pub const MAX_RESPONSE: u64 = SPAN as u64 + 64 * 1024;

/// What a blob is, as it is said between couriers. The chain tells of the first two and of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Kind {
    /// One participant's statistics or model. Served only once its freeze is final.
    Update,
    /// Merged statistics or a merged model.
    Merged,
    /// The file that a study begins with, as its specification names it.
    Initial,
    /// The code of a study's own trainer, as its specification names it.
    Code,
    /// One participant's update under masks: nobody learns anything of it before the sum is opened. Served as soon as it is
    /// committed.
    Masked,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Update, Self::Merged, Self::Initial, Self::Code, Self::Masked];

    /// Whether the study's specification names it, and the chain tells nothing of it.
    #[must_use]
    pub fn attached(self) -> bool {
        matches!(self, Self::Initial | Self::Code)
    }

    /// Whether one participant has made it out of its own rows.
    #[must_use]
    pub fn of_one_site(self) -> bool {
        matches!(self, Self::Update | Self::Masked)
    }

    /// Whether couriers of an earlier build know nothing of it.
    #[must_use]
    pub fn newer(self) -> bool {
        !matches!(self, Self::Update | Self::Merged)
    }
}

impl From<BlobKind> for Kind {
    fn from(told: BlobKind) -> Self {
        match told {
            BlobKind::Update => Self::Update,
            BlobKind::Merged => Self::Merged,
            BlobKind::Masked => Self::Masked,
        }
    }
}

/// What is asked for: a blob as one study lists it in one round. The same blob in another study, in another round or as
/// something else is another entry: who may have it there is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Entry {
    /// Study.
    pub study: StudyId,
    /// Round; 0 for what the specification names.
    pub round: u32,
    /// What the blob is there.
    pub kind: Kind,
    /// The blob.
    pub blob: BlobRef,
}

impl Entry {
    /// The entry that a notice is about.
    #[must_use]
    pub fn of(notice: &Notice) -> Self {
        Self { study: notice.study, round: notice.round, kind: notice.kind, blob: notice.blob }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { study, round, kind, blob } = self;
        write!(f, "blob {} ({} of study {study}, round {round})", hex::encode(blob.root.0), kind_name(*kind))
    }
}

/// What a blob is, in files and log lines.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Update => "update",
        Kind::Merged => "merged",
        Kind::Initial => "initial",
        Kind::Code => "code",
        Kind::Masked => "masked",
    }
}

/// Asks for a range of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Request {
    /// The blob, and where it is listed: it is given for that alone.
    pub entry: Entry,
    /// First byte, a multiple of [`GROUP`].
    pub start: u64,
    /// Bytes wanted, a multiple of [`GROUP`] and at most [`SPAN`]; what lies beyond the blob's end is not sent.
    pub len: u32,
}

/// Longest time that a request which cannot be answered yet may wait with the one who is asked.
pub const LONGEST_PATIENCE: Duration = Duration::from_millis(2_000);

/// A request as it came: with the time that its sender waits, if it has said so.
///
/// Couriers of the protocol's second version sent the request alone, and know no [`Response::NotYet`]; the third version's
/// bytes have the patience behind it. Nothing else tells them apart, so that both are understood wherever they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is asked for.
    pub request: Request,
    /// For how long, in milliseconds, the answer may be kept back until it can be given; none from an older courier.
    pub patience_ms: Option<u16>,
}

impl Asked {
    /// Reads a request of either version.
    ///
    /// # Errors
    /// The bytes are none, or there are more of them than a request has.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut unread = bytes;
        let request = Request::decode(&mut unread).map_err(|_| Malformed::Undecodable)?;
        if unread.is_empty() {
            return Ok(Self { request, patience_ms: None });
        }
        let patience = u16::decode_all(&mut unread).map_err(|_| Malformed::Undecodable)?;
        Ok(Self { request, patience_ms: Some(patience) })
    }

    /// Its bytes in the third version.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        (self.request, self.patience_ms.unwrap_or_default()).encode()
    }

    /// Its bytes in the second version, for a peer that speaks no other.
    #[must_use]
    pub fn older_bytes(&self) -> Vec<u8> {
        self.request.encode()
    }

    /// For how long it may wait.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.unwrap_or_default().into()).min(LONGEST_PATIENCE)
    }

    /// A response in the words that the sender knows.
    #[must_use]
    pub fn understood(&self, response: Response) -> Response {
        match response {
            Response::NotYet if self.patience_ms.is_none() => Response::Refused,
            response => response,
        }
    }
}

/// What comes back.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// The range as a bao slice: hash pairs and bytes in pre-order, without a length in front.
    Data(Vec<u8>),
    /// This node has no such blob, or not with these bytes.
    NotHeld,
    /// This peer may not have this blob, or the request makes no sense.
    Refused,
    /// Too much at once: ask again later.
    Busy,
    /// This peer may have it in a moment, as far as this node can see: what it asks for is not final here yet, or not known.
    NotYet,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(slice) => write!(f, "Data({} bytes)", slice.len()),
            Self::NotHeld => f.write_str("NotHeld"),
            Self::Refused => f.write_str("Refused"),
            Self::Busy => f.write_str("Busy"),
            Self::NotYet => f.write_str("NotYet"),
        }
    }
}

/// Why a request makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a request at all.
    #[error("these bytes are no request")]
    Undecodable,
    /// The start is no multiple of [`GROUP`].
    #[error("the range starts inside a chunk group")]
    Unaligned,
    /// The range starts at or beyond the blob's end.
    #[error("the range starts beyond the blob's end")]
    BeyondEnd,
    /// The length is zero, above [`SPAN`], or no multiple of [`GROUP`].
    #[error("the range's length is zero, too large, or no multiple of the chunk group")]
    Length,
}

impl Request {
    /// Asks for the last chunk group of a blob, which proves that whoever answers has it.
    #[must_use]
    pub fn of_the_end(entry: Entry) -> Self {
        let start = entry.blob.len.saturating_sub(1) / GROUP * GROUP;
        Self { entry, start, len: GROUP as u32 }
    }

    /// The bytes of the blob that are asked for.
    ///
    /// # Errors
    /// The range makes no sense for a blob of this length.
    pub fn range(&self) -> Result<Range<u64>, Malformed> {
        if !self.start.is_multiple_of(GROUP) {
            return Err(Malformed::Unaligned);
        }
        if self.start >= self.entry.blob.len {
            return Err(Malformed::BeyondEnd);
        }
        if self.len == 0 || self.len > SPAN || !u64::from(self.len).is_multiple_of(GROUP) {
            return Err(Malformed::Length);
        }
        Ok(self.start..self.start.saturating_add(self.len.into()).min(self.entry.blob.len))
    }
}

impl Response {
    /// Reads a response.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() as u64 > MAX_RESPONSE {
            return None;
        }
        Self::decode_all(&mut &bytes[..]).ok()
    }
}

/// The bytes of the range that a request asks for, from the slice that answers it, if every one is right.
///
/// # Errors
/// What is wrong with it, for people.
pub fn verified(request: &Request, slice: &[u8]) -> Result<Vec<u8>, String> {
    let blob = &request.entry.blob;
    let range = request.range().map_err(|error| error.to_string())?;
    let mut unread = slice;
    let mut bytes = Vec::with_capacity(slice.len());
    for item in DecodeResponseIter::new(root(blob), tree(blob), &mut unread, &chunks(blob, &range)) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(|error| error.to_string())? {
            bytes.extend_from_slice(&leaf.data);
        }
    }
    if !unread.is_empty() {
        return Err(format!("{} bytes more than the range has", unread.len()));
    }
    if bytes.len() as u64 != range.end.saturating_sub(range.start) {
        return Err(format!("{} bytes of the blob instead of {range:?}", bytes.len()));
    }
    Ok(bytes)
}

/// The shape of a blob's hash tree.
#[must_use]
pub fn tree(blob: &BlobRef) -> BaoTree {
    BaoTree::new(blob.len, BlockSize::from_chunk_log(GROUP_LOG))
}

/// A blob's name as the hash type of the tree.
#[must_use]
pub fn root(blob: &BlobRef) -> bao_tree::blake3::Hash {
    bao_tree::blake3::Hash::from(blob.root.0)
}

/// A byte range of a blob, as it comes from [`Request::range`], in BLAKE3 chunks.
#[must_use]
pub fn chunks(blob: &BlobRef, range: &Range<u64>) -> ChunkRanges {
    let start = ChunkNum::full_chunks(range.start);
    if range.end >= blob.len {
        // open: the last group counts as whole, however short it is
        ChunkRanges::from(start..)
    } else {
        ChunkRanges::from(start..ChunkNum::chunks(range.end))
    }
}
