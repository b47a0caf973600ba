//! `consilium localnet run`: a consortium of real processes on this machine, from a study file to a certificate.
//!
//! * [`plan`], [`folder`], [`founding`], [`ports`]: what is checked and made first;
//! * [`network`], [`house`]: the processes; [`agree`], [`watch`]: the study;
//! * [`report`], [`table`]: what a run leaves; [`so_far`]: what one leaves that has ended before its study;
//! * [`record`], [`mod@resume`]: how it is taken up again from its folder.

mod agree;
mod folder;
mod founding;
mod house;
mod network;
mod options;
mod plan;
mod ports;
mod record;
mod report;
pub mod resume;
mod so_far;
mod table;
mod watch;

use crate::{
    options::Format,
    plain::told,
    show::{self, Names},
    signals::Signals,
    study::registered,
};
use anyhow::{Context, Result};
pub use house::get;
use house::PAGE;
use network::Network;
pub use options::Options;
use plan::Plan;
use record::Record;
use std::time::Instant;
use tokio::time::timeout;

/// Whether a network stays after its study, and how the result is printed.
#[derive(Clone, Copy)]
struct How {
    keep: bool,
    format: Format,
}

/// Runs a study on a network of its own.
///
/// # Errors
/// Anything that stood in the way. Nothing is left running then; what there is of the study is written down, and said how to go on.
pub async fn run(options: Options) -> Result<()> {
    let mut signals = Signals::listen()?;
    let began = Instant::now();
    let (plan, network) = tokio::select! {
        ready = prepare(&options) => ready?,
        () = signals.any() => return Err(interrupted()),
    };
    carry(How { keep: options.keep, format: options.format }, &plan, &network, began, &mut signals).await
}

/// Takes up a run again that has ended before its study, from its folder.
///
/// # Errors
/// As [`run`].
pub async fn resume(options: resume::Options) -> Result<()> {
    let mut signals = Signals::listen()?;
    let began = Instant::now();
    let (plan, network) = resume::open(&options)?;
    carry(How { keep: options.keep, format: options.format }, &plan, &network, began, &mut signals).await
}

/// Carries a study through, and says what there is of it where that fails.
async fn carry(how: How, plan: &Plan, network: &Network, began: Instant, signals: &mut Signals) -> Result<()> {
    let (outcome, told_to_stop) = tokio::select! {
        outcome = conduct(how, plan, network, began) => (outcome, false),
        died = network.watch() => (died, false),
        () = signals.any() => (Err(interrupted()), true),
    };
    let logs = plan.dir.display();
    let outcome = match outcome {
        // the study is done, its certificate final and its report written: being told to stop is no failure any more
        Ok(()) if how.keep => tokio::select! {
            died = network.watch() => died.with_context(|| {
                let again = so_far::resume_line(plan);
                format!("the run is complete, but its network could not be kept; `{again} --keep` starts it again")
            }),
            () = signals.any() => Ok(()),
        },
        Ok(()) => Ok(()),
        Err(error) => {
            if told_to_stop {
                say(&format!("to go on: {}", so_far::resume_line(plan)));
            } else {
                tokio::select! {
                    () = leave(plan, network, &error) => {}
                    () = signals.any() => {}
                }
            }
            Err(error.context(format!("the run has failed, and all its processes are stopped; its logs are in {logs}")))
        }
    };
    network.stop();
    outcome
}

/// Writes what there is of a run that has failed, and says what that is and how to go on.
async fn leave(plan: &Plan, network: &Network, why: &anyhow::Error) {
    let written = timeout(so_far::PATIENCE, so_far::write(plan, network, why)).await;
    match written.unwrap_or_else(|_| Err(anyhow::anyhow!("that took longer than {} s", so_far::PATIENCE.as_secs()))) {
        Ok(Some(written)) => {
            let files: Vec<String> = written.files.iter().map(|file| file.display().to_string()).collect();
            say(&format!("what there is of it, {} of {} rounds: {}", written.rounds, written.agreed, files.join(", ")));
            if written.goes_on {
                say(&format!("to go on: {}", so_far::resume_line(plan)));
            }
        }
        Ok(None) => say(&format!("no round was made; to go on: {}", so_far::resume_line(plan))),
        Err(error) => say(&format!(
            "what there is of it cannot be told now ({}); to go on: {}",
            told(&error),
            so_far::resume_line(plan)
        )),
    }
}

