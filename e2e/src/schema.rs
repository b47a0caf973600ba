//! The documents of `--format json` as `docs/json.md` lists their keys, and whether a document has these and no others.

use crate::workspace;
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// In the page's words: `text`, `number`, `yes/no`, `object`, `list`, `list of …`, `any`.
    kind: String,
    /// It may be null.
    null: bool,
    /// It is not always there.
    sometimes: bool,
}

/// What a command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The section's heading: the command.
    pub command: String,
    rows: BTreeMap<String, Row>,
}

/// The sections of a page whose headings are commands, by these.
///
/// # Errors
/// The page cannot be read, or has a row that is none.
pub fn schemas(page: &Path) -> Result<BTreeMap<String, Schema>> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let mut found = BTreeMap::new();
    for part in text.split("\n## ").skip(1) {
        let (title, rest) = part.split_once('\n').with_context(|| format!("{part:?}: no text"))?;
        let Some(command) = title.trim().strip_prefix('`').and_then(|title| title.strip_suffix('`')) else { continue };
        let command = command.to_owned();
        let rows: Result<BTreeMap<String, Row>> = rest
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| row(line).with_context(|| command.clone()))
            .collect();
        let rows = rows?;
        if !rows.is_empty() {
            found.insert(command.clone(), Schema { command, rows });
        }
    }
    Ok(found)
}

/// What the page says of the document of a command.
///
/// # Errors
/// It cannot be read, or has no such section.
pub fn documented(command: &str) -> Result<Schema> {
    let mut all = schemas(&workspace().join("docs/json.md"))?;
    all.remove(command).with_context(|| format!("docs/json.md has no section `{command}`"))
}

/// A row ``| `key` | kind | what |``.
fn row(line: &str) -> Result<(String, Row)> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [key, kind, what] = cells.as_slice() else { anyhow::bail!("{line}: a row has a key, a kind and what it is") };
    ensure!(!what.is_empty(), "{line}: what is it?");
    let (sometimes, kind) = kind.strip_prefix("sometimes ").map_or((false, *kind), |rest| (true, rest));
    let (null, kind) = kind.strip_suffix(" or null").map_or((false, kind), |rest| (true, rest));
    let known = ["text", "number", "yes/no", "object", "list", "any"];
    ensure!(known.contains(&kind.strip_prefix("list of ").unwrap_or(kind)), "{line}: {kind:?} is no kind");
    Ok((key.trim_matches('`').to_owned(), Row { kind: kind.into(), null, sometimes }))
}

impl Schema {
    /// What the page says of a part of the document, as of the object at `rounds[].masked`.
    pub fn part(&self, path: &str) -> Self {
        let within = |(key, row): (&String, &Row)| {
            let key = key.strip_prefix(path)?.strip_prefix('.')?;
            Some((key.to_owned(), row.clone()))
        };
        Self { command: format!("{}, {path}", self.command), rows: self.rows.iter().filter_map(within).collect() }
    }

    /// Whether a document has the keys that are listed, of these kinds, and no others.
    ///
    /// # Errors
    /// All that is otherwise.
    pub fn check(&self, document: &Value) -> Result<()> {
        let mut faults = Vec::new();
        self.walk("", document, &mut faults);
        faults.sort();
        faults.dedup();
        ensure!(faults.is_empty(), "{}:\n  {}\n{document:#}", self.command, faults.join("\n  "));
        Ok(())
    }

