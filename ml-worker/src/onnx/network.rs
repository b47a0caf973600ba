//! A network as operations of ONNX, in 32-bit floats, as it is trained.

use super::{graph::Graph, proto::AttributeProto};
use consilium_aggregation::Layout;
use consilium_study::{Activation, Architecture, Node, Op};
use std::{collections::HashMap, ops::Range};

/// What layers are made from.
pub struct Network<'a> {
    graph: &'a mut Graph,
    architecture: &'a Architecture,
    /// Where each tensor lies among the parameters.
    ranges: HashMap<String, Range<usize>>,
    parameters: &'a [f32],
}

impl<'a> Network<'a> {
    /// For a network whose parameters lie as a layout says.
    pub fn new(graph: &'a mut Graph, architecture: &'a Architecture, layout: &Layout, parameters: &'a [f32]) -> Self {
        let ranges = layout.ranges().map(|(tensor, range)| (tensor.name.clone(), range)).collect();
        Self { graph, architecture, ranges, parameters }
    }

    /// Appends all layers; the name of the logits.
    pub fn logits(mut self, input: String) -> String {
        let architecture = self.architecture;
        self.layers(&architecture.nodes, input)
    }

    fn layers(&mut self, nodes: &[Node], input: String) -> String {
        nodes.iter().fold(input, |x, node| self.layer(node, x))
    }

    fn layer(&mut self, node: &Node, x: String) -> String {
        match &node.op {
            Op::Dense { weight, bias } => {
                let (weight, bias) = (self.tensor(*weight, None), self.tensor(*bias, None));
                self.graph.with("Gemm", &[&x, &weight, &bias], vec![AttributeProto::int("transB", 1)])
            }
            Op::Conv2d { weight, bias, kernel, stride, padding } => {
                let (weight, bias) = (self.tensor(*weight, None), self.tensor(*bias, None));
                self.graph.with("Conv", &[&x, &weight, &bias], window(*kernel, *stride, *padding))
            }
            Op::MaxPool { size, stride, padding } => {
                self.graph.with("MaxPool", &[&x], window(*size, *stride, *padding))
            }
            Op::AveragePool { size, stride, padding } => {
                let mut how = window(*size, *stride, *padding);
                how.push(AttributeProto::int("count_include_pad", 1));
                self.graph.with("AveragePool", &[&x], how)
            }
            Op::GlobalAveragePool => {
                let mean = self.graph.node("GlobalAveragePool", &[&x]);
                self.flat(&mean)
            }
            Op::Norm { weight, bias, groups, epsilon } => self.norm(node, (*weight, *bias), *groups, *epsilon, &x),
            Op::Activation(activation) => self.activation(*activation, &x),
            // in training alone
            Op::Dropout(_) => x,
            Op::Flatten => self.flat(&x),
            Op::Residual { branch, shortcut } => {
                let branch = self.layers(branch, x.clone());
                let shortcut = self.layers(shortcut, x);
                self.graph.node("Add", &[&branch, &shortcut])
            }
        }
    }

    /// A tensor of the model, in its own shape or another one.
    fn tensor(&mut self, place: usize, shape: Option<&[usize]>) -> String {
        let tensor = &self.architecture.tensors[place];
        let range = self.ranges.get(&tensor.name).cloned().unwrap_or_default();
        self.graph.floats(&tensor.name, shape.unwrap_or(&tensor.shape), &self.parameters[range])
    }

    fn flat(&mut self, x: &str) -> String {
        self.graph.with("Flatten", &[x], vec![AttributeProto::int("axis", 1)])
    }

