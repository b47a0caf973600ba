//! `consilium study watch`: a study as it goes, to its end, and commands that are run when something happens to it.
//!
//! * [`facts`]: what is known at a block, and what has happened since the last look, pure; [`alarm`]: the commands.

mod alarm;
mod facts;
#[cfg(test)]
mod tests;

use super::{
    answers::failures,
    losses::Mean,
    standstill::{before_end, trouble},
};
use crate::{
    chain::{Block, Chain, StudyInfo},
    options::{Asked, Format},
    plain::told,
    show::{existing, names, title, Names},
};
use alarm::Alarms;
use anyhow::{ensure, Context, Result};
use clap::Args;
use consilium_primitives::{
    round::{Kind, Phase, RoundRecord},
    StudyId,
};
use facts::{events, facts, Event, Facts, Look, Stage, LAST};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{stderr, IsTerminal},
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// How often the chain is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long the node may take for an answer, and how long it may give none.
const ANSWER: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(600);
/// Of how many of the last closed rounds losses are asked for, where many have closed since the last look.
const LOSSES: u32 = 200;
/// Why a site is not waited for.
const NOTHING: &str = "nothing came from it in two rounds; what it sends in time counts";
/// How often it is looked whether the chain stands.
const STANDS: Duration = Duration::from_secs(5);

