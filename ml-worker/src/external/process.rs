//! One running trainer: it is told of jobs line by line, and says line by line how far it is.

use super::{confine::Place, guard::Guard, watch::Tree, ExternalError};
use crate::{learn::Halt, site::TrainerSettings};
use serde::Deserialize;
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{channel, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

/// How often it is looked at what the trainer takes, and whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// So long a trainer has to put its things in order after SIGTERM; as long as its start took where that was longer, for a machine
/// that is busy with much else is as slow in ending it; but no longer than this.
const GRACE: Duration = Duration::from_secs(5);
const MOST_GRACE: Duration = Duration::from_secs(30);
/// Longest line that is taken for a message; most bytes of its words that are kept.
const MOST_LINE: u64 = 1 << 16;
const MOST_WORDS: u64 = 1 << 20;
/// The file that holds what a trainer printed, for this site's people alone.
pub(super) const WORDS: &str = "trainer.log";

/// What a trainer says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Ready(u32),
    Progress(f64),
    Done(Done),
    Failed(Failed),
}

/// That a job is done.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Done {
    /// Mean loss of the last epoch, as the trainer counts it.
    #[serde(default)]
    pub loss: Option<f64>,
}

/// That a job cannot be done.
#[derive(Debug, Deserialize)]
struct Failed {
    #[serde(default)]
    code: Option<String>,
}

enum Event {
    Said(Said),
    Ended,
}

/// Sends a signal; to a process that has ended, nothing happens.
#[allow(unsafe_code)]
pub(super) fn signal(process: i32, what: libc::c_int) {
    // SAFETY: it takes two numbers and touches no memory of this process.
    unsafe {
        libc::kill(process, what);
    }
}

/// A trainer that runs.
pub(super) struct Running {
    child: Child,
    input: ChildStdin,
    events: Receiver<Event>,
    place: Place,
    words: PathBuf,
    guard: Guard,
    grace: Duration,
    /// Whether it had to be killed after it was asked to end.
    pub stubborn: bool,
    /// Whether it is killed where it would be asked to end.
    pub abrupt: bool,
}

