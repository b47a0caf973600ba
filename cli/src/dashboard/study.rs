//! The study that a page has chosen.

use super::{
    arms::{in_order, Reports},
    base::{awaited, stage, titled, Link},
    rounds::{Frame, Rounds},
    site::Site,
    state::{Certificate, Member, PrivacySpent, Round, Site as Part, Study, Waiting},
};
use crate::{
    chain::StudyInfo,
    plain::{seen, told},
    show::{name, phase, Names},
    study::{
        answers::{failures, Failure},
        sentences::rules,
        silence::RULE,
        spending,
        standstill::{absent, before_end, trouble},
        waiting::{waiting, Times},
    },
};
use anyhow::Result;
use consilium_primitives::{
    round::{bit, Phase, Study as State},
    InstitutionId, StudyId,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Studies, as far as they were read.
pub struct Studies {
    rounds: BTreeMap<StudyId, Rounds>,
    /// Why those ended that have no model: nothing of it changes any more.
    ended: BTreeMap<StudyId, Vec<String>>,
    reports: Reports,
}

impl Studies {
    /// None was read yet.
    pub fn new(site: &Site) -> Self {
        Self { rounds: BTreeMap::new(), ended: BTreeMap::new(), reports: Reports::of(site) }
    }

    /// One study at a block; none where there is none of this number.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn told(&mut self, site: &Site, link: &Link, number: StudyId) -> Result<Option<Study>> {
        let Link { chain, at, names, block_ms } = link;
        let Some(info) = chain.study(number, *at).await? else { return Ok(None) };
        let state = &info.state;
        let spec = chain.spec(number, *at).await?;
        let (title, metric) = titled(spec.as_deref());
        let now_ms = chain.time(at.number).await?;
        let agreement = hex::encode(info.agreement);
        let own = InstitutionId(site.id);
        let frame = Frame {
            chain,
            at: (*at, now_ms),
            block_ms: *block_ms,
            study: number,
            round: state.round,
            ended: state.ended(),
            members: &state.members,
            names,
            masked: state.rules.masked.is_some(),
            notes: &site.dir.join(format!("worker/studies/{agreement}/study-{number}")),
        };
        let rounds = self.rounds.entry(number).or_default().told(&frame).await?;
        let ran = u32::try_from(rounds.iter().filter(|round| round.kind == "round").count()).unwrap_or(u32::MAX);
        let privacy = spending::account(chain, (number, state), spec.as_deref(), ran, names, *at).await?;
        let member = |(place, member): (u8, &consilium_primitives::round::Member)| Member {
            name: name(names, &member.id),
            id: member.id.to_string(),
            own: member.id == own,
            samples: member.samples,
            active: member.active,
            left_out_until: member.benched_until.filter(|until| *until >= state.round),
            last_round: last_round(&rounds, place),
        };
        let members: Vec<Member> = (0u8..).zip(state.members.iter()).map(member).collect();
        let arms = self.reports.arms(number, &agreement).map(|arms| in_order(arms, &members));
        let waits = match waiting(chain.genesis(), number, &info, at.number) {
            None => None,
            Some(waits) => {
                let times = Times::read(chain, *at, waits.since).await?;
                let part = |it: &crate::study::waiting::Site| Part {
                    name: name(names, &it.who),
                    own: it.who == own,
                    done: it.spoken,
                    awaited: awaited(&info, it),
                    words: it.state.clone(),
                };
                Some(Waiting {
                    since_at_ms: times.since(waits.since),
                    until_at_ms: times.until(waits.until),
                    sites: waits.sites.iter().map(part).collect(),
                    sooner_at_ms: waits.sooner.as_ref().map(|(block, _)| times.until(*block)),
                    sooner: waits.sooner.map(|(_, words)| words),
                    what: waits.what,
                    then: waits.then,
                })
            }
        };
        let said = match (&state.phase, self.ended.get(&number)) {
            (Phase::Completed(_), _) => Vec::new(),
            (_, Some(said)) => said.clone(),
            _ => stands(link, number, &info).await?,
        };
        if matches!(state.phase, Phase::Aborted { .. }) {
            self.ended.insert(number, said.clone());
        }
        Ok(Some(Study {
            number,
            title,
            proposer: name(names, &state.proposer),
            phase: phase(state),
            stage: stage(&info).into(),
            round: state.round,
            max_rounds: state.rules.max_rounds,
            best: state.best,
            metric,
            rules: rules(state, names),
            masked: state.rules.masked.is_some(),
            members,
            waiting: waits,
            trouble: said.iter().map(|line| line.replace("--dir FOLDER", &format!("--dir {}", site.shown))).collect(),
            whole: true,
            certificate: certificate(site, link, number, &info, (rounds.as_slice(), privacy.as_ref())),
            privacy,
            silence: silence(&rounds, &state.members, names),
            rounds,
            arms,
            agreement,
        }))
    }
}

