//! A closed round in a line.

use crate::{plain::counted, show::short};
use consilium_primitives::round::{Kind, RoundRecord};

/// A closed round in a line; `without`: members that have no part in it.
pub fn in_a_line(record: &RoundRecord, without: &[String]) -> String {
    let absent = match without {
        [] => String::new(),
        some => format!(" (none from {})", some.join(", ")),
    };
    let what = match (record.kind, record.round) {
        (Kind::Statistics, _) => format!("the statistics, of {}{absent}", counted(record.inputs.len() as u64, "site")),
        (Kind::Evaluation, _) => {
            format!("the last figures, of {}{absent}", counted(record.inputs.len() as u64, "site"))
        }
        (Kind::Model, 0) => "the initial model, which each site has made alike".into(),
        (Kind::Model, round) => {
            let how = if record.masked.is_some() { "summed under masks" } else { "merged" };
            format!("round {round}, {how} of {}{absent}", counted(record.inputs.len() as u64, "update"))
        }
    };
    let dissent = match record.dissenters.len() {
        0 => String::new(),
        some => format!(", otherwise by {some}"),
    };
    if record.void().is_some() {
        let (from, to) = (record.opened_at, record.closed_at);
        return format!("{what}: VOID, nothing came of it, and the model is as it was; blocks {from} to {to}");
    }
    format!(
        "{what}: computed alike by {}{dissent}; blocks {} to {}; hash {}…",
        counted(record.attesters.len() as u64, "site"),
        record.opened_at,
        record.closed_at,
        short(&record.root)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;

    #[test]
    fn a_round_that_somebody_has_no_part_in_names_it() {
        let mut world = World::new();
        let record = world.round(2).clone();
        assert!(in_a_line(&record, &[]).starts_with("round 2, merged of 3 updates: computed alike by 3 sites"));
        let said = in_a_line(&record, &["Birch Hospital".into()]);
        assert!(said.starts_with("round 2, merged of 3 updates (none from Birch Hospital): computed"), "{said}");
    }
}
