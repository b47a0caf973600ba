//! What a node that runs tells: its first answer, whether its program is older than the chain's runtime, and whether the chain's
//! state has this institution with this node and these keys.

use super::{
    asked::asked,
    happened::{ended, is_end, Blocks, News},
    identity::{Own, Standing},
    peers::peers,
    rpc::{Node, Values},
    studies::{studies, worker_status},
};
use crate::{
    institution::folder::{node_answer, SiteSettings, TOKEN},
    plain::told,
    programs::Programs,
};
use anyhow::{Context, Result};
use consilium_primitives::{InstitutionId, StudyId};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};

/// A node that was just started is tried so often.
const TRY: Duration = Duration::from_millis(50);
/// A node that runs is looked at so often, until the chain's state is known and afterwards.
const LOOK: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Studies and other institutions' nodes are looked at so often.
const NEWS: Duration = Duration::from_secs(10);
/// How long the blocks since the last look may take to be read.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long must it be amiss before it is said: a node that was just started may not have come to the block yet in which its key
/// was registered.
const DOUBT: Duration = Duration::from_secs(15);

/// What is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// The node answers, so long after its start.
    Answers(Duration),
    /// The runtime built into the node is older than the chain's.
    Older {
        /// Version of that in the node.
        own: u64,
        /// Version of the chain's.
        chain: u64,
    },
    /// What the chain's state says of this institution; whether all is well; in words.
    Institution(bool, String),
    /// What is new of a study or of another institution's node; whether all is well with it; in words.
    News(bool, String),
}

/// What is watched.
pub struct Watch {
    /// JSON-RPC address of the node.
    pub url: String,
    /// The institution's folder. Keys in it change while the node runs.
    pub dir: PathBuf,
    /// The programs.
    pub programs: Programs,
    /// Where the node keeps its compiled runtime.
    pub cache: PathBuf,
    /// Genesis hash of the chain.
    pub genesis: String,
    /// What the site is started with.
    pub settings: SiteSettings,
}

/// How each thing that is watched stood when it was last told of: whether well, and in words.
type Before = BTreeMap<String, (bool, String)>;

/// What is to be told of how things stand now, each by its name: what was not so before. Words in `now` are those that are told; how
/// a thing stands is told again only where that has changed.
fn news(before: &mut Before, now: Vec<(String, bool, String)>) -> Vec<(bool, String)> {
    let mut told = Vec::new();
    for (name, well, words) in now {
        if before.get(&name).is_none_or(|(was, said)| *was != well || *said != words) {
            told.push((well, format!("{name}: {words}")));
            before.insert(name, (well, words));
        }
    }
    told
}

/// The name under which something that waits for people is watched: of a study another one than that under which it runs.
fn named(what: &str, number: u32) -> String {
    match what {
        "study" => format!("invitation to study {number}"),
        what => format!("{what} {number}"),
    }
}

/// The number of a study by the name under which it is watched.
fn number_of(name: &str) -> Option<StudyId> {
    name.strip_prefix("study ")?.parse().ok()
}

/// What blocks tell, in words: without what is said of that study's present round already.
fn unsaid(news: Vec<News>, before: &Before) -> Vec<(bool, String)> {
    let named = |study: StudyId| format!("study {study}");
    let said = |study: StudyId, words: &str| {
        let new = words.split(" (block ").next().unwrap_or_default();
        before.get(&named(study)).is_some_and(|(_, said)| said.starts_with(new))
    };
    let news = news.into_iter().filter(|(study, _, words)| !said(*study, words));
    news.map(|(study, well, words)| (well, format!("{}: {words}", named(study)))).collect()
}

impl Watch {
    /// Watches a node that was started then, until nobody listens any more.
    pub async fn run(&self, started: Instant, tell: &UnboundedSender<Told>) {
        let mut node = self.first(started, tell).await;
        let mut compared = false;
        let mut last = None;
        let mut amiss: Option<Instant> = None;
        loop {
            let settled = match &node {
                Some(node) => {
                    if !compared {
                        compared = self.compare(node, tell).await.is_ok();
                    }
                    self.look(node).await
                }
                None => Err(anyhow::anyhow!("the node does not answer")),
            };
            let pause = match settled {
                Ok(Some((well, words))) => {
                    let since = if well { amiss.take() } else { Some(*amiss.get_or_insert_with(Instant::now)) };
                    let told = well || since.is_some_and(|since| since.elapsed() >= DOUBT);
                    if told && last.as_ref() != Some(&words) {
                        last = Some(words.clone());
                        if tell.send(Told::Institution(well, words)).is_err() {
                            return;
                        }
                    }
                    if well {
                        LOOK_AGAIN
                    } else {
                        LOOK
                    }
                }
                Ok(None) => LOOK,
                Err(_) => {
                    node = None;
                    LOOK
                }
            };
            sleep(pause).await;
            if node.is_none() {
                node = Node::connect(&self.url).await.ok();
            }
        }
    }

