//! What sets one pairing apart from every other, on every chain.
use crate::hash::hash;

/// What is summed under masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Sums of columns, which features are scaled with.
    Statistics = 0,
    /// A round's step of the model.
    Model = 1,
    /// Figures of the final model, without a model.
    Evaluation = 2,
}

/// One agreement on masks. Nothing that is drawn for it serves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing<'a> {
    /// Hash of the chain's first block.
    pub genesis: &'a [u8; 32],
    /// The study.
    pub study: u32,
    /// Hash of what the study's sites agreed on.
    pub agreement: &'a [u8; 32],
    /// What is summed.
    pub kind: Kind,
    /// The round.
    pub round: u32,
    /// The study's counter of pairings: it rises with every round, every resumption and every repetition.
    pub pairing: u32,
}

impl Pairing<'_> {
    /// The pairing's name, which is part of all that is derived.
    pub fn context(&self) -> [u8; 32] {
        hash(&[
            b"consilium/masks/1",
            self.genesis,
            &self.study.to_le_bytes(),
            self.agreement,
            &[self.kind as u8],
            &self.round.to_le_bytes(),
            &self.pairing.to_le_bytes(),
        ])
    }
}