/// Why a study stands still or has ended without a model, and who had not done its part, as far as this node still knows.
async fn stands(link: &Link, number: StudyId, info: &StudyInfo) -> Result<Vec<String>> {
    let Link { chain, at, names, .. } = link;
    let before = before_end(chain, number, info).await?;
    Ok(reasons(info, before.as_ref(), failures(chain, number, info, *at).await, names, number))
}

/// The same of what was read: why it ended is told also where it cannot be told whose part had failed.
fn reasons(
    info: &StudyInfo,
    before: Option<&State>,
    failed: Result<Vec<Failure>>,
    names: &Names,
    number: StudyId,
) -> Vec<String> {
    let (failed, unknown) = match failed {
        Ok(failed) => (failed, None),
        Err(error) => (Vec::new(), Some(seen(&told(&error)))),
    };
    let mut said = trouble(&info.state, before, &failed, names, number);
    let missing = absent(&info.state, names);
    if !missing.is_empty() {
        said.push(format!("had not enrolled when it ended: {}", missing.join(", ")));
    }
    said.extend(unknown);
    said
}

/// The last closed round of training that holds an update of the site at a place.
fn last_round(rounds: &[Round], place: u8) -> Option<u32> {
    let holds = |round: &&Round| round.kind == "round" && round.inputs.iter().any(|(site, _)| *site == place);
    rounds.iter().rev().find(holds).map(|round| round.round)
}

/// Why rounds may not have waited for sites: those of whom two closed ones in a row hold no update, though they took part by then.
fn silence(rounds: &[Round], members: &[consilium_primitives::round::Member], names: &Names) -> Option<String> {
    let twice = |place: u8, since: u32| {
        let trained = rounds.iter().filter(|round| round.kind == "round" && round.round >= since);
        let there: Vec<bool> = trained.map(|round| round.inputs.iter().any(|(site, _)| *site == place)).collect();
        there.windows(2).any(|two| !two.contains(&true))
    };
    let silent = (0u8..).zip(members).filter(|(place, member)| member.active && twice(*place, member.since));
    let named: Vec<String> = silent.map(|(_, member)| name(names, &member.id)).collect();
    let words = || format!("Rounds may not have waited for {}: {RULE}; what it sends in time counts", named.join(", "));
    (!named.is_empty()).then(words)
}

