//! The page's types are those of the document.
#![allow(clippy::unwrap_used)]

use super::state::*;
use std::{fs, path::Path};
use ts_rs::{Config, TS};

/// Where the page's types lie. `CONSILIUM_WRITE_TYPES=1` writes them anew.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboard/src");

/// One type, as TypeScript.
fn typed<T: TS>(cfg: &Config) -> String {
    format!("{}export {}\n\n", T::docs().unwrap_or_default(), T::decl(cfg))
}

/// A file of types: what is said at its head, and each comment of one line in one line.
fn file(of: &str, begins: &str, types: &[String]) -> String {
    let all = format!(
        "// The document that the page is told, {of}: made from cli/src/dashboard/state.rs, and compared with it by a test.\n\
         // CONSILIUM_WRITE_TYPES=1 cargo test … the_page_s_types writes it anew.\n\n{begins}{}",
        types.concat()
    );
    let lines: Vec<&str> = all.trim_end().lines().map(str::trim_end).collect();
    let (mut text, mut rest) = (String::new(), &lines[..]);
    while let [line, more @ ..] = rest {
        rest = match (*line, more) {
            ("/**", [said, " */", more @ ..]) if said.starts_with(" * ") => {
                text.push_str(&format!("/** {} */\n", &said[3..]));
                more
            }
            _ => {
                text.push_str(&format!("{line}\n"));
                more
            }
        };
    }
    text
}

#[test]
fn the_page_s_types_are_those_of_the_document() {
    let cfg = &Config::new().with_large_int("number");
    let begins = format!(
        "import type {{ Study }} from './study';\n\n/** Version of the document. */\nexport const VERSION = {VERSION};\n\n"
    );
    let state = [
        typed::<State>(cfg),
        typed::<Own>(cfg),
        typed::<Consortium>(cfg),
        typed::<Institution>(cfg),
        typed::<Check>(cfg),
        typed::<Worker>(cfg),
        typed::<Duty>(cfg),
        typed::<Todo>(cfg),
        typed::<Motion>(cfg),
        typed::<Brief>(cfg),
        typed::<Egress>(cfg),
        typed::<Sum>(cfg),
        typed::<Left>(cfg),
    ];
    let study = [
        typed::<Study>(cfg),
        typed::<PrivacySpent>(cfg),
        typed::<DatasetSpent>(cfg),
        typed::<Member>(cfg),
        typed::<Waiting>(cfg),
        typed::<Site>(cfg),
        typed::<Round>(cfg),
        typed::<Spans>(cfg),
        typed::<Arms>(cfg),
        typed::<Arm>(cfg),
        typed::<Certificate>(cfg),
    ];
    for (name, text) in [
        ("state.ts", file("but for the study that is looked at", &begins, &state)),
        ("study.ts", file("of the study that is looked at", "", &study)),
    ] {
        let path = Path::new(FOLDER).join(name);
        if std::env::var_os("CONSILIUM_WRITE_TYPES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "the types have changed: write them anew, see the head of {name}"
        );
    }
}
