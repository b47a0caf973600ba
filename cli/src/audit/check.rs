//! The audit itself: a pure function of what the chain says and of the files that are there.

use super::{
    blobs::BlobSource,
    merge::{asks_base, merge_models, Input},
    report::{Finding, Report, Subject, Verdict},
};
use crate::{
    chain::{agreement_hash, StudyInfo},
    show::{marked, name, phase, short, Names},
};
use anyhow::{bail, Result};
use consilium_aggregation::{blob_hash, Layout, ModelFile, Statistics};
use consilium_primitives::{
    round::{inputs_root, Back, Kind, Phase, RecordedInput, RoundRecord},
    rules::capped_against,
    BlobRef, Duty, DutyKind, Hash, InstitutionId, Marks, RoundUpdates, StudyBlobs, StudyId,
};
use consilium_study::{initial_parameters, StudySpec};
use sp_crypto_hashing::blake2_256;

/// What a chain says of one study.
#[derive(Clone, Debug)]
pub struct History {
    /// Hash of block 0.
    pub genesis: Hash,
    /// Number of the study.
    pub study: StudyId,
    /// The study as the chain keeps it.
    pub info: StudyInfo,
    /// The spec's bytes; `None` where the chain keeps them no longer.
    pub spec: Option<Vec<u8>>,
    /// All closed rounds.
    pub records: Vec<RoundRecord>,
    /// Names of institutions, as far as they are known.
    pub names: Names,
    /// Individual updates may be missing because whoever made the archive left them out.
    pub left_out: bool,
    /// Whether the chain still lists the study for its files: it runs, or is among those that ended last.
    pub listed: bool,
    /// Number of the block that says so.
    pub now: u32,
}

/// What an auditor knows of the study beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Its number.
    pub study: Option<StudyId>,
    /// The agreement that was signed.
    pub agreement: Option<Hash>,
}

impl Expected {
    /// Whether this is the study.
    ///
    /// # Errors
    /// It is another.
    pub fn check(&self, history: &History) -> Result<()> {
        if let Some(study) = self.study.filter(|study| *study != history.study) {
            bail!("this is study {}, and you asked for {study}", history.study);
        }
        if let Some(agreement) = self.agreement.filter(|agreement| *agreement != history.info.agreement) {
            let (is, wanted) = (hex::encode(history.info.agreement), hex::encode(agreement));
            bail!("study {} has the agreement {is}, and you asked for {wanted}", history.study);
        }
        Ok(())
    }
}

impl History {
    /// The record of a closed round.
    pub fn record(&self, kind: Kind, round: u32) -> Option<&RoundRecord> {
        self.records.iter().find(|record| record.kind == kind && record.round == round)
    }

    /// The newest round before `round` that came to this model: where the models in between cannot be had, a study falls back
    /// to it.
    fn earlier(&self, round: u32, root: Hash) -> Option<&RoundRecord> {
        let models = self.records.iter().filter(|record| record.kind == Kind::Model);
        models.filter(|record| record.round < round && record.root == root).max_by_key(|record| record.round)
    }

    /// The files that must stay, as the chain says it to nodes; none of a study that it lists no more.
    fn kept(&self) -> Option<StudyBlobs> {
        let state = &self.info.state;
        let record = |kind, round| self.record(kind, round).cloned();
        // rules that no chain lets in say nothing, and could ask for rounds without end
        let listed = self.listed && state.rules.check().is_ok();
        listed.then(|| state.blobs(self.study, self.now, record, |_| true))
    }

    /// Whether the agreement still keeps the individual updates of a closed round, or the parts of its statistics.
    pub fn keeps(&self, record: &RoundRecord) -> bool {
        let of = |round: &RoundUpdates| {
            let named = round.updates.iter().map(|(_, root)| root);
            round.round == record.round && named.eq(record.inputs.iter().map(|input| &input.root))
        };
        self.kept().is_some_and(|kept| kept.rounds.iter().any(of))
    }

    /// Root of the merged statistics: of their record, or where that is gone as the study names it.
    fn statistics(&self) -> Option<Hash> {
        self.record(Kind::Statistics, 0).map(|record| record.root).or(self.info.state.statistics)
    }

    /// Whether the merged file of a closed round must stay.
    pub fn keeps_merged(&self, record: &RoundRecord) -> bool {
        self.kept().is_some_and(|kept| kept.merged.iter().any(|merged| merged.blob.root == record.root))
    }

    /// Rounds that must have a record.
    fn must_be_closed(&self) -> u32 {
        let state = &self.info.state;
        let over = match &state.phase {
            Phase::FinalEvaluation { .. } | Phase::Certifying(_) | Phase::Completed(_) => true,
            Phase::Paused(pause) => matches!(pause.back, Back::Certifying { .. }),
            _ => false,
        };
        state.round.saturating_add(u32::from(over))
    }
}

