//! `consilium up --status`: what runs, since when, and where the chain stands.

use super::{
    identity::Own,
    rpc::{Health, Node},
    state::{is_up, now, Note, State, Up},
    studies::{studies, worker_status},
};
use crate::{
    institution::folder::{SiteSettings, TOKEN},
    options::Format,
    plain::{counted, seen, told},
    show::print_json,
};
use anyhow::Result;
use consilium_primitives::StudyId;
use serde_json::{json, Value};
use std::{fmt::Write, fs, path::Path, process::ExitCode};

/// Seconds within which a node that was just started may be silent.
const STARTING: u64 = 60;

/// A span of seconds, for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// One program's line.
fn line(note: &Note, at: u64, alive: bool) -> String {
    let since = span(at.saturating_sub(note.since));
    let mut text = match note.state {
        _ if !alive => "not running".to_owned(),
        State::Running => format!("runs, process {}, for {since}", note.pid.unwrap_or_default()),
        State::Waiting => format!("waits for {}", note.why.as_deref().map_or_else(|| "its start".into(), seen)),
        State::Resting => "has ended, and is started again soon".into(),
        State::Refused => "is configured wrongly, and not started again".into(),
        State::Stopped => format!("stopped, {since} ago"),
    };
    if let Some(why) = note.why.as_ref().filter(|_| !alive || note.state != State::Waiting) {
        // writing to a string cannot fail
        let _ = write!(text, "; {}", seen(why));
    }
    if note.restarts > 0 {
        let _ = write!(text, "; started again {}", counted(note.restarts.into(), "time"));
    }
    if let Some(how) = &note.last_exit {
        let _ = write!(text, "; ended last: {}", seen(how));
    }
    text
}

/// Why a node does not answer, by what its supervisor has noted where one runs, and what to do.
pub fn silent(node: Option<&Note>, at: u64, dir: &Path) -> String {
    let Some(node) = node else {
        return format!("it is not started: start it with `consilium up --dir {}`, or its service", dir.display());
    };
    let since = at.saturating_sub(node.since);
    let why = node.why.as_ref().map(|why| format!(": {}", seen(why))).unwrap_or_default();
    match node.state {
        State::Running if since < STARTING => {
            format!("it was started {} ago, and does not answer yet: ask again in a few seconds", span(since))
        }
        State::Running => format!("it was started {} ago, and does not answer: its log says why", span(since)),
        State::Waiting => format!("it is not started yet{why}"),
        State::Resting => format!("it has ended, and is started again soon{why}; its log says why it ended"),
        State::Refused => format!("it is configured wrongly, and not started again{why}"),
        State::Stopped => format!("it was stopped{why}"),
    }
}

/// Whether a program does what it can: it runs, or has nothing to do yet.
fn does_its_part(note: &Note) -> bool {
    note.state == State::Running || note.state == State::Waiting && note.why.is_some()
}

/// Where the chain stands, for people.
fn chain(health: &Health) -> String {
    format!(
        "block {}, final {}; {}; {}",
        health.best,
        health.finalised,
        counted(health.peers, "peer"),
        health.amiss().map_or_else(|| "in step".into(), |why| format!("not in step: {why}"))
    )
}

/// How the chain's studies stand here; none where the node or this folder does not tell.
async fn of_studies(dir: &Path, settings: &SiteSettings, worker: Option<&Value>) -> Vec<(StudyId, Result<String>)> {
    let Ok(own) = Own::read(dir) else { return Vec::new() };
    studies(dir, &settings.rpc_url(), own.account, worker).await.unwrap_or_default()
}

/// What a worker that is said to run answers; none where none runs.
async fn of_worker(dir: &Path, settings: &SiteSettings, up: Option<&Up>) -> Option<Result<Value>> {
    up.filter(|up| up.worker.state == State::Running)?;
    let token = fs::read_to_string(dir.join(TOKEN)).unwrap_or_default();
    Some(worker_status(settings, token.trim()).await)
}

