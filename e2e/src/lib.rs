//! Starts the real binaries and watches what they leave.
//!
//! The binaries are those beside the test's own executable: `cargo build --release --workspace --bins` makes them. What
//! a run leaves is told by a mark in the environment, which every process it starts inherits: whatever carries the
//! mark after the run has ended is an orphan.

use anyhow::{bail, Context, Result};
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Name of the mark in the environment.
const MARK: &str = "CONSILIUM_E2E_MARK";

/// The folder of this workspace's binaries.
///
/// # Errors
/// The test's own path is unknown.
pub fn bin_dir() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let deps = me.parent().context("no parent folder")?;
    Ok(deps.parent().context("no parent folder")?.to_path_buf())
}

/// The folder of this workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new(".")).to_path_buf()
}

/// One call of `consilium`. Dropping it kills it.
pub struct Run {
    child: Child,
    mark: String,
    out: PathBuf,
    err: PathBuf,
    began: Instant,
}

/// What a call has left.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Wall time.
    pub took: Duration,
    /// Process ids that were still there one second later.
    pub orphans: Vec<i32>,
}

impl Run {
    /// Starts `consilium` with these arguments. Its output goes to files in `scratch`.
    ///
    /// # Errors
    /// The binary is not there.
    pub fn start(scratch: &Path, arguments: &[&str]) -> Result<Self> {
        let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
        let program = bin_dir()?.join("consilium");
        let mark = format!("{}-{}", std::process::id(), scratch.display());
        let child = Command::new(&program)
            .args(arguments)
            .current_dir(workspace())
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, mark, out, err, began: Instant::now() })
    }

    /// Sends a signal to `consilium` alone, as `kill` would.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Process ids of this call and of everything it has started.
    pub fn processes(&self) -> Vec<i32> {
        marked(&self.mark)
    }

    /// The process among them that runs this program for this site.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, program: &str, site: &str) -> Result<Pid> {
        let is = |id: &i32| {
            let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            command.split('\0').next().is_some_and(|name| name.ends_with(program)) && command.contains(site)
        };
        let found = self.processes().into_iter().find(is);
        found.map(Pid::from_raw).with_context(|| format!("no {program} of {site} runs"))
    }

    /// What it has said so far on standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    /// It does not within `limit`, or the call ends before.
    pub fn until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        while !condition(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended before ({status}):\n{}", self.said());
            }
            if Instant::now() > end {
                bail!("not within {limit:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not end within `limit`; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Outcome> {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                bail!("it runs longer than {limit:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let took = self.began.elapsed();
        // a process that was told to end may still be on its way out of the process table
        let grace = Instant::now() + Duration::from_secs(1);
        while !self.processes().is_empty() && Instant::now() < grace {
            std::thread::sleep(Duration::from_millis(50));
        }
        let orphans = self.processes();
        Ok(Outcome {
            status,
            stdout: fs::read_to_string(&self.out)?,
            stderr: fs::read_to_string(&self.err)?,
            took,
            orphans,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // its children ask the kernel to die with it
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Live processes whose environment carries the mark.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|id| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}
