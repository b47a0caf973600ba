//! How good predictions of the time until an event are, of rows of which some were not followed until it.

use super::super::loss::survivals;
use serde::Serialize;

/// Groups of rows by predicted risk, at each horizon.
const BINS: usize = 5;
/// Rows that such a group has at least: of fewer, the share that Kaplan and Meier's estimate gives says little.
const ROWS_OF_BIN: usize = 10;

/// Figures of one model on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survival {
    /// Rows.
    pub rows: usize,
    /// Rows with an event, whenever.
    pub events: usize,
    /// Mean over the rows of minus the logarithm of the likelihood of what was seen of them up to the last cut (the masked
    /// cross-entropy of the intervals), in nats; 0 and more.
    pub log_loss: f64,
    /// Harrell's C (Harrell et al., "Evaluating the yield of medical tests", JAMA 247, 1982): of all pairs of which it is known
    /// who had the event first, the share in which that one's predicted risk of an event by the last cut was the higher,
    /// equal risks counted half. A row without an event at a time is known to be later than one with an event at that time.
    /// 0 to 1; `None` without such a pair.
    pub concordance: Option<f64>,
    /// At each cut.
    pub horizons: Vec<Horizon>,
}

/// Figures at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Horizon {
    /// The time.
    pub time: f64,
    /// Rows whose event came by then.
    pub events: usize,
    /// Rows that were followed beyond it.
    pub beyond: usize,
    /// Brier score with weights by the inverse of the probability of being followed (Graf et al., Statistics in Medicine 18,
    /// 1999): the mean of `S(t)² ÷ G(T−)` of rows with an event at `T ≤ t`, of `(1 − S(t))² ÷ G(t)` of rows that were followed
    /// beyond `t`, and of 0 of the others; `S` is the predicted probability of no event by `t`, `G` Kaplan and Meier's
    /// estimate, on these rows, of the probability of being followed (where both fall on one time, events come first). `None`
    /// where no row was followed beyond `t`.
    pub brier: Option<f64>,
    /// The same of somebody who says Kaplan and Meier's estimate on these rows of everybody: to compare with.
    pub brier_of_all_alike: Option<f64>,
    /// Mean predicted probability of an event by then.
    pub said: f64,
    /// What came true: one minus Kaplan and Meier's estimate on these rows. `None` where no row was followed so long.
    pub found: Option<f64>,
    /// The same of fifths of the rows by predicted risk, from the lowest; empty with fewer than fifty rows, of which a fifth
    /// says little.
    pub calibration: Vec<Fifth>,
}

/// Of rows whose predicted risks are next to each other: what was said, and what came true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fifth {
    /// Rows.
    pub rows: usize,
    /// Mean of their predicted risks.
    pub said: f64,
    /// One minus Kaplan and Meier's estimate on them; `None` where none of them was followed so long.
    pub found: Option<f64>,
}

impl Survival {
    /// Figures of these logits of hazards, one per interval and row. `cuts`: the ends of the intervals, ascending; `times`
    /// and `events` of each row; `log_loss` of each row. `None` without rows, or where lengths do not fit.
    pub fn of(logits: &[f32], cuts: &[f64], times: &[f64], events: &[bool], log_loss: &[f64]) -> Option<Self> {
        let rows = times.len();
        let fits = rows > 0 && events.len() == rows && log_loss.len() == rows && !cuts.is_empty();
        if !fits || logits.len() != rows * cuts.len() {
            return None;
        }
        let curves: Vec<Vec<f64>> = logits.chunks_exact(cuts.len()).map(survivals).collect();
        // the cumulative hazard orders risks that are all but 1, too
        let risks: Vec<f64> = logits.chunks_exact(cuts.len()).map(cumulative).collect();
        let followed = Steps::of(times, events, false);
        let alive = Steps::of(times, events, true);
        let horizon = |(n, time): (usize, &f64)| {
            let said: Vec<f64> = curves.iter().map(|curve| curve[n]).collect();
            Horizon::of(*time, &said, (times, events), (&alive, &followed))
        };
        Some(Self {
            rows,
            events: events.iter().filter(|event| **event).count(),
            log_loss: log_loss.iter().sum::<f64>() / rows as f64,
            concordance: concordance(&risks, times, events),
            horizons: cuts.iter().enumerate().map(horizon).collect(),
        })
    }
}

