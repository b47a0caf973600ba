//! The training engine behind a pipe, so that other programs can hold it against their own: `bench/README.md`.
//!
//! A request is one line of JSON and then the raw little-endian numbers that it announces; so is a reply. What is wrong
//! with a request stands in the reply's `error`.

use anyhow::{bail, Context, Result};
use consilium_ml_worker::learn::{
    kernels::vectors::{self, vector_bits},
    loss::Objective,
    memory::zeros,
    private::Noise,
    real::Real,
    Net, Stepper, Workspace,
};
use consilium_study::{Architecture, Loss, Model, Penalty, Task, Training};
use rayon::prelude::*;
use serde::{de::Error, Deserialize, Deserializer};
use serde_json::{json, Number, Value};
use std::{
    fs,
    io::{self, BufRead, Read, Write},
    time::Instant,
};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request {
    New {
        model: Value,
        training: Value,
        input: Vec<usize>,
        outputs: usize,
        dtype: String,
        #[serde(default)]
        threads: usize,
    },
    Set {
        what: String,
    },
    SetSteps {
        steps: u64,
    },
    Get {
        what: String,
    },
    Seed {
        seed: u64,
    },
    Data {
        rows: usize,
    },
    Gradient {
        rows: Vec<usize>,
        #[serde(default)]
        dropout: bool,
    },
    Step {
        rows: Vec<usize>,
        #[serde(default)]
        dropout: bool,
    },
    /// The sum of the rows' gradients, each shortened to the clip.
    Clipped {
        rows: Vec<usize>,
        #[serde(deserialize_with = "number")]
        clip: f64,
    },
    Time {
        batch: usize,
        steps: usize,
        #[serde(default)]
        private: Option<Clipping>,
    },
    Logits {
        rows: Vec<usize>,
    },
    Memory,
    ResetPeak,
}

/// What a private step is told: its clip, and the noise in clips.
#[derive(Clone, Copy, Deserialize)]
struct Clipping {
    #[serde(deserialize_with = "number")]
    clip: f64,
    #[serde(deserialize_with = "number")]
    sigma: f64,
}

/// Any number. Built with the node, whose libraries have JSON keep numbers as they were written, `f64` itself is not read within an
/// enum that is told apart by a tag (serde-rs/json, issue 1046).
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Number::deserialize(from)?.as_f64().ok_or_else(|| D::Error::custom("a number that f64 does not hold"))
}

/// Numbers as they go through the pipe.
trait Wire: Real {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, out: &mut Vec<u8>);
}

