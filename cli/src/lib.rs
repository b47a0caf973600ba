//! `consilium`, what an operator types.
//!
//! * `consilium init`, `card`, `found`: an institution's folder and card, and the chain of all founders' cards;
//! * `consilium up`, `units`, `doctor`: an institution's node and worker, running, as services, and looked through;
//! * `consilium dashboard`: a page on this machine that shows what an institution's node and worker know;
//! * `consilium report`: the report that a study ends with;
//! * `consilium localnet run`: a whole consortium on this machine, from a study file to a certificate; `localnet resume`: the rest of
//!   one that has ended before;
//! * `consilium studies`, `consilium study N`, `consilium institutions`: what a running network says;
//! * `consilium late`: in which block each vote came, and what each phase waited for;
//! * `consilium audit`, `consilium export`, `consilium authorities`: whether what the chain says can be recomputed, here or elsewhere;
//! * `consilium study register`, `enrol`, `start` and so on: what an institution's people sign; `study fetch`: a model;
//! * `consilium budget`: what private studies have cost a site's data sets;
//! * `consilium motions`, `propose`, `vote`, `close`, `upgrade`: what institutions decide together;
//! * `consilium rotate`, `addresses`, `profile`, `leave`: what each does for itself.
//!
//! Standard output is written through [`out`] alone, which knows what to do when nobody reads.
//!
//! It speaks to the chain as any outside client would: JSON-RPC, and signed transactions.
#![deny(clippy::print_stdout)]

#[macro_use]
mod out;

mod archive;
mod ask;
mod audit;
mod budget;
mod chain;
mod dashboard;
mod examples;
mod firewall;
mod institution;
mod key;
mod late;
mod localnet;
mod motions;
mod options;
mod plain;
mod process;
mod programs;
mod recover;
mod report;
mod show;
mod signals;
mod site;
mod study;
mod up;

use anyhow::Context;
use clap::{error::ErrorKind, CommandFactory, FromArgMatches, Parser, Subcommand};
use consilium_program::{Manuals, Version};
use options::Asked;
use std::process::ExitCode;

/// Swarm learning on a chain that the participating institutions own together.
#[derive(Parser)]
#[command(name = "consilium", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an institution's folder: all keys, settings, and a public card for the other institutions
    Init(Box<institution::init::Options>),
    /// Show an institution's card and its fingerprint, sign one, or make one again
    Card(institution::card::Options),
    /// Make the specification of a new chain from all founders' cards, or check one that somebody else has made
    ///
    /// Everybody who has the same cards, terms and runtime gets the same bytes.
    Found(Box<institution::found::Options>),
    /// Start an institution's node and worker from its folder and keep them running, or say how they are
    Up(up::Options),
    /// Print systemd's units for an institution's node and worker: what `up` starts, shut in
    Units(up::units::Options),
    /// Look whether everything is as it should be in an institution's folder; each line passes or says what to do
    Doctor(up::doctor::Options),
    /// Serve a page on this machine that shows an institution's people what its node and worker know
    Dashboard(dashboard::Options),
    /// Write the report on a study: one page that people read, print and cite, and the same as JSON
    Report(report::Options),
    /// Networks on this machine, for trying things out
    #[command(subcommand)]
    Localnet(Localnet),
    /// All studies on a chain
    Studies(Asked),
    /// One study: its agreement, its members and its rounds; or what an institution signs for one
    #[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
    Study {
        #[command(subcommand)]
        command: Option<study::Command>,
        /// Number of the study
        #[arg(required = true)]
        number: Option<u32>,
        #[command(flatten)]
        asked: Asked,
    },
    /// In which block each vote of a study came, how late that was, and what each phase of each round waited for
    ///
    /// Rounds that took more blocks than the least possible are marked.
    Late(late::Options),
    /// Recomputes a study from its first round on, and says what is as the chain says and what is not
    ///
    /// It exits with 0 if all that is there is as the chain says, with 2 if something differs, with 3 if something that
    /// should be there is not, and with 1 if it could not audit.
    Audit(audit::Options),
    /// Makes an archive of a study, which can be audited without a node
    Export(archive::export::Options),
    /// What private studies have cost an institution's data sets, and what they may
    #[command(subcommand)]
    Budget(budget::Command),
    /// Who finalises blocks, also as the file that `audit --trust-authorities` takes
    Authorities(archive::authorities::Options),
    /// All institutions of the consortium
    Institutions(Asked),
    /// Prints firewall rules that let in nodes from the members' addresses alone, as the chain has them
    Firewall(firewall::Options),
    /// What is voted on, and what was decided last
    Motions(motions::show::Options),
    /// Put something to the vote; it is the proposer's aye
    #[command(subcommand)]
    Propose(Box<motions::propose::Command>),
    /// Vote on a motion, also in place of what was said before; the deciding vote does what the motion says
    Vote(motions::vote::Vote),
    /// Take a motion away whose time is over
    Close(motions::vote::Close),
    /// A new runtime: put it to the vote by its file, apply it, see how it stands
    #[command(subcommand)]
    Upgrade(motions::upgrade::Command),
    /// Go on when most validators are gone for good, and nothing can be voted on any more
    #[command(subcommand)]
    Recover(Box<recover::Command>),
    /// New session keys, or a new key of the node; a new account is a motion
    #[command(subcommand)]
    Rotate(motions::rotate::Command),
    /// Where the others reach this institution's node
    #[command(subcommand)]
    Addresses(motions::own::Addresses),
    /// What institutions say about themselves
    #[command(subcommand)]
    Profile(motions::profile::Command),
    /// Take this institution out of the consortium
    Leave(motions::own::Leave),
    /// Write manual pages and the shells' completions, as packages have them
    #[command(hide = true)]
    Manuals(Manuals),
}

