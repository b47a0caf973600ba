//! What other institutions' clocks say together of this machine's: bounds, the middle of them, and the words for people.
//!
//! All times here are milliseconds. The others' clocks are held against this machine's monotonic clock, which nobody sets: what is
//! known of them stays true when this machine's clock is set, in either direction.

use std::collections::VecDeque;

/// A clock that is off by more is named.
pub const WORTH_SAYING: i64 = 250;
/// So many answers of one clock are kept.
const KEPT: usize = 4;
/// Clocks that lie further apart than this are not said to agree.
const TOGETHER: i64 = 1_000;

/// How far a clock is ahead of the monotonic one: between these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    low: i64,
    high: i64,
}

impl Reading {
    /// From what a clock said (`theirs`, since 1970), and when by the monotonic clock it was `asked` and `heard`: it was read at
    /// some moment between the two. All three were rounded down.
    pub fn new(theirs: u64, asked: i64, heard: i64) -> Self {
        let theirs = i64::try_from(theirs).unwrap_or(i64::MAX);
        Self {
            low: theirs.saturating_sub(heard).saturating_sub(1),
            high: theirs.saturating_sub(asked).saturating_add(1),
        }
    }

    fn width(&self) -> i64 {
        self.high.saturating_sub(self.low)
    }

    fn middle(&self) -> i64 {
        self.low.saturating_add(self.width() / 2)
    }

    /// By how much a clock that is so far ahead of the monotonic one differs from this one at least: positive if it is ahead.
    fn error_of(&self, own: i64) -> i64 {
        if own > self.high {
            own.saturating_sub(self.high)
        } else {
            own.saturating_sub(self.low).min(0)
        }
    }

    /// What is to be said where this is the one other clock that is known, that of `name`, and this machine's is so far ahead of
    /// the monotonic one; nothing if the two agree. Which of two is wrong cannot be told.
    pub fn words(&self, name: &str, own: i64) -> Option<String> {
        let error = self.error_of(own);
        if error.saturating_abs() <= WORTH_SAYING {
            return None;
        }
        let side = if error > 0 { "ahead" } else { "behind" };
        Some(format!(
            "this machine's clock and that of {name} differ by {} (this one is {side}): one of the two is wrong; look at both \
             (timedatectl), for while they differ nothing may become final",
            span(error)
        ))
    }
}

/// The last answers of one clock.
#[derive(Clone, Debug, Default)]
pub struct Track(VecDeque<Reading>);

impl Track {
    /// One more. Answers that this one contradicts are forgotten: the clock was set since.
    pub fn add(&mut self, reading: Reading) {
        self.0.retain(|old| old.low <= reading.high && reading.low <= old.high);
        self.0.push_back(reading);
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The one that came the fastest: its bounds are the closest.
    pub fn best(&self) -> Option<Reading> {
        self.0.iter().min_by_key(|reading| reading.width()).copied()
    }
}

/// What the others' clocks say together: the median of them is between these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    low: i64,
    high: i64,
    /// Of how many institutions.
    pub count: usize,
    /// How far the first is ahead of the last.
    pub apart: i64,
}

impl Others {
    /// The median of at least two, one for each institution; none of fewer. It is where more than half of them put it: of an odd
    /// number, fewer than half cannot move it out of the others' range; of an even number, half of them can make its bounds wide
    /// and no more, and what lies within the bounds is not taken for wrong.
    pub fn of(readings: &[Reading]) -> Option<Self> {
        let count = readings.len();
        if count < 2 {
            return None;
        }
        let sorted = |of: fn(&Reading) -> i64| {
            let mut all: Vec<i64> = readings.iter().map(of).collect();
            all.sort_unstable();
            all
        };
        let (lows, highs, middles) = (sorted(|it| it.low), sorted(|it| it.high), sorted(Reading::middle));
        let apart = middles.last()?.saturating_sub(*middles.first()?);
        Some(Self { low: *lows.get((count - 1) / 2)?, high: *highs.get(count / 2)?, count, apart })
    }

    /// How far a clock is off at least that is so far ahead of the monotonic one: positive if it is ahead.
    pub fn error_of(&self, own: i64) -> i64 {
        Reading { low: self.low, high: self.high }.error_of(own)
    }

    /// What is to be said of a clock that is off so far; nothing if that is not worth it. `idle`: no block is made for it.
    pub fn words(&self, error: i64, idle: bool) -> Option<String> {
        if error.saturating_abs() <= WORTH_SAYING {
            return None;
        }
        let side = if error > 0 { "ahead of" } else { "behind" };
        let agree = match self.apart {
            0..=TOGETHER => format!("their clocks agree within {:.1} s", (self.apart as f64 / 1_000.0).max(0.1)),
            _ => format!("their clocks lie up to {} apart", span(self.apart)),
        };
        let (off, count) = (span(error), self.count);
        let idle = if idle { ", for this node makes no block until it is right" } else { "" };
        Some(format!(
            "this machine's clock is {off} {side} {count} other institutions' ({agree}): set it (timedatectl){idle}"
        ))
    }
}

