//! Private training: how long each unit's gradient is found to be, what is left of it, and what an onlooker can tell.
#![allow(clippy::unwrap_used)]

mod bound;
mod canary;
mod norms;
mod session;
#[path = "../support/mod.rs"]
mod support;

use consilium_ml_worker::{
    learn::{loss::Objective, real::Real, Net},
    random::{key, Stream},
};
use consilium_study::{Architecture, Loss, Model, Penalty, Start, Task};

/// A network of these layers.
fn net(layers: &str, input: &[usize], task: Task) -> Net {
    let model: Model = serde_json::from_str(&format!(r#"{{"layers": [{layers}]}}"#)).unwrap();
    Net::new(Architecture::new(&model, input, task.outputs(), Penalty::default()).unwrap()).unwrap()
}

/// A network, its parameters, and rows with their labels.
struct Case<R> {
    net: Net,
    objective: Objective,
    parameters: Vec<R>,
    input: Vec<R>,
    labels: Vec<u32>,
}

impl<R: Real> Case<R> {
    /// All of it drawn; numbers that f32 holds exactly.
    fn new(net: Net, task: Task, loss: Loss, rows: usize, seed: u32) -> Self {
        let objective = Objective::new(task, loss, Vec::new()).with_cuts(&[1.0, 2.0, 4.0]);
        let mut stream = Stream::new(key("private", &[&seed.to_le_bytes()]));
        let mut parameters = vec![R::ZERO; net.parameters()];
        for (tensor, range) in net.tensors() {
            let (deviation, mean) = match tensor.start {
                Start::Drawn { inputs, .. } => ((1.5 / inputs as f64).sqrt(), 0.0),
                Start::Constant(value) => (0.3, value),
            };
            parameters[range].fill_with(|| R::of(f64::from((mean + deviation * stream.normal()) as f32)));
        }
        let input = (0..rows * net.inputs()).map(|_| R::of(f64::from(stream.normal() as f32))).collect();
        let per_row = objective.labels_per_row();
        let label = |n: usize| match task {
            Task::Value => (2.0 * stream.normal() as f32).to_bits(),
            // a time, and whether it ended in an event
            Task::Events(_) if n.is_multiple_of(2) => (stream.below(50) as f32 / 10.0).to_bits(),
            Task::Classes(classes) => stream.below(classes as u32),
            _ => stream.below(2),
        };
        let labels = (0..rows * per_row).map(label).collect();
        Self { net, objective, parameters, input, labels }
    }

    /// The gradient of the sum of some rows' losses, as any training step makes it.
    fn gradient(&self, first: usize, rows: usize, chance: Option<[u8; 32]>) -> Vec<f64> {
        let (inputs, per_row) = (self.net.inputs(), self.objective.labels_per_row());
        let mut work = self.net.workspace(rows);
        work.input().copy_from_slice(&self.input[first * inputs..][..rows * inputs]);
        let labels = &self.labels[first * per_row..][..rows * per_row];
        let mut gradient = vec![R::ZERO; self.net.parameters()];
        self.net.loss_and_gradient(&mut work, &self.parameters, &self.objective, labels, chance, &mut gradient);
        gradient.iter().map(|g| g.f64() * rows as f64).collect()
    }

    /// Squared lengths of the gradients of the units that the first rows are.
    fn squares(&self, units: &[usize], chance: Option<[u8; 32]>) -> Vec<f64> {
        let rows: usize = units.iter().sum();
        let mut work = self.net.workspace(rows);
        work.input().copy_from_slice(&self.input[..rows * self.net.inputs()]);
        let labels = &self.labels[..rows * self.objective.labels_per_row()];
        let loss = self.net.slopes(&mut work, &self.parameters, &self.objective, labels, chance);
        assert!(loss.is_finite());
        self.net.squares(&work, units)
    }

    /// The sum of these units' gradients, each shortened to the clip.
    fn clipped(&self, units: &[usize], clip: f64) -> Vec<f64> {
        let rows: usize = units.iter().sum();
        let mut sum = vec![R::ZERO; self.net.parameters()];
        if rows > 0 {
            let mut work = self.net.workspace(rows);
            work.input().copy_from_slice(&self.input[..rows * self.net.inputs()]);
            let labels = &self.labels[..rows * self.objective.labels_per_row()];
            let batch = (&self.objective, labels, units);
            assert!(self.net.clipped(&mut work, &self.parameters, batch, None, clip, &mut sum).is_finite());
        }
        sum.iter().map(|g| g.f64()).collect()
    }
}

fn length(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
