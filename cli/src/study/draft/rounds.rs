//! The rules of a study file that is being written.

/// `[rules]`, for so many rounds.
pub(super) fn rules(rounds: u32, masked: bool) -> String {
    let (masks, fewest) = match masked {
        true => {
            ("masked = true   # others see the sum of at least three updates, and nobody can see a bad one: docs/masks.md", 3)
        }
        false => ("# masked = true   # hidden updates in place of robust rules: docs/masks.md", 2),
    };
    format!(
        "[rules]\nrounds = {rounds}\ntraining_seconds = 10   # what the slowest site is expected to need in a round\n{masks}\n\
         # min_participants = {fewest}, merge = \"mean\", max_share = 0.5, enrolment_minutes = 1440, link_mbit = 20.0: docs/study-file.md\n"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    #[test]
    fn masks_are_written_where_they_are_asked_for() {
        let demo = include_str!("../../../../examples/breast-cancer/study.toml");
        let before = demo.split_once("[rules]\n").unwrap().0;
        let of = |masked| StudyFile::parse(&format!("{before}{}", rules(7, masked))).unwrap();
        assert!(of(true).rules.masked && !of(false).rules.masked);
        assert_eq!((of(true).rules.rounds, of(false).rules.rounds), (7, 7));
        let least = |masked| of(masked).rules(2_000, 4).unwrap().min_participants;
        assert_eq!((least(true), least(false)), (3, 2));
    }
}
