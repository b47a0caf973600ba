//! An example for each command, at the end of its `--help` and of its manual page.

use clap::Command;
use consilium_program::{with_examples, Examples};

/// Commands, and lines that can be typed for them, in the words of the README's two hospitals: folders `alder` and `birch`.
const EXAMPLES: &Examples = &[
    ("key generate-node-key", &["consilium-node key generate-node-key --file node.key"]),
    ("key generate", &["consilium-node key generate --words 24"]),
    ("key inspect", &["consilium-node key inspect phrase.txt"]),
    ("key inspect-node-key", &["consilium-node key inspect-node-key --file alder/node.key"]),
    (
        "key insert",
        &["consilium-node key insert --chain alder/chain.json --keystore-path alder/keystore --key-type aura --scheme sr25519 \
           --suri phrase.txt"],
    ),
    (
        "make-keys",
        &["consilium-node make-keys --keystore-path alder/keystore \
           --owner 8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48"],
    ),
    (
        "found",
        &[
            "consilium-node found --consortium north-lungs --cards cards --out alder/chain.json",
            "consilium-node found --consortium north-lungs --cards cards --check alder/chain.json",
        ],
    ),
    ("inspect-runtime", &["consilium-node inspect-runtime", "consilium-node inspect-runtime runtime.compact.compressed.wasm"]),
    ("inspect-chain", &["consilium-node inspect-chain alder/chain.json"]),
    ("export-chain-spec", &["consilium-node export-chain-spec --chain local --raw > local.json"]),
    ("purge-chain", &["consilium-node purge-chain --chain alder/chain.json --base-path alder/node"]),
];

/// The command line with each command's examples below its options.
pub fn with(command: Command) -> Command {
    with_examples(command, EXAMPLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use consilium_program::wrong_examples;

    #[test]
    fn every_command_has_an_example_that_its_own_line_takes() {
        assert_eq!(wrong_examples(&with(Cli::command()), EXAMPLES), Vec::<String>::new());
    }
}
