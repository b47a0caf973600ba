//! What was measured, the two tables of it, and the bars.

use super::{play::View, world::Arm};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, ops::RangeInclusive};

/// What is found by chance above what can be found, at most.
const CHANCE: f64 = 0.01;

/// A line of the file of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Of the membership game.
    Membership(Membership),
    /// Of the read-off control.
    Read(Read),
}

/// One draw of the sites, one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// How studies trained.
    pub arm: String,
    /// The draw.
    pub seed: u64,
    /// Studies, shadows included.
    pub studies: u32,
    /// What was seen.
    pub view: View,
    /// Whether steps were whitened, too.
    pub whitened: bool,
    /// Area under the ROC curve.
    pub auc: f64,
    /// Share found at one false alarm in a hundred.
    pub found: f64,
}

/// One cell of the read-off control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// Hidden units.
    pub width: u32,
    /// Rows of each site.
    pub rows: usize,
    /// Sites whose steps were summed; 1: the site's own step.
    pub sites: usize,
    /// Runs.
    pub runs: u32,
    /// Share of the rows that were read.
    pub share: f64,
}

impl Record {
    /// Whether it is of this draw of the membership game.
    pub fn is_of(&self, arm: &str, seed: u64, studies: u32) -> bool {
        matches!(self, Self::Membership(m) if (m.arm.as_str(), m.seed, m.studies) == (arm, seed, studies))
    }

    /// Whether it is this cell of the read-off control.
    pub fn is_cell(&self, width: u32, rows: usize, sites: usize) -> bool {
        matches!(self, Self::Read(r) if (r.width, r.rows, r.sites) == (width, rows, sites))
    }

    /// Whether it belongs into the tables of these draws.
    pub fn is_asked(&self, seeds: &RangeInclusive<u64>, studies: u32) -> bool {
        match self {
            Self::Membership(m) => seeds.contains(&m.seed) && m.studies == studies,
            Self::Read(_) => true,
        }
    }
}

/// Mean, least and largest of several numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    fn of(numbers: &[f64]) -> Option<Self> {
        let least = numbers.iter().copied().reduce(f64::min)?;
        let most = numbers.iter().copied().reduce(f64::max)?;
        Some(Self { mean: numbers.iter().sum::<f64>() / numbers.len() as f64, least, most })
    }
}

/// AUC and share found over the draws of one arm, view and choice of figures.
pub fn spreads(records: &[Record], arm: &str, view: View, whitened: bool) -> Option<(Spread, Spread)> {
    let of: Vec<&Membership> = records
        .iter()
        .filter_map(|record| match record {
            Record::Membership(m) if m.arm == arm && m.view == view && m.whitened == whitened => Some(m),
            _ => None,
        })
        .collect();
    let auc: Vec<f64> = of.iter().map(|m| m.auc).collect();
    let found: Vec<f64> = of.iter().map(|m| m.found).collect();
    Some((Spread::of(&auc)?, Spread::of(&found)?))
}

fn share(records: &[Record], width: u32, rows: usize, sites: usize) -> Option<f64> {
    records.iter().find_map(|record| match record {
        Record::Read(r) if record.is_cell(width, rows, sites) => Some(r.share),
        _ => None,
    })
}

/// The table of the membership game.
pub fn membership(records: &[Record], arms: &[Arm]) -> String {
    let mut out = String::from(
        "Who was among the rows? AUC / share found at one false alarm in a hundred: mean (least to largest) over draws\n",
    );
    for arm in arms {
        for view in View::ALL {
            let _ = write!(out, "{:9} {:20}", arm.name(), view.name());
            for whitened in [false, true] {
                let text = spreads(records, arm.name(), view, whitened).map_or("-".to_owned(), |(auc, found)| {
                    format!(
                        "{:.3} ({:.3} to {:.3}) / {:.3} ({:.3} to {:.3})",
                        auc.mean, auc.least, auc.most, found.mean, found.least, found.most
                    )
                });
                let _ = write!(out, "  {}{text:50}", if whitened { "whitened " } else { "" });
            }
            if let Some(promise) = arm.promise() {
                let _ = write!(out, "  at ε {} nobody finds more than {:.3}", promise.epsilon, promise.found_at_most());
            }
            out.push('\n');
        }
    }
    out
}