impl Running {
    /// Starts one on its folder; it sees those folders of the site, too.
    pub fn start(
        place: &Place,
        (folder, roots): (&Path, &[PathBuf]),
        settings: &TrainerSettings,
        gpu: Option<usize>,
    ) -> Result<Self, ExternalError> {
        let mut command = place.command((folder, roots), settings, gpu);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let cannot = |error: io::Error| ExternalError::Failed(format!("cannot start {:?}: {error}", settings.command));
        let words = folder.join(WORDS);
        let log = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&words)?;
        let guard = Guard::start()?;
        let began = Instant::now();
        let mut child = command.spawn().map_err(cannot)?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(ExternalError::Failed("the trainer has no input and output".into()));
        };
        let (send, events) = channel();
        let mut log_of_output = log.try_clone()?;
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        thread("trainer's words").spawn(move || keep(errors, log))?;
        thread("trainer").spawn(move || {
            let (mut lines, mut kept) = (BufReader::new(output), 0);
            loop {
                let mut line = Vec::new();
                match lines.by_ref().take(MOST_LINE).read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                match serde_json::from_slice::<Said>(&line) {
                    Ok(said) => {
                        if let Said::Failed(_) = &said {
                            kept += write(&mut log_of_output, &line, kept);
                        }
                        if send.send(Event::Said(said)).is_err() {
                            break;
                        }
                    }
                    // it goes nowhere but into the site's own file
                    Err(_) => kept += write(&mut log_of_output, &line, kept),
                }
            }
            // whoever waited may have gone
            let _ = send.send(Event::Ended);
        })?;
        let (place, grace) = (place.clone(), GRACE);
        let mut running = Self { child, input, events, place, words, guard, grace, stubborn: false, abrupt: false };
        running.guard.over(running.child.id())?;
        running.wait(settings, &|_| false, true)?;
        running.grace = began.elapsed().clamp(GRACE, MOST_GRACE);
        Ok(running)
    }

    /// Has a job done.
    pub fn work(&mut self, settings: &TrainerSettings, halt: Halt<'_>) -> Result<Done, ExternalError> {
        // what it said of an earlier job is over
        while self.events.try_recv().is_ok_and(|event| matches!(event, Event::Said(_))) {}
        let told =
            writeln!(self.input, "{}", serde_json::json!({ "job": "in/job.json" })).and_then(|()| self.input.flush());
        if told.is_err() {
            return Err(self.died());
        }
        self.wait(settings, halt, false)
    }

    fn wait(&mut self, settings: &TrainerSettings, halt: Halt<'_>, start: bool) -> Result<Done, ExternalError> {
        let (began, mut looked, mut share) = (Instant::now(), Instant::now(), 0.0f64);
        let most = Duration::from_secs(settings.seconds);
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Said(Said::Ready(version))) if start => {
                    return match version {
                        1 => Ok(Done::default()),
                        other => {
                            Err(self.stop(format!("it speaks version {other} of the protocol; this worker speaks 1")))
                        }
                    }
                }
                Ok(Event::Said(Said::Done(done))) if !start => return Ok(done),
                Ok(Event::Said(Said::Progress(done))) => share = share.max(done.clamp(0.0, 1.0)),
                Ok(Event::Said(Said::Failed(failed))) => {
                    let words =
                        format!("the trainer says that it cannot do it; its words are in {}", self.words.display());
                    return Err(match failed.code.as_deref() {
                        Some("not_finite") => ExternalError::NotFinite(words),
                        Some("schema") => ExternalError::Schema(words),
                        Some("memory") => ExternalError::Memory(words),
                        _ => ExternalError::Failed(words),
                    });
                }
                // said out of turn
                Ok(Event::Said(_)) => {}
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if began.elapsed() > most {
                return Err(
                    self.stop(format!("it took longer than {} s (trainer.seconds in sites.toml)", settings.seconds))
                );
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.within(settings)?;
            }
            if halt(share) {
                match self.abrupt {
                    true => self.kill(),
                    false => self.end(),
                }
                return Err(ExternalError::Halted);
            }
        }
    }

    /// Whether it takes no more than it may.
    fn within(&mut self, settings: &TrainerSettings) -> Result<(), ExternalError> {
        let tree = self.tree();
        let own = tree.processes.len().saturating_sub(self.place.between());
        if own > settings.processes as usize {
            return Err(self.stop(format!("{own} processes; {} are allowed (trainer.processes)", settings.processes)));
        }
        if tree.memory > settings.memory_mib << 20 {
            let (found, allowed) = (tree.memory >> 20, settings.memory_mib);
            let said = self.stop(format!("{found} MiB of memory; {allowed} are allowed (trainer.memory_mib)"));
            return Err(ExternalError::Memory(said.to_string()));
        }
        Ok(())
    }

    fn tree(&self) -> Tree {
        i32::try_from(self.child.id()).map(Tree::of).unwrap_or_default()
    }

    /// Ends it at once.
    fn stop(&mut self, why: String) -> ExternalError {
        self.kill();
        ExternalError::Failed(format!("the trainer was stopped: {why}"))
    }

    fn died(&mut self) -> ExternalError {
        // its last words are written by then
        std::thread::sleep(LOOK);
        self.kill();
        let how = self.child.try_wait().ok().flatten().map(|status| status.to_string());
        let how = how.unwrap_or_else(|| "no word how".into());
        ExternalError::Failed(format!("the trainer ended ({how}); its words are in {}", self.words.display()))
    }

    /// Asks it to end, and ends it where it does not.
    pub fn end(&mut self) {
        for (process, _) in self.tree().processes.iter().skip(self.place.between()) {
            signal(*process, libc::SIGTERM);
        }
        let began = Instant::now();
        while began.elapsed() < self.grace && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.stubborn = matches!(self.child.try_wait(), Ok(None));
        self.kill();
    }

    fn kill(&mut self) {
        let tree = self.tree();
        // what is between ends all that is within; what is left where nothing is between, too
        let _ = self.child.kill();
        for (process, _) in tree.processes.iter().skip(1) {
            signal(*process, libc::SIGKILL);
        }
        if let Ok(group) = i32::try_from(self.child.id()) {
            signal(-group, libc::SIGKILL);
        }
        // before the group's number can be another's
        self.guard.end();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes so much of these bytes as there is room for; says how much.
fn write(log: &mut fs::File, bytes: &[u8], kept: u64) -> u64 {
    let room = MOST_WORDS.saturating_sub(kept).min(bytes.len() as u64) as usize;
    // a disk that is full takes no words
    let _ = log.write_all(&bytes[..room]);
    room as u64
}

fn keep(mut from: impl Read, mut log: fs::File) {
    let (mut buffer, mut kept) = ([0; 4096], 0);
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        kept += write(&mut log, &buffer[..count], kept);
    }
}