fn certificate(
    site: &Site,
    link: &Link,
    number: StudyId,
    info: &StudyInfo,
    (rounds, privacy): (&[Round], Option<&PrivacySpent>),
) -> Option<Certificate> {
    let Phase::Completed(found) = &info.state.phase else { return None };
    let all = || (0u8..).zip(info.state.members.iter());
    let places = |mask: u64| all().filter(|(at, _)| mask & bit(*at) != 0).map(|(at, _)| at).collect::<Vec<u8>>();
    let named = |mask: u64| {
        let those = all().filter(|(at, _)| mask & bit(*at) != 0);
        those.map(|(_, m)| json!({ "name": name(&link.names, &m.id), "id": m.id.to_string() })).collect::<Vec<_>>()
    };
    let (agreement, root) = (hex::encode(info.agreement), hex::encode(found.root));
    let statistics = info.state.statistics.map(hex::encode);
    let text = json!({
        "consilium_certificate": 1,
        "genesis": hex::encode(link.chain.genesis()),
        "study": number,
        "agreement": agreement,
        "specification_blake2b_256": hex::encode(info.spec_hash),
        "round": found.round,
        "model_blake3": root,
        "statistics_blake3": statistics,
        "certified_in_block": info.state.ended_at,
        "closed_rounds": rounds.iter().filter(|round| round.kind == "round").count(),
        // null: nothing is promised
        "privacy": privacy.map(PrivacySpent::certified),
        "held_by": named(found.held),
        "asked": named(found.roster),
    });
    let (dir, url) = (&site.shown, site.settings.rpc_url());
    let blobs = format!("{}/blobs", dir.trim_end_matches('/'));
    let commands = [
        (
            "computes every merge again whose updates are still kept here",
            format!("consilium audit {number} --agreement {agreement} --url {url} --blobs {blobs}"),
        ),
        (
            "makes an archive that others can audit without a node",
            format!("consilium export {number} --url {url} --blobs {blobs} --out study-{number}.tar"),
        ),
        (
            "writes the certified model, checked by its hash",
            format!("consilium study fetch {number} --dir {dir} --out model-{number}"),
        ),
    ];
    Some(Certificate {
        round: found.round,
        root,
        statistics,
        held: places(found.held),
        asked: places(found.roster),
        text: serde_json::to_string_pretty(&text).unwrap_or_default(),
        commands: commands.map(|(what, line)| (what.to_owned(), line)).into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::round::AbortReason;

    #[test]
    fn why_a_study_ended_is_told_also_where_the_states_before_are_gone() {
        let history = World::new().history;
        let (mut info, names) = (history.info, &history.names);
        info.state.phase = Phase::Aborted { reason: AbortReason::TooFewEnrolled };
        info.state.rules.invited.try_push(InstitutionId([9; 32])).unwrap();
        let gone = || Err(anyhow::anyhow!("the state is discarded"));
        let said = reasons(&info, None, gone(), names, 4);
        assert!(said[0].contains("too few had enrolled in time") && said[1].contains("register it anew"), "{said:?}");
        let absent = said.iter().any(|line| line.contains(&InstitutionId([9; 32]).to_string()));
        assert!(absent && said.last().unwrap().contains("is discarded"), "{said:?}");
        assert_eq!(reasons(&info, None, Ok(Vec::new()), names, 4).len(), 3, "nothing is unknown");
    }

    #[test]
    fn the_last_round_with_an_update_of_a_site_is_known() {
        let round = |kind: &str, round, sites: &[u8]| Round {
            kind: kind.into(),
            round,
            inputs: sites.iter().map(|site| (*site, 100)).collect(),
            ..Round::default()
        };
        // statistics are no update
        let rounds = [round("statistics", 0, &[0, 1, 2]), round("round", 1, &[0, 1]), round("round", 2, &[0])];
        assert_eq!([0, 1, 2].map(|place| last_round(&rounds, place)), [Some(2), Some(1), None]);
    }

    #[test]
    fn why_rounds_after_a_loss_wait_for_nobody_is_said_with_the_site_s_name() {
        let history = World::new().history;
        let (mut members, names) = (history.info.state.members, &history.names);
        let round = |(round, sites): (u32, &[u8])| Round {
            kind: "round".into(),
            round,
            inputs: sites.iter().map(|site| (*site, 100)).collect(),
            ..Round::default()
        };
        let told = |members: &[consilium_primitives::round::Member], parts: [&[u8]; 4]| {
            silence(&(1..).zip(parts).map(round).collect::<Vec<_>>(), members, names)
        };
        let lost: [&[u8]; 4] = [&[0, 1, 2], &[0, 1], &[0, 1], &[0, 1, 2]];
        let words = "Rounds may not have waited for site 3: where nothing came from a site in two rounds within five, the next five do not \
                     wait for it; what it sends in time counts";
        assert_eq!(told(&members, lost).as_deref(), Some(words));
        // what it sent between them cleared its record
        assert_eq!(told(&members, [&[0, 1], &[0, 1, 2], &[0, 1], &[0, 1, 2]]), None);
        // who came later, or has left, is not missed
        members[2].since = 3;
        assert_eq!(told(&members, lost), None);
        (members[2].since, members[2].active) = (1, false);
        assert_eq!(told(&members, lost), None);
    }
}
