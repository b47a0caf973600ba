//! Child processes that cannot outlive this one.
//!
//! Each leads a process group of its own, so that a terminal's Ctrl-C reaches this process alone, and stopping one
//! stops whatever it started. The kernel kills them should this process die without a chance to do so itself.

use anyhow::{bail, Context, Result};
use nix::{
    sys::{
        prctl,
        signal::{killpg, Signal},
    },
    unistd::Pid,
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long processes have to end by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a log's end is shown.
const TAIL_BYTES: u64 = 4096;
/// How many lines of it.
const TAIL_LINES: usize = 12;

struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// All processes of a run. Dropping it stops them.
#[derive(Default)]
pub struct Processes(Vec<Process>);

impl Processes {
    /// Starts a process; its output goes to `log`.
    ///
    /// # Errors
    /// The log cannot be written, or the program cannot be started.
    pub fn start(&mut self, name: String, program: &Path, arguments: &[String], log: PathBuf) -> Result<()> {
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out).process_group(0);
        die_with_parent(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {name} ({})", program.display()))?;
        self.0.push(Process { name, child, log });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are still running.
    ///
    /// # Errors
    /// One has ended; the message has its name and the last lines of its log.
    pub fn check(&mut self) -> Result<()> {
        for process in &mut self.0 {
            if let Some(status) = process.child.try_wait()? {
                bail!(
                    "{} has ended ({status}); the last lines of {}:\n{}",
                    process.name,
                    process.log.display(),
                    tail(&process.log)
                );
            }
        }
        Ok(())
    }

    /// Ends all of them: asks first, and kills after ten seconds.
    pub fn stop(&mut self) {
        for process in &self.0 {
            signal(process, Signal::SIGTERM);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.0.iter_mut().any(|p| matches!(p.child.try_wait(), Ok(None))) {
            std::thread::sleep(Duration::from_millis(50));
        }
        for process in &mut self.0 {
            // the group may hold more than its leader
            signal(process, Signal::SIGKILL);
            // reaped, so that no zombie stays; a process that was killed always ends
            let _ = process.child.wait();
        }
        self.0.clear();
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn signal(process: &Process, signal: Signal) {
    if let Ok(id) = i32::try_from(process.child.id()) {
        // an error says that the group is gone already
        let _ = killpg(Pid::from_raw(id), signal);
    }
}

#[allow(unsafe_code)] // the only way to run prctl between fork and exec
fn die_with_parent(command: &mut Command) {
    // SAFETY: the closure makes one async-signal-safe system call and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
}

/// The last lines of a log, indented.
pub fn tail(log: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |m| m.len());
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).is_ok() && file.read_to_end(&mut bytes).is_ok()
        {
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    if lines.is_empty() {
        return "    (it is empty)".into();
    }
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::sys::signal::kill;

    fn shell(dir: &Path, script: &str) -> Processes {
        let mut processes = Processes::default();
        let arguments = ["-c".to_owned(), script.to_owned()];
        processes.start("hospital-x, worker".into(), Path::new("/bin/sh"), &arguments, dir.join("log")).unwrap();
        processes
    }

    #[test]
    fn a_dead_process_is_named_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = shell(dir.path(), "echo the disk is full >&2; exit 3");
        let until = Instant::now() + PATIENCE;
        let error = loop {
            match processes.check() {
                Err(error) => break error.to_string(),
                Ok(()) if Instant::now() > until => panic!("still running"),
                Ok(()) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        assert!(error.contains("hospital-x, worker has ended (exit status: 3)"), "{error}");
        assert!(error.contains("the disk is full"), "{error}");
    }

    #[test]
    fn dropping_stops_what_a_process_has_started_too() {
        let dir = tempfile::tempdir().unwrap();
        let processes = shell(dir.path(), "sleep 600 & echo $!; wait");
        let until = Instant::now() + PATIENCE;
        let grandchild = loop {
            let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
            if let Ok(id) = text.trim().parse::<i32>() {
                break id;
            }
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(20));
        };
        drop(processes);
        let gone = || {
            // a zombie whose parent has gone is reaped by init a moment later
            kill(Pid::from_raw(grandchild), None).is_err()
                || std::fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |s| s.contains(") Z"))
        };
        while !gone() {
            assert!(Instant::now() < until + PATIENCE, "the grandchild is alive");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
