//! One block of coordinates: from the updates' numbers to the model's.

use super::{
    plan::{Kind, Pick, Plan},
    sorting::{self, LANES},
    Server,
};

/// Coordinates that are summed at a time: their sums stay in registers.
const SUMS: usize = 16;

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
            sound &= out.iter().all(|number| number.is_finite());
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
                    pick.of(&mut rows.narrow, network, merged);
                    return sound;
                }
                let sound = fill(&mut rows.narrow, data, start, len);
                let base = base.get(start..start + len).unwrap_or_default();
                self.changed(&rows.narrow, base, &mut rows.wide, &mut rows.mixed);
                pick.of(if self.mixed.is_empty() { &mut rows.wide } else { &mut rows.mixed }, network, merged);
                sound
            }
        }
    }

    /// The values after shortening and mixing.
    fn changed(&self, from: &[Row<f32>], base: &[f32], short: &mut Vec<Row<f64>>, mixed: &mut Vec<Row<f64>>) {
        short.clear();
        for (row, factor) in from.iter().zip(&self.shortened) {
            let mut wide = row.map(f64::from);
            if *factor != 1.0 {
                for (x, w) in wide.iter_mut().zip(base) {
                    let w = f64::from(*w);
                    // + 0.0: −0 and +0 are one value
                    *x = w + factor * (*x - w) + 0.0;
                }
            }
            short.push(wide);
        }
        mixed.clear();
        for near in &self.mixed {
            let mut sum = [0f64; LANES];
            for i in near {
                for (sum, x) in sum.iter_mut().zip(&short[*i]) {
                    *sum += x;
                }
            }
            mixed.push(sum.map(|sum| sum / near.len() as f64));
        }
    }
}

/// Values of one tile, one row an update. Kept from tile to tile.
#[derive(Default)]
struct Rows {
    narrow: Vec<Row<f32>>,
    wide: Vec<Row<f64>>,
    mixed: Vec<Row<f64>>,
}

/// Rounds once; −0 becomes +0. Rounding may underflow to −0, hence after it.
fn rounded(number: f64) -> f32 {
    number as f32 + 0.0
}

fn summed(parts: &[(usize, f64)], data: &[&[f32]], start: usize, sums: &mut [f64]) {
    if let Ok(sums) = <&mut [f64; SUMS]>::try_from(&mut *sums) {
        let mut held = [0f64; SUMS];
        for (i, part) in parts {
            if let Ok(numbers) = <&[f32; SUMS]>::try_from(&data[*i][start..start + SUMS]) {
                for (sum, x) in held.iter_mut().zip(numbers) {
                    *sum += part * f64::from(*x);
                }
            }
        }
        *sums = held;
        return;
    }
    for (i, part) in parts {
        for (sum, x) in sums.iter_mut().zip(&data[*i][start..]) {
            *sum += part * f64::from(*x);
        }
    }
}

fn steps(parts: &[(usize, f64)], data: &[&[f32]], base: &[f32], start: usize, sums: &mut [f64]) {
    for (i, part) in parts {
        for ((sum, x), w) in sums.iter_mut().zip(&data[*i][start..]).zip(base) {
            *sum += part * (f64::from(*x) - f64::from(*w));
        }
    }
}

/// One row for each update; lanes beyond the end hold 0. False: some number is not finite.
fn fill(rows: &mut Vec<Row<f32>>, data: &[&[f32]], start: usize, len: usize) -> bool {
    rows.resize(data.len(), [0.0; LANES]);
    let mut sound = true;
    for (row, data) in rows.iter_mut().zip(data) {
        for (value, x) in row.iter_mut().zip(&data[start..start + len]) {
            *value = x + 0.0;
        }
        row[len..].fill(0.0);
        sound &= row.iter().fold(true, |sound, value| sound & (value.abs() <= f32::MAX));
    }
    sound
}

impl Pick {
    fn of<T: Copy + PartialOrd + Into<f64>>(
        &self,
        rows: &mut [Row<T>],
        network: &[(usize, usize)],
        merged: &mut Row<f64>,
    ) {
        let n = rows.len();
        match self {
            Self::Trimmed(drop) => {
                sorting::sort(rows, network);
                for row in &rows[*drop..n - drop] {
                    for (sum, x) in merged.iter_mut().zip(row) {
                        *sum += (*x).into();
                    }
                }
                let kept = (n - 2 * drop) as f64;
                merged.iter_mut().for_each(|sum| *sum /= kept);
            }
            Self::Median => {
                sorting::sort(rows, network);
                let (low, high) = (&rows[(n - 1) / 2], &rows[n / 2]);
                for ((middle, a), b) in merged.iter_mut().zip(low).zip(high) {
                    *middle = ((*a).into() + (*b).into()) * 0.5;
                }
            }
            Self::Weighted { weights, total } => {
                // the least value at which the weights up to it are half or more, and that at which they are more than half
                let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::INFINITY; LANES]);
                for row in &*rows {
                    let mut upto = [0f64; LANES];
                    for (other, weight) in rows.iter().zip(weights) {
                        for ((sum, x), y) in upto.iter_mut().zip(row).zip(other) {
                            *sum += if y <= x { *weight } else { 0.0 };
                        }
                    }
                    for lane in 0..LANES {
                        let x: f64 = row[lane].into();
                        if 2.0 * upto[lane] >= *total && x < low[lane] {
                            low[lane] = x;
                        }
                        if 2.0 * upto[lane] > *total && x < high[lane] {
                            high[lane] = x;
                        }
                    }
                }
                for ((middle, a), b) in merged.iter_mut().zip(low).zip(high) {
                    *middle = (a + b) * 0.5;
                }
            }
        }
    }
}
