//! `consilium study validate`: a study file, looked at before anybody is asked to sign it.

use super::{guess, rows};
use crate::{
    institution::folder::WORKER_SECRET,
    options::Format,
    plain::{counted, seen},
    programs::Programs,
    report::question::Question,
    show::print_json,
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use consilium_primitives::rules::MAX_PARTICIPANTS;
use consilium_study::StudyFile;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What `validate` takes.
#[derive(Args)]
pub struct Validate {
    /// Study file
    #[arg(value_name = "FILE")]
    study: PathBuf,
    /// A table of this site: what `ml-worker preflight` says of it is told, too
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The institution's folder: its worker's secret says which rows train
    #[arg(long, value_name = "DIR", requires = "data")]
    dir: Option<PathBuf>,
    /// Sites that are to take part. Left out: as few as may
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(MAX_PARTICIPANTS)))]
    sites: Option<u32>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR", requires = "data")]
    bin_dir: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Reads a study file.
///
/// # Errors
/// It cannot be read, is a table, or what is wrong with it and where.
pub fn study_file(path: &Path) -> Result<StudyFile> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| {
        let new = if path.exists() { "" } else { " (`consilium study new --data FILE --label COLUMN` writes one)" };
        format!("cannot read the study file {shown}{new}")
    })?;
    let file = StudyFile::parse(&text);
    ensure!(
        file.is_ok() || !is_table(&text),
        "{shown}: this is a table, and no study file: examples/own-csv/study.toml is one, and `consilium study new` writes one"
    );
    file.with_context(|| shown.to_string())
}

/// Whether a text that is no study file is a table.
pub fn is_table(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    first.contains([',', ';', '\t']) && !first.contains('=') && !first.starts_with(['[', '#'])
}

/// What is suspicious of a study file, and stops nothing.
fn warnings(file: &StudyFile, sites: u32) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    warnings.extend(file.transfer(sites)?.warning());
    if file.data.group.is_none() {
        let like = guess::patients(file.data.features.columns.iter().map(String::as_str));
        let like = like.map_or_else(String::new, |name| {
            format!("; the column {:?}, which is a feature, looks like that", seen(name))
        });
        warnings.push(format!(
            "no column says which rows are one patient's (data.group): where a patient has several, some may train and others be \
             measured on, and figures are too good{like}"
        ));
    }
    if file.description.trim().is_empty() {
        warnings
            .push("there is no description: whoever reads what they sign, or the report, sees the title alone".into());
    }
    Ok(warnings)
}

/// What has come of it, for the first line: a file that is sound says nothing of a table.
fn verdict(looked: Option<&rows::Looked>, data: Option<&Path>) -> String {
    match (looked, data) {
        (Some(looked), Some(data)) if looked.usable => {
            format!("the study file is sound, and the study can train on {}", data.display())
        }
        (Some(_), Some(data)) => format!(
            "the study file is sound, and the study CANNOT train on {}: what is wrong is told below",
            data.display()
        ),
        _ => "the study file is sound, and can be registered as it is; no table was looked at (--data)".into(),
    }
}

