//! `consilium localnet run`: a consortium of real processes on this machine, from a study file to a certificate.

mod agree;
mod folder;
mod founding;
mod house;
mod network;
mod options;
mod plan;
mod ports;
mod report;
mod table;
mod watch;

use crate::{
    options::Format,
    show::{self, Names},
    signals::Signals,
};
use anyhow::{Context, Result};
pub use house::get;
use house::PAGE;
use network::Network;
pub use options::Options;
use plan::Plan;
use std::time::Instant;

/// Runs a study on a network of its own.
///
/// # Errors
/// Anything that stood in the way. Nothing is left running then.
pub async fn run(options: Options) -> Result<()> {
    let mut signals = Signals::listen()?;
    let began = Instant::now();
    let (plan, network) = tokio::select! {
        ready = prepare(&options) => ready?,
        () = signals.any() => return Err(interrupted()),
    };
    let outcome = tokio::select! {
        outcome = conduct(&options, &plan, &network, began) => outcome,
        died = network.watch() => died,
        () = signals.any() => Err(interrupted()),
    };
    let logs = plan.dir.display();
    let outcome = match outcome {
        // the study is done, its certificate final and its report written: being told to stop is no failure any more
        Ok(()) if options.keep => tokio::select! {
            died = network.watch() => died.context("the run is complete, but its network could not be kept"),
            () = signals.any() => Ok(()),
        },
        Ok(()) => Ok(()),
        Err(error) => {
            Err(error.context(format!("the run has failed, and all its processes are stopped; its logs are in {logs}")))
        }
    };
    network.stop();
    outcome
}

async fn prepare(options: &Options) -> Result<(Plan, Network)> {
    let plan = Plan::check(options).await?;
    match Network::found(&plan, options).await {
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

async fn conduct(options: &Options, plan: &Plan, network: &Network, began: Instant) -> Result<()> {
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
    let study = agree::enrol_all(chain, plan, network, &agreement).await?;
    let names: Names = plan.sites.iter().zip(&network.houses).map(|(s, h)| (h.id(), s.name.clone())).collect();
    say(&format!("study {study} is registered, and {} institutions have enrolled", plan.sites.len()));
    let finished = watch::follow(chain, study, &network.houses, &names).await?;
    let model = agree::compare_copies(&chains, study, &finished, plan, network).await?;
    say("the certificate is final, and every site holds the same bytes; now the comparison");
    let records = show::history(chain, study, &finished.info.state, finished.at).await?;
    let run = report::Run { plan, network, chain, study, finished: &finished, records: &records, names: &names };
    let document = run.write(&model, began).await?;
    match options.format {
        Format::Json => show::print_json(&document)?,
        Format::Text => table::print(&document, &plan.dir),
    }
    let first = network.houses.first().context("a network without institutions")?;
    match (options.keep, options.format) {
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
            out!("chain   to keep it running and look around with polkadot-js: the same command with --keep");
        }
        (false, Format::Json) => {}
    }
    Ok(())
}

fn say(text: &str) {
    eprintln!("{text}");
}
