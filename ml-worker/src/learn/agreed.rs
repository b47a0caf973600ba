//! The one figure that a study's sites have agreed to report.

use super::{logits_of, objective, Net, TrainError};
use crate::data::Rows;
use consilium_study::StudySpec;

/// The agreed metric of rows in micro-units, as [`micro_of`] says.
///
/// # Errors
/// What the network says; rows that cannot be read.
pub fn loss_micro(spec: &StudySpec, parameters: &[f32], rows: &Rows) -> Result<Option<u32>, TrainError> {
    let net = Net::new(spec.architecture()?)?;
    Ok(micro_of(spec, &logits_of(&net, parameters, rows)?, rows))
}

/// The agreed metric of rows with these logits, over all labels that are known, in micro-units; of an outcome that is a number
/// in millionths of its variance, or of its deviation, over all sites' training rows. `None` with fewer rows than `min_rows`.
/// Figures beyond what
/// fits say the largest number that does.
pub fn micro_of(spec: &StudySpec, z: &[f32], rows: &Rows) -> Option<u32> {
    if rows.is_empty() || rows.len() < spec.evaluation.min_rows as usize {
        return None;
    }
    let objective = objective(spec, None);
    let parts = z.chunks_exact(objective.task.outputs()).zip(rows.labels().chunks_exact(objective.labels_per_row()));
    let sum = parts.fold(0.0, |sum, (z, label)| sum + objective.metric(spec.evaluation.metric, z, label));
    let micro = (sum / objective.known(rows.labels()) * 1e6).round();
    // a cast of a float saturates
    Some(if micro.is_nan() { u32::MAX } else { micro as u32 })
}
