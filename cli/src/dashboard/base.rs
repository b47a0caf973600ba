//! What does not depend on the study that is looked at: read anew with every block, and at least once a second.

use super::{
    absent::Sent,
    advice::{advice, at_hand, Listed},
    arms::Reports,
    beside,
    egress::Log,
    fetched::Fetched,
    site::Site,
    state::{Brief, Check, Consortium, Institution, Motion, Own, State, Worker, VERSION},
};
use crate::{
    chain::{consortium::Consortium as Here, Block, Chain, StudyInfo},
    motions::words::finality,
    plain::{seen, told},
    show::{metric, names, phase, running, title, Names},
    study::{
        silence::waits_for,
        waiting::{waiting, Site as Part},
    },
    up::{
        doctor,
        rpc::{Clock, Node},
    },
};
use anyhow::{Context, Result};
use consilium_primitives::{round::Phase, InstitutionId, StudyId};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{watch::Sender, Mutex},
    time::{sleep, timeout},
};

/// How often the node is asked for its newest block.
const STEP: Duration = Duration::from_millis(100);
/// What is not the chain's is looked at at least so often.
const SECOND: Duration = Duration::from_secs(1);
/// How long the node may take for all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often `doctor` looks.
const CHECKS_EVERY: u32 = 60;

/// What was read last, and where.
#[derive(Clone, Default)]
pub struct Base {
    /// Without a study.
    pub state: State,
    /// The chain at the block that was read; none before the node has answered.
    pub link: Option<Link>,
}

/// The chain at a block.
#[derive(Clone)]
pub struct Link {
    /// The node.
    pub chain: Arc<Chain>,
    /// The block.
    pub at: Block,
    /// Names of the institutions then.
    pub names: Arc<Names>,
    /// From one block to the next.
    pub block_ms: u32,
}

/// What is looked at beside the chain.
#[derive(Default)]
struct Beside {
    worker: Worker,
    checks: Vec<Check>,
    clock: Option<Clock>,
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Title and metric of a specification, as far as it can be read.
pub fn titled(spec: Option<&[u8]>) -> (String, String) {
    (title(spec).unwrap_or_else(|| "(its specification cannot be read)".into()), metric(spec))
}

/// Reads all the time, and tells what it has read; ends when nobody listens.
pub async fn watch(site: Arc<Site>, tell: Sender<Arc<Base>>) {
    let beside = Arc::new(Mutex::new(Beside::default()));
    let look = tokio::spawn(look_beside(site.clone(), beside.clone()));
    let mut reader = Reader {
        reports: Reports::of(&site),
        site,
        beside,
        log: None,
        node: None,
        studies: BTreeMap::new(),
        sent: BTreeMap::new(),
        fetched: Fetched::default(),
        version: String::new(),
    };
    let mut base = Base::default();
    let (mut last, mut since) = (String::new(), None::<Instant>);
    while !tell.is_closed() {
        let best = reader.best().await;
        let fresh =
            since.is_some_and(|since| since.elapsed() < SECOND) && best.as_ref().is_ok_and(|best| *best == last);
        if fresh {
            sleep(STEP).await;
            continue;
        }
        let failed = best.is_err();
        let read = match best {
            Ok(hash) => {
                last = hash;
                let read = timeout(PATIENCE, reader.read()).await;
                read.map_err(|_| anyhow::anyhow!("the node gives no answer within {} s", PATIENCE.as_secs()))
                    .and_then(|r| r)
            }
            Err(error) => Err(error),
        };
        since = Some(Instant::now());
        match read {
            Ok(new) => base = new,
            Err(error) => {
                reader.node = None;
                base.state.unreachable = Some(seen(&told(&error)));
            }
        }
        reader.beside_into(&mut base.state).await;
        tell.send_replace(Arc::new(base.clone()));
        sleep(if failed { SECOND } else { STEP }).await;
    }
    look.abort();
}

/// Looks at the worker each second, and at everything else each minute.
async fn look_beside(site: Arc<Site>, beside: Arc<Mutex<Beside>>) {
    for turn in 0u32.. {
        let worker = beside::worker(&site).await;
        beside.lock().await.worker = worker;
        if turn % 5 == 0 {
            let clock = async { Node::connect(&site.settings.rpc_url()).await?.clock().await };
            let clock = clock.await.ok();
            beside.lock().await.clock = clock;
        }
        if turn % CHECKS_EVERY == 0 {
            let mut checks = Vec::new();
            let mut each = |line: doctor::Line| {
                checks.push(Check { what: line.what.into(), well: line.well, words: line.words });
            };
            if let Err(error) = doctor::look(&site.dir, site.bin_dir.as_deref(), &mut each).await {
                checks.push(Check { what: "folder".into(), well: false, words: seen(&told(&error)) });
            }
            beside.lock().await.checks = checks;
        }
        sleep(SECOND).await;
    }
}

struct Reader {
    site: Arc<Site>,
    beside: Arc<Mutex<Beside>>,
    log: Option<Log>,
    node: Option<(Node, Arc<Chain>)>,
    studies: BTreeMap<StudyId, Listed>,
    /// Who sent what, of studies that run.
    sent: BTreeMap<StudyId, Sent>,
    fetched: Fetched,
    reports: Reports,
    version: String,
}

impl Reader {
    /// Hash of the newest block.
    async fn best(&mut self) -> Result<String> {
        if self.node.is_none() {
            let url = self.site.settings.rpc_url();
            let node = Node::connect(&url)
                .await
                .with_context(|| format!("start it: consilium up --dir {}", self.site.shown))?;
            let chain = timeout(PATIENCE, Chain::connect(&url)).await.context("the node gives no answer")??;
            self.version = node.version().await?;
            self.node = Some((node, Arc::new(chain.of_folder(Some(&self.site.dir)))));
        }
        match &self.node {
            Some((node, _)) => node.best().await,
            None => anyhow::bail!("no node"),
        }
    }

