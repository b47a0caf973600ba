//! The study that a page has chosen.

use super::{
    arms::Report,
    base::{stage, titled, Link},
    rounds::{Frame, Rounds},
    site::Site,
    state::{Certificate, Member, Round, Site as Part, Study, Waiting},
};
use crate::{
    chain::StudyInfo,
    plain::{seen, told},
    show::{name, phase},
    study::{
        answers::failures,
        sentences::rules,
        standstill::trouble,
        waiting::{waiting, Times},
    },
};
use anyhow::Result;
use consilium_primitives::{
    round::{bit, Phase},
    InstitutionId, StudyId,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Studies, as far as they were read.
pub struct Studies {
    rounds: BTreeMap<StudyId, Rounds>,
    report: Report,
}

impl Studies {
    /// None was read yet.
    pub fn new(site: &Site) -> Self {
        Self { rounds: BTreeMap::new(), report: Report::of(&site.report) }
    }

    /// One study at a block; none where there is none of this number.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn told(&mut self, site: &Site, link: &Link, number: StudyId) -> Result<Option<Study>> {
        let Link { chain, at, names, block_ms } = link;
        let Some(info) = chain.study(number, *at).await? else { return Ok(None) };
        let state = &info.state;
        let (title, metric) = titled(chain.spec(number, *at).await?.as_deref());
        let now_ms = chain.time(at.number).await?;
        let agreement = hex::encode(info.agreement);
        let own = InstitutionId(site.id);
        let frame = Frame {
            chain,
            at: (*at, now_ms),
            block_ms: *block_ms,
            study: number,
            round: state.round,
            members: &state.members,
            notes: &site.dir.join(format!("worker/studies/{agreement}/study-{number}")),
        };
        let rounds = self.rounds.entry(number).or_default().told(&frame).await?;
        let members = state.members.iter().map(|member| Member {
            name: name(names, &member.id),
            id: member.id.to_string(),
            own: member.id == own,
            samples: member.samples,
            active: member.active,
            left_out_until: member.benched_until.filter(|until| *until >= state.round),
        });
        let waits = match waiting(chain.genesis(), number, &info, at.number) {
            None => None,
            Some(waits) => {
                let times = Times::read(chain, *at, waits.since).await?;
                let enrolling = matches!(state.phase, Phase::Enrolling { .. });
                let part = |it: &crate::study::waiting::Site| Part {
                    name: name(names, &it.who),
                    own: it.who == own,
                    done: it.spoken,
                    awaited: !it.spoken && (it.duty.is_some() || enrolling),
                    words: it.state.clone(),
                };
                Some(Waiting {
                    since_at_ms: times.since(waits.since),
                    until_at_ms: times.until(waits.until),
                    sites: waits.sites.iter().map(part).collect(),
                    what: waits.what,
                    then: waits.then,
                })
            }
        };
        let said = match state.ended() && !matches!(state.phase, Phase::Aborted { .. }) {
            true => Vec::new(),
            false => match failures(chain, number, &info, *at).await {
                Ok(failed) => trouble(state, None, &failed, names, number),
                Err(error) => vec![seen(&told(&error))],
            },
        };
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
            members: members.collect(),
            waiting: waits,
            trouble: said.iter().map(|line| line.replace("--dir FOLDER", &format!("--dir {}", site.shown))).collect(),
            whole: true,
            certificate: certificate(site, link, number, &info, &rounds),
            rounds,
            arms: self.report.arms(&agreement, &site.name),
            agreement,
        }))
    }
}

fn certificate(site: &Site, link: &Link, number: StudyId, info: &StudyInfo, rounds: &[Round]) -> Option<Certificate> {
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
            format!("consilium study fetch {number} --dir {dir} --out model"),
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
