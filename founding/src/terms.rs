//! What a consortium is founded with, beside its cards: the command line of `consilium found`, and of the node that does it.

use anyhow::{bail, Context, Result};
use clap::Args;
use std::{ffi::OsString, fmt, path::PathBuf, str::FromStr};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A stretch of time: a whole number and a unit, as in `30s`, `45m`, `4h` or `14d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Milliseconds.
    pub millis: u64,
}

impl FromStr for Span {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let how = || format!("{text:?}: a time is a whole number and s, m, h or d, as in 30s, 4h or 14d");
        let unit = text.chars().next_back().with_context(how)?;
        let each = match unit {
            's' => SECOND,
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            _ => bail!("{}", how()),
        };
        let number: u32 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).with_context(how)?;
        let millis = u64::from(number).checked_mul(each).filter(|millis| (SECOND..=3_650 * DAY).contains(millis));
        Ok(Self { millis: millis.with_context(|| format!("{text}: must be between 1s and 3650d"))? })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (each, unit) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")] {
            if self.millis >= each && self.millis.is_multiple_of(each) {
                return write!(f, "{}{unit}", self.millis / each);
            }
        }
        write!(f, "{}ms", self.millis)
    }
}

/// What a consortium is founded with.
#[derive(Args, Clone, Debug)]
pub struct Terms {
    /// Name of the consortium, as in the cards
    #[arg(long, value_name = "NAME")]
    pub consortium: String,
    /// Folder with the cards of all founders, one file each, ending in .json
    #[arg(long, value_name = "DIR")]
    pub cards: PathBuf,
    /// File for the chain's specification; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Compare a specification that somebody else has made with what follows from these cards: exits with 0 if it is the same
    /// to the byte, with 2 and what differs if not, with 1 if it could not be compared
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    pub check: Option<PathBuf>,
    /// The chain's runtime: a compiled one, or a raw chain specification that holds it. Left out: the one that
    /// ships with consilium-node
    #[arg(long, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// Refuse any runtime but the one with this BLAKE2b-256 hash
    #[arg(long, value_name = "HASH")]
    pub expect_code: Option<String>,
    /// Least time between the vote for a new runtime and its first block
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub upgrade_delay: Span,
    /// How long lost validators must have been silent before the others may go on without them
    #[arg(long, value_name = "TIME", default_value = "4h")]
    pub silence: Span,
    /// How long a motion can be voted on
    #[arg(long, value_name = "TIME", default_value = "14d")]
    pub motion_life: Span,
    /// Allow addresses that only machines of one network reach, as in a VPN
    #[arg(long)]
    pub private_addresses: bool,
    /// A consortium for trying things out: times below an hour are allowed
    #[arg(long)]
    pub test: bool,
    /// Folder in which the compiled runtime is kept, which saves some seconds the next time
    #[arg(long, value_name = "DIR")]
    pub wasm_cache: Option<PathBuf>,
}

impl Terms {
    /// Refuses times with which people could not act in time, and a file in the place of the one that is to be made.
    ///
    /// # Errors
    /// The first of them, and what to do.
    pub fn check(&self) -> Result<()> {
        if self.out.is_none() && self.check.is_none() {
            bail!("make it or compare it? Give --out FILE for the specification that is made, or --check FILE for one that is there");
        }
        // known at once: the specification itself takes a while
        if let Some(out) = self.out.as_ref().filter(|out| self.check.is_none() && out.exists()) {
            bail!("{}: is there already, and is not overwritten; compare it with --check", out.display());
        }
        let times =
            [("upgrade-delay", self.upgrade_delay), ("silence", self.silence), ("motion-life", self.motion_life)];
        for (name, span) in times {
            if span.millis < HOUR && !self.test {
                bail!(
                    "--{name} {span}: with less than an hour nobody could step in; give more, or --test for a consortium \
                     that is to try things out"
                );
            }
        }
        check_consortium(&self.consortium).context("--consortium")
    }

    /// The same command line again, for the node.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--consortium".into(), (&self.consortium).into()];
        let mut file = |name: &str, path: Option<&PathBuf>| {
            if let Some(path) = path {
                words.extend([OsString::from(name), path.into()]);
            }
        };
        file("--cards", Some(&self.cards));
        file("--out", self.out.as_ref());
        file("--check", self.check.as_ref());
        file("--runtime", self.runtime.as_ref());
        file("--wasm-cache", self.wasm_cache.as_ref());
        if let Some(hash) = &self.expect_code {
            words.extend(["--expect-code".into(), hash.into()]);
        }
        let spans =
            [("--upgrade-delay", self.upgrade_delay), ("--silence", self.silence), ("--motion-life", self.motion_life)];
        for (name, span) in spans {
            words.extend([name.into(), span.to_string().into()]);
        }
        for (name, set) in [("--private-addresses", self.private_addresses), ("--test", self.test)] {
            if set {
                words.push(name.into());
            }
        }
        words
    }
}

/// Refuses what cannot name a consortium: it names folders and chains, too.
///
/// # Errors
/// How a name looks.
pub(crate) fn check_consortium(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > 32 || name.starts_with('-') || !name.bytes().all(plain) {
        bail!("{name:?}: a consortium's name has 1 to 32 lower-case ASCII letters, digits or '-', and begins with none of the last");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        terms: Terms,
    }

    fn terms(more: &[&str]) -> Terms {
        let line = ["found", "--consortium", "north-lungs", "--cards", "cards", "--out", "chain.json"];
        Line::try_parse_from([&line[..], more].concat()).unwrap().terms
    }

    #[test]
    fn times_read_as_they_are_written() {
        for (text, millis, shown) in
            [("30s", 30_000, "30s"), ("90m", 5_400_000, "90m"), ("24h", DAY, "1d"), ("14d", 14 * DAY, "14d")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.millis, span.to_string().as_str()), (millis, shown), "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for wrong in ["", "d", "1", "1w", "-1d", "1.5h", "1 d", "0s", "3651d", "99999999999d", "1ms", "ä"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_people_could_not_react_to_is_refused_unless_things_are_tried_out() {
        terms(&[]).check().unwrap();
        for name in ["--upgrade-delay", "--silence", "--motion-life"] {
            let error = terms(&[name, "59m"]).check().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("--test"), "{error}");
            terms(&[name, "59m", "--test"]).check().unwrap();
            terms(&[name, "1h"]).check().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_there_already_is_refused_before_anything_is_computed() {
        let taken = Terms { out: Some("Cargo.toml".into()), ..terms(&[]) };
        let error = taken.check().unwrap_err().to_string();
        assert!(error.contains("Cargo.toml: is there already") && error.contains("--check"), "{error}");
    }

    #[test]
    fn the_node_gets_the_command_line_that_was_given() {
        let more = ["--runtime", "r.wasm", "--expect-code", "0xab", "--silence", "2h", "--private-addresses"];
        let first = terms(&[&more[..], &["--test", "--wasm-cache", "cache"]].concat());
        let words: Vec<OsString> = std::iter::once("found".into()).chain(first.arguments()).collect();
        let second = Line::try_parse_from(words).unwrap().terms;
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        let check = ["found", "--consortium", "x", "--cards", "cards", "--check", "chain.json"];
        let first = Line::try_parse_from(check).unwrap().terms;
        let words: Vec<OsString> = std::iter::once("found".into()).chain(first.arguments()).collect();
        assert_eq!(format!("{first:?}"), format!("{:?}", Line::try_parse_from(words).unwrap().terms));
    }

    #[test]
    fn a_consortium_has_a_name_that_can_name_a_folder() {
        for good in ["a", "north-lungs", "x2", &"a".repeat(32)] {
            check_consortium(good).unwrap();
        }
        for wrong in ["", "North", "a/b", "..", "a b", "-a", "ä", &"a".repeat(33)] {
            assert!(check_consortium(wrong).is_err(), "{wrong:?}");
        }
    }
}
