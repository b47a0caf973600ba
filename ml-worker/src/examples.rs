//! An example for each command, at the end of its `--help` and of its manual page.

use clap::Command;
use consilium_program::{with_examples, Examples};

/// Commands, and lines that can be typed for them: with a study file and a table, or beside the README's folder `alder`.
const EXAMPLES: &Examples = &[
    (
        "train",
        &[
            "ml-worker train --study study.toml --data alder.csv --out model",
            "ml-worker train --study study.toml --data alder.csv --test later.csv --out model --json",
        ],
    ),
    (
        "evaluate",
        &[
            "ml-worker evaluate --model model --data later.csv",
            "ml-worker evaluate --model model --data later.csv --by sex",
        ],
    ),
    ("predict", &["ml-worker predict --model model --data new.csv --out predictions.csv"]),
    ("pack", &["ml-worker pack --dir model --out model/ready --data alder.csv --secret alder/worker/secret"]),
    (
        "export",
        &[
            "ml-worker export --model model --onnx model.onnx",
            "ml-worker export --model model --onnx model.onnx --data alder.csv",
        ],
    ),
    ("inspect", &["ml-worker inspect --study study.toml", "ml-worker inspect --model model"]),
    ("preflight", &["ml-worker preflight --study study.toml --data alder.csv --secret alder/worker/secret"]),
    ("columns", &["ml-worker columns --data genes.csv --named diagnosis --named patient"]),
    ("survey", &["ml-worker survey --data alder.csv --label admitted"]),
    ("purge", &["ml-worker purge --dir alder/worker"]),
    ("trainer new", &["ml-worker trainer new our-trainer"]),
    ("trainer pack", &["ml-worker trainer pack our-trainer --out trainer.tar"]),
    (
        "trainer describe",
        &[
            "ml-worker trainer describe initial.safetensors",
            "ml-worker trainer describe initial.safetensors --local head.",
        ],
    ),
    (
        "trainer check",
        &["ml-worker trainer check --study study.toml --code our-trainer --initial initial.safetensors \
           --trainer trainer.toml"],
    ),
    ("trainer put", &["ml-worker trainer put trainer.tar --blobs alder/blobs"]),
    ("trainer unpack", &["ml-worker trainer unpack HASH --blobs alder/blobs --out trainer-code"]),
    ("serve", &["ml-worker serve --dir worker --blobs blobs --token-file token --sites sites.toml"]),
    ("hold", &["ml-worker hold --dir alder/worker"]),
    ("resume", &["ml-worker resume --dir alder/worker"]),
    ("accept-data", &["ml-worker accept-data --dir alder/worker --sites alder/sites.toml --agreement HASH"]),
    ("accept-split", &["ml-worker accept-split --dir alder/worker --agreement HASH"]),
    ("check", &["ml-worker check --study study.toml --data alder.csv --secret alder/worker/secret"]),
    ("sites", &["ml-worker sites --sites alder/sites.toml"]),
    ("demo-data", &["ml-worker demo-data --seed 1 --out tables"]),
    ("compare", &["ml-worker compare --spec spec.json --rules rules.json --sites sites.json"]),
    (
        "own-arm",
        &["ml-worker own-arm --spec spec.json --model model.safetensors --statistics statistics.safetensors \
             --rounds 10 --canonical 9 --data alder.csv --secret alder/worker/secret > figures.json"],
    ),
    (
        "table",
        &[
            "ml-worker table --seeds 20",
            "ml-worker table --study study.toml --data all.csv --site-column hospital --held-out 50",
        ],
    ),
];

/// The command line with each command's examples below its options.
pub fn with(command: Command) -> Command {
    with_examples(command, EXAMPLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;
    use consilium_program::wrong_examples;

    #[test]
    fn every_command_has_an_example_that_its_own_line_takes() {
        assert_eq!(wrong_examples(&with(Cli::command()), EXAMPLES), Vec::<String>::new());
        assert!(EXAMPLES.len() > 20);
    }
}
