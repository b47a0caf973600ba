//! What the chain says about blobs: who made them, who should hold them, who may have them.

use crate::ids::{BlobRef, InstitutionId, StudyId};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum BlobKind {
    /// One participant's statistics or model. Served only once its freeze is final.
    Update,
    /// Merged statistics or a merged model.
    Merged,
}

/// A blob of a study that runs or ended lately.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct BlobNotice {
    /// Study.
    pub study: StudyId,
    /// Round.
    pub round: u32,
    /// What it is.
    pub kind: BlobKind,
    /// The blob.
    pub blob: BlobRef,
    /// Who is known to hold it: an update's author, a merge's attesters.
    pub holders: Vec<InstitutionId>,
    /// Who may have it: the study's active members.
    pub members: Vec<InstitutionId>,
    /// Whether members need it now.
    pub wanted: bool,
}

/// An institution, as far as the node must know it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct InstitutionNotice {
    /// Its account.
    pub id: InstitutionId,
    /// Its name.
    pub name: Vec<u8>,
    /// Multihash bytes of its node's peer id, once registered.
    pub peer_id: Option<Vec<u8>>,
    /// Whether it makes and finalises blocks.
    pub validator: bool,
    /// Whether it may take part in studies.
    pub participant: bool,
}