#[derive(Subcommand)]
enum Localnet {
    /// Runs a study on a network of its own, from a study file to a certificate
    Run(localnet::Options),
    /// Takes up again a run that has ended before its study, from its folder
    Resume(localnet::resume::Options),
}

/// The program's whole command line, as its build describes itself.
fn command_line(version: Version) -> clap::Command {
    examples::with(Cli::command()).version(version.to_string())
}

/// Does what the command line says, and gives the program's exit code.
// One thread: children ask the kernel to be killed with the thread that started them, which therefore must live as
// long as this process.
#[tokio::main(flavor = "current_thread")]
pub async fn program(version: Version) -> ExitCode {
    let parsed = command_line(version).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // the parser's own exit code for a wrong command line, 2, is the one of an audit that found a difference
            let failed = error.use_stderr();
            let printed = error.print().is_ok();
            if error.kind() == ErrorKind::MissingRequiredArgument {
                let typed: Vec<String> =
                    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
                if let Some(example) = examples::of_typed(&typed) {
                    eprintln!("For example: {example}");
                }
            }
            return if printed && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match run(cli.command, version).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", plain::told(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, version: Version) -> anyhow::Result<ExitCode> {
    match command {
        Command::Audit(options) => return audit::run(options).await,
        Command::Budget(command) => return budget::run(&command).await,
        Command::Found(options) => return institution::found::run(*options).await,
        Command::Up(options) => return up::run(options).await,
        Command::Rotate(command) => return motions::rotate::run(&command).await,
        Command::Doctor(options) => return up::doctor::run(&options).await,
        Command::Units(options) => up::units::run(&options),
        Command::Init(options) => institution::init::run(*options).await,
        Command::Card(options) => institution::card::run(&options).await,
        Command::Dashboard(options) => dashboard::run(options).await,
        Command::Report(options) => report::run(options).await,
        Command::Localnet(Localnet::Run(options)) => localnet::run(options).await,
        Command::Localnet(Localnet::Resume(options)) => localnet::resume(options).await,
        Command::Studies(asked) => study::view::studies(&asked).await,
        Command::Study { command: Some(command), .. } => study::run(command).await,
        Command::Study { number, asked, .. } => study::view::study(number.unwrap_or_default(), &asked).await,
        Command::Late(options) => late::run(options).await,
        Command::Institutions(asked) => institution::list::run(&asked).await,
        Command::Firewall(options) => firewall::run(&options).await,
        Command::Export(options) => archive::export::run(options).await,
        Command::Authorities(options) => archive::authorities::run(&options).await,
        Command::Motions(options) => motions::show::run(&options).await,
        Command::Propose(command) => motions::propose::run(*command).await,
        Command::Vote(options) => motions::vote::vote(&options).await,
        Command::Close(options) => motions::vote::close(&options).await,
        Command::Upgrade(command) => motions::upgrade::run(&command).await,
        Command::Recover(command) => recover::run(&command).await,
        Command::Addresses(command) => motions::own::addresses(&command).await,
        Command::Profile(command) => motions::profile::run(&command).await,
        Command::Leave(options) => motions::own::leave(&options).await,
        Command::Manuals(manuals) => manuals.write(command_line(version)).context("cannot write manuals"),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use options::{Connection, Format, DEFAULT_URL};

    #[test]
    fn what_only_reads_takes_a_folder_as_what_signs_does_and_its_hints_can_be_pasted() {
        for line in [&["studies"][..], &["study", "0"], &["institutions"]] {
            Cli::try_parse_from([&["consilium"], line, &["--dir", "birch"]].concat()).map(|_| ()).unwrap();
        }
        let connection = Connection { url: DEFAULT_URL.into(), format: Format::Text };
        let asked = Asked { dir: Some("birch".into()), connection };
        assert_eq!(asked.hint(), " --dir birch");
        assert_eq!(asked.pasted("consilium study resume 3 --dir FOLDER"), "consilium study resume 3 --dir birch");
        assert_eq!(Asked { dir: None, ..asked }.pasted("x --dir FOLDER"), "x --dir FOLDER");
    }

    #[test]
    fn a_site_accepts_a_round_or_the_statistics() {
        let parses = |what: &[&str]| {
            let line = ["consilium", "study", "accept", "0", "--dir", "worker"];
            Cli::try_parse_from(line.iter().chain(what)).is_ok()
        };
        assert!(parses(&["--round", "3"]) && parses(&["--statistics"]));
        assert!(!parses(&[]) && !parses(&["--statistics", "--round", "3"]));
    }

    #[test]
    fn the_command_line_has_no_contradiction() {
        Cli::command().debug_assert();
    }
}
