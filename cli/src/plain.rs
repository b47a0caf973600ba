//! Texts of others on a terminal: what they hold is seen, and moves nothing.

use consilium_primitives::text::unseen;
use serde_json::Value;

/// A key as it is where it is plain, else quoted like a value: whoever proposes a study writes keys, too.
fn quoted(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain {
        key.into()
    } else {
        format!("{key:?}")
    }
}

/// A text with what is not seen spelt out: control characters write over what was printed before, others turn it around.
pub fn seen(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if unseen(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A time in milliseconds since 1970, in words that are the same everywhere.
pub fn clock(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(chrono::DateTime::from_timestamp_millis);
    time.map_or_else(|| format!("{millis} ms after 1970"), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// So many of a thing, in words.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// An error with its causes, each said once: libraries repeat in an error what its causes say.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    // and one of them before its own text
    let mut parts: Vec<&str> = text.split(": ").collect();
    let mut at = 1;
    while at < parts.len() {
        let run = (1..=at.min(parts.len() - at)).find(|n| parts[at - n..at] == parts[at..at + n]);
        match run {
            Some(n) => drop(parts.drain(at..at + n)),
            None => at += 1,
        }
    }
    parts.join(": ")
}

/// A JSON document as lines of `path: value`. Texts are quoted, so that none can pass for something else.
pub fn lines(path: &str, value: &Value) -> String {
    let separator = if path.ends_with(' ') { "" } else { "." };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().map(|(key, value)| lines(&format!("{path}{separator}{}", quoted(key)), value)).collect()
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).collect();
            format!("{path}: {}\n", items.join(", "))
        }
        Value::Object(_) => format!("{path}\n"),
        other => format!("{path}: {}\n", scalar(other)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::names;
    use consilium_primitives::{InstitutionId, InstitutionNotice, Name};
    use serde_json::json;

    #[test]
    fn what_libraries_say_twice_is_said_once() {
        let error = anyhow::anyhow!("connection refused")
            .context("RPC error: client error: RPC error: client error: connection refused")
            .context("no node answers at ws://127.0.0.1:1");
        assert_eq!(told(&error), "no node answers at ws://127.0.0.1:1: RPC error: client error: connection refused");
        let error = anyhow::anyhow!("is missing").context("a/chain.json");
        assert_eq!(told(&error), "a/chain.json: is missing");
    }

    #[test]
    fn a_specification_reads_as_lines_that_show_every_value() {
        let spec = json!({
            "data": { "features": { "columns": ["age", "crp"] }, "group": null },
            "model": { "logistic": {} },
            "title": "two\nlines\u{1b}[2J",
            "training": { "epochs": 2 },
        });
        let wanted = [
            "  data.features.columns: \"age\", \"crp\"",
            "  data.group: none",
            "  model.logistic",
            "  title: \"two\\nlines\\u{1b}[2J\"",
            "  training.epochs: 2",
            "",
        ];
        let mut is: Vec<String> = lines("  ", &spec).split('\n').map(str::to_owned).collect();
        // whether a map sorts its keys depends on a feature that any crate of a build can switch
        is[..wanted.len() - 1].sort();
        assert_eq!(is, wanted);
    }

    #[test]
    fn nothing_in_a_specification_or_a_name_moves_what_is_shown() {
        let spec = json!({
            "a\u{1b}[2J": { "line\n  rules.max_rounds": 1, "\u{202e}dne": [2, "\u{2066}x"] },
            "a.b: c": "\u{200b}",
            "": {},
        });
        let shown = lines("  ", &spec);
        assert!(!shown.chars().any(|c| unseen(c) && c != '\n'), "{shown:?}");
        assert_eq!(shown.lines().count(), 4, "{shown}");
        for line in [
            "  \"a\\u{1b}[2J\".\"line\\n  rules.max_rounds\": 1",
            "  \"a\\u{1b}[2J\".\"\\u{202e}dne\": 2, \"\\u{2066}x\"",
            "  \"a.b: c\": \"\\u{200b}\"",
            "  \"\"",
        ] {
            assert!(shown.lines().any(|other| other == line), "{line} in\n{shown}");
        }
        let notice = InstitutionNotice {
            id: InstitutionId([1; 32]),
            name: Name::truncate_from("A\u{202e}B\u{1b}c Süd".into()),
            peer_id: None,
            validator: false,
            participant: true,
        };
        assert_eq!(names(&[notice])[&InstitutionId([1; 32])], "A\\u{202e}B\\u{1b}c Süd");
    }
}
