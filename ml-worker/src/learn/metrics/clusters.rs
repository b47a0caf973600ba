//! Rows that are not independent of each other.

use std::collections::BTreeMap;

/// Which rows belong together, such as those of one patient.
pub(super) struct Clusters {
    /// Each row's cluster.
    of: Vec<usize>,
    /// How many clusters there are.
    count: usize,
}

/// What a cluster has of one class.
#[derive(Clone, Copy, Default)]
struct Part {
    rows: i128,
    /// Sum of twice the placements.
    sum: i128,
}

impl Clusters {
    /// `None` where each row is alone: what is said of independent rows holds then.
    ///
    /// Clusters are numbered by the order of their keys, so that the order of rows changes no sum.
    pub fn of(groups: &[[u8; 32]]) -> Option<Self> {
        let mut numbers: BTreeMap<&[u8; 32], usize> = groups.iter().map(|group| (group, 0)).collect();
        numbers.values_mut().zip(0..).for_each(|(number, n)| *number = n);
        let of = groups.iter().filter_map(|group| numbers.get(group).copied()).collect();
        (numbers.len() < groups.len()).then_some(Self { of, count: numbers.len() })
    }

    /// Each cluster's positive part and its negative one.
    fn parts(&self, labels: &[bool], twice: impl Fn(usize) -> i64) -> Vec<(Part, Part)> {
        let mut parts = vec![(Part::default(), Part::default()); self.count];
        for (row, (cluster, label)) in self.of.iter().zip(labels).enumerate() {
            let (positive, negative) = &mut parts[*cluster];
            let part = if *label { positive } else { negative };
            part.rows += 1;
            part.sum += i128::from(twice(row));
        }
        parts
    }

    /// Obuchowski's variance of an AUC, or of the difference of two on the same rows (Obuchowski, "Nonparametric analysis of
    /// clustered ROC curve data", Biometrics 53, 1997), from twice the placements or their differences.
    ///
    /// With `M` positive and `N` negative rows, of which cluster `i` has `m` and `n`, `θ` the AUC, `X` and `Y` the sums of the
    /// placements (as shares) of a cluster's positive and negative rows, `I` clusters, of which `P` have a positive and `Q` a
    /// negative row:
    ///
    /// ```text
    /// P ÷ (P − 1) · Σ (X − m·θ)² ÷ M²  +  Q ÷ (Q − 1) · Σ (Y − n·θ)² ÷ N²  +  2 · I ÷ (I − 1) · Σ (X − m·θ)·(Y − n·θ) ÷ (M·N)
    /// ```
    ///
    /// With one row to a cluster it is DeLong's. `None` where less than two clusters have a positive row, or a negative one.
    /// It can be below 0 where few clusters have both, which says no more than 0 does.
    pub fn variance(&self, twice: &[i64], labels: &[bool]) -> Option<f64> {
        let parts = self.parts(labels, |row| twice[row]);
        let all = |of: &dyn Fn(&(Part, Part)) -> i128| parts.iter().map(of).sum::<i128>();
        let (m, n, total) = (all(&|p| p.0.rows), all(&|p| p.1.rows), all(&|p| p.0.sum));
        let with = |of: &dyn Fn(&(Part, Part)) -> i128| parts.iter().filter(|p| of(p) > 0).count() as f64;
        let (p, q, i) = (with(&|p| p.0.rows), with(&|p| p.1.rows), self.count as f64);
        if p < 2.0 || q < 2.0 {
            return None;
        }
        // times 2·M·N they are whole numbers, and 0 is 0
        let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
        for (positive, negative) in &parts {
            let x = (m * positive.sum - positive.rows * total) as f64;
            let y = (n * negative.sum - negative.rows * total) as f64;
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
        let (m, n) = (m as f64, n as f64);
        let sum = p / (p - 1.0) * xx / (m * m) + q / (q - 1.0) * yy / (n * n) + 2.0 * i / (i - 1.0) * xy / (m * n);
        Some(sum / (4.0 * m * m * n * n))
    }

    /// How many pairs of a positive and a negative row can be made, each of two clusters that no other pair uses.
    pub fn pairs(&self, labels: &[bool]) -> usize {
        let parts = self.parts(labels, |_| 0);
        let with = |of: &dyn Fn(&(Part, Part)) -> bool| parts.iter().filter(|p| of(p)).count();
        let (positive, negative) = (with(&|p| p.0.rows > 0), with(&|p| p.1.rows > 0));
        positive.min(negative).min(self.count / 2)
    }
}
