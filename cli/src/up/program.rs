//! One of the two programs: started, watched, started again with growing pauses, stopped.

use super::{
    logs,
    state::{now, Note, State},
};
use crate::process::{signal, spawn, tail};
use anyhow::{Context, Result};
use consilium_founding::EXIT_CONFIGURATION;
use nix::sys::signal::Signal;
use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tracing::{error, info, warn};

/// Longest pause before a program is started again.
const LONGEST: Duration = Duration::from_secs(60);
/// After so long, an end counts as the first one again.
const STEADY: Duration = Duration::from_secs(600);
/// What a program said last is in its log after so long, unless something that it has started still writes.
const LOGGED: Duration = Duration::from_millis(500);

/// Pauses between an end and the next start: 1, 2, 4 … 60 seconds.
#[derive(Debug, Default)]
struct Pauses(u32);

impl Pauses {
    /// The pause after a program that ran so long.
    fn after(&mut self, ran: Duration) -> Duration {
        if ran >= STEADY {
            self.0 = 0;
        }
        let pause = Duration::from_secs(1u64 << self.0.min(6)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        pause
    }
}

/// A program of the folder.
pub struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    /// How far it stands back for others.
    nice: u8,
    log: PathBuf,
    child: Option<Child>,
    logging: Option<JoinHandle<()>>,
    started: Instant,
    rests: Option<Instant>,
    pauses: Pauses,
    /// What people are told.
    pub note: Note,
}

/// How a program ended, for people.
fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => status.to_string(),
    }
}

impl Program {
    /// A program that is not started yet.
    pub fn new(name: &'static str, path: PathBuf, arguments: Vec<String>, nice: u8, log: PathBuf) -> Self {
        let note = Note { state: State::Waiting, pid: None, since: now(), restarts: 0, last_exit: None, why: None };
        Self {
            name,
            path,
            arguments,
            nice,
            log,
            child: None,
            logging: None,
            started: Instant::now(),
            rests: None,
            pauses: Pauses::default(),
            note,
        }
    }

    /// When it was last started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Leaves it alone for now.
    pub fn wait_for(&mut self, what: &str) {
        info!("{}: waits for {what}", self.name);
        self.enter(State::Waiting, Some(what.into()));
    }

    fn enter(&mut self, state: State, why: Option<String>) {
        let pid = self.child.as_ref().map(Child::id);
        let restarts = self.note.restarts;
        let last_exit = self.note.last_exit.take();
        self.note = Note { state, pid, since: now(), restarts, last_exit, why };
    }

    fn command(&self) -> Command {
        // the same process in the end
        let mut command = match self.nice {
            0 => Command::new(&self.path),
            nice => {
                let mut command = Command::new("nice");
                command.arg("-n").arg(nice.to_string()).arg("--").arg(&self.path);
                command
            }
        };
        command.args(&self.arguments);
        command
    }

    fn spawn(&mut self) -> Result<Child> {
        let (log, thread) = logs::open(self.log.clone(), logs::MOST_BYTES)?;
        let mut command = self.command();
        command.stdout(log.try_clone()?).stderr(log);
        self.logging = Some(thread);
        spawn(&mut command).with_context(|| self.path.display().to_string())
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.rests = None;
        self.started = Instant::now();
        if !self.path.is_file() {
            // `nice` would be started in its place
            return self.rest(&format!("{} is missing", self.path.display()));
        }
        match self.spawn() {
            Ok(child) => {
                info!("{}: started, process {}", self.name, child.id());
                self.child = Some(child);
                self.enter(State::Running, None);
            }
            Err(error) => self.rest(&format!("cannot be started: {error:#}")),
        }
    }

    fn rest(&mut self, how: &str) {
        let pause = self.pauses.after(self.started.elapsed());
        warn!(
            "{}: has ended ({how}); it is started again in {} s; its log is {}",
            self.name,
            pause.as_secs(),
            self.log.display()
        );
        self.rests = Some(Instant::now() + pause);
        self.note.last_exit = Some(how.into());
        self.enter(State::Resting, None);
    }

    /// What it said last of what is wrong.
    fn complaint(&self) -> Option<String> {
        let until = Instant::now() + LOGGED;
        while self.logging.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let said = tail(&self.log);
        said.lines().rev().map(str::trim).find(|line| line.to_lowercase().starts_with("error")).map(str::to_owned)
    }

