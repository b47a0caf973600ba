//! Who may have what: pure decisions on what the chain says.

use super::{
    listed::Notice,
    notes::Noted,
    wire::{Entry, Kind},
};
use consilium_primitives::{rules::UPDATES_AFTER_END, BlobRef, InstitutionId, InstitutionNotice, StudyId};
use sc_network_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
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
    best: BTreeMap<BlobRef, Vec<Notice>>,
    /// Blobs listed at the best block, in the chain's order.
    order: Vec<Notice>,
    /// What is listed at the finalised block, and who was an active member of its study there.
    settled: BTreeMap<Entry, BTreeSet<InstitutionId>>,
    /// The names of all that is listed there.
    final_roots: HashSet<[u8; 32]>,
    /// What is listed at the finalised block and this node's own institution made, or as a member must have computed.
    own: Vec<Entry>,
    /// Rounds of the last merges that are listed at the finalised block.
    closed: BTreeMap<StudyId, u32>,
    /// Blocks in which studies ended, as the finalised block has it.
    ended: BTreeMap<StudyId, u32>,
    /// The finalised block's number.
    now: u32,
    /// Active members, at the finalised block, of the studies that list anything there.
    members: BTreeMap<StudyId, BTreeSet<InstitutionId>>,
}

/// That a peer may have a blob, and why: what the egress log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The blob, and the study and round for which it is given.
    pub entry: Entry,
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
    /// The chain lists no such blob there.
    #[error("that study lists no such blob in that round")]
    Unlisted,
    /// The institution is no active member of the study.
    #[error("its institution is no active member of that study, or has no part in that round")]
    NotMember,
    /// This node's own institution is no active member of the study.
    #[error("this institution is no active member of that study, or has no part in that round")]
    Left,
    /// This node has the blob from elsewhere.
    #[error("this node does not hold this blob for that study and round")]
    HeldForOther,
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
    pub fn new(local: &PeerId, institutions: Vec<InstitutionNotice>, best: Vec<Notice>, finalised: &[Notice]) -> Self {
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
            this.members.entry(notice.study).or_default().extend(&notice.members);
            this.settled.entry(Entry::of(notice)).or_default().extend(&notice.members);
            this.final_roots.insert(notice.blob.root.0);
            if notice.kind == Kind::Merged {
                let closed = this.closed.entry(notice.study).or_default();
                *closed = notice.round.max(*closed);
            }
            let made = |own| match notice.kind {
                Kind::Update | Kind::Masked => notice.holders.contains(&own),
                Kind::Merged => notice.members.contains(&own),
                Kind::Initial | Kind::Code => false,
            };
            if this.local.is_some_and(made) {
                this.own.push(Entry::of(notice));
            }
        }
        this
    }

    /// With the finalised block's number, and the blocks in which studies had ended by then.
    #[must_use]
    pub fn with_ends(self, now: u32, ended: BTreeMap<StudyId, u32>) -> Self {
        Self { now, ended, ..self }
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

    /// What is listed at the finalised block and, where it is held, was made here if it was not fetched: this institution's
    /// updates, and the merges of its studies.
    pub fn own(&self) -> impl Iterator<Item = Entry> + '_ {
        self.own.iter().copied()
    }

    /// Whether what an entry was held for is over, so that nobody needs it there any more: neither block lists the blob, and it
    /// is final that a later round has closed, or that the study has ended (for its updates: so long ago that the chain
    /// lists none any more). While a study pauses in a round, what was committed for it is not listed, and stays. What the
    /// specification names is needed in all rounds.
    #[must_use]
    pub fn over(&self, entry: &Entry) -> bool {
        let root = &entry.blob.root.0;
        if self.lists(root) || self.final_roots.contains(root) {
            return false;
        }
        let kept = match entry.kind {
            Kind::Update | Kind::Masked => UPDATES_AFTER_END,
            Kind::Merged | Kind::Initial | Kind::Code => 0,
        };
        let passed = self.closed.get(&entry.study).is_some_and(|closed| *closed > entry.round);
        let closed = passed && !entry.kind.attached();
        closed || self.ended.get(&entry.study).is_some_and(|at| self.now.saturating_sub(*at) >= kept)
    }

    /// Whether this node must hold a blob that has this name and these notes: a study of its institution lists it, or it
    /// is held for something that is not over.
    #[must_use]
    pub fn needs(&self, root: &[u8; 32], noted: &Noted) -> bool {
        let with = |len| BlobRef { root: root.into(), len };
        let mut listed = self.best.range(with(0)..=with(u64::MAX)).flat_map(|(_, notices)| notices);
        let own = |notice: &Notice| self.local.is_some_and(|own| notice.members.contains(&own));
        listed.any(own) || noted.iter().any(|(entry, _)| !self.over(entry))
    }

    /// Whether it is final that an institution may have a blob: it was an active member of the study at the finalised
    /// block, and an update's freeze is final too. Of a merged model, of an update under masks, and of what the specification
    /// names, the best block's listing is enough.
    #[must_use]
    pub fn settled(&self, notice: &Notice, who: &InstitutionId) -> bool {
        let members = match notice.kind {
            Kind::Merged | Kind::Masked | Kind::Initial | Kind::Code => self.members.get(&notice.study),
            Kind::Update => self.settled.get(&Entry::of(notice)),
        };
        members.is_some_and(|members| members.contains(who))
    }

    /// Whether an update's freeze is final; nothing else waits for one. An update under masks is noise to everyone until the sum is
    /// opened, so that it may travel while others still train.
    fn frozen(&self, notice: &Notice) -> bool {
        notice.kind != Kind::Update || self.settled.contains_key(&Entry::of(notice))
    }

    /// What this node's institution should hold now, in the chain's order, each entry once.
    #[must_use]
    pub fn wanted(&self) -> Vec<&Notice> {
        let Some(local) = self.local else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let due = self.order.iter().filter(|notice| notice.wanted && notice.blob.len > 0);
        let ours = due.filter(|notice| notice.members.contains(&local));
        ours.filter(|notice| seen.insert(Entry::of(notice))).collect()
    }

    /// Whether the best block has an entry.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        self.best.get(&entry.blob).into_iter().flatten().any(|notice| Entry::of(notice) == *entry)
    }

    /// Whether this node's own institution is one that the chain names as holder of what an entry lists.
    #[must_use]
    pub fn holder(&self, entry: &Entry) -> bool {
        let mut notices = self.best.get(&entry.blob).into_iter().flatten().filter(|notice| Entry::of(notice) == *entry);
        let own = |notice: &Notice| self.local.is_some_and(|own| notice.holders.contains(&own));
        notices.any(own)
    }

    /// What members need now and the chain says that this institution holds, each blob once.
    pub fn offered(&self) -> impl Iterator<Item = BlobRef> + '_ {
        let here = |notice: &&Notice| self.local.is_some_and(|own| notice.holders.contains(&own));
        let wanted = self.order.iter().filter(|notice| notice.wanted).filter(here).map(|notice| notice.blob);
        wanted.collect::<BTreeSet<_>>().into_iter()
    }

    /// Who can be asked for a blob: holders first, then the other members; this node itself is not among them.
    #[must_use]
    pub fn sources(&self, notice: &Notice) -> Vec<(PeerId, bool)> {
        let others = notice.members.iter().filter(|member| !notice.holders.contains(member));
        let named = notice.holders.iter().map(|holder| (holder, true)).chain(others.map(|other| (other, false)));
        let away = named.filter(|(institution, _)| Some(**institution) != self.local);
        away.filter_map(|(institution, holds)| self.peer_of(institution).map(|peer| (peer, holds))).collect()
    }
}

