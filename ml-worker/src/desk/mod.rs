//! Work at a desk, without a chain: one site's files, one process. What is trained here with a study's file and a site's
//! secret is what the worker would train in its first round.

mod bundle;
mod train;

pub use bundle::{Bundle, Made};
pub use train::{train, Outcome, Plan};

use crate::{
    data::{Preprocessing, Rows, Table},
    learn::{logits_of, Net},
};
use anyhow::Result;

/// Logits of a table's rows.
///
/// # Errors
/// Rows that do not fit the model, or cannot be read.
pub fn logits(bundle: &Bundle, table: &Table) -> Result<(Vec<f32>, Rows)> {
    let preprocessing: &Preprocessing = &bundle.preprocessing;
    let rows = preprocessing.rows(table)?;
    let net = Net::new(bundle.spec.architecture()?)?;
    Ok((logits_of(&net, &bundle.parameters, &rows)?, rows))
}
