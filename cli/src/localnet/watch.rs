//! Follows a study to its certificate, and shows how it goes.

use super::house::House;
use crate::{
    chain::{Block, Chain, StudyInfo},
    process::complaints,
    show::{done, name, phase, why_aborted, why_paused, Names},
    study::losses::mean_of,
};
use anyhow::{bail, Result};
use consilium_primitives::{
    round::{bit, Ballot, Phase, Study},
    InstitutionId, StudyId,
};
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often the chain is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long nothing at all may change on the chain.
const STALL_PATIENCE: Duration = Duration::from_secs(180);

/// A study that has its certificate.
pub struct Finished {
    /// As it stands in [`Finished::at`].
    pub info: StudyInfo,
    /// The finalised block in which the certificate was seen.
    pub at: Block,
}

/// Waits for the certificate in a finalised block, and shows the way there.
///
/// # Errors
/// The study was paused or ended without one, or the chain makes no more blocks.
pub async fn follow(chain: &Chain, study: StudyId, houses: &[House], names: &Names) -> Result<Finished> {
    let mut screen = Screen::new();
    let (mut last_block, mut since) = (0, Instant::now());
    loop {
        let best = chain.best().await?;
        if best.number != last_block {
            (last_block, since) = (best.number, Instant::now());
        } else if since.elapsed() > STALL_PATIENCE {
            bail!("the chain has stood at block {last_block} for three minutes; see node.log of each institution");
        }
        if let Some(info) = chain.study(study, best).await? {
            let losses = match screen.wants(&info.state) {
                Some(round) => chain.losses(study, round, best).await?,
                None => Vec::new(),
            };
            screen.show(&info.state, best, &losses, houses, names).await;
        }
        let final_block = chain.finalised().await?;
        if let Some(info) = chain.study(study, final_block).await? {
            match &info.state.phase {
                Phase::Completed(_) => return Ok(Finished { info, at: final_block }),
                Phase::Aborted { reason } => bail!(
                    "study {study} ended without a certificate: {}\n{}",
                    why_aborted(*reason),
                    sites(&info.state, houses, names)
                ),
                // one for want of voices ends by itself, once an hour
                Phase::Paused(pause) if info.state.tries > 0 || !pause.reason.passes() => bail!(
                    "study {study} was paused in round {}: {}\n{}",
                    info.state.round,
                    why_paused(pause.reason),
                    sites(&info.state, houses, names)
                ),
                _ => {}
            }
        }
        sleep(EVERY).await;
    }
}

