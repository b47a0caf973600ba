//! The file a person writes.

mod masked;
mod server;

pub(crate) use masked::USUAL_GRADIENTS;
pub use server::{ServerFile, ServerName};

use crate::{
    canonical::CanonicalError,
    data::DataSpec,
    documents::Documents,
    model::Model,
    named::NamedFile,
    privacy::{of_spec, PrivacySpec},
    spec::{StudySpec, VERSION},
    training::{Evaluation, Training},
};
use consilium_primitives::rules::{
    Masked, Merge, MergeRule, NormBound, OnStall, RulesError, StudyRules, Weighting, PPM,
};
use serde::Deserialize;

/// A study file: the specification and the wishes from which the chain's rules follow.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// One line for people.
    pub title: String,
    /// More for people.
    #[serde(default)]
    pub description: String,
    /// Seed of the initial parameters.
    #[serde(default)]
    pub seed: u64,
    /// The file that training begins with, in place of numbers from the seed.
    #[serde(default)]
    pub initial: Option<NamedFile>,
    /// Papers that the study stands on.
    #[serde(default)]
    pub documents: Option<Documents>,
    /// The data that come with the program, for a study that brings none; not part of the agreement.
    #[serde(default)]
    pub dataset: Option<Dataset>,
    /// Columns.
    pub data: DataSpec,
    /// The network.
    pub model: Model,
    /// Local training.
    pub training: Training,
    /// What is measured.
    pub evaluation: Evaluation,
    /// How rounds go.
    pub rules: RulesFile,
    /// How much it may tell about one record or patient, where that is promised.
    #[serde(default)]
    pub privacy: Option<PrivacySpec>,
}

/// Data sets that come with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Wisconsin diagnostic breast cancer, 569 patients.
    BreastCancer,
}

/// How rounds go, in the units people think in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// Merge rounds.
    pub rounds: u32,
    /// Expected time of local training in one round.
    pub training_seconds: u32,
    /// Fewest participants that make a round. Left out: 2, or what the merge needs for its liars.
    #[serde(default)]
    pub min_participants: Option<u32>,
    /// The rule by which updates become one.
    #[serde(default)]
    pub merge: RuleName,
    /// Liars that the merge is to tolerate.
    #[serde(default)]
    pub liars: u32,
    /// Updates that Krum keeps; 1, if left out.
    #[serde(default)]
    pub keep: Option<u32>,
    /// The longest step an update may take: a length, or `"median"` for the median length of the round's.
    #[serde(default)]
    pub norm_bound: Option<BoundFile>,
    /// Whether each update is mixed with its nearest others first.
    #[serde(default)]
    pub mixing: bool,
    /// What the merged step is put through.
    #[serde(default)]
    pub server: Option<ServerFile>,
    /// Weights. Left out: `samples` for the mean, `equal` for all other rules.
    #[serde(default)]
    pub weighting: Option<WeightingName>,
    /// Cap on any one participant's weight, as a share of the sum.
    #[serde(default = "half")]
    pub max_share: f64,
    /// Whether a merge closes only with more than two thirds, also at its deadline.
    #[serde(default)]
    pub strict: bool,
    /// What happens when training ran out of time twice.
    #[serde(default = "pause")]
    pub on_stall: OnStall,
    /// For how many rounds individual updates are kept.
    #[serde(default = "three")]
    pub keep_updates: u32,
    /// How long enrolment stays open.
    #[serde(default = "day")]
    pub enrolment_minutes: u32,
    /// The study ends early when more than half of weight and roster report a loss at or below this.
    #[serde(default)]
    pub target_loss: Option<f64>,
    /// The study ends early after so many rounds without a better one; 0: never.
    #[serde(default)]
    pub patience: u32,
    /// The slowest link, in megabits per second.
    #[serde(default = "link")]
    pub link_mbit: f64,
    /// Whether updates are masked, so that others see their sum only.
    #[serde(default)]
    pub masked: bool,
    /// How far one step of masked training may move any one number: a power of two. Left out: 4. Where the noise is shared, how far a
    /// number of the sum of all gradients may go; left out: 65536.
    #[serde(default)]
    pub masked_range: Option<f64>,
}

/// Merge rules by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// [`MergeRule::Mean`].
    #[default]
    Mean,
    /// [`MergeRule::Median`].
    Median,
    /// [`MergeRule::TrimmedMean`].
    TrimmedMean,
    /// [`MergeRule::GeometricMedian`].
    GeometricMedian,
    /// [`MergeRule::Krum`].
    Krum,
}

/// A limit on the length of updates, as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum BoundFile {
    /// So long at most.
    Length(f64),
    /// `"median"`.
    Named(String),
}

