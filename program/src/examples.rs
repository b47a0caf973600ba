//! Examples of commands, at the end of their `--help` and of their manual pages.

use clap::Command;

/// Commands by their paths, as `study enrol`, each with lines that can be typed for it.
pub type Examples = [(&'static str, &'static [&'static str])];

/// A program's whole command line with each command's examples below its options.
#[must_use]
pub fn with_examples(command: Command, examples: &'static Examples) -> Command {
    within(command, "", examples)
}

fn within(command: Command, path: &str, examples: &'static Examples) -> Command {
    command.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name()).trim_start().to_owned();
        let found = examples.iter().find(|(of, _)| *of == path);
        let sub = within(sub, &path, examples);
        match found {
            Some((_, [line])) => sub.after_help(format!("Example:\n  {line}")),
            Some((_, lines)) => sub.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
            None => sub,
        }
    })
}

/// What is wrong with the examples of a program's command line, for its tests: commands that have none, lines that are another command's or
/// that it does not take, and examples of commands that are not there.
#[must_use]
pub fn wrong_examples(whole: &Command, examples: &Examples) -> Vec<String> {
    let mut all = Vec::new();
    commands(whole, "", &mut all);
    let there = |path: &str| all.iter().any(|(of, _)| of == path);
    let mut wrong: Vec<String> = examples
        .iter()
        .filter(|(path, _)| !there(path))
        .map(|(path, _)| format!("{path}: there is no such command"))
        .collect();
    for (path, text) in &all {
        let Some(text) = text else {
            wrong.push(format!("{path}: has no example"));
            continue;
        };
        let begins = format!("{} {path}", whole.get_name());
        for line in text.lines().skip(1).map(str::trim) {
            if !line.starts_with(&begins) {
                wrong.push(format!("{path}: {line}: is a line of another command"));
            } else if let Err(error) = whole.clone().try_get_matches_from(words(line)) {
                wrong.push(format!("{line}: {error}"));
            }
        }
    }
    wrong
}

/// Every command that does something by itself, by its path, with what stands below its options.
fn commands(command: &Command, path: &str, found: &mut Vec<(String, Option<String>)>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name()).trim_start().to_owned();
        if !sub.is_subcommand_required_set() {
            found.push((path.clone(), sub.get_after_help().map(ToString::to_string)));
        }
        commands(sub, &path, found);
    }
}

/// The words of a line as a shell reads it, up to where its output goes; with quotation marks, and nothing else that a shell knows.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" > ").next().unwrap_or_default();
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn whole() -> Command {
        let named = |name: &'static str| Command::new(name).arg(Arg::new("who").long("who").required(true));
        let group = Command::new("group").subcommand_required(true).subcommand(named("call"));
        Command::new("p").subcommand(named("greet")).subcommand(group).subcommand(Command::new("quiet").hide(true))
    }

    #[test]
    fn each_command_shows_its_own_examples() {
        const RIGHT: &Examples = &[
            ("greet", &["p greet --who \"St. Mary\"", "p greet --who you > letter"]),
            ("group call", &["p group call --who you"]),
        ];
        let with = with_examples(whole(), RIGHT);
        assert_eq!(wrong_examples(&with, RIGHT), Vec::<String>::new());
        let greet = with.find_subcommand("greet").and_then(Command::get_after_help).map(ToString::to_string);
        assert_eq!(greet.as_deref(), Some("Examples:\n  p greet --who \"St. Mary\"\n  p greet --who you > letter"));
    }

    #[test]
    fn what_has_no_example_a_wrong_one_or_is_not_there_is_told() {
        const WRONG: &Examples =
            &[("greet", &["p greet --whom you", "p group call --who you"]), ("leave", &["p leave"])];
        let told = wrong_examples(&with_examples(whole(), WRONG), WRONG).join("\n");
        for part in [
            "leave: there is no such",
            "--whom",
            "greet: p group call --who you: is a line of another",
            "group call: has no example",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("quiet"), "{told}");
    }
}
