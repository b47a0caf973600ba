//! Where the chain attests another merge than the one that was computed here from the same inputs, this site computes it once
//! more, from files whose bytes are hashed again. Is it now as attested, something here had failed once: that is noted, and the
//! site goes on. If not, it works no longer for this study until its people decide: neither on that model nor on a later one.
//!
//! Every order names what is attested of the last rounds, so that a site that was away, or started anew, finds out too. A
//! dissent is about one hash: while the chain attests another one there, it counts for nothing.

use super::{AskedMerge, Worker, RETRY};
use crate::site::{Dissent, OwnMerge, StudyKey, What};
use anyhow::{Context, Result};
use consilium_primitives::{DutyKind, DutyOrder, DutyOutput, Hash, MaskOrder};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// What is to be looked at once more, and the attested hash.
pub(super) type Doubt = (StudyKey, What, Hash);

/// How far that has come.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// It is being computed, after so many failures.
    Computes(u32),
    /// It could not be computed then, so many times.
    Failed(Instant, u32),
}

/// What the thread that looks again is to do.
pub(super) enum Again {
    /// Compute this once more: the chain attests that.
    Compute(Box<OwnMerge>, Hash),
    /// Copy what this note is about, which may be here by now.
    Keep(StudyKey, What),
    /// Merge this, which has closed without this site.
    CatchUp(Box<DutyOrder>, Option<Arc<MaskOrder>>),
}

/// So often it is tried to compute a merge once more before people are asked.
const TRIES: u32 = 3;
/// A note on another hash than has been attested for so many rounds is laid aside: no chain takes back as many.
const SETTLED: u32 = 4;

/// Whether a duty can be done on what it stands on.
pub(super) enum Ground {
    /// It can.
    Firm,
    /// A merge is computed once more.
    Doubted,
    /// This site computes another one.
    Rejected,
}

/// The round whose model a duty stands on.
fn model_round(order: &DutyOrder) -> Option<u32> {
    match order.duty.kind {
        DutyKind::Train
        | DutyKind::Merge
        | DutyKind::Keys
        | DutyKind::Deal
        | DutyKind::Mask
        | DutyKind::Gather
        | DutyKind::Reveal => order.duty.round.checked_sub(1),
        DutyKind::Evaluate | DutyKind::Acknowledge | DutyKind::Present => Some(order.duty.round),
        DutyKind::Statistics | DutyKind::MergeStatistics | DutyKind::Init => None,
    }
}

/// Whether a duty stands on this, or on something that came of it.
fn stands_on(order: &DutyOrder, what: What) -> bool {
    model_round(order).is_some_and(|model| match what {
        What::Statistics => true,
        What::Model(round) => round <= model,
    })
}

impl Worker {
    /// Looks whether all that a duty stands on is as this site has computed it.
    pub(super) fn ground(&self, order: &DutyOrder) -> Result<Ground> {
        let study = StudyKey::of(&order.duty);
        self.adopt(&study)?;
        let mut differs = Vec::new();
        for attested in &order.attested {
            let what = What::of(attested);
            let own = self.home.own_merge(&study, what, &attested.inputs_root)?;
            if own.is_none() {
                self.catch_up(study, &attested.inputs_root);
            }
            let Some(own) = own.filter(|own| own.root != attested.root) else { continue };
            if !self.home.accepted(&study, what, &hex::encode(attested.root))? {
                differs.push(((study, what, attested.root), own));
            }
        }
        // from here on no note is begun
        let mut doubts = self.doubts.lock();
        let now = |what: What| order.attested.iter().find(|attested| What::of(attested) == what);
        let dissents = self.home.dissents(&study)?;
        // what is attested no longer, or was settled, is forgotten; of what the chain does not name any more nothing is known
        doubts.retain(|doubt, look| {
            let (of, what, root) = doubt;
            *of != study
                || now(*what).is_none_or(|now| {
                    let open = matches!(look, Look::Computes(_)) || differs.iter().any(|(differs, _)| differs == doubt);
                    now.root == *root && open
                })
        });
        for (doubt, own) in differs {
            let (_, what, root) = doubt;
            if dissents.iter().any(|(noted, dissent)| *noted == what && dissent.attested == hex::encode(root)) {
                continue;
            }
            let failures = match doubts.get(&doubt) {
                None => Some(0),
                Some(Look::Computes(_)) => None,
                Some(Look::Failed(at, times)) => (at.elapsed() > RETRY).then_some(*times),
            };
            if let Some(failures) = failures {
                if self.again.send(Again::Compute(Box::new(own), root)).is_ok() {
                    doubts.insert(doubt, Look::Computes(failures));
                }
            }
        }
        let mut rejected = false;
        for (what, dissent) in dissents {
            match now(what) {
                Some(now) if hex::encode(now.root) != dissent.attested => {
                    let model = model_round(order).unwrap_or(0);
                    if matches!(what, What::Model(round) if round.saturating_add(SETTLED) <= model) {
                        tracing::warn!("study {}: {what} is no longer attested as {}", dissent.study, dissent.attested);
                        self.home.end_dissent(&study, what, &dissent.attested)?;
                    }
                }
                _ if !stands_on(order, what) => {}
                _ => {
                    rejected = true;
                    if !dissent.complete() {
                        let _ = self.again.send(Again::Keep(study, what));
                    }
                }
            }
        }
        let doubted = doubts.keys().any(|(of, what, _)| *of == study && stands_on(order, *what));
        Ok(match (rejected, doubted) {
            (true, _) => Ground::Rejected,
            (false, true) => Ground::Doubted,
            (false, false) => Ground::Firm,
        })
    }

