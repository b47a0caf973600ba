//! What a study of masked updates may ask for, and what it may not: docs/masks.md.

use super::{BoundFile, FileError, RuleName, RulesFile, WeightingName};
use crate::privacy::SumsSpec;
use consilium_primitives::{masks, rules::Masked};

/// How far a step may move a number where the file does not say: 2².
const USUAL_RANGE: f64 = 4.0;
/// The same of a sum of gradients, where its noise is shared: the largest that there is.
pub(crate) const USUAL_GRADIENTS: f64 = 65_536.0;
/// Fewest participants of a masked round: the sum of two tells either of them the other's update.
pub(super) const FEWEST: u32 = masks::LEAST;

impl RulesFile {
    /// How far a step may move a number, as a power of two; `None`: updates are not masked. `shared`: their noise is shared, and it is
    /// the sum of all gradients that may go so far.
    ///
    /// # Errors
    /// What cannot stand beside `masked = true`, by name, with what to do.
    pub(super) fn range_of_masks(&self, shared: bool) -> Result<Option<i8>, FileError> {
        let wrong = |field, problem: String| Err(FileError::Rules { field, problem });
        if !self.masked {
            return match self.masked_range {
                Some(_) => {
                    wrong("masked_range", "is the range of masked steps: set masked = true, or take it out".into())
                }
                None => Ok(None),
            };
        }
        if self.merge != RuleName::Mean {
            return wrong(
                "merge",
                "must be \"mean\" with masked = true: every other merge looks at single updates, and nobody sees one. Choose: \
                 robust rules and visible updates (take masked out), or masks and the mean (take merge out)"
                    .into(),
            );
        }
        if self.liars > 0 {
            return wrong(
                "liars",
                "must be 0 with masked = true: the mean tolerates none; take liars or masked out".into(),
            );
        }
        if self.mixing {
            return wrong(
                "mixing",
                "compares single updates, which nobody sees with masked = true: take mixing or masked out".into(),
            );
        }
        if matches!(self.norm_bound, Some(BoundFile::Named(_))) {
            return wrong(
                "norm_bound",
                "must be a length with masked = true, which each site keeps and the sum is checked by: the median of lengths that \
                 nobody sees is not known. Write a number, or take norm_bound out"
                    .into(),
            );
        }
        if self.min_participants.is_some_and(|fewest| fewest < FEWEST) {
            return wrong(
                "min_participants",
                format!(
                    "must be {FEWEST} or more with masked = true: the sum of two updates tells each of both the other's. Four or \
                     more are better"
                ),
            );
        }
        if shared {
            self.check_sums()?;
        } else if self.max_share > 0.5 {
            return wrong(
                "max_share",
                "must be 0.5 or less with masked = true: a sum in which one site counts for more than all others shows mostly that \
                 site's update"
                    .into(),
            );
        }
        let usual = if shared { USUAL_GRADIENTS } else { USUAL_RANGE };
        let range = self.masked_range.unwrap_or(usual);
        match power_of_two(range) {
            Some(range_log2) => Ok(Some(range_log2)),
            None => wrong(
                "masked_range",
                format!(
                    "{range} must be a power of two between 2^{} and 2^{}: how far {} may go; {usual} is usual",
                    Masked::RANGES.start(),
                    Masked::RANGES.end(),
                    if shared {
                        "any one number of the sum of all gradients"
                    } else {
                        "one step of any one number of the model"
                    },
                ),
            ),
        }
    }

    /// What `[privacy]` must know of sums whose noise is shared; none without masks. A range that is none is refused elsewhere.
    pub(crate) fn sums(&self) -> Option<SumsSpec> {
        self.masked.then(|| SumsSpec {
            least: self.min_participants.unwrap_or_default().max(FEWEST),
            range_log2: self.masked_range.and_then(power_of_two).unwrap_or(*Masked::RANGES.end()),
        })
    }

    /// What cannot stand beside noise that sites share: whatever would treat one site's part of the sum other than another's.
    fn check_sums(&self) -> Result<(), FileError> {
        let wrong = |field, problem: &str| Err(FileError::Rules { field, problem: problem.to_owned() });
        if self.norm_bound.is_some() {
            return wrong(
                "norm_bound",
                "must be left out with noise = \"shared\": each site would shorten its own part by what its rows made of it, and the sum \
                 would not be one of gradients and noise; privacy.clip bounds each record's part",
            );
        }
        if self.weighting.is_some_and(|weighting| weighting != WeightingName::Samples) {
            return wrong(
                "weighting",
                "must be \"samples\" with noise = \"shared\", or left out: each record's gradient counts once in the sum, wherever it is",
            );
        }
        if self.max_share < 1.0 {
            return wrong(
                "max_share",
                "must be 1.0 with noise = \"shared\": each record's gradient counts once in the sum, so that no site's can count for less; \
                 the noise, and no share, keeps a large site's records hidden",
            );
        }
        Ok(())
    }
}