async fn prepare(options: &Options) -> Result<(Plan, Network)> {
    let plan = Plan::check(options).await?;
    let ahead = !options.no_ahead;
    let founded = match Network::found(&plan, options).await {
        Ok(network) => Record::of(&plan, ahead).write().map(|()| network),
        Err(error) => Err(error),
    };
    match founded {
        Ok(network) => Ok((plan, network)),
        Err(error) => {
            plan.discard();
            Err(error)
        }
    }
}

fn interrupted() -> anyhow::Error {
    anyhow::anyhow!("interrupted")
}

async fn conduct(how: How, plan: &Plan, network: &Network, began: Instant) -> Result<()> {
    say(&format!(
        "{} sites, {} rounds; everything goes to {}",
        plan.sites.len(),
        plan.rules.max_rounds,
        plan.dir.display()
    ));
    for (site, house) in plan.sites.iter().zip(&network.houses).filter(|(s, h)| s.name != h.name) {
        say(&format!("  {} runs as {} of the local network, in {}", site.name, house.name, house.dir.display()));
    }
    network.start_nodes()?;
    let chains = network.connect().await?;
    let chain = chains.first().context("a network without nodes")?;
    let agreement = agree::agreement(chain, plan, network)?;
    agree::allow(plan, network, &agreement)?;
    network.start_workers(plan.sites.len()).await?;
    say(&format!("{} processes run; the nodes are looking for each other", network.size()));
    network.meet(&chains).await?;
    let begun = registered(chain, &agreement).await?.is_some();
    let study = agree::enrol_all(chain, plan, network, &agreement).await?;
    let names: Names = plan.sites.iter().zip(&network.houses).map(|(s, h)| (h.id(), s.name.clone())).collect();
    match chain.study(study, chain.best().await?).await?.filter(|_| begun) {
        None => say(&format!("study {study} is registered, and {} institutions have enrolled", plan.sites.len())),
        Some(info) => say(&format!("study {study} goes on, in round {}", info.state.round)),
    }
    let finished = watch::follow(chain, study, &network.houses, &names).await?;
    let model = agree::compare_copies(&chains, study, &finished, plan, network).await?;
    say("the certificate is final, and every site holds the same bytes; now the comparison");
    let records = show::history(chain, study, &finished.info.state, finished.at).await?;
    let run = report::Run { plan, network, chain, study, finished: &finished, records: &records, names: &names };
    let document = match report::written(&plan.dir, &finished) {
        Some(document) => document,
        None => run.write(&model, began).await?,
    };
    so_far::remove(plan);
    match how.format {
        Format::Json => show::print_json(&document)?,
        Format::Text => table::print(&document, &plan.dir),
    }
    let first = network.houses.first().context("a network without institutions")?;
    match (how.keep, how.format) {
        (true, format) => {
            let page = format!("{PAGE}/apps/?rpc={}", first.url());
            if format == Format::Text {
                out!("chain   {page} (or any polkadot-js page with this address)");
            }
            say(&format!("look around: {page}"));
            say("  (the browser asks whether that page may reach this device: allow it)");
            say(&format!("or with nothing from outside: consilium dashboard --dir {}", first.dir.display()));
            say("the network keeps running; Ctrl-C stops it");
        }
        (false, Format::Text) => {
            out!("chain   to start it again and look around: consilium localnet resume {} --keep", plan.dir.display());
        }
        (false, Format::Json) => {}
    }
    Ok(())
}

fn say(text: &str) {
    eprintln!("{text}");
}
