//! The page's types are those of the document.
#![allow(clippy::unwrap_used)]

use super::state::*;
use std::{fs, path::Path};
use ts_rs::{Config, TS};

/// Where the page's types lie. `CONSILIUM_WRITE_TYPES=1` writes them anew.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboard/src/state.ts");

/// One type, as TypeScript.
fn typed<T: TS>(cfg: &Config) -> String {
    format!("{}export {}\n\n", T::docs().unwrap_or_default(), T::decl(cfg))
}

#[test]
fn the_page_s_types_are_those_of_the_document() {
    let cfg = &Config::new().with_large_int("number");
    let all = [
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
        typed::<Study>(cfg),
        typed::<Member>(cfg),
        typed::<Waiting>(cfg),
        typed::<Site>(cfg),
        typed::<Round>(cfg),
        typed::<Spans>(cfg),
        typed::<Arms>(cfg),
        typed::<Arm>(cfg),
        typed::<Certificate>(cfg),
    ];
    let head = "// The document that the page is told: made from cli/src/dashboard/state.rs, and compared with it by a test.\n// CONSILIUM_WRITE_TYPES=1 cargo test … the_page_s_types writes it anew.\n\n";
    let version = format!("/** Version of the document. */\nexport const VERSION = {VERSION};\n\n");
    let text = format!("{head}{version}{}\n", all.concat().trim_end());
    if std::env::var_os("CONSILIUM_WRITE_TYPES").is_some() {
        fs::write(Path::new(FILE), &text).unwrap();
    }
    assert_eq!(fs::read_to_string(FILE).unwrap(), text, "the types have changed: write them anew, see its head");
}
