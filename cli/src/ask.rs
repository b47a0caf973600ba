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

/// How often a question is put before what was wrong with its answer ends the command.
const TRIES: usize = 3;

/// The first answer that is taken. Of another it is said what is wrong with it, and the question is put again: a slip of the hand is no
/// reason to begin anew.
///
/// # Errors
/// The terminal has gone away; what was wrong with the last of three answers.
pub fn until<T>(mut ask: impl FnMut() -> Result<String>, mut take: impl FnMut(&str) -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match take(ask()?.trim()) {
            Ok(taken) => return Ok(taken),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    take(ask()?.trim())
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
    fn a_question_is_put_again_after_a_slip_and_not_for_ever() {
        let told = |answers: &[&str]| {
            let mut answers = answers.iter();
            let ask = || Ok(format!(" {}\n", answers.next().unwrap()));
            until(ask, |answer| answer.parse::<u8>().map_err(|_| anyhow::anyhow!("{answer} is no number")))
        };
        assert_eq!(told(&["4"]).unwrap(), 4);
        assert_eq!(told(&["x", "y", "6"]).unwrap(), 6);
        assert_eq!(told(&["x", "y", "z", "7"]).unwrap_err().to_string(), "z is no number");
    }

    #[test]
    fn the_word_yes_alone_is_a_consent() {
        consent(Ok("yes\n".into()), "nothing was signed").unwrap();
        for other in ["y\n", "", "yes please\n", "no\n", "YES\n"] {
            let said = consent(Ok(other.into()), "nothing was signed").unwrap_err().to_string();
            assert_eq!(said, "nothing was signed: the answer was not yes");
        }
    }
}
