//! Where the chain attests another merge than the one that was computed here from the same inputs, this site computes it once
//! more, from files whose bytes are hashed again. Is it now as attested, something here had failed once: that is noted, and the
//! site goes on. If not, it works no longer for this study until its people decide: neither on that model nor on a later one.
//!
//! Every order names what is attested of the last rounds, so that a site that was away, or started anew, finds out too. A
//! dissent is about one hash: while the chain attests another one there, it counts for nothing.

use super::{Worker, RETRY};
use crate::site::{Dissent, OwnMerge, What};
use anyhow::{Context, Result};
use consilium_primitives::{DutyKind, DutyOrder, DutyOutput, Hash};
use std::{panic::AssertUnwindSafe, time::Instant};

/// What is to be looked at once more: the agreement, what of it, and the attested hash.
pub(super) type Doubt = (Hash, What, Hash);

/// How far that has come.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// It is being computed.
    Computes,
    /// It could not be computed then.
    Failed(Instant),
}

/// Whether a duty can be done on what it stands on.
pub(super) enum Ground {
    /// It can.
    Firm,
    /// A merge is computed once more.
    Doubted,
    /// This site computes another one.
    Rejected,
}

/// Whether a duty stands on this, or on something that came of it.
fn stands_on(order: &DutyOrder, what: What) -> bool {
    let model = match order.duty.kind {
        DutyKind::Train | DutyKind::Merge => order.duty.round.checked_sub(1),
        DutyKind::Evaluate | DutyKind::Acknowledge => Some(order.duty.round),
        DutyKind::Statistics | DutyKind::MergeStatistics | DutyKind::Init => None,
    };
    model.is_some_and(|model| match what {
        What::Statistics => true,
        What::Model(round) => round <= model,
    })
}

impl Worker {
    /// Looks whether all that a duty stands on is as this site has computed it.
    pub(super) fn ground(&self, order: &DutyOrder) -> Result<Ground> {
        let agreement = &order.duty.agreement;
        let mut differs = Vec::new();
        for attested in &order.attested {
            let what = What::of(attested);
            let own = self.home.own_merge(agreement, what, &attested.inputs_root)?;
            let Some(own) = own.filter(|own| own.root != attested.root) else { continue };
            if !self.home.accepted(agreement, what, &hex::encode(attested.root))? {
                differs.push(((*agreement, what, attested.root), own));
            }
        }
        // from here on no note is begun
        let mut doubts = self.doubts.lock();
        let now = |what: What| order.attested.iter().find(|attested| What::of(attested) == what);
        let dissents = self.home.dissents(agreement)?;
        // what is attested no longer is forgotten
        doubts.retain(|(of, what, root), _| of != agreement || now(*what).is_some_and(|now| now.root == *root));
        for (doubt, own) in differs {
            let (_, what, root) = doubt;
            if dissents.iter().any(|(noted, dissent)| *noted == what && dissent.attested == hex::encode(root)) {
                continue;
            }
            let due = match doubts.get(&doubt) {
                None => true,
                Some(Look::Computes) => false,
                Some(Look::Failed(at)) => at.elapsed() > RETRY,
            };
            if due && self.again.send((own, root)).is_ok() {
                doubts.insert(doubt, Look::Computes);
            }
        }
        let stands = |(what, dissent): &&(What, Dissent)| {
            stands_on(order, *what) && now(*what).is_none_or(|now| hex::encode(now.root) == dissent.attested)
        };
        let doubted = doubts.keys().any(|(of, what, _)| of == agreement && stands_on(order, *what));
        drop(doubts);
        let mut rejected = false;
        for (what, dissent) in dissents.iter().filter(stands) {
            rejected = true;
            self.keep_files(agreement, *what, dissent.clone());
        }
        Ok(match (rejected, doubted) {
            (true, _) => Ground::Rejected,
            (false, true) => Ground::Doubted,
            (false, false) => Ground::Firm,
        })
    }

    /// Copies what a note is about to where it stays, whatever becomes of the store: as soon as it is here.
    fn keep_files(&self, agreement: &Hash, what: What, mut dissent: Dissent) {
        let mut named = vec![("attested", &dissent.attested), ("own", &dissent.own)];
        named.extend(dissent.again.as_ref().filter(|again| **again != dissent.own).map(|again| ("again", again)));
        let mut files = Vec::new();
        for (name, root) in named {
            match self.home.keep_file(agreement, what, &format!("{name}-{root}"), &self.blobs, root) {
                Ok(file) => files.extend(file),
                Err(error) => tracing::error!("study {}: no copy of the {name} file: {error:#}", dissent.study),
            }
        }
        if files != dissent.files {
            dissent.files = files;
            if let Err(error) = self.home.put_dissent(agreement, what, &dissent) {
                tracing::error!("study {}: {error:#}", dissent.study);
            }
        }
    }

    /// Computes once more what the chain attests differently.
    pub(super) fn look_again(&self, own: &OwnMerge, attested: Hash) {
        let doubt = (own.order.duty.agreement, own.what(), attested);
        let tried = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_again(own, attested)));
        let tried = tried.unwrap_or_else(|_| Err(anyhow::anyhow!("the worker's own fault; see the lines above")));
        if let Err(error) = tried {
            tracing::error!("study {}: {} cannot be computed again: {error:#}", own.order.duty.study, own.what());
            // what the chain attests no longer has been forgotten meanwhile
            if let Some(look) = self.doubts.lock().get_mut(&doubt) {
                *look = Look::Failed(Instant::now());
            }
        }
    }

    fn try_again(&self, own: &OwnMerge, root: Hash) -> Result<()> {
        let (what, study, agreement) = (own.what(), own.order.duty.study, &own.order.duty.agreement);
        let doubt = (*agreement, what, root);
        let (attested, first) = (hex::encode(root), hex::encode(own.root));
        tracing::warn!("study {study}: {what} is attested as {attested}, and was {first} here; computing it once more");
        let again = self.compute(&own.order)?;
        if again == Some(root) {
            tracing::warn!(
                "study {study}: {what}, computed again, is as attested. A transient fault of this machine had changed it; if \
                 that happens more often, look at its memory"
            );
            self.home.put_own_merge(&OwnMerge { root, ..own.clone() })?;
            let note = serde_json::json!({ "what": what.to_string(), "attested": attested, "own": first });
            self.home.put_note(agreement, "transient", own.order.duty.round, &note)?;
            self.doubts.lock().remove(&doubt);
            return Ok(());
        }
        let found = match again {
            Some(again) if again == own.root => "twice the same other result".into(),
            Some(again) => format!(
                "another result each time (then {}): this machine's memory or disk is not to be trusted",
                hex::encode(again)
            ),
            None => "another result, and not all of the inputs are here any more to compute it again".into(),
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
            let path = self.home.put_dissent(agreement, what, &dissent)?;
            doubts.remove(&doubt);
            path
        };
        tracing::error!("study {study}: {what}: DISSENT. {note} ({})", path.display());
        self.keep_files(agreement, what, dissent);
        Ok(())
    }

    /// What an order gives, with every file looked at anew; `None` where files are missing.
    fn compute(&self, order: &DutyOrder) -> Result<Option<Hash>> {
        self.forget(order);
        let spec = self.spec(&order.spec).context("the spec is missing")?;
        let output = match order.duty.kind {
            DutyKind::Init => self.init(order, &spec).map(Some),
            _ => self.merge(order, &order.duty.hash(), &spec),
        };
        match output {
            Ok(Some(DutyOutput::Root(root) | DutyOutput::Marked { root, .. })) => Ok(Some(root)),
            Ok(_) | Err(super::job::JobError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
