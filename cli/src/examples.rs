//! An example for each command, at the end of its `--help` and of its manual page.

use clap::Command;
use consilium_program::{with_examples, Examples};

/// Commands, and lines that can be typed for them, in the words of the README's two hospitals: folders `alder` and `birch`.
const EXAMPLES: &Examples = &[
    ("init", &["consilium init --consortium north-lungs --name \"Alder Clinic\" --dir alder"]),
    ("card", &["consilium card birch/card.json"]),
    ("card sign", &["consilium card sign card.unsigned.json --key institution.key"]),
    ("card make", &["consilium card make --dir alder"]),
    (
        "found",
        &[
            "consilium found --consortium north-lungs --cards cards --out alder/chain.json",
            "consilium found --consortium north-lungs --cards cards --check alder/chain.json",
        ],
    ),
    ("up", &["consilium up --dir alder", "consilium up --dir alder --status"]),
    ("units", &["consilium units --dir /srv/alder --user consilium --worker-user consilium-worker --out ."]),
    ("doctor", &["consilium doctor --dir alder"]),
    ("dashboard", &["consilium dashboard --dir alder --listen 127.0.0.1:8800"]),
    ("localnet run", &["consilium localnet run --study examples/own-csv/study.toml --keep"]),
    ("localnet resume", &["consilium localnet resume consilium-run-1"]),
    ("studies", &["consilium studies --dir alder"]),
    ("study", &["consilium study 0 --dir alder", "consilium study 0 --dir alder --format json"]),
    (
        "study new",
        &[
            "consilium study new --data alder.csv --label admitted --group patient",
            "consilium study new --data alder.csv --time days --event died --cuts 90,180,365",
        ],
    ),
    ("study validate", &["consilium study validate study.toml --data alder.csv --dir alder"]),
    ("study register", &["consilium study register study.toml --dir alder"]),
    (
        "study enrol",
        &[
            "consilium study enrol 0 --agreement HASH --data alder.csv --dir alder",
            "consilium study enrol 0 --agreement HASH --data alder.csv --dataset oncology-2026 --epsilon 8 --dir alder",
            "consilium study enrol 0 --agreement HASH --samples 120 --key institution.key --yes",
        ],
    ),
    (
        "study watch",
        &["consilium study watch 0 --dir alder", "consilium study watch 0 --dir alder --on paused ./tell-us.sh"],
    ),
    ("study start", &["consilium study start 0 --dir alder"]),
    ("study withdraw", &["consilium study withdraw 0 --dir alder"]),
    ("study resume", &["consilium study resume 0 --dir alder"]),
    ("study abort", &["consilium study abort 0 --dir alder"]),
    ("study abandon", &["consilium study abandon 0 --dir alder"]),
    ("study accept", &["consilium study accept 0 --round 3 --dir alder"]),
    ("study fetch", &["consilium study fetch 0 --dir alder --out model"]),
    ("study figures", &["consilium study figures 0 --dir alder --out alder-figures.json"]),
    ("study reasons", &["consilium study reasons 0 --round 3 --dir alder"]),
    (
        "report",
        &[
            "consilium report 0 --dir alder --out report.html",
            "consilium report 0 --dir alder --figures alder.json --figures birch.json --out report-with-figures.html",
        ],
    ),
    ("late", &["consilium late 0 --dir alder --last 5"]),
    ("audit", &["consilium audit 0 --blobs alder/blobs", "consilium audit --archive study-0.tar --blobs alder/blobs"]),
    ("export", &["consilium export 0 --blobs alder/blobs --out study-0.tar"]),
    (
        "authorities",
        &[
            "consilium authorities --dir alder --out authorities.json",
            "consilium authorities --archive study-0.tar --out authorities.json",
        ],
    ),
    ("budget show", &["consilium budget show --dir alder", "consilium budget show --dir alder --chain"]),
    ("budget audit", &["consilium budget audit --dir alder"]),
    ("budget declare", &["consilium budget declare oncology-2026 --epsilon 8 --unit patient --dir alder"]),
    ("budget raise", &["consilium budget raise oncology-2026 --epsilon 10 --dir alder"]),
    ("budget lower", &["consilium budget lower oncology-2026 --epsilon 6 --dir alder"]),
    ("institutions", &["consilium institutions --dir alder"]),
    ("firewall", &["consilium firewall --dir alder --nft --also 10.8.0.0/24"]),
    ("motions", &["consilium motions", "consilium motions 5 --card card.json"]),
    ("propose admit", &["consilium propose admit card.json --dir alder"]),
    ("propose suspend", &["consilium propose suspend \"Birch Hospital\" --dir alder"]),
    ("propose reinstate", &["consilium propose reinstate \"Birch Hospital\" --dir alder"]),
    ("propose remove", &["consilium propose remove \"Birch Hospital\" --dir alder"]),
    ("propose flags", &["consilium propose flags \"Birch Hospital\" --validator no --dir alder"]),
    ("propose thresholds", &["consilium propose thresholds admit=3/4 suspend=+1/2 --dir alder"]),
    ("propose account", &["consilium propose account \"Birch Hospital\" --to ADDRESS --dir alder"]),
    ("propose cancel-upgrade", &["consilium propose cancel-upgrade --dir alder"]),
    ("propose rescue", &["consilium propose rescue --from-block 81234 --dir alder"]),
    ("vote", &["consilium vote 5 aye --dir alder"]),
    ("close", &["consilium close 5 --dir alder"]),
    ("upgrade propose", &["consilium upgrade propose --wasm consilium_runtime.compact.compressed.wasm --dir alder"]),
    ("upgrade apply", &["consilium upgrade apply --wasm consilium_runtime.compact.compressed.wasm"]),
    ("upgrade status", &["consilium upgrade status"]),
    ("recover propose", &["consilium recover propose --lost \"Birch Hospital\" --out recovery.json --dir alder"]),
    ("recover sign", &["consilium recover sign recovery.json --dir alder"]),
    ("recover show", &["consilium recover show recovery.json --dir alder"]),
    ("recover take", &["consilium recover take recovery.json --dir alder"]),
    ("recover send", &["consilium recover send recovery.json --dir alder"]),
    ("rotate session", &["consilium rotate session --dir alder"]),
    ("rotate node", &["consilium rotate node --dir alder"]),
    ("addresses set", &["consilium addresses set /dns/node.alder.example/tcp/30333 --dir alder"]),
    ("profile set", &["consilium profile set \"studies@alder.example, +49 221 0\" --dir alder"]),
    ("profile show", &["consilium profile show --dir alder", "consilium profile show \"Birch Hospital\" --dir alder"]),
    ("leave", &["consilium leave \"Alder Clinic\" --dir alder"]),
];