/// Looks at a study file, and at a table with it.
///
/// # Errors
/// What is wrong with the file; the study cannot train on the table.
pub async fn run(options: Validate) -> Result<()> {
    let shown = options.study.display();
    let file = study_file(&options.study)?;
    let spec = file.spec();
    let canonical = spec.canonical()?;
    let fewest = file.rules(1_000, 2)?.min_participants;
    let sites = options.sites.unwrap_or(fewest);
    ensure!(sites >= fewest, "--sites {sites}: {shown} asks for {fewest} at least (rules.min_participants)");
    let rules = file.rules(1_000, sites).with_context(|| shown.to_string())?;
    let warnings = warnings(&file, sites)?;
    let looked = match &options.data {
        Some(data) => {
            if let Some(dir) = options.dir.as_deref().filter(|dir| !dir.join(WORKER_SECRET).exists()) {
                bail!(
                    "--dir {}: no institution's folder, as `consilium init` makes it: its {WORKER_SECRET} says which rows train",
                    dir.display()
                );
            }
            let programs = Programs::find(options.bin_dir.as_deref())?;
            Some(rows::look(&programs, options.dir.as_deref(), &canonical, rules.masked.is_some(), data).await?)
        }
        None => None,
    };
    // to each of the others an update, and one from each of them
    let traffic = rules.update_len.saturating_mul(u64::from(sites - 1)).saturating_mul(2);
    let (hash, question) = (hex::encode(spec.hash()?), Question::of(&spec));
    if options.format == Format::Json {
        print_json(&json!({
            "title": seen(&spec.title),
            "spec_hash": hash,
            "spec_bytes": canonical.len(),
            "group": file.data.group.as_deref().map(seen),
            "parameters": question.parameters,
            "update_bytes": rules.update_len,
            "merged_bytes": rules.merged_len,
            "statistics_bytes": rules.statistics_len,
            "sites": sites,
            "bytes_per_site_and_round": traffic,
            "warnings": warnings,
            "usable": looked.as_ref().map(|looked| looked.usable),
            "preflight": looked.as_ref().map(|looked| looked.words.lines().map(seen).collect::<Vec<_>>()),
        }))?;
    } else {
        out!("{shown}: “{}”: {}", seen(&spec.title), verdict(looked.as_ref(), options.data.as_deref()));
        out!("  it says {}, from {}", question.outcome, question.rows);
        question.reading.iter().for_each(|line| out!("  {line}"));
        out!("  model: {}; {}", question.model, counted(question.parameters, "number"));
        out!("  specification: {}, BLAKE2b-256 {hash}", counted(canonical.len() as u64, "byte"));
        out!("  an update has {}, a merged model {}", counted(rules.update_len, "byte"), rules.merged_len);
        if rules.statistics_len > 0 {
            out!("  a site's statistics, once, have {}", counted(rules.statistics_len, "byte"));
        }
        out!("  with {sites} sites, {traffic} bytes go through each site's link in a round");
        warnings.iter().for_each(|warning| out!("  warning: {warning}"));
        if let Some(looked) = &looked {
            looked.words.lines().for_each(|line| out!("  {}", seen(line)));
        }
    }
    ensure!(
        looked.is_none_or(|looked| looked.usable),
        "the study cannot train on {}: mend what is named above, in the table or in {shown}",
        options.data.as_deref().unwrap_or(Path::new("it")).display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_table_in_the_place_of_a_study_file_is_told_from_one_that_is_wrong() {
        assert!(is_table("age,crp,spo2\n1,2,3\n") && is_table("\nage;crp\n"));
        for text in [include_str!("../../../examples/own-csv/study.toml"), "title = 1, 2", "[data], x", "# a, b", ""] {
            assert!(!is_table(text), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_what_writes_one() {
        let scratch = tempfile::tempdir().unwrap();
        let said = study_file(&scratch.path().join("study.toml")).unwrap_err().to_string();
        assert!(said.contains("cannot read the study file") && said.contains("consilium study new"), "{said}");
    }

    #[test]
    fn what_is_suspicious_is_said_and_stops_nothing() {
        let text = include_str!("../../../examples/own-csv/study.toml");
        let file = StudyFile::parse(text).unwrap();
        assert!(warnings(&file, 2).unwrap().is_empty());
        let file = StudyFile::parse(&text.replace("description = ", "# ")).unwrap();
        assert_eq!(warnings(&file, 2).unwrap().len(), 1);
        let bare = StudyFile::parse(&text.replace("group = \"patient\"", "")).unwrap();
        let said = warnings(&bare, 2).unwrap().remove(0);
        assert!(said.contains("data.group") && !said.contains("looks like that"), "{said}");
        // a number of a patient that is a feature
        let wrong = text.replace("group = \"patient\"", "").replace("\"crp\"", "\"patient_id\"");
        let said = warnings(&StudyFile::parse(&wrong).unwrap(), 2).unwrap().remove(0);
        assert!(said.contains("the column \"patient_id\", which is a feature, looks like that"), "{said}");
    }

    #[test]
    fn the_first_line_says_no_more_than_was_looked_at() {
        let looked = |usable| rows::Looked { usable, words: String::new() };
        let table = Some(Path::new("own-north.csv"));
        let said = verdict(Some(&looked(false)), table);
        assert!(said.contains("CANNOT train on own-north.csv") && !said.contains("registered"), "{said}");
        assert!(verdict(Some(&looked(true)), table).contains("can train on own-north.csv"));
        assert!(verdict(None, None).contains("no table was looked at"));
    }
}
