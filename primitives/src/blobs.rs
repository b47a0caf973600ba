//! What the chain says about blobs: who made them, who should hold them, who may have them.

use crate::{
    ids::{BlobRef, Hash, InstitutionId, StudyId},
    text::Name,
};
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
    /// One participant's masked file. Served from its commitment on: without the others' it is random words.
    Masked,
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
    /// Who is known to hold it: an update's author, also where it has left the study since; a merge's attesters.
    pub holders: Vec<InstitutionId>,
    /// Who may have it: active members of the study; of an update those that count for its round.
    pub members: Vec<InstitutionId>,
    /// Whether members need it now.
    pub wanted: bool,
}

/// What the chain says of the blobs of one study. Who may have them stands once for all merged files, and once for each
/// round's updates: spelt out for each blob it would not fit into one answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StudyBlobs {
    /// Study.
    pub study: StudyId,
    /// Block in which it ended; `None` while it runs. Once
    /// [`UPDATES_AFTER_END`](crate::rules::UPDATES_AFTER_END) blocks have passed since, its updates are over.
    pub ended: Option<u32>,
    /// Its active members: who may have what was merged.
    pub members: Vec<InstitutionId>,
    /// Merged files that must stay. Those of closed rounds that are not here may go.
    pub merged: Vec<MergedBlob>,
    /// Updates, by round.
    pub rounds: Vec<RoundUpdates>,
}

/// A merged file of a study.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MergedBlob {
    /// Round; 0 for statistics and the initial model.
    pub round: u32,
    /// The file.
    pub blob: BlobRef,
    /// Who has attested it.
    pub holders: Vec<InstitutionId>,
    /// Whether members need it now. Others stay as long as the updates that they stand under, to be computed again.
    pub wanted: bool,
}

/// The updates of one round, or the parts of the statistics.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RoundUpdates {
    /// Round; 0 for statistics.
    pub round: u32,
    /// Who may have them: active members whose enrolment counts for this round, or that have made one of them.
    pub members: Vec<InstitutionId>,
    /// Whether members need them now.
    pub wanted: bool,
    /// Their length in bytes.
    pub len: u64,
    /// Author and BLAKE3 hash.
    pub updates: Vec<(InstitutionId, Hash)>,
}

impl StudyBlobs {
    /// One notice for each blob: merged files first.
    pub fn notices(&self) -> impl Iterator<Item = BlobNotice> + '_ {
        let merged = self.merged.iter().map(|merged| BlobNotice {
            study: self.study,
            round: merged.round,
            kind: BlobKind::Merged,
            blob: merged.blob,
            holders: merged.holders.clone(),
            members: self.members.clone(),
            wanted: merged.wanted,
        });
        let updates = self.rounds.iter().flat_map(move |round| {
            round.updates.iter().map(move |(author, root)| BlobNotice {
                study: self.study,
                round: round.round,
                kind: BlobKind::Update,
                blob: BlobRef { root: *root, len: round.len },
                holders: alloc::vec![*author],
                members: round.members.clone(),
                wanted: round.wanted,
            })
        });
        merged.chain(updates)
    }
}

/// What the chain says of the masked files of one study, beside its [`StudyBlobs`], which have none of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MaskedBlobs {
    /// Study.
    pub study: StudyId,
    /// Masked files by round and by what they are of: one entry for each.
    pub rounds: Vec<RoundUpdates>,
}

impl MaskedBlobs {
    /// One notice for each masked file.
    pub fn notices(&self) -> impl Iterator<Item = BlobNotice> + '_ {
        self.rounds.iter().flat_map(move |round| {
            round.updates.iter().map(move |(author, root)| BlobNotice {
                study: self.study,
                round: round.round,
                kind: BlobKind::Masked,
                blob: BlobRef { root: *root, len: round.len },
                holders: alloc::vec![*author],
                members: round.members.clone(),
                wanted: round.wanted,
            })
        })
    }
}

/// Tells whether what a block says of institutions and blobs is what another one said from which it descends. Of blocks of which
/// neither descends from the other it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Change {
    /// Hash over the institutions, and over the version of the runtime that says all this.
    pub members: Hash,
    /// The studies whose blobs are told, in the order in which they are. While `members` and a study's number stay the same, so
    /// does what is told of its blobs.
    pub studies: Vec<(StudyId, u64)>,
}

/// An institution, as far as the node must know it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct InstitutionNotice {
    /// Its account.
    pub id: InstitutionId,
    /// Its name.
    pub name: Name,
    /// Multihash bytes of its node's peer id, once registered.
    pub peer_id: Option<Vec<u8>>,
    /// Whether it makes and finalises blocks.
    pub validator: bool,
    /// Whether it may take part in studies.
    pub participant: bool,
}
