//! The same networks on candle's tensors: on a CPU the second opinion that tests ask, on a GPU (cargo feature `cuda`) the
//! way to train.
//!
//! Only operations whose derivatives candle has right are used. Its own max-pooling, layer normalisation and softmax are
//! not among them, nor is its source of chance: windows are taken apart into slices, norms are sums and products, masks of
//! dropout are drawn here, so that both engines leave out the same units.

use super::{
    kernels::elementwise::Mask,
    loss::Objective,
    memory::zeros,
    net::{mask, Chance, Net, NetError},
    real::Real,
};
use candle_core::{Device, Shape, Tensor, Var, WithDType, D};
use consilium_study::{Activation, Node, Op};
use std::ops::Range;

/// A network on one device.
pub struct CandleNet<'n> {
    net: &'n Net,
    device: Device,
}

/// Numbers that candle and the kernels here both compute in.
pub trait Number: Real + WithDType {}
impl Number for f32 {}
impl Number for f64 {}

impl<'n> CandleNet<'n> {
    /// A network on a device.
    pub fn new(net: &'n Net, device: Device) -> Self {
        Self { net, device }
    }

    fn tensors<R: Number>(&self, parameters: &[R]) -> Result<Vec<Var>, NetError> {
        let mut out = vec![None; self.net.architecture().tensors.len()];
        for (place, (tensor, range)) in self.net.tensors_by_place() {
            out[place] = Some(Var::from_slice(&parameters[range], tensor.shape.clone(), &self.device)?);
        }
        Ok(out.into_iter().flatten().collect())
    }

    fn input<R: Number>(&self, rows: &[R]) -> Result<Tensor, NetError> {
        let count = rows.len() / self.net.inputs();
        let shape: Vec<usize> = std::iter::once(count).chain(self.net.architecture().input.iter().copied()).collect();
        Ok(Tensor::from_slice(rows, shape, &self.device)?)
    }

    /// Logits of some rows, without dropout.
    ///
    /// # Errors
    /// What candle says.
    pub fn logits<R: Number>(&self, parameters: &[R], rows: &[R]) -> Result<Vec<R>, NetError> {
        let tensors = self.tensors(parameters)?;
        let out = self.forward::<R>(&tensors, self.input(rows)?, None)?;
        Ok(out.flatten_all()?.to_vec1()?)
    }

