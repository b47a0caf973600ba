//! Where the chain attests another merge than the one that was computed here, this site computes it once more, from inputs
//! whose bytes are hashed again. Is it now as attested, something here had failed once: that is noted, and the site goes on.
//! If not, it works no longer for this study until its people decide: neither on that model nor on any that came later.
//!
//! A chain that takes a round back and attests another merge ends the dissent by itself: it is about one hash.

use super::{Worker, RETRY};
use crate::site::{Dissent, OwnMerge, What};
use anyhow::{Context, Result};
use consilium_primitives::{BlobRef, DutyKind, DutyOrder, DutyOutput, Hash};
use std::{panic::AssertUnwindSafe, time::Instant};

/// What is to be looked at once more: the agreement, what of it, and the attested hash.
pub(super) type Doubt = (Hash, What, Hash);

/// How far that has come.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// What was attested is kept too, and is not here yet.
    Waits,
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

/// The round whose merge a duty stands on; 0: the initial model.
fn model_round(order: &DutyOrder) -> Option<u32> {
    match order.duty.kind {
        DutyKind::Train | DutyKind::Merge => order.duty.round.checked_sub(1),
        DutyKind::Evaluate | DutyKind::Acknowledge => Some(order.duty.round),
        DutyKind::Statistics | DutyKind::MergeStatistics | DutyKind::Init => None,
    }
}

/// What a duty stands on that everyone has computed: attested files.
fn attested(order: &DutyOrder) -> Vec<(What, BlobRef)> {
    let model = model_round(order).zip(order.base).map(|(round, blob)| (What::Model(round), blob));
    model.into_iter().chain(order.statistics.map(|blob| (What::Statistics, blob))).collect()
}

/// Whether a duty stands on something that came out of this, without naming it.
fn stands_on(order: &DutyOrder, what: What) -> bool {
    model_round(order).is_some_and(|round| match what {
        What::Statistics => true,
        What::Model(earlier) => earlier < round,
    })
}

impl Worker {
    /// Looks whether all that a duty stands on is as this site has computed it.
    pub(super) fn ground(&self, order: &DutyOrder) -> Result<Ground> {
        let agreement = &order.duty.agreement;
        let named = attested(order);
        let now = |what: What| named.iter().find(|(named, _)| *named == what).map(|(_, blob)| blob.root);
        let mut rejected = false;
        for (what, hash) in self.home.dissents(agreement)? {
            match now(what) {
                Some(root) if hex::encode(root) == hash => rejected = true,
                Some(_) => {
                    tracing::warn!(
                        "study {}: {what} is no longer attested as {hash}: this site's dissent about it has ended",
                        order.duty.study
                    );
                    self.home.end_dissent(agreement, what, &hash)?;
                }
                None => rejected |= stands_on(order, what),
            }
        }
        if rejected {
            return Ok(Ground::Rejected);
        }
        let mut doubts = self.doubts.lock();
        doubts.retain(|(of, what, hash), _| of != agreement || now(*what).is_none_or(|root| root == *hash));
        for (what, blob) in &named {
            let doubt = (*agreement, *what, blob.root);
            let own = self.home.own_merge(agreement, *what)?.filter(|own| own.root != blob.root);
            let (Some(own), false) = (own, self.home.accepted(agreement, *what, &hex::encode(blob.root))?) else {
                doubts.remove(&doubt);
                continue;
            };
            let look = doubts.entry(doubt).or_insert(Look::Waits);
            let due = match look {
                Look::Waits => true,
                Look::Computes => false,
                Look::Failed(at) => at.elapsed() > RETRY,
            };
            if due && self.blobs.has(blob) && self.again.send((own, *blob)).is_ok() {
                *look = Look::Computes;
            }
        }
        let open = |(of, what, _): &Doubt| of == agreement && (now(*what).is_some() || stands_on(order, *what));
        Ok(if doubts.keys().any(open) { Ground::Doubted } else { Ground::Firm })
    }

    /// Computes once more what the chain attests differently.
    pub(super) fn look_again(&self, own: &OwnMerge, blob: &BlobRef) {
        let doubt = (own.order.duty.agreement, own.what(), blob.root);
        let tried = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_again(own, blob)));
        match tried.unwrap_or_else(|_| Err(anyhow::anyhow!("the worker's own fault; see the lines above"))) {
            Ok(()) => drop(self.doubts.lock().remove(&doubt)),
            Err(error) => {
                tracing::error!("study {}: {} cannot be computed again: {error:#}", own.order.duty.study, own.what());
                // what the chain attests no longer has been forgotten meanwhile
                if let Some(look) = self.doubts.lock().get_mut(&doubt) {
                    *look = Look::Failed(Instant::now());
                }
            }
        }
    }

    fn try_again(&self, own: &OwnMerge, blob: &BlobRef) -> Result<()> {
        let (what, study, agreement) = (own.what(), own.order.duty.study, &own.order.duty.agreement);
        let (attested, first) = (hex::encode(blob.root), hex::encode(own.root));
        tracing::warn!("study {study}: {what} is attested as {attested}, and was {first} here; computing it once more");
        let again = self.compute(&own.order)?;
        if again == Some(blob.root) {
            tracing::warn!(
                "study {study}: {what}, computed again, is as attested. A transient fault of this machine had changed it; if \
                 that happens more often, look at its memory"
            );
            self.home.put_own_merge(&OwnMerge { root: blob.root, ..own.clone() })?;
            let note = serde_json::json!({ "what": what.to_string(), "attested": attested, "own": first });
            return self.home.put_note(agreement, "transient", own.order.duty.round, &note);
        }
        let mut files = Vec::new();
        let mut named = vec![("attested", blob.root), ("own", own.root)];
        named.extend(again.filter(|again| *again != own.root).map(|again| ("again", again)));
        for (name, root) in named {
            if let Ok(Some(bytes)) = self.blobs.read(&BlobRef { root, len: blob.len }) {
                files.push(self.home.keep_file(agreement, what, &format!("{name}-{}", hex::encode(root)), &bytes)?);
            }
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
            inputs_root: hex::encode(own.order.duty.base),
            inputs: own
                .order
                .inputs
                .iter()
                .map(|i| (i.institution.to_string(), hex::encode(i.blob.root), i.weight))
                .collect(),
            files,
            note: note.clone(),
        };
        let path = self.home.put_dissent(agreement, what, &dissent)?;
        tracing::error!("study {study}: {what}: DISSENT. {note} ({})", path.display());
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
