//! Questions to whoever sits at the terminal. They stand on standard error, so that standard output has results alone.

use anyhow::{ensure, Result};
use std::io::{self, IsTerminal, Write};

/// Whether somebody is there to be asked.
pub fn somebody() -> bool {
    io::stdin().is_terminal()
}

/// One line of an answer, as it was typed; empty at the end of what is typed.
///
/// # Errors
/// The terminal has gone away.
pub fn line(question: &str) -> io::Result<String> {
    eprint!("{question}");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line)
}

/// Whether the word yes is the answer, and no other.
///
/// # Errors
/// It is another: `declined` says what was not done.
pub fn consent(answer: io::Result<String>, declined: &str) -> Result<()> {
    ensure!(answer?.trim() == "yes", "{declined}: the answer was not yes");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_word_yes_alone_is_a_consent() {
        consent(Ok("yes\n".into()), "nothing was signed").unwrap();
        for other in ["y\n", "", "yes please\n", "no\n", "YES\n"] {
            let said = consent(Ok(other.into()), "nothing was signed").unwrap_err().to_string();
            assert_eq!(said, "nothing was signed: the answer was not yes");
        }
    }
}
