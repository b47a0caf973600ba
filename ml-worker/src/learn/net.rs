//! A network at work: its layers as a list of operations on numbered buffers, forward and backward.
//!
//! Parameters are one slice, as in the model file, and so are gradients. Buffers are made once for the largest batch and
//! used again in every step. Nothing is kept of a dropout's mask but its key.

use super::{
    kernels::{
        conv::{self, Conv},
        elementwise::{activate, activate_back, add, column_sums, fill_bias, rectify, rectify_back, Mask},
        matrix::{multiply, Into, Matrix},
        norm::{self, Norm},
        pool::{self, Pool},
    },
    learner::{Learner, Slopes, Whole},
    loss::Objective,
    memory::zeros,
    real::Real,
};
use crate::random::key;
use consilium_aggregation::{Layout, TensorShape};
use consilium_study::{Activation, Architecture, Node, Op};
use std::ops::Range;

mod apart;
mod backward;
mod error;

pub use error::NetError;

/// One operation. `from` and `to` number values: 0 is the input, and each operation gives one more.
struct Step {
    from: usize,
    to: usize,
    what: What,
}

enum What {
    /// With ReLU and dropout, where these follow.
    Dense {
        weight: Range<usize>,
        bias: Range<usize>,
        inputs: usize,
        outputs: usize,
        rectified: bool,
        drop: Option<Drop>,
    },
    /// With ReLU, where it follows.
    Conv {
        weight: Range<usize>,
        bias: Range<usize>,
        conv: Conv,
        rectified: bool,
    },
    Max(Pool),
    Average(Pool),
    Norm {
        weight: Range<usize>,
        bias: Range<usize>,
        norm: Norm,
    },
    Activation(Activation),
    Dropout(Drop),
    /// `from` plus another value.
    Add(usize),
}

/// A dropout layer: which one, counted as the layers are written, and the share it leaves out.
#[derive(Clone, Copy)]
struct Drop {
    number: u64,
    rate: f64,
}

/// A network's program.
pub struct Net {
    steps: Vec<Step>,
    /// Numbers per row of each value.
    sizes: Vec<usize>,
    /// Tensors in the order of the model file: name, place among the parameters, place among the architecture's tensors.
    tensors: Vec<(String, Range<usize>, usize)>,
    architecture: Architecture,
    output: usize,
    parameters: usize,
    /// Dropout layers.
    drops: u64,
}

/// Buffers of one network for batches up to a size.
pub struct Workspace<R> {
    values: Vec<Vec<R>>,
    gradients: Vec<Vec<R>>,
    /// What an operation keeps beside its output: columns of a convolution, places of maxima, moments of a norm.
    kept: Vec<Kept<R>>,
    rows: usize,
}

#[derive(Default)]
struct Kept<R> {
    numbers: Vec<R>,
    places: Vec<u32>,
}

/// Where dropout comes from in one step; without it nothing is left out.
pub type Chance = Option<[u8; 32]>;

impl Net {
    /// The program of an architecture.
    ///
    /// # Errors
    /// An architecture whose tensors make no file.
    pub fn new(architecture: Architecture) -> Result<Self, NetError> {
        let shapes = architecture.tensors.iter().map(|t| TensorShape::new(t.name.clone(), t.shape.clone())).collect();
        let layout = Layout::new(shapes)?;
        let place = |name: &str| architecture.tensors.iter().position(|t| t.name == name).unwrap_or_default();
        let tensors: Vec<(String, Range<usize>, usize)> =
            layout.ranges().map(|(t, range)| (t.name.clone(), range, place(&t.name))).collect();
        let mut ranges = vec![0..0; architecture.tensors.len()];
        for (_, range, place) in &tensors {
            ranges[*place] = range.clone();
        }
        let mut net = Self {
            steps: Vec::new(),
            sizes: vec![architecture.input.iter().product()],
            tensors,
            parameters: layout.elements(),
            output: 0,
            drops: 0,
            architecture,
        };
        let nodes = net.architecture.nodes.clone();
        net.output = net.lower(&nodes, 0, &ranges);
        Ok(net)
    }