    fn walk(&self, path: &str, value: &Value, faults: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match self.rows.get(&path) {
                        None => faults.push(format!("{path}: is not on the page")),
                        Some(row) => self.entry(&path, row, value, faults),
                    }
                }
                for (listed, row) in &self.rows {
                    let (parent, key) = listed.rsplit_once('.').unwrap_or(("", listed));
                    if parent == path && !row.sometimes && !map.contains_key(key) {
                        faults.push(format!("{listed}: is on the page, and missing"));
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(&format!("{path}[]"), item, faults)),
            _ => faults.push(format!("{path}: neither an object nor a list")),
        }
    }

    fn entry(&self, path: &str, row: &Row, value: &Value, faults: &mut Vec<String>) {
        if value.is_null() && row.null {
            return;
        }
        let well = match row.kind.strip_prefix("list of ") {
            Some(kind) => value.as_array().is_some_and(|items| items.iter().all(|item| is(kind, item))),
            None => is(&row.kind, value),
        };
        if !well {
            faults.push(format!("{path}: is no {}: {value}", row.kind));
        } else if row.kind == "object" || row.kind == "list" {
            self.walk(path, value, faults);
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "text" => value.is_string(),
        "number" => value.is_number(),
        "yes/no" => value.is_boolean(),
        "object" => value.is_object(),
        "list" => value.is_array(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const PAGE: &str = "# P\n\n## `a b`\n\n| key | kind | what |\n|---|---|---|\n| `n` | number | it |\n| `list` | list | them |\n\
        | `list[].x` | text or null | it |\n| `list[].y` | sometimes list of text | it |\n| `free` | any | it |\n\n## `c`\n\n| key | kind | what |\n|---|---|---|\n\
        | `[].x` | yes/no | it |\n\n## Words\n\n| `none` | of these |\n";

    fn schemas_of(text: &str) -> Result<BTreeMap<String, Schema>> {
        let scratch = tempfile::tempdir().unwrap();
        let page = scratch.path().join("page.md");
        fs::write(&page, text).unwrap();
        schemas(&page)
    }

    #[test]
    fn a_document_has_the_keys_of_the_page_and_no_others() {
        let all = schemas_of(PAGE).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a b", "c"]);
        let first = &all["a b"];
        let good = json!({ "n": 1, "list": [{ "x": "a" }, { "x": null, "y": ["b"] }], "free": { "deep": [1] } });
        first.check(&good).unwrap();
        first.check(&json!({ "n": 1.5, "list": [], "free": null })).unwrap();
        for (wrong, says) in [
            (json!({ "n": 1, "list": [], "free": 0, "more": 1 }), "more: is not on the page"),
            (json!({ "n": 1, "list": [] }), "free: is on the page, and missing"),
            (json!({ "n": "1", "list": [], "free": 0 }), "n: is no number"),
            (json!({ "n": 1, "list": [{}], "free": 0 }), "list[].x: is on the page, and missing"),
            (json!({ "n": 1, "list": [{ "x": "a", "z": 1 }], "free": 0 }), "list[].z: is not on the page"),
            (json!({ "n": 1, "list": [{ "x": "a", "y": [1] }], "free": 0 }), "list[].y: is no list of text"),
            (json!({ "n": 1, "list": ["a"], "free": 0 }), "list[]: neither"),
        ] {
            let said = first.check(&wrong).unwrap_err().to_string();
            assert!(said.contains(says), "{says} in {said}");
        }
        let part = first.part("list[]");
        part.check(&json!({ "x": "a" })).unwrap();
        assert!(part.check(&json!({ "x": "a", "n": 1 })).is_err() && part.check(&json!({})).is_err());
        all["c"].check(&json!([{ "x": true }, { "x": false }])).unwrap();
        assert!(all["c"].check(&json!([{ "x": 1 }])).is_err());
    }

    #[test]
    fn a_command_is_on_the_page_or_that_is_an_error() {
        assert_eq!(documented("consilium studies").unwrap().command, "consilium studies");
        assert!(documented("consilium nothing").unwrap_err().to_string().contains("no section"));
    }

    #[test]
    fn a_row_that_says_nothing_is_refused() {
        for row in ["| `n` | numbr | it |", "| `n` | number |", "| `n` | number | |"] {
            assert!(schemas_of(&format!("\n## `c`\n\n{row}\n")).is_err(), "{row}");
        }
    }
}