/// The table of the read-off control.
pub fn read_off(records: &[Record], rows: &[usize], summed: &[usize], widths: &[u32]) -> String {
    let mut out = String::from(
        "\nShare of rows read off one exact step: own step of a site with so many rows | sum of three such sites\nwidth ",
    );
    rows.iter().for_each(|rows| {
        let _ = write!(out, "{rows:>6}");
    });
    out.push_str("   |");
    summed.iter().for_each(|rows| {
        let _ = write!(out, "{:>8}", format!("3 x {rows}"));
    });
    out.push('\n');
    for width in widths {
        let cell =
            |rows: &usize, sites| share(records, *width, *rows, sites).map_or("-".to_owned(), |x| format!("{x:.2}"));
        let _ = write!(out, "{width:<6}");
        rows.iter().for_each(|rows| {
            let _ = write!(out, "{:>6}", cell(rows, 1));
        });
        out.push_str("   |");
        summed.iter().for_each(|rows| {
            let _ = write!(out, "{:>8}", cell(rows, 3));
        });
        out.push('\n');
    }
    out
}

/// Bars that what was measured does not hold; what was not measured misses none.
pub fn missed(records: &[Record]) -> Vec<String> {
    let net = Arm::Net.name();
    let mut missed = Vec::new();
    let mut bar = |what: &str, value: Option<f64>, holds: fn(f64, f64) -> bool, limit: f64, words: &str| {
        if let Some(value) = value.filter(|value| !holds(*value, limit)) {
            missed.push(format!("  {what}: {value:.3}, must be {words} {limit:.3}"));
        }
    };
    let least: fn(f64, f64) -> bool = |value, limit| value >= limit;
    let most: fn(f64, f64) -> bool = |value, limit| value <= limit;
    // the control: where there is something to be found, the attack finds it
    let update = spreads(records, net, View::Update, false);
    bar("membership, the site's update, AUC", update.map(|(auc, _)| auc.mean), least, 0.70, "at least");
    bar("membership, the site's update, found", update.map(|(_, found)| found.mean), least, 0.10, "at least");
    for (whitened, name) in [(false, "membership, masked sum"), (true, "membership, masked sum, whitened")] {
        let sum = spreads(records, net, View::Sum, whitened);
        bar(&format!("{name}, AUC"), sum.map(|(auc, _)| auc.mean), most, 0.65, "at most");
        bar(&format!("{name}, found"), sum.map(|(_, found)| found.mean), most, 0.08, "at most");
    }
    let exact = spreads(records, Arm::Steps.name(), View::Update, false);
    bar("membership, steps, the site's update, AUC", exact.map(|(auc, _)| auc.mean), least, 0.70, "at least");
    for (arm, limit) in [(Arm::Epsilon2, 0.56), (Arm::Epsilon1, 0.54)] {
        let update = spreads(records, arm.name(), View::Update, false);
        bar(
            &format!("membership, {}, the site's update, AUC", arm.name()),
            update.map(|(auc, _)| auc.mean),
            most,
            limit,
            "at most",
        );
    }
    for (arm, promise) in Arm::PRIVATE.into_iter().filter_map(|arm| Some((arm, arm.promise()?))) {
        for (view, whitened) in View::ALL.into_iter().flat_map(|view| [(view, false), (view, true)]) {
            let found = spreads(records, arm.name(), view, whitened).map(|(_, found)| found.most);
            let what = format!(
                "membership, {}, {}{}, found",
                arm.name(),
                view.name(),
                if whitened { ", whitened" } else { "" }
            );
            bar(&what, found, most, promise.found_at_most() + CHANCE, "at most");
        }
    }
    bar("read off, width 256, 4 rows", share(records, 256, 4, 1), least, 0.90, "at least");
    bar("read off the masked sum of three, width 256, 4 rows each", share(records, 256, 4, 3), most, 0.15, "at most");
    missed
}