    /// Tells of studies, round by round, and of other institutions' nodes that go and come, until nobody listens any more.
    pub async fn tell_news(&self, tell: &UnboundedSender<Told>) {
        let mut before = Before::new();
        let mut blocks = Blocks::default();
        loop {
            sleep(NEWS).await;
            let mut now = self.of_studies(&before).await.unwrap_or_default();
            now.extend(self.of_peers(&before).await.unwrap_or_default());
            now.extend(self.of_people().await.unwrap_or_default());
            let latest = news(&mut before, now);
            // what has passed since the last look comes first; what is said of the present round is not said twice
            let mut told = unsaid(self.of_blocks(&mut blocks).await.unwrap_or_default(), &before);
            told.extend(latest);
            for (well, words) in told {
                if tell.send(Told::News(well, words)).is_err() {
                    return;
                }
            }
        }
    }

    /// How each study stands here. One that was told of and has ended since is told of once more.
    async fn of_studies(&self, before: &Before) -> Result<Vec<(String, bool, String)>> {
        let own = Own::read(&self.dir)?;
        let token = fs::read_to_string(self.dir.join(TOKEN))?;
        let status = worker_status(&self.settings, token.trim()).await.ok();
        let all = studies(&self.dir, &self.url, own.account, status.as_ref()).await?;
        let named = |number: StudyId| format!("study {number}");
        let mut now: Vec<(String, bool, String)> = all
            .iter()
            .map(|(number, found)| {
                let words = found.as_ref().map_or_else(told, Clone::clone);
                // what follows is the same in every round
                let words = if found.is_ok() { words.split("; ").next().unwrap_or_default().to_owned() } else { words };
                (named(*number), found.is_ok(), words)
            })
            .collect();
        let runs = |name: &String| now.iter().any(|(other, ..)| other == name);
        let gone = before.iter().filter(|(name, (_, words))| !runs(name) && !is_end(words));
        let numbers: Vec<(String, StudyId)> =
            gone.filter_map(|(name, _)| Some((name.clone(), number_of(name)?))).collect();
        for (name, number) in numbers {
            // at the next look where the node does not say it now
            if let Ok((well, words)) = ended(&self.dir, &self.url, number).await {
                now.push((name, well, words));
            }
        }
        Ok(now)
    }

    /// What waits for this institution's people; told once.
    async fn of_people(&self) -> Result<Vec<(String, bool, String)>> {
        let own = Own::read(&self.dir)?.account;
        let all = timeout(PATIENCE, asked(&self.dir, &self.url, own)).await.context("the node gives no answer")??;
        Ok(all.into_iter().map(|one| (named(one.what, one.number), true, one.lasting().to_owned())).collect())
    }

    /// What the blocks since the last look say of studies of this institution's.
    async fn of_blocks(&self, blocks: &mut Blocks) -> Result<Vec<News>> {
        let own = Own::read(&self.dir)?.account;
        let read = timeout(PATIENCE, blocks.news(&self.url, InstitutionId(own))).await;
        read.context("the node gives no answer")?
    }

    /// Which other institutions' nodes are connected. One that never was is nobody's loss yet, and not told of.
    async fn of_peers(&self, before: &Before) -> Result<Vec<(String, bool, String)>> {
        let node = Node::connect(&self.url).await?;
        let own = Own::read(&self.dir)?.account;
        let all = peers(&self.settings, &node, Some(own)).await?;
        let each = all.into_iter().filter_map(|found| {
            let (well, words) = match found {
                Ok(words) => (true, words),
                Err(error) => (false, format!("{error:#}")),
            };
            let (name, rest) = words.split_once(": ")?;
            let rest = if well { rest.split(',').next()? } else { rest };
            Some((name.to_owned(), well, rest.to_owned()))
        });
        // sums change with every connection
        Ok(each
            .filter(|(name, well, _)| name != "connections in all" && (*well || before.contains_key(name)))
            .collect())
    }