impl Horizon {
    fn of(
        time: f64,
        survival: &[f64],
        (times, events): (&[f64], &[bool]),
        (alive, followed): (&Steps, &Steps),
    ) -> Self {
        let brier = |said: &dyn Fn(usize) -> f64| {
            let row = |row: usize| match (times[row] > time, events[row]) {
                (true, _) => (1.0 - said(row)).powi(2) / followed.at(time),
                (false, true) => said(row).powi(2) / followed.before(times[row]),
                (false, false) => 0.0,
            };
            (0..times.len()).map(row).sum::<f64>() / times.len() as f64
        };
        let beyond = times.iter().filter(|seen| **seen > time).count();
        let found = alive.until(time).map(|alive| 1.0 - alive);
        let mean = |rows: &[usize]| rows.iter().map(|row| 1.0 - survival[*row]).sum::<f64>() / rows.len() as f64;
        let mut order: Vec<usize> = (0..times.len()).collect();
        let said = mean(&order);
        order.sort_by(|a, b| survival[*b].total_cmp(&survival[*a]));
        let fifth = |n: usize| {
            let part = &order[n * order.len() / BINS..(n + 1) * order.len() / BINS];
            let times: Vec<f64> = part.iter().map(|row| times[*row]).collect();
            let events: Vec<bool> = part.iter().map(|row| events[*row]).collect();
            let found = Steps::of(&times, &events, true).until(time).map(|alive| 1.0 - alive);
            Fifth { rows: part.len(), said: mean(part), found }
        };
        let enough = order.len() >= BINS * ROWS_OF_BIN;
        Self {
            time,
            events: times.iter().zip(events).filter(|(seen, event)| **event && **seen <= time).count(),
            beyond,
            brier: (beyond > 0).then(|| brier(&|row| survival[row])),
            brier_of_all_alike: alive.until(time).filter(|_| beyond > 0).map(|alive| brier(&|_| alive)),
            said,
            found,
            calibration: if enough { (0..BINS).map(fifth).collect() } else { Vec::new() },
        }
    }
}

/// Minus the logarithm of the probability of no event by the last cut.
fn cumulative(logits: &[f32]) -> f64 {
    logits.iter().fold(0.0, |sum, z| sum + super::super::loss::log_loss(f64::from(*z), false))
}

/// Kaplan and Meier's estimate (Journal of the American Statistical Association 53, 1958): a curve of steps.
struct Steps {
    /// Times at which it falls, and its value from then on.
    steps: Vec<(f64, f64)>,
    /// The last time that anybody was seen.
    last: f64,
    /// Whether it is 0 from its last step on.
    ended: bool,
}

impl Steps {
    /// Of events, or, with `events` false, of the end of being followed; of both at one time events come first.
    fn of(times: &[f64], happened: &[bool], events: bool) -> Self {
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
        let (mut steps, mut value, mut start) = (Vec::new(), 1.0, 0);
        while let Some(first) = order.get(start) {
            let time = times[*first];
            let same: Vec<usize> = order[start..].iter().copied().take_while(|row| times[*row] == time).collect();
            let had = same.iter().filter(|row| happened[**row]).count();
            let left = order.len() - start;
            let (fall, at_risk) = if events { (had, left) } else { (same.len() - had, left - had) };
            if fall > 0 {
                value *= 1.0 - fall as f64 / at_risk as f64;
                steps.push((time, value));
            }
            // a time that is no number equals none: it ends here
            start += same.len().max(1);
        }
        let last = order.last().map_or(0.0, |row| times[*row]);
        Self { steps, last, ended: value == 0.0 }
    }

    /// At a time.
    fn at(&self, time: f64) -> f64 {
        let place = self.steps.partition_point(|(step, _)| *step <= time);
        place.checked_sub(1).map_or(1.0, |place| self.steps[place].1)
    }

    /// Just before it.
    fn before(&self, time: f64) -> f64 {
        let place = self.steps.partition_point(|(step, _)| *step < time);
        place.checked_sub(1).map_or(1.0, |place| self.steps[place].1)
    }

    /// At a time, as far as anybody was followed.
    fn until(&self, time: f64) -> Option<f64> {
        (time <= self.last || self.ended).then(|| self.at(time))
    }
}

/// Harrell's C of risks: pairs are counted from the latest time on, with the ranks of the risks that are later in a tree
/// (Fenwick, Software: Practice and Experience 24, 1994), so that many rows take no time that grows with their square.
fn concordance(risks: &[f64], times: &[f64], events: &[bool]) -> Option<f64> {
    if risks.iter().chain(times).any(|number| number.is_nan()) {
        return None;
    }
    let mut sorted = risks.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let rank = |row: usize| sorted.partition_point(|risk| *risk < risks[row]);
    let mut tree = vec![0u64; sorted.len() + 1];
    let add = |tree: &mut [u64], rank: usize| {
        let mut place = rank + 1;
        while let Some(count) = tree.get_mut(place) {
            *count += 1;
            place += place & place.wrapping_neg();
        }
    };
    // how many have a rank below this one
    let below = |tree: &[u64], rank: usize| {
        let (mut place, mut sum) = (rank, 0);
        while place > 0 {
            sum += tree[place];
            place &= place - 1;
        }
        sum
    };
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| times[*b].total_cmp(&times[*a]));
    let (mut right, mut pairs, mut later, mut start) = (0.0, 0.0, 0u64, 0);
    while let Some(first) = order.get(start) {
        let same = order[start..].iter().take_while(|row| times[**row] == times[*first]).count();
        let now = &order[start..start + same];
        // who has no event now is later than who has one
        for row in now.iter().filter(|row| !events[**row]) {
            add(&mut tree, rank(*row));
            later += 1;
        }
        for row in now.iter().filter(|row| events[**row]) {
            let (lower, upto) = (below(&tree, rank(*row)), below(&tree, rank(*row) + 1));
            right += lower as f64 + 0.5 * (upto - lower) as f64;
            pairs += later as f64;
        }
        for row in now.iter().filter(|row| events[**row]) {
            add(&mut tree, rank(*row));
            later += 1;
        }
        start += same;
    }
    (pairs > 0.0).then(|| right / pairs)
}
