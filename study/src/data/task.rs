//! What a model's outputs are.

/// The kinds of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Two classes, one logit.
    Binary,
    /// So many classes, one logit each, of which one holds.
    Classes(usize),
    /// So many labels, one logit each, each yes or no.
    Labels(usize),
    /// A number: one output, which is no logit.
    Value,
    /// The time until an event, in so many intervals: one logit of a hazard each.
    Events(usize),
}

impl Task {
    /// Logits per row.
    pub fn outputs(self) -> usize {
        match self {
            Self::Binary | Self::Value => 1,
            Self::Classes(n) | Self::Labels(n) | Self::Events(n) => n,
        }
    }
}