/// Recomputes everything that can be recomputed of a study from the files in `blobs`: the hash of the agreement, the
/// initial model, and of each round the hash over its inputs, their weights, their duties and their merge.
pub fn audit(history: &History, blobs: &impl BlobSource) -> Report {
    let (agreement, spec) = agreement(history);
    let layout = spec.as_ref().and_then(|spec| spec.layout().ok());
    let audit = Audit { history, blobs, spec, layout };
    let state = &history.info.state;
    let mut findings = vec![agreement];
    if state.rules.check().is_err() {
        // no chain lets such rules in, and nothing can be computed by them
        return Report { study: history.study, phase: phase(state), findings };
    }
    let statistics = history.record(Kind::Statistics, 0);
    if let Some(record) = statistics {
        let mut finding = audit.round(record, Some(Hash::zero()), None).0;
        if state.statistics != Some(record.root) {
            finding.lower(Verdict::Differs, "the study uses other statistics than its record names");
        }
        findings.push(finding);
    } else if state.statistics.is_some() || state.rules.statistics_len > 0 && history.record(Kind::Model, 0).is_some() {
        let mut finding = Finding::new(Subject::Statistics, state.statistics.unwrap_or_default());
        finding.lower(Verdict::Missing, "the chain has no record of their merge");
        findings.push(finding);
    }
    let closed = history.must_be_closed();
    let mut base = (Some(Hash::zero()), None);
    for round in 0..closed.max(state.round.saturating_add(1)) {
        match history.record(Kind::Model, round) {
            Some(record) => {
                let mut back = None;
                if base.0.is_some_and(|root| root != record.base) {
                    back = history.earlier(round, record.base);
                    if let Some(earlier) = back {
                        base = (Some(earlier.root), audit.file_of(earlier));
                    }
                }
                let (mut finding, file) = audit.round(record, base.0, base.1.as_deref());
                if let Some(earlier) = back {
                    let text = format!("the study had fallen back to the model of round {}", earlier.round);
                    finding.note(text);
                }
                findings.push(finding);
                base = (Some(record.root), file);
            }
            None if round < closed => {
                let mut finding = Finding::new(Subject::Round(round), Hash::zero());
                finding.lower(Verdict::Missing, "the chain has no record of this round");
                findings.push(finding);
                base = (None, None);
            }
            None => {}
        }
    }
    // one that has fallen back, and has closed no round since, stands on an older one
    let fell_back = history.earlier(state.round, state.base).is_some_and(|it| it.round == state.base_round);
    if base.0.is_some_and(|root| root != state.base) && !fell_back {
        if let Some(last) = findings.last_mut() {
            let text = format!("the study stands on {}, which is not the root of its last round", short(&state.base));
            last.lower(Verdict::Differs, text);
        }
    }
    let certificate = certificate(history, &findings);
    findings.extend(certificate);
    Report { study: history.study, phase: phase(state), findings }
}

/// Whether rules and spec are what everybody signed; the spec, where it can be read.
fn agreement(history: &History) -> (Finding, Option<StudySpec>) {
    let info = &history.info;
    let mut finding = Finding::new(Subject::Agreement, info.agreement);
    let Some(bytes) = &history.spec else {
        finding.lower(Verdict::Missing, "the chain keeps the specification no longer, so that no model can be read");
        return (finding, None);
    };
    if blake2_256(bytes) != info.spec_hash.0 {
        finding.lower(Verdict::Differs, "the specification has another hash than the study names");
    }
    let state = &info.state;
    if agreement_hash(history.genesis, &state.proposer, &state.rules, bytes) != info.agreement {
        finding
            .lower(Verdict::Differs, "chain, proposer, rules and specification do not give the hash that was signed");
    }
    let rules = &state.rules;
    if let Err(error) = rules.check() {
        finding.lower(Verdict::Differs, format!("no chain lets these rules in: {error:?}"));
    }
    for (place, member) in state.members.iter().enumerate() {
        let who = name(&history.names, &member.id);
        if state.members.iter().take(place).any(|other| other.id == member.id) {
            finding.lower(Verdict::Differs, format!("{who} is a member twice"));
        }
        if !rules.invited.is_empty() && !rules.invited.contains(&member.id) {
            finding.lower(Verdict::Differs, format!("{who} is a member, and was not invited"));
        }
        if rules.raw_weight(&member.id, member.samples) != Some(member.weight) {
            let text = format!("{who} has weight {}, which its {} samples do not give", member.weight, member.samples);
            finding.lower(Verdict::Differs, text);
        }
    }
    let spec = match StudySpec::from_canonical(bytes) {
        Ok(spec) => spec,
        Err(error) => {
            finding.lower(Verdict::Differs, format!("no worker takes this specification: {error}"));
            return (finding, None);
        }
    };
    let lengths = (spec.update_len(), spec.merged_len(info.state.rules.merge.moments()), spec.statistics_len());
    if lengths != (Ok(rules.update_len), Ok(rules.merged_len), Ok(rules.statistics_len)) {
        finding.lower(
            Verdict::Differs,
            "the files that the specification describes have other lengths than the rules say",
        );
    }
    (finding, Some(spec))
}

