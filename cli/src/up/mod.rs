//! `consilium up`: starts an institution's node and worker from its folder, and keeps them running.
//!
//! * [`arguments`]: what both are started with, here and by systemd's units ([`units`]);
//! * [`checks`], [`identity`], [`ports`]: what must hold first;
//! * [`program`], [`logs`], [`watch`]: a program and its restarts, its log, and what the node tells;
//! * [`state`], [`status`]: `up.json`, and what is read from it;
//! * [`studies`]: what stands in a study's way here; [`happened`]: what went wrong in its rounds, block by block;
//!   [`asked`]: what waits for its people;
//! * [`doctor`], [`peers`], [`proxy`]: whether everything is as it should be, line by line.

pub mod arguments;
mod asked;
mod checks;
pub mod doctor;
mod happened;
pub mod identity;
mod logs;
pub mod peers;
pub mod ports;
mod program;
mod proxy;
pub mod rpc;
mod sockets;
mod state;
mod status;
pub mod studies;
pub mod units;
mod watch;

pub use identity::genesis_values;

use crate::{institution::folder::SiteSettings, options::Format, plain::seen, programs::Programs, signals::Signals};
use anyhow::{Context, Result};
use clap::Args;
use consilium_founding::EXIT_CONFIGURATION;
use program::Program;
use state::{now, State, Up};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use tracing::{error, info, warn};
use watch::{Told, Watch};

/// Programs are looked at so often.
const STEP: Duration = Duration::from_millis(100);
/// `sites.toml` is looked at so often while the worker waits for it.
const SITES_STEP: u32 = 10;
/// How long the two have to end by themselves, together.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `up` takes.
#[derive(Args)]
pub struct Options {
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Say how it is, and start nothing; exit code 0 if all runs that has something to do and the node answers, 1 if not
    #[arg(long)]
    status: bool,
    /// Let the node answer JSON-RPC at an address that other machines reach
    #[arg(long)]
    i_know: bool,
    /// The institution's node key or session keys were changed since the chain was founded, and the node has no database yet
    #[arg(long)]
    keys_changed: bool,
    /// How --status is printed
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "status")]
    format: Format,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// The folder as a path from the root, since programs and units have other working folders.
///
/// # Errors
/// There is none that can be opened.
pub fn whole(dir: &Path) -> Result<PathBuf> {
    fs::canonicalize(dir).with_context(|| {
        format!(
            "--dir {}: no folder that can be opened: name the one that `consilium init --dir` has made",
            dir.display()
        )
    })
}

/// Starts an institution's programs and keeps them running until told to stop, or says how they are.
///
/// # Errors
/// Another one runs on the folder, or the status cannot be read. What is configured wrongly is exit code 78.
pub async fn run(options: Options) -> Result<ExitCode> {
    let dir = whole(&options.dir)?;
    if options.status {
        return status::run(&dir, options.format).await;
    }
    tracing_subscriber::fmt()
        .with_env_filter("consilium=info")
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    let mut signals = Signals::listen()?;
    // whose folder it is comes before anything is written to it
    let prepared = checks::check_user(&dir).and_then(|()| {
        let settings = SiteSettings::read(&dir)?;
        Ok((settings, Programs::find(options.bin_dir.as_deref())?))
    });
    let (settings, programs) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Ok(refused(&error)),
    };
    let _lock = state::lock(&dir)?;
    let allowed = (options.i_know, options.keys_changed);
    let found = tokio::select! {
        found = checks::check(&dir, &settings, &programs, allowed) => found,
        () = signals.any() => return Ok(ExitCode::FAILURE),
    };
    match found {
        Ok(found) => {
            if checks::ensure_token(&dir)? {
                warn!("token was missing: node and worker were given another one");
            }
            Supervisor::new(dir, &settings, programs, found)?.run(&mut signals).await
        }
        Err(error) => Ok(refused(&error)),
    }
}

fn refused(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(EXIT_CONFIGURATION)
}

