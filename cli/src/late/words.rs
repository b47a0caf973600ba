//! What each phase waited for, for people and for programs.

use super::{
    read::At,
    tell::{By, Note, Round, Said, Stage, What, Which, Word},
};
use crate::{
    show::{dropped_name, failure_name, name, why_aborted, why_dropped, why_paused, why_void, Names},
    study::answers::why,
};
use consilium_primitives::{InstitutionId, StudyId};
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// What is told beside the rounds.
pub struct Frame<'a> {
    /// Which study.
    pub study: StudyId,
    /// Where it stands.
    pub phase: String,
    /// The best block.
    pub best: u32,
    /// Milliseconds of a slot.
    pub slot: u32,
    /// Names of the institutions.
    pub names: &'a Names,
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

fn blocks(count: u32) -> String {
    format!("{count} block{}", if count == 1 { "" } else { "s" })
}

/// How long after one place another one is.
fn after(from: At, to: At) -> (u32, u64) {
    (to.block.saturating_sub(from.block), to.millis.saturating_sub(from.millis))
}

fn which(which: Which) -> String {
    match which {
        Which::Statistics => "statistics".into(),
        Which::Initial => "initial model".into(),
        Which::Round(round) => format!("round {round}"),
        Which::End => "end".into(),
    }
}

fn asked(what: What) -> String {
    match what {
        What::Statistics => "statistics".into(),
        What::Initial => "initial model".into(),
        What::Updates => "updates".into(),
        What::Merge(1) => "merge".into(),
        What::Merge(attempt) => format!("merge (attempt {attempt})"),
        What::Gather => "masked files held".into(),
        What::Sum => "shares, and the sum".into(),
        What::Evaluation => "last evaluation".into(),
        What::Holding => "who holds the model".into(),
        What::Pause(reason) => format!("pause ({})", why_paused(reason)),
    }
}

