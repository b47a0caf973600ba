//! What liars do, and who they are. The programs `lying-worker` and `lying-node` stand in for the real ones: for honest sites
//! they become the real program, and for liars they change what the real one says.

use anyhow::{bail, Context, Result};
use consilium_primitives::DutyKind;
use std::{
    env, fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::Path,
    process::Command,
};

/// Names the liars of a run: `SITE=LIE,SITE=LIE@ROUND`; without a round they lie in each.
pub const LIARS: &str = "CONSILIUM_E2E_LIARS";

/// What a site's programs lie about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Attests a hash that no file has.
    WrongHash,
    /// Attests a merge in which one bit is another; all that do so attest the same.
    Collude,
    /// Commits an update, masked or not, and gives it to nobody.
    Withhold,
    /// Commits a masked update in which one word is another, as wrong masks leave it.
    WrongWord,
    /// Gives other keys for a masked sum than it has.
    WrongKeys,
    /// Seals rubbish in its deal, for everybody.
    RubbishDeal,
    /// Gives a share that was not dealt to it.
    WrongShare,
    /// No lie: in a masked round it answers nothing any more from this duty on, nor, where the study pauses over that, that it is there.
    Gone(DutyKind),
    /// Commits an update with a number that is none.
    NotANumber,
    /// Commits an update of another architecture, of the same length.
    Architecture,
    /// Commits an update and serves other bytes.
    CorruptChunks,
    /// No lie, but a fault of its node's: for some seconds it gets no answer to its requests for blocks.
    LostBlocks,
}

/// Duties of a masked round, in their order.
pub const MASKED: [DutyKind; 6] =
    [DutyKind::Keys, DutyKind::Deal, DutyKind::Mask, DutyKind::Gather, DutyKind::Reveal, DutyKind::Merge];

impl Lie {
    /// Whether it is the node's, and the worker is honest.
    #[must_use]
    pub fn of_node(self) -> bool {
        matches!(self, Self::CorruptChunks | Self::LostBlocks)
    }

    /// Whether a duty of the round is not answered: who is gone answers none of those after it, and who withholds a file would find it
    /// missing, and make it again.
    #[must_use]
    pub fn silent(self, duty: DutyKind) -> bool {
        let place = |kind| MASKED.iter().position(|other| *other == kind);
        match self {
            Self::Gone(from) => place(duty).is_some_and(|duty| place(from).is_some_and(|from| from <= duty)),
            Self::Withhold => matches!(duty, DutyKind::Merge | DutyKind::Gather | DutyKind::Reveal),
            _ => false,
        }
    }
}

impl Lie {
    /// That of a site, by a path in which its name stands, and the round; `None`: it is honest.
    ///
    /// # Errors
    /// A lie of this name is unknown.
    pub fn of(arguments: &[String]) -> Result<Option<(Self, Option<u32>)>> {
        let liars = env::var(LIARS).unwrap_or_default();
        for liar in liars.split(',').filter(|liar| !liar.is_empty()) {
            let (site, lie) = liar.split_once('=').context("a liar is SITE=LIE")?;
            let part = format!("/{site}/");
            if arguments.iter().any(|argument| argument.contains(&part)) {
                let (lie, round) = match lie.split_once('@') {
                    Some((lie, round)) => (lie, Some(round.parse().context("a round is a number")?)),
                    None => (lie, None),
                };
                let lie = match lie {
                    "wrong-hash" => Self::WrongHash,
                    "collude" => Self::Collude,
                    "withhold" => Self::Withhold,
                    "wrong-word" => Self::WrongWord,
                    "wrong-keys" => Self::WrongKeys,
                    "rubbish-deal" => Self::RubbishDeal,
                    "wrong-share" => Self::WrongShare,
                    "gone-before-keys" => Self::Gone(DutyKind::Keys),
                    "gone-after-keys" => Self::Gone(DutyKind::Deal),
                    "gone-after-deal" => Self::Gone(DutyKind::Mask),
                    "gone-after-update" => Self::Gone(DutyKind::Gather),
                    "gone-after-gathering" => Self::Gone(DutyKind::Reveal),
                    "not-a-number" => Self::NotANumber,
                    "architecture" => Self::Architecture,
                    "corrupt-chunks" => Self::CorruptChunks,
                    "lost-blocks" => Self::LostBlocks,
                    _ => bail!("no lie is called {lie}"),
                };
                return Ok(Some((lie, round)));
            }
        }
        Ok(None)
    }
}

/// Makes a folder in which the liars' programs have the names of the real ones.
///
/// # Errors
/// It cannot be made.
pub fn programs(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (real, lying) in [("consilium-node", "lying-node"), ("ml-worker", "lying-worker")] {
        symlink(crate::bin_dir()?.join(lying), folder.join(real))?;
    }
    Ok(())
}

/// Becomes the real program of this name, which lies beside this one.
///
/// # Errors
/// It cannot be started.
pub fn become_real(name: &str, arguments: &[String]) -> Result<()> {
    // the path of this program, not that of a link to it
    let folder = env::current_exe()?.parent().context("no folder")?.to_path_buf();
    let error = Command::new(folder.join(name)).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {name}"))
}
