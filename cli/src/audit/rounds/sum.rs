//! A closed round whose masked files were summed: keys, deals and shares as they were posted, the masks that they open, and what
//! comes out where the files are summed again.

use super::{Finding, History, Verdict};
use crate::show::{name, short, why_void};
use anyhow::{bail, ensure, Context, Result};
use consilium_aggregation::{
    masked::{merge_masked, merge_masked_statistics, sum_figures, MaskedError, MaskedRound, Scale},
    InputFile, Layout,
};
use consilium_masks::{
    check_deals, check_reveal, deal_hash, least_used, unmask_streams, Error, Id, KeyList, Opened, Partner, Partners,
    PublicKeys, Reveal, Streams, KEYS_LEN,
};
use consilium_primitives::{
    masks,
    round::{Kind, MaskedRecord, RoundRecord},
    rules::{capped_against, masked_inputs_root},
    BlobRef, Duty, DutyKind, Hash, InstitutionId, PostStep, VoidReason,
};
use consilium_study::StudySpec;
use std::fs;

/// What one round's postings and record say.
pub(super) struct Sum<'a> {
    /// What the chain says.
    pub history: &'a History,
    /// The round.
    pub record: &'a RoundRecord,
    /// What it says of its sum.
    pub masked: &'a MaskedRecord,
}

/// What came of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A merged file of this hash (zero of figures), and the pooled loss.
    Sum(Hash, Option<u32>),
    /// Nothing, for this reason.
    Void(VoidReason),
}

/// What was posted, taken apart and found to be as the record says.
pub(super) struct Posted {
    partners: Partners,
    used: u64,
    reveals: Vec<(Id, Reveal)>,
}