macro_rules! wire {
    ($($t:ident $n:literal),*) => {$(
        impl Wire for $t {
            const SIZE: usize = $n;
            fn read(bytes: &[u8]) -> Self {
                let mut number = [0; $n];
                number.copy_from_slice(bytes);
                $t::from_le_bytes(number)
            }
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

wire!(f32 4, f64 8);

fn take<R: Wire>(input: &mut impl Read, count: usize) -> Result<Vec<R>> {
    let mut bytes = vec![0; count * R::SIZE];
    input.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(R::SIZE).map(R::read).collect())
}

struct Engine<R> {
    net: Net,
    training: Training,
    objective: Objective,
    work: Workspace<R>,
    stepper: Stepper<R>,
    parameters: Vec<R>,
    gradient: Vec<R>,
    rows: Vec<R>,
    labels: Vec<u32>,
    seed: u64,
    steps: u64,
    pool: rayon::ThreadPool,
}

type Reply<R> = (Value, Vec<R>);

impl<R: Wire> Engine<R> {
    fn new(model: Value, training: Value, input: &[usize], outputs: usize, threads: usize) -> Result<Self> {
        let model: Model = serde_json::from_value(model).context("model")?;
        let training: Training = serde_json::from_value(training).context("training")?;
        let penalty = Penalty { l1: training.l1, l2: training.l2 };
        let architecture = Architecture::new(&model.spelled_out(), input, outputs, penalty)?;
        let net = Net::new(architecture)?;
        let task = if outputs == 1 { Task::Binary } else { Task::Labels(outputs) };
        Ok(Self {
            objective: Objective::new(task, Loss::CrossEntropy, Vec::new()),
            work: net.workspace(0),
            stepper: Stepper::new(&training, &net, &vec![R::ZERO; net.parameters()]),
            parameters: zeros(net.parameters()),
            gradient: zeros(net.parameters()),
            rows: Vec::new(),
            labels: Vec::new(),
            seed: 0,
            steps: 0,
            pool: rayon::ThreadPoolBuilder::new().num_threads(threads).build()?,
            net,
            training,
        })
    }

    fn describe(&self) -> Value {
        let tensors: Vec<Value> = self
            .net
            .tensors()
            .map(|(tensor, range)| json!({"name": tensor.name, "shape": tensor.shape, "offset": range.start}))
            .collect();
        json!({ "parameters": self.net.parameters(), "tensors": tensors, "vector_bits": vector_bits() })
    }

    /// Puts some rows in place; gives their labels.
    fn batch(&mut self, rows: &[usize]) -> Result<Vec<u32>> {
        let (width, per) = (self.net.inputs(), self.objective.labels_per_row());
        let there = self.labels.len() / per;
        if let Some(row) = rows.iter().find(|row| **row >= there) {
            bail!("row {row} is not among the {there} rows of data");
        }
        if self.work.rows() < rows.len() {
            self.work = self.net.workspace(rows.len());
        }
        // as the worker does
        let (from, input) = (&self.rows, &mut self.work.input()[..rows.len() * width]);
        self.pool.install(|| {
            let rows = input.par_chunks_exact_mut(width).zip(rows);
            rows.for_each(|(out, row)| out.copy_from_slice(&from[row * width..(row + 1) * width]));
        });
        Ok(rows.iter().flat_map(|row| self.labels[row * per..(row + 1) * per].to_vec()).collect())
    }

    /// Loss and gradient of the loss alone.
    fn loss(&mut self, rows: &[usize], dropout: bool) -> Result<f64> {
        let labels = self.batch(rows)?;
        let chance = self.chance();
        let (net, work, gradient) = (&self.net, &mut self.work, &mut self.gradient);
        let (parameters, objective) = (&self.parameters, &self.objective);
        Ok(self.pool.install(|| {
            net.loss_and_gradient(work, parameters, objective, &labels, dropout.then_some(chance), gradient)
        }))
    }

    fn step(&mut self, rows: &[usize], dropout: bool) -> Result<f64> {
        let labels = self.batch(rows)?;
        let chance = dropout.then_some(self.chance());
        let (net, work, gradient, stepper) = (&self.net, &mut self.work, &mut self.gradient, &mut self.stepper);
        let (parameters, batch) = (&mut self.parameters, (&self.objective, &labels[..]));
        let step = || stepper.train(net, work, parameters, batch, chance, gradient, (0.0, 1.0));
        let loss = self.pool.install(step);
        self.steps += 1;
        Ok(loss)
    }

    /// The same as a private step, in which each row is a unit.
    fn private_step(&mut self, rows: &[usize], Clipping { clip, sigma }: Clipping) -> Result<f64> {
        let labels = self.batch(rows)?;
        let chance = self.chance();
        let mut key = chance;
        key[31] = 1;
        let noise = Noise::new(&key, sigma * clip, 1.0 / rows.len() as f64);
        let units = vec![1; rows.len()];
        let (net, work, gradient, stepper) = (&self.net, &mut self.work, &mut self.gradient, &mut self.stepper);
        let (parameters, batch) = (&mut self.parameters, (&self.objective, &labels[..], &units[..]));
        let (clipping, now) = ((clip, &noise), (0.0, 1.0));
        let step = || stepper.train_private(net, work, parameters, batch, Some(chance), gradient, clipping, now);
        let loss = self.pool.install(step);
        self.steps += 1;
        Ok(loss)
    }

    fn chance(&self) -> [u8; 32] {
        let mut chance = [0; 32];
        chance[..8].copy_from_slice(&self.seed.to_le_bytes());
        chance[8..16].copy_from_slice(&self.steps.to_le_bytes());
        chance
    }

    fn answer(&mut self, request: Request, input: &mut impl Read) -> Result<Reply<R>> {
        let none = Vec::new();
        Ok(match request {
            Request::New { .. } => bail!("a network is there already"),
            Request::Set { what } => {
                let numbers = take(input, self.net.parameters())?;
                let (steps, first, second) = self.stepper.memory();
                let (first, second) = (first.to_vec(), second.to_vec());
                match what.as_str() {
                    "parameters" => self.parameters.copy_from_slice(&numbers),
                    "first" if self.stepper.remember(steps, &numbers, &second) => {}
                    "second" if self.stepper.remember(steps, &first, &numbers) => {}
                    other => bail!("this optimiser has no {other}"),
                }
                (json!({}), none)
            }
            Request::SetSteps { steps } => {
                let (_, first, second) = self.stepper.memory();
                let (first, second) = (first.to_vec(), second.to_vec());
                self.stepper.remember(steps, &first, &second);
                (json!({}), none)
            }
            Request::Get { what } => {
                let (_, first, second) = self.stepper.memory();
                let numbers = match what.as_str() {
                    "parameters" => &self.parameters,
                    "first" => first,
                    "second" => second,
                    other => bail!("no {other}"),
                };
                (json!({}), numbers.to_vec())
            }
            Request::Seed { seed } => {
                self.seed = seed;
                (json!({}), none)
            }
            Request::Data { rows } => {
                self.rows = take(input, rows * self.net.inputs())?;
                let labels: Vec<R> = take(input, rows * self.objective.labels_per_row())?;
                self.labels = labels.iter().map(|y| y.f64() as u32).collect();
                (json!({}), none)
            }
            Request::Gradient { rows, dropout } => {
                let loss = self.loss(&rows, dropout)?;
                let penalties = self.stepper.penalties();
                let penalty = penalties.value(&self.parameters, &[]);
                let mut gradient = self.gradient.clone();
                penalties.add_to(&mut gradient, &self.parameters, &[]);
                (json!({ "loss": loss, "penalty": penalty }), gradient)
            }
            Request::Step { rows, dropout } => {
                let penalty = self.stepper.penalties().value(&self.parameters, &[]);
                (json!({ "loss": self.step(&rows, dropout)?, "penalty": penalty }), none)
            }
            Request::Clipped { rows, clip } => {
                let (labels, units) = (self.batch(&rows)?, vec![1; rows.len()]);
                let (net, work, parameters) = (&self.net, &mut self.work, &self.parameters);
                let (batch, mut sum) = ((&self.objective, &labels[..], &units[..]), zeros(parameters.len()));
                let loss = self.pool.install(|| net.clipped(work, parameters, batch, None, clip, &mut sum));
                (json!({ "loss": loss }), sum)
            }
            Request::Time { batch, steps, private } => {
                let there = self.labels.len() / self.objective.labels_per_row();
                let mut seconds = Vec::with_capacity(steps);
                for step in 0..steps {
                    let rows: Vec<usize> = (0..batch).map(|row| (step * batch + row) % there).collect();
                    let began = Instant::now();
                    let loss = match private {
                        Some(clipping) => self.private_step(&rows, clipping)?,
                        None => self.step(&rows, true)?,
                    };
                    seconds.push(began.elapsed().as_secs_f64());
                    if !loss.is_finite() {
                        bail!("the loss of step {step} is not finite: such a step does less than others");
                    }
                }
                (json!({ "seconds": seconds, "batch_size": self.training.batch_size }), none)
            }
            Request::Logits { rows } => {
                self.batch(&rows)?;
                let (net, work, parameters) = (&self.net, &mut self.work, &self.parameters);
                let logits = self.pool.install(|| net.forward(work, parameters, rows.len(), None).to_vec());
                (json!({}), logits)
            }
            Request::Memory => (memory()?, none),
            Request::ResetPeak => {
                fs::write("/proc/self/clear_refs", "5")?;
                (json!({}), none)
            }
        })
    }

    fn serve(&mut self, input: &mut impl BufRead, output: &mut impl Write) -> Result<()> {
        reply::<R>(output, &self.describe(), &[])?;
        let mut line = String::new();
        while input.read_line(&mut line)? > 0 {
            let request = serde_json::from_str(&line).context("a request");
            match request.and_then(|request| self.answer(request, input)) {
                Ok((value, numbers)) => reply(output, &value, &numbers)?,
                Err(error) => reply::<R>(output, &json!({ "error": format!("{error:#}") }), &[])?,
            }
            line.clear();
        }
        Ok(())
    }
}

fn reply<R: Wire>(output: &mut impl Write, value: &Value, numbers: &[R]) -> Result<()> {
    let mut bytes = format!("{value}\n").into_bytes();
    numbers.iter().for_each(|number| number.write(&mut bytes));
    output.write_all(&bytes)?;
    Ok(output.flush()?)
}

/// Resident bytes now, and the most there were.
fn memory() -> Result<Value> {
    let status = fs::read_to_string("/proc/self/status")?;
    let bytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    };
    Ok(json!({ "rss": bytes("VmRSS:"), "peak": bytes("VmHWM:") }))
}

fn main() -> Result<()> {
    vectors::allowed().map_err(anyhow::Error::msg)?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let made = match serde_json::from_str(&line).context("a request") {
            Ok(Request::New { model, training, input: shape, outputs, dtype, threads }) => match dtype.as_str() {
                "f32" => Engine::<f32>::new(model, training, &shape, outputs, threads)
                    .map(|mut engine| engine.serve(&mut input, &mut output)),
                "f64" => Engine::<f64>::new(model, training, &shape, outputs, threads)
                    .map(|mut engine| engine.serve(&mut input, &mut output)),
                other => Err(anyhow::anyhow!("dtype {other}: use f32 or f64")),
            },
            Ok(Request::Memory) => {
                reply::<f32>(&mut output, &memory()?, &[])?;
                continue;
            }
            Ok(_) => Err(anyhow::anyhow!("the first request must be `new`")),
            Err(error) => Err(error),
        };
        match made {
            Ok(served) => return served,
            Err(error) => reply::<f32>(&mut output, &json!({ "error": format!("{error:#}") }), &[])?,
        }
    }
}