    /// Finds what an earlier version has kept of a study, the first time that it is asked for.
    fn adopt(&self, study: &StudyKey) -> Result<()> {
        let mut adopted = self.adopted.lock();
        if !adopted.contains(study) {
            self.home.adopt(study)?;
            adopted.insert(*study);
        }
        Ok(())
    }

    /// Remembers the last merge that this site was asked for: if it closes without this site, it is still computed.
    pub(super) fn remember(&self, order: &DutyOrder) {
        if matches!(order.duty.kind, DutyKind::Merge | DutyKind::MergeStatistics) {
            self.asked.lock().insert(StudyKey::of(&order.duty), (order.clone(), self.mask_order(order)));
        }
    }

    /// Has a merge computed that has closed without this site, once all that it needs is here.
    fn catch_up(&self, study: StudyKey, inputs_root: &Hash) {
        let mut asked = self.asked.lock();
        let there = |(order, _): &AskedMerge| {
            let mut needed = order.inputs.iter().map(|input| &input.blob).chain(&order.base);
            order.duty.base == *inputs_root && needed.all(|blob| self.blobs.has(blob))
        };
        if asked.get(&study).is_some_and(there) {
            if let Some((order, masked)) = asked.remove(&study) {
                let _ = self.again.send(Again::CatchUp(Box::new(order), masked));
            }
        }
    }

    fn merge_late(&self, order: &DutyOrder, masked: Option<&MaskOrder>) -> Result<()> {
        let spec = self.spec(&order.spec).context("the spec is missing")?;
        let output = match masked {
            Some(masked) => self.sum(order, masked, &spec),
            None => self.merge(order, &spec),
        };
        let Some(output) = output? else { return Ok(()) };
        OwnMerge::of(order, masked, &output).map_or(Ok(()), |own| self.home.put_own_merge(&own))
    }

