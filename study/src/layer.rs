//! What a network is made of.

use serde::{Deserialize, Serialize};

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// `y = W·x + b`.
    Dense {
        /// Outputs.
        units: u32,
        /// How weights begin; left out: He, normal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        init: Option<Initializer>,
        /// `λ` of the penalty `λ·Σ|w|` on this layer's weights, in place of `training.l1`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l1: Option<f64>,
        /// `λ` of the penalty `λ·Σw²` on this layer's weights, in place of `training.l2`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l2: Option<f64>,
    },
    /// The last layer, `y = W·x + b` with one logit per output: written, and then as the last of all, only where it is to
    /// begin otherwise, or to be penalised otherwise, than one that is not written.
    Output {
        /// How weights begin; left out: Glorot, normal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        init: Option<Initializer>,
        /// As in `dense`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l1: Option<f64>,
        /// As in `dense`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l2: Option<f64>,
    },
    /// Convolution (cross-correlation, as everywhere in this field) of `[channels, height, width]` with square kernels,
    /// zeros around the picture, and a bias per filter.
    Conv2d {
        /// Output channels.
        filters: u32,
        /// Side of the kernel.
        kernel: u32,
        /// Step of the kernel.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        stride: u32,
        /// Zeros added at each of the four sides.
        #[serde(default, skip_serializing_if = "is_zero")]
        padding: u32,
        /// How weights begin; left out: He, normal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        init: Option<Initializer>,
        /// As in `dense`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l1: Option<f64>,
        /// As in `dense`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l2: Option<f64>,
    },
    /// The largest value of each window.
    MaxPool(Pool),
    /// The mean of each window; zeros of the padding count.
    AveragePool(Pool),
    /// The mean of each channel: `[channels, height, width]` becomes `[channels]`.
    GlobalAveragePool,
    /// Normalises groups of channels over each picture (Wu and He, "Group Normalization", ECCV 2018), then scales and
    /// shifts each channel.
    GroupNorm {
        /// Groups; must divide the channels.
        groups: u32,
        /// Added to the variance.
        #[serde(default = "norm_epsilon")]
        epsilon: f64,
    },
    /// Normalises each row over its features (Ba, Kiros and Hinton, "Layer Normalization", 2016), then scales and shifts
    /// each feature.
    LayerNorm {
        /// Added to the variance.
        #[serde(default = "norm_epsilon")]
        epsilon: f64,
    },
    /// A function of each number alone.
    Activation(Activation),
    /// In training, sets this share of numbers to 0 and divides the others by the share that stays.
    Dropout(f64),
    /// `[channels, height, width]` becomes one row, in this order.
    Flatten,
    /// `branch(x) + shortcut(x)`; without layers the shortcut is `x` itself.
    Residual {
        /// Layers of the branch.
        branch: Vec<Layer>,
        /// Layers of the shortcut.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<Layer>,
    },
}

/// Windows of a pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Side of the window.
    pub size: u32,
    /// Step of the window; left out: its side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
    /// Added at each of the four sides; at most half the window. A maximum is never taken from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u32,
}

/// Activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`; its derivative at 0 is 0.
    Relu,
    /// `x` above 0, `0.01·x` elsewhere.
    LeakyRelu,
    /// `x` above 0, `eˣ − 1` elsewhere.
    Elu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 ÷ (1 + e^(−x))`.
    Sigmoid,
    /// `x·sigmoid(x)`.
    Silu,
    /// `0.5·x·(1 + tanh(√(2÷π)·(x + 0.044715·x³)))` (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016).
    GeluTanh,
}

/// How weights begin. With `i` inputs and `o` outputs of a unit; all draws come from the spec's seed. Biases begin at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Nearly normal with variance `2 ÷ i` (He et al., "Delving Deep into Rectifiers", ICCV 2015).
    HeNormal,
    /// Nearly normal with variance `2 ÷ (i + o)` (Glorot and Bengio, AISTATS 2010).
    GlorotNormal,
    /// Uniform with variance `2 ÷ (i + o)`.
    GlorotUniform,
    /// Nearly normal with variance `1 ÷ i` (LeCun et al., "Efficient BackProp", 1998).
    LecunNormal,
    /// All 0: for the last layer.
    Zeros,
}

fn one() -> u32 {
    1
}
fn is_one(n: &u32) -> bool {
    *n == 1
}
fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn norm_epsilon() -> f64 {
    1e-5
}
