//! `consilium doctor`: whether everything is as it should be in an institution's folder, each thing on a line that passes or says
//! what to do.

mod clock;

use super::{
    asked::{asked, newcomer},
    checks, identity,
    peers::peers,
    ports, proxy,
    rpc::Node,
    state::{is_up, now, State, Up},
    status::silent,
    studies::{self, worker_status},
    watch::{built_in, standing},
    whole,
};
use crate::{
    institution::{
        folder::{SiteSettings, TOKEN},
        modes::check_modes,
    },
    options::Format,
    plain::{counted, seen, told},
    programs::Programs,
    show::print_json,
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use serde_json::{json, Value};
use std::{
    collections::BTreeSet,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Memory in MiB that should be available.
const MEMORY_MIB: u64 = 1_024;

/// What `doctor` takes.
#[derive(Args)]
pub struct Options {
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What was found of one thing.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub well: bool,
    /// What was found, or what to mend, with what is not seen spelt out.
    pub words: String,
}

impl Line {
    /// For people.
    fn shown(&self) -> String {
        let mark = if self.well { "ok  " } else { "MEND" };
        format!("{mark}  {:<9} {}", self.what, self.words)
    }
}

/// For programs.
fn document(well: bool, lines: &[Line]) -> Value {
    let line = |line: &Line| json!({ "what": line.what, "well": line.well, "words": line.words });
    json!({ "well": well, "lines": lines.iter().map(line).collect::<Vec<_>>() })
}

/// What was found, handed on line by line; whether all passed.
struct Lines<'a> {
    well: bool,
    each: &'a mut (dyn FnMut(Line) + Send),
}

impl Lines<'_> {
    fn put(&mut self, what: &'static str, found: Result<String>) {
        let (well, words) = match found {
            Ok(text) => (true, seen(&text)),
            Err(error) => (false, seen(&told(&error))),
        };
        self.well &= well;
        (self.each)(Line { what, well, words });
    }
}

