//! What liars do.

#[derive(Clone, Copy, Debug)]
pub(in crate::round::tests) enum CommitLie {
    Honest,
    /// A malformed file, in the first block, served to those in the mask.
    Junk(u64),
    /// A sound file, served to those in the mask.
    ServesSome(u64),
    Silent,
    Failure,
    /// Another length than the agreed one, then nothing.
    WrongLength,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::round::tests) enum BallotLie {
    Honest,
    /// Says that it lacks these.
    Missing(u64),
    /// Says that these are invalid.
    Invalid(u64),
    /// A wrong root, the same from all that lie so.
    WrongRoot,
    /// First the one, then the other.
    MissingThenWrongRoot(u64),
    /// The right root, and ahead of it a malformed update that it serves to those in the mask.
    Ahead(u64),
    /// A wrong root, and an update that stands on it.
    AheadOfWrongRoot,
    /// Says that the freeze is not final, and that it holds all but these; and nothing more.
    NotFinal(u64),
    Silent,
}

/// How a liar behaves in one attempt of one round.
#[derive(Clone, Copy, Debug)]
pub(in crate::round::tests) struct Mood {
    pub commit: CommitLie,
    pub ballot: BallotLie,
    pub loss: Option<u32>,
}

#[derive(Clone, Debug)]
pub(in crate::round::tests) struct Liar {
    /// One after the other, over rounds and attempts.
    pub moods: Vec<Mood>,
    /// Blocks in which it withdraws and, if at all, enrols again.
    pub withdraws: Option<(u32, Option<u32>)>,
}
