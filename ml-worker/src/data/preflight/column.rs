//! What stands out in one numeric column: codes among its numbers, constants, row numbers.

/// Smallest and largest values that are looked at for codes; a file has two or three of them.
const ENDS: usize = 4;
/// How many times as far from all others as these are from each other a value lies that several rows share, so that it is
/// taken for a code; one of nines, eights or sevens need only be farther than that.
const APART: f64 = 5.0;
/// What rounding to numbers of 32 bits may make of a constant, as a share of it.
const SINGLE: f64 = 1.0 / 16_777_216.0;

/// Values from one end on, each with how many rows have it; ∞ where there are no more.
type Ends = [(f64, usize); ENDS];

/// One column, as it is gone through.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub known: usize,
    first: f64,
    pub differs: bool,
    /// The value that has more than half of the rows, if any has (Boyer and Moore's vote).
    pub most: f64,
    votes: usize,
    pub has_most: usize,
    pub limit: f64,
    pub beyond: usize,
    low: Ends,
    /// Of the values' opposites.
    high: Ends,
    /// Whether all are whole numbers, each above the one before.
    rises: bool,
    last: f64,
}

impl Default for Column {
    fn default() -> Self {
        let none = [(f64::INFINITY, 0); ENDS];
        Self {
            known: 0,
            first: 0.0,
            differs: false,
            most: 0.0,
            votes: 0,
            has_most: 0,
            limit: 0.0,
            beyond: 0,
            low: none,
            high: none,
            rises: true,
            last: f64::NEG_INFINITY,
        }
    }
}

impl Column {
    pub fn see(&mut self, value: f64) {
        if self.known == 0 {
            self.first = value;
        }
        self.known += 1;
        self.differs |= (value - self.first).abs() > self.first.abs() * SINGLE;
        if self.votes == 0 {
            self.most = value;
        }
        self.votes = if value == self.most { self.votes + 1 } else { self.votes - 1 };
        self.rises &= value > self.last && value.fract() == 0.0;
        self.last = value;
        keep(&mut self.low, value);
        keep(&mut self.high, -value);
    }

    /// Whether it counts: row numbers, or names of patients in the order of their coming.
    pub fn counts(&self) -> bool {
        const FEWEST: usize = 20;
        self.rises && self.known >= FEWEST
    }

    /// Rows whose value looks like a code, as -999 for "not known": several rows share it, far outside all others.
    pub fn codes(&self) -> usize {
        let pairs = (0..ENDS).flat_map(|low| (0..ENDS).map(move |high| (low, high))).filter(|pair| *pair != (0, 0));
        pairs.map(|(low, high)| self.outside(low, high)).max().unwrap_or(0)
    }

    /// Rows that have so many of the smallest and largest values, if all of these look like codes beside the others.
    fn outside(&self, i: usize, j: usize) -> usize {
        let (low, high) = (self.low[i].0, -self.high[j].0);
        let (small, large) = (&self.low[..i], &self.high[..j]);
        let width = high - low;
        let shared = small.iter().chain(large).all(|(_, rows)| *rows > 1);
        if !(low.is_finite() && high.is_finite() && width > 0.0 && shared) {
            return 0;
        }
        let far = |gap: f64, nines: bool| gap > if nines { width } else { APART * width };
        let below = small.last().is_none_or(|(nearest, _)| {
            let nines = small.iter().all(|(value, _)| *value == -1.0 || nines(*value));
            // the only values below 0, of a column that is no short list of grades
            far(low - nearest, nines) || nines && *nearest < 0.0 && low >= 0.0 && high >= 10.0
        });
        let above = large.last().is_none_or(|(nearest, _)| far(-nearest - high, large.iter().all(|(v, _)| nines(*v))));
        if below && above {
            small.iter().chain(large).map(|(_, rows)| rows).sum()
        } else {
            0
        }
    }
}

/// Whether a number is one that codes are: of nines, eights or sevens alone.
fn nines(value: f64) -> bool {
    let text = value.abs().to_string();
    ['9', '8', '7'].into_iter().any(|digit| text.chars().all(|c| c == digit || c == '.'))
}

/// Puts a value among the smallest.
fn keep(ends: &mut Ends, value: f64) {
    if value > ends[ENDS - 1].0 {
        return;
    }
    let place = ends.iter().position(|(there, _)| *there >= value).unwrap_or(ENDS - 1);
    if ends[place].0 == value {
        ends[place].1 += 1;
    } else {
        ends[place..].rotate_right(1);
        ends[place] = (value, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: impl IntoIterator<Item = f64>) -> Column {
        let mut column = Column::default();
        values.into_iter().for_each(|value| column.see(value));
        column
    }

    #[test]
    fn codes_are_found_at_either_end_and_several_at_once_and_nothing_in_clean_columns() {
        let ages = || (0..200).map(|n| f64::from(25 + 7 * n % 66));
        let some = |code: f64, rows: usize| std::iter::repeat_n(code, rows);
        for (codes, rows) in [
            (vec![(-999.0, 7)], 7),
            (vec![(999.0, 2)], 2),
            (vec![(-9.0, 3)], 3),
            (vec![(-1.0, 3)], 3),
            (vec![(9999.0, 4), (-999.0, 5), (-888.0, 2)], 11),
            (vec![(-1000.0, 4)], 4),
            (vec![(-99.9, 4), (-99.8, 1)], 0),
            (vec![(-999.0, 1)], 0),
            (vec![(99.0, 3)], 0),
        ] {
            let all = ages().chain(codes.iter().flat_map(|(code, rows)| some(*code, *rows)));
            assert_eq!(column(all).codes(), rows, "{codes:?}");
        }
        // flags with an unknown; grades; counts; what falls off; one value only
        assert_eq!(column(some(0.0, 50).chain(some(1.0, 9)).chain(some(9.0, 3))).codes(), 3);
        for clean in [
            (0..90).map(|n| f64::from(n % 5) - 1.0).collect::<Vec<_>>(),
            (0..90).map(|n| f64::from(n % 2)).collect(),
            (0..90).map(|n| f64::from((n % 10) * (n % 10))).collect(),
            (0..90).map(|n| (f64::from(n % 30) / 4.0).exp()).collect(),
            vec![5.0; 30],
            vec![],
        ] {
            assert_eq!(column(clean.clone()).codes(), 0, "{clean:?}");
        }
    }

    #[test]
    fn constants_but_for_rounding_and_row_numbers_are_told() {
        assert!(!column([14.62, 14.619_999_885_559_082, 14.62]).differs);
        assert!(column([14.62, 14.63]).differs && column([0.0, 1e-300]).differs);
        assert!(column((0..30).map(|n| f64::from(3 * n))).counts());
        assert!(!column((0..30).map(|n| f64::from(n / 2))).counts());
        assert!(!column((0..30).map(|n| f64::from(n) + 0.5)).counts() && !column((0..9).map(f64::from)).counts());
    }
}