/// Looks at everything, and prints it.
///
/// # Errors
/// There is no such folder.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let dir = whole(&options.dir)?;
    let mut found = Vec::new();
    let mut each = |line: Line| match options.format {
        Format::Text => out!("{}", line.shown()),
        Format::Json => found.push(line),
    };
    let well = look(&dir, options.bin_dir.as_deref(), &mut each).await?;
    if options.format == Format::Json {
        print_json(&document(well, &found))?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at everything in a folder, named from the root, and hands on what was found, line by line; tells whether all passed.
///
/// # Errors
/// The folder's settings cannot be read.
pub async fn look(dir: &Path, bin_dir: Option<&Path>, each: &mut (dyn FnMut(Line) + Send)) -> Result<bool> {
    let settings = SiteSettings::read(dir)?;
    let mut lines = Lines { well: true, each };
    lines.put("modes", check_modes(dir).map(|()| "nobody else on this machine reads or changes anything".into()));
    lines.put(
        "loopback",
        checks::check_loopback(&settings, false).map(|()| "RPC, figures and worker at this machine alone".into()),
    );
    let gib = |bytes: u64| format!("{:.1} GiB free", bytes as f64 / f64::from(1 << 30));
    lines.put("disk", checks::check_disk(dir).map(gib));
    lines.put("memory", memory());
    if let Some(words) = proxy::unused(|name| env::var_os(name)) {
        lines.put("proxy", Ok(words));
    }
    let programs = Programs::find(bin_dir);
    lines.put("data", data(dir, programs.as_ref().ok()).await);
    let founded = match &programs {
        Ok(programs) => checks::check_chain(dir, programs, true).await,
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    let genesis = founded.as_ref().ok().map(|found| found.genesis.clone());
    let first =
        founded.as_ref().ok().and_then(|found| newcomer(&found.standing.0, dir.join("node/chains").exists(), dir));
    lines.put("chain", founded.map(|found| format!("genesis {}; no key here is another institution's", found.genesis)));
    let node = Node::connect(&settings.rpc_url()).await;
    lines.put("ports", listening(&settings, node.as_ref().ok()).await);
    let worker = worker(dir, &settings).await;
    match node {
        Ok(node) => {
            let status = worker.as_ref().ok().and_then(|(_, status)| status.as_ref());
            of_node(&mut lines, dir, &settings, &node, genesis.as_deref(), status).await;
            if let Ok(programs) = &programs {
                lines.put("version", version(programs, dir, &node).await);
            }
        }
        Err(error) => {
            let up = Up::read(dir).ok().flatten().filter(|_| is_up(dir).unwrap_or(false));
            let why = first.unwrap_or_else(|| silent(up.as_ref().map(|up| &up.node), now(), dir));
            lines.put("node", Err(error.context(why)));
        }
    }
    lines.put("worker", worker.map(|(text, _)| text));
    Ok(lines.well)
}

/// What only a node that runs can tell.
async fn of_node(
    lines: &mut Lines<'_>,
    dir: &Path,
    settings: &SiteSettings,
    node: &Node,
    genesis: Option<&str>,
    status: Option<&Value>,
) {
    let own = identity::Own::read(dir);
    let peer = own.as_ref().ok().map(|own| own.peer.to_string());
    lines.put("node", in_step(node, genesis, peer.as_deref()).await);
    lines.put("clock", clock::clock(node).await);
    let account = own.as_ref().ok().map(|own| own.account);
    let keys = async {
        match standing(node, &own?).await? {
            (true, words) => Ok(words),
            (false, words) => bail!("{words}"),
        }
    };
    lines.put("keys", keys.await);
    match peers(settings, node, account).await {
        Ok(all) => all.into_iter().for_each(|line| lines.put("peer", line)),
        Err(error) => lines.put("peer", Err(error)),
    }
    if let Some(account) = account {
        match studies::studies(dir, &settings.rpc_url(), account, status).await {
            Ok(all) => {
                let named = |number, found: Result<String>| match found {
                    Ok(text) => Ok(format!("{number}: {text}")),
                    Err(error) => Err(error.context(format!("{number}"))),
                };
                all.into_iter().for_each(|(number, found)| lines.put("study", named(number, found)));
            }
            Err(error) => lines.put("study", Err(error)),
        }
        match asked(dir, &settings.rpc_url(), account).await {
            Ok(all) => all.iter().for_each(|one| lines.put(one.what, Ok(one.whole()))),
            Err(error) => lines.put("motion", Err(error.context("what waits for this site's people"))),
        }
    }
}

async fn in_step(node: &Node, genesis: Option<&str>, peer: Option<&str>) -> Result<String> {
    let found = node.genesis().await?;
    ensure!(
        genesis.is_none_or(|genesis| genesis == found),
        "the node that answers is of another chain, {found}: is another one running at rpc_port?"
    );
    // two institutions of one consortium on one machine have one chain
    let answers = node.peer().await?;
    ensure!(
        peer.is_none_or(|peer| peer == answers),
        "the node that answers is {answers}, and this folder's is {}: another institution's node answers at rpc_port (choose \
         another one in consilium.toml), or `rotate node` was not followed by a new start: start it again",
        peer.unwrap_or_default()
    );
    let health = node.health().await?;
    let where_it_is = format!("block {}, final {}", health.best, health.finalised);
    ensure!(health.peers > 0, "{where_it_is}; no peer: see the lines on peers");
    if let Some(why) = health.amiss() {
        bail!("{where_it_is}; {why}");
    }
    Ok(format!("{where_it_is}, {}", counted(health.peers, "peer")))
}

fn memory() -> Result<String> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 =
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).context("/proc/meminfo: no MemAvailable")?;
    let mib = kib / 1_024;
    ensure!(mib >= MEMORY_MIB, "{mib} MiB are available, and {MEMORY_MIB} should be: end what else runs here");
    Ok(format!("{mib} MiB available"))
}

/// Whether the worker would take `sites.toml`, and the tables that it names can be read by this user.
async fn data(dir: &Path, programs: Option<&Programs>) -> Result<String> {
    if let Some(programs) = programs.filter(|_| checks::has_sites(dir)) {
        studies::sites(programs, dir).await?;
    }
    tables(dir)
}

fn tables(dir: &Path) -> Result<String> {
    let files = checks::data_files(dir);
    for file in &files {
        let read = || fs::File::open(file).and_then(|mut file| file.read(&mut [0; 1]));
        read().with_context(|| format!("sites.toml names {}, which this user cannot read", file.display()))?;
    }
    Ok(match (files.len(), checks::has_sites(dir)) {
        (0, false) => "sites.toml names no study yet: the worker waits for it".into(),
        (0, true) => bail!("sites.toml is there and names no data: each [[study]] needs `agreement` and `data`"),
        (count, _) => format!("{} can be read by this user", counted(count as u64, "table")),
    })
}