impl Frame<'_> {
    fn site(&self, who: &InstitutionId) -> String {
        name(self.names, who)
    }

    /// For people.
    pub fn lines(&self, rounds: &[Round]) -> Vec<String> {
        let slot = seconds(self.slot.into());
        let mut lines = vec![format!(
            "study {}, {} (block {}); blocks come every {slot} s, and what a block asks for, the next one can have",
            self.study, self.phase, self.best
        )];
        for round in rounds {
            lines.push(self.title(round));
            lines.extend(round.stages.iter().map(|stage| self.stage(stage)));
        }
        lines.extend(self.summary(rounds));
        lines
    }

    fn title(&self, round: &Round) -> String {
        let title = which(round.which);
        let Some((opened, (took, millis))) = round.opened().zip(round.took()) else {
            let state = if round.which == Which::End { "" } else { ", not closed" };
            return format!("{title}{state}, since block {}", round.opened().map_or(0, |at| at.block));
        };
        let mut line = format!(
            "{title}: {}, {:.1} s (blocks {} to {})",
            blocks(took),
            seconds(millis),
            opened.block,
            opened.block.saturating_add(took)
        );
        match round.more() {
            Some(more) if more > 0 => line += &format!(" · LATE, {} more than the least", blocks(more)),
            _ => {}
        }
        match round.empty_slots(self.slot) {
            0 => {}
            1 => line += " · 1 slot without a block",
            more => line += &format!(" · {more} slots without a block"),
        }
        line
    }

    fn stage(&self, stage: &Stage) -> String {
        let mut parts = self.grouped(stage.asked, &stage.words);
        for (at, note) in &stage.notes {
            parts.push(format!("block {}: {}", at.block, self.noted(note)));
        }
        if let Some((at, by)) = stage.ended {
            parts.push(self.ended(stage, at, by));
        }
        parts.extend(
            self.grouped(stage.asked, &stage.late).into_iter().map(|part| format!("after it was over: {part}")),
        );
        if parts.is_empty() {
            parts.push("nothing yet".into());
        }
        format!("  {}, asked for in block {}: {}", asked(stage.what), stage.asked.block, parts.join(" · "))
    }

    /// Words by the block in which they came.
    fn grouped(&self, from: At, words: &[Word]) -> Vec<String> {
        let mut by: BTreeMap<(At, bool), Vec<String>> = BTreeMap::new();
        for word in words {
            let said = match word.said {
                Said::Done => self.site(&word.who),
                Said::Fails(code) => {
                    format!("{} (its part will not come: {}: {})", self.site(&word.who), failure_name(code), why(code))
                }
                Said::Lacks { not_final: false } => format!("{} (lacks inputs)", self.site(&word.who)),
                Said::Lacks { not_final: true } => format!("{} (not final there)", self.site(&word.who)),
            };
            by.entry((word.at, word.ahead)).or_default().push(said);
        }
        let line = |((at, ahead), who): (&(At, bool), &Vec<String>)| {
            let (later, millis) = after(from, *at);
            let who = who.join(", ");
            if *ahead {
                let when = if later == 0 { String::new() } else { format!(", in block {}", at.block) };
                format!("with the vote before{when}: {who}")
            } else {
                format!("block {} (+{later}, {:.1} s): {who}", at.block, seconds(millis))
            }
        };
        by.iter().map(line).collect()
    }

    fn noted(&self, note: &Note) -> String {
        let list = |who: &[InstitutionId]| who.iter().map(|who| self.site(who)).collect::<Vec<_>>().join(", ");
        match note {
            Note::Extended(silent) => format!("its time was doubled, for {}", list(silent)),
            Note::Stood => "its clock stood: the freeze was not final for too many".into(),
            Note::WentOn => "its clock went on".into(),
            Note::Dropped(who, reason) => {
                let (why, code) = (why_dropped(*reason), dropped_name(*reason));
                format!("{}'s update was dropped: {why} ({code})", self.site(who))
            }
            Note::NotAwaited(who, before, back) => {
                let who = self.site(who);
                format!("{who} is not waited for until round {back}: nothing came from it in round {before} and in this one")
            }
            Note::FellBack(from, to) => format!("it fell back from the model of round {from} to that of {to}"),
            Note::Void(why) => format!("void, nothing came of it: {}", why_void(*why, self.names)),
        }
    }

    fn ended(&self, stage: &Stage, at: At, by: By) -> String {
        let (took, millis) = after(stage.asked, at);
        match by {
            By::Vote(who) if took > stage.least() => {
                format!("waited for {}: {}, {:.1} s", self.site(&who), blocks(took), seconds(millis))
            }
            By::Vote(who) => format!("ended with {}'s", self.site(&who)),
            By::Leaving => format!("ended in block {} when a member left", at.block),
            By::Deadline => {
                let what = match stage.what {
                    What::Updates | What::Statistics => "the end of its grace, without who was late",
                    What::Evaluation => "the block after the last figure, or its deadline",
                    _ => "its deadline",
                };
                format!("waited for {what}: {}, {:.1} s", blocks(took), seconds(millis))
            }
            By::There => format!("ended in block {}: enough sites were there", at.block),
            By::People => format!("ended in block {}: people let it go on", at.block),
            By::Pause(reason) => format!("paused in block {}: {}", at.block, why_paused(reason)),
            By::End(reason) => format!("the study ended in block {}: {}", at.block, why_aborted(reason)),
        }
    }

    /// What all rounds have in common.
    fn summary(&self, rounds: &[Round]) -> Vec<String> {
        let closed: Vec<&Round> =
            rounds.iter().filter(|round| matches!(round.which, Which::Round(_)) && round.closed.is_some()).collect();
        if closed.is_empty() {
            return vec!["no round of training has closed".into()];
        }
        let mut times: Vec<u64> = closed.iter().filter_map(|round| round.took()).map(|(_, millis)| millis).collect();
        times.sort_unstable();
        let at =
            |part: usize| times.get((times.len() * part).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        let late: Vec<String> = closed
            .iter()
            .filter(|round| round.more().is_some_and(|more| more > 0))
            .map(|round| format!("{} (+{})", which(round.which), round.more().unwrap_or_default()))
            .collect();
        let mut lines = vec![format!(
            "{} rounds: {} with the fewest blocks that they can have, {} late; seconds a round: median {:.1}, 95th percentile {:.1}, \
             longest {:.1}",
            closed.len(),
            closed.len() - late.len(),
            late.len(),
            seconds(at(50)),
            seconds(at(95)),
            seconds(at(100)),
        )];
        if !late.is_empty() {
            lines.push(format!("late: {}", late.join(", ")));
        }
        let mut waited: BTreeMap<String, u32> = BTreeMap::new();
        let stages = closed.iter().flat_map(|round| &round.stages);
        for stage in stages.filter(|stage| stage.blocks().is_some_and(|took| took > stage.least())) {
            let what = match stage.ended {
                Some((_, By::Vote(who))) => self.site(&who),
                Some((_, By::Deadline)) => "a deadline".into(),
                _ => continue,
            };
            *waited.entry(what).or_default() += 1;
        }
        if !waited.is_empty() {
            let list: Vec<String> = waited.iter().map(|(what, times)| format!("{what} {times}")).collect();
            lines.push(format!("phases that took longer waited for: {}", list.join(", ")));
        }
        lines
    }

    /// For programs. Times are milliseconds since 1970, of a block's slot.
    pub fn json(&self, rounds: &[Round]) -> Value {
        json!({
            "study": self.study,
            "phase": self.phase,
            "block": self.best,
            "slot_ms": self.slot,
            "rounds": rounds.iter().map(|round| self.round_json(round)).collect::<Vec<_>>(),
        })
    }

    fn round_json(&self, round: &Round) -> Value {
        let took = round.took();
        json!({
            "what": match round.which { Which::Round(_) => "round".into(), other => which(other) },
            "round": match round.which { Which::Round(round) => json!(round), _ => Value::Null },
            "opened": round.opened().map(place),
            "closed": round.closed.map(place),
            "blocks": took.map(|(blocks, _)| blocks),
            "seconds": took.map(|(_, millis)| seconds(millis)),
            "least_blocks": round.least(),
            "more_blocks": round.more(),
            "empty_slots": round.empty_slots(self.slot),
            "phases": round.stages.iter().map(|stage| self.stage_json(stage)).collect::<Vec<_>>(),
        })
    }

    fn stage_json(&self, stage: &Stage) -> Value {
        let words = |words: &[Word]| words.iter().map(|word| self.word_json(stage.asked, word)).collect::<Vec<_>>();
        let ended = stage.ended.map(|(at, by)| {
            let site = match by {
                By::Vote(who) => json!(self.site(&who)),
                _ => Value::Null,
            };
            let waited_for = match by {
                By::Vote(_) => "vote",
                By::Leaving => "leaving",
                By::Deadline => "deadline",
                By::There => "presence",
                By::People => "people",
                By::Pause(_) => "pause",
                By::End(_) => "end",
            };
            json!({ "at": place(at), "waited_for": waited_for, "site": site })
        });
        json!({
            "what": asked(stage.what),
            "asked": place(stage.asked),
            "votes": words(&stage.words),
            "votes_after": words(&stage.late),
            "notes": stage.notes.iter().map(|(at, note)| json!({ "block": at.block, "text": self.noted(note) })).collect::<Vec<_>>(),
            "blocks": stage.blocks(),
            "ended": ended,
        })
    }

    fn word_json(&self, from: At, word: &Word) -> Value {
        let (later, millis) = after(from, word.at);
        let (said, code) = match word.said {
            Said::Done => ("done", Value::Null),
            Said::Fails(code) => ("fails", json!(failure_name(code))),
            Said::Lacks { not_final: false } => ("lacks inputs", Value::Null),
            Said::Lacks { not_final: true } => ("not final", Value::Null),
        };
        json!({
            "site": self.site(&word.who), "block": word.at.block, "blocks_later": later, "seconds_later": seconds(millis),
            "said": said, "code": code, "ahead": word.ahead,
        })
    }
}

fn place(at: At) -> Value {
    json!({ "block": at.block, "time_ms": at.millis })
}
