//! What is looked at beside the chain: the own worker, and which of `doctor`'s findings still hold.

use super::{
    site::Site,
    state::{Check, Duty, State, Worker},
};
use crate::{
    institution::folder::TOKEN,
    plain::{seen, told},
    up::{doctor::before_enrolment, peers::DOWN, studies::worker_status},
};
use anyhow::Error;
use serde_json::Value;
use std::{fs, path::Path};

/// The own worker.
pub async fn worker(site: &Site) -> Worker {
    let token = fs::read_to_string(site.dir.join(TOKEN)).unwrap_or_default();
    let status = match worker_status(&site.settings, token.trim()).await {
        Ok(status) => status,
        Err(error) => return unanswered(&site.dir, &error),
    };
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let list = status["duties"].as_array().into_iter().flatten();
    let duties: Vec<Duty> = list
        .map(|duty| Duty {
            study: number(&duty["study"]),
            round: number(&duty["round"]),
            kind: seen(duty["kind"].as_str().unwrap_or_default()),
            done: duty["done"].as_u64().map(|ppm| ppm as f64 / 1e6),
        })
        .collect();
    let words = match (status["held"] == true, duties.is_empty()) {
        (true, _) => "on hold: it takes no part until `ml-worker resume`",
        (false, true) => "answers, has nothing to do now",
        (false, false) => "works",
    };
    Worker { answers: true, words: words.into(), duties }
}

/// A worker that gives no answer: before this site has enrolled in a study none runs, and that is as it should be.
fn unanswered(dir: &Path, error: &Error) -> Worker {
    let waits = before_enrolment(dir);
    let words = waits.map_or_else(|| seen(&told(error)), str::to_owned);
    Worker { answers: waits.is_some(), words, duties: Vec::new() }
}

/// What `doctor` has found, without connections that were missing when it looked, up to a minute ago, and stand by now.
pub fn still(checks: &[Check], state: &State) -> Vec<Check> {
    let chain = &state.consortium;
    let all = state.unreachable.is_none() && chain.others > 0 && chain.peers >= chain.others;
    let gone = |check: &Check| all && !check.well && check.what == "peer" && check.words.contains(DOWN);
    checks.iter().filter(|check| !gone(check)).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_worker_is_missed_only_after_the_first_enrolment() {
        let dir = tempfile::tempdir().unwrap();
        let refused = || unanswered(dir.path(), &anyhow!("Connection refused"));
        let worker = refused();
        assert_eq!((worker.answers, worker.words.as_str()), (true, "waits for sites.toml"));
        fs::write(dir.path().join("sites.toml"), "[[site]]\n").unwrap();
        let worker = refused();
        assert!(!worker.answers && worker.words.contains("Connection refused"), "{}", worker.words);
    }

    #[test]
    fn a_connection_that_stands_again_is_not_said_to_be_missing() {
        let check = |what: &str, words: String| Check { what: what.into(), well: false, words };
        let checks = [
            check("peer", format!("Birch: /ip4/192.0.2.7/tcp/1: {DOWN}, or a firewall is between")),
            check(
                "peer",
                "Birch: no connection to or from that port, and 1 by a node that listens at another one".into(),
            ),
            check("disk", "0.1 GiB free".into()),
        ];
        let mut state = State::default();
        (state.consortium.others, state.consortium.peers) = (2, 1);
        let left = |state: &State| still(&checks, state).into_iter().map(|check| check.what).collect::<Vec<_>>();
        assert_eq!(left(&state), ["peer", "peer", "disk"]);
        state.consortium.peers = 2;
        assert_eq!(left(&state), ["peer", "disk"]);
        // what the node said last may be old
        state.unreachable = Some("no node answers".into());
        assert_eq!(left(&state).len(), 3);
    }
}
