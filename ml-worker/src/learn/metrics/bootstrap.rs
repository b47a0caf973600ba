//! Intervals of whatever figure, by drawing groups of rows again.

use crate::random::{key, Stream};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows drawn again: as many groups as there are, with replacement, each with all its rows (Efron and Tibshirani, "An
/// Introduction to the Bootstrap", 1993; by group: Field and Welsh, "Bootstrapping clustered data", 2007).
pub struct Resampling {
    /// Rows of each group.
    groups: Vec<Vec<usize>>,
    draws: u32,
    seed: u64,
}

/// A figure's interval over draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// From the 2.5th to the 97.5th percentile. `None` where less than half of the draws have a value.
    pub interval: Option<(f64, f64)>,
    /// Draws in which the figure is not defined.
    pub undefined: u32,
}

impl Resampling {
    /// Of rows with these groups, in the order in which the groups first appear. The same seed gives the same draws.
    pub fn new(groups: &[[u8; 32]], draws: u32, seed: u64) -> Self {
        let mut numbers: BTreeMap<&[u8; 32], usize> = BTreeMap::new();
        let mut of: Vec<Vec<usize>> = Vec::new();
        for (row, group) in groups.iter().enumerate() {
            let number = *numbers.entry(group).or_insert(of.len());
            if number == of.len() {
                of.push(Vec::new());
            }
            of[number].push(row);
        }
        Self { groups: of, draws, seed }
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The rows of one draw.
    pub fn rows(&self, draw: u32) -> Vec<usize> {
        let mut stream = Stream::new(key("consilium/bootstrap/1", &[&self.seed.to_le_bytes(), &draw.to_le_bytes()]));
        let count = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        (0..count).flat_map(|_| &self.groups[stream.below(count.max(1)) as usize]).copied().collect()
    }

    /// Intervals of several figures of the rows of each draw, which must come in the same order each time.
    pub fn intervals<F>(&self, figures: F) -> Vec<Drawn>
    where
        F: Fn(&[usize]) -> Vec<Option<f64>> + Sync,
    {
        let drawn: Vec<Vec<Option<f64>>> =
            (0..self.draws).into_par_iter().map(|draw| figures(&self.rows(draw))).collect();
        let width = drawn.first().map_or(0, Vec::len);
        let one = |n: usize| {
            let mut values: Vec<f64> =
                drawn.iter().filter_map(|d| d.get(n).copied().flatten()).filter(|v| !v.is_nan()).collect();
            values.sort_unstable_by(f64::total_cmp);
            let enough = values.len() * 2 >= drawn.len() && !values.is_empty();
            Drawn {
                interval: enough.then(|| (quantile(&values, 0.025), quantile(&values, 0.975))),
                undefined: self.draws - values.len() as u32,
            }
        };
        (0..width).map(one).collect()
    }
}

/// A quantile of sorted values, on the line between the two nearest (type 7 of Hyndman and Fan, 1996).
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below], sorted[above]);
    if low == high {
        return low;
    }
    low + (high - low) * (place - below as f64)
}
