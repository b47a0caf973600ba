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
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long processes have to end by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a log's end is read.
const TAIL_BYTES: u64 = 64 << 10;
/// How many lines of it are shown.
const TAIL_LINES: usize = 12;
/// How many of its warnings and errors are shown.
const COMPLAINTS: usize = 3;

struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// All processes of a run. Dropping it stops them.
#[derive(Default)]
pub struct Processes(Vec<Process>);

impl Processes {
    /// Starts a process; its output goes to the end of `log`.
    ///
    /// # Errors
    /// The log cannot be written, or the program cannot be started.
    pub fn start(&mut self, name: String, program: &Path, arguments: &[String], log: PathBuf) -> Result<()> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(arguments).stderr(out.try_clone()?).stdout(out);
        let child = spawn(&mut command).with_context(|| format!("cannot start {name} ({})", program.display()))?;
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
            signal(&process.child, Signal::SIGTERM);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.0.iter_mut().any(|p| matches!(p.child.try_wait(), Ok(None))) {
            std::thread::sleep(Duration::from_millis(50));
        }
        for process in &mut self.0 {
            // the group may hold more than its leader
            signal(&process.child, Signal::SIGKILL);
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

/// Starts a program that reads nothing, leads a process group of its own, and is killed when this process ends.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).process_group(0);
    die_with_parent(command);
    command.spawn()
}

/// Sends a signal to a program that [`spawn`] has started, and to whatever that has started.
pub fn signal(child: &Child, signal: Signal) {
    if let Ok(id) = i32::try_from(child.id()) {
        // an error says that the group is gone already
        let _ = killpg(Pid::from_raw(id), signal);
    }
}

/// Runs a program to its end, and gives what it said. It is killed when nobody waits for it any more.
///
/// # Errors
/// It cannot be started.
pub async fn output(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).process_group(0);
    die_with_parent(&mut command);
    tokio::process::Command::from(command).kill_on_drop(true).output().await
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
    let text = end(log);
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return "    (it is empty)".into();
    }
    indented(&lines[lines.len().saturating_sub(TAIL_LINES)..])
}

/// The last warnings and errors of a worker's log, indented, each text once; `None` where there are none.
pub fn complaints(log: &Path) -> Option<String> {
    let text = end(log);
    let mut found: Vec<&str> = Vec::new();
    for line in text.lines().rev() {
        // a line begins with the time, then the level; what is tried again and again fails at other times alike
        let Some((_, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if (rest.starts_with("ERROR ") || rest.starts_with("WARN ")) && !found.contains(&rest) {
            found.push(rest);
        }
        if found.len() == COMPLAINTS {
            break;
        }
    }
    found.reverse();
    (!found.is_empty()).then(|| indented(&found))
}

fn end(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // a log that is not there says as little as an empty one
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn indented(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Runs a command of the worker that prints JSON.
///
/// # Errors
/// What the worker says.
pub async fn answer(command: Command) -> Result<Value> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output(command).await.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text.trim().trim_start_matches("error: ");
        if text.is_empty() {
            bail!("{program} failed ({})", output.status);
        }
        bail!("{text}");
    }
    serde_json::from_slice(&output.stdout).context("the worker printed no JSON")
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

    /// Waits for a process to be no more.
    fn ends(id: i32) -> bool {
        // a zombie whose parent has gone is reaped by init a moment later
        let gone = || {
            kill(Pid::from_raw(id), None).is_err()
                || std::fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |s| s.contains(") Z"))
        };
        let until = Instant::now() + PATIENCE;
        while !gone() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        gone()
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
        assert!(ends(grandchild), "the grandchild is alive");
    }

    #[tokio::test]
    async fn a_program_that_nobody_waits_for_any_more_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id");
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("echo $$ > {}; exec sleep 600", file.display()));
        let id = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
        let written = async {
            while id().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = output(command) => panic!("ended by itself: {ended:?}"),
            () = written => {}
        }
        assert!(ends(id().unwrap()), "the program is alive");
    }

    #[tokio::test]
    async fn what_a_program_says_is_given_with_how_it_ended() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let output = output(command).await.unwrap();
        assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn of_a_log_the_last_complaints_are_shown_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("worker.log");
        let lines = [
            "2026-01-01T00:00:00Z ERROR long ago",
            "2026-01-01T00:00:01Z  INFO study 0: fine",
            "2026-01-01T00:00:02Z ERROR the disk is full",
            "2026-01-01T00:00:03Z  WARN slow",
            "2026-01-01T00:00:04Z ERROR the table has changed",
            "2026-01-01T00:00:05Z ERROR the disk is full",
            "",
        ];
        std::fs::write(&log, lines.join("\n")).unwrap();
        let shown = complaints(&log).unwrap();
        assert_eq!(shown, "    WARN slow\n    ERROR the table has changed\n    ERROR the disk is full");
        std::fs::write(&log, lines[1]).unwrap();
        assert_eq!(complaints(&log), None);
    }
}
