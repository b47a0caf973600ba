//! What an audit found, for people and for programs.

use crate::show::short;
use consilium_primitives::{Hash, StudyId};
use serde_json::{json, Value};
use std::{fmt, process::ExitCode};

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Rules, spec and the hash that everybody signed.
    Agreement,
    /// What a private study has charged to its members' data sets.
    Privacy,
    /// The merged column statistics.
    Statistics,
    /// The initial model (0), or a round's merge.
    Round(u32),
    /// The last figures, which are summed under masks.
    Evaluation,
    /// The certificate.
    Certificate,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement => f.write_str("agreement"),
            Self::Privacy => f.write_str("privacy"),
            Self::Statistics => f.write_str("statistics"),
            Self::Round(round) => write!(f, "round {round}"),
            Self::Evaluation => f.write_str("last evaluation"),
            Self::Certificate => f.write_str("certificate"),
        }
    }
}

/// What came out, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Recomputed, and equal to what the chain says.
    Verified,
    /// Individual updates are gone, as agreed, or the merged file of an old round is; the rest is as the chain says. The merge
    /// itself was not recomputed.
    Deleted,
    /// Individual updates were left out of the archive; the rest is as the chain says. The merge itself was not
    /// recomputed.
    LeftOut,
    /// Something that should be there is not.
    Missing,
    /// Something is not what the chain says.
    Differs,
}

/// Exit code of an audit in which something differs.
const DIFFERS: u8 = 2;
/// Exit code of an audit in which nothing differs and something that should be there is not.
const MISSING: u8 = 3;

impl Verdict {
    /// The exit code of an audit of which this is the worst: 0 all that is there is as the chain says, 2 something differs, 3 something
    /// that should be there is not.
    pub fn code(self) -> u8 {
        match self {
            Self::Verified | Self::Deleted | Self::LeftOut => 0,
            Self::Missing => MISSING,
            Self::Differs => DIFFERS,
        }
    }

    /// In the words of the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Deleted => "files deleted by agreement",
            Self::LeftOut => "inputs left out of the archive",
            Self::Missing => "missing",
            Self::Differs => "differs",
        }
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub subject: Subject,
    /// What came out.
    pub verdict: Verdict,
    /// The hash that the chain has for it.
    pub root: Hash,
    /// What was done or is wrong, in sentences.
    pub notes: Vec<String>,
}

impl Finding {
    /// Nothing wrong so far.
    pub fn new(subject: Subject, root: Hash) -> Self {
        Self { subject, verdict: Verdict::Verified, root, notes: Vec::new() }
    }

    /// Adds a note that changes no verdict.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds a note that makes the verdict at least this bad.
    pub fn lower(&mut self, verdict: Verdict, text: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.notes.push(text.into());
    }
}

/// What an audit of one study found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which study.
    pub study: StudyId,
    /// Where it stands, in a few words.
    pub phase: String,
    /// All that was checked, in the order of the study.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst of all verdicts.
    pub fn worst(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Missing)
    }

    /// 0: all that is there is as the chain says; 2: something differs; 3: something that should be there is not.
    pub fn code(&self) -> u8 {
        self.worst().code()
    }

    /// [`code`](Self::code), for the operating system.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// Rounds, and statistics, whose merge was computed again; and how many there are.
    fn recomputed(&self) -> (usize, usize) {
        let merges = self.findings.iter().filter(|f| matches!(f.subject, Subject::Statistics | Subject::Round(_)));
        (merges.clone().filter(|f| f.verdict == Verdict::Verified).count(), merges.count())
    }

    /// For programs. `rests_on`: relative to what it holds.
    pub fn json(&self, rests_on: Value) -> Value {
        let (recomputed, all) = self.recomputed();
        json!({
            "study": self.study,
            "phase": self.phase,
            "rests_on": rests_on,
            "verdict": self.worst().words(),
            "exit_code": self.code(),
            "merges": all,
            "merges_recomputed": recomputed,
            "findings": self.findings.iter().map(|finding| {
                let (what, round) = match finding.subject {
                    Subject::Round(round) => ("round".to_owned(), json!(round)),
                    other => (other.to_string(), Value::Null),
                };
                json!({
                    "what": what,
                    "round": round,
                    "verdict": finding.verdict.words(),
                    "root": hex::encode(finding.root),
                    "notes": finding.notes,
                })
            }).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            write!(f, "{}: {}", finding.subject, finding.verdict.words())?;
            if finding.root != Hash::zero() {
                // people compare these two with what they know
                match finding.subject {
                    Subject::Agreement | Subject::Certificate => write!(f, " · {}", hex::encode(finding.root))?,
                    _ => write!(f, " · {}", short(&finding.root))?,
                }
            }
            writeln!(f)?;
            for note in &finding.notes {
                writeln!(f, "  {note}")?;
            }
        }
        let (recomputed, all) = self.recomputed();
        let end = match self.worst() {
            Verdict::Verified => "everything is as the chain says",
            Verdict::Deleted => "all that the agreement keeps is as the chain says",
            Verdict::LeftOut => "all that the archive holds is as the chain says",
            Verdict::Missing => "something that should be there is not",
            Verdict::Differs => "something is not what the chain says",
        };
        write!(f, "study {}, {}: {end}; {recomputed} of {all} merges were computed again", self.study, self.phase)
    }
}