/// Whether a peer may have, from this node, what it asks for.
///
/// Its institution must be an active member of the study at the best block and at the finalised one: who enrolled in a
/// block that may vanish gets nothing yet, and who withdrew gets nothing any more. This node's own institution must
/// still be one too, but for an update that it has made itself and that is being merged: the others could not go on without it.
///
/// `granted` says whether this node has the blob from members of that study, asked for that very round and kind, or, where the
/// study's specification names it, from this institution's own people, who put it there for that. Anything else in the blob
/// store is this institution's own work or of another study or round, given only where the chain names this institution as a
/// holder: the hash of an update is public before its freeze, and neither a study of others nor a later round, in which
/// somebody lists the same hash, nor a specification that somebody has written it into must bring the bytes out.
///
/// # Errors
/// Why not. If several notices are about the entry, the reason of the one that came closest.
pub fn may_serve(snapshot: &Snapshot, peer: &PeerId, entry: &Entry, granted: bool) -> Result<Grant, Refusal> {
    let asking = snapshot.by_peer.get(peer).ok_or(Refusal::Outsider)?;
    let listed = snapshot.best.get(&entry.blob).into_iter().flatten();
    let notices: Vec<_> = listed.filter(|notice| Entry::of(notice) == *entry).collect();
    if notices.is_empty() {
        return Err(Refusal::Unlisted);
    }
    let check = |notice: &Notice| {
        // who has left still owes the running merge what it has made for it
        let owes = |own: &_| notice.kind.of_one_site() && notice.wanted && notice.holders.contains(own);
        let serves = |own: &_| notice.members.contains(own) || owes(own);
        let own = snapshot.local.filter(serves).ok_or(Refusal::Left)?;
        if !snapshot.frozen(notice) {
            Err(Refusal::NotFinal)
        } else if !snapshot.settled(notice, &asking.id) {
            Err(Refusal::MemberNotFinal)
        } else if notice.holders.contains(&own) || granted {
            Ok(())
        } else {
            Err(Refusal::HeldForOther)
        }
    };
    let mut closest = Refusal::NotMember;
    for notice in notices.into_iter().filter(|notice| notice.members.contains(&asking.id)) {
        match check(notice) {
            Err(refusal) => closest = closest.max(refusal),
            Ok(()) => {
                let name = String::from_utf8_lossy(&asking.name).into_owned();
                return Ok(Grant { entry: *entry, institution: asking.id, name });
            }
        }
    }
    Err(closest)
}

/// What one peer may still take: filled at a steady rate up to a limit.
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
    pub fn new(limit: f64, per_second: f64, now: Instant) -> Self {
        Self { left: limit, limit, per_second, filled: now }
    }

    /// Takes so much; when that is not left, says how long until it is.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, amount: f64, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.limit);
        self.filled = self.filled.max(now);
        if self.left >= amount {
            self.left -= amount;
            return Ok(());
        }
        Err(Duration::from_secs_f64((amount - self.left) / self.per_second))
    }

    /// Takes so much that was not asked for before, down to nothing.
    pub fn charge(&mut self, amount: f64, now: Instant) {
        if self.take(amount, now).is_err() {
            self.left = 0.0;
        }
    }
}