/// Whether the certificate names the root of its round, for which what was found for the round holds; `None` where there is no
/// certificate.
fn certificate(history: &History, findings: &[Finding]) -> Option<Finding> {
    let Phase::Completed(certificate) = &history.info.state.phase else { return None };
    let mut finding = Finding::new(Subject::Certificate, certificate.root);
    match history.record(Kind::Model, certificate.round) {
        Some(record) if record.root == certificate.root => {
            let text = format!("it names round {}; what was found for that round holds for it", certificate.round);
            let round = findings.iter().find(|found| found.subject == Subject::Round(certificate.round));
            finding.lower(round.map_or(Verdict::Missing, |round| round.verdict), text);
        }
        Some(record) => finding
            .lower(Verdict::Differs, format!("round {} has the root {}", certificate.round, hex::encode(record.root))),
        None => finding.lower(Verdict::Missing, format!("the chain has no record of round {}", certificate.round)),
    }
    if certificate.held == 0 || certificate.held & !certificate.roster != 0 {
        finding.lower(Verdict::Differs, "nobody of those who were asked holds the model");
    }
    Some(finding)
}

/// An input whose file is there and sound.
struct Held<'a> {
    input: &'a RecordedInput,
    bytes: Vec<u8>,
}

struct Audit<'a, B> {
    history: &'a History,
    blobs: &'a B,
    spec: Option<StudySpec>,
    layout: Option<Layout>,
}

impl<B: BlobSource> Audit<'_, B> {
    /// One closed round, that must have started from `base` (`None`: unknown); and its merged file, if it is there and
    /// sound.
    fn round(&self, record: &RoundRecord, base: Option<Hash>, base_file: Option<&[u8]>) -> (Finding, Option<Vec<u8>>) {
        let subject = match record.kind {
            Kind::Statistics => Subject::Statistics,
            Kind::Model => Subject::Round(record.round),
        };
        let mut finding = Finding::new(subject, record.root);
        if let Some(base) = base.filter(|base| *base != record.base) {
            let (is, was) = (short(&record.base), short(&base));
            finding.lower(Verdict::Differs, format!("it started from {is}; the round before ended with {was}"));
        }
        self.list(record, &mut finding);
        let merged = self.merged(record, &mut finding);
        if subject == Subject::Round(0) {
            self.initial(record, &mut finding);
        } else {
            self.inputs(record, base_file, &mut finding);
        }
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
                    Kind::Model => self.history.statistics().unwrap_or_default(),
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
    fn file_of(&self, record: &RoundRecord) -> Option<Vec<u8>> {
        self.file(&BlobRef { root: record.root, len: self.history.info.state.rules.merged_len }).ok()
    }

    /// Whether these are the bytes of a merged file; `None` where there is no specification to say so.
    fn decoded(&self, kind: Kind, bytes: &[u8]) -> Option<Result<()>> {
        let (spec, layout) = self.spec.as_ref().zip(self.layout.as_ref())?;
        let moments = self.history.info.state.rules.merge.moments();
        Some(match kind {
            Kind::Statistics => Statistics::decode(bytes, spec.data.numeric(), None).map(drop).map_err(Into::into),
            Kind::Model => layout
                .with_state(moments)
                .map_err(Into::into)
                .and_then(|whole| Ok(ModelFile::decode(bytes, &whole)?))
                .and_then(|file| if file.duty.is_some() { bail!("it names a duty, as updates do") } else { Ok(()) }),
        })
    }

    /// The initial model, from the spec's seed.
    fn initial(&self, record: &RoundRecord, finding: &mut Finding) {
        let (Some(spec), Some(layout)) = (&self.spec, &self.layout) else {
            finding.lower(Verdict::Missing, "without the specification it cannot be computed again");
            return;
        };
        // what a server-side optimiser remembers follows, and is 0 at first
        let moments = self.history.info.state.rules.merge.moments();
        let file = initial_parameters(spec).map_err(anyhow::Error::from).and_then(|mut data| {
            let layout = layout.with_state(moments)?;
            data.resize(layout.elements(), 0.0);
            Ok(ModelFile { layout, duty: None, data }.encode()?)
        });
        match file.map(|bytes| blob_hash(&bytes)) {
            Ok(root) if root == record.root => finding.note("the seed gives exactly this initial model"),
            Ok(root) => finding.lower(Verdict::Differs, format!("the seed gives {}", hex::encode(root))),
            Err(error) => finding.lower(Verdict::Differs, format!("the seed gives no model: {error:#}")),
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
            Kind::Statistics => merge_statistics(&held, spec.data.numeric()).map(|bytes| (bytes, Marks::default())),
            Kind::Model => {
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
            Kind::Statistics => Statistics::decode(&held.bytes, spec.data.numeric(), Some(&held.input.duty)).map(drop),
            Kind::Model => ModelFile::decode_update(&held.bytes, layout, &held.input.duty).map(drop),
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