/// What people need to know of each site when a study stands still: whether it has done its part, what its worker
/// complained about, and where to read on.
fn sites(study: &Study, houses: &[House], names: &Names) -> String {
    let mut text = String::new();
    for (index, member) in (0..).zip(study.members.iter()) {
        let done = match &study.phase {
            Phase::Paused(pause) => done(pause, index),
            _ => "",
        };
        let _ = write!(text, "  {}{done}", name(names, &member.id));
        if !member.active {
            text.push_str(", has withdrawn");
        }
        if let Some(house) = houses.iter().find(|h| h.id() == member.id) {
            let (worker, node) = (house.worker_log(), house.node_log());
            let _ = match complaints(&worker) {
                Some(lines) => write!(text, "; its worker says, in {}:\n{lines}", worker.display()),
                None => {
                    write!(
                        text,
                        "; its worker has nothing to complain about; see {} and {}",
                        worker.display(),
                        node.display()
                    )
                }
            };
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// A table that is drawn over and over on a terminal, and lines elsewhere.
struct Screen {
    terminal: bool,
    drawn: usize,
    last: String,
    /// The round whose mean loss was printed last.
    told: Option<u32>,
}

impl Screen {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), drawn: 0, last: String::new(), told: None }
    }

    /// The round whose losses are shown: on a terminal they come in one by one, and a line has them once.
    fn wants(&self, study: &Study) -> Option<u32> {
        match self.terminal {
            true => study.round.checked_sub(1),
            false => whole(study),
        }
    }

    async fn show(
        &mut self,
        study: &Study,
        block: Block,
        losses: &[(InstitutionId, u32)],
        houses: &[House],
        names: &Names,
    ) {
        let head = format!("round {:>2} of {} · {}", study.round, study.rules.max_rounds, phase(study));
        if self.terminal {
            let mut lines = vec![format!("block {:>5} · {head}", block.number)];
            for member in &study.members {
                let site = name(names, &member.id);
                let loss = losses.iter().find(|(id, _)| *id == member.id);
                let loss = loss.map_or_else(|| "      -".into(), |(_, v)| format!("{:.5}", f64::from(*v) / 1e6));
                let mut doing = answered(study, &member.id).to_owned();
                if let Some(house) = houses.iter().find(|h| h.id() == member.id) {
                    if let Some(percent) = house.status().await.as_ref().and_then(progress) {
                        doing = format!("{doing} · {percent:>3} %");
                    }
                }
                lines.push(format!("  {site:<12} {:>5} samples · loss {loss} · {doing}", member.samples));
            }
            self.draw(&lines);
        } else {
            if head != self.last {
                let shown = self.new_mean(study, losses, names);
                eprintln!("block {:>5} · {head}{}", block.number, shown.unwrap_or_default());
                self.last = head;
            }
        }
    }

    /// The mean loss of the round that was measured last, once.
    fn new_mean(&mut self, study: &Study, losses: &[(InstitutionId, u32)], names: &Names) -> Option<String> {
        let round = whole(study)?;
        if self.told == Some(round) {
            return None;
        }
        let mean = mean_of(study, round, losses)?;
        self.told = Some(round);
        Some(format!(" · mean loss of round {round} {}", mean.words(names)))
    }

    fn draw(&mut self, lines: &[String]) {
        // what is longer than the terminal is wide is cut off there: a wrapped line would count as two when going back up
        let mut out = String::from("\x1b[?7l");
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
        }
        for line in lines {
            out.push_str(line);
            out.push('\n');
        }
        out.push_str("\x1b[?7h");
        self.drawn = lines.len();
        let mut stderr = std::io::stderr().lock();
        // a terminal that has gone away is no reason to stop the run
        let _ = stderr.write_all(out.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// The newest round of which all have reported a loss who will: it comes with the update of the round after it.
fn whole(study: &Study) -> Option<u32> {
    match study.phase {
        Phase::Collecting(_) => study.round.checked_sub(2),
        _ => study.round.checked_sub(1),
    }
}

/// What a member has done for the present state.
fn answered(study: &Study, who: &InstitutionId) -> &'static str {
    let Some(index) = study.members.iter().position(|m| m.id == *who).and_then(|i| u8::try_from(i).ok()) else {
        return "no member";
    };
    let mine = bit(index);
    match &study.phase {
        Phase::Collecting(c) if c.commitments.iter().any(|c| c.member == index) => "committed",
        Phase::Collecting(c) if c.awaited & mine != 0 => "working",
        Phase::Collecting(_) => "not awaited",
        Phase::Init { votes, .. } if votes.iter().any(|(v, _)| *v == index) => "attested",
        Phase::Init { .. } => "working",
        Phase::Merging(m) => {
            match m.inputs.iter().zip(m.ballots.iter()).find(|(i, _)| i.commitment.member == index).map(|(_, b)| b) {
                Some(Some(Ballot::Root(..))) => "attested",
                Some(Some(Ballot::Partial { .. })) => "inputs missing",
                Some(None) => "merging",
                None => "not asked",
            }
        }
        Phase::FinalEvaluation { reported, .. } if reported & mine != 0 => "evaluated",
        Phase::FinalEvaluation { .. } => "evaluating",
        Phase::Certifying(c) if c.held & mine != 0 => "holds the model",
        Phase::Certifying(_) => "checking",
        Phase::Completed(c) if c.held & mine != 0 => "holds the model",
        _ => "-",
    }
}

/// Per cent done of what a worker is doing.
fn progress(status: &serde_json::Value) -> Option<u64> {
    let duties = status.get("duties")?.as_array()?;
    let done = duties.iter().filter_map(|d| d.get("done").and_then(serde_json::Value::as_u64)).next_back()?;
    Some(done / 10_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;

    #[test]
    fn a_round_s_mean_loss_is_told_once_and_of_all_who_report_it() {
        let World { history, .. } = World::new();
        let (mut study, names) = (history.info.state, history.names);
        let losses: Vec<(InstitutionId, u32)> = study.members.iter().map(|member| (member.id, 250_000)).collect();
        let mut screen = Screen { terminal: false, drawn: 0, last: String::new(), told: None };
        study.round = 3;
        assert_eq!(screen.wants(&study), Some(2), "it is being merged, or has ended");
        let said = screen.new_mean(&study, &losses, &names).unwrap();
        assert!(said.starts_with(" · mean loss of round 2 0.25000 over "), "{said}");
        assert_eq!(screen.new_mean(&study, &losses, &names), None);
        study.round = 0;
        assert_eq!(screen.wants(&study), None);
    }
}
