//! Being told to stop.

use anyhow::Result;
use tokio::signal::unix::{signal, Signal, SignalKind};

/// Ctrl-C and its like, listened for from the start: one during a long check must not kill this process before it can
/// clean up.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// That the terminal was closed; none where whoever started this wants it to outlive the terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn listen() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = if ignores_hangup(&status) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for one.
    pub async fn any(&mut self) {
        let Self { interrupt, terminate, hangup } = self;
        let closed = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = closed => {}
        }
    }
}

/// Whether a process ignores that its terminal is closed, by its entry in `/proc`.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_terminal_ends_what_was_not_told_to_outlive_it() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
        for status in ["SigIgn:\t0000000000001000\n", "SigBlk:\t0000000000000001\n", ""] {
            assert!(!ignores_hangup(status), "{status}");
        }
    }
}