    /// What is not the chain's.
    async fn beside_into(&mut self, state: &mut State) {
        let log = self.log.get_or_insert_with(|| Log::of(&self.site.dir));
        let beside = self.beside.lock().await;
        state.version = VERSION;
        state.made_at_ms = now_ms();
        state.own = Own {
            name: self.site.name.clone(),
            id: InstitutionId(self.site.id).to_string(),
            folder: self.site.shown.clone(),
        };
        state.egress = log.told();
        state.worker = beside.worker.clone();
        state.checks = beside::still(&beside.checks, state);
        state.consortium.clock_off_seconds = beside.clock.as_ref().and_then(|clock| clock.offset_seconds);
        state.consortium.clock_warning = beside.clock.as_ref().and_then(|clock| clock.warning.as_deref()).map(seen);
        state.consortium.program = env!("CARGO_PKG_VERSION").into();
        state.todo = advice(&self.site, state, &self.studies);
    }

    async fn read(&mut self) -> Result<Base> {
        let Some((node, chain)) = &self.node else { anyhow::bail!("no node") };
        let at = chain.best().await?;
        let mut here = chain.consortium(at).await?;
        let all = names(&chain.institutions(at).await?);
        let (health, runtime, silences) = (node.health().await?, node.spec_version().await?, chain.silences(at).await?);
        let best_at_ms = chain.time(at.number).await?;
        let running = running(chain, at).await?;
        for open in here.motions.clone().into_values() {
            chain.recall(&mut here, [open.proposer.clone()], open.proposed_at).await;
        }
        let own = self.site.id;
        for number in 0..chain.study_count(at).await? {
            if self.studies.get(&number).is_some_and(|known| known.info.state.ended()) {
                continue;
            }
            let Some(info) = chain.study(number, at).await? else { continue };
            let title = match self.studies.get(&number) {
                Some(known) => known.title.clone(),
                None => titled(chain.spec(number, at).await?.as_deref()).0,
            };
            let ours = info.state.members.iter().any(|member| member.id.0 == own && member.active);
            let mut absent = Vec::new();
            if ours && !info.state.ended() {
                let sent = self.sent.entry(number).or_default();
                sent.read(chain, number, &info.state, at, here.block_ms).await?;
                absent = sent.absent(&info.state);
            }
            self.studies.insert(number, Listed { info, title, absent, model: None, report: None });
        }
        for (number, listed) in &mut self.studies {
            let root = at_hand(&InstitutionId(own), &listed.info, at.number, here.block_ms);
            if root.is_some() && listed.report.is_none() {
                listed.report = self.reports.page(*number, &hex::encode(listed.info.agreement));
            }
            listed.model = root.and_then(|root| self.fetched.model(&self.site, &root).cloned());
        }
        let ms = u64::from(here.block_ms);
        let institutions: Vec<Institution> = here
            .institutions
            .iter()
            .map(|(who, it)| Institution {
                name: here.bare_name(who),
                id: InstitutionId(who.clone().into()).to_string(),
                own: AsRef::<[u8; 32]>::as_ref(who) == &own,
                validator: it.validator,
                makes_blocks: here.validators.contains(who),
                participant: it.participant,
                suspended: it.suspended,
                silent_ms: silences.get(who).map(|slots| slots.saturating_mul(ms)),
                profile: String::from_utf8_lossy(&it.profile).lines().map(seen).collect::<Vec<_>>().join("; "),
            })
            .collect();
        let others = here.institutions.values().filter(|it| it.peer_id.is_some()).count().saturating_sub(1);
        let consortium = Consortium {
            genesis: hex::encode(chain.genesis()),
            block_ms: here.block_ms,
            best: at.number,
            best_at_ms,
            finalised: health.finalised,
            behind_ms: health.unsettled_ms,
            peers: u32::try_from(health.peers)?,
            others: u32::try_from(others)?,
            syncing: health.syncing,
            runtime: u32::try_from(runtime)?,
            node: seen(&self.version),
            needed: u32::try_from(finality(here.validators.len()))?,
            institutions,
            ..Consortium::default()
        };
        let brief = |(number, listed): (&StudyId, &Listed)| brief(*number, listed, &own, chain, at.number);
        let state = State {
            stands: chain.stands().await.map(|words| seen(&words)),
            consortium,
            motions: here.motions.iter().map(|(number, open)| motion(&here, *number, open, &running, &own)).collect(),
            studies: self.studies.iter().map(brief).collect(),
            ..State::default()
        };
        let link = Link { chain: chain.clone(), at, names: Arc::new(all), block_ms: here.block_ms };
        Ok(Base { state, link: Some(link) })
    }
}

fn motion(
    here: &Here,
    number: u32,
    open: &crate::chain::consortium::Open,
    running: &[String],
    own: &[u8; 32],
) -> Motion {
    let tally = here.tally(open);
    let names = |all: &[sp_core::crypto::AccountId32]| all.iter().map(|who| here.name(who)).collect();
    Motion {
        number,
        headline: here.headline(&open.motion),
        details: here.details(&open.motion, running),
        proposer: here.name(&open.proposer),
        ayes: names(&tally.ayes),
        nays: names(&tally.nays),
        ours: open.until >= here.at.number && tally.silent.iter().any(|who| AsRef::<[u8; 32]>::as_ref(who) == own),
        silent: names(&tally.silent),
        needed: tally.needed,
        electorate: tally.electorate,
        left_ms: u64::from(open.until.saturating_sub(here.at.number)) * u64::from(here.block_ms),
    }
}

/// In which of five stages a study is.
pub fn stage(info: &StudyInfo) -> &'static str {
    match info.state.phase {
        Phase::Enrolling { .. } => "enrolling",
        Phase::Paused(_) => "paused",
        Phase::Completed(_) => "completed",
        Phase::Aborted { .. } => "ended",
        _ => "running",
    }
}

