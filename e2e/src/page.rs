//! Pages of `docs/` whose blocks are commands and what they print.

use anyhow::{ensure, Context, Result};
use std::{fs, path::Path};

/// A line that stands for lines which are not shown.
const LEFT_OUT: &str = "…";

/// A section of a page: a heading, one command, and what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What is typed.
    pub command: String,
    /// What is printed.
    pub message: String,
}

/// The sections of a page that have a command and a message.
///
/// # Errors
/// The page cannot be read, or a section has one without the other.
pub fn sections(page: &Path) -> Result<Vec<Section>> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let mut found = Vec::new();
    for part in text.split("\n## ").skip(1) {
        let (title, rest) = part.split_once('\n').with_context(|| format!("{part:?}: no text"))?;
        let command = block(rest, "```sh\n");
        let message = block(rest, "```text\n");
        ensure!(command.is_some() == message.is_some(), "{title}: a command and what it prints belong together");
        if let (Some(command), Some(message)) = (command, message) {
            found.push(Section { title: title.to_owned(), command, message });
        }
    }
    Ok(found)
}

fn block(text: &str, opens: &str) -> Option<String> {
    let (_, rest) = text.split_once(opens)?;
    Some(rest.split_once("\n```")?.0.to_owned())
}

/// Whether a command has printed what a page says, word for word; a line `…` of the page stands for any number of lines.
///
/// # Errors
/// The first line of the page that does not come.
pub fn compare(page: &str, printed: &str) -> Result<()> {
    let mut lines = printed.lines();
    let mut skips = false;
    for wanted in page.lines() {
        if wanted == LEFT_OUT {
            skips = true;
            continue;
        }
        let is = if skips { lines.find(|line| *line == wanted) } else { lines.next() };
        ensure!(is == Some(wanted), "the page says\n{wanted}\nand printed was\n{printed}");
        skips = false;
    }
    ensure!(skips || lines.next().is_none(), "more was printed than the page says:\n{printed}");
    Ok(())
}

/// A text with each hash of 64 hexadecimal digits as `HASH`.
pub fn without_hashes(text: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        shown.push_str(if digits.len() == 64 { "HASH" } else { &digits });
        digits.clear();
        shown.push(c);
    }
    shown.pop();
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_is_compared_word_for_word_and_may_leave_lines_out() {
        compare("a\nb", "a\nb\n").unwrap();
        compare("…\nb", "x\ny\nb\n").unwrap();
        compare("a\n…", "a\nx\n").unwrap();
        for (page, printed) in [("a", "a\nb\n"), ("a\nb", "a\n"), ("a", "A\n"), ("…\nb", "a\nb \n"), ("…\nb", "b\nc\n")]
        {
            assert!(compare(page, printed).is_err(), "{page:?} {printed:?}");
        }
    }

    #[test]
    fn a_hash_is_any_sixty_four_digits_and_nothing_else() {
        let hash = "0f".repeat(32);
        assert_eq!(without_hashes(&format!("is {hash}, not {hash}")), "is HASH, not HASH");
        assert_eq!(without_hashes(&format!("0x{hash} {hash}0")), format!("0xHASH {hash}0"));
    }

    #[test]
    fn a_section_has_a_command_and_what_it_prints() {
        let scratch = tempfile::tempdir().unwrap();
        let page = scratch.path().join("page.md");
        fs::write(&page, "# P\n\n## One\n\n```sh\na b\n```\n\n```text\nc\nd\n```\n\nwords\n\n## Two\n\nwords\n")
            .unwrap();
        let one = Section { title: "One".into(), command: "a b".into(), message: "c\nd".into() };
        assert_eq!(sections(&page).unwrap(), [one]);
        fs::write(&page, "\n## One\n\n```sh\na b\n```\n").unwrap();
        assert!(sections(&page).is_err());
    }
}
