//! `consilium study accept` and `consilium study reasons`: what an institution's people read in their own worker's folder, and
//! decide there. Nothing of it goes on the chain.

use crate::{
    chain::{Chain, StudyInfo},
    options::{node_of, Connection, Format},
    show::{self, name, print_json, short, Names},
    study::sentences,
};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_primitives::{round::Kind, rules::Merge, StudyId};
use serde_json::{json, Value};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// What `accept` takes.
#[derive(Args)]
pub struct Accept {
    /// Number of the study
    number: StudyId,
    /// The round whose merge this site has computed differently; 0: the initial model
    #[arg(long, value_name = "N", required_unless_present = "statistics")]
    round: Option<u32>,
    /// It was the statistics, before the first round
    #[arg(long, conflicts_with = "round")]
    statistics: bool,
    /// This site's worker's folder, as in `ml-worker serve --dir`, or the institution's
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// What `reasons` takes.
#[derive(Args)]
pub struct Reasons {
    /// Number of the study
    number: StudyId,
    /// One round; left out: the last one that this site has merged
    #[arg(long, value_name = "N")]
    round: Option<u32>,
    /// This site's worker's folder, as in `ml-worker serve --dir`, or the institution's
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// The folder that a worker keeps for a study: two can have one agreement. A worker of an earlier version kept all of it in
/// the agreement's; one of this version moves it when it is next asked for something.
fn folder(dir: &Path, number: StudyId, info: &StudyInfo) -> Result<PathBuf> {
    // an institution's has it within
    let candidates = [dir.join("studies"), dir.join("worker/studies")];
    let Some(studies) = candidates.into_iter().find(|studies| studies.is_dir()) else {
        bail!(
            "{} is no worker's folder, nor an institution's whose worker has worked: name the one that `ml-worker serve --dir` was \
             started with",
            dir.display()
        );
    };
    let folder = studies.join(hex::encode(info.agreement));
    if !folder.is_dir() {
        bail!("the worker of {} has never worked for this study", dir.display());
    }
    let own = folder.join(format!("study-{number}"));
    Ok(if own.is_dir() { own } else { folder })
}

fn read(path: &Path) -> Result<Option<Value>> {
    match fs::read(path) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Rounds of which there is such a note.
fn rounds(folder: &Path, kind: &str) -> Result<Vec<u32>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let of = |name: String| name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(".json")?.parse().ok();
    let mut rounds: Vec<u32> =
        entries.flatten().filter_map(|entry| of(entry.file_name().to_string_lossy().into_owned())).collect();
    rounds.sort_unstable();
    Ok(rounds)
}

/// Notes the decision to go on from what the chain attests.
///
/// # Errors
/// This site does not dissent there, or the chain attests yet another hash; the dissent has ended then.
pub async fn accept(options: Accept) -> Result<()> {
    let chain = Chain::connect(&node_of(Some(&options.dir), &options.connection.url)?).await?;
    let at = chain.finalised().await?;
    let info = show::existing(&chain, options.number, at, &options.connection.hint()).await?;
    let folder = folder(&options.dir, options.number, &info)?;
    let round = options.round.unwrap_or_default();
    let (kind, part) = match options.statistics {
        true => (Kind::Statistics, "statistics".to_owned()),
        false => (Kind::Model, format!("{round:04}")),
    };
    let Some(dissent) = read(&folder.join(format!("dissent-{part}.json")))? else {
        let mut others: Vec<String> = rounds(&folder, "dissent")?.iter().map(u32::to_string).collect();
        if folder.join("dissent-statistics.json").exists() {
            others.push("--statistics".into());
        }
        let others = if others.is_empty() { "none".into() } else { others.join(", ") };
        bail!("this site does not dissent there, so there is nothing to accept (rounds in which it does: {others})");
    };
    let attested = dissent["attested"].as_str().unwrap_or_default();
    let record = chain.record(options.number, kind, round, at).await?;
    let record = record.context("the round is not final yet: try again in a moment")?;
    let dissented = folder.join(format!("dissent-{part}.json"));
    if hex::encode(record.root) != attested {
        let past = folder.join(format!("past-dissent-{part}-{attested}.json"));
        fs::rename(&dissented, &past).with_context(|| format!("cannot rename {}", dissented.display()))?;
        bail!(
            "nothing is to be accepted: the round was taken back, and the chain now attests {} there for good. This site's \
             dissent, which was about {attested}, has ended; its note is now {}",
            hex::encode(record.root),
            past.display()
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default();
    let note = json!({
        "study": options.number,
        "round": round,
        "attested": attested,
        "own": dissent["own"],
        "accepted_at": now,
    });
    let (path, new) = (folder.join(format!("accepted-{part}.json")), folder.join(format!(".accepted-{part}")));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&note)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    if options.connection.format == Format::Json {
        return print_json(&note);
    }
    out!("this site goes on in study {} from what the chain attests, {attested}", options.number);
    out!(
        "  its own result, {}, and the note on it stay in {}",
        dissent["own"].as_str().unwrap_or_default(),
        folder.display()
    );
    out!("  the decision is noted in {}", path.display());
    Ok(())
}

/// Shows what the rule did to each update of a round.
///
/// # Errors
/// The worker has noted nothing of it.
pub async fn reasons(options: Reasons) -> Result<()> {
    let chain = Chain::connect(&node_of(Some(&options.dir), &options.connection.url)?).await?;
    let at = chain.best().await?;
    let info = show::existing(&chain, options.number, at, &options.connection.hint()).await?;
    let folder = folder(&options.dir, options.number, &info)?;
    let noted = rounds(&folder, "merge")?;
    let Some(round) = options.round.or(noted.last().copied()) else {
        bail!("this site's worker has merged nothing in this study yet");
    };
    let Some(note) = read(&folder.join(format!("merge-{round:04}.json")))? else {
        bail!("this site's worker has not merged round {round}");
    };
    let names = show::names(&chain.institutions(at).await?);
    let note = named(note, &names);
    if options.connection.format == Format::Json {
        return print_json(&note);
    }
    let record = chain.record(options.number, Kind::Model, round, at).await?;
    let root = note["root"].as_str().unwrap_or_default();
    out!("study {}, round {round}: the merge that this site's worker has computed, {root}", options.number);
    match record.map(|record| record.root) {
        Some(attested) if hex::encode(attested) == root => out!("  it is the attested one"),
        Some(attested) => out!("  attested was another: {}", short(&attested)),
        None => out!("  the round has not closed yet"),
    }
    out!("  {}", rule(&note["rules"], &names));
    if note["masked"] == json!(true) {
        weights(&note).iter().for_each(|line| out!("{line}"));
        return Ok(());
    }
    out!("  {:<24} {:>9} {:>7} {:>11} {:>7}", "site", "weight", "part", "step length", "cosine");
    for update in note["updates"].as_array().into_iter().flatten() {
        out!("{}", line(update));
    }
    out!("  {:<24} {:>9} {:>7} {:>11}", "the merge", "", "", figure(&note["merged_norm"], 4));
    Ok(())
}

/// What is known of a masked sum: whose updates are in, and by which weight each counts.
fn weights(note: &Value) -> Vec<String> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut lines = vec![
        "  updates are masked: weights are all that anybody knows of each; no length, no cosine, no copy can be seen"
            .to_owned(),
        format!("  {:<24} {:>9}", "site", "weight"),
    ];
    for update in note["updates"].as_array().into_iter().flatten() {
        let site = update["institution"].as_str().unwrap_or_default();
        lines.push(format!("  {site:<24} {:>9}", update["weight"].to_string()));
    }
    lines.push(format!("  masks were those of {}", texts(&note["partners"]).join(", ")));
    lines.push(match note["pooled_loss"].as_f64() {
        Some(loss) => format!("  loss of the model before, over all sites' validation rows together: {loss:.4}"),
        None => "  too few sites reported a loss of the model before".into(),
    });
    lines
}

/// The rule that a worker has noted, in words.
fn rule(noted: &Value, names: &Names) -> String {
    match serde_json::from_value::<Merge>(noted.clone()) {
        Ok(rule) => sentences::merge(&rule, names),
        Err(_) => "by a rule that this program does not know: are it and the worker of one version?".into(),
    }
}

fn figure(value: &Value, digits: usize) -> String {
    value.as_f64().map_or_else(|| "-".into(), |number| format!("{number:.digits$}"))
}

/// One update, and what was done to it.
fn line(update: &Value) -> String {
    let list = |key: &str| {
        let names: Vec<&str> = update[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        names.join(", ")
    };
    let mut text = format!(
        "  {:<24} {:>9} {:>7} {:>11} {:>7}",
        update["institution"].as_str().unwrap_or_default(),
        update["weight"].to_string(),
        figure(&update["part"], 3),
        figure(&update["norm"], 4),
        figure(&update["cosine"], 3),
    );
    if update["part"].as_f64() == Some(0.0) {
        text += "  left out";
        if update["score"].is_number() {
            text += &format!(": its Krum score {} is not among the lowest", figure(&update["score"], 3));
        }
    }
    if update["shortened_to"].as_f64().is_some_and(|factor| factor < 1.0) {
        text += &format!("  shortened to {} of its length", figure(&update["shortened_to"], 3));
    }
    let (mixed, alike) = (list("mixed_with"), list("alike"));
    if !mixed.is_empty() {
        text += &format!("  mixed with {mixed}");
    }
    if !alike.is_empty() {
        text += &format!("  almost the same as that of {alike}");
    }
    text
}

/// A note with names in place of ids.
fn named(mut note: Value, names: &Names) -> Value {
    let name = |id: &Value| {
        let found = names.keys().find(|known| Some(known.to_string().as_str()) == id.as_str());
        found.map_or_else(|| id.clone(), |known| json!(name(names, known)))
    };
    for update in note["updates"].as_array_mut().into_iter().flatten() {
        update["institution"] = name(&update["institution"]);
        for list in ["mixed_with", "alike"] {
            update[list] = update[list].as_array().into_iter().flatten().map(name).collect();
        }
        // of a masked one nothing but the weight is known
        for figure in ["part", "shortened_to", "score", "norm", "cosine"] {
            update[figure] = update[figure].take();
        }
    }
    let masked = note["masked"] == json!(true);
    note["masked"] = masked.into();
    note["partners"] = note["partners"].as_array().into_iter().flatten().map(name).collect();
    for figure in ["pooled_loss", "weiszfeld_steps"] {
        note[figure] = note[figure].take();
    }
    note
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_primitives::{
        rules::{MergeRule, NormBound, Weighting},
        InstitutionId,
    };

    #[test]
    fn what_was_done_to_an_update_is_said_in_words_and_with_names() {
        let (a, b) = (InstitutionId([1; 32]), InstitutionId([2; 32]));
        let names = Names::from([(a, "north".to_owned()), (b, "south".to_owned())]);
        let note = json!({ "updates": [
            { "institution": a.to_string(), "weight": 70, "part": 0.0, "score": 12.5, "norm": 3.0, "cosine": -0.25,
              "shortened_to": 0.5, "mixed_with": [b.to_string()], "alike": [] },
            { "institution": b.to_string(), "weight": 1, "part": null, "score": null, "norm": 0.0, "cosine": null,
              "shortened_to": 1.0, "mixed_with": [], "alike": [a.to_string()] },
        ] });
        let note = named(note, &names);
        let first = line(&note["updates"][0]);
        for part in [
            "north",
            "70",
            "0.000",
            "3.0000",
            "-0.250",
            "left out",
            "12.500",
            "0.500 of its length",
            "mixed with south",
        ] {
            assert!(first.contains(part), "{part}: {first}");
        }
        let second = line(&note["updates"][1]);
        assert!(second.contains("almost the same as that of north") && !second.contains("left out"), "{second}");
        assert!(!second.contains("shortened") && second.contains(" - "), "{second}");
    }

    #[test]
    fn of_a_masked_sum_weights_are_told_and_nothing_else_of_an_update() {
        let (a, b) = (InstitutionId([1; 32]), InstitutionId([2; 32]));
        let names = Names::from([(a, "north".to_owned()), (b, "south".to_owned())]);
        let note = json!({ "masked": true, "partners": [a.to_string(), b.to_string()], "pooled_loss": 0.25, "updates": [
            { "institution": a.to_string(), "file": "ab", "weight": 70 },
        ] });
        let note = named(note, &names);
        let said = weights(&note).join("\n");
        for part in ["north", "70", "masks were those of north, south", "0.2500", "no cosine"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // programs find the same keys as of a visible merge
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let visible = json!({ "updates": [{ "institution": "x", "file": "ab", "weight": 1, "part": 1.0 }] });
        let visible = named(visible, &names);
        assert_eq!(keys(&note), keys(&visible));
        assert_eq!(keys(&note["updates"][0]), keys(&visible["updates"][0]));
        assert_eq!((&visible["masked"], &note["updates"][0]["norm"]), (&json!(false), &Value::Null));
    }

    #[test]
    fn the_rule_of_a_merge_is_said_in_words_as_the_worker_has_noted_it() {
        let names = Names::from([(InstitutionId([1; 32]), "north".to_owned())]);
        let noted = serde_json::to_value(Merge {
            liars: 1,
            bound: Some(NormBound::Median),
            ..Merge::by(MergeRule::Median(Weighting::Samples))
        });
        assert_eq!(
            rule(&noted.unwrap(), &names),
            "updates are merged by the median of every number, each site counting by its training rows; the rule is made to bear \
             1 site with wrong updates; a step longer than their median is shortened"
        );
        let declared = Weighting::Declared(vec![(InstitutionId([1; 32]), 3)].try_into().unwrap());
        let noted = serde_json::to_value(Merge::by(MergeRule::Mean(declared))).unwrap();
        assert!(rule(&noted, &names).contains("counting north by 3"), "{}", rule(&noted, &names));
        assert!(rule(&json!({ "rule": "another" }), &names).contains("of one version"));
    }

    #[test]
    fn a_worker_s_folder_is_found_also_by_the_institution_s() {
        let scratch = tempfile::tempdir().unwrap();
        let info = crate::audit::testing::World::new().history.info;
        assert!(folder(scratch.path(), 4, &info).unwrap_err().to_string().contains("no worker's folder"));
        let worker = scratch.path().join("worker");
        let own = worker.join("studies").join(hex::encode(info.agreement)).join("study-4");
        fs::create_dir_all(&own).unwrap();
        for dir in [scratch.path(), &worker] {
            assert_eq!(folder(dir, 4, &info).unwrap(), own);
        }
    }

    #[test]
    fn a_worker_s_notes_are_found_by_their_rounds() {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["merge-0003.json", "merge-0001.json", "merge-x.json", "dissent-0007.json", "merge-0004"] {
            fs::write(scratch.path().join(name), "{}").unwrap();
        }
        assert_eq!(rounds(scratch.path(), "merge").unwrap(), [1, 3]);
        assert_eq!(rounds(scratch.path(), "dissent").unwrap(), [7]);
    }
}
