//! Merging: what is there is looked through, what is complete is merged, and what the rule did is noted for this site's own
//! people.

use super::{
    job::{other, JobError},
    Worker,
};
use crate::{
    data::{apart, numeric_column, Apart},
    site::StudyKey,
};
use consilium_aggregation::{
    compare_files, hash_file, merge_files, verify_update, FileError, FileMerge, FilesError, InputFile, Layout,
    Statistics,
};
use consilium_primitives::{round::inputs_root, BlobRef, DutyKind, DutyOrder, DutyOutput, Hash, Marks, Merge};
use consilium_study::{StudySpec, Transform};
use serde_json::json;
use std::io;

/// Most updates that are remembered as looked through.
const MAX_SOUND: usize = 4096;

/// Why files were not merged, among errors of the file system.
struct MergeFault(FilesError);

impl From<io::Error> for MergeFault {
    fn from(error: io::Error) -> Self {
        Self(FilesError::Io { path: "the blob store".into(), error })
    }
}

/// Columns that are named in the log.
const NAMED: usize = 10;

/// What is said, before anything is trained, of columns whose values are far larger at one site than at another.
fn scales(spec: &StudySpec, sites: &[Statistics], who: impl Fn(usize) -> String) -> Vec<String> {
    if spec.data.transform == Transform::Rank {
        return Vec::new();
    }
    let apart = apart(sites);
    let line = |found: &Apart| {
        format!(
            "{}: its values are {:.0} times as large at institution {} as at institution {}; are they in the same unit everywhere, and \
             is a code for \"not known\" among them (data.missing_values)?",
            numeric_column(spec, found.column),
            found.times,
            who(found.sites.0),
            who(found.sites.1)
        )
    };
    let mut lines: Vec<String> = apart.iter().take(NAMED).map(line).collect();
    if apart.len() > NAMED {
        lines.push(format!("and {} more columns are as far apart", apart.len() - NAMED));
    }
    lines
}

