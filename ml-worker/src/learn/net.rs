//! The network, on candle: dense layers with an activation between them, one logit at the end.

use crate::random::Stream;
use candle_core::{Device, Tensor, Var};
use consilium_aggregation::Layout;
use consilium_study::{Activation, Model, StudySpec};
use std::ops::Range;

/// Why the network cannot compute.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// What candle says.
    #[error("the tensor library refuses: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A tensor that no gradient reaches.
    #[error("no gradient reaches {0}")]
    NoGradient(String),
    /// The spec's layers make no file.
    #[error("the model has no layout: {0}")]
    Layout(#[from] consilium_aggregation::LayoutError),
}

struct Layer {
    weight: Range<usize>,
    bias: Range<usize>,
    inputs: usize,
    outputs: usize,
}

/// A network's shape. Its parameters are one slice, as in the model file.
pub struct Net {
    layers: Vec<Layer>,
    activation: Option<Activation>,
    dropout: f64,
    parameters: usize,
}

impl Net {
    /// The network of a spec.
    ///
    /// # Errors
    /// A spec that its own check refuses.
    pub fn new(spec: &StudySpec) -> Result<Self, NetError> {
        let layout: Layout = spec.layout()?;
        let range = |name: &str| {
            layout
                .ranges()
                .find(|(t, _)| t.name == name)
                .map(|(_, r)| r)
                .ok_or_else(|| NetError::NoGradient(name.into()))
        };
        let mut layers = Vec::new();
        for (n, (inputs, outputs)) in spec.layers().into_iter().enumerate() {
            layers.push(Layer {
                weight: range(&format!("layer{n:02}.weight"))?,
                bias: range(&format!("layer{n:02}.bias"))?,
                inputs,
                outputs,
            });
        }
        let (activation, dropout) = match &spec.model {
            Model::Logistic {} => (None, 0.0),
            Model::Dense { activation, dropout, .. } => (Some(*activation), *dropout),
        };
        Ok(Self { layers, activation, dropout, parameters: layout.elements() })
    }

    /// Ranges of the weights, without biases, among the parameters.
    pub fn weights(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.layers.iter().map(|l| l.weight.clone())
    }

    fn vars(&self, parameters: &[f32]) -> Result<Vec<(Var, Var)>, NetError> {
        let var =
            |range: &Range<usize>, shape: &[usize]| Var::from_slice(&parameters[range.clone()], shape, &Device::Cpu);
        self.layers.iter().map(|l| Ok((var(&l.weight, &[l.outputs, l.inputs])?, var(&l.bias, &[l.outputs])?))).collect()
    }

    /// One logit per row. With a stream, hidden units are dropped (inverted dropout: the others are divided by the
    /// share that stays).
    fn forward(&self, vars: &[(Var, Var)], rows: Tensor, mut drop: Option<&mut Stream>) -> Result<Tensor, NetError> {
        let mut x = rows;
        for (n, (weight, bias)) in vars.iter().enumerate() {
            x = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
            if n + 1 == vars.len() {
                break;
            }
            x = match self.activation {
                Some(Activation::Relu) => x.relu()?,
                Some(Activation::Tanh) => x.tanh()?,
                None => x,
            };
            if let Some(stream) = drop.as_deref_mut().filter(|_| self.dropout > 0.0) {
                let kept = (1.0 / (1.0 - self.dropout)) as f32;
                let mask: Vec<f32> =
                    (0..x.elem_count()).map(|_| if stream.uniform() < self.dropout { 0.0 } else { kept }).collect();
                x = (x.clone() * Tensor::from_vec(mask, x.shape(), &Device::Cpu)?)?;
            }
        }
        Ok(x)
    }

    /// Mean log-loss of a batch and its gradient with respect to all parameters, in the order of the model file.
    ///
    /// The loss is computed from the logits `z` as `max(z, 0) − y·z + ln(1 + e^(−|z|))` in f64; what goes back through
    /// the network is its exact derivative `(σ(z) − y) ÷ rows`.
    ///
    /// # Errors
    /// What candle says; a tensor that no gradient reaches.
    pub fn loss_and_gradient(
        &self,
        parameters: &[f32],
        features: &[f32],
        labels: &[bool],
        drop: Option<&mut Stream>,
    ) -> Result<(f64, Vec<f32>), NetError> {
        let vars = self.vars(parameters)?;
        let rows = Tensor::from_slice(features, (labels.len(), self.layers[0].inputs), &Device::Cpu)?;
        let logits = self.forward(&vars, rows, drop)?;
        let z: Vec<f32> = logits.flatten_all()?.to_vec1()?;
        let n = labels.len() as f64;
        let mut loss = 0.0;
        let mut back = Vec::with_capacity(z.len());
        for (z, label) in z.iter().zip(labels) {
            let (z, y) = (f64::from(*z), f64::from(u8::from(*label)));
            loss += log_loss(z, *label);
            back.push(((sigmoid(z) - y) / n) as f32);
        }
        let back = Tensor::from_vec(back, logits.shape(), &Device::Cpu)?;
        let gradients = (logits * back)?.sum_all()?.backward()?;
        let mut out = vec![0f32; self.parameters];
        for (n, ((weight, bias), layer)) in vars.iter().zip(&self.layers).enumerate() {
            for (var, range, name) in [(weight, &layer.weight, "weight"), (bias, &layer.bias, "bias")] {
                let gradient = gradients.get(var).ok_or_else(|| NetError::NoGradient(format!("layer{n:02}.{name}")))?;
                out[range.clone()].copy_from_slice(&gradient.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok((loss / n, out))
    }
}

/// One logit per row, without dropout. Rows go through in pieces, so that memory stays bounded.
///
/// # Errors
/// What candle says.
pub fn logits(net: &Net, parameters: &[f32], features: &[f32]) -> Result<Vec<f32>, NetError> {
    const PIECE: usize = 4096;
    let width = net.layers[0].inputs;
    let vars = net.vars(parameters)?;
    let mut out = Vec::with_capacity(features.len() / width);
    for piece in features.chunks(PIECE * width) {
        let rows = Tensor::from_slice(piece, (piece.len() / width, width), &Device::Cpu)?;
        out.extend(net.forward(&vars, rows, None)?.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(out)
}

/// `1 ÷ (1 + e^(−z))`.
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Log-loss of one row from its logit.
pub fn log_loss(z: f64, positive: bool) -> f64 {
    z.max(0.0) - if positive { z } else { 0.0 } + (-z.abs()).exp().ln_1p()
}
