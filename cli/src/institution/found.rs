//! `consilium found`: the chain of all founders' cards, made or checked, and shown.

use super::{
    differs,
    folder::{node_says, CARD, SETTINGS},
};
use crate::{options::Format, out::put, programs::Programs, show::print_json};
use anyhow::{ensure, Context, Result};
use clap::Args;
use consilium_founding::Terms;
use serde_json::Value;
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// What `found` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    terms: Terms,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// Lets the node found or compare, and shows what came out.
///
/// # Errors
/// What stood in the way. A specification that differs is no error but exit code 2.
pub async fn run(options: Options) -> Result<ExitCode> {
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let (same, document) = found(&programs, &options.terms).await?;
    match options.format {
        Format::Json => print_json(&document)?,
        Format::Text => {
            put(table(&document, &options.terms));
            if !same {
                differences(&document, &options.terms).iter().for_each(|line| out!("{line}"));
            }
        }
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Lets the node found or compare; tells whether a specification that was compared is the same.
///
/// # Errors
/// What the node says.
pub async fn found(programs: &Programs, terms: &Terms) -> Result<(bool, Value)> {
    terms.check()?;
    no_house(&terms.cards)?;
    let mut command = Command::new(&programs.node);
    command.arg("found").args(terms.arguments());
    let (code, document) = node_says(command).await?;
    let failed = match &terms.check {
        Some(file) => format!("{} cannot be compared with these cards and terms", file.display()),
        None => "the consortium cannot be founded".into(),
    };
    Ok((code == Some(0), document.context(failed)?))
}

/// Refuses an institution's folder in the place of a folder of cards.
fn no_house(cards: &Path) -> Result<()> {
    ensure!(
        !cards.join(SETTINGS).exists(),
        "--cards {0}: is an institution's folder, and not one of cards: make a new one, and copy the card.json of every founder \
         into it by another name each, as in `mkdir cards && cp {0}/{CARD} cards/one.json`",
        cards.display()
    );
    Ok(())
}

/// What people compare with each other.
fn table(document: &Value, terms: &Terms) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let yes = |value: &Value| if value == true { "yes" } else { "no" };
    let mut out = String::new();
    let mut line = |text: String| {
        // writing to a text cannot fail
        let _ = writeln!(out, "{}", text.trim_end());
    };
    let (runtime, terms_of) = (&document["runtime"], &document["terms"]);
    line(format!("consortium   {}", text(&document["consortium"])));
    line(format!("genesis      {}", text(&document["genesis"])));
    line(format!(
        "runtime      {}, version {} ({})",
        text(&runtime["spec_name"]),
        runtime["spec_version"],
        text(&runtime["from"])
    ));
    line(format!("code         {}", text(&runtime["code_hash"])));
    line(format!(
        "terms        upgrade delay {}, silence {}, motions live {}, private addresses {}",
        text(&terms_of["upgrade_delay"]),
        text(&terms_of["silence"]),
        text(&terms_of["motion_life"]),
        yes(&terms_of["private_addresses"])
    ));
    line(String::new());
    let institutions = document["institutions"].as_array().cloned().unwrap_or_default();
    let width = institutions.iter().map(|i| text(&i["name"]).chars().count()).max().unwrap_or_default().max(11);
    line(format!("{:<3}{:<width$}  validator  participant  {:<29}  address", "#", "institution", "fingerprint"));
    for (at, institution) in institutions.iter().enumerate() {
        let addresses: Vec<String> = institution["addresses"].as_array().into_iter().flatten().map(text).collect();
        line(format!(
            "{:<3}{:<width$}  {:<9}  {:<11}  {:<29}  {}",
            at + 1,
            text(&institution["name"]),
            yes(&institution["validator"]),
            yes(&institution["participant"]),
            text(&institution["fingerprint"]),
            if addresses.is_empty() { "none: it dials others".into() } else { addresses.join(", ") }
        ));
    }
    for warning in document["warnings"].as_array().into_iter().flatten() {
        line(format!("Note: {}.", text(warning)));
    }
    let same = document["differences"].as_array().is_none_or(Vec::is_empty);
    match &terms.check {
        None => line(
            "Read the genesis hash to each of the others. Whoever has another hash has other cards, other terms or another runtime."
                .into(),
        ),
        Some(file) if same => line(format!("{} is this chain, to the byte.", file.display())),
        Some(file) => line(format!("{} is ANOTHER chain than the one of these cards and terms:", file.display())),
    }
    out
}

/// In what a specification that was compared differs, and what to do: by card and by term where it is in these.
fn differences(document: &Value, terms: &Terms) -> Vec<String> {
    // what follows from another card or term
    let insides =
        |line: &str| line.starts_with("the genesis: ") || line.starts_with("the nodes that are dialled first");
    let found = document["differences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // a file that cannot be looked into has told its differences already
    let named = differs::lines(document, terms).unwrap_or_default();
    let rest = found.filter(|line| named.is_empty() || !insides(line)).map(str::to_owned);
    let mut lines: Vec<String> = named.iter().cloned().chain(rest).map(|line| format!("  {line}")).collect();
    if !named.is_empty() {
        lines.push(
            "Read the fingerprints above and the terms to each other; who has an old or a foreign card gets the right one, and whoever made \
             the file with a wrong one founds again."
                .into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn an_institution_s_folder_in_the_place_of_cards_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        no_house(dir.path()).unwrap();
        std::fs::write(dir.path().join(SETTINGS), "").unwrap();
        let said = no_house(dir.path()).unwrap_err().to_string();
        assert!(said.contains("institution's folder") && said.contains("mkdir cards"), "{said}");
    }

    #[test]
    fn the_table_shows_what_people_compare() {
        let mut document = json!({
            "consortium": "north-lungs", "genesis": "0x89d8",
            "runtime": { "spec_name": "consilium", "spec_version": 7, "from": "r.wasm", "code_hash": "0x5c11" },
            "terms": { "upgrade_delay": "1d", "silence": "4h", "motion_life": "14d", "private_addresses": false },
            "institutions": [{
                "name": "St. Mary", "validator": true, "participant": false,
                "fingerprint": "a1b2 c3d4 e5f6 0718 2930 4152", "addresses": [],
            }],
            "warnings": ["beware"], "differences": [],
        });
        let terms = |more: &[&str]| {
            let line = ["found", "--consortium", "north-lungs", "--cards", "cards"];
            Line::try_parse_from([&line[..], more].concat()).unwrap().options.terms
        };
        let made = table(&document, &terms(&["--out", "chain.json"]));
        for part in
            ["0x89d8", "0x5c11", "version 7 (r.wasm)", "upgrade delay 1d", "Note: beware.", "Read the genesis hash"]
        {
            assert!(made.contains(part), "{part}: {made}");
        }
        assert!(made.contains("1  St. Mary     yes        no           a1b2 c3d4 e5f6 0718 2930 4152  none"), "{made}");
        assert!(table(&document, &terms(&["--check", "c.json"])).contains("to the byte"));
        document["differences"] = json!(["the name: here 1"]);
        assert!(table(&document, &terms(&["--check", "c.json"])).contains("ANOTHER chain"));
    }
}
