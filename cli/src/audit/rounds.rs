//! One closed round: its frozen list, its files, and what comes out where they are merged again.

mod masked;
mod sum;

use super::{
    blobs::BlobSource,
    history::History,
    merge::{asks_base, merge_models, Input},
    report::{Finding, Subject, Verdict},
};
use crate::show::{marked, name, short};
use anyhow::{bail, Result};
use consilium_aggregation::{blob_hash, Layout, ModelFile, Statistics};
use consilium_primitives::{
    round::{inputs_root, Kind, RecordedInput, RoundRecord},
    rules::capped_against,
    BlobRef, Duty, DutyKind, Hash, InstitutionId, Marks,
};
use consilium_study::{starting_parameters, StudySpec};

/// An input whose file is there and sound.
struct Held<'a> {
    input: &'a RecordedInput,
    bytes: Vec<u8>,
}

/// What rounds are held against.
pub(super) struct Rounds<'a, B> {
    /// What the chain says.
    pub history: &'a History,
    /// The files that are there.
    pub blobs: &'a B,
    /// The specification, and the tensors of its models, where they can be read.
    pub spec: Option<StudySpec>,
    pub layout: Option<Layout>,
}

impl<B: BlobSource> Rounds<'_, B> {
    /// One closed round, that must have started from `base` (`None`: unknown); and its merged file, if it is there and
    /// sound.
    pub fn round(
        &self,
        record: &RoundRecord,
        base: Option<Hash>,
        base_file: Option<&[u8]>,
    ) -> (Finding, Option<Vec<u8>>) {
        let subject = match record.kind {
            Kind::Statistics => Subject::Statistics,
            Kind::Model => Subject::Round(record.round),
            Kind::Evaluation => Subject::Evaluation,
        };
        let mut finding = Finding::new(subject, record.root);
        if let Some(base) = base.filter(|base| *base != record.base) {
            let (is, was) = (short(&record.base), short(&base));
            finding.lower(Verdict::Differs, format!("it started from {is}; the round before ended with {was}"));
        }
        let merged = match &record.masked {
            Some(masked) => self.masked(record, masked, base_file, &mut finding),
            None => {
                self.list(record, &mut finding);
                let merged = self.merged(record, &mut finding);
                match subject {
                    Subject::Round(0) => self.initial(record, &mut finding),
                    _ => self.inputs(record, base_file, &mut finding),
                }
                merged
            }
        };
        for (who, root) in &record.dissenters {
            finding.note(format!("{} attested {}", name(&self.history.names, who), short(root)));
        }
        (finding, merged)
    }

    /// The frozen list: its hash, its order, the weights and the duties.
    fn list(&self, record: &RoundRecord, finding: &mut Finding) {
        let state = &self.history.info.state;
        self.attested(record, finding);
        if record.kind == Kind::Model && record.round == 0 {
            if !record.inputs.is_empty() || record.inputs_root != Hash::zero() {
                finding.lower(Verdict::Differs, "an initial model has no inputs, and this record names some");
            }
            return;
        }
        if record.inputs.is_empty() {
            finding.lower(Verdict::Differs, "the record names no inputs");
        }
        let listed: Vec<_> = record.inputs.iter().map(|i| (i.institution, i.root, i.weight)).collect();
        if inputs_root(&listed, &state.rules.merge, record.base) != record.inputs_root {
            let text = "inputs, order, weights, rule and base do not give the hash that was attested";
            finding.lower(Verdict::Differs, text);
        }
        if !listed.is_sorted_by(|a, b| a.0 < b.0) {
            finding.lower(Verdict::Differs, "the inputs are not in order of their institutions");
        }
        let enrolled = |id| state.members.iter().find(|member| member.id == id).map(|member| member.weight);
        let raw: Option<Vec<u32>> = record.inputs.iter().map(|input| enrolled(input.institution)).collect();
        let weights: Vec<u32> = record.inputs.iter().map(|input| input.weight).collect();
        match raw.map(|raw| capped_against(&raw, state.rules.max_share, state.rules.merge.liars)) {
            Some(agreed) if agreed == weights => {}
            Some(agreed) => finding
                .lower(Verdict::Differs, format!("the weights are {weights:?}; enrolment and rules give {agreed:?}")),
            None => finding.lower(Verdict::Differs, "an input is by an institution that never enrolled"),
        }
        for input in &record.inputs {
            let duty = Duty {
                kind: if record.kind == Kind::Statistics { DutyKind::Statistics } else { DutyKind::Train },
                genesis: self.history.genesis,
                study: self.history.study,
                agreement: self.history.info.agreement,
                round: record.round,
                institution: input.institution,
                base: record.base,
                statistics: match record.kind {
                    Kind::Statistics => Hash::zero(),
                    // what was merged; that the study names the same is looked at with the statistics
                    Kind::Model | Kind::Evaluation => self.history.statistics().unwrap_or_default(),
                },
            };
            if duty.hash() != input.duty {
                let who = name(&self.history.names, &input.institution);
                finding.lower(Verdict::Differs, format!("the input of {who} answers another duty than this round's"));
            }
        }
    }

    /// Whether enough of those who could attest have done so, and said of the rule what can be.
    fn attested(&self, record: &RoundRecord, finding: &mut Finding) {
        let state = &self.history.info.state;
        let initial = record.kind == Kind::Model && record.round == 0;
        let asked: Vec<InstitutionId> = if initial {
            state.members.iter().map(|member| member.id).collect()
        } else {
            record.inputs.iter().map(|input| input.institution).collect()
        };
        let counts = |(place, who): &(usize, &InstitutionId)| {
            asked.contains(who) && !record.attesters.iter().take(*place).any(|other| other == *who)
        };
        let attesters = record.attesters.iter().enumerate().filter(counts).count();
        // how many were on the roster of round 0 is not in the record
        let needed = if initial { 1 } else { state.rules.close_late(asked.len() as u32) as usize };
        if attesters < needed || attesters < record.attesters.len() {
            let text = format!(
                "{} institutions are said to have attested it, {attesters} of whom could; {needed} are needed",
                record.attesters.len()
            );
            finding.lower(Verdict::Differs, text);
        }
        let known = record.inputs.iter().fold(0u64, |mask, _| mask << 1 | 1);
        if (record.marks.left_out | record.marks.shortened) & !known != 0 {
            finding.lower(Verdict::Differs, "it says of inputs that are not there what the rule did to them");
        }
    }

    /// The merged file: there, and of the attested hash.
    fn merged(&self, record: &RoundRecord, finding: &mut Finding) -> Option<Vec<u8>> {
        let rules = &self.history.info.state.rules;
        let len = if record.kind == Kind::Statistics { rules.statistics_len } else { rules.merged_len };
        match self.file(&BlobRef { root: record.root, len }) {
            Ok(bytes) => {
                if let Some(Err(error)) = self.decoded(record.kind, &bytes) {
                    finding.lower(Verdict::Differs, format!("its file is no merged file: {error:#}"));
                }
                Some(bytes)
            }
            Err(Absent::No(why)) => {
                let verdict = if self.history.keeps_merged(record) { Verdict::Missing } else { Verdict::Deleted };
                finding.lower(verdict, format!("its file {} {why}", hex::encode(record.root)));
                None
            }
            Err(Absent::Bad(why)) => {
                finding.lower(Verdict::Differs, format!("its file {} {why}", hex::encode(record.root)));
                None
            }
        }
    }

    /// The merged file of a round that has a finding of its own.
    pub fn file_of(&self, record: &RoundRecord) -> Option<Vec<u8>> {
        self.file(&BlobRef { root: record.root, len: self.history.info.state.rules.merged_len }).ok()
    }

    /// Whether these are the bytes of a merged file; `None` where there is no specification to say so.
    fn decoded(&self, kind: Kind, bytes: &[u8]) -> Option<Result<()>> {
        let (spec, layout) = self.spec.as_ref().zip(self.layout.as_ref())?;
        let moments = self.history.info.state.rules.merge.moments();
        Some(match kind {
            Kind::Statistics => {
                Statistics::decode(bytes, spec.data.statistics_columns(), None).map(drop).map_err(Into::into)
            }
            // figures give no file
            Kind::Model | Kind::Evaluation => layout
                .with_state(moments)
                .map_err(Into::into)
                .and_then(|whole| Ok(ModelFile::decode(bytes, &whole)?))
                .and_then(|file| if file.duty.is_some() { bail!("it names a duty, as updates do") } else { Ok(()) }),
        })
    }

    /// The initial model, from the spec's seed or the file that it begins with.
    fn initial(&self, record: &RoundRecord, finding: &mut Finding) {
        let (Some(spec), Some(layout)) = (&self.spec, &self.layout) else {
            finding.lower(Verdict::Missing, "without the specification it cannot be computed again");
            return;
        };
        // what a server-side optimiser remembers follows, and is 0 at first
        let moments = self.history.info.state.rules.merge.moments();
        let initial = spec.initial.as_ref().and_then(|named| named.blob("initial").ok());
        let bytes = match initial.map(|blob| self.file(&blob)) {
            None => None,
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(_)) => {
                let said = "the file that the study begins with is not among the files given, so that it cannot be computed again";
                finding.lower(Verdict::Missing, said);
                return;
            }
        };
        let what = if bytes.is_some() { "the initial file" } else { "the seed" };
        let file = starting_parameters(spec, bytes.as_deref()).map_err(anyhow::Error::from).and_then(|mut data| {
            let layout = layout.with_state(moments)?;
            data.resize(layout.elements(), 0.0);
            Ok(ModelFile { layout, duty: None, data }.encode()?)
        });
        match file.map(|bytes| blob_hash(&bytes)) {
            Ok(root) if root == record.root => finding.note(format!("{what} gives exactly this initial model")),
            Ok(root) => finding.lower(Verdict::Differs, format!("{what} gives {}", hex::encode(root))),
            Err(error) => finding.lower(Verdict::Differs, format!("{what} gives no model: {error:#}")),
        }
    }

    /// The inputs that are there, and their merge where all are.
    fn inputs(&self, record: &RoundRecord, base: Option<&[u8]>, finding: &mut Finding) {
        if record.inputs.is_empty() {
            return;
        }
        let state = &self.history.info.state;
        let len = if record.kind == Kind::Statistics { state.rules.statistics_len } else { state.rules.update_len };
        let mut held = Vec::new();
        let (mut gone, mut damaged) = (Vec::new(), false);
        for input in &record.inputs {
            let who = name(&self.history.names, &input.institution);
            match self.file(&BlobRef { root: input.root, len }) {
                Ok(bytes) => held.push(Held { input, bytes }),
                Err(Absent::No(why)) => {
                    if why != NOT_THERE {
                        finding.note(format!("the file of {who}, {}, {why}", hex::encode(input.root)));
                    }
                    gone.push(who);
                }
                Err(Absent::Bad(why)) => {
                    damaged = true;
                    let root = hex::encode(input.root);
                    finding.lower(Verdict::Differs, format!("the copy here of the input of {who}, file {root}, {why}"));
                }
            }
        }
        if !gone.is_empty() {
            let verdict = match (self.history.left_out, self.history.keeps(record)) {
                (_, false) => Verdict::Deleted,
                (true, true) => Verdict::LeftOut,
                (false, true) => Verdict::Missing,
            };
            finding.lower(verdict, format!("no file of {}", gone.join(", ")));
        }
        let Some((spec, layout)) = self.spec.as_ref().zip(self.layout.as_ref()) else {
            finding.lower(Verdict::Missing, "without the specification no input can be read");
            return;
        };
        if damaged || !gone.is_empty() {
            for held in &held {
                if let Err(error) = self.valid(record.kind, held, spec, layout) {
                    let who = name(&self.history.names, &held.input.institution);
                    finding.lower(Verdict::Differs, format!("the input of {who} is no valid file: {error:#}"));
                }
            }
            return;
        }
        if record.kind == Kind::Model && base.is_none() && asks_base(&state.rules.merge) {
            let text =
                "without the model that the round started from, which is not there, this rule cannot be computed again";
            finding.lower(if self.history.keeps(record) { Verdict::Missing } else { Verdict::Deleted }, text);
            return;
        }
        let again = match record.kind {
            Kind::Statistics => {
                merge_statistics(&held, spec.data.statistics_columns()).map(|bytes| (bytes, Marks::default()))
            }
            // figures are summed under masks alone
            Kind::Model | Kind::Evaluation => {
                let inputs: Vec<Input> = held
                    .iter()
                    .map(|held| Input { bytes: &held.bytes, duty: held.input.duty, weight: held.input.weight })
                    .collect();
                merge_models(&inputs, &state.rules.merge, base, layout)
            }
        };
        match again.map(|(bytes, marks)| (blob_hash(&bytes), marks)) {
            Ok((root, marks)) if root == record.root && marks == record.marks => {
                finding.note(format!("its {} inputs give exactly this merge", held.len()));
            }
            Ok((root, marks)) if root == record.root => {
                let say = |marks: Marks| {
                    let names = |mask| match marked(record, mask, &self.history.names) {
                        names if names.is_empty() => "nobody".into(),
                        names => names.join(", "),
                    };
                    let Marks { left_out, shortened } = marks;
                    format!("left out {}, shortened {}", names(left_out), names(shortened))
                };
                let text = format!("the rule has {}; attested was: {}", say(marks), say(record.marks));
                finding.lower(Verdict::Differs, text);
            }
            Ok((root, _)) => finding.lower(Verdict::Differs, format!("its inputs give {}", hex::encode(root))),
            Err(error) => finding.lower(Verdict::Differs, format!("its inputs cannot be merged: {error:#}")),
        }
    }

    fn valid(&self, kind: Kind, held: &Held, spec: &StudySpec, layout: &Layout) -> Result<()> {
        match kind {
            Kind::Statistics => {
                Statistics::decode(&held.bytes, spec.data.statistics_columns(), Some(&held.input.duty)).map(drop)
            }
            Kind::Model | Kind::Evaluation => ModelFile::decode_update(&held.bytes, layout, &held.input.duty).map(drop),
        }?;
        Ok(())
    }

    /// A file of this hash and length.
    fn file(&self, blob: &BlobRef) -> Result<Vec<u8>, Absent> {
        let bytes = match self.blobs.read(&blob.root) {
            Ok(bytes) => bytes.ok_or_else(|| Absent::No(NOT_THERE.into()))?,
            Err(error) => return Err(Absent::No(format!("cannot be read: {error}"))),
        };
        let found = blob_hash(&bytes);
        if found != blob.root {
            return Err(Absent::Bad(format!("holds other bytes than its name says (BLAKE3 {})", hex::encode(found))));
        }
        if bytes.len() as u64 != blob.len {
            return Err(Absent::Bad(format!("has {} bytes, and the rules say {}", bytes.len(), blob.len)));
        }
        Ok(bytes)
    }
}

const NOT_THERE: &str = "is not there";

/// Why a file cannot be used.
enum Absent {
    /// It is not there, or cannot be read.
    No(String),
    /// It is there and is not what it must be.
    Bad(String),
}

fn merge_statistics(held: &[Held], columns: usize) -> Result<Vec<u8>> {
    let parts: Result<Vec<Statistics>, _> =
        held.iter().map(|held| Statistics::decode(&held.bytes, columns, Some(&held.input.duty))).collect();
    Ok(Statistics::merge(&parts?)?.encode(None)?)
}
