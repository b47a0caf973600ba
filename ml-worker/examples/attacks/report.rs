//! What was measured, and its statistics.

use super::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Name of the run in which nobody lies.
pub const HONEST: &str = "none";
/// Names of the runs of the false alarm.
pub const ALARMS: [&str; 2] = ["rare", "shifted"];

/// One study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Seed.
    pub seed: u64,
    /// Sites.
    pub sites: usize,
    /// Liars among them, or that the rule is to tolerate.
    pub liars: usize,
    /// The first liar.
    pub turn: Option<usize>,
    /// The attack.
    pub attack: String,
    /// The rule.
    pub rule: String,
    /// AUC, or share of right answers.
    pub score: f64,
    /// Mean recall of the classes; of a false alarm, on rows like the odd site's.
    pub balanced: f64,
    /// Share of the stamped rows that were taken for the target.
    pub fooled: Option<f64>,
    /// Of a false alarm: how much of the odd site is heard.
    pub heard: Option<f64>,
}

/// Of several numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// The least of them that 95 % do not exceed.
    pub high: f64,
    /// The largest.
    pub worst: f64,
}

impl Spread {
    /// `None` of no numbers.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let worst = *numbers.last()?;
        let place = (numbers.len() * 95).div_ceil(100).saturating_sub(1);
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        Some(Self { mean, high: numbers.get(place).copied().unwrap_or(worst), worst })
    }
}

/// What one study lost against the honest mean of the same seed and sites.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The first liar; none where nobody lies.
    pub turn: Option<usize>,
    /// What is left: AUC, or share of right answers.
    pub left: f64,
    /// What of it was lost.
    pub score: f64,
    /// Mean recall of the classes.
    pub balanced: f64,
    /// By how much more of the stamped rows were taken for the target.
    pub fooled: Option<f64>,
    /// The share of the honest mean's model.
    pub fooled_honest: Option<f64>,
}

/// All losses, by sites, rule and attack.
pub struct Losses<'r> {
    by: HashMap<(usize, &'static str), HashMap<&'r str, Vec<Loss>>>,
}

impl<'r> Losses<'r> {
    /// Of these studies, false alarms left out.
    pub fn of(records: &'r [Record]) -> Self {
        let mean = |r: &&Record| r.rule == Rule::Mean.name() && r.attack == HONEST;
        let honest: HashMap<(u64, usize), &Record> =
            records.iter().filter(mean).map(|r| ((r.seed, r.sites), r)).collect();
        let names: HashMap<&str, &'static str> = Rule::ALL.iter().map(|rule| (rule.name(), rule.name())).collect();
        let mut by: HashMap<_, HashMap<&str, Vec<Loss>>> = HashMap::new();
        for r in records {
            let Some(against) = honest.get(&(r.seed, r.sites)).filter(|_| r.heard.is_none()) else { continue };
            let Some(rule) = names.get(r.rule.as_str()) else { continue };
            by.entry((r.sites, *rule)).or_default().entry(&r.attack).or_default().push(Loss {
                turn: r.turn,
                left: r.score,
                score: against.score - r.score,
                balanced: against.balanced - r.balanced,
                fooled: r.fooled.zip(against.fooled).map(|(own, honest)| own - honest),
                fooled_honest: against.fooled,
            });
        }
        Self { by }
    }

    /// Those of one rule under one attack; none where it was not run.
    pub fn at(&self, sites: usize, rule: Rule, attack: &str) -> &[Loss] {
        let attacks = self.by.get(&(sites, rule.name()));
        attacks.and_then(|attacks| attacks.get(attack)).map_or(&[], Vec::as_slice)
    }
}