/// Says how it is.
///
/// # Errors
/// The folder cannot be read.
pub async fn run(dir: &Path, format: Format) -> Result<ExitCode> {
    let settings = SiteSettings::read(dir)?;
    let (up, alive) = (Up::read(dir)?, is_up(dir)?);
    let (health, clock) = match Node::connect(&settings.rpc_url()).await {
        Ok(node) => (node.health().await, node.clock().await.ok()),
        Err(error) => (Err(error), None),
    };
    let worker = of_worker(dir, &settings, up.as_ref().filter(|_| alive)).await;
    let studies = match health {
        Ok(_) => of_studies(dir, &settings, worker.as_ref().and_then(|worker| worker.as_ref().ok())).await,
        Err(_) => Vec::new(),
    };
    let well = studies.iter().all(|(_, found)| found.is_ok());
    let all = well
        && alive
        && worker.as_ref().is_none_or(Result::is_ok)
        && health.as_ref().is_ok_and(Health::in_step)
        && clock.as_ref().is_none_or(|clock| clock.warning.is_none())
        && up.as_ref().is_some_and(|up| does_its_part(&up.node) && does_its_part(&up.worker));
    let code = if all { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if format == Format::Json {
        let chain = health.as_ref().ok().map(|health| {
            json!({
                "best": health.best, "finalised": health.finalised, "peers": health.peers, "syncing": health.syncing,
                "in_step": health.in_step(),
            })
        });
        let studies: Vec<_> = studies
            .iter()
            .map(|(number, found)| {
                let words = found.as_ref().map_or_else(told, Clone::clone);
                json!({ "study": number, "well": found.is_ok(), "words": words })
            })
            .collect();
        print_json(&json!({ "up": alive, "programs": up, "chain": chain, "clock": clock, "studies": studies }))?;
        return Ok(code);
    }
    out!("folder       {}", dir.display());
    match &up {
        None => {
            out!("up           never ran here; services of systemd's are asked by `systemctl status 'consilium-*'`")
        }
        Some(up) => {
            let at = now();
            match alive {
                true => out!("up           process {}, for {}", up.pid, span(at.saturating_sub(up.since))),
                false => out!("up           not running: start it with `consilium up --dir {}`", dir.display()),
            }
            out!("node         {}", line(&up.node, at, alive));
            if let (true, Some(after)) = (alive, up.answered_after_ms) {
                out!("             answered {:.2} s after its start", after as f64 / 1_000.0);
            }
            out!("worker       {}", line(&up.worker, at, alive));
            if let Some(Err(error)) = &worker {
                out!("             {}", seen(&told(error)));
            }
            out!("institution  {}", seen(&up.institution));
            out!("genesis      {}", up.genesis);
        }
    }
    match health {
        Ok(health) => out!("chain        {}", chain(&health)),
        Err(_) => out!(
            "chain        the node does not answer: {}",
            silent(up.as_ref().filter(|_| alive).map(|up| &up.node), now(), dir)
        ),
    }
    for (number, found) in &studies {
        match found {
            Ok(text) => out!("study        {number}: {}", seen(text)),
            Err(error) => out!("study        MEND {number}: {}", seen(&told(error))),
        }
    }
    if let Some(warning) = clock.and_then(|clock| clock.warning) {
        out!("clock        {}", seen(&warning));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let all: Vec<String> = [0, 119, 120, 7_199, 7_260, 172_800].map(span).into();
        assert_eq!(all, ["0 s", "119 s", "2 min", "119 min", "2 h 1 min", "2 days"]);
    }

    #[test]
    fn a_node_that_is_starting_is_told_from_one_that_was_not_started() {
        let (dir, mut note) = (
            Path::new("alder"),
            Note { state: State::Running, pid: Some(7), since: 40, restarts: 0, last_exit: None, why: None },
        );
        assert!(silent(None, 50, dir).contains("not started: start it with `consilium up --dir alder`"));
        assert!(silent(Some(&note), 50, dir).contains("started 10 s ago, and does not answer yet"));
        assert!(silent(Some(&note), 400, dir).contains("started 6 min ago, and does not answer: its log"));
        (note.state, note.why) = (State::Refused, Some("a key".into()));
        assert!(silent(Some(&note), 50, dir).ends_with("not started again: a key"));
    }

    #[test]
    fn a_line_says_what_runs_and_how_it_ended_last() {
        let mut note = Note {
            state: State::Running,
            pid: Some(7),
            since: 40,
            restarts: 2,
            last_exit: Some("killed by SIGKILL".into()),
            why: None,
        };
        assert_eq!(
            line(&note, 100, true),
            "runs, process 7, for 60 s; started again 2 times; ended last: killed by SIGKILL"
        );
        assert!(line(&note, 100, false).starts_with("not running"));
        (note.state, note.why) = (State::Refused, Some("the key\u{1b}[2J".into()));
        let text = line(&note, 100, true);
        assert!(!does_its_part(&note));
        assert!(text.contains("configured wrongly") && text.contains("the key") && !text.contains('\u{1b}'), "{text}");
        (note.state, note.why, note.restarts, note.last_exit) =
            (State::Waiting, Some("sites.toml: none yet".into()), 0, None);
        assert_eq!(line(&note, 100, true), "waits for sites.toml: none yet");
        assert!(does_its_part(&note));
        note.why = None;
        assert!(!does_its_part(&note), "it is about to be started");
        let health = Health { best: 9, finalised: 7, peers: 0, syncing: false, unsettled_ms: 1_000 };
        assert!(chain(&health).contains("block 9, final 7; 0 peers; not in step: no other institution's node"));
        let health = Health { peers: 1, ..health };
        assert_eq!(chain(&health), "block 9, final 7; 1 peer; in step");
        let health = Health { best: 50, unsettled_ms: 21_500, ..health };
        assert_eq!(
            chain(&health),
            "block 50, final 7; 1 peer; not in step: nothing has become final for 21 s: a validator is away, or a clock is wrong \
             (compare clocks, timedatectl)"
        );
    }
}