/// The command line with each command's examples below its options.
pub fn with(command: Command) -> Command {
    with_examples(command, EXAMPLES)
}

/// The first example of the command that these words begin with, for whoever has left something out.
pub fn of_typed(words: &[String]) -> Option<&'static str> {
    let mut path = String::new();
    for word in words {
        let longer = format!("{path} {word}").trim_start().to_owned();
        let within = format!("{longer} ");
        if !EXAMPLES.iter().any(|(of, _)| *of == longer || of.starts_with(&within)) {
            break;
        }
        path = longer;
    }
    EXAMPLES.iter().find(|(of, _)| *of == path).and_then(|(_, lines)| lines.first().copied())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;
    use consilium_program::wrong_examples;
    use std::{fs, path::Path};

    #[test]
    fn every_command_has_an_example_that_its_own_line_takes() {
        assert_eq!(wrong_examples(&with(Cli::command()), EXAMPLES), Vec::<String>::new());
        assert!(EXAMPLES.len() > 40);
    }

    #[test]
    fn what_was_typed_finds_the_example_of_its_command() {
        let of = |line: &str| of_typed(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for (line, example) in [
            ("study fetch 0 --dir alder", "consilium study fetch 0 "),
            ("study fetch", "consilium study fetch 0 "),
            ("report", "consilium report 0 "),
            ("motions --card card.json", "consilium motions"),
        ] {
            assert!(of(line).is_some_and(|found| found.starts_with(example)), "{line}: {:?}", of(line));
        }
        assert_eq!([of(""), of("nothing"), of("propose")], [None; 3]);
    }

    #[test]
    fn commands_that_the_pages_name_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut pages: Vec<_> = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        pages.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
        pages.push(root.join("README.md"));
        let (whole, mut count) = (Cli::command(), 0);
        for page in pages {
            let text = fs::read_to_string(&page).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with("```"));
            for span in lines.flat_map(|line| line.split('`').skip(1).step_by(2)) {
                let Some(first) = span.strip_prefix("consilium ").and_then(|rest| rest.split_whitespace().next())
                else {
                    continue;
                };
                if first.starts_with('-') {
                    continue;
                }
                let told = format!("{}: `{span}`", page.display());
                let group = whole.find_subcommand(first).unwrap_or_else(|| panic!("{told}: there is no such command"));
                let second = span.split_whitespace().nth(2).filter(|word| *word != "…");
                if let Some(second) = second.filter(|_| group.is_subcommand_required_set()) {
                    assert!(group.find_subcommand(second).is_some(), "{told}: there is no such command");
                }
                count += 1;
            }
        }
        assert!(count > 100, "only {count} were found");
    }
}