async fn listening(settings: &SiteSettings, node: Option<&Node>) -> Result<String> {
    let drift = ports::drift(settings).map(|words| format!("; {words}")).unwrap_or_default();
    let Some(node) = node else {
        return ports::check_ports(settings).map(|()| format!("all free{drift}"));
    };
    let listens: BTreeSet<String> = node.listens().await?.into_iter().collect();
    ensure!(!listens.is_empty(), "the node listens nowhere: see its log");
    let shown: Vec<&str> = listens.iter().filter_map(|address| address.split("/p2p/").next()).collect();
    Ok(format!("the node listens at {}{drift}", shown.join(", ")))
}

async fn version(programs: &Programs, dir: &Path, node: &Node) -> Result<String> {
    let (own, chain) = (built_in(programs, &dir.join("node/wasm")).await?, node.spec_version().await?);
    ensure!(
        own >= chain,
        "the node brings runtime {own}, and the chain's is {chain}: replace the programs by the new release's"
    );
    Ok(format!("the chain's runtime is {chain}, the node's {own}"))
}

/// Why `up` starts the worker no more, where that is so.
fn refused(dir: &Path) -> Option<String> {
    let worker = Up::read(dir).ok()??.worker;
    if worker.state == State::Refused && is_up(dir).unwrap_or(false) {
        return worker.why;
    }
    None
}

/// What is said of a worker that does not run yet, since this site has enrolled in no study; none once it has.
pub fn before_enrolment(dir: &Path) -> Option<&'static str> {
    (!checks::has_sites(dir)).then_some("waits for sites.toml")
}

/// How the worker is, in words and in its own.
async fn worker(dir: &Path, settings: &SiteSettings) -> Result<(String, Option<Value>)> {
    let file = dir.join(TOKEN);
    let token = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let status = match worker_status(settings, token.trim()).await {
        Ok(status) => status,
        Err(error) => match before_enrolment(dir) {
            Some(words) => return Ok((words.into(), None)),
            None => return Err(refused(dir).map_or(error, |why| anyhow::anyhow!("is not started again: {why}"))),
        },
    };
    let count = |key: &str| status[key].as_array().map_or(0, Vec::len);
    let mut text = match count("duties") {
        0 => "answers, has nothing to do now".into(),
        1 => "answers, works on 1 duty".into(),
        some => format!("answers, works on {some} duties"),
    };
    if count("failed") > 0 {
        text += &format!("; {} could not be done", count("failed"));
    }
    if status["held"] == true {
        text += "; it is on hold (`ml-worker resume`)";
    }
    Ok((text, Some(status)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tables_that_cannot_be_read_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        assert!(tables(dir).unwrap().contains("waits"));
        fs::write(dir.join("sites.toml"), "[[study]]\nagreement = \"00\"\ndata = \"table.csv\"\n").unwrap();
        let error = format!("{:#}", tables(dir).unwrap_err());
        assert!(error.contains("table.csv"), "{error}");
        fs::write(dir.join("table.csv"), "a,b\n").unwrap();
        assert!(tables(dir).unwrap().starts_with("1 table can"));
        fs::write(dir.join("sites.toml"), "[[study]\n").unwrap();
        assert!(tables(dir).unwrap_err().to_string().contains("names no data"));
    }

    #[test]
    fn a_line_begins_with_how_it_is_and_programs_learn_the_same() {
        let line = |well| Line { what: "disk", well, words: "9.1 GiB free".into() };
        assert_eq!(line(true).shown(), "ok    disk      9.1 GiB free");
        assert_eq!(line(false).shown(), "MEND  disk      9.1 GiB free");
        let told = document(false, &[line(true), line(false)]);
        consilium_e2e::schema::documented("consilium doctor").unwrap().check(&told).unwrap();
        assert_eq!((&told["well"], &told["lines"][1]["well"]), (&json!(false), &json!(false)));
        assert_eq!(told["lines"][0], json!({ "what": "disk", "well": true, "words": "9.1 GiB free" }));
    }

    #[test]
    fn memory_is_what_the_system_says() {
        assert!(memory().unwrap().ends_with("MiB available"));
    }
}