/// The exponent of a range that there can be.
fn power_of_two(range: f64) -> Option<i8> {
    Masked::RANGES.into_iter().find(|exponent| 2f64.powi(i32::from(*exponent)) == range)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::StudyFile;

    const DEMO: &str = include_str!("../../../examples/breast-cancer/study.toml");

    fn with(rules: &str) -> Result<StudyFile, String> {
        let (before, after) = DEMO.split_once("[rules]\n").unwrap();
        let fewest = "min_participants = 3\n";
        assert!(after.contains(fewest));
        StudyFile::parse(&format!("{before}[rules]\n{rules}\n{}", after.replace(fewest, ""))).map_err(|e| e.to_string())
    }

    fn range(rules: &str) -> Option<i8> {
        with(rules).unwrap().rules(2_000, 4).unwrap().masked.map(|masked| masked.range_log2)
    }

    #[test]
    fn masks_are_agreed_on_with_their_range_and_need_three() {
        assert_eq!(range(""), None);
        assert_eq!(range("masked = false"), None);
        assert_eq!(range("masked = true"), Some(2));
        for (most, range_log2) in [("16.0", 4), ("1.0", 0), ("0.5", -1), ("0.0009765625", -10), ("1024.0", 10)] {
            assert_eq!(range(&format!("masked = true\nmasked_range = {most}")), Some(range_log2), "{most}");
        }
        let rules = with("masked = true").unwrap().rules(2_000, 4).unwrap();
        assert_eq!(rules.min_participants, 3, "two would tell each other their updates");
        let rules = with("masked = true\nmin_participants = 5").unwrap().rules(2_000, 8).unwrap();
        assert_eq!(rules.min_participants, 5);
    }

    /// Four bytes a number, and three sums of eight; 513 numbers are odd, so that a word is added. Of statistics three numbers of 32
    /// bytes a column. What is merged from them is as long as ever.
    #[test]
    fn lengths_are_those_of_masked_files() {
        let (plain, masked) = (with("").unwrap(), with("masked = true").unwrap());
        let (plain, masked) = (plain.rules(2_000, 4).unwrap(), masked.rules(2_000, 4).unwrap());
        assert_eq!((plain.merged_len, plain.statistics_len), (masked.merged_len, masked.statistics_len));
        assert_ne!(plain.update_len, masked.update_len);
        let lens = masked.masked.unwrap();
        // headers are padded to eight bytes, and differ by the digits of the numbers in them
        let body = |len: u64, bytes: u64| (bytes..bytes + 320).contains(&len);
        assert!(body(masked.update_len, 4 * 514 + 24), "{}", masked.update_len);
        assert!(body(lens.statistics_len, 30 * 96 + 24), "{lens:?}");
        assert!(body(lens.figures_len, 24), "{lens:?}");
        let unscaled =
            DEMO.replace("scaling = \"swarm\"", "scaling = \"site\"").replace("[rules]\n", "[rules]\nmasked = true\n");
        assert_ne!(unscaled, DEMO);
        let rules = StudyFile::parse(&unscaled).unwrap().rules(2_000, 4).unwrap();
        assert_eq!((rules.statistics_len, rules.masked.unwrap().statistics_len), (0, 0));
    }

    /// What a masked study has no use for is refused by name, and says what to do; without masks each of them is a study.
    #[test]
    fn what_looks_at_single_updates_is_refused_by_name() {
        let refused = |field: &str, rules: &str, says: &str| {
            with(rules).unwrap_or_else(|error| panic!("without masks: {error}"));
            let error = with(&format!("masked = true\n{rules}")).unwrap_err();
            assert!(error.starts_with(&format!("rules.{field}: ")) && error.contains("masked = true"), "{error}");
            assert!(error.contains(says), "{says} in {error}");
        };
        for rule in ["median", "trimmed_mean", "geometric_median"] {
            refused("merge", &format!("merge = \"{rule}\"\nmin_participants = 3"), "take masked out");
        }
        refused("merge", "merge = \"krum\"\nmin_participants = 4", "robust rules and visible updates");
        refused("merge", "merge = \"median\"\nliars = 1\nmixing = true\nmin_participants = 3", "take masked out");
        refused("norm_bound", "norm_bound = \"median\"", "Write a number");
        refused("min_participants", "min_participants = 2", "3 or more");
        refused("max_share", "max_share = 0.6", "0.5 or less");
        assert!(with("masked = true\nnorm_bound = 1.5\nserver = { optimizer = \"adam\" }").is_ok());
    }

    #[test]
    fn a_range_is_a_power_of_two() {
        for range in ["3.0", "0.0", "-4.0", "131072.0", "nan", "inf"] {
            let error = with(&format!("masked = true\nmasked_range = {range}")).unwrap_err();
            assert!(error.starts_with("rules.masked_range: ") && error.contains("power of two"), "{error}");
        }
        let error = with("masked_range = 4.0").unwrap_err();
        assert!(error.contains("set masked = true"), "{error}");
    }
}