    /// Waits for the first answer of the node.
    async fn first(&self, started: Instant, tell: &UnboundedSender<Told>) -> Option<Node> {
        loop {
            if let Ok(Ok(node)) = timeout(Duration::from_secs(5), Node::connect(&self.url)).await {
                if node.genesis().await.is_ok_and(|genesis| genesis == self.genesis) {
                    tell.send(Told::Answers(started.elapsed())).ok()?;
                    return Some(node);
                }
            }
            sleep(TRY).await;
        }
    }

    /// Holds the runtime that is built into the node against the chain's.
    async fn compare(&self, node: &Node, tell: &UnboundedSender<Told>) -> Result<()> {
        let own = built_in(&self.programs, &self.cache).await?;
        let chain = node.spec_version().await?;
        if own < chain {
            tell.send(Told::Older { own, chain })?;
        }
        Ok(())
    }

    /// What the chain's state says; none while the node is not in step.
    async fn look(&self, node: &Node) -> Result<Option<(bool, String)>> {
        if !node.health().await?.follows() {
            return Ok(None);
        }
        match Own::read(&self.dir) {
            Ok(own) => standing(node, &own).await.map(Some),
            Err(error) => Ok(Some((false, format!("{error:#}")))),
        }
    }
}

/// Version of the runtime that is built into the node.
///
/// # Errors
/// It says none.
pub async fn built_in(programs: &Programs, cache: &Path) -> Result<u64> {
    let mut command = Command::new(&programs.node);
    command.arg("inspect-runtime").arg("--wasm-cache").arg(cache);
    node_answer(command).await?["spec_version"].as_u64().context("consilium-node says no version of its runtime")
}

/// What the state of the newest final block says of an institution: whether all is well, and in words. Where it is not, and the
/// best block says otherwise, a change has just been made, and that one counts.
///
/// # Errors
/// The node does not answer.
pub async fn standing(node: &Node, own: &Own) -> Result<(bool, String)> {
    let last = said(own, &node.values(&own.wanted(), &node.finalised().await?).await?);
    if last.0 {
        return Ok(last);
    }
    let best = said(own, &node.values(&own.wanted(), &node.best().await?).await?);
    Ok(if best.0 { best } else { last })
}

fn said(own: &Own, values: &Values) -> (bool, String) {
    let name = &own.name;
    match own.stands(values) {
        Ok(Standing::Same) => (true, format!("{name}: node and keys are as the chain has them")),
        Ok(Standing::Differs(differences)) => (
            false,
            format!(
                "{name}: not as the chain has it: {}; put the right keys there, or have the new ones registered",
                differences.join("; ")
            ),
        ),
        Ok(Standing::Unknown) => (
            false,
            format!("{name}: is no institution of this chain: it was not admitted yet, or has left or been removed"),
        ),
        Err(error) => (false, format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_failed_between_two_looks_is_named_and_the_present_one_not_twice() {
        let now = "round 9 was refused here: WorkerMissing (block 44): the worker did not answer".to_owned();
        let before = Before::from([("study 4".to_owned(), (false, now))]);
        let of = |study: StudyId, round: u32| {
            (study, false, format!("round {round} was refused here: WorkerMissing (block {}): why", 35 + round))
        };
        let told = unsaid(vec![of(4, 7), of(4, 8), of(4, 9), of(5, 9)], &before);
        let rounds: Vec<&str> = told.iter().filter_map(|(_, words)| words.split(" was").next()).collect();
        assert_eq!(rounds, ["study 4: round 7", "study 4: round 8", "study 5: round 9"]);
        assert_eq!((number_of("study 4"), number_of("Birch Hospital"), number_of("study x")), (Some(4), None, None));
    }

    #[test]
    fn what_is_new_is_told_once() {
        let mut before = Before::new();
        let mut look = |now: &[(&str, bool, &str)]| {
            let now = now.iter().map(|(name, well, words)| ((*name).to_owned(), *well, (*words).to_owned())).collect();
            news(&mut before, now).into_iter().map(|(well, words)| format!("{well} {words}")).collect::<Vec<_>>()
        };
        let (one, two) = (("study 0", true, "training, round 1 of 5"), ("study 0", true, "training, round 2 of 5"));
        assert_eq!(look(&[one]), ["true study 0: training, round 1 of 5"]);
        assert!(look(&[one]).is_empty());
        let lost = ("Birch Hospital", false, "no connection");
        assert_eq!(look(&[two, lost]), ["true study 0: training, round 2 of 5", "false Birch Hospital: no connection"]);
        assert!(look(&[two, lost]).is_empty());
        assert_eq!(look(&[two, ("Birch Hospital", true, "connected")]), ["true Birch Hospital: connected"]);
    }
}
