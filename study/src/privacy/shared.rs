//! Noise that the sites of a masked sum share: what each adds, and what becomes of the sum. Why, and what it promises, says
//! [`SharedNoise`].

use super::{refuse, NoiseOf, PrivacySpec};
use crate::{
    error::SpecError,
    file::USUAL_GRADIENTS,
    optimizer::Optimizer,
    spec::StudySpec,
    training::{Schedule, Training},
};
use consilium_primitives::{
    masks,
    rules::{Masked, MAX_PARTICIPANTS, PPM},
};
use consilium_privacy::{SharedNoise, LEAST_UNITS};
use serde::{Deserialize, Serialize};

/// Sites that may act together, unless the study says otherwise.
const COLLUDERS: u8 = 1;
/// So many deviations of all sites' noise must fit into the range: beyond them lies one number in 10¹⁵.
const DEVIATIONS: f64 = 8.0;

/// What the rules say of the masked sums whose noise is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumsSpec {
    /// The fewest sites whose sum is ever opened.
    pub least: u32,
    /// How far a number of the sum of gradients may go, as a power of two.
    pub range_log2: i8,
}

/// What a site's words are in a study whose noise is shared, and what a sum of them becomes.
///
/// Word `k` of a site is `round(2^s · (Σ clip(∇)_k + n_k))` modulo 2³², with the gradients at the base model of the units that the round's
/// one step draws, `s` = [`SharedNoise::exponent`] and `n` normal of deviation [`SharedNoise::deviation`]. No weight, learning rate,
/// optimiser or penalty is in it. Gradients are summed in single precision, piece by piece; noise is added in double precision, and it and
/// the words alone are on the grid: what is promised is that of exact arithmetic. No number is held at a bound: whatever treats a site's part by what its rows and its noise made of it would end the argument that only the sum is
/// released. With the sum `S` over the sites `U`, read with its sign, whose signed samples are `W` together, the merged step is
/// `−η ÷ q · S · 2^−s ÷ W`; beyond ±2³⁰ it is void.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedSum {
    /// The noise.
    pub noise: SharedNoise,
    /// `η`: the step size that training was agreed on with.
    pub learning_rate: f64,
    /// `q`, in millionths: how likely a unit is drawn.
    pub rate_ppm: u32,
}

impl SharedSum {
    /// `q`.
    pub fn rate(&self) -> f64 {
        f64::from(self.rate_ppm) / f64::from(PPM)
    }
}

impl PrivacySpec {
    /// Sites that may act together against another: none need be feared where each adds all noise by itself.
    pub fn colluders(&self) -> u8 {
        match self.noise {
            NoiseOf::Local => 0,
            NoiseOf::Shared => self.colluders.unwrap_or(COLLUDERS),
        }
    }
}

