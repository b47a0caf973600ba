//! Networks as data: what a person writes, and the layers it stands for.

use crate::{
    error::{small, wrong, SpecError},
    external::External,
    layer::{Activation, Layer},
    limits::{MAX_DEPTH, MAX_LAYERS, MAX_UNITS},
    preset::Preset,
};
use serde::{Deserialize, Serialize};

/// A network. Its last layer, which gives one logit per output, need not be written down: it follows from the labels. How
/// it begins can be named ([`Layer::Output`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// not internally tagged: such enums cannot hold floats once any crate of a build switches `arbitrary_precision` on
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// Logistic regression: no layer but the last.
    Logistic {},
    /// Dense layers with an activation between them.
    Dense {
        /// Units of each hidden layer.
        hidden: Vec<u32>,
        /// After each hidden layer.
        activation: Activation,
        /// Share of hidden units left out in training, after each hidden layer; 0: none.
        #[serde(default)]
        dropout: f64,
    },
    /// A network by its name; only in study files. In a specification stand the layers it means, so that no later
    /// version of this program can read another network into an agreement.
    Preset(Preset),
    /// Layer by layer.
    Layers(Vec<Layer>),
    /// Tensors of a file, trained by a program of one's own.
    External(Box<External>),
}

impl Model {
    /// What is said of a trainer of one's own, where one is named.
    pub fn external(&self) -> Option<&External> {
        match self {
            Self::External(external) => Some(external),
            _ => None,
        }
    }

    /// The layers as they are written, none where the model is trained by a program of one's own: those before the last one, and [`Layer::Output`] where that is written.
    pub fn layers(&self) -> Vec<Layer> {
        match self {
            Self::Logistic {} | Self::External(_) => Vec::new(),
            Self::Dense { hidden, activation, dropout } => {
                let mut layers = Vec::new();
                for units in hidden {
                    layers.push(Layer::Dense { units: *units, init: None, l1: None, l2: None });
                    layers.push(Layer::Activation(*activation));
                    if *dropout > 0.0 {
                        layers.push(Layer::Dropout(*dropout));
                    }
                }
                layers
            }
            Self::Preset(preset) => preset.layers(),
            Self::Layers(layers) => layers.clone(),
        }
    }

    /// The same network as a specification writes it: without names that only this program explains.
    #[must_use]
    pub fn spelled_out(&self) -> Self {
        match self {
            Self::Preset(preset) => Self::Layers(preset.layers()),
            other => other.clone(),
        }
    }

    /// Numbers that make no sense by themselves; whether layers fit each other is [`Architecture`](crate::Architecture)'s
    /// affair.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        match self {
            Self::Logistic {} | Self::Preset(_) => Ok(()),
            Self::External(external) => external.check(),
            Self::Dense { hidden, dropout, .. } => {
                if hidden.is_empty() || hidden.len() > 64 {
                    return Err(wrong("model.hidden", "must name 1 to 64 layers"));
                }
                if let Some(units) = hidden.iter().find(|u| **u == 0 || **u > MAX_UNITS) {
                    return Err(wrong("model.hidden", format!("{units} units are impossible; use 1 to {MAX_UNITS}")));
                }
                share("model.dropout", *dropout)
            }
            Self::Layers(layers) => {
                let mut count = 0;
                check_layers("model.layers", layers, 0, &mut count)
            }
        }
    }
}

fn share(field: impl Into<String>, share: f64) -> Result<(), SpecError> {
    if (0.0..1.0).contains(&share) {
        Ok(())
    } else {
        Err(wrong(field, format!("{share} must be at least 0 and below 1")))
    }
}

fn check_layers(path: &str, layers: &[Layer], depth: usize, count: &mut usize) -> Result<(), SpecError> {
    if depth > MAX_DEPTH {
        return Err(wrong(path, format!("residual blocks stand more than {MAX_DEPTH} deep in each other")));
    }
    for (n, layer) in layers.iter().enumerate() {
        *count += 1;
        if *count > MAX_LAYERS {
            return Err(wrong("model.layers", format!("has more than {MAX_LAYERS} layers")));
        }
        let at = |field: &str| format!("{path}[{n}].{field}");
        let size = |field: &str, value: u32, least: u32| {
            if (least..=MAX_UNITS).contains(&value) {
                Ok(())
            } else {
                Err(wrong(at(field), format!("{value} is impossible; use {least} to {MAX_UNITS}")))
            }
        };
        let penalty = |field: &str, lambda: &Option<f64>| match lambda {
            Some(lambda) if !(0.0..=1e3).contains(lambda) => {
                Err(wrong(at(field), format!("{lambda} must lie between 0 and 1000")))
            }
            _ => Ok(()),
        };
        match layer {
            Layer::Dense { units, l1, l2, .. } => {
                size("dense.units", *units, 1)?;
                penalty("dense.l1", l1)?;
                penalty("dense.l2", l2)?;
            }
            Layer::Output { l1, l2, .. } => {
                if depth > 0 || n + 1 < layers.len() {
                    let problem = "is the last layer: it stands once, at the end, and in no residual block";
                    return Err(wrong(at("output"), problem));
                }
                penalty("output.l1", l1)?;
                penalty("output.l2", l2)?;
            }
            Layer::Conv2d { filters, kernel, stride, padding, l1, l2, .. } => {
                size("conv2d.filters", *filters, 1)?;
                size("conv2d.kernel", *kernel, 1)?;
                size("conv2d.stride", *stride, 1)?;
                size("conv2d.padding", *padding, 0)?;
                penalty("conv2d.l1", l1)?;
                penalty("conv2d.l2", l2)?;
            }
            Layer::MaxPool(pool) | Layer::AveragePool(pool) => {
                size("size", pool.size, 1)?;
                size("stride", pool.stride.unwrap_or(pool.size), 1)?;
                if pool.padding > pool.size / 2 {
                    return Err(wrong(at("padding"), format!("{} is more than half the window", pool.padding)));
                }
            }
            Layer::GroupNorm { groups, epsilon } => {
                size("group_norm.groups", *groups, 1)?;
                small(at("group_norm.epsilon"), *epsilon)?;
            }
            Layer::LayerNorm { epsilon } => small(at("layer_norm.epsilon"), *epsilon)?,
            Layer::Dropout(rate) => share(at("dropout"), *rate)?,
            Layer::Residual { branch, shortcut } => {
                if branch.is_empty() {
                    return Err(wrong(at("residual.branch"), "must have at least one layer"));
                }
                check_layers(&at("residual.branch"), branch, depth + 1, count)?;
                check_layers(&at("residual.shortcut"), shortcut, depth + 1, count)?;
            }
            Layer::GlobalAveragePool | Layer::Activation(_) | Layer::Flatten => {}
        }
    }
    Ok(())
}
