//! From layers to shapes: which tensors a network has, what each layer takes and gives, how much memory a step needs.

use crate::{
    error::{wrong, SpecError},
    layer::{Initializer, Layer},
    limits::MAX_PARAMETERS,
    model::Model,
    nodes::{Node, Op, Penalty, Start, Tensor},
};
use serde::Serialize;

/// Most numbers that one training step may keep between its forward and its backward pass: 8 GiB in f32.
pub const MAX_ACTIVATIONS: u64 = 1 << 31;

/// A network with its shapes, from a model, an input shape and a number of outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Architecture {
    /// Shape of one row: `[features]` or `[channels, height, width]`.
    pub input: Vec<usize>,
    /// Logits per row.
    pub outputs: usize,
    /// Its tensors, in the order of the layers.
    pub tensors: Vec<Tensor>,
    /// Its layers, with the last one.
    pub nodes: Vec<Node>,
}

struct Builder {
    tensors: Vec<Tensor>,
    /// Layers with tensors so far.
    named: usize,
    penalty: Penalty,
}

impl Architecture {
    /// The network of a model.
    ///
    /// # Errors
    /// The first layer that cannot take what the one before gives: which, what it expects, what it would get. Too many
    /// parameters.
    pub fn new(model: &Model, input: &[usize], outputs: usize, penalty: Penalty) -> Result<Self, SpecError> {
        model.check()?;
        if input.is_empty() || input.contains(&0) || outputs == 0 {
            return Err(wrong("data", "a network needs inputs and outputs"));
        }
        let mut builder = Builder { tensors: Vec::new(), named: 0, penalty };
        let mut layers = model.layers();
        // a model without hidden layers has nothing to rectify; neither has the last layer
        let (mut init, mut l1, mut l2) = (Initializer::GlorotNormal, None, None);
        if let Some(Layer::Output { init: named, l1: one, l2: two }) = layers.last() {
            (init, l1, l2) = (named.unwrap_or(init), *one, *two);
            layers.pop();
        }
        let (mut nodes, shape) = builder.layers("model.layers", &layers, input.to_vec())?;
        let [inputs] = shape[..] else {
            return Err(wrong(
                "model.layers",
                format!(
                    "end with a picture of {shape:?} [channels, height, width], but the last layer (one logit per output) \
                     takes a row of features; add \"flatten\" or \"global_average_pool\""
                ),
            ));
        };
        let node = builder.dense("the last layer".into(), inputs, outputs, init, l1, l2)?;
        nodes.push(node);
        let this = Self { input: input.to_vec(), outputs, tensors: builder.tensors, nodes };
        let parameters = this.parameters();
        if parameters > MAX_PARAMETERS {
            return Err(wrong("model", format!("has {parameters} parameters; at most {MAX_PARAMETERS} are allowed")));
        }
        Ok(this)
    }

    /// Number of trainable parameters.
    pub fn parameters(&self) -> u64 {
        self.tensors
            .iter()
            .map(|t| t.shape.iter().fold(1u64, |p, s| p.saturating_mul(*s as u64)))
            .fold(0, u64::saturating_add)
    }

    /// Whether it is one layer, whose weights begin at zeros.
    pub(crate) fn begins_linear(&self) -> bool {
        let zeros = |t: &Tensor| matches!(t.start, Start::Drawn { init: Initializer::Zeros, .. });
        self.nodes.len() == 1 && self.tensors.iter().filter(|t| t.kernel).all(zeros)
    }

    /// Numbers that one training step of `batch` rows keeps from its forward pass for the backward pass, at most: what
    /// layers give, and the columns of convolutions.
    pub fn activations(&self, batch: usize) -> u64 {
        let size = |shape: &[usize]| shape.iter().fold(1u64, |p, s| p.saturating_mul(*s as u64));
        fn of(nodes: &[Node], size: &dyn Fn(&[usize]) -> u64) -> u64 {
            nodes.iter().fold(0u64, |sum, node| {
                let own = match &node.op {
                    Op::Conv2d { kernel, .. } => {
                        let window = size(&[node.input[0], *kernel, *kernel]);
                        size(&node.output).saturating_add(window.saturating_mul(size(&node.output[1..])))
                    }
                    Op::Residual { branch, shortcut } => {
                        size(&node.output).saturating_add(of(branch, size)).saturating_add(of(shortcut, size))
                    }
                    Op::Flatten => 0,
                    _ => size(&node.output),
                };
                sum.saturating_add(own)
            })
        }
        size(&self.input).saturating_add(of(&self.nodes, &size)).saturating_mul(batch as u64)
    }