/// What `watch` takes.
#[derive(Args)]
pub struct Watch {
    /// Number of the study
    number: StudyId,
    /// Run a command on an event: round (one has closed), loss (all figures of a closed round are known), paused, aborted, finished, or
    /// late (a round takes twice as long as one does while nobody is missing, or no blocks are made). It finds the facts in CONSILIUM_… of its environment, is run without a shell, its words
    /// parted by blanks, and is ended after a minute. Once for each
    #[arg(long, num_args = 2, value_names = ["EVENT", "COMMAND"], action = clap::ArgAction::Append)]
    on: Vec<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Watches a study until it has ended.
///
/// # Errors
/// There is no such study; a command that cannot be run; the node gives no answer for ten minutes; the study ended without a model.
pub async fn run(options: Watch) -> Result<()> {
    let Watch { number, on, asked } = &options;
    let mut alarms = Alarms::of(on)?;
    let mut chain = asked.chain().await?;
    existing(&chain, *number, chain.best().await?, &asked.hint()).await?;
    let screen = Screen::new(asked.connection.format);
    let mut reader = Reader { number: *number, ..Reader::default() };
    let (mut before, mut silent) = (None::<Facts>, None::<Instant>);
    let mut said = BTreeSet::new();
    let end = loop {
        alarms.look();
        let read = timeout(ANSWER, reader.read(&chain)).await.context("the node gives no answer").and_then(|read| read);
        match read {
            Ok((now, names, info)) => {
                silent = None;
                screen.show(before.as_ref(), &now, &names);
                let news = unheard(&mut said, &now.unawaited);
                // the first line has them all
                if before.is_some() {
                    news.iter().for_each(|site| screen.line(&format!("not waited for: {site}, since {NOTHING}")));
                }
                for event in events(before.as_ref(), &now) {
                    alarms.fire(event, &now.environment(event));
                    screen.event(event, &now, &names);
                    if matches!(event, Event::Paused | Event::Aborted) {
                        let lines = why(&chain, *number, &info, now.block, &names).await;
                        lines.iter().for_each(|line| screen.line(&format!("  {}", asked.pasted(line))));
                    }
                }
                if matches!(now.stage, Stage::Finished | Stage::Aborted) {
                    break now;
                }
                before = Some(now);
            }
            Err(error) => {
                let since = *silent.get_or_insert_with(|| {
                    screen.note(&format!("{}; trying again", told(&error)));
                    Instant::now()
                });
                ensure!(
                    since.elapsed() < PATIENCE,
                    "the node has given no answer for ten minutes: {}; the study goes on without it",
                    told(&error)
                );
                // a node that was started again is another connection
                if let Ok(Ok(again)) = timeout(ANSWER, asked.chain()).await {
                    chain = again;
                }
            }
        }
        sleep(EVERY).await;
    };
    screen.close();
    alarms.end();
    ensure!(end.stage == Stage::Finished, "study {number} {}", end.phase);
    let free = free(*number, |name| Path::new(name).exists());
    screen.line(&asked.pasted(&format!("its model: consilium study fetch {number} --dir FOLDER --out {free}")));
    Ok(())
}

/// A folder for a study's model that is not there yet.
fn free(number: StudyId, there: impl Fn(&str) -> bool) -> String {
    let plain = format!("model-{number}");
    if !there(&plain) {
        return plain;
    }
    (2u32..).map(|next| format!("{plain}-{next}")).find(|name| !there(name)).unwrap_or_default()
}

/// Why a study stands still or has ended, as far as this node can tell.
async fn why(chain: &Chain, number: StudyId, info: &StudyInfo, block: u32, names: &Names) -> Vec<String> {
    let read = async {
        let at = chain.block_at(block).await?;
        let (failed, before) = (failures(chain, number, info, at).await, before_end(chain, number, info).await?);
        anyhow::Ok((failed, before))
    };
    let (failed, before) = match read.await {
        Ok((failed, before)) => (failed.unwrap_or_default(), before),
        // the node may have gone away in this very moment: what is known is said
        Err(_) => (Vec::new(), None),
    };
    trouble(&info.state, before.as_ref(), &failed, names, number)
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    number: StudyId,
    /// The last closed rounds.
    records: BTreeMap<u32, RoundRecord>,
    /// The first closed rounds of training.
    early: Vec<RoundRecord>,
    /// The first round whose loss was not told yet; none before the first look.
    untold: Option<u32>,
    /// The loss that was told last.
    loss: Option<(u32, Mean)>,
    title: Option<String>,
    /// Whether rounds that close are news: those that had closed before the first look are none.
    begun: bool,
    /// Whether the chain stands, and when that was looked at.
    stands: Option<String>,
    looked: Option<Instant>,
}

impl Reader {
    /// Looks at the study.
    async fn read(&mut self, chain: &Chain) -> Result<(Facts, Names, StudyInfo)> {
        let (number, at) = (self.number, chain.best().await?);
        let names = names(&chain.institutions(at).await?);
        let info = chain.study(number, at).await?.context("the node knows this study no longer")?;
        if self.title.is_none() {
            self.title = title(chain.spec(number, at).await?.as_deref());
        }
        if self.looked.is_none_or(|looked| looked.elapsed() >= STANDS) {
            (self.stands, self.looked) = (chain.stands().await, Some(Instant::now()));
        }
        let fresh = self.closed(chain, at, info.state.round).await?;
        self.begin(chain, at).await?;
        let newest = self.records.keys().next_back().copied();
        let mut losses = Vec::new();
        // those of a round's model come in the next round, or with the vote on it
        for round in newest.map(|newest| first_asked(self.untold, newest)..=newest).into_iter().flatten() {
            let told = chain.losses(number, round, at).await?;
            if !told.is_empty() {
                losses.push((round, told));
            }
        }
        let ended = info.state.ended() && {
            let last = chain.study(number, chain.finalised().await?).await?;
            last.is_some_and(|last| match last.state.phase {
                Phase::Completed(_) | Phase::Aborted { .. } => last.state.phase == info.state.phase,
                _ => false,
            })
        };
        let look = Look {
            study: number,
            genesis: chain.genesis(),
            title: self.title.as_deref(),
            info: &info,
            ended,
            block: at.number,
            slot: info.state.slot_millis,
            names: &names,
            records: &self.records,
            fresh: &fresh,
            early: &self.early,
            losses: &losses,
            loss: self.loss.as_ref(),
            stands: self.stands.as_deref(),
        };
        let mut now = facts(&look);
        self.loss = now.loss.clone();
        let begun = self.untold.is_some();
        if let Some(newest) = newest {
            let told = now.losses.iter().any(|(round, _)| *round == newest);
            self.untold = Some(next_untold(self.untold, newest, told || info.state.ended()));
        }
        // what was known before the first look is no news
        if !begun {
            now.losses.clear();
        }
        Ok((now, names, info))
    }

    /// Reads the first rounds of training, once so many have closed.
    async fn begin(&mut self, chain: &Chain, at: Block) -> Result<()> {
        if !self.early.is_empty() || self.records.keys().next_back().is_none_or(|newest| *newest < LAST) {
            return Ok(());
        }
        let mut early = Vec::new();
        for number in 1..=LAST {
            early.extend(chain.record(self.number, Kind::Model, number, at).await?);
        }
        self.early = early;
        Ok(())
    }

