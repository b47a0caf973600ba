//! Why a specification cannot be used.

/// Why a specification cannot be used: the field, what stands there, what may stand there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it, and what may stand there.
    pub problem: String,
}

pub(crate) fn wrong(field: impl Into<String>, problem: impl Into<String>) -> SpecError {
    SpecError { field: field.into(), problem: problem.into() }
}

/// A number that is added so that nothing is divided by 0.
pub(crate) fn small(field: impl Into<String>, value: f64) -> Result<(), SpecError> {
    if value > 0.0 && value <= 1.0 {
        Ok(())
    } else {
        Err(wrong(field, format!("{value} must be above 0, and at most 1")))
    }
}