    /// Appends the operations of some layers; gives the value that holds what the last one gives.
    fn lower(&mut self, nodes: &[Node], mut value: usize, ranges: &[Range<usize>]) -> usize {
        let mut n = 0;
        while let Some(node) = nodes.get(n) {
            n += 1;
            let relu = |at: usize| matches!(nodes.get(at), Some(Node { op: Op::Activation(Activation::Relu), .. }));
            let size: usize = node.output.iter().product();
            let what = match &node.op {
                Op::Flatten => continue,
                // nothing is left out, and the layer after it may join the one before
                Op::Dropout(rate) if *rate == 0.0 => continue,
                Op::Residual { branch, shortcut } => {
                    let first = self.lower(branch, value, ranges);
                    let second = self.lower(shortcut, value, ranges);
                    value = self.push(first, size, What::Add(second));
                    continue;
                }
                Op::Dense { weight, bias } => {
                    let rectified = relu(n);
                    n += usize::from(rectified);
                    let drop = match nodes.get(n) {
                        Some(Node { op: Op::Dropout(rate), .. }) if rectified && *rate > 0.0 => {
                            n += 1;
                            Some(self.drop(*rate))
                        }
                        _ => None,
                    };
                    let (inputs, outputs) = (node.input[0], node.output[0]);
                    let (weight, bias) = (ranges[*weight].clone(), ranges[*bias].clone());
                    What::Dense { weight, bias, inputs, outputs, rectified, drop }
                }
                Op::Conv2d { weight, bias, kernel, stride, padding } => {
                    let rectified = relu(n);
                    n += usize::from(rectified);
                    let conv = Conv::new(&node.input, &node.output, *kernel, *stride, *padding);
                    What::Conv { weight: ranges[*weight].clone(), bias: ranges[*bias].clone(), conv, rectified }
                }
                Op::MaxPool { size, stride, padding } => {
                    What::Max(Pool::new(&node.input, &node.output, *size, *stride, *padding))
                }
                Op::AveragePool { size, stride, padding } => {
                    What::Average(Pool::new(&node.input, &node.output, *size, *stride, *padding))
                }
                Op::GlobalAveragePool => What::Average(Pool::whole(&node.input)),
                Op::Norm { weight, bias, groups, epsilon } => What::Norm {
                    weight: ranges[*weight].clone(),
                    bias: ranges[*bias].clone(),
                    norm: Norm::new(&node.input, *groups, *epsilon),
                },
                Op::Activation(activation) => What::Activation(*activation),
                Op::Dropout(rate) => What::Dropout(self.drop(*rate)),
            };
            value = self.push(value, size, what);
        }
        value
    }

    fn drop(&mut self, rate: f64) -> Drop {
        self.drops += 1;
        Drop { number: self.drops - 1, rate }
    }

    fn push(&mut self, from: usize, size: usize, what: What) -> usize {
        let to = self.sizes.len();
        self.sizes.push(size);
        self.steps.push(Step { from, to, what });
        to
    }

