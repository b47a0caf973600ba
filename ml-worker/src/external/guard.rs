//! Ends a trainer whose worker is killed. A worker that gets SIGKILL can end nothing any more; a program that waits for its
//! death can. Not `PR_SET_PDEATHSIG` on the trainer: it follows the thread that started it, and is lost where the user changes.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

/// Is told a group of processes; its input ends with the worker, and then it ends the group.
const WAITS: &str = "read -r group || exit 0; read -r _; kill -s KILL -- \"-$group\"";

/// A program that outlives the worker by a moment.
pub(super) struct Guard {
    child: Child,
    /// Closed by the system where this process dies.
    line: ChildStdin,
}

impl Guard {
    /// Starts one. It is started before the trainer, so that no trainer is without.
    ///
    /// # Errors
    /// There is no shell, or no more processes can be started.
    pub fn start() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        // a group of its own: what a terminal sends to the worker is not for it
        command.args(["-c", WAITS]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let Some(line) = child.stdin.take() else { return Err(io::Error::other("the guard has no input")) };
        Ok(Self { child, line })
    }

    /// Names the group that is to end with this process.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn over(&mut self, group: u32) -> io::Result<()> {
        writeln!(self.line, "{group}").and_then(|()| self.line.flush())
    }

    /// Ends the guard, and nothing else: its group may have another owner soon.
    pub fn end(&mut self) {
        // nothing where it is gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, Instant};

    fn sleeping() -> Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_group_ends_when_the_line_is_closed_and_stays_when_the_guard_is_ended() {
        let (mut ended, mut kept) = (sleeping(), sleeping());
        let mut guard = Guard::start().unwrap();
        guard.over(ended.id()).unwrap();
        let mut calm = Guard::start().unwrap();
        calm.over(kept.id()).unwrap();
        calm.end();
        // as the system closes it: without a word to the guard
        let mut other = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        guard.line = other.stdin.take().unwrap();
        other.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while ended.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the group still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
