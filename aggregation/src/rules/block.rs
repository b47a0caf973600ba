//! One block of coordinates: from the updates' numbers to the model's.

use super::{
    plan::{Kind, Pick, Plan},
    sorting::{self, Key, LANES},
    Server,
};
use pulp::{Simd, WithSimd};

/// Coordinates that are summed at a time: their sums stay in registers.
const SUMS: usize = 32;

type Row<T> = [T; LANES];

impl Plan {
    /// Merges one block: the same coordinates of every update and of the model that they stand on, which may be left out where
    /// neither the plan ([`Plan::asks_base`]) nor an optimiser looks at it. `m` and `v` are the
    /// optimiser's, and are not touched without one. False: something is not finite.
    pub(crate) fn block(
        &self,
        data: &[&[f32]],
        base: &[f32],
        server: Option<&Server>,
        m: &mut [f32],
        v: &mut [f32],
        out: &mut [f32],
    ) -> bool {
        pulp::Arch::new().dispatch(Block { plan: self, data, base, server, m, v, out })
    }

    #[inline(always)]
    fn whole(
        &self,
        data: &[&[f32]],
        base: &[f32],
        server: Option<&Server>,
        m: &mut [f32],
        v: &mut [f32],
        out: &mut [f32],
    ) -> bool {
        if let (Kind::Sum { parts, total, around_base: false }, None) = (&self.kind, server) {
            return summed_to(parts, *total, data, out);
        }
        let mut sound = true;
        let mut rows = Rows::default();
        for start in (0..out.len()).step_by(LANES) {
            let len = LANES.min(out.len() - start);
            let mut merged = [0f64; LANES];
            sound &= self.tile(data, base, start, len, &mut rows, &mut merged);
            let out = &mut out[start..start + len];
            match server {
                None => {
                    for (number, merged) in out.iter_mut().zip(&merged) {
                        *number = rounded(*merged);
                    }
                }
                Some(server) => {
                    for (lane, number) in out.iter_mut().enumerate() {
                        let k = start + lane;
                        let w = f64::from(base[k]);
                        let mut first = f64::from(m[k]);
                        let mut second = v.get(k).map_or(0.0, |v| f64::from(*v));
                        *number = rounded(server.step(w, merged[lane] - w, &mut first, &mut second));
                        m[k] = rounded(first);
                        sound &= m[k].is_finite();
                        if let Some(v) = v.get_mut(k) {
                            *v = rounded(second);
                            sound &= v.is_finite();
                        }
                    }
                }
            }
            sound &= finite(out);
        }
        sound
    }

    /// The merge before rounding, for comparison with numbers of `f64`.
    pub fn exact(&self, data: &[&[f32]], base: &[f32]) -> Vec<f64> {
        let mut all = Vec::with_capacity(base.len());
        let mut rows = Rows::default();
        for start in (0..base.len()).step_by(LANES) {
            let len = LANES.min(base.len() - start);
            let mut merged = [0f64; LANES];
            self.tile(data, base, start, len, &mut rows, &mut merged);
            all.extend_from_slice(&merged[..len]);
        }
        all
    }

    #[inline(always)]
    fn tile(
        &self,
        data: &[&[f32]],
        base: &[f32],
        start: usize,
        len: usize,
        rows: &mut Rows,
        merged: &mut Row<f64>,
    ) -> bool {
        match &self.kind {
            Kind::Sum { parts, total, around_base } => {
                let base = base.get(start..start + len).unwrap_or_default();
                for at in (0..len).step_by(SUMS) {
                    let end = (at + SUMS).min(len);
                    let sums = &mut merged[at..end];
                    if *around_base {
                        steps(parts, data, &base[at..end], start + at, sums);
                    } else {
                        summed(parts, data, start + at, sums);
                    }
                    for sum in sums.iter_mut() {
                        *sum /= total;
                    }
                    if *around_base {
                        for (sum, w) in sums.iter_mut().zip(&base[at..end]) {
                            *sum += f64::from(*w);
                        }
                    }
                }
                true
            }
            Kind::Sorted { network, pick } => {
                let plain = self.mixed.is_empty() && self.shortened.iter().all(|factor| *factor == 1.0);
                if plain {
                    let sound = fill(&mut rows.narrow, data, start, len);
                    pick.of(&mut rows.narrow, &mut rows.weights, network, merged);
                    return sound;
                }
                let base = base.get(start..start + len).unwrap_or_default();
                let sound = self.changed(data, base, start, len, rows);
                pick.of(&mut rows.wide, &mut rows.weights, network, merged);
                sound
            }
        }
    }