    /// Refuses a batch whose step would need too much memory.
    ///
    /// # Errors
    /// How much it would need, and how much is allowed.
    pub fn check_batch(&self, batch: u32) -> Result<(), SpecError> {
        let numbers = self.activations(batch as usize);
        if numbers > MAX_ACTIVATIONS {
            let gib = |numbers: u64| numbers as f64 * 4.0 / f64::from(1u32 << 30);
            return Err(wrong(
                "training.batch_size",
                format!(
                    "{batch} rows of this network need {:.1} GiB for what its layers give; at most {:.0} GiB are allowed: \
                     use smaller batches, or a smaller network",
                    gib(numbers),
                    gib(MAX_ACTIVATIONS)
                ),
            ));
        }
        Ok(())
    }

    /// BLAKE2b-256 of the network as it is trained: equal if and only if input, layers, tensors, starts and penalties are.
    pub fn hash(&self) -> [u8; 32] {
        // a struct of numbers and names always serialises; keys stand in the order of their fields
        sp_crypto_hashing::blake2_256(&serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Builder {
    fn layers(
        &mut self,
        path: &str,
        layers: &[Layer],
        mut shape: Vec<usize>,
    ) -> Result<(Vec<Node>, Vec<usize>), SpecError> {
        let mut nodes = Vec::with_capacity(layers.len());
        for (n, layer) in layers.iter().enumerate() {
            let node = self.layer(format!("{path}[{n}]"), layer, &shape)?;
            shape.clone_from(&node.output);
            nodes.push(node);
        }
        Ok((nodes, shape))
    }

    /// Names and keeps the two tensors of a layer.
    fn pair(&mut self, path: &str, mut weight: Tensor, bias: Tensor) -> Result<(usize, usize), SpecError> {
        let elements = weight.shape.iter().try_fold(1u64, |p, s| p.checked_mul(*s as u64));
        if elements.is_none_or(|elements| elements > MAX_PARAMETERS) {
            return Err(wrong(path, format!("has more than {MAX_PARAMETERS} parameters")));
        }
        weight.name = format!("layer{:02}.weight", self.named);
        let bias = Tensor { name: format!("layer{:02}.bias", self.named), ..bias };
        self.named += 1;
        self.tensors.extend([weight, bias]);
        Ok((self.tensors.len() - 2, self.tensors.len() - 1))
    }

    fn kernel(&self, shape: Vec<usize>, start: Start, l1: Option<f64>, l2: Option<f64>) -> Tensor {
        let (l1, l2) = (l1.unwrap_or(self.penalty.l1), l2.unwrap_or(self.penalty.l2));
        Tensor { name: String::new(), shape, start, l1, l2, kernel: true }
    }

    fn plain(length: usize, value: f64) -> Tensor {
        let start = Start::Constant(value);
        Tensor { name: String::new(), shape: vec![length], start, l1: 0.0, l2: 0.0, kernel: false }
    }

    fn dense(
        &mut self,
        path: String,
        inputs: usize,
        outputs: usize,
        init: Initializer,
        l1: Option<f64>,
        l2: Option<f64>,
    ) -> Result<Node, SpecError> {
        let weight = self.kernel(vec![outputs, inputs], Start::Drawn { init, inputs, outputs }, l1, l2);
        let (weight, bias) = self.pair(&path, weight, Self::plain(outputs, 0.0))?;
        Ok(Node { path, op: Op::Dense { weight, bias }, input: vec![inputs], output: vec![outputs] })
    }

    fn layer(&mut self, path: String, layer: &Layer, input: &[usize]) -> Result<Node, SpecError> {
        let picture = |name: &str| match input {
            [channels, height, width] => Ok((*channels, *height, *width)),
            _ => Err(wrong(
                path.clone(),
                format!("{name} expects a picture [channels, height, width], found a row of features {input:?}"),
            )),
        };
        let row = |name: &str| {
            match input {
            [features] => Ok(*features),
            _ => Err(wrong(
                path.clone(),
                format!(
                    "{name} expects a row of features, found a picture {input:?} [channels, height, width]; put \"flatten\" \
                     or \"global_average_pool\" before it"
                ),
            )),
        }
        };
        let window = |name: &str, size: u32, stride: u32, padding: u32| -> Result<Vec<usize>, SpecError> {
            let (channels, height, width) = picture(name)?;
            let along = |length: usize| {
                (length + 2 * padding as usize).checked_sub(size as usize).map(|rest| rest / stride as usize + 1)
            };
            match (along(height), along(width)) {
                (Some(height), Some(width)) => Ok(vec![channels, height, width]),
                _ => Err(wrong(
                    path.clone(),
                    format!("{name} expects pictures of at least {size} x {size} (padding included), found {input:?}"),
                )),
            }
        };
        let (op, output) = match layer {
            Layer::Dense { units, init, l1, l2 } => {
                let inputs = row("dense")?;
                let init = init.unwrap_or(Initializer::HeNormal);
                return self.dense(path, inputs, *units as usize, init, *l1, *l2);
            }
            Layer::Output { .. } => return Err(wrong(path, "output is the last layer and stands at the end")),
            Layer::Conv2d { filters, kernel, stride, padding, init, l1, l2 } => {
                let mut output = window("conv2d", *kernel, *stride, *padding)?;
                let (channels, filters, side) = (output[0], *filters as usize, *kernel as usize);
                output[0] = filters;
                let start = Start::Drawn {
                    init: init.unwrap_or(Initializer::HeNormal),
                    inputs: channels * side * side,
                    outputs: filters * side * side,
                };
                let weight = self.kernel(vec![filters, channels, side, side], start, *l1, *l2);
                let (weight, bias) = self.pair(&path, weight, Self::plain(filters, 0.0))?;
                let op =
                    Op::Conv2d { weight, bias, kernel: side, stride: *stride as usize, padding: *padding as usize };
                (op, output)
            }
            Layer::MaxPool(pool) | Layer::AveragePool(pool) => {
                let stride = pool.stride.unwrap_or(pool.size);
                let max = matches!(layer, Layer::MaxPool(_));
                let output = window(if max { "max_pool" } else { "average_pool" }, pool.size, stride, pool.padding)?;
                let (size, stride, padding) = (pool.size as usize, stride as usize, pool.padding as usize);
                let op =
                    if max { Op::MaxPool { size, stride, padding } } else { Op::AveragePool { size, stride, padding } };
                (op, output)
            }
            Layer::GlobalAveragePool => (Op::GlobalAveragePool, vec![picture("global_average_pool")?.0]),
            Layer::GroupNorm { groups, epsilon } => {
                let (channels, ..) = picture("group_norm")?;
                let groups = *groups as usize;
                if channels % groups != 0 {
                    return Err(wrong(
                        path,
                        format!("group_norm expects channels that {groups} groups share evenly, found {channels}"),
                    ));
                }
                let (weight, bias) = self.pair(&path, Self::plain(channels, 1.0), Self::plain(channels, 0.0))?;
                (Op::Norm { weight, bias, groups, epsilon: *epsilon }, input.to_vec())
            }
            Layer::LayerNorm { epsilon } => {
                let features = match input {
                    [features] => *features,
                    _ => {
                        return Err(wrong(
                            path,
                            format!(
                            "layer_norm expects a row of features, found a picture {input:?}; use group_norm with 1 \
                                 group"
                        ),
                        ))
                    }
                };
                let (weight, bias) = self.pair(&path, Self::plain(features, 1.0), Self::plain(features, 0.0))?;
                (Op::Norm { weight, bias, groups: 1, epsilon: *epsilon }, input.to_vec())
            }
            Layer::Activation(activation) => (Op::Activation(*activation), input.to_vec()),
            Layer::Dropout(rate) => (Op::Dropout(*rate), input.to_vec()),
            Layer::Flatten => (Op::Flatten, vec![input.iter().product()]),
            Layer::Residual { branch, shortcut } => {
                let (branch, found) = self.layers(&format!("{path}.residual.branch"), branch, input.to_vec())?;
                let (shortcut, expected) =
                    self.layers(&format!("{path}.residual.shortcut"), shortcut, input.to_vec())?;
                if found != expected {
                    return Err(wrong(
                        path,
                        format!("residual adds what its branch gives to its shortcut: expected {expected:?}, found {found:?}"),
                    ));
                }
                (Op::Residual { branch, shortcut }, found)
            }
        };
        Ok(Node { path, op, input: input.to_vec(), output })
    }
}
