//! What is said of a study that brings a file to begin with, or a program of its own that trains.

use crate::plain::{counted, seen};
use consilium_study::{External, Integers, StudySpec};

/// What the program of a study could do, for whoever is to sign it.
pub const RISK: &str = "no table, no picture and no file of ours; but the study brings the program that trains: it computes with our patients' \
    rows, and what it sends is numbers, of which nobody can tell by looking whether it has hidden rows in them. Sign only what \
    somebody of ours has read, all of it; it runs here when sites.toml names its hash, shut in and without network (docs/external.md)";

/// What training begins with, where that is a file.
pub fn begins(spec: &StudySpec) -> Option<String> {
    let file = spec.initial.as_ref()?;
    let long = counted(file.len, "byte");
    Some(format!("training begins with the tensors of a file of {long}, BLAKE3 {}", file.root))
}

/// How a program of the study's own trains, sentence by sentence. `told` is what the study file says of training, of which the program
/// makes what it likes.
pub fn trained(external: &External, told: &str) -> Vec<String> {
    let long = counted(external.code.len, "byte");
    let mut lines = vec![
        format!(
            "it is trained by a program that the study brings, an archive of {long}, BLAKE3 {}; a site runs it once its sites.toml names \
             that hash",
            external.code.root
        ),
        format!("the program is told of {told}; what it makes of that stands in its code"),
    ];
    let names = |names: &[String]| {
        let quoted: Vec<String> = names.iter().map(|name| format!("“{}”", seen(name))).collect();
        quoted.join(", ")
    };
    if !external.local.is_empty() {
        let names = names(&external.local);
        lines.push(format!("tensors whose names begin with {names} are trained, and stay at each site"));
    }
    if !external.frozen.is_empty() {
        let names = names(&external.frozen);
        lines.push(format!("tensors whose names begin with {names} never change: they are neither sent nor merged"));
    }
    match external.integers {
        None => {}
        Some(Integers::Local) => lines.push("tensors that are not of 32-bit floats stay at each site".into()),
        Some(Integers::Frozen) => lines.push("tensors that are not of 32-bit floats never change".into()),
    }
    if let Some(lock) = &external.lock {
        lines.push(format!("what it needs to run is pinned by a file, BLAKE3 {lock}, which people compare with what they have installed"));
    }
    lines
}

/// Tests, and a specification that those of other parts look at.
#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::question::Question;
    use consilium_study::{NamedFile, StudyFile};

    /// The demo's study with a program of its own.
    pub fn spec() -> StudySpec {
        let named = |bytes: &[u8]| {
            let NamedFile { root, len } = NamedFile::of(bytes);
            format!("{{ root = \"{root}\", len = {len} }}")
        };
        let model = format!(
            "code = {}\ntensors = [\"weight 1x30\"]\nlocal = [\"bn.\"]\nfrozen = [\"deep.\", \"stem.\"]\nintegers = \"frozen\"\nlock = \"{}\"\n",
            named(b"code"),
            "c".repeat(64)
        );
        let text = include_str!("../../../examples/breast-cancer/study.toml")
            .replace("seed = 1\n", &format!("seed = 1\ninitial = {}\n", named(b"begin")))
            .replace("[model.dense]", "[model.external]")
            .replace("hidden = [16]\nactivation = \"relu\"\n", &model);
        StudyFile::parse(&text).unwrap().spec()
    }

    #[test]
    fn of_a_program_of_its_own_a_study_says_its_hash_and_promises_nothing_of_how_it_trains() {
        let question = Question::of(&spec());
        let said = question.training.join("\n");
        for part in [
            &format!("a file of 5 bytes, BLAKE3 {}", NamedFile::of(b"begin").root) as &str,
            &format!("an archive of 4 bytes, BLAKE3 {}", NamedFile::of(b"code").root),
            "is told of 2 passes over the rows, 32 rows a step, Adam (learning rate 0.01)",
            "“bn.” are trained, and stay at each site",
            "“deep.”, “stem.” never change",
            "not of 32-bit floats never change",
            &format!("BLAKE3 {}, which people compare", "c".repeat(64)),
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
        assert!(
            !said.contains("in each round 2 passes") && !said.contains("the loss that training makes small"),
            "{said}"
        );
        assert!(question.model.contains("a program that it brings"), "{}", question.model);
    }

    #[test]
    fn a_network_that_begins_with_a_file_says_so_beside_how_it_is_trained() {
        let NamedFile { root, len } = NamedFile::of(b"begin");
        let text = include_str!("../../../examples/breast-cancer/study.toml")
            .replace("seed = 1\n", &format!("seed = 1\ninitial = {{ root = \"{root}\", len = {len} }}\n"));
        let said = Question::of(&StudyFile::parse(&text).unwrap().spec()).training.join("\n");
        assert!(said.contains(&root) && said.contains("in each round 2 passes over the rows by Adam"), "{said}");
        assert!(!said.contains("program"), "{said}");
    }
}