/// Weights that a file can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightingName {
    /// Everyone once.
    Equal,
    /// By signed sample counts.
    Samples,
}

fn half() -> f64 {
    0.5
}
fn pause() -> OnStall {
    OnStall::Pause
}
fn three() -> u32 {
    3
}
fn day() -> u32 {
    24 * 60
}
fn link() -> f64 {
    20.0
}

/// A number as the chain keeps it: in millionths, above 0.
fn millionths(field: &'static str, value: f64, most: f64) -> Result<u64, FileError> {
    if value > 0.0 && value <= most {
        Ok((value * f64::from(PPM)).round() as u64)
    } else {
        Err(FileError::Rules { field, problem: format!("must be above 0, and at most {most}") })
    }
}

/// Why a study file cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// Not TOML, an unknown key, a key that is missing or has another type. Says line and column.
    #[error("{0}")]
    Syntax(String),
    /// The specification in it.
    #[error(transparent)]
    Spec(#[from] CanonicalError),
    /// The rules in it.
    #[error("rules.{field}: {problem}")]
    Rules {
        /// The field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl StudyFile {
    /// Reads a study file, and checks it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let file: Self = toml::from_str(text).map_err(|e| FileError::Syntax(e.to_string().trim_end().to_owned()))?;
        file.spec().canonical()?;
        if let Model::Preset(preset) = file.model {
            preset.goes_with(&file.training).map_err(CanonicalError::Spec)?;
        }
        file.rules(2_000, 2)?;
        Ok(file)
    }

    /// The specification people sign.
    pub fn spec(&self) -> StudySpec {
        StudySpec {
            version: VERSION,
            title: self.title.clone(),
            description: self.description.clone(),
            data: self.data.clone(),
            model: self.model.spelled_out(),
            training: self.training.clone(),
            evaluation: self.evaluation.clone(),
            seed: self.seed,
            initial: self.initial.clone(),
            documents: self.documents.clone(),
            privacy: self.privacy_spec(),
        }
    }

    /// How updates become one model.
    ///
    /// # Errors
    /// What does not go together, by name.
    fn merge(&self) -> Result<Merge, FileError> {
        let wrong = |field, problem: &str| FileError::Rules { field, problem: problem.to_owned() };
        let r = &self.rules;
        let weighting = |usual| match r.weighting.unwrap_or(usual) {
            WeightingName::Equal => Weighting::Equal,
            WeightingName::Samples => Weighting::Samples,
        };
        let rule = match r.merge {
            RuleName::Mean => MergeRule::Mean(weighting(WeightingName::Samples)),
            RuleName::Median => MergeRule::Median(weighting(WeightingName::Equal)),
            RuleName::TrimmedMean => MergeRule::TrimmedMean,
            RuleName::GeometricMedian => MergeRule::GeometricMedian(weighting(WeightingName::Equal)),
            RuleName::Krum => MergeRule::Krum { keep: r.keep.unwrap_or(1) },
        };
        if r.keep.is_some() && r.merge != RuleName::Krum {
            return Err(wrong("keep", "is a number of krum; other rules have no use for it"));
        }
        if r.weighting == Some(WeightingName::Samples) && matches!(r.merge, RuleName::TrimmedMean | RuleName::Krum) {
            return Err(wrong("weighting", "must be \"equal\" for this merge, which counts everyone once"));
        }
        if r.liars > 0 && r.merge == RuleName::Mean {
            return Err(wrong("liars", "must be 0 for the mean, which tolerates none: name another merge"));
        }
        if r.mixing && r.liars == 0 {
            return Err(wrong("mixing", "leaves out as many updates as there may be liars: name liars above 0"));
        }
        let bound = match &r.norm_bound {
            None => None,
            Some(BoundFile::Length(length)) => Some(NormBound::Fixed(millionths("norm_bound", *length, 1e12)?)),
            Some(BoundFile::Named(name)) if name == "median" => Some(NormBound::Median),
            Some(BoundFile::Named(_)) => return Err(wrong("norm_bound", "must be a length or \"median\"")),
        };
        let server = r.server.map(|server| server.optimizer()).transpose()?;
        Ok(Merge { rule, liars: r.liars, bound, mixing: r.mixing, server })
    }

    /// The chain's rules, for blocks of `block_ms` milliseconds and so many `participants`.
    ///
    /// The expected transfer is the time in which one site takes all others' updates and gives its own to each of
    /// them, over a link of [`RulesFile::link_mbit`].
    ///
    /// # Errors
    /// A number that makes no sense, by name.
    pub fn rules(&self, block_ms: u32, participants: u32) -> Result<StudyRules, FileError> {
        let wrong = |field, problem: &str| FileError::Rules { field, problem: problem.to_owned() };
        let r = &self.rules;
        if !(r.link_mbit > 0.0 && r.link_mbit <= 1e6) {
            return Err(wrong("link_mbit", "must be above 0, and at most 1000000"));
        }
        if !(r.max_share > 0.0 && r.max_share <= 1.0) {
            return Err(wrong("max_share", "must be above 0, and at most 1"));
        }
        if r.target_loss.is_some_and(|t| !(0.0..=1000.0).contains(&t)) {
            return Err(wrong("target_loss", "must lie between 0 and 1000"));
        }
        self.check_private_rules()?;
        // first: what it refuses says that masks are why
        let range = self.rules.range_of_masks(self.shares_noise())?;
        let merge = self.merge()?;
        let least = merge.needs().unwrap_or_default();
        let fewest = least.max(if range.is_some() { masked::FEWEST } else { 2 });
        let spec = self.spec();
        let length = |l: Result<u64, consilium_aggregation::LayoutError>| {
            l.map_err(|e| FileError::Rules { field: "model", problem: e.to_string() })
        };
        let lens = spec.masked_lens().map_err(|e| FileError::Rules { field: "model", problem: e.to_string() })?;
        let update_len = if range.is_some() { lens.update } else { length(spec.update_len())? };
        let blocks = |seconds: f64| (seconds * 1000.0 / f64::from(block_ms.max(1))).ceil().max(1.0) as u32;
        let rules = StudyRules {
            training_blocks: blocks(f64::from(r.training_seconds)),
            transfer_blocks: blocks(crate::link::seconds(update_len, participants, r.link_mbit)),
            enrolment_blocks: blocks(f64::from(r.enrolment_minutes) * 60.0),
            auto_start: false,
            min_participants: r.min_participants.unwrap_or(fewest),
            rule_min: least,
            max_rounds: r.rounds,
            max_share: (r.max_share * f64::from(PPM)).round() as u32,
            strict: r.strict,
            on_stall: r.on_stall,
            keep_updates: r.keep_updates,
            invited: Default::default(),
            update_len,
            merged_len: length(spec.merged_len(merge.moments()))?,
            merge,
            statistics_len: length(spec.statistics_len())?,
            target: r.target_loss.map(|t| (t * 1e6).round() as u32),
            patience: r.patience,
            masked: range.map(|range_log2| Masked {
                range_log2,
                statistics_len: lens.statistics,
                figures_len: lens.figures,
            }),
            privacy: spec.privacy_rules().map_err(CanonicalError::Spec)?,
        };
        rules.check().map_err(|e| match e {
            RulesError::Window => wrong(
                "training_seconds",
                "this, enrolment_minutes, or the transfer that follows from link_mbit and the size of the model, is 0 or \
                 beyond a month",
            ),
            RulesError::Participants => wrong("min_participants", "must lie between 2 and 64"),
            RulesError::Rounds => wrong("rounds", "must lie between 1 and 1000"),
            RulesError::Share => wrong("max_share", "must be above 0, and at most 1"),
            RulesError::Length => wrong("model", "its file is larger than 4 GiB"),
            RulesError::RuleMin => wrong(
                "min_participants",
                &format!("must be at least {least}: what this merge needs to tolerate {} of them as liars", r.liars),
            ),
            RulesError::Merge => wrong(
                "merge",
                "cannot be used: more than 64 participants would be needed for so many liars, or a number of the server's \
                 optimiser, of keep or of norm_bound is 0, or a beta is not below 1",
            ),
            RulesError::Kept => wrong("keep_updates", "must lie between 0 and 3"),
            RulesError::MaskedLength => wrong("model", "a masked file of it is larger than 4 GiB"),
            // what else masks refuse was refused above, in the words of a study file
            RulesError::MaskedRule
            | RulesError::MaskedLiars
            | RulesError::MaskedBound
            | RulesError::MaskedMixing
            | RulesError::MaskedParticipants
            | RulesError::MaskedShare
            | RulesError::MaskedRange => wrong("masked", "cannot be used with the rest of the rules"),
            RulesError::Invited | RulesError::Weights => wrong("weighting", "cannot be used"),
            // what else privacy refuses was refused above, too
            RulesError::PrivacyRate
            | RulesError::PrivacySteps
            | RulesError::PrivacyNoise
            | RulesError::PrivacyDelta
            | RulesError::PrivacySpend
            | RulesError::PrivacyShared
            | RulesError::PrivacyColluders
            | RulesError::PrivacyFigures => of_spec("privacy", "cannot be used with the rest of the rules"),
        })?;
        Ok(rules)
    }
}
