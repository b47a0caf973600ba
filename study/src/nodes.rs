//! What a network consists of: tensors, layers with their shapes.

use crate::layer::{Activation, Initializer};
use serde::Serialize;

/// One trainable tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tensor {
    /// `layerNN.weight` or `layerNN.bias`; layers that have tensors are counted in the order in which they are written,
    /// a residual block's branch before its shortcut.
    pub name: String,
    /// Sizes, outermost first: dense `[outputs, inputs]`, convolution `[filters, channels, kernel, kernel]`.
    pub shape: Vec<usize>,
    /// How it begins.
    pub start: Start,
    /// `λ` of its penalty `λ·Σ|w|`; 0 for what is no weight of a dense or convolutional layer.
    pub l1: f64,
    /// `λ` of its penalty `λ·Σw²`; likewise.
    pub l2: f64,
    /// Whether it is a weight of a dense or convolutional layer: those are penalised and decayed, others are not.
    pub kernel: bool,
}

impl Tensor {
    /// How many numbers it holds.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How a tensor begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// All the same number.
    Constant(f64),
    /// Draws of an initialiser, for units with so many inputs and outputs.
    Drawn {
        /// Which.
        init: Initializer,
        /// Inputs of a unit.
        inputs: usize,
        /// Outputs.
        outputs: usize,
    },
}

/// What a layer does. Numbers of `weight` and `bias` are positions in
/// [`Architecture::tensors`](crate::Architecture::tensors).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Weight `[outputs, inputs]`, bias `[outputs]`.
    Dense {
        /// Its weight.
        weight: usize,
        /// Its bias.
        bias: usize,
    },
    /// Weight `[filters, channels, kernel, kernel]`, bias `[filters]`.
    Conv2d {
        /// Its weight.
        weight: usize,
        /// Its bias.
        bias: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step.
        stride: usize,
        /// Zeros at each side.
        padding: usize,
    },
    /// The largest value of each window.
    MaxPool {
        /// Side of the window.
        size: usize,
        /// Step.
        stride: usize,
        /// At each side.
        padding: usize,
    },
    /// The mean of each window.
    AveragePool {
        /// Side of the window.
        size: usize,
        /// Step.
        stride: usize,
        /// Zeros at each side.
        padding: usize,
    },
    /// The mean of each channel.
    GlobalAveragePool,
    /// Over groups of channels, or over a whole row (one group); weight and bias per channel or feature.
    Norm {
        /// Its scale.
        weight: usize,
        /// Its shift.
        bias: usize,
        /// Groups.
        groups: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// Of each number alone.
    Activation(Activation),
    /// The share left out.
    Dropout(f64),
    /// Changes the shape only.
    Flatten,
    /// Sum of two ways.
    Residual {
        /// One way.
        branch: Vec<Node>,
        /// The other; empty: the input itself.
        shortcut: Vec<Node>,
    },
}

/// One layer with its shapes: `[features]` or `[channels, height, width]`, without the batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Where it stands in the specification.
    pub path: String,
    /// What it does.
    pub op: Op,
    /// What it takes.
    pub input: Vec<usize>,
    /// What it gives.
    pub output: Vec<usize>,
}

/// Penalties of weights whose layer names none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// `λ` of `λ·Σ|w|`.
    pub l1: f64,
    /// `λ` of `λ·Σw²`.
    pub l2: f64,
}
