//! `[privacy]`: how much all rounds of a study together may tell about one record, or one patient, and what follows from that.

mod file;
mod follows;
mod noised;
mod refused;
mod shared;
mod words;

pub(crate) use file::of_spec;
pub use shared::{SharedSum, SumsSpec};

use crate::{
    error::{wrong, SpecError},
    spec::StudySpec,
};
use consilium_primitives::rules::{Privacy, PrivacyUnit, MAX_ROUNDS, PPM};
use consilium_privacy::{calibrate, spend, Mechanism, Unit};
use serde::{Deserialize, Serialize};

/// Rows of one patient in one step, unless the study says otherwise.
const ROWS_PER_PATIENT: u32 = 8;
/// Powers of ten that a δ can be, without their signs: of the largest δ, and of the smallest.
const LEAST_EXP: u8 = 3;
const MOST_EXP: u8 = 12;
/// Most steps of a round.
const MAX_STEPS: u32 = 100_000;
/// δ is at most one in so many times the records or patients of the largest site.
const DELTA_SHARE: u64 = 10;

/// How much all rounds of a study together may tell about one record or one patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySpec {
    /// ε of the whole study.
    pub epsilon: f64,
    /// δ of the whole study: a power of ten.
    pub delta: f64,
    /// The longest gradient of one record or patient.
    pub clip: f64,
    /// Probability with which each record or patient is drawn into a step; 1: all are in every step.
    pub rate: f64,
    /// Steps in one round.
    pub steps: u32,
    /// Whom the promise is about; where `data.group` is set it must be written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Of a patient with more rows, so many are drawn by the site's secret, once for the whole study. Left out: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_patient: Option<u32>,
    /// Whose noise hides a record.
    #[serde(default)]
    pub noise: NoiseOf,
    /// Sites that may act together against another, where the noise is shared. Left out: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colluders: Option<u8>,
    /// The rounds that ε is for: those of the rules. A study file leaves it out.
    #[serde(default)]
    pub rounds: u32,
    /// What the rules say of the sums, where the noise is shared. A study file leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<SumsSpec>,
}

/// Whose noise hides a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseOf {
    /// Each site adds all of it to its own update.
    #[default]
    Local,
    /// Sites of a masked sum add it together: only the sum has all of it.
    Shared,
}

/// A refusal: what stands there, and what to do.
fn refuse<T>(field: &str, problem: &str) -> Result<T, SpecError> {
    Err(wrong(field, problem))
}

impl PrivacySpec {
    /// Whom the promise is about.
    pub fn unit(&self) -> Unit {
        self.unit.unwrap_or_default()
    }

    /// Most rows of one patient.
    pub fn rows_per_patient(&self) -> u32 {
        self.rows_per_patient.unwrap_or(ROWS_PER_PATIENT)
    }

    /// The rate in millionths.
    pub fn rate_ppm(&self) -> u32 {
        (self.rate * f64::from(PPM)).round() as u32
    }

    /// The clip in millionths.
    pub fn clip_micro(&self) -> u32 {
        (self.clip * 1e6).round() as u32
    }

    /// The power of ten that δ is, without its sign; none where it is no such power.
    pub fn delta_exp(&self) -> Option<u8> {
        (LEAST_EXP..=MOST_EXP).find(|exp| (self.delta * 10f64.powi(i32::from(*exp)) - 1.0).abs() < 1e-9)
    }

    /// The ε in millionths, rounded down: nothing is allowed that was not agreed.
    pub fn epsilon_micro(&self) -> u32 {
        (self.epsilon * 1e6).floor() as u32
    }

    /// What the chain's rules say of it: noise and cost follow from the other numbers, the same on every machine.
    ///
    /// # Errors
    /// A number that [`check`](crate::StudySpec::check) refuses; an ε that no noise keeps.
    pub fn rules(&self) -> Result<Privacy, SpecError> {
        let delta_exp = self.delta_exp().ok_or_else(|| wrong("privacy.delta", DELTA))?;
        let (rate_ppm, steps) = (self.rate_ppm(), u64::from(self.steps));
        let all = steps * u64::from(self.rounds);
        let sigma_1024 = calibrate(rate_ppm, all, delta_exp, self.epsilon).ok_or_else(|| {
            let problem = format!(
                "no noise keeps ε = {} with δ = 1e-{delta_exp} as this program counts: allow more, at least 0.1",
                self.epsilon
            );
            wrong("privacy.epsilon", problem)
        })?;
        Ok(Privacy {
            unit: match self.unit() {
                Unit::Record => PrivacyUnit::Record,
                Unit::Patient => PrivacyUnit::Patient,
            },
            rate_ppm,
            steps: self.steps,
            clip_micro: self.clip_micro(),
            sigma_1024,
            delta_exp,
            shared: self.noise == NoiseOf::Shared,
            colluders: self.colluders(),
            spend: spend(&Mechanism { rate_ppm, sigma_1024 }, steps),
        })
    }

