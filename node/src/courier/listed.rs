//! What is listed of studies: the blobs that the chain tells of, and the files that a study's specification names.

use super::wire::Kind;
use consilium_primitives::{BlobNotice, BlobRef, InstitutionId, MaskedBlobs, StudyBlobs, StudyId};
use consilium_study::Attachments;

/// A blob that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Study.
    pub study: StudyId,
    /// Round; 0 for what the specification names.
    pub round: u32,
    /// What it is.
    pub kind: Kind,
    /// The blob.
    pub blob: BlobRef,
    /// Who is known to hold it. Of what the specification names the chain does not say who does.
    pub holders: Vec<InstitutionId>,
    /// Who may have it.
    pub members: Vec<InstitutionId>,
    /// Whether members need it now.
    pub wanted: bool,
}

impl From<BlobNotice> for Notice {
    fn from(told: BlobNotice) -> Self {
        let BlobNotice { study, round, kind, blob, holders, members, wanted } = told;
        Self { study, round, kind: kind.into(), blob, holders, members, wanted }
    }
}

/// All that is listed of one study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the chain tells.
    pub blobs: StudyBlobs,
    /// What it tells of masked files.
    pub masked: MaskedBlobs,
    /// What the specification names.
    pub attachments: Attachments,
}

impl Listed {
    /// One notice for each blob. What the specification names is wanted by all active members until the study ends, and not
    /// listed after that.
    pub fn notices(&self) -> impl Iterator<Item = Notice> + '_ {
        let Self { blobs, masked, attachments: Attachments { initial, code } } = self;
        let named = [(Kind::Initial, *initial), (Kind::Code, *code)];
        let named = named.into_iter().filter_map(|(kind, blob)| Some((kind, blob?)));
        let named = named.filter(move |_| blobs.ended.is_none()).map(move |(kind, blob)| Notice {
            study: blobs.study,
            round: 0,
            kind,
            blob,
            holders: Vec::new(),
            members: blobs.members.clone(),
            wanted: true,
        });
        blobs.notices().chain(masked.notices()).map(Notice::from).chain(named)
    }
}