/// Both programs, and what is known of them.
struct Supervisor {
    dir: PathBuf,
    node: Program,
    worker: Program,
    watch: std::sync::Arc<Watch>,
    watching: Option<JoinHandle<()>>,
    up: Up,
    tell: mpsc::UnboundedSender<Told>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Supervisor {
    fn new(dir: PathBuf, settings: &SiteSettings, programs: Programs, found: checks::Found) -> Result<Self> {
        let log = |name| logs::place(&dir, name);
        let node = Program::new("node", programs.node.clone(), arguments::node(&dir, settings), 0, log("node")?);
        let worker = Program::new(
            "worker",
            programs.worker.clone(),
            arguments::worker(&dir, settings),
            settings.nice,
            log("worker")?,
        );
        info!("{} is up, process {}; genesis {}", dir.display(), std::process::id(), found.genesis);
        info!(
            "figures for Prometheus, on this machine alone: http://127.0.0.1:{}/metrics of the node, http://{}/metrics of the worker \
             with the token",
            settings.prometheus_port,
            settings.worker()
        );
        if let Some(words) = ports::drift(settings) {
            warn!("{words}");
        }
        match &found.standing {
            // of a newcomer a genesis knows nothing, as it should be
            (identity::Standing::Same | identity::Standing::Unknown, words) => info!("{words}"),
            (_, words) => warn!("{words}"),
        }
        let up = Up {
            pid: std::process::id(),
            since: now(),
            genesis: found.genesis.clone(),
            node: node.note.clone(),
            worker: worker.note.clone(),
            answered_after_ms: None,
            institution: found.standing.1,
        };
        let watch = Watch {
            url: settings.rpc_url(),
            cache: dir.join("node/wasm"),
            dir: dir.clone(),
            programs,
            genesis: found.genesis,
            settings: settings.clone(),
        };
        let (tell, told) = mpsc::unbounded_channel();
        Ok(Self { dir, node, worker, watch: watch.into(), watching: None, up, tell, told })
    }

    /// Writes `up.json`. A disk that takes nothing does not end the programs.
    fn note(&mut self) {
        (self.up.node, self.up.worker) = (self.node.note.clone(), self.worker.note.clone());
        if let Err(error) = self.up.write(&self.dir) {
            error!("{error:#}");
        }
    }

    /// Watches the node that was just started, and no earlier one.
    fn watch(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
        self.up.answered_after_ms = None;
        if self.node.note.state == State::Running {
            let (watch, tell, started) = (self.watch.clone(), self.tell.clone(), self.node.started());
            self.watching = Some(tokio::spawn(async move {
                tokio::join!(watch.run(started, &tell), watch.tell_news(&tell));
            }));
        }
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Answers(after) => {
                info!("node: answers, {:.2} s after its start", after.as_secs_f64());
                self.up.answered_after_ms = u64::try_from(after.as_millis()).ok();
            }
            Told::Older { own, chain } => warn!(
                "node: its program brings runtime {own}, and the chain's is {chain}: it works, but replace the programs by \
                 those of the release that the consortium has decided on"
            ),
            Told::News(true, words) => info!("{}", seen(&words)),
            Told::News(false, words) => warn!("{}", seen(&words)),
            Told::Institution(well, words) => {
                if well {
                    info!("{words}");
                } else {
                    warn!("{words}");
                }
                self.up.institution = words;
            }
        }
    }

    async fn run(mut self, signals: &mut Signals) -> Result<ExitCode> {
        if checks::has_sites(&self.dir) {
            self.worker.start();
        } else {
            self.worker.wait_for("sites.toml: it names no study and its data yet");
        }
        self.node.start();
        self.watch();
        self.note();
        let mut steps = 0u32;
        let code = loop {
            tokio::select! {
                told = self.told.recv() => {
                    told.into_iter().for_each(|told| self.hear(told));
                    self.note();
                }
                () = sleep(STEP) => {
                    steps = steps.wrapping_add(1);
                    let node = self.node.step();
                    let worker = self.worker.step() | self.look_for_sites(steps);
                    if node {
                        self.watch();
                    }
                    if node || worker {
                        self.note();
                    }
                }
                () = signals.any() => break ExitCode::SUCCESS,
            }
            if self.node.note.state == State::Refused && self.worker.note.state == State::Refused {
                error!("neither program can be started as they are configured");
                break ExitCode::from(EXIT_CONFIGURATION);
            }
        };
        self.stop(signals).await;
        Ok(code)
    }

    /// Starts a worker that waits as soon as it has something to do.
    fn look_for_sites(&mut self, steps: u32) -> bool {
        let due = self.worker.note.state == State::Waiting && steps.is_multiple_of(SITES_STEP);
        if due && checks::has_sites(&self.dir) {
            self.worker.start();
            return true;
        }
        false
    }

    /// Ends the node, then the worker, within [`PATIENCE`]; a second signal ends them at once.
    async fn stop(&mut self, signals: &mut Signals) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
        let until = Instant::now() + PATIENCE;
        // the worker has a part of it, whatever the node does
        let (first, last) = (until - PATIENCE / 3, until);
        for (program, until) in [(&mut self.node, first), (&mut self.worker, last)] {
            program.ask_to_end();
            while !program.has_ended() && Instant::now() < until {
                tokio::select! {
                    () = sleep(STEP) => {}
                    () = signals.any() => break,
                }
            }
            program.kill();
        }
        self.note();
        info!("{} is down", self.dir.display());
    }
}
