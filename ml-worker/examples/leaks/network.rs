//! A network of one hidden layer, or of none, as an attacker computes it by itself: what a row's gradient would be, and how sure
//! a model is of the row. In f64; training is the engine's own.

/// Sizes of a network with ReLU behind its hidden layer, and one logit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Numbers of a row.
    pub inputs: usize,
    /// Hidden units; 0: a logistic model.
    pub hidden: usize,
}

/// Where the parameters of a network lie in a model's file.
pub struct Parts<'w> {
    /// Bias of the first layer.
    pub first_bias: &'w [f64],
    /// Its weights, unit by unit.
    pub first: &'w [f64],
    /// Bias of the second layer; none of a logistic model.
    pub second_bias: &'w [f64],
    /// Its weights.
    pub second: &'w [f64],
}

impl Network {
    /// How many numbers a model has.
    pub fn parameters(&self) -> usize {
        match self.hidden {
            0 => self.inputs + 1,
            hidden => hidden * (self.inputs + 2) + 1,
        }
    }

    /// Takes a model apart: tensors by name, the bias of a layer before its weights.
    pub fn parts<'w>(&self, model: &'w [f64]) -> Parts<'w> {
        let units = self.hidden.max(1);
        let (first_bias, rest) = model.split_at(units);
        let (first, rest) = rest.split_at(units * self.inputs);
        let (second_bias, second) = rest.split_at(rest.len().min(1));
        Parts { first_bias, first, second_bias, second }
    }

    /// What the first layer gives, before its ReLU.
    pub fn units(&self, parts: &Parts<'_>, row: &[f64]) -> Vec<f64> {
        let weights = parts.first.chunks_exact(self.inputs);
        weights.zip(parts.first_bias).map(|(weights, bias)| dot(weights, row) + bias).collect()
    }

    /// The logit of a row.
    pub fn logit(&self, model: &[f64], row: &[f64]) -> f64 {
        let parts = self.parts(model);
        let units = self.units(&parts, row);
        if self.hidden == 0 {
            return units[0];
        }
        let active: Vec<f64> = units.iter().map(|z| z.max(0.0)).collect();
        dot(&active, parts.second) + parts.second_bias[0]
    }

    /// The logit, with the sign of the row's class: how sure the model is that the row is what it is.
    pub fn margin(&self, model: &[f64], row: &[f64], positive: bool) -> f64 {
        let logit = self.logit(model, row);
        if positive {
            logit
        } else {
            -logit
        }
    }

    /// The gradient of one row's cross-entropy.
    pub fn gradient(&self, model: &[f64], row: &[f64], positive: bool) -> Vec<f64> {
        let parts = self.parts(model);
        let units = self.units(&parts, row);
        let wrong = |logit: f64| sigmoid(logit) - f64::from(u8::from(positive));
        let mut gradient = Vec::with_capacity(self.parameters());
        if self.hidden == 0 {
            let d = wrong(units[0]);
            gradient.push(d);
            gradient.extend(row.iter().map(|x| d * x));
            return gradient;
        }
        let active: Vec<f64> = units.iter().map(|z| z.max(0.0)).collect();
        let d = wrong(dot(&active, parts.second) + parts.second_bias[0]);
        let back: Vec<f64> =
            units.iter().zip(parts.second).map(|(z, weight)| if *z > 0.0 { d * weight } else { 0.0 }).collect();
        gradient.extend(&back);
        back.iter().for_each(|g| gradient.extend(row.iter().map(|x| g * x)));
        gradient.push(d);
        gradient.extend(active.iter().map(|h| d * h));
        gradient
    }
}

/// The probability that a logit stands for.
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The inner product of two vectors of the same length.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    // four sums beside each other: the compiler may not part one by itself, and each addition would wait for the one before
    let (fours, others) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest = fours.remainder().iter().zip(others.remainder());
    let rest: f64 = rest.map(|(a, b)| a * b).sum();
    let mut sums = [0f64; 4];
    for (a, b) in fours.zip(others) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    rest + (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// Numbers of a file, as the attacker computes with them.
pub fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|x| f64::from(*x)).collect()
}
