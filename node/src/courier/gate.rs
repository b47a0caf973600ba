//! Who may have what: pure decisions on what the chain says.

use codec::Encode;
use consilium_primitives::{BlobKind, BlobNotice, BlobRef, InstitutionId, InstitutionNotice, StudyId};
use sc_network_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// What the chain says, as far as couriers need it.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// This node's own institution, once its peer id is registered.
    pub local: Option<InstitutionId>,
    /// Institutions by the peer id of their node.
    by_peer: HashMap<PeerId, InstitutionNotice>,
    /// Peer ids of institutions.
    by_institution: BTreeMap<InstitutionId, PeerId>,
    /// Blobs listed at the best block.
    best: BTreeMap<BlobRef, Vec<BlobNotice>>,
    /// Blobs listed at the best block, in the chain's order.
    order: Vec<BlobNotice>,
    /// Updates listed at the finalised block, and who was an active member of their study there.
    final_updates: BTreeMap<(StudyId, u32, BlobRef), BTreeSet<InstitutionId>>,
    /// Rounds of the last models that are listed at the finalised block.
    final_models: BTreeMap<StudyId, u32>,
    /// Active members, at the finalised block, of the studies that list anything there.
    final_members: BTreeMap<StudyId, BTreeSet<InstitutionId>>,
}

/// That a peer may have a blob, and why: what the egress log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Study.
    pub study: StudyId,
    /// Round.
    pub round: u32,
    /// What the blob is.
    pub kind: BlobKind,
    /// The institution that asks.
    pub institution: InstitutionId,
    /// Its name.
    pub name: String,
}

/// Why a peer may not have a blob; the later ones came closer to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// No institution registered this peer id.
    #[error("no institution has registered this peer id")]
    Outsider,
    /// The chain lists no such blob.
    #[error("no study lists this blob")]
    Unlisted,
    /// The institution is no active member of a study that lists the blob.
    #[error("its institution is no active member of a study that lists this blob")]
    NotMember,
    /// This node's own institution is no active member of the study.
    #[error("this institution is no active member of a study of that institution that lists this blob")]
    Left,
    /// The study that lists the blob is not the one this node has it from.
    #[error("this node does not hold this blob for a study of that institution")]
    OtherStudy,
    /// The institution's membership is not final.
    #[error("its institution's membership of the study is not final yet")]
    MemberNotFinal,
    /// The update's freeze is not final.
    #[error("the freeze of this update is not final yet")]
    NotFinal,
}

impl Snapshot {
    /// From the answers of the runtime: institutions and blobs at the best block, blobs at the finalised one.
    #[must_use]
    pub fn new(
        local: &PeerId,
        institutions: Vec<InstitutionNotice>,
        best: Vec<BlobNotice>,
        finalised: &[BlobNotice],
    ) -> Self {
        let mut this = Self::default();
        for institution in institutions {
            let Some(peer) = institution.peer_id.as_deref().and_then(|bytes| PeerId::from_bytes(bytes).ok()) else {
                continue;
            };
            if peer == *local {
                this.local = Some(institution.id);
            }
            this.by_institution.insert(institution.id, peer);
            this.by_peer.insert(peer, institution);
        }
        for notice in &best {
            this.best.entry(notice.blob).or_default().push(notice.clone());
        }
        this.order = best;
        for notice in finalised {
            this.final_members.entry(notice.study).or_default().extend(&notice.members);
            if notice.kind == BlobKind::Merged {
                let closed = this.final_models.entry(notice.study).or_default();
                *closed = notice.round.max(*closed);
            }
            if notice.kind == BlobKind::Update {
                let update = (notice.study, notice.round, notice.blob);
                this.final_updates.entry(update).or_default().extend(&notice.members);
            }
        }
        this
    }