    /// One row of logits per row, as [`logits`](super::logits) gives them. The parameters go to the device once.
    ///
    /// # Errors
    /// What candle says, and what `gather` says.
    pub fn logits_by<E: From<NetError>>(
        &self,
        parameters: &[f32],
        rows: usize,
        mut gather: impl FnMut(Range<usize>, &mut [f32]) -> Result<(), E>,
    ) -> Result<Vec<f32>, E> {
        let (tensors, width, piece) = (self.tensors(parameters)?, self.net.inputs(), self.net.piece(rows));
        let (mut buffer, mut out) = (zeros(piece * width), Vec::new());
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + piece);
            let part = &mut buffer[..(end - start) * width];
            gather(start..end, part)?;
            out.extend(self.told(&tensors, part)?);
            start = end;
        }
        Ok(out)
    }

    fn told(&self, tensors: &[Var], rows: &[f32]) -> Result<Vec<f32>, NetError> {
        Ok(self.forward::<f32>(tensors, self.input(rows)?, None)?.flatten_all()?.to_vec1()?)
    }

    /// Mean loss of a batch and its gradient, as [`Net::loss_and_gradient`] gives them.
    ///
    /// # Errors
    /// What candle says; a tensor that no gradient reaches.
    pub fn loss_and_gradient<R: Number>(
        &self,
        parameters: &[R],
        rows: &[R],
        objective: &Objective,
        labels: &[u32],
        chance: Chance,
        gradient: &mut [R],
    ) -> Result<f64, NetError> {
        let tensors = self.tensors(parameters)?;
        let logits = self.forward::<R>(&tensors, self.input(rows)?, chance)?;
        let z: Vec<R> = logits.flatten_all()?.to_vec1()?;
        let mut slope = vec![R::ZERO; z.len()];
        let loss = objective.loss_and_slope(&z, labels, &mut slope);
        let slope = Tensor::from_slice(&slope, logits.shape(), &self.device)?;
        let gradients = (logits * slope)?.sum_all()?.backward()?;
        for (place, (tensor, range)) in self.net.tensors_by_place() {
            let found = gradients.get(&tensors[place]).ok_or_else(|| NetError::Detached(tensor.name.clone()))?;
            gradient[range].copy_from_slice(&found.flatten_all()?.to_vec1::<R>()?);
        }
        Ok(loss)
    }

    fn forward<R: Number>(&self, tensors: &[Var], x: Tensor, chance: Chance) -> Result<Tensor, NetError> {
        let mut step = 0;
        self.layers::<R>(&self.net.architecture().nodes, tensors, x, chance, &mut step)
    }

    /// `layer` counts dropout layers as the network does.
    fn layers<R: Number>(
        &self,
        nodes: &[Node],
        tensors: &[Var],
        mut x: Tensor,
        chance: Chance,
        layer: &mut u64,
    ) -> Result<Tensor, NetError> {
        for node in nodes {
            x = match &node.op {
                Op::Dense { weight, bias } => x.matmul(&tensors[*weight].t()?)?.broadcast_add(&tensors[*bias])?,
                Op::Conv2d { weight, bias, stride, padding, .. } => {
                    let bias = tensors[*bias].reshape((1, (), 1, 1))?;
                    x.conv2d(&tensors[*weight], *padding, *stride, 1, 1)?.broadcast_add(&bias)?
                }
                Op::MaxPool { size, stride, padding } => {
                    // where the picture ends nothing is as large as what is in it
                    let windows = windows(&x, node, (*size, *stride, *padding), f64::MIN)?;
                    let mut most: Option<Tensor> = None;
                    for window in windows {
                        most = Some(match most {
                            // the first of equal values stays; a NaN is larger than any
                            Some(most) => larger(&window, &most)?.where_cond(&window, &most)?,
                            None => window,
                        });
                    }
                    most.ok_or(candle_core::Error::Msg("a window without numbers".into()))?
                }
                Op::AveragePool { size, stride, padding } => {
                    let mut sum: Option<Tensor> = None;
                    for window in windows(&x, node, (*size, *stride, *padding), 0.0)? {
                        sum = Some(match sum {
                            Some(sum) => (sum + window)?,
                            None => window,
                        });
                    }
                    let sum = sum.ok_or(candle_core::Error::Msg("a window without numbers".into()))?;
                    (sum * (1.0 / (size * size) as f64))?
                }
                Op::GlobalAveragePool => x.flatten_from(2)?.mean(D::Minus1)?,
                Op::Norm { weight, bias, groups, epsilon } => {
                    let shape: Shape = x.shape().clone();
                    let rows = x.reshape((x.dim(0)? * groups, ()))?;
                    let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
                    let variance = centred.sqr()?.mean_keepdim(1)?;
                    let normal = centred.broadcast_div(&(variance + *epsilon)?.sqrt()?)?.reshape(shape)?;
                    let place = |tensor: &Var| match node.input.len() {
                        1 => tensor.reshape((1, ())),
                        _ => tensor.reshape((1, (), 1, 1)),
                    };
                    normal.broadcast_mul(&place(&tensors[*weight])?)?.broadcast_add(&place(&tensors[*bias])?)?
                }
                Op::Activation(activation) => activate(*activation, &x)?,
                Op::Dropout(rate) if *rate > 0.0 => {
                    let place = *layer;
                    *layer += 1;
                    match chance {
                        Some(chance) => (&x * self.mask::<R>(&mask(&chance, place, *rate), &x)?)?,
                        None => x,
                    }
                }
                Op::Dropout(_) => x,
                Op::Flatten => x.flatten_from(1)?,
                Op::Residual { branch, shortcut } => {
                    let first = self.layers::<R>(branch, tensors, x.clone(), chance, layer)?;
                    (first + self.layers::<R>(shortcut, tensors, x, chance, layer)?)?
                }
            };
        }
        Ok(x)
    }

    fn mask<R: Number>(&self, mask: &Mask, like: &Tensor) -> Result<Tensor, NetError> {
        let mut factors = vec![R::ONE; like.elem_count()];
        mask.apply(&mut factors);
        Ok(Tensor::from_vec(factors, like.shape(), &self.device)?)
    }
}

/// One tensor per place in a window, each with that place's number of every window.
fn windows(
    x: &Tensor,
    node: &Node,
    (size, stride, padding): (usize, usize, usize),
    edge: f64,
) -> candle_core::Result<Vec<Tensor>> {
    let mut x = x.clone();
    if padding > 0 {
        for dim in [2, 3] {
            let mut shape = x.dims().to_vec();
            shape[dim] = padding;
            let edge = (Tensor::ones(shape, x.dtype(), x.device())? * edge)?;
            x = Tensor::cat(&[&edge, &x, &edge], dim)?;
        }
    }
    let index = |start: usize, count: usize| {
        let places: Vec<u32> = (0..count).map(|n| (start + n * stride) as u32).collect();
        Tensor::from_vec(places, count, x.device())
    };
    let mut out = Vec::with_capacity(size * size);
    for i in 0..size {
        let rows = x.index_select(&index(i, node.output[1])?, 2)?;
        for j in 0..size {
            out.push(rows.index_select(&index(j, node.output[2])?, 3)?);
        }
    }
    Ok(out)
}

/// Where `a` is larger than `b`, or is NaN.
fn larger(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    a.gt(b)? + a.ne(a)?
}

fn activate(activation: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    let zero = x.zeros_like()?;
    // a NaN stays what it is
    let positive = larger(x, &zero)?;
    match activation {
        Activation::Relu => positive.where_cond(x, &zero),
        Activation::LeakyRelu => positive.where_cond(x, &(x * 0.01)?),
        // the exponential of what is not taken must stay finite
        Activation::Elu => positive.where_cond(x, &(positive.where_cond(&zero, x)?.exp()? - 1.0)?),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x)?,
        Activation::GeluTanh => {
            let inner = ((x + (x.powf(3.0)? * 0.044715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
            (x * 0.5)? * (inner.tanh()? + 1.0)?
        }
    }
}

fn sigmoid(x: &Tensor) -> candle_core::Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

/// The GPU of this number, where this program was built with the feature `cuda`.
///
/// # Errors
/// It was not; or the GPU cannot be opened.
pub fn gpu(number: usize) -> Result<Device, NetError> {
    Device::new_cuda(number).map_err(|error| NetError::Gpu { number, error })
}