/// A span of time for people.
pub fn span(millis: i64) -> String {
    let millis = millis.unsigned_abs();
    let minutes = millis / 60_000;
    match minutes {
        0..=1 => format!("{:.1} s", millis as f64 / 1_000.0),
        2..=119 => format!("{minutes} min {} s", millis / 1_000 % 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is so far ahead of the monotonic one, as an answer says that took so long.
    fn at(ahead: i64, took: i64) -> Reading {
        Reading::new(u64::try_from(ahead + 5_000 + took / 2).expect("after 1970"), 5_000, 5_000 + took)
    }

    fn others(all: &[(i64, i64)]) -> Option<Others> {
        Others::of(&all.iter().map(|(ahead, took)| at(*ahead, *took)).collect::<Vec<_>>())
    }

    #[test]
    fn an_answer_is_as_exact_as_its_way_was_short() {
        let (fast, slow) = (at(1_000_000, 10), at(1_000_000, 800));
        assert_eq!((fast.low, fast.high, fast.middle()), (999_994, 1_000_006, 1_000_000));
        assert_eq!((slow.low, slow.high), (999_599, 1_000_401));
        // whoever sends nonsense breaks nothing
        let nonsense = Reading::new(u64::MAX, -5, 5);
        assert!(nonsense.low <= nonsense.high && nonsense.width() > 0);
        assert!(Others::of(&[nonsense, Reading::new(0, i64::MIN, i64::MAX)]).is_some());
    }

    #[test]
    fn one_clock_alone_proves_nothing() {
        assert_eq!(others(&[]), None);
        assert_eq!(others(&[(3_600_000, 4)]), None);
        assert!(others(&[(3_600_000, 4), (3_600_000, 4)]).is_some());
    }

    #[test]
    fn of_two_clocks_that_differ_none_is_said_to_be_the_wrong_one() {
        let other = at(1_000_000, 10);
        for own in [1_000_000, 1_000_000 + WORTH_SAYING, 1_000_000 - WORTH_SAYING] {
            assert_eq!(other.words("\"Birch Hospital\"", own), None);
        }
        let said = other.words("\"Birch Hospital\"", 880_000).expect("words");
        assert!(said.contains("\"Birch Hospital\" differ by 120.0 s (this one is behind)"), "{said}");
        assert!(said.contains("one of the two is wrong") && said.contains("timedatectl"), "{said}");
        assert!(other.words("x", 1_120_000).expect("words").contains("(this one is ahead)"));
    }

    #[test]
    fn a_clock_is_off_by_what_it_is_outside_the_middle_of_the_others() {
        let three = others(&[(1_000_000, 10), (1_000_020, 10), (999_980, 10)]).expect("three");
        assert_eq!((three.count, three.apart), (3, 40));
        assert_eq!(three.error_of(1_000_000), 0);
        assert_eq!(three.error_of(1_010_206), 10_200);
        assert_eq!(three.error_of(989_994), -10_000);
        assert_eq!(three.error_of(4_600_006), 3_600_000);
        // of slow answers it cannot be told whether a third of a second is wrong
        let slow = others(&[(1_000_000, 1_000), (1_000_000, 1_000)]).expect("two");
        assert_eq!((slow.error_of(1_000_300), slow.error_of(999_700)), (0, 0));
        assert_eq!(slow.error_of(1_010_501), 10_000);
    }

    #[test]
    fn fewer_than_half_cannot_say_that_a_right_clock_is_wrong_and_half_cannot_either() {
        let right = 1_000_000;
        for lie in [right - 3_600_000, right + 3_600_000, i64::MAX / 4].map(|lie| lie.max(0)) {
            for (honest, liars) in [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (8, 7)] {
                let all = [vec![(right, 6); honest], vec![(lie, 6); liars]].concat();
                let told = others(&all).expect("at least two");
                assert_eq!(told.error_of(right), 0, "{honest} honest, {liars} say {lie}");
                // nor hide that it is wrong, unless they are half
                if honest > liars {
                    assert_eq!(told.error_of(right + 10_004), 10_000, "{honest} honest, {liars} say {lie}");
                }
            }
        }
        // more than half can
        assert!(others(&[(right, 6), (right + 9_000, 6), (right + 9_000, 6)]).expect("three").error_of(right) < -8_000);
    }

    #[test]
    fn the_fastest_of_the_last_answers_counts_until_the_clock_is_set() {
        let mut track = Track::default();
        assert_eq!(track.best(), None);
        for took in [900, 12, 600, 400] {
            track.add(at(1_000_000, took));
        }
        assert_eq!(track.best(), Some(at(1_000_000, 12)));
        track.add(at(1_000_000, 500));
        track.add(at(1_000_000, 500));
        assert_eq!(track.0.len(), KEPT);
        // it was set back by an hour: what it said before is wrong
        let mut track = Track::default();
        track.add(at(9_000_000, 12));
        track.add(at(5_400_000, 700));
        assert_eq!(track.best(), Some(at(5_400_000, 700)));
    }

    #[test]
    fn people_are_told_how_far_and_in_which_direction() {
        let three = others(&[(1_000_000, 10), (1_000_080, 10), (1_000_020, 10)]).expect("three");
        assert_eq!(three.words(WORTH_SAYING, false), None);
        assert_eq!(three.words(-WORTH_SAYING, false), None);
        assert_eq!(
            three.words(10_200, false).as_deref(),
            Some("this machine's clock is 10.2 s ahead of 3 other institutions' (their clocks agree within 0.1 s): set it \
                 (timedatectl)")
        );
        assert_eq!(
            three.words(-3_600_100, true).as_deref(),
            Some("this machine's clock is 60 min 0 s behind 3 other institutions' (their clocks agree within 0.1 s): set it \
                 (timedatectl), for this node makes no block until it is right")
        );
        let apart = others(&[(1_000_000, 10), (1_000_000, 10), (8_300_000, 10)]).expect("three");
        let said = apart.words(-400, false).expect("words");
        assert!(said.contains("0.4 s behind") && said.contains("lie up to 2 h 1 min apart"), "{said}");
        assert_eq!(span(119_949), "119.9 s");
    }
}
