//! How people are told what was spent, and what that means.

use crate::Unit;

/// What is counted.
pub const COUNTED: &str =
    "The count covers model updates. It does not cover the choice of columns, settings tried on the data \
                           before, or what people see on their own machine.";
/// What is not counted, since it is what a study is for.
pub const ALIKE: &str = "What is drawn from many patients alike, the model may and should learn; that is not counted.";

/// By what these bounds are counted, and what goes by another count.
pub const FINER: &str = "That bound is of a finer count, which only tells: what is allowed goes by the ledger's own.";

/// Bounds on the share of right accusations when one wrong accusation in a hundred is accepted, by privacy loss distribution
/// (dp-accounting 0.6.0) of the mechanisms in `tests/golden/dp_golden.json`: ε up to this, in millionths, and out of how many
/// hundred. From ε and δ alone they would be 3, 8, 56 and 100.
pub const BOUNDS: [(u64, u32); 4] = [(1_000_000, 2), (2_000_000, 3), (4_000_000, 7), (8_000_000, 22)];

/// An ε as people read it: in hundredths, rounded up, without zeros at its end.
pub fn epsilon(micro: u64) -> String {
    let hundredths = micro.div_ceil(10_000);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("ε {}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A δ as people read it.
pub fn delta(delta_exp: u8) -> String {
    let raised = |digit: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit.to_digit(10).unwrap_or(0) as usize).unwrap_or(digit);
    format!("δ 10⁻{}", delta_exp.to_string().chars().map(raised).collect::<String>())
}

/// Whom a count is about.
pub fn per(unit: Unit) -> &'static str {
    match unit {
        Unit::Record => "per record",
        Unit::Patient => "per patient",
    }
}

fn some(number: usize, what: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { what } else { more })
}

/// What was spent on a data set.
#[derive(Clone, Copy, Debug)]
pub struct Spent<'a> {
    /// The data set.
    pub dataset: &'a str,
    /// Spent, in millionths.
    pub spent_micro: u64,
    /// What may be spent.
    pub limit_micro: u64,
    /// At which δ.
    pub delta_exp: u8,
    /// About whom.
    pub unit: Unit,
    /// On how many studies.
    pub studies: usize,
    /// On how many rounds.
    pub rounds: usize,
}

impl Spent<'_> {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let limit = epsilon(self.limit_micro);
        format!(
            "{} of {} spent on {} ({}, {}, {}, {}).",
            epsilon(self.spent_micro),
            limit.trim_start_matches("ε "),
            self.dataset,
            delta(self.delta_exp),
            per(self.unit),
            some(self.studies, "study", "studies"),
            some(self.rounds, "round", "rounds"),
        )
    }
}

/// What an ε means for one patient, or one record.
pub fn meaning(micro: u64, unit: Unit) -> String {
    let whom = match unit {
        Unit::Record => "one particular record",
        Unit::Patient => "one particular patient",
    };
    let guess = format!(
        "Whoever guesses from everything that left whether {whom} was among the rows, and accepts one wrong accusation in a hundred, \
         is right about"
    );
    match BOUNDS.iter().find(|(most, _)| micro <= *most) {
        Some((_, hundredths)) => {
            format!("{guess} at most {hundredths} of 100 (by privacy loss distribution of this kind of training).")
        }
        None => format!("{guess} all 100, as far as this count can tell: so large an ε promises next to nothing."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_one_sentence() {
        let spent = Spent {
            dataset: "oncology-2026",
            spent_micro: 4_000_000,
            limit_micro: 8_000_000,
            delta_exp: 5,
            unit: Unit::Patient,
            studies: 2,
            rounds: 14,
        };
        assert_eq!(spent.sentence(), "ε 4 of 8 spent on oncology-2026 (δ 10⁻⁵, per patient, 2 studies, 14 rounds).");
        let one = Spent { studies: 1, rounds: 1, unit: Unit::Record, delta_exp: 10, ..spent };
        assert!(one.sentence().ends_with("(δ 10⁻¹⁰, per record, 1 study, 1 round)."), "{}", one.sentence());
    }

    #[test]
    fn an_epsilon_is_never_said_smaller_than_it_is() {
        let said = [0, 1, 10_000, 999_999, 3_692_673, 4_000_000, 4_000_001, 12_500_000].map(epsilon);
        assert_eq!(said, ["ε 0", "ε 0.01", "ε 0.01", "ε 1", "ε 3.7", "ε 4", "ε 4.01", "ε 12.5"]);
    }

    #[test]
    fn what_it_means_is_the_next_bound_above() {
        assert!(meaning(900_000, Unit::Patient).contains("at most 2 of 100"));
        assert!(meaning(1_000_001, Unit::Patient).contains("at most 3 of 100"));
        assert!(meaning(8_000_000, Unit::Record).contains("one particular record"));
        assert!(meaning(8_000_000, Unit::Record).contains("at most 22 of 100"));
        assert!(meaning(8_000_001, Unit::Record).contains("promises next to nothing"));
    }
}
