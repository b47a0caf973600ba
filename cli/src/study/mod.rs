//! `consilium study register`, `enrol`, `start` and so on: what an institution's people sign, and what they decide at home.
//!
//! * [`register`], [`enrol`]: a study is proposed, and signed; [`consent`]: what is read before;
//! * [`rows`]: the rows of a table that a site's worker will train on, and the table's entry in `sites.toml`;
//! * [`private`]: what is said of a private study, and what its signers look at; [`spending`]: what it has cost;
//! * [`fetch`]: a finished study's model; [`means`]: what a study brings of its own beside it;
//! * `new` writes a study file ([`guess`]: what it takes columns and values for), and `validate` looks at one;
//! * [`sentences`]: what is signed, in words; [`voices`]: starting a study, leaving it, letting it go on, ending it;
//! * [`view`]: studies for whoever asks what there is;
//! * [`answers`]: whose part of a round will not come, and why; [`waiting`]: whose part is waited for, and until when; [`gone`]: since when it is away;
//! * [`silence`]: who is not waited for, since nothing came from it;
//! * [`watch`]: a study as it goes, to its end;
//! * [`masked`]: rounds whose updates were summed under masks;
//! * [`losses`]: what sites have reported of a round's model; [`standstill`]: why a study stands still, and what to do next.

pub mod answers;
mod closed;
mod consent;
mod draft;
mod enrol;
pub mod fetch;
pub mod gone;
mod guess;
pub mod losses;
pub mod masked;
pub mod means;
pub mod private;
mod register;
pub mod rows;
pub mod sentences;
pub mod silence;
pub mod spending;
pub mod standstill;
mod validate;
pub mod view;
mod voices;
pub mod waiting;
mod watch;

use crate::{chain::Chain, site};
use anyhow::{bail, Result};
use clap::Subcommand;
use consilium_primitives::{Hash, StudyId};
use std::time::{Duration, Instant};
use voices::{speak, Voice};

/// What can be signed.
#[derive(Subcommand)]
pub enum Command {
    /// Writes a study file with comments, from the columns of a table
    New(draft::New),
    /// Looks at a study file before anybody is asked to sign it; with a table, also whether the study can train on it
    Validate(validate::Validate),
    /// Proposes a study; the others, and the proposer too, enrol afterwards
    Register(register::Register),
    /// Enrols in exactly one agreement, after showing what is signed, what leaves the building and what stays on the chain
    Enrol(enrol::Enrol),
    /// Shows a study as it goes, to its end, and runs commands when something happens to it
    Watch(watch::Watch),
    /// Starts a study before its enrolment ends (its proposer)
    Start(voices::Plain),
    /// Takes no further part in a study
    Withdraw(voices::Plain),
    /// Lets a paused study go on (its proposer, or more than half of its members; more than two thirds in a strict one)
    Resume(voices::Plain),
    /// Ends a study in enrolment (its proposer), or a paused one (its proposer, or as many members as let it go on)
    ///
    /// A study that runs is not ended by anybody: it ends with its last round. A site that wants no more of it leaves it
    /// (`consilium study withdraw`); once fewer are left than the agreement asks for, it pauses, and can be ended then.
    Abort(voices::Plain),
    /// Gives up the masked sum for which a study is paused (its proposer, or as many members as let it go on)
    ///
    /// The round is void: the model stays as it was, and the next round trains anew. Nobody's update has been seen.
    Abandon(voices::Plain),
    /// Goes on from the attested model, although this site has computed another one
    ///
    /// A site whose merge differs from the attested one, also when it is computed a second time, takes no further part in
    /// the study. This notes the decision of its people to go on all the same.
    Accept(site::Accept),
    /// Writes a finished study's model, statistics and specification to a folder, from this site's own files
    Fetch(fetch::Fetch),
    /// Trains a model of this site's rows alone, after the study, and signs how it fares beside the study's
    Figures(Box<crate::report::own::Figures>),
    /// What the merge rule did to each update of a round, and how near updates were to the merge and to each other
    Reasons(site::Reasons),
}

/// Signs and sends one of them, and waits until a block holds it.
///
/// # Errors
/// A file that cannot be used; what the chain refused, by the name of its error.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::New(options) => draft::run(options).await,
        Command::Validate(options) => validate::run(options).await,
        Command::Register(options) => register::run(options).await,
        Command::Enrol(options) => enrol::run(options).await,
        Command::Watch(options) => watch::run(options).await,
        Command::Start(options) => speak(Voice::Start, options).await,
        Command::Withdraw(options) => speak(Voice::Withdraw, options).await,
        Command::Resume(options) => speak(Voice::Resume, options).await,
        Command::Abort(options) => speak(Voice::Abort, options).await,
        Command::Abandon(options) => speak(Voice::Abandon, options).await,
        Command::Accept(options) => site::accept(options).await,
        Command::Fetch(options) => fetch::run(options).await,
        Command::Figures(options) => crate::report::own::run(*options).await,
        Command::Reasons(options) => site::reasons(options).await,
    }
}

/// How long the best chain may lack a study that a block has registered: another block may have taken that one's place, and the call
/// is in the next.
const LOOKED_FOR: Duration = Duration::from_secs(20);

/// The number that the chain gave to the study with this agreement, which a block has registered.
///
/// # Errors
/// There is none.
pub async fn find(chain: &Chain, agreement: &Hash) -> Result<StudyId> {
    let until = Instant::now() + LOOKED_FOR;
    loop {
        if let Some(number) = registered(chain, agreement).await? {
            return Ok(number);
        }
        if Instant::now() > until {
            bail!(
                "a block registered the study, and {} s later the best chain has none with this agreement ({}): look at \
                 `consilium study` before it is registered again",
                LOOKED_FOR.as_secs(),
                hex::encode(agreement)
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The number of the newest study with this agreement, if there is any.
///
/// # Errors
/// The node does not answer.
pub async fn registered(chain: &Chain, agreement: &Hash) -> Result<Option<StudyId>> {
    let at = chain.best().await?;
    for number in (0..chain.study_count(at).await?).rev() {
        if chain.study(number, at).await?.is_some_and(|info| info.agreement == *agreement) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}
