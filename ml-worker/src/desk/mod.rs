//! Work at a desk, without a chain: one site's files, one process. What is trained here with a study's file and a site's
//! secret is what the worker would train in its first round.

mod bundle;
mod evaluation;
mod fit;
mod train;

pub use bundle::{Bundle, Made, Own, LOCAL};
pub use evaluation::{evaluate, Bootstrap, By, Cut, Draws, Evaluation, Output, Recalibrated};
pub use fit::{Fitted, Wanted};
pub use train::{train, train_by, Outcome, Plan};

use crate::{
    data::{Preprocessing, Rows, Table},
    external::Engine,
};
use anyhow::{bail, Result};
use consilium_study::{Architecture, Node, Op, Scaling, StudySpec};

/// Logits of a table's rows.
///
/// # Errors
/// Missing values that nothing is known to stand in for; one row alone where rows are scaled by each other; rows that do not fit the model, or cannot be read.
pub fn logits(bundle: &Bundle, table: &Table) -> Result<(Vec<f32>, Rows)> {
    let preprocessing: &Preprocessing = &bundle.preprocessing;
    if !bundle.knows_means() && table.missing > 0 {
        bail!(
            "{} values are missing, and this study's model does not say what stands in for them: each site took the means \
             of its own training rows; fill them in, or pack the model with a site's data (pack --data)",
            table.missing
        );
    }
    if bundle.spec.data.scaling == Scaling::Transductive {
        // of one row, nothing is left
        if table.rows() < 2 {
            bail!("this model scales the rows of a table by their own mean and deviation: it needs more than one row");
        }
        tracing::warn!(
            "this model scales the rows of a table by their own mean and deviation: what it says of a row depends on which \
             other rows are there"
        );
    }
    let rows = preprocessing.rows(table)?;
    Ok((logits_of_rows((&bundle.spec, &bundle.engine), &bundle.parameters, table, &rows, |row| row)?, rows))
}

/// Logits of rows that were made of a table's; `number`: which of them.
fn logits_of_rows(
    (spec, engine): (&StudySpec, &Engine),
    parameters: &[f32],
    table: &Table,
    rows: &Rows,
    number: impl Fn(usize) -> usize,
) -> Result<Vec<f32>> {
    // as in training: beyond f32 there is no number, and what comes out looks like one all the same
    if let Some((row, place)) = rows.not_finite()? {
        let what = match table.features.get(place) {
            Some(name) => format!("column {name:?}"),
            None => "its picture".into(),
        };
        bail!(
            "row {}, {what}: a scaled value leaves the range of f32; look at the value, or at the study's scaling",
            number(row) + 1
        );
    }
    engine.logits(spec, parameters, rows)
}

/// One line per layer: where it stands, what it does, what it takes and gives.
pub fn layers(architecture: &Architecture) -> Vec<String> {
    fn add(nodes: &[Node], architecture: &Architecture, out: &mut Vec<String>) {
        for node in nodes {
            let pair = |weight: usize, bias: usize| {
                let (weight, bias) = (&architecture.tensors[weight], &architecture.tensors[bias]);
                let mut text =
                    format!(", {} {:?}, {} parameters", weight.name, weight.shape, weight.elements() + bias.elements());
                for (name, lambda) in [("L1", weight.l1), ("L2", weight.l2)] {
                    if lambda != 0.0 {
                        text.push_str(&format!(", {name} {lambda}"));
                    }
                }
                text
            };
            let what = match &node.op {
                Op::Dense { weight, bias } => format!("dense{}", pair(*weight, *bias)),
                Op::Conv2d { weight, bias, kernel, stride, padding } => {
                    format!("conv2d {kernel}x{kernel}, stride {stride}, padding {padding}{}", pair(*weight, *bias))
                }
                Op::MaxPool { size, stride, padding } => {
                    format!("max_pool {size}x{size}, stride {stride}, padding {padding}")
                }
                Op::AveragePool { size, stride, padding } => {
                    format!("average_pool {size}x{size}, stride {stride}, padding {padding}")
                }
                Op::GlobalAveragePool => "global_average_pool".into(),
                Op::Norm { weight, bias, groups, .. } => format!("norm over {groups} groups{}", pair(*weight, *bias)),
                Op::Activation(activation) => format!("{activation:?}").to_lowercase(),
                Op::Dropout(rate) => format!("dropout {rate}"),
                Op::Flatten => "flatten".into(),
                Op::Residual { .. } => "residual: the sum of its branch and its shortcut".into(),
            };
            out.push(format!("{}: {what}; {:?} -> {:?}", node.path, node.input, node.output));
            if let Op::Residual { branch, shortcut } = &node.op {
                add(branch, architecture, out);
                add(shortcut, architecture, out);
            }
        }
    }
    let mut out = Vec::new();
    add(&architecture.nodes, architecture, &mut out);
    out
}