    /// Looks at it; whether anything has changed.
    pub fn step(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            let status = match child.try_wait() {
                Ok(None) => return false,
                Ok(Some(status)) => status,
                Err(error) => {
                    error!("{}: {error}", self.name);
                    return false;
                }
            };
            // what it has started goes with it
            signal(child, Signal::SIGKILL);
            self.child = None;
            let mut how = ended(status);
            if status.code() == Some(EXIT_CONFIGURATION.into()) {
                let why = self.complaint().unwrap_or_default();
                error!(
                    "{}: is configured wrongly, and not started again until `up` is: {why} (its log is {})",
                    self.name,
                    self.log.display()
                );
                self.note.last_exit = Some(how);
                self.enter(State::Refused, Some(why));
            } else {
                if status.code().is_some_and(|code| code != 0) {
                    how.extend(self.complaint().map(|why| format!(": {why}")));
                }
                self.rest(&how);
            }
            return true;
        }
        if self.rests.is_some_and(|until| Instant::now() >= until) {
            self.note.restarts = self.note.restarts.saturating_add(1);
            self.start();
            return true;
        }
        false
    }

    /// Asks it to end.
    pub fn ask_to_end(&mut self) {
        self.rests = None;
        if let Some(child) = &self.child {
            info!("{}: is asked to end", self.name);
            signal(child, Signal::SIGTERM);
        } else if self.note.state != State::Refused {
            self.enter(State::Stopped, None);
        }
    }

    /// Whether it runs no more; it is not started again.
    pub fn has_ended(&mut self) -> bool {
        let Some(child) = &mut self.child else { return true };
        let Ok(Some(status)) = child.try_wait() else { return false };
        self.stopped(ended(status));
        true
    }

    /// Kills it, if it still runs.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            warn!("{}: has not ended in time, and is killed", self.name);
            signal(child, Signal::SIGKILL);
            // whoever was killed ends
            let how = child.wait().map_or_else(|error| error.to_string(), ended);
            self.stopped(how);
        }
    }

    fn stopped(&mut self, how: String) {
        info!("{}: has ended ({how})", self.name);
        if let Some(child) = &self.child {
            signal(child, Signal::SIGKILL);
        }
        self.child = None;
        self.note.last_exit = Some(how);
        self.enter(State::Stopped, None);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(dir: &std::path::Path, script: &str) -> Program {
        let log = logs::place(dir, "x").unwrap();
        Program::new("x", "/bin/sh".into(), vec!["-c".into(), script.into()], 5, log)
    }

    fn until(program: &mut Program, what: impl Fn(&Note) -> bool) {
        let patience = Instant::now() + Duration::from_secs(20);
        while !what(&program.note) {
            assert!(Instant::now() < patience, "{:?}", program.note);
            program.step();
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_ten_minutes() {
        let mut pauses = Pauses::default();
        let mut next = |ran| pauses.after(Duration::from_secs(ran)).as_secs();
        let all: Vec<u64> = (0..9).map(|_| next(599)).collect();
        assert_eq!(all, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!((next(600), next(0)), (1, 2));
    }

    #[test]
    fn what_ends_is_started_again_and_said_how_it_ended() {
        let scratch = tempfile::tempdir().unwrap();
        let mut program = shell(scratch.path(), "echo there; kill -9 $$");
        program.start();
        assert!(program.note.pid.is_some());
        until(&mut program, |note| note.state == State::Resting);
        assert!(program.note.last_exit.as_deref().unwrap().contains("SIGKILL"), "{:?}", program.note);
        assert!(program.note.pid.is_none());
        until(&mut program, |note| note.restarts == 1);
        until(&mut program, |note| note.state == State::Resting);
        program.ask_to_end();
        assert!(program.has_ended() && program.note.state == State::Stopped);
    }

    #[test]
    fn a_wrong_configuration_is_not_tried_again() {
        let scratch = tempfile::tempdir().unwrap();
        let mut program = shell(scratch.path(), "echo error: the key is another one >&2; exit 78");
        program.start();
        until(&mut program, |note| note.state == State::Refused);
        assert_eq!(program.note.why.as_deref(), Some("error: the key is another one"));
        std::thread::sleep(Duration::from_millis(1200));
        assert!(!program.step() && program.note.restarts == 0);
        program.ask_to_end();
        assert_eq!(program.note.state, State::Refused);
    }

    #[test]
    fn it_stands_back_is_asked_to_end_and_killed_if_it_does_not() {
        let scratch = tempfile::tempdir().unwrap();
        let mut program = shell(scratch.path(), "trap '' TERM; while true; do sleep 0.1; done");
        program.start();
        let pid = program.note.pid.unwrap();
        let nice = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next()?.split(' ').nth(16)?.parse::<i32>().ok()
        };
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        let own: i32 = own.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while nice() != Some((own + 5).min(19)) {
            assert!(Instant::now() < patience, "{:?}", nice());
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        program.ask_to_end();
        std::thread::sleep(Duration::from_millis(300));
        assert!(!program.has_ended());
        program.kill();
        assert!(program.has_ended() && program.note.state == State::Stopped);
        assert!(program.note.last_exit.as_deref().unwrap().contains("SIGKILL"));
        let missing = scratch.path().join("missing");
        let mut program = Program::new("x", missing, Vec::new(), 5, scratch.path().join("log"));
        program.start();
        assert!(program.note.state == State::Resting && program.note.last_exit.unwrap().contains("is missing"));
    }
}
