//! Networks that have a name.

use crate::{
    error::{wrong, SpecError},
    layer::{Activation, Initializer, Layer, Pool},
    optimizer::Optimizer,
    training::Training,
};
use serde::{Deserialize, Serialize};

/// Networks that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The network of Warnat-Herresthal et al. (Nature 594, 2021): 256 units with dropout .4, then 1024, 512, 512, 256,
    /// 256, 128, 128 and 64 with dropout .3 and an L2 penalty of .005, all with ReLU. Every layer begins as Keras' dense
    /// layers do of which nothing else is said: Glorot, uniform. With 12,708 genes and one output it has 4,558,977
    /// parameters.
    Nature2021,
    /// A LASSO: one linear unit that begins at zeros, for `proximal_gradient` with `l1` above 0. With
    /// `loss = "squared_error"` it makes `1/n·Σ(z − y)² + l1·Σ|w|` small, with the cross-entropy it is L1-penalised logistic
    /// regression.
    ///
    /// That of Warnat-Herresthal et al. is another model: behind the unit they have a batch normalisation, which takes
    /// the weights' scale out of the loss, so that their penalty shrinks without choosing; SGD sets no weight to 0 either.
    Lasso,
    /// For grey X-rays of 128 × 128: three convolutions with pooling, one dense layer.
    Xray128,
    /// For grey X-rays of 224 × 224: four convolutions with pooling, one dense layer.
    Xray224,
    /// A small residual network with group normalisation, for pictures of any size from 32 × 32 on.
    ResidualSmall,
}

fn dense(units: u32) -> Layer {
    Layer::Dense { units, init: None, l1: None, l2: None }
}

/// One that begins as Keras' do.
fn keras(units: u32, l2: f64) -> Layer {
    Layer::Dense { units, init: Some(Initializer::GlorotUniform), l1: None, l2: Some(l2) }
}

/// The last layer, which begins so.
fn output(init: Initializer) -> Layer {
    Layer::Output { init: Some(init), l1: None, l2: None }
}

fn conv(filters: u32, kernel: u32, stride: u32) -> Layer {
    Layer::Conv2d { filters, kernel, stride, padding: kernel / 2, init: None, l1: None, l2: None }
}

fn relu() -> Layer {
    Layer::Activation(Activation::Relu)
}

fn norm(groups: u32) -> Layer {
    Layer::GroupNorm { groups, epsilon: 1e-5 }
}

fn halve() -> Layer {
    Layer::MaxPool(Pool { size: 2, stride: None, padding: 0 })
}

/// Convolutions that halve the picture, then a dense layer.
fn pyramid(filters: &[u32], units: u32) -> Vec<Layer> {
    let mut layers: Vec<Layer> = filters.iter().flat_map(|filters| [conv(*filters, 3, 1), relu(), halve()]).collect();
    layers.extend([Layer::Flatten, dense(units), relu(), Layer::Dropout(0.3)]);
    layers
}

/// Two convolutions with normalisation beside a shortcut; `stride` 2 halves the picture.
fn block(filters: u32, stride: u32) -> [Layer; 2] {
    let branch = vec![conv(filters, 3, stride), norm(8), relu(), conv(filters, 3, 1), norm(8)];
    let shortcut = if stride == 1 { Vec::new() } else { vec![conv(filters, 1, stride), norm(8)] };
    [Layer::Residual { branch, shortcut }, relu()]
}

impl Preset {
    /// Whether a study's training is what this network is meant for.
    pub(crate) fn goes_with(self, training: &Training) -> Result<(), SpecError> {
        if self != Self::Lasso {
            return Ok(());
        }
        if training.optimizer != (Optimizer::ProximalGradient {}) {
            let problem = "of the preset \"lasso\" is { proximal_gradient = {} }: no other sets a weight to 0";
            return Err(wrong("training.optimizer", problem));
        }
        if training.l1 == 0.0 {
            return Err(wrong("training.l1", "must be above 0 for the preset \"lasso\": it is what chooses"));
        }
        Ok(())
    }

    /// Its layers; the last one where it begins otherwise than one that is not written.
    pub fn layers(self) -> Vec<Layer> {
        match self {
            Self::Nature2021 => {
                let mut layers = vec![keras(256, 0.0), relu(), Layer::Dropout(0.4)];
                for units in [1024, 512, 512, 256, 256, 128, 128, 64] {
                    layers.extend([keras(units, 0.005), relu(), Layer::Dropout(0.3)]);
                }
                layers.push(output(Initializer::GlorotUniform));
                layers
            }
            Self::Lasso => vec![output(Initializer::Zeros)],
            Self::Xray128 => pyramid(&[32, 64, 64], 64),
            Self::Xray224 => pyramid(&[32, 64, 64, 64], 64),
            Self::ResidualSmall => {
                let mut layers = vec![conv(16, 3, 1), norm(8), relu()];
                for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
                    layers.extend(block(filters, stride));
                }
                layers.push(Layer::GlobalAveragePool);
                layers
            }
        }
    }
}
