//! How long a round's updates take to move, beside how long they take to make.

use crate::{
    file::{FileError, StudyFile},
    link::seconds,
};

/// The two times from which every deadline of a round follows, and what the second one follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// Expected time of training in a round, in seconds: `training_seconds` of the study file.
    pub training_seconds: f64,
    /// Expected time in which one site takes all others' updates and gives its own to each of them, in seconds.
    pub transfer_seconds: f64,
    /// Length of an update in bytes.
    pub update_len: u64,
    /// Sites.
    pub participants: u32,
    /// The slowest link, in megabits per second: `link_mbit` of the study file.
    pub link_mbit: f64,
}

impl Transfer {
    /// Where updates are expected to take longer to move than to make: both numbers, and what to do, for people.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { training_seconds, transfer_seconds, update_len, participants, link_mbit } = *self;
        (transfer_seconds > training_seconds).then(|| {
            format!(
                "a round's updates are expected to take longer to move than to make: {} to move ({participants} sites, {update_len} \
                 bytes an update, from each to each other over {link_mbit} Mbit/s, rules.link_mbit) and {} to train \
                 (rules.training_seconds). Most of each round would be waiting for the network. Train longer between merges \
                 (training.epochs, and training_seconds with it), say a higher link_mbit if the slowest site's link has more, or take a \
                 smaller model or fewer sites. If it is meant so, nothing breaks: every deadline follows from both numbers",
                spelt(transfer_seconds),
                spelt(training_seconds)
            )
        })
    }
}

/// Seconds for people.
fn spelt(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

impl StudyFile {
    /// How long training and transfer of a round are expected to take with so many `participants`.
    ///
    /// # Errors
    /// The model's file cannot be measured, or a number of the rules makes no sense.
    pub fn transfer(&self, participants: u32) -> Result<Transfer, FileError> {
        let rules = self.rules(1_000, participants)?;
        let link_mbit = self.rules.link_mbit;
        Ok(Transfer {
            training_seconds: f64::from(self.rules.training_seconds),
            transfer_seconds: seconds(rules.update_len, participants, link_mbit),
            update_len: rules.update_len,
            participants,
            link_mbit,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(training_seconds: u32, link_mbit: f64) -> StudyFile {
        let mut file = StudyFile::parse(include_str!("../../examples/breast-cancer/study.toml")).unwrap();
        (file.rules.training_seconds, file.rules.link_mbit) = (training_seconds, link_mbit);
        file
    }

    #[test]
    fn a_transfer_that_exceeds_training_is_warned_of_with_both_numbers_and_what_to_do() {
        let of = |file: &StudyFile| file.transfer(4).unwrap();
        let fast = of(&file(10, 20.0));
        assert_eq!(fast.warning(), None, "{fast:?}");
        // a link that takes 12 s for what one of 20 Mbit/s takes its time for
        let slow_link = 20.0 * fast.transfer_seconds / 12.0;
        let said = of(&file(10, slow_link)).warning().unwrap();
        let len = fast.update_len.to_string();
        for part in ["12 s to move", "10 s to train", "4 sites", "link_mbit", "training.epochs", len.as_str()] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(of(&file(13, slow_link)).warning(), None, "training takes longer");
        // the more there are, the longer it takes
        assert!(file(10, 20.0).transfer(8).unwrap().transfer_seconds > 2.0 * fast.transfer_seconds);
    }

    #[test]
    fn it_is_the_transfer_that_the_chain_counts_with() {
        let file = file(10, 0.001);
        let (rules, transfer) = (file.rules(500, 4).unwrap(), file.transfer(4).unwrap());
        assert_eq!(rules.transfer_blocks, (transfer.transfer_seconds * 2.0).ceil() as u32);
        assert_eq!(rules.training_blocks, 20);
    }

    #[test]
    fn times_are_spelt_as_people_say_them() {
        assert_eq!([0.25, 12.4, 600.0, 9_000.0].map(spelt), ["0.2 s", "12 s", "10 min", "2.5 h"]);
    }
}
