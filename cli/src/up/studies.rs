//! What the chain's studies ask of this institution, and what stands in their way here: `sites.toml`, a duty that its worker could
//! not do, a decision that waits for its people.

use super::happened::refused;
use crate::{
    chain::{Block, Chain, StudyInfo},
    institution::folder::{SiteSettings, SITES},
    localnet::get,
    plain::told,
    process::answer,
    programs::Programs,
    show::{comes_back, failure_name, name, names, phase, why_paused, Names},
    study::{
        answers::{failures, why_here, Failure},
        losses::without,
        rows::{data_of, naming},
        silence::unawaited,
    },
};
use anyhow::{anyhow, bail, Context, Result};
use consilium_primitives::{
    round::{Kind, Member, Phase, RoundRecord, Study},
    InstitutionId, StudyId,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How long the chain may take for all of its studies, and the worker for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const WORKER_PATIENCE: Duration = Duration::from_secs(3);

/// How it is said that this site has no part in a round.
pub const AWAY: &str = "was merged without this site itself";

/// What the worker says of itself.
///
/// # Errors
/// It does not answer, or another institution's does.
pub async fn worker_status(settings: &SiteSettings, token: &str) -> Result<Value> {
    let asked = tokio::time::timeout(WORKER_PATIENCE, get(settings.worker_port, "/v1/status", token)).await;
    let body = asked.context("no answer within 3 s").and_then(|answer| answer);
    let body = body.map_err(|error| unanswered(error, settings))?;
    serde_json::from_slice(&body).map_err(|_| {
        anyhow!("what answers at {} is no worker: change worker_port in consilium.toml", settings.worker())
    })
}

/// Why a worker gives no answer that can be used.
fn unanswered(error: anyhow::Error, settings: &SiteSettings) -> anyhow::Error {
    let at = settings.worker();
    if error.to_string().contains(" 401") {
        return anyhow!(
            "what answers at {at} does not take this folder's token: another institution's worker answers there (then change \
             worker_port in consilium.toml, and start again), or one that was started before the token was changed (start it \
             again)"
        );
    }
    error.context(format!("the worker does not answer at {at}: see logs/worker.log and, where that stands still, end it and let it be started again"))
}

/// Reads `sites.toml` as the worker will; what it says is the worker's own text.
///
/// # Errors
/// The worker would not take it.
pub async fn sites(programs: &Programs, dir: &Path) -> Result<()> {
    let mut command = Command::new(&programs.worker);
    command.arg("sites").arg("--sites").arg(dir.join(SITES));
    let said = answer(command).await;
    // what is said of TOML has lines
    said.map(|_| ()).map_err(|error| anyhow!("{}", told(&error).lines().map(str::trim).collect::<Vec<_>>().join(" ")))
}

/// A line on each study that this institution is a member of and that has not ended.
///
/// # Errors
/// The node does not answer in time.
pub async fn studies(
    dir: &Path,
    url: &str,
    own: [u8; 32],
    status: Option<&Value>,
) -> Result<Vec<(StudyId, Result<String>)>> {
    let asked = tokio::time::timeout(PATIENCE, of_chain(dir, url, InstitutionId(own), status)).await;
    asked.map_err(|_| anyhow!("the node does not say how its studies stand, within {} s", PATIENCE.as_secs()))?
}

async fn of_chain(
    dir: &Path,
    url: &str,
    own: InstitutionId,
    status: Option<&Value>,
) -> Result<Vec<(StudyId, Result<String>)>> {
    let chain = Chain::connect(url).await?;
    let at = chain.best().await?;
    let names = names(&chain.institutions(at).await?);
    let mut lines = Vec::new();
    for number in 0..chain.study_count(at).await? {
        let Some(info) = chain.study(number, at).await?.filter(|info| !info.state.ended()) else { continue };
        let Some(member) = info.state.members.iter().find(|member| member.id == own && member.active).cloned() else {
            continue;
        };
        // where the states of those blocks are gone, the worker may know
        let told = failures(&chain, number, &info, at).await.unwrap_or_default();
        let told = told.into_iter().find(|failure| failure.who == own);
        let newest = newest(&chain, number, &info.state, at).await?;
        let absent = newest.as_ref().map(|record| absent(&info.state, record, &own, &names)).unwrap_or_default();
        let away = newest.and_then(|record| away(&info.state, &record, &own, (number, &dir.display().to_string())));
        let line = line(dir, number, &info, &member, status, told).and_then(|words| match away {
            Some(why) => Err(anyhow!("{words}; {why}")),
            None => Ok(words + &absent),
        });
        lines.push((number, line));
    }
    Ok(lines)
}

/// The round of a study that was merged last.
async fn newest(chain: &Chain, number: StudyId, study: &Study, at: Block) -> Result<Option<RoundRecord>> {
    for round in [Some(study.round), study.round.checked_sub(1)].into_iter().flatten().filter(|round| *round > 0) {
        if let Some(record) = chain.record(number, Kind::Model, round, at).await? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// What stands in the way of a site that has no part in the round that was merged last, and has sent nothing for the present one; none
/// where it has.
fn away(study: &Study, record: &RoundRecord, own: &InstitutionId, (number, dir): (StudyId, &str)) -> Option<String> {
    let index = study.position(own)?;
    let sent = match &study.phase {
        Phase::Collecting(c) => c.commitments.iter().any(|one| one.member == index),
        Phase::Merging(m) => m.inputs.iter().any(|input| input.commitment.member == index),
        _ => false,
    };
    if sent || !without(study, record).contains(own) {
        return None;
    }
    let back = match comes_back(study, index) {
        Some(round) => format!(" It is left out until round {round}, in which it is asked again."),
        None => String::new(),
    };
    Some(format!(
        "round {} {AWAY}, and nothing of it is there for the next one.{back} See logs/worker.log for why; \
         where the worker is well and only slow, `consilium late {number} --dir {dir}` says how long the others waited",
        record.round
    ))
}

/// Who has no part in the round that was merged last, and when each comes back; empty where all have.
fn absent(study: &Study, record: &RoundRecord, own: &InstitutionId, names: &Names) -> String {
    let of = |who: &InstitutionId| {
        if who == own {
            return "this site itself: see the worker".to_owned();
        }
        let back = (0u8..).zip(study.members.iter()).find(|(_, member)| member.id == *who);
        match back.and_then(|(index, _)| comes_back(study, index)) {
            Some(round) => format!("{}, which is left out until round {round}", name(names, who)),
            None => match back.and_then(|(index, _)| unawaited(study, index)) {
                Some(it) => format!("{}, which is not waited for until round {}", name(names, who), it.back),
                None => name(names, who),
            },
        }
    };
    let missing: Vec<String> = without(study, record).iter().map(of).collect();
    match missing.as_slice() {
        [] => String::new(),
        some => format!("; round {} was merged without {}", record.round, some.join(" and ")),
    }
}

/// How a study stands here.
fn line(
    dir: &Path,
    number: StudyId,
    info: &StudyInfo,
    member: &Member,
    status: Option<&Value>,
    told: Option<Failure>,
) -> Result<String> {
    let Some(data) = data_of(dir, &info.agreement) else {
        bail!(
            "{SITES} names no table for its agreement, so that its duties are refused here; name it, in the place of FILE: {}",
            naming(dir, &info.agreement, info.state.rules.masked.is_some())
        );
    };
    let folder = dir.display();
    let by = match info.state.proposer == member.id {
        true => "",
        false => " (if its proposer, or enough members, say so)",
    };
    let resumed = format!("`consilium study resume {number} --dir {folder}`{by}");
    let then = match info.state.phase {
        Phase::Paused(_) => {
            format!("; the study is paused: once that is mended, {resumed} lets it go on at once")
        }
        _ => String::new(),
    };
    let list = status.and_then(|status| status["failed"].as_array());
    let here = list
        .into_iter()
        .flatten()
        .find(|failure| failure["study"] == number && failure["agreement"] == hex::encode(info.agreement));
    if let Some(failure) = here {
        bail!(
            "round {} was refused here: {}: {}{then}",
            failure["round"],
            failure["code"].as_str().unwrap_or_default(),
            failure["why"].as_str().unwrap_or_default()
        );
    }
    let notes = dir.join("worker/studies").join(hex::encode(info.agreement));
    if let Some(file) = waits_for_people(&notes, number) {
        bail!("this site stands still in it until its people decide: see {}, and docs/worker.md", file.display());
    }
    if let Some(Failure { code, round, block, .. }) = told {
        bail!("{} (block {block}): {}{then}", refused(round, failure_name(code)), why_here(code));
    }
    if let Phase::Paused(pause) = &info.state.phase {
        let why = why_paused(pause.reason);
        let then = format!("`consilium study {number} --dir {folder}` names whose part is missing");
        if pause.reason.passes() {
            return Ok(format!(
                "it is paused: {why}; {then}. It goes on by itself within the hour, once enough sites are there, and at once by \
                 {resumed}"
            ));
        }
        bail!("it is paused: {why}; {then}, and {resumed} lets it go on");
    }
    let round = format!("{}, round {} of {}", phase(&info.state), info.state.round, info.state.rules.max_rounds);
    Ok(match trained(&notes.join(format!("study-{number}"))) {
        Some(rows) if rows != u64::from(member.samples) => bail!(
            "{round}; this site's worker trains on {rows} rows, and {} were signed: it counts as {0} in every merge. Tell the others, \
             unless the table was changed and accepted since; only another study signs another count",
            member.samples
        ),
        _ => format!("{round}; {} rows signed, data {}", member.samples, data.display()),
    })
}

/// A note of the worker's that says that it waits for its people, where this user may read it.
fn waits_for_people(agreement: &Path, number: StudyId) -> Option<PathBuf> {
    let lost = agreement.join("split-lost.json");
    if lost.exists() {
        return Some(lost);
    }
    let study = agreement.join(format!("study-{number}"));
    let mut files = fs::read_dir(&study).into_iter().flatten().flatten().map(|entry| entry.path());
    files.find(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let part = name.strip_prefix("dissent-");
        part.is_some_and(|part| !study.join(format!("accepted-{part}")).exists())
    })
}

/// Rows that the worker has trained on last, by its own note.
fn trained(study: &Path) -> Option<u64> {
    let files = fs::read_dir(study).ok()?.flatten().map(|entry| entry.path());
    let name = |file: &PathBuf| file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let newest = files.filter(|file| name(file).starts_with("training-")).max_by_key(name)?;
    serde_json::from_slice::<Value>(&fs::read(newest).ok()?).ok()?["rows"].as_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{audit::testing::World, study::rows::name_in_sites, up::arguments::tests::settings};
    use consilium_primitives::{
        round::{Back, Collecting, Commitment, Kind, Pause, PauseReason, PerMember},
        FailureCode, Hash,
    };
    use serde_json::json;

    #[test]
    fn another_institution_s_worker_is_told_from_one_that_is_down() {
        let said = unanswered(anyhow!("HTTP/1.0 401 Unauthorized"), &settings()).to_string();
        assert!(said.contains("another institution's worker") && said.contains("worker_port"), "{said}");
        let said = format!("{:#}", unanswered(anyhow!("Connection refused"), &settings()));
        assert!(said.contains("does not answer at 127.0.0.1:8601") && said.contains("refused"), "{said}");
    }

    #[test]
    fn what_stands_in_a_study_s_way_is_said_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let mut info = World::new().history.info;
        let member = info.state.members[0].clone();
        let hash = hex::encode(info.agreement);
        let said = |info: &StudyInfo, status: Option<&Value>, told| match line(&dir, 4, info, &member, status, told) {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("MEND {error:#}"),
        };
        // no table
        let text = said(&info, None, None);
        assert!(text.contains(SITES) && text.contains(&hash) && text.contains("data = \"FILE\""), "{text}");
        let data = dir.join("t.csv");
        fs::write(&data, "a\n").unwrap();
        name_in_sites(&dir, (&info.agreement, false), &data, None).unwrap();
        let text = said(&info, None, None);
        assert!(text.starts_with("ok ") && text.contains("rows signed"), "{text}");
        // what the worker could not do, in its own words
        let failed = json!({ "failed": [{
            "study": 4, "agreement": hash, "round": 2, "code": "SchemaMismatch", "why": "t.csv: has no column \"crpp\"",
        }] });
        let text = said(&info, Some(&failed), None);
        assert_eq!(text, "MEND round 2 was refused here: SchemaMismatch: t.csv: has no column \"crpp\"");
        // another study's, and another chain's, says nothing of this one
        for (key, value) in [("study", json!(5)), ("agreement", json!("00"))] {
            let mut other = failed.clone();
            other["failed"][0][key] = value;
            assert!(said(&info, Some(&other), None).starts_with("ok "));
        }
        // where the worker knows of it no more, the chain does
        let told = Failure { who: member.id, code: FailureCode::DataChanged, round: 2, block: 9 };
        let text = said(&info, None, Some(told));
        assert!(text.contains("DataChanged") && text.contains("accept-data"), "{text}");
        let back = Back::Collecting { kind: Kind::Model, commitments: PerMember::new(), dropped: 0 };
        let reason = PauseReason::TooFewMembers;
        info.state.phase = Phase::Paused(Pause { reason, until: 99, roster: 7, resume: 0, abort: 0, back });
        let text = said(&info, Some(&failed), None);
        let resume = format!("consilium study resume 4 --dir {}`", dir.display());
        assert!(text.contains("crpp") && text.contains(&resume), "{text}");
        let text = said(&info, None, None);
        assert!(text.starts_with("MEND it is paused") && text.contains("study resume 4"), "{text}");
        if let Phase::Paused(pause) = &mut info.state.phase {
            pause.reason = PauseReason::TooFewUpdates;
        }
        let text = said(&info, None, None);
        assert!(text.starts_with("ok it is paused") && text.contains("by itself"), "{text}");
    }

    #[test]
    fn who_else_has_no_part_in_the_newest_round_is_named() {
        let mut world = World::new();
        let mut record = world.round(2).clone();
        let study = &mut world.history.info.state;
        let names = &world.history.names;
        let (own, other) = (record.inputs[0].institution, record.inputs[1].institution);
        assert_eq!(absent(study, &record, &own, names), "");
        record.inputs = record.inputs.iter().take(1).cloned().collect::<Vec<_>>().try_into().unwrap();
        let said = absent(study, &record, &own, names);
        assert!(said.starts_with("; round 2 was merged without ") && said.contains(&name(names, &other)), "{said}");
        assert!(!said.contains(&name(names, &own)), "{said}");
        // and until when it is not waited for
        let member = study.position(&other).unwrap();
        let unawaited = Some(consilium_primitives::round::Unawaited { before: 1, until: 7 });
        study.missed.try_push(consilium_primitives::round::Missed { member, last: 2, unawaited }).unwrap();
        (study.round, study.phase) = (3, Phase::Enrolling { until: 99 });
        let said = absent(study, &record, &own, names);
        assert!(said.contains(&format!("{}, which is not waited for until round 8", name(names, &other))), "{said}");
        // and of its own absence
        assert!(absent(study, &record, &other, names).contains("without this site itself"));
        // which is to be mended, unless its update of the present round is there
        let said = away(study, &record, &other, (4, "alder")).unwrap();
        assert!(said.starts_with("round 2 was merged without this site itself"), "{said}");
        assert!(said.contains("late 4 --dir alder"), "{said}");
        assert_eq!(away(study, &record, &own, (4, "alder")), None);
        let member = study.position(&other).unwrap();
        let commitment = Commitment { member, duty: Hash::zero(), root: Hash::zero(), at: 9 };
        study.phase = Phase::Collecting(Collecting {
            kind: Kind::Model,
            roster: 7,
            awaited: 0,
            commitments: vec![commitment].try_into().unwrap(),
            start: 1,
            freeze_at: None,
            limit: 99,
            extended: false,
        });
        assert_eq!(away(study, &record, &other, (4, "alder")), None, "it is back");
    }

    #[test]
    fn a_site_that_waits_for_its_people_or_counts_otherwise_says_so() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let study = dir.join("study-4");
        fs::create_dir(&study).unwrap();
        assert_eq!((waits_for_people(dir, 4), trained(&study)), (None, None));
        fs::write(study.join("training-0001.json"), "{\"rows\": 111}").unwrap();
        fs::write(study.join("training-0012.json"), "{\"rows\": 112}").unwrap();
        assert_eq!(trained(&study), Some(112));
        fs::write(study.join("dissent-0003.json"), "{}").unwrap();
        assert_eq!(waits_for_people(dir, 4), Some(study.join("dissent-0003.json")));
        fs::write(study.join("accepted-0003.json"), "{}").unwrap();
        assert_eq!(waits_for_people(dir, 4), None);
        fs::write(dir.join("split-lost.json"), "{}").unwrap();
        assert_eq!(waits_for_people(dir, 4), Some(dir.join("split-lost.json")));
    }
}
