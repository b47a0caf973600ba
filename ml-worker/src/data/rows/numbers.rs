//! From the raw values of a row to the numbers the network takes.

use crate::data::table::header::Form;
use consilium_study::Transform;

/// How raw rows become the network's.
#[derive(Debug)]
pub(in crate::data) struct Numbers {
    pub form: Form,
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
    pub fill: Vec<f64>,
    /// How far a scaled value goes: it is held there.
    pub most: Option<f64>,
}

/// What one row after the other is worked on in.
#[derive(Default)]
pub(in crate::data) struct Scratch {
    values: Vec<f64>,
    order: Vec<u32>,
}

impl Numbers {
    /// One row.
    pub fn row(&self, raw: &[f64], out: &mut [f32], scratch: &mut Scratch) {
        let numeric = self.form.numeric;
        scratch.values.clear();
        scratch.values.extend_from_slice(&raw[..numeric]);
        transform(self.form.transform, &mut scratch.values, &mut scratch.order);
        let scale = self.mean.iter().zip(&self.deviation).zip(&self.fill);
        for ((value, out), ((mean, deviation), fill)) in scratch.values.iter().zip(&mut *out).zip(scale) {
            let value = if value.is_nan() { *fill } else { *value };
            let scaled = (value - mean) / deviation;
            *out = self.most.map_or(scaled, |most| scaled.clamp(-most, most)) as f32;
        }
        let mut place = numeric;
        for (level, levels) in raw[numeric..].iter().zip(&self.form.levels) {
            for (n, out) in out[place..place + levels].iter_mut().enumerate() {
                *out = if *level == n as f64 { 1.0 } else { 0.0 };
            }
            place += levels;
        }
    }
}

/// What a study does to a row's numeric features before they are scaled.
pub(in crate::data) fn transform(transform: Transform, values: &mut [f64], order: &mut Vec<u32>) {
    match transform {
        Transform::None => {}
        Transform::Log1p => values.iter_mut().for_each(|value| *value = value.ln_1p()),
        Transform::Rank => {
            order.clear();
            order.extend((0..values.len() as u32).filter(|n| !values[*n as usize].is_nan()));
            order.sort_unstable_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
            let known = order.len() as f64;
            let mut start = 0;
            while let Some(first) = order.get(start) {
                let value = values[*first as usize];
                let same = order[start..].iter().take_while(|n| values[**n as usize] == value).count();
                // the mean of the ranks from start + 1 to start + same
                let rank = (2 * start + 1 + same) as f64 / 2.0 / known;
                for place in &order[start..start + same] {
                    values[*place as usize] = rank;
                }
                start += same;
            }
        }
    }
}