impl StudySpec {
    /// What sites of a masked sum add and what becomes of it, where they share the noise; none where each adds all of it.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn shared_sum(&self) -> Result<Option<SharedSum>, SpecError> {
        let Some(privacy) = self.privacy.as_ref().filter(|privacy| privacy.noise == NoiseOf::Shared) else {
            return Ok(None);
        };
        let Some(sums) = &privacy.sums else { return refuse("privacy.noise", MASKS) };
        let Optimizer::Sgd { learning_rate, .. } = self.training.optimizer else {
            return refuse("training.optimizer", PLAIN);
        };
        let rules = privacy.rules()?;
        let noise = SharedNoise {
            clip_micro: rules.clip_micro,
            sigma_1024: rules.sigma_1024,
            range_log2: sums.range_log2,
            parameters: self.architecture()?.parameters(),
            least: sums.least,
            colluders: rules.colluders.into(),
        };
        Ok(Some(SharedSum { noise, learning_rate, rate_ppm: rules.rate_ppm }))
    }

    /// Whether training and sums can go with noise that sites share.
    pub(super) fn check_shared(&self, privacy: &PrivacySpec) -> Result<(), SpecError> {
        if privacy.noise == NoiseOf::Local {
            return match privacy.sums {
                None => Ok(()),
                Some(_) => refuse("privacy.sums", "is for noise = \"shared\": leave it out"),
            };
        }
        let Some(sums) = &privacy.sums else { return refuse("privacy.noise", MASKS) };
        if privacy.steps != 1 {
            return refuse(
                "privacy.steps",
                "must be 1 with noise = \"shared\": only gradients of one model add up to a sum whose noise is known; several steps do \
                 not. Take more rounds, or noise = \"local\"",
            );
        }
        // whoever holds as many shares as open a mask sees single sites, which have a part of the noise only. Where finality is broken,
        // honest sites may see two forks and give shares on both, a part of them on each: then fewer sites are enough
        let split = sums.least.saturating_sub(1).div_ceil(3);
        let most = masks::threshold(sums.least).saturating_sub(1).min(split);
        let colluders = u32::from(privacy.colluders());
        if colluders == 0 || colluders > most {
            let problem = format!(
                "must lie between 1 and {most}, a third of the others, since {} sites are summed at least: more of them together could take \
                 the masks of the others off if the chain's finality were broken. Raise rules.min_participants, or lower it",
                sums.least
            );
            return refuse("privacy.colluders", &problem);
        }
        if !Masked::RANGES.contains(&sums.range_log2) || sums.least > MAX_PARTICIPANTS {
            return refuse(
                "privacy.sums",
                "are none that a study can have: they follow from min_participants and masked_range",
            );
        }
        check_plain(&self.training)?;
        let penalised =
            |architecture: &crate::Architecture| architecture.tensors.iter().any(|t| t.l1 != 0.0 || t.l2 != 0.0);
        if self.architecture().is_ok_and(|architecture| penalised(&architecture)) {
            return refuse(
                "training.l2",
                "leave out l1 and l2, those of layers too: sites give the sum of their gradients alone",
            );
        }
        self.check_grid()
    }

    /// Whether the noise is coarse beside the grid, and fits into the range.
    fn check_grid(&self) -> Result<(), SpecError> {
        let Some(sum) = self.shared_sum()? else { return Ok(()) };
        let noise = &sum.noise;
        let range = 2f64.powi(i32::from(noise.range_log2));
        if noise.units() < LEAST_UNITS {
            let problem = format!(
                "{range} is too wide for noise of deviation {:.2e}, which must be {LEAST_UNITS} times the unit that numbers are rounded to: \
                 set a smaller power of two, or a larger privacy.clip",
                noise.deviation()
            );
            return refuse("rules.masked_range", &problem);
        }
        let most = DEVIATIONS * f64::from(MAX_PARTICIPANTS).sqrt() * noise.deviation();
        if most > range {
            let problem = format!(
                "{range} is too narrow: with noise = \"shared\" it bounds each number of the sum of all gradients, whose noise alone may \
                 reach {most:.0}. Set a larger power of two, {USUAL_GRADIENTS} is usual"
            );
            return refuse("rules.masked_range", &problem);
        }
        Ok(())
    }
}

/// Whether a step is the gradient times one agreed number.
fn check_plain(training: &Training) -> Result<(), SpecError> {
    if !matches!(training.optimizer, Optimizer::Sgd { momentum: 0.0, .. }) {
        return refuse("training.optimizer", PLAIN);
    }
    for (field, there) in [
        ("training.schedule", training.schedule != Schedule::Constant),
        ("training.warmup_rounds", training.warmup_rounds != 0.0),
        ("training.proximal", training.proximal != 0.0),
        ("training.keep_optimizer_state", training.keep_optimizer_state),
    ] {
        if there {
            return refuse(
                field,
                "leave it out beside noise = \"shared\": sites give gradients alone, and the step is made of their sum",
            );
        }
    }
    Ok(())
}

/// What shared noise needs.
const MASKS: &str =
    "\"shared\" needs masked = true in [rules]: what a site sends by itself has a part of the noise only. Set it, or \
                     noise = \"local\"";
/// What a step must be.
const PLAIN: &str = "must be { sgd = { learning_rate = … } } without momentum beside noise = \"shared\": sites give gradients alone, and \
                     the step is made of their sum. What optimisers remember can be the server's (rules.server)";