    /// Does what the thread that looks again is asked to do.
    pub(super) fn look_again(&self, again: Again) {
        let tried = std::panic::catch_unwind(AssertUnwindSafe(|| match again {
            Again::Compute(own, attested) => self.recompute(&own, attested),
            Again::Keep(study, what) => self.keep_files(study, what),
            Again::CatchUp(order, masked) => self.merge_late(&order, masked.as_deref()),
        }));
        match tried {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{error:#}"),
            Err(_) => tracing::error!("the worker's own fault; see the lines above"),
        }
    }

    /// Copies what a note is about to where it stays, whatever becomes of the store: what is here of it.
    fn keep_files(&self, study: StudyKey, what: What) -> Result<()> {
        let noted = |dissents: Vec<(What, Dissent)>| {
            dissents.into_iter().find(|(noted, _)| *noted == what).map(|(_, dissent)| dissent)
        };
        let Some(mut dissent) = noted(self.home.dissents(&study)?).filter(|dissent| !dissent.complete()) else {
            return Ok(());
        };
        let mut files = Vec::new();
        for (name, root) in dissent.wanted() {
            let file = self.home.keep_file(&study, what, &format!("{name}-{root}"), &self.blobs, &root);
            files.extend(file.with_context(|| format!("study {}: no copy of the {name} file", study.study))?);
        }
        // people may have decided meanwhile
        let _doubts = self.doubts.lock();
        if files != dissent.files && noted(self.home.dissents(&study)?).is_some() {
            dissent.files = files;
            self.home.put_dissent(&study, what, &dissent)?;
        }
        Ok(())
    }

    /// Computes once more what the chain attests differently.
    fn recompute(&self, own: &OwnMerge, attested: Hash) -> Result<()> {
        let doubt = (StudyKey::of(&own.order.duty), own.what(), attested);
        let failures = match self.doubts.lock().get(&doubt) {
            Some(Look::Computes(failures)) => *failures,
            _ => 0,
        };
        let tried = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_again(own, attested, failures + 1 >= TRIES)));
        let tried = tried.unwrap_or_else(|_| Err(anyhow::anyhow!("the worker's own fault; see the lines above")));
        if tried.is_err() {
            // what the chain attests no longer has been forgotten meanwhile
            if let Some(look) = self.doubts.lock().get_mut(&doubt) {
                *look = Look::Failed(Instant::now(), failures + 1);
            }
        }
        tried.with_context(|| format!("study {}: {} cannot be computed again", own.order.duty.study, own.what()))
    }

    /// `last`: if it cannot be computed this time, people are asked.
    fn try_again(&self, own: &OwnMerge, root: Hash, last: bool) -> Result<()> {
        let (what, of, study) = (own.what(), StudyKey::of(&own.order.duty), own.order.duty.study);
        let doubt = (of, what, root);
        let (attested, first) = (hex::encode(root), hex::encode(own.root));
        tracing::warn!("study {study}: {what} is attested as {attested}, and was {first} here; computing it once more");
        let again = match self.compute(own) {
            Err(error) if last => {
                tracing::error!("study {study}: {what} cannot be computed again: {error:#}");
                None
            }
            tried => tried?,
        };
        if again == Some(root) {
            tracing::warn!(
                "study {study}: {what}, computed again, is as attested. A transient fault of this machine had changed it; if \
                 that happens more often, look at its memory"
            );
            self.home.put_own_merge(&OwnMerge { root, ..own.clone() })?;
            self.doubts.lock().remove(&doubt);
            let note = serde_json::json!({ "what": what.to_string(), "attested": attested, "own": first });
            return self.home.put_note(&of, "transient", own.order.duty.round, &note);
        }
        let found = match again {
            Some(again) if again == own.root => "twice the same other result".into(),
            Some(again) => format!(
                "another result each time (then {}): this machine's memory or disk is not to be trusted",
                hex::encode(again)
            ),
            None => "another result, and cannot compute it again: not all of the inputs are here any more, or its log says why"
                .into(),
        };
        let round = own.order.duty.round;
        let note = format!(
            "This site computed {found}. Either more institutions than the agreement tolerates attest what the inputs do \
             not give, or this machine computes differently. This site takes no further part in study {study}. Send this \
             file and those it names to the data managers of the other institutions, whose own `consilium audit {study}` \
             says which hash the inputs give. To go on from the attested one all the same: \
             consilium study accept {study} {} --dir {}",
            if what == What::Statistics { "--statistics".into() } else { format!("--round {round}") },
            self.home.folder().display()
        );
        let dissent = Dissent {
            study,
            round,
            what: what.to_string(),
            attested,
            own: first,
            again: again.map(hex::encode),
            inputs_root: hex::encode(own.inputs_root()),
            inputs: own
                .order
                .inputs
                .iter()
                .map(|i| (i.institution.to_string(), hex::encode(i.blob.root), i.weight))
                .collect(),
            files: Vec::new(),
            note: note.clone(),
        };
        let path = {
            let mut doubts = self.doubts.lock();
            if !doubts.contains_key(&doubt) {
                tracing::warn!("study {study}: {what} is no longer attested as {}", dissent.attested);
                return Ok(());
            }
            let path = self.home.put_dissent(&of, what, &dissent)?;
            doubts.remove(&doubt);
            path
        };
        tracing::error!("study {study}: {what}: DISSENT. {note} ({})", path.display());
        self.keep_files(of, what)
    }

    /// What an order gives, with every file looked at anew; `None` where files are missing.
    fn compute(&self, OwnMerge { order, masked, .. }: &OwnMerge) -> Result<Option<Hash>> {
        self.forget(order);
        let spec = self.spec(&order.spec).context("the spec is missing")?;
        let output = match (order.duty.kind, masked) {
            (DutyKind::Init, _) => self.init(order, &spec).map(Some),
            (_, Some(masked)) => self.sum(order, masked, &spec),
            (_, None) => self.merge(order, &spec),
        };
        match output {
            Ok(Some(DutyOutput::Root(root) | DutyOutput::Marked { root, .. } | DutyOutput::Summed { root, .. })) => {
                Ok(Some(root))
            }
            Ok(_) | Err(super::job::JobError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