    /// `(x − mean) ÷ √(variance + ε) · weight + bias`, written out: ONNX has a layer norm from operator set 17 on, and a group
    /// norm that says the same only from 21 on.
    fn norm(&mut self, node: &Node, (weight, bias): (usize, usize), groups: usize, epsilon: f64, x: &str) -> String {
        let picture = node.input.len() > 1;
        let size = node.input.iter().product::<usize>() / groups;
        let (x, axis) = match picture {
            true => (self.reshaped(x, &[groups, size]), 2),
            false => (x.to_owned(), 1),
        };
        let over = || vec![AttributeProto::ints("axes", &[axis]), AttributeProto::int("keepdims", 1)];
        let mean = self.graph.with("ReduceMean", &[&x], over());
        let off = self.graph.node("Sub", &[&x, &mean]);
        let square = self.graph.node("Mul", &[&off, &off]);
        let variance = self.graph.with("ReduceMean", &[&square], over());
        let epsilon = self.graph.floats("epsilon", &[], &[epsilon as f32]);
        let variance = self.graph.node("Add", &[&variance, &epsilon]);
        let deviation = self.graph.node("Sqrt", &[&variance]);
        let mut scaled = self.graph.node("Div", &[&off, &deviation]);
        let channels = [node.input[0], 1, 1];
        let shape = if picture { &channels[..] } else { &channels[..1] };
        if picture {
            scaled = self.reshaped(&scaled, &node.input);
        }
        let (weight, bias) = (self.tensor(weight, Some(shape)), self.tensor(bias, Some(shape)));
        let scaled = self.graph.node("Mul", &[&scaled, &weight]);
        self.graph.node("Add", &[&scaled, &bias])
    }

    /// Rows of another shape: the first size, which stays, is written as 0.
    fn reshaped(&mut self, x: &str, row: &[usize]) -> String {
        let shape: Vec<i64> = std::iter::once(0).chain(row.iter().map(|size| *size as i64)).collect();
        let shape = self.graph.integers("shape", &shape);
        self.graph.node("Reshape", &[x, &shape])
    }

    fn activation(&mut self, activation: Activation, x: &str) -> String {
        let alpha = |value: f32| vec![AttributeProto::float("alpha", value)];
        match activation {
            Activation::Relu => self.graph.node("Relu", &[x]),
            Activation::LeakyRelu => self.graph.with("LeakyRelu", &[x], alpha(0.01)),
            Activation::Elu => self.graph.with("Elu", &[x], alpha(1.0)),
            Activation::Tanh => self.graph.node("Tanh", &[x]),
            Activation::Sigmoid => self.graph.node("Sigmoid", &[x]),
            Activation::Silu => {
                let sigmoid = self.graph.node("Sigmoid", &[x]);
                self.graph.node("Mul", &[x, &sigmoid])
            }
            Activation::GeluTanh => self.gelu(x),
        }
    }

    /// `0.5·x·(1 + tanh(√(2÷π)·(x + 0.044715·x³)))`, written out: ONNX has it from operator set 20 on.
    fn gelu(&mut self, x: &str) -> String {
        let graph = &mut *self.graph;
        let number = |graph: &mut Graph, value: f64| graph.floats("gelu", &[], &[value as f32]);
        let cubic = number(graph, 0.044_715);
        let root = number(graph, (2.0 / std::f64::consts::PI).sqrt());
        let (one, half) = (number(graph, 1.0), number(graph, 0.5));
        let square = graph.node("Mul", &[x, x]);
        let cube = graph.node("Mul", &[&square, x]);
        let cube = graph.node("Mul", &[&cubic, &cube]);
        let inner = graph.node("Add", &[x, &cube]);
        let inner = graph.node("Mul", &[&root, &inner]);
        let tanh = graph.node("Tanh", &[&inner]);
        let gate = graph.node("Add", &[&one, &tanh]);
        let x = graph.node("Mul", &[&half, x]);
        graph.node("Mul", &[&x, &gate])
    }
}

/// Square windows, with as much around each of the four sides.
fn window(size: usize, stride: usize, padding: usize) -> Vec<AttributeProto> {
    vec![
        AttributeProto::ints("kernel_shape", &[size; 2]),
        AttributeProto::ints("strides", &[stride; 2]),
        AttributeProto::ints("pads", &[padding; 4]),
    ]
}