/// Whether a study waits for a site's part.
pub fn awaited(info: &StudyInfo, site: &Part) -> bool {
    !site.spoken
        && waits_for(info, &site.who)
        && (site.duty.is_some() || matches!(info.state.phase, Phase::Enrolling { .. }))
}

fn brief(number: StudyId, Listed { info, title, .. }: &Listed, own: &[u8; 32], chain: &Chain, now: u32) -> Brief {
    let own = InstitutionId(*own);
    let waits = waiting(chain.genesis(), number, info, now);
    let mine = waits.as_ref().and_then(|waits| waits.sites.iter().find(|site| site.who == own));
    Brief {
        number,
        title: title.clone(),
        phase: phase(&info.state),
        stage: stage(info).into(),
        round: info.state.round,
        max_rounds: info.state.rules.max_rounds,
        members: u32::try_from(info.state.members.len()).unwrap_or(u32::MAX),
        ours: info.state.members.iter().any(|member| member.id == own && member.active),
        awaits_us: mine.is_some_and(|site| awaited(info, site)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::World;

    #[test]
    fn a_study_is_said_to_wait_for_a_site_by_one_rule_wherever_it_is_told() {
        let mut info = World::new().history.info;
        let mut part = Part { who: info.state.members[0].id, duty: None, spoken: false, state: String::new() };
        assert!(!awaited(&info, &part), "nothing is asked of it");
        info.state.phase = Phase::Enrolling { until: 99 };
        assert!(awaited(&info, &part), "it is invited");
        part.spoken = true;
        assert!(!awaited(&info, &part));
    }
}