    /// The values after shortening and mixing; lanes beyond the end hold any. False: some number is not finite.
    #[inline(always)]
    fn changed(&self, data: &[&[f32]], base: &[f32], start: usize, len: usize, rows: &mut Rows) -> bool {
        let Rows { short, wide, .. } = rows;
        short.resize(data.len(), [0.0; LANES]);
        let mut sound = true;
        for ((row, data), factor) in short.iter_mut().zip(data).zip(&self.shortened) {
            let data = &data[start..start + len];
            sound &= finite(data);
            for (value, x) in row.iter_mut().zip(data) {
                // + 0.0: −0 and +0 are one value
                *value = f64::from(*x) + 0.0;
            }
            if *factor != 1.0 {
                for (x, w) in row.iter_mut().zip(base) {
                    let w = f64::from(*w);
                    *x = w + factor * (*x - w) + 0.0;
                }
            }
        }
        wide.resize(data.len(), [0; LANES]);
        if self.mixed.is_empty() {
            for (keys, row) in wide.iter_mut().zip(&*short) {
                *keys = row.map(Key::of);
            }
        }
        for (keys, near) in wide.iter_mut().zip(&self.mixed) {
            let mut sum = [0f64; LANES];
            for i in near {
                for (sum, x) in sum.iter_mut().zip(&short[*i]) {
                    *sum += x;
                }
            }
            *keys = sum.map(|sum| Key::of(sum / near.len() as f64 + 0.0));
        }
        sound
    }
}

/// [`Plan::block`] for any width of vectors.
struct Block<'a> {
    plan: &'a Plan,
    data: &'a [&'a [f32]],
    base: &'a [f32],
    server: Option<&'a Server>,
    m: &'a mut [f32],
    v: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        self.plan.whole(self.data, self.base, self.server, self.m, self.v, self.out)
    }
}

/// Values of one tile, one row an update. Kept from tile to tile.
#[derive(Default)]
struct Rows {
    narrow: Vec<Row<i32>>,
    wide: Vec<Row<i64>>,
    short: Vec<Row<f64>>,
    weights: Vec<Row<u32>>,
}

/// Rounds once; −0 becomes +0. Rounding may underflow to −0, hence after it.
#[inline(always)]
fn rounded(number: f64) -> f32 {
    number as f32 + 0.0
}

/// Looks at all of them, which takes less time than to stop at one.
#[inline(always)]
fn finite(numbers: &[f32]) -> bool {
    numbers.iter().fold(true, |sound, x| sound & (x.abs() <= f32::MAX))
}

/// A sum of updates and nothing else, without a step by way of memory. False: something is not finite.
#[inline(always)]
fn summed_to(parts: &[(usize, f64)], total: f64, data: &[&[f32]], out: &mut [f32]) -> bool {
    let parts: Vec<(f64, &[f32])> = parts.iter().map(|(i, part)| (*part, &data[*i][..out.len()])).collect();
    let mut sound = true;
    let mut tiles = out.chunks_exact_mut(SUMS);
    let mut start = 0;
    for out in &mut tiles {
        let mut sums = [0f64; SUMS];
        for (part, numbers) in &parts {
            for (sum, x) in sums.iter_mut().zip(&numbers[start..start + SUMS]) {
                *sum += part * f64::from(*x);
            }
        }
        for (number, sum) in out.iter_mut().zip(sums) {
            *number = rounded(sum / total);
        }
        sound &= finite(out);
        start += SUMS;
    }
    for (number, k) in tiles.into_remainder().iter_mut().zip(start..) {
        let sum = parts.iter().fold(0.0, |sum, (part, numbers)| sum + part * f64::from(numbers[k]));
        *number = rounded(sum / total);
        sound &= number.is_finite();
    }
    sound
}

#[inline(always)]
fn summed(parts: &[(usize, f64)], data: &[&[f32]], start: usize, sums: &mut [f64]) {
    for (i, part) in parts {
        for (sum, x) in sums.iter_mut().zip(&data[*i][start..]) {
            *sum += part * f64::from(*x);
        }
    }
}

#[inline(always)]
fn steps(parts: &[(usize, f64)], data: &[&[f32]], base: &[f32], start: usize, sums: &mut [f64]) {
    for (i, part) in parts {
        for ((sum, x), w) in sums.iter_mut().zip(&data[*i][start..]).zip(base) {
            *sum += part * (f64::from(*x) - f64::from(*w));
        }
    }
}

/// One row for each update; lanes beyond the end hold any. False: some number is not finite.
#[inline(always)]
fn fill(rows: &mut Vec<Row<i32>>, data: &[&[f32]], start: usize, len: usize) -> bool {
    rows.resize(data.len(), [0; LANES]);
    let mut sound = true;
    for (row, data) in rows.iter_mut().zip(data) {
        let data = &data[start..start + len];
        for (key, x) in row.iter_mut().zip(data) {
            *key = Key::of(x + 0.0);
        }
        sound &= finite(data);
    }
    sound
}