impl Sum<'_> {
    fn who(&self, who: &InstitutionId) -> String {
        name(&self.history.names, who)
    }

    /// Members whose places a mask has, in order of institution, with their signed weights.
    fn named(&self, mask: u64) -> Vec<(InstitutionId, u32)> {
        let members = self.history.info.state.members.iter().enumerate();
        let mut named: Vec<_> = members
            .filter(|(place, _)| 1u64.checked_shl(*place as u32).is_some_and(|bit| mask & bit != 0))
            .map(|(_, member)| (member.id, member.weight))
            .collect();
        named.sort_unstable();
        named
    }

    /// The partners' weights, capped among them.
    fn weights(&self) -> Vec<(InstitutionId, u32)> {
        let rules = &self.history.info.state.rules;
        let partners = self.named(self.masked.partners);
        let raw: Vec<u32> = partners.iter().map(|(_, weight)| *weight).collect();
        let capped = capped_against(&raw, rules.max_share, rules.merge.liars);
        partners.into_iter().map(|(id, _)| id).zip(capped).collect()
    }

    /// What the record alone shows: whose keys were in, who the partners were, their weights, and that enough are in the sum.
    pub fn record(&self, finding: &mut Finding) {
        let Self { record, masked, .. } = self;
        let rules = &self.history.info.state.rules;
        let mut wrong = |text: String| finding.lower(Verdict::Differs, text);
        let (listed, partners) = (masked.listed.count_ones(), masked.partners.count_ones());
        if masked.partners & !masked.listed != 0 {
            wrong("somebody is a partner whose keys were not in".into());
        }
        let threshold = masks::threshold(listed);
        let least = threshold.max(rules.min_participants).max(masks::LEAST);
        if listed < rules.min_participants.max(masks::LEAST) || partners < least || (record.inputs.len() as u32) < least
        {
            wrong(format!(
                "{listed} sites' keys, {partners} partners and {} in the sum are fewer than the {least} that must be there",
                record.inputs.len()
            ));
        }
        if record.inputs.is_empty() || !record.inputs.is_sorted_by(|a, b| a.institution < b.institution) {
            wrong("the inputs are not in order of their institutions, or there are none".into());
        }
        let weights = self.weights();
        let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total != masked.weight {
            wrong(format!(
                "the partners' weights sum to {total} by enrolment and rules, the record says {}",
                masked.weight
            ));
        }
        for input in &record.inputs {
            match weights.iter().find(|(id, _)| *id == input.institution) {
                Some((_, weight)) if *weight == input.weight => {}
                Some((_, weight)) => {
                    let who = self.who(&input.institution);
                    wrong(format!("{who} counted by {}; enrolment and rules give {weight}", input.weight));
                }
                None => wrong(format!("the input of {} is of no partner", self.who(&input.institution))),
            }
        }
        if let Some(why) = masked.void {
            if record.root != Hash::zero() || masked.pooled.is_some() {
                wrong("nothing came of it, and the record names a merge".into());
            }
            finding.note(format!("nothing came of it: {}", why_void(why, &self.history.names)));
        }
    }

    /// What the institutions posted for it: all of it, or none where that is not there any more.
    ///
    /// # Errors
    /// What of it is not as the record, or another part of it, says.
    pub fn posted(&self) -> Result<Option<Posted>> {
        let Self { history, record, masked } = self;
        let get = |step, who: &InstitutionId| history.posting(record.round, masked.pairing, step, who);
        let listed = self.named(masked.listed);
        let mut sites = Vec::new();
        for (who, _) in &listed {
            let Some(keys) = get(PostStep::Keys, who) else { return Ok(None) };
            let keys: &[u8; KEYS_LEN] =
                keys.try_into().with_context(|| format!("the keys of {} have another length", self.who(who)))?;
            sites.push((who.0, PublicKeys::from_bytes(keys)));
        }
        let agreement = history.info.agreement;
        let context =
            masks::context(&history.genesis, history.study, &agreement, record.kind, record.round, masked.pairing);
        let list = KeyList::new(context.0, sites)?;
        let (mut partners, mut deals) = (Vec::new(), Vec::new());
        for (who, weight) in self.weights() {
            let Some(deal) = get(PostStep::Deal, &who) else { return Ok(None) };
            partners.push(Partner { id: who.0, deal: deal_hash(deal), weight });
            deals.push(deal);
        }
        let partners = Partners::new(list, partners)?;
        check_deals(&partners, &deals)?;
        let root = Hash::from(*partners.root());
        let inputs: Vec<_> = record.inputs.iter().map(|i| (i.institution, i.root, i.weight)).collect();
        ensure!(
            masked_inputs_root(&inputs, &history.info.state.rules.merge, record.base, root) == record.inputs_root,
            "inputs, weights, rule, base and partners do not give the hash that was attested"
        );
        for input in &record.inputs {
            let duty = Duty {
                kind: DutyKind::Mask,
                genesis: history.genesis,
                study: history.study,
                agreement,
                round: record.round,
                institution: input.institution,
                base: root,
                statistics: Hash::zero(),
            };
            ensure!(
                duty.hash() == input.duty,
                "the input of {} answers another duty than to mask its part of this round",
                self.who(&input.institution)
            );
        }
        let used = partners.set_of(record.inputs.iter().map(|input| &input.institution.0))?;
        let least = least_used(partners.list().threshold(), history.info.state.rules.min_participants as usize);
        ensure!(used.count_ones() as usize >= least, "a sum over fewer than {least} sites is never opened");
        let mut reveals = Vec::new();
        for input in &record.inputs {
            let who = &input.institution;
            // who gave none is not needed: any t are enough
            let Some(bytes) = get(PostStep::Reveal, who) else { continue };
            let reveal = Reveal::from_bytes(bytes, &partners).with_context(|| self.who(who))?;
            check_reveal(&reveal, &who.0, &partners, used, &deals)
                .with_context(|| format!("a share that {} gave", self.who(who)))?;
            reveals.push((who.0, reveal));
        }
        // the postings of a round are there, or not
        Ok((!reveals.is_empty()).then_some(Posted { partners, used, reveals }))
    }

    /// What comes of the files with these postings. `files` are the inputs' bytes, in order; `base` is the file of the model that
    /// they stand on.
    ///
    /// # Errors
    /// A file that is no masked file of its duty; a base that is not at hand.
    pub fn again(
        &self,
        posted: &Posted,
        files: &[Vec<u8>],
        base: Option<&[u8]>,
        (spec, layout): (&StudySpec, &Layout),
    ) -> Result<Came> {
        let streams = match Opened::new(&posted.partners, posted.used, &posted.reveals) {
            Ok(opened) => unmask_streams(&posted.partners, &opened)?,
            Err(Error::Unrecoverable { whose, .. }) => {
                return unusable(whose.first(), |whose| VoidReason::Unrecoverable { whose })
            }
            Err(Error::BadDeal { who }) => return unusable(who.first(), |who| VoidReason::BadDeal { who }),
            Err(error) => return Err(error.into()),
        };
        match self.summed(&streams, files, base, (spec, layout)) {
            Ok(came) => Ok(came),
            Err(error) => match error.downcast_ref::<MaskedError>().and_then(MaskedError::void) {
                Some(why) => Ok(Came::Void(why)),
                None => Err(error),
            },
        }
    }

    fn summed(
        &self,
        streams: &Streams,
        files: &[Vec<u8>],
        base: Option<&[u8]>,
        (spec, layout): (&StudySpec, &Layout),
    ) -> Result<Came> {
        let Self { history, record, masked } = self;
        let rules = &history.info.state.rules;
        let agreed = rules.masked.context("the agreement asks for no masks")?;
        let folder = tempfile::tempdir().context("cannot write among temporary files")?;
        let mut inputs = Vec::new();
        for (place, (input, bytes)) in record.inputs.iter().zip(files).enumerate() {
            let path = folder.path().join(place.to_string());
            fs::write(&path, bytes).context("cannot write among temporary files")?;
            let blob = BlobRef { root: input.root, len: bytes.len() as u64 };
            inputs.push(InputFile { path, blob, duty: input.duty, weight: input.weight });
        }
        Ok(match record.kind {
            Kind::Statistics => {
                let merged = merge_masked_statistics(&inputs, spec.data.statistics_columns(), streams)?;
                Came::Sum(consilium_aggregation::blob_hash(&merged.encode(None)?), None)
            }
            Kind::Evaluation => Came::Sum(Hash::zero(), sum_figures(&inputs, streams)?.pooled(inputs.len())),
            Kind::Model => {
                let Some(base) = base else { bail!("the model that the round started from is not at hand") };
                let (before, after) = (folder.path().join("base"), folder.path().join("merged"));
                fs::write(&before, base).context("cannot write among temporary files")?;
                let out = fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&after)
                    .context("cannot write among temporary files")?;
                let round = MaskedRound {
                    merge: &rules.merge,
                    scale: Scale::new(agreed.range_log2),
                    noised: spec.noised()?,
                    total: masked.weight,
                    base: &before,
                    layout,
                };
                let merged = merge_masked(&round, &inputs, streams, (&out, after.as_path()))?;
                Came::Sum(merged.blob.root, merged.figures.pooled(inputs.len()))
            }
        })
    }

    /// Holds what came against the record.
    pub fn compare(&self, came: Came, finding: &mut Finding) {
        let said = match self.masked.void {
            Some(why) => Came::Void(why),
            None => Came::Sum(self.record.root, self.masked.pooled),
        };
        let words = |came: Came| match came {
            Came::Sum(root, pooled) => {
                let loss =
                    pooled.map_or("no pooled loss".into(), |loss| format!("the pooled loss {}", f64::from(loss) / 1e6));
                format!("the merge {} with {loss}", short(&root))
            }
            Came::Void(why) => format!("nothing, for {}", why_void(why, &self.history.names)),
        };
        let inputs = self.record.inputs.len();
        match said {
            _ if said == came && self.masked.void.is_none() => {
                finding
                    .note(format!("its {inputs} masked files and the shares that were posted give exactly this sum"));
            }
            _ if said == came => finding.note("its masked files and the shares that were posted show why"),
            // people's decision, or what the sites' votes have named first of several
            Came::Void(VoidReason::Abandoned) => {}
            _ => finding.lower(
                Verdict::Differs,
                format!("files and shares give {}; attested was {}", words(came), words(said)),
            ),
        }
    }
}

/// The reason that names the first of those who are named.
fn unusable(first: Option<&Id>, reason: impl Fn(InstitutionId) -> VoidReason) -> Result<Came> {
    let first = first.context("nobody is named")?;
    Ok(Came::Void(reason(InstitutionId(*first))))
}