    /// Whether the chain was not read yet, or knows no node at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_peer.is_empty()
    }

    /// The institution whose node a peer is.
    #[must_use]
    pub fn institution_of(&self, peer: &PeerId) -> Option<&InstitutionNotice> {
        self.by_peer.get(peer)
    }

    /// The node of an institution.
    #[must_use]
    pub fn peer_of(&self, institution: &InstitutionId) -> Option<PeerId> {
        self.by_institution.get(institution).copied()
    }

    /// Whether the chain lists a blob.
    #[must_use]
    pub fn lists(&self, root: &[u8; 32]) -> bool {
        let with = |len| BlobRef { root: root.into(), len };
        self.best.range(with(0)..=with(u64::MAX)).next().is_some()
    }

    /// Updates that are listed at the finalised block: study, round, and whether this node's own institution made it.
    pub fn updates(&self) -> impl Iterator<Item = (&BlobRef, StudyId, u32, bool)> {
        let own = |study: StudyId, round: u32, blob: &BlobRef| {
            let notices = self.best.get(blob).into_iter().flatten();
            notices
                .filter(|notice| (notice.study, notice.round, notice.kind) == (study, round, BlobKind::Update))
                .any(|notice| self.local.is_some_and(|local| notice.holders.contains(&local)))
        };
        self.final_updates.keys().map(move |(study, round, blob)| (blob, *study, *round, own(*study, *round, blob)))
    }

    /// Whether an update of a round is kept no longer: it is listed at neither block, and a later round of its study has closed
    /// for good. While a study pauses in a round, what was committed for it is not listed, and stays.
    #[must_use]
    pub fn expired(&self, root: &[u8; 32], study: StudyId, round: u32) -> bool {
        let listed = self.lists(root) || self.final_updates.keys().any(|(_, _, blob)| blob.root.0 == *root);
        !listed && self.final_models.get(&study).is_some_and(|closed| *closed > round)
    }

    /// Whether it is final that an institution may have a blob: it was an active member of the study at the finalised
    /// block, and an update's freeze is final too. Of a merged model the best block's listing is enough.
    #[must_use]
    pub fn settled(&self, notice: &BlobNotice, who: &InstitutionId) -> bool {
        let members = match notice.kind {
            BlobKind::Merged => self.final_members.get(&notice.study),
            BlobKind::Update => self.final_updates.get(&(notice.study, notice.round, notice.blob)),
        };
        members.is_some_and(|members| members.contains(who))
    }

    /// Whether an update's freeze is final; a merged model has none.
    fn frozen(&self, notice: &BlobNotice) -> bool {
        notice.kind == BlobKind::Merged || self.final_updates.contains_key(&(notice.study, notice.round, notice.blob))
    }

    /// What this node's institution should hold now, in the chain's order, each blob and study once.
    #[must_use]
    pub fn wanted(&self) -> Vec<&BlobNotice> {
        let Some(local) = self.local else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let due = self.order.iter().filter(|notice| notice.wanted && notice.blob.len > 0);
        let ours = due.filter(|notice| notice.members.contains(&local));
        ours.filter(|notice| seen.insert((notice.study, notice.blob))).collect()
    }

    /// Who can be asked for a blob: holders first, then the other members; this node itself is not among them.
    #[must_use]
    pub fn sources(&self, notice: &BlobNotice) -> Vec<(PeerId, bool)> {
        let others = notice.members.iter().filter(|member| !notice.holders.contains(member));
        let named = notice.holders.iter().map(|holder| (holder, true)).chain(others.map(|other| (other, false)));
        let away = named.filter(|(institution, _)| Some(**institution) != self.local);
        away.filter_map(|(institution, holds)| self.peer_of(institution).map(|peer| (peer, holds))).collect()
    }
}

/// Whether a peer may have a blob from this node.
///
/// Its institution must be an active member of the study at the best block and at the finalised one: who enrolled in a
/// block that may vanish gets nothing yet, and who withdrew gets nothing any more. This node's own institution must
/// still be one too.
///
/// `fetched_for` says whether this node fetched the blob as a member of a study. Anything else in the blob store is
/// this institution's own work, given only where the chain names this institution as a holder: the hash of an update
/// is public before its freeze, and a study of others that lists the same hash must not bring the bytes out.
///
/// # Errors
/// Why not. If several studies list the blob, the reason of the one that came closest.
pub fn may_serve(
    snapshot: &Snapshot,
    peer: &PeerId,
    blob: &BlobRef,
    fetched_for: impl Fn(StudyId) -> bool,
) -> Result<Grant, Refusal> {
    let asking = snapshot.by_peer.get(peer).ok_or(Refusal::Outsider)?;
    let notices = snapshot.best.get(blob).ok_or(Refusal::Unlisted)?;
    let check = |notice: &BlobNotice| {
        let own = snapshot.local.filter(|own| notice.members.contains(own)).ok_or(Refusal::Left)?;
        if !snapshot.frozen(notice) {
            Err(Refusal::NotFinal)
        } else if !snapshot.settled(notice, &asking.id) {
            Err(Refusal::MemberNotFinal)
        } else if notice.holders.contains(&own) || fetched_for(notice.study) {
            Ok(())
        } else {
            Err(Refusal::OtherStudy)
        }
    };
    let mut closest = Refusal::NotMember;
    for notice in notices.iter().filter(|notice| notice.members.contains(&asking.id)) {
        match check(notice) {
            Err(refusal) => closest = closest.max(refusal),
            Ok(()) => {
                return Ok(Grant {
                    study: notice.study,
                    round: notice.round,
                    kind: notice.kind,
                    institution: asking.id,
                    name: String::from_utf8_lossy(&asking.name).into_owned(),
                })
            }
        }
    }
    Err(closest)
}

/// Requests that one peer may still make: filled at a steady rate up to a limit.
#[derive(Debug)]
pub struct Bucket {
    left: f64,
    limit: f64,
    per_second: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(limit: u32, per_second: u32, now: Instant) -> Self {
        Self { left: limit.into(), limit: limit.into(), per_second: per_second.into(), filled: now }
    }

    /// Takes one; when none is left, says how long until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.limit);
        self.filled = self.filled.max(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second))
    }
}

/// Bytes that tell snapshots apart, so that an unchanged one is not announced.
#[must_use]
pub fn fingerprint(institutions: &[InstitutionNotice], best: &[BlobNotice], finalised: &[BlobNotice]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&institutions.encode());
    hasher.update(&best.encode());
    hasher.update(&finalised.encode());
    *hasher.finalize().as_bytes()
}