impl Worker {
    /// Looks at every input that is there; merges when all are. `None`: some are missing or invalid, and the job says
    /// which.
    pub(super) fn merge(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Option<DutyOutput>, JobError> {
        if let Some(masked) = self.mask_order(order) {
            return self.sum(order, &masked, spec);
        }
        let rules = order.merge.as_ref().ok_or(JobError::Missing("the rule of the merge"))?;
        let listed: Vec<_> = order.inputs.iter().map(|i| (i.institution, i.blob.root, i.weight)).collect();
        if inputs_root(&listed, rules, order.base.map(|base| base.root).unwrap_or_default()) != order.duty.base {
            let message = "the inputs, weights, rule and base that the node names are not those of the duty";
            return Err(JobError::Other(anyhow::anyhow!(message)));
        }
        let layout = spec.layout().map_err(other)?;
        let own = order.inputs.iter().find(|input| input.institution == order.duty.institution);
        if let Some(own) = own.filter(|_| order.duty.kind == DutyKind::Merge && spec.training.keep_optimizer_state) {
            self.home.put_merged(&StudyKey::of(&order.duty), order.duty.round, &own.duty)?;
        }
        let (mut have, mut invalid) = (0u64, 0u64);
        let mut parts = Vec::new();
        for (place, input) in order.inputs.iter().enumerate() {
            let bit = 1u64.checked_shl(place as u32).unwrap_or(0);
            let part = if order.duty.kind == DutyKind::Merge {
                if !self.blobs.has(&input.blob) {
                    continue;
                }
                let look =
                    |blob: &BlobRef| verify_update(&self.blobs.path(&blob.root), &layout, &input.duty, &blob.root);
                match self.verified(&input.blob, &input.duty, look)? {
                    None => continue,
                    Some(verified) => verified.map(|()| None),
                }
            } else {
                let Some(bytes) = self.blobs.read(&input.blob)? else { continue };
                Statistics::decode(&bytes, spec.data.statistics_columns(), Some(&input.duty)).map(Some)
            };
            match part {
                Ok(part) => {
                    have |= bit;
                    parts.extend(part);
                }
                Err(error) => {
                    invalid |= bit;
                    self.report_invalid(order, &input.institution.to_string(), &input.blob, &error);
                }
            }
        }
        self.change(&super::key(order), |job| {
            job.have = have;
            job.invalid = invalid;
            job.scanned = true;
        });
        if (have.count_ones() as usize) < order.inputs.len() {
            return Ok(None);
        }
        if order.duty.kind == DutyKind::MergeStatistics {
            let who = |place: usize| order.inputs.get(place).map_or_else(String::new, |i| i.institution.to_string());
            for line in scales(spec, &parts, who) {
                tracing::warn!("study {}: {line}", order.duty.study);
            }
            let bytes = Statistics::merge(&parts).map_err(other)?.encode(None).map_err(other)?;
            return Ok(Some(DutyOutput::Root(self.blobs.put_loosely(&bytes)?)));
        }
        self.restore_initial(order, spec)?;
        let base = order.base.filter(|base| self.blobs.has(base)).ok_or(JobError::Missing("the base model"))?;
        // hashed each time: what is in it goes into the merge unlooked at
        if hash_file(&self.blobs.path(&base.root))? != base.root {
            self.blobs.remove_damaged(&base.root)?;
            return Err(JobError::Missing("the base model"));
        }
        let files: Vec<InputFile> = order
            .inputs
            .iter()
            .map(|i| InputFile { path: self.blobs.path(&i.blob.root), blob: i.blob, duty: i.duty, weight: i.weight })
            .collect();
        let merged = self.blobs.make(|file, path| {
            merge_files(rules, &files, &self.blobs.path(&base.root), &layout, (file, path))
                .map(|merged| (merged.blob, merged))
                .map_err(MergeFault)
        });
        match merged {
            Ok((blob, merged)) => {
                if let Err(error) = self.tell(order, rules, &files, &layout, &merged) {
                    tracing::warn!(
                        "study {}, round {}: no note on what the rule did: {error:#}",
                        order.duty.study,
                        order.duty.round
                    );
                }
                let (root, marks) = (blob.root, merged.plan.marks());
                let plain = marks == Marks::default();
                Ok(Some(if plain { DutyOutput::Root(root) } else { DutyOutput::Marked { root, marks } }))
            }
            Err(MergeFault(FilesError::Differs { input, .. })) => {
                // it was whole when it was looked at
                self.blobs.remove_damaged(&files[input].blob.root)?;
                self.change(&super::key(order), |job| job.have &= !1u64.checked_shl(input as u32).unwrap_or(0));
                Ok(None)
            }
            Err(MergeFault(error)) => {
                // what could be a fault of this machine is looked for when it is tried again
                self.forget(order);
                Err(other(error))
            }
        }
    }

    /// Notes what the rule did to each update, for this site's own people: `merge-ROUND.json` in the study's folder.
    fn tell(
        &self,
        order: &DutyOrder,
        rules: &Merge,
        files: &[InputFile],
        layout: &Layout,
        merged: &FileMerge,
    ) -> anyhow::Result<()> {
        let (Some(base), duty) = (order.base, &order.duty) else { return Ok(()) };
        let whole = layout.with_state(rules.moments())?;
        let [base, model] = [&base.root, &merged.blob.root].map(|root| self.blobs.path(root));
        let seen = compare_files(files, &base, &model, layout, &whole, merged.gram.as_ref())?;
        let who = |place: usize| order.inputs.get(place).map(|input| input.institution.to_string());
        let updates: Vec<_> = merged
            .plan
            .fates()
            .into_iter()
            .enumerate()
            .map(|(place, fate)| {
                let near = |(a, b): &(usize, usize)| if *a == place { who(*b) } else { who(*a) };
                let alike = seen.alike.iter().filter(|(a, b)| *a == place || *b == place);
                json!({
                    "institution": who(place),
                    "file": hex::encode(files[place].blob.root),
                    "weight": files[place].weight,
                    "part": fate.part,
                    "shortened_to": fate.shortened,
                    "mixed_with": fate.neighbours.iter().filter(|i| **i != place).map(|i| who(*i)).collect::<Vec<_>>(),
                    "score": fate.score,
                    "norm": seen.norms[place],
                    "cosine": seen.cosines[place],
                    "alike": alike.map(near).collect::<Vec<_>>(),
                })
            })
            .collect();
        let note = json!({
            "study": duty.study,
            "round": duty.round,
            "inputs_root": hex::encode(duty.base),
            "root": hex::encode(merged.blob.root),
            "rules": rules,
            "merged_norm": seen.merged_norm,
            "weiszfeld_steps": merged.plan.steps(),
            "updates": updates,
        });
        self.home.put_note(&StudyKey::of(duty), "merge", duty.round, &note)
    }

    /// Nothing of what a merge needs counts as looked through any more.
    pub(super) fn forget(&self, order: &DutyOrder) {
        let mut sound = self.sound.lock();
        for input in &order.inputs {
            sound.remove(&(input.blob.root, input.duty));
        }
    }

    fn found_sound(&self, root: Hash, duty: Hash) {
        let mut sound = self.sound.lock();
        if sound.len() >= MAX_SOUND {
            sound.clear();
        }
        sound.insert((root, duty));
    }

    /// Whether an update, masked or not, is what it must be, by `look`; `None`: it is damaged here, and will be fetched again. What was
    /// found good is not looked at again before it is merged.
    pub(super) fn verified(
        &self,
        blob: &BlobRef,
        duty: &Hash,
        look: impl FnOnce(&BlobRef) -> Result<(), FilesError>,
    ) -> Result<Option<Result<(), FileError>>, JobError> {
        if self.sound.lock().contains(&(blob.root, *duty)) {
            return Ok(Some(Ok(())));
        }
        match look(blob) {
            Ok(()) => {
                self.found_sound(blob.root, *duty);
                Ok(Some(Ok(())))
            }
            Err(FilesError::Input { error, .. }) => Ok(Some(Err(error))),
            Err(FilesError::Differs { .. }) => {
                self.blobs.remove_damaged(&blob.root)?;
                Ok(None)
            }
            Err(FilesError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(other(error)),
        }
    }

    pub(super) fn report_invalid(&self, order: &DutyOrder, author: &str, blob: &BlobRef, error: &FileError) {
        tracing::error!(
            "study {}, round {}: the file {} of {author} is invalid: {error}",
            order.duty.study,
            order.duty.round,
            hex::encode(blob.root)
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    #[test]
    fn columns_that_are_a_hundred_times_as_large_elsewhere_are_said_before_a_round_begins() {
        let names: Vec<String> = (0..12).map(|n| format!("\"lab{n}\"")).collect();
        let text = format!(
            "title = \"t\"\n[data]\nfeatures = {{ columns = [{}] }}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
             scaling = \"swarm\"\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\nbatch_size = 4\n\
             epochs = 1\n[evaluation]\nvalidation_share = 0.25\n[rules]\nrounds = 1\ntraining_seconds = 1\n",
            names.join(", ")
        );
        let mut spec = StudyFile::parse(&text).unwrap().spec();
        let site = |factors: [f64; 2], rows: usize| {
            let column = |factor: f64| (0..rows).map(|n| factor * (50 + n * 13 % 31) as f64).collect::<Vec<_>>();
            let mut columns = vec![column(factors[0]); 11];
            columns.push(column(factors[1]));
            Statistics::of_columns(&columns)
        };
        let who = |place: usize| ["north", "south", "east"][place].to_owned();
        let sites = [site([1.0, 1.0], 40), site([1.0, 200.0], 40), site([1.0, 0.001], 19)];
        let said = scales(&spec, &sites, who);
        assert_eq!(said.len(), 1, "{said:?}");
        let wanted =
            "column \"lab11\": its values are 200 times as large at institution south as at institution north;";
        assert!(said[0].starts_with(wanted), "{said:?}");
        let all = scales(&spec, &[site([1.0, 1.0], 40), site([1e-3, 1e-3], 40)], who);
        assert_eq!((all.len(), all[10].as_str()), (11, "and 2 more columns are as far apart"));
        spec.data.transform = Transform::Rank;
        assert!(scales(&spec, &sites, who).is_empty());
        // of an outcome that is a number, which is shared also where nothing else is
        let mut text = text;
        for (from, to) in [
            (
                "label = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n",
                "outcome = { value = { column = \"stay\" } }\n",
            ),
            ("scaling = \"swarm\"\n", ""),
            ("epochs = 1\n", "epochs = 1\nloss = \"squared_error\"\n"),
            ("validation_share = 0.25\n", "validation_share = 0.25\nmetric = \"squared_error\"\n"),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let spec = StudyFile::parse(&text).unwrap().spec();
        let alone = |factor: f64| {
            Statistics::of_columns(&[(0..40).map(|n| factor * (50 + n * 13 % 31) as f64).collect::<Vec<_>>()])
        };
        let said = scales(&spec, &[alone(1.0), alone(500.0)], who);
        let wanted = "the outcome, column \"stay\": its values are 500 times as large at institution south";
        assert!(said.len() == 1 && said[0].starts_with(wanted), "{said:?}");
    }
}