    /// Whether δ is small enough for a site of so many records or patients.
    ///
    /// # Errors
    /// It is not: the largest δ that is.
    pub fn small_enough(&self, units: u64) -> Result<(), SpecError> {
        let exp = self.delta_exp().unwrap_or_default();
        let most = u128::from(DELTA_SHARE) * u128::from(units);
        if 10u128.pow(u32::from(exp)) >= most {
            return Ok(());
        }
        let who = match self.unit() {
            Unit::Record => "records",
            Unit::Patient => "patients",
        };
        let fits = (LEAST_EXP..=MOST_EXP).find(|exp| 10u128.pow(u32::from(*exp)) >= most);
        Err(wrong(
            "privacy.delta",
            format!(
                "{} is more than one in {DELTA_SHARE} times the {units} {who} of a site: with so large a δ one of them might be told in \
                 full; set 1e-{}",
                self.delta,
                fits.unwrap_or(MOST_EXP)
            ),
        ))
    }

    fn check_numbers(&self, grouped: bool) -> Result<(), SpecError> {
        if !(self.epsilon > 0.0 && self.epsilon <= 100.0) {
            return refuse("privacy.epsilon", "must be above 0, and at most 100; 1 to 8 are usual");
        }
        if self.delta_exp().is_none() {
            return refuse("privacy.delta", DELTA);
        }
        if !(self.clip >= 1e-6 && self.clip <= 1e3) {
            return refuse("privacy.clip", "must lie between 0.000001 and 1000; 0.5 to 2 are usual");
        }
        if !(self.rate >= 1e-6 && self.rate <= 1.0) {
            return refuse(
                "privacy.rate",
                "must lie between 0.000001 and 1: the share of the rows that a step draws on average; 1 draws all",
            );
        }
        if self.steps == 0 || self.steps > MAX_STEPS {
            return refuse("privacy.steps", "must lie between 1 and 100000: steps in one round");
        }
        if self.rounds == 0 || self.rounds > MAX_ROUNDS {
            return refuse("privacy.rounds", "must lie between 1 and 1000, as those of the rules");
        }
        match (grouped, self.unit) {
            (true, None) => {
                return refuse(
                    "privacy.unit",
                    "must be written out, since data.group is set: \"patient\" promises it of all rows of a patient together, \
                     \"record\" of one row, and far less of a patient with several",
                );
            }
            (false, Some(Unit::Patient)) => {
                return refuse("privacy.unit", "\"patient\" needs data.group: the column that says whose row it is");
            }
            _ => {}
        }
        match (self.unit(), self.rows_per_patient) {
            (Unit::Record, Some(_)) => {
                return refuse("privacy.rows_per_patient", "is for unit = \"patient\": leave it out");
            }
            (Unit::Patient, Some(0)) => return refuse("privacy.rows_per_patient", "must be at least 1"),
            (Unit::Patient, Some(rows)) if rows > 1_024 => {
                return refuse("privacy.rows_per_patient", "must be at most 1024");
            }
            _ => {}
        }
        if self.noise == NoiseOf::Local && self.colluders.is_some() {
            return refuse(
                "privacy.colluders",
                "is for noise = \"shared\": with \"local\" nobody else need be trusted; leave it out",
            );
        }
        Ok(())
    }
}

impl StudySpec {
    /// The same training on so many rows with no promise and no noise: as many steps, each on as many rows as one draws on average. None
    /// where nothing is promised.
    pub fn without_privacy(&self, rows: u64) -> Option<Self> {
        let privacy = self.privacy.as_ref()?;
        let mut plain = Self { privacy: None, ..self.clone() };
        let drawn = (privacy.rate * rows as f64).round().clamp(1.0, f64::from(1 << 20));
        (plain.training.batch_size, plain.training.batches) = (drawn as u32, privacy.steps);
        Some(plain)
    }
}

/// What a δ may be.
const DELTA: &str =
    "must be a power of ten from 1e-3 to 1e-12; usual is 1e-5, or smaller where a site has more than 10000 rows";

#[cfg(test)]
mod tests;