impl Pick {
    #[inline(always)]
    fn of<K: Key>(
        &self,
        rows: &mut [Row<K>],
        carried: &mut Vec<Row<u32>>,
        network: &[(usize, usize)],
        merged: &mut Row<f64>,
    ) {
        let n = rows.len();
        match self {
            Self::Trimmed(drop) => {
                sorting::sort(rows, network);
                for row in &rows[*drop..n - drop] {
                    for (sum, x) in merged.iter_mut().zip(row) {
                        *sum += x.number();
                    }
                }
                let kept = (n - 2 * drop) as f64;
                merged.iter_mut().for_each(|sum| *sum /= kept);
            }
            Self::Median => {
                sorting::sort(rows, network);
                halfway(&rows[(n - 1) / 2], &rows[n / 2], merged);
            }
            Self::Weighted { weights, total } => {
                carried.clear();
                carried.extend(weights.iter().map(|weight| [*weight; LANES]));
                sorting::sort_weighted(rows, carried, network);
                // the least value at which the weights up to it are half or more, and that at which they are more than half
                let (mut low, mut high, mut upto) = (rows[0], rows[0], [0u64; LANES]);
                for (weights, next) in carried.iter().zip(&rows[1..]) {
                    for lane in 0..LANES {
                        upto[lane] += 2 * u64::from(weights[lane]);
                        low[lane] = if upto[lane] < *total { next[lane] } else { low[lane] };
                        high[lane] = if upto[lane] <= *total { next[lane] } else { high[lane] };
                    }
                }
                halfway(&low, &high, merged);
            }
        }
    }
}

#[inline(always)]
fn halfway<K: Key>(low: &Row<K>, high: &Row<K>, merged: &mut Row<f64>) {
    for ((middle, a), b) in merged.iter_mut().zip(low).zip(high) {
        *middle = (a.number() + b.number()) * 0.5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Gram;
    use consilium_primitives::{
        rules::{NormBound, ServerOptimizer},
        Merge, MergeRule, Weighting,
    };

    /// What machines with narrow vectors run is held against what this one runs.
    #[test]
    fn the_width_of_vectors_changes_no_bit() {
        let made = |seed: u32| -> Vec<f32> {
            let mixed = (0..4096 + 77u32).map(|k| (k + seed * 7919).wrapping_mul(2_654_435_761));
            mixed.map(|x| ((x >> 8) as f32 / (1 << 23) as f32 - 1.0) / ((x & 31) as f32 + 0.3)).collect()
        };
        let (updates, base): (Vec<Vec<f32>>, _) = ((1..10).map(made).collect(), made(99));
        let data: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
        let weights = [3, 1, 4, 1, 5, 9, 2, 6, 5];
        let products = products_of_one_block(&data, &base);
        assert_eq!(products.0, products.1);
        let mut gram = Gram::new(data.len());
        gram.add(&data, &base);
        let server = Server::new(&ServerOptimizer::Momentum { rate: 700_000, beta: 900_000 });
        let by = |rule, liars| Merge { liars, ..Merge::by(rule) };
        let mean = || Merge::by(MergeRule::Mean(Weighting::Samples));
        let median = || by(MergeRule::Median(Weighting::Samples), 2);
        for (way, weights, server) in [
            (mean(), weights, None),
            (mean(), weights, Some(&server)),
            (Merge { bound: Some(NormBound::Median), ..mean() }, weights, None),
            (median(), weights, None),
            (median(), [1; 9], None),
            (Merge { mixing: true, bound: Some(NormBound::Median), ..median() }, weights, None),
            (by(MergeRule::TrimmedMean, 2), weights, None),
            (by(MergeRule::Krum { keep: 3 }, 2), weights, None),
        ] {
            let plan = Plan::new(&way, &weights, Some(&gram));
            let of = |wide: bool| {
                let (mut m, mut out) = (vec![0.25; base.len()], vec![0.0; base.len()]);
                let sound = if wide {
                    plan.block(&data, &base, server, &mut m, &mut [], &mut out)
                } else {
                    plan.whole(&data, &base, server, &mut m, &mut [], &mut out)
                };
                assert!(sound);
                [out, m].concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            };
            assert!(of(true) == of(false), "{way:?}");
        }
    }

    fn products_of_one_block(data: &[&[f32]], base: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let data: Vec<&[f32]> = data.iter().map(|data| &data[..4000]).collect();
        (Gram::of_blocks(&data, &base[..4000], 0).concat(), Gram::of_narrow_block(&data, &base[..4000]))
    }
}