    /// How many of so many rows go through at a time where no gradient is asked for: about 64 MiB of f32.
    pub(super) fn piece(&self, rows: usize) -> usize {
        let most = (1usize << 24) / (self.architecture.activations(1) as usize).max(1);
        most.clamp(1, 4096).min(rows.max(1))
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Numbers per row that it takes.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// Its shapes.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Its tensors in the order of the model file, and where each lies among the parameters.
    pub fn tensors(&self) -> impl Iterator<Item = (&consilium_study::Tensor, Range<usize>)> {
        self.tensors.iter().map(|(_, range, place)| (&self.architecture.tensors[*place], range.clone()))
    }

    /// Buffers for batches of at most `rows` rows.
    pub fn workspace<R: Real>(&self, rows: usize) -> Workspace<R> {
        let buffers = |rows: usize| self.sizes.iter().map(|size| zeros(size * rows)).collect::<Vec<_>>();
        let kept = self.steps.iter().map(|_| Kept { numbers: Vec::new(), places: Vec::new() }).collect();
        Workspace { values: buffers(rows), gradients: self.sizes.iter().map(|_| Vec::new()).collect(), kept, rows }
    }

    /// Its tensors with their place in the architecture's list, which is the order of the layers.
    pub(super) fn tensors_by_place(&self) -> impl Iterator<Item = (usize, (&consilium_study::Tensor, Range<usize>))> {
        self.tensors.iter().map(|(_, range, place)| (*place, (&self.architecture.tensors[*place], range.clone())))
    }

    /// Logits of the rows in the workspace's [input](Workspace::input).
    ///
    /// # Panics
    /// Another count of parameters.
    pub fn forward<'w, R: Real>(
        &self,
        work: &'w mut Workspace<R>,
        parameters: &[R],
        rows: usize,
        chance: Chance,
    ) -> &'w [R] {
        assert_eq!(parameters.len(), self.parameters, "another model's parameters");
        for (n, step) in self.steps.iter().enumerate() {
            let (before, after) = work.values.split_at_mut(step.to);
            let x = &before[step.from][..rows * self.sizes[step.from]];
            let out = &mut after[0][..rows * self.sizes[step.to]];
            let kept = &mut work.kept[n];
            let mask = |drop: &Drop| chance.map(|key| mask(&key, drop.number, drop.rate));
            match &step.what {
                What::Dense { weight, bias, inputs, outputs, rectified, drop } => {
                    fill_bias(out, &parameters[bias.clone()]);
                    let weight = Matrix::new(&parameters[weight.clone()], *outputs, *inputs);
                    multiply(out, Matrix::new(x, rows, *inputs), weight.t(), Into::Add, true);
                    if *rectified {
                        rectify(out, drop.as_ref().and_then(mask).as_ref());
                    }
                }
                What::Conv { weight, bias, conv, rectified } => {
                    let (weight, bias) = (&parameters[weight.clone()], &parameters[bias.clone()]);
                    conv::forward(conv, out, x, weight, bias, *rectified, &mut kept.numbers);
                }
                What::Max(pool) => pool::max(pool, out, x, &mut kept.places),
                What::Average(pool) => pool::average(pool, out, x),
                What::Norm { weight, bias, norm } => {
                    let (weight, bias) = (&parameters[weight.clone()], &parameters[bias.clone()]);
                    norm::forward(norm, out, x, weight, bias, &mut kept.numbers);
                }
                What::Activation(activation) => activate(*activation, out, x),
                What::Dropout(drop) => {
                    out.copy_from_slice(x);
                    if let Some(mask) = mask(drop) {
                        mask.apply(out);
                    }
                }
                What::Add(other) => {
                    out.copy_from_slice(x);
                    add(out, &before[*other][..out.len()]);
                }
            }
        }
        &work.values[self.output][..rows * self.sizes[self.output]]
    }

    /// Refuses a network with a tensor that no gradient reaches, of those of some rows at the initial parameters, without
    /// dropout: it would be merged and never trained. One layer alone is always reached: that its bias begins
    /// where the loss is flat, as it does at zeros with as many rows of one class as of the other, is no fault.
    ///
    /// # Errors
    /// The first such tensor.
    pub fn all_reached<R: Real>(&self, gradient: &[R]) -> Result<(), NetError> {
        let mut reached = vec![false; self.tensors.len()];
        self.reach(gradient, &mut reached)
    }

    /// The same of several batches, one after the other: `reached` has one place per tensor, and keeps which were.
    ///
    /// # Errors
    /// The first tensor that none has reached so far.
    pub fn reach<R: Real>(&self, gradient: &[R], reached: &mut Vec<bool>) -> Result<(), NetError> {
        if self.steps.len() == 1 {
            return Ok(());
        }
        reached.resize(self.tensors.len(), false);
        let mut missing = None;
        for ((name, range, _), reached) in self.tensors.iter().zip(reached) {
            *reached = *reached || gradient[range.clone()].iter().any(|g| *g != R::ZERO);
            if !*reached && missing.is_none() {
                missing = Some(name.clone());
            }
        }
        missing.map_or(Ok(()), |name| Err(NetError::NoGradient(name)))
    }
}

impl<R: Real> Workspace<R> {
    /// Where a batch's rows are written, one after the other; picture by picture as `[channels, height, width]`.
    pub fn input(&mut self) -> &mut [R] {
        &mut self.values[0]
    }

    /// Rows that fit.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// The mask of a network's `number`-th dropout layer in a step.
pub(super) fn mask(chance: &[u8; 32], number: u64, rate: f64) -> Mask {
    Mask { key: key("consilium/mask/1", &[chance, &number.to_le_bytes()]), rate }
}

/// One row of logits per row, without dropout. `gather` writes some rows, given by position, into a buffer; they go through
/// in pieces, so that memory stays bounded.
///
/// # Errors
/// What `gather` says.
pub fn logits<R: Real, E>(
    net: &Net,
    parameters: &[R],
    rows: usize,
    mut gather: impl FnMut(Range<usize>, &mut [R]) -> Result<(), E>,
) -> Result<Vec<R>, E> {
    let piece = net.piece(rows);
    let mut work = net.workspace(piece);
    let mut out = Vec::with_capacity(rows * net.sizes[net.output]);
    let mut start = 0;
    while start < rows {
        let end = rows.min(start + piece);
        gather(start..end, &mut work.input()[..(end - start) * net.sizes[0]])?;
        out.extend_from_slice(net.forward(&mut work, parameters, end - start, None));
        start = end;
    }
    Ok(out)
}
