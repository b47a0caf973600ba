//! What a specification says of privacy in the chain's rules, and whether rules say so.

use super::{file::METRICS, refuse, NoiseOf, PrivacySpec};
use crate::{error::SpecError, spec::StudySpec};
use consilium_primitives::rules::{Privacy, StudyRules};

impl StudySpec {
    /// What the chain's rules must say of privacy; none where nothing is promised.
    ///
    /// # Errors
    /// As [`PrivacySpec::rules`].
    pub fn privacy_rules(&self) -> Result<Option<Privacy>, SpecError> {
        self.privacy.as_ref().map(PrivacySpec::rules).transpose()
    }

    /// Whether rules say of privacy what follows from this specification, and nothing else. Whoever enrols or audits looks, and a worker
    /// trains by what follows alone:
    /// the chain adds up what the rules say, and computes nothing.
    ///
    /// # Errors
    /// What does not follow, with both numbers.
    pub fn privacy_follows(&self, rules: &StudyRules) -> Result<(), SpecError> {
        let (follows, signed) = (self.privacy_rules()?, &rules.privacy);
        let (Some(spec), Some(follows), Some(signed)) = (&self.privacy, &follows, signed) else {
            return match (&follows, signed) {
                (None, None) => Ok(()),
                (Some(_), _) => refuse("privacy", "stands in the specification, and not in the rules that were signed"),
                (None, Some(_)) => {
                    refuse("privacy", "stands in the rules that were signed, and not in the specification")
                }
            };
        };
        if spec.rounds != rules.max_rounds {
            let problem = format!("{} are counted, and the rules have {}", spec.rounds, rules.max_rounds);
            return refuse("privacy.rounds", &problem);
        }
        if rules.target.is_some() || rules.patience > 0 {
            return refuse("rules", METRICS);
        }
        if spec.noise == NoiseOf::Shared {
            spec.sums_follow(rules)?;
        }
        if signed == follows {
            return Ok(());
        }
        let other = |name: &str, signed: u64, follows: u64| {
            (signed != follows)
                .then(|| format!("{name} is {signed} in the rules, and {follows} follows from the specification"))
        };
        let numbers = [
            other("sigma_1024 (the noise)", signed.sigma_1024.into(), follows.sigma_1024.into()),
            other("rate_ppm", signed.rate_ppm.into(), follows.rate_ppm.into()),
            other("steps", signed.steps.into(), follows.steps.into()),
            other("clip_micro", signed.clip_micro.into(), follows.clip_micro.into()),
            other("delta_exp", signed.delta_exp.into(), follows.delta_exp.into()),
            other("colluders", signed.colluders.into(), follows.colluders.into()),
        ];
        let place = signed.spend.iter().zip(&follows.spend).position(|(signed, follows)| signed != follows);
        let spent = place.and_then(|place| {
            other(&format!("spend, place {},", place + 1), signed.spend[place], follows.spend[place])
        });
        let problem = numbers.into_iter().flatten().next().or(spent);
        refuse("privacy", &problem.unwrap_or_else(|| "unit or noise are others than in the specification".into()))
    }
}

impl PrivacySpec {
    /// Whether sums are those that the noise is shared for: a site adds less of it the more are in the least sum, and nothing but the
    /// rules holds a sum to that.
    fn sums_follow(&self, rules: &StudyRules) -> Result<(), SpecError> {
        let (Some(sums), Some(masked)) = (&self.sums, &rules.masked) else {
            return refuse("privacy.noise", "is shared, and by the rules that were signed nothing is masked");
        };
        let (least, range) = (rules.least_summed(), masked.range_log2);
        if sums.least != least {
            let problem =
                format!("{} is counted on, and by the rules that were signed sums of {least} are opened", sums.least);
            return refuse("privacy.sums.least", &problem);
        }
        if sums.range_log2 != range {
            let problem =
                format!("is {} in the specification, and {range} in the rules that were signed", sums.range_log2);
            return refuse("privacy.sums.range_log2", &problem);
        }
        // what would give one site's part another weight, or another form, than the others'
        rules
            .check()
            .or_else(|error| refuse("rules", &format!("cannot stand beside noise that sites share: {error:?}")))
    }
}
