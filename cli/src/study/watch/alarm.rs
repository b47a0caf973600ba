//! `--on EVENT COMMAND`: commands that are run when something happens to a study. Nothing waits for them longer than a minute.

use super::facts::Event;
use crate::process::{signal, spawn};
use anyhow::{bail, Result};
use nix::sys::signal::Signal;
use std::{
    env,
    io::stderr,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a command may run.
const LIMIT: Duration = Duration::from_secs(60);
/// How many may run at the same time.
const MOST: usize = 8;
/// How often it is looked whether they have ended.
const STEP: Duration = Duration::from_millis(50);

/// A command for an event: the program, then its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    event: Event,
    words: Vec<String>,
}

struct Running {
    child: Child,
    since: Instant,
    name: String,
}

/// All commands, and those that run now.
pub struct Alarms {
    hooks: Vec<Hook>,
    running: Vec<Running>,
    limit: Duration,
}

impl Alarms {
    /// Of what the command line says: an event and a command in turn. A command's words are parted by blanks; there is no shell,
    /// and so no quotes, variables or pipes in it.
    ///
    /// # Errors
    /// No event of this name; no such program.
    pub fn of(given: &[String]) -> Result<Self> {
        let mut hooks = Vec::new();
        for pair in given.chunks(2) {
            let [event, command] = pair else { bail!("--on takes an event and a command") };
            let Some(event) = Event::ALL.into_iter().find(|known| known.named() == event) else {
                let all = Event::ALL.map(Event::named).join(", ");
                bail!("--on {event}: there is no such event; there are {all}");
            };
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            let Some(program) = words.first() else { bail!("--on {}: which command?", event.named()) };
            if !there(program) {
                bail!(
                    "--on {} {command:?}: there is no program {program:?} here, nor in PATH; the command is run without a shell",
                    event.named()
                );
            }
            hooks.push(Hook { event, words });
        }
        Ok(Self { hooks, running: Vec::new(), limit: LIMIT })
    }

    /// Starts the commands of an event; what cannot be started is said, and nothing ends for it.
    pub fn fire(&mut self, event: Event, facts: &[(&'static str, String)]) {
        for hook in self.hooks.iter().filter(|hook| hook.event == event) {
            let (Some(program), rest) = (hook.words.first(), hook.words.get(1..).unwrap_or_default()) else { continue };
            let name = hook.words.join(" ");
            if self.running.len() >= MOST {
                eprintln!("warning: {name} was not run on {}: {MOST} commands run already", event.named());
                continue;
            }
            let mut command = Command::new(program);
            // results alone go to standard output
            command.args(rest).envs(facts.iter().map(|(key, value)| (key, value))).stdout(stderr());
            match spawn(&mut command) {
                Ok(child) => self.running.push(Running { child, since: Instant::now(), name }),
                Err(error) => eprintln!("warning: {name} could not be run on {}: {error}", event.named()),
            }
        }
    }

    /// Takes note of those that have ended, and ends those that run for too long.
    pub fn look(&mut self) {
        let limit = self.limit;
        self.running.retain_mut(|running| match running.child.try_wait() {
            Ok(None) if running.since.elapsed() < limit => true,
            Ok(None) => {
                eprintln!("warning: {} was ended: it ran for more than {} s", running.name, limit.as_secs());
                signal(&running.child, Signal::SIGKILL);
                // one that was killed ends
                let _ = running.child.wait();
                false
            }
            Ok(Some(status)) if !status.success() => {
                eprintln!("warning: {} failed ({status})", running.name);
                false
            }
            Ok(Some(_)) | Err(_) => false,
        });
    }

    /// Waits until all have ended, or have run for too long.
    pub fn end(&mut self) {
        self.look();
        while !self.running.is_empty() {
            sleep(STEP);
            self.look();
        }
    }
}

/// Whether a program can be started by this name.
fn there(program: &str) -> bool {
    let file = |path: &Path| path.is_file();
    if program.contains('/') {
        return file(Path::new(program));
    }
    env::var_os("PATH").is_some_and(|all| env::split_paths(&all).any(|folder| file(&folder.join(program))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn given(all: &[&str]) -> Vec<String> {
        all.iter().map(|word| (*word).to_owned()).collect()
    }

    fn said(all: &[&str]) -> String {
        Alarms::of(&given(all)).err().unwrap().to_string()
    }

    #[test]
    fn a_wrong_alarm_is_found_before_the_night() {
        assert!(said(&["pause", "true"]).contains("round, loss, paused, aborted, finished, late"));
        assert!(said(&["paused", "/no/such/program x"]).contains("no program \"/no/such/program\""));
        assert!(said(&["paused", "no-such-program-anywhere"]).contains("nor in PATH"));
        assert!(said(&["paused", " "]).contains("which command?"));
        assert!(Alarms::of(&given(&["paused", "true", "late", "true"])).is_ok());
    }

    #[test]
    fn a_command_gets_the_facts_and_its_own_event_alone_and_no_shell_reads_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (script, out) = (scratch.path().join("tell"), scratch.path().join("out"));
        fs::write(&script, "printf '%s|%s|%s' \"$CONSILIUM_EVENT\" \"$CONSILIUM_TITLE\" \"$2\" > \"$1\"\n").unwrap();
        let command = format!("sh {} {} $HOME;x", script.display(), out.display());
        let mut alarms = Alarms::of(&given(&["paused", &command])).unwrap();
        let facts = [("CONSILIUM_EVENT", "paused".to_owned()), ("CONSILIUM_TITLE", "a; $(b) \"c\"".to_owned())];
        alarms.fire(Event::Round, &facts);
        assert!(alarms.running.is_empty());
        alarms.fire(Event::Paused, &facts);
        alarms.end();
        assert_eq!(fs::read_to_string(out).unwrap(), "paused|a; $(b) \"c\"|$HOME;x");
    }

    #[test]
    fn nothing_waits_for_a_command_without_bound() {
        let mut alarms = Alarms::of(&given(&["late", "sleep 600"])).unwrap();
        alarms.limit = Duration::from_millis(200);
        let began = Instant::now();
        for _ in 0..MOST + 2 {
            alarms.fire(Event::Late, &[]);
        }
        assert_eq!(alarms.running.len(), MOST, "and no more than so many run at once");
        alarms.end();
        assert!(began.elapsed() < Duration::from_secs(30) && alarms.running.is_empty());
    }
}