    /// Reads rounds that have closed since the last look; the numbers of those that are news.
    async fn closed(&mut self, chain: &Chain, at: Block, round: u32) -> Result<Vec<u32>> {
        let from = match self.records.keys().next_back() {
            Some(last) => last.saturating_add(1),
            None => round.saturating_sub(LAST.saturating_add(1)),
        };
        let mut fresh = Vec::new();
        for number in from..=round {
            let Some(record) = chain.record(self.number, Kind::Model, number, at).await? else { continue };
            self.records.insert(number, record);
            if number > 0 && self.begun {
                fresh.push(number);
            }
        }
        while self.records.len() > LAST as usize + 2 {
            self.records.pop_first();
        }
        self.begun = true;
        Ok(fresh)
    }
}

/// The first round whose losses are asked for: the first that was not told of; at the first look the one before the newest, whose
/// loss is the last that is known.
fn first_asked(untold: Option<u32>, newest: u32) -> u32 {
    untold.unwrap_or_else(|| newest.saturating_sub(1)).max(newest.saturating_sub(LOSSES))
}

/// The first round whose loss is untold after a look; `told`: that of the newest closed round was told at this look. It never goes
/// back: a look between two rounds has nothing to tell, and is no reason to tell the last one's again.
fn next_untold(before: Option<u32>, newest: u32, told: bool) -> u32 {
    before.unwrap_or_default().max(newest.saturating_add(u32::from(told)))
}

/// Those of the sites that are not waited for of which that was not said yet, each with until when; they count as said from now on.
fn unheard<'a>(said: &mut BTreeSet<String>, unawaited: &'a [String]) -> Vec<&'a str> {
    unawaited.iter().filter(|site| said.insert((*site).clone())).map(String::as_str).collect()
}

/// What is shown, and where: lines on standard output, and a bar where there is a terminal.
struct Screen {
    bar: Option<ProgressBar>,
    json: bool,
}

impl Screen {
    fn new(format: Format) -> Self {
        let json = format == Format::Json;
        let bar = (!json && stderr().is_terminal()).then(|| {
            // the message says which round of how many it is: who is awaited is to find room behind it
            let style = ProgressStyle::with_template("{bar:12} {wide_msg}");
            // a template that cannot be read would be a bar of another look
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, json }
    }

    /// A line for people.
    fn line(&self, line: &str) {
        match &self.bar {
            _ if self.json => {}
            Some(bar) => bar.suspend(|| out!("{line}")),
            None => out!("{line}"),
        }
    }

    /// A line beside the results.
    fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// How it goes.
    fn show(&self, before: Option<&Facts>, now: &Facts, names: &Names) {
        if let Some(bar) = &self.bar {
            bar.set_length(now.max_rounds.into());
            bar.set_position(now.last.unwrap_or_default().into());
            bar.set_message(now.now());
        }
        now.closed.iter().for_each(|closed| self.line(&now.in_a_line(closed)));
        for (round, mean) in &now.losses {
            self.line(&format!("loss of round {round}: {}", mean.words(names)));
        }
        let told = |facts: &Facts| (facts.stage, facts.reason.clone());
        if before.is_some_and(|before| told(before) == told(now)) {
            return;
        }
        match self.json {
            true => out!("{}", now.json("now", names)),
            false if before.is_none() => {
                let title = now.title.as_deref().map(|title| format!(", “{title}”")).unwrap_or_default();
                self.line(&format!("study {}{title}: {}", now.study, now.now()));
            }
            // these have their own lines
            false if matches!(now.stage, Stage::Paused | Stage::Aborted | Stage::Finished) => {}
            false => self.line(&now.now()),
        }
    }

    /// What has happened.
    fn event(&self, event: Event, now: &Facts, names: &Names) {
        if self.json {
            out!("{}", now.json(event.named(), names));
            return;
        }
        match event {
            Event::Round | Event::Loss => {}
            Event::Paused | Event::Aborted => self.line(&now.phase),
            Event::Late => self.line(&format!("late: {}", now.late.as_deref().unwrap_or_default())),
            Event::Finished => self.line(&certified(now.certified)),
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// That it has its certificate, and of which round: the last mean loss is often not that of the certified round.
fn certified(round: Option<u32>) -> String {
    let which = round.map_or_else(String::new, |round| {
        format!(
            ", of the model of round {round}: a newer one is taken where the middle one of the sites, on its own validation rows, finds it no \
             worse than the best before it"
        )
    });
    format!("it has its certificate{which}")
}
