//! `consilium localnet run`: a consortium of real processes on this machine, from a study file to a certificate.

mod agree;
mod chain_spec;
mod keys;
mod network;
mod plan;
mod process;
mod report;
mod table;
mod watch;

use crate::{
    show::{self, Names},
    Format,
};
use anyhow::{Context, Result};
use clap::Args;
use network::{Network, PAGE};
use plan::Plan;
use std::{path::PathBuf, time::Instant};
use tokio::signal::unix::{signal, Signal, SignalKind};

/// What `consilium localnet run` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Study file: model, data schema, training and rules
    #[arg(long, value_name = "FILE")]
    pub study: PathBuf,
    /// A site and its data; give it once for every site. Left out, the sites of the study's embedded data set are used
    #[arg(long = "site", value_name = "NAME=TRAIN.csv[,TEST.csv]")]
    pub sites: Vec<String>,
    /// Folder for model, report, logs and chains; it must not exist yet or be empty. Left out: ./consilium-run-1, or
    /// the next number that is free
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Merge rounds, in place of the study file's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Keep the network running after the certificate, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Seed, in place of the study file's: of initial parameters, and of the embedded data set's partition
    // up to 2^53, as in a study file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub seed: Option<u64>,
    /// Raw chain specification of the local testnet. Left out: the one that the node itself brings
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// JSON-RPC port of the first node. Left out: any free one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: Option<u16>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Ctrl-C and its like, listened for from the start: one during a long check must not kill this process before it can
/// clean up.
struct Signals(Signal, Signal);

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    /// Waits for one.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

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
    let network = Network::prepare(&plan, keys::accounts().into(), options)?;
    Ok((plan, network))
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
    for (site, house) in plan.sites.iter().zip(&network.houses).filter(|(s, h)| s.name != h.account.name) {
        say(&format!(
            "  {} runs as {} of the local testnet, in {}",
            site.name,
            house.account.name,
            house.dir.display()
        ));
    }
    network.start_nodes()?;
    let chains = network.connect().await?;
    let chain = chains.first().context("a network without nodes")?;
    let agreement = agree::agreement(chain, plan, network)?;
    agree::allow(plan, network, &agreement)?;
    network.start_workers(plan.sites.len()).await?;
    say(&format!("{} processes run; the nodes are looking for each other", network.size()));
    network.meet(&chains).await?;
    network.register_peers(chain).await?;
    let study = agree::enrol_all(chain, plan, network, &agreement).await?;
    let names: Names = plan.sites.iter().zip(&network.houses).map(|(s, h)| (h.account.id(), s.name.clone())).collect();
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
                println!("chain   {page} (or any polkadot-js page with this address)");
            }
            say(&format!("look around: {page}"));
            say("the network keeps running; Ctrl-C stops it");
        }
        (false, Format::Text) => {
            println!("chain   to keep it running and look around with polkadot-js: the same command with --keep");
        }
        (false, Format::Json) => {}
    }
    Ok(())
}

fn say(text: &str) {
    eprintln!("{text}");
}
