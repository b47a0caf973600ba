//! What was measured, the tables of it, and the bars.

use super::{
    exact::Setting,
    matching::{Cells, Search},
    play::View,
    world::Arm,
};
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
    /// Of the rows that are read off.
    Read(Read),
    /// Of the rows that are searched for.
    Matched(Matched),
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

/// Rows read off one exact step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// Who took the step.
    pub setting: Setting,
    /// Runs.
    pub runs: u32,
    /// Share of the rows that were read.
    pub share: f64,
}

/// Rows searched for by their gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// Who took the step.
    pub setting: Setting,
    /// Runs.
    pub runs: u32,
    /// How hard was searched.
    pub search: Search,
    /// Share of cells that were found.
    pub found: f64,
    /// Share of cells that are guessed.
    pub guessed: f64,
}

impl Record {
    /// Whether it is of this draw of the membership game.
    pub fn is_game(&self, arm: Arm, seed: u64, studies: u32) -> bool {
        matches!(self, Self::Membership(m) if (m.arm.as_str(), m.seed, m.studies) == (arm.name(), seed, studies))
    }

    /// Whether it is of so many runs of rows read off.
    pub fn is_read(&self, setting: Setting, runs: u32) -> bool {
        matches!(self, Self::Read(r) if (r.setting, r.runs) == (setting, runs))
    }

    /// Whether it is of so many runs of rows searched for.
    pub fn is_matched(&self, setting: Setting, runs: u32, search: Search) -> bool {
        matches!(self, Self::Matched(m) if (m.setting, m.runs, m.search) == (setting, runs, search))
    }

    /// Whether it belongs into the tables of these draws.
    pub fn is_asked(&self, seeds: &RangeInclusive<u64>, studies: u32) -> bool {
        match self {
            Self::Membership(m) => seeds.contains(&m.seed) && m.studies == studies,
            Self::Read(_) | Self::Matched(_) => true,
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
pub fn spreads(records: &[Record], arm: Arm, view: View, whitened: bool) -> Option<(Spread, Spread)> {
    let of: Vec<&Membership> = records
        .iter()
        .filter_map(|record| match record {
            Record::Membership(m) if m.arm == arm.name() && m.view == view && m.whitened == whitened => Some(m),
            _ => None,
        })
        .collect();
    let auc: Vec<f64> = of.iter().map(|m| m.auc).collect();
    let found: Vec<f64> = of.iter().map(|m| m.found).collect();
    Some((Spread::of(&auc)?, Spread::of(&found)?))
}

/// Rows read off. The last record of a setting counts: that of other runs than before stands behind it.
fn share(records: &[Record], setting: Setting) -> Option<f64> {
    records.iter().rev().find_map(|record| match record {
        Record::Read(r) if r.setting == setting => Some(r.share),
        _ => None,
    })
}

/// Cells found and guessed, likewise.
fn cells(records: &[Record], setting: Setting) -> Option<Cells> {
    records.iter().rev().find_map(|record| match record {
        Record::Matched(m) if m.setting == setting => Some(Cells { found: m.found, guessed: m.guessed }),
        _ => None,
    })
}

/// Which settings are tried: hidden units, rows of a site whose own step is seen, rows of each of three sites whose sum is seen.
pub struct Tried<'a> {
    /// Hidden units, one line each.
    pub widths: &'a [u32],
    /// Rows of one site.
    pub rows: &'a [usize],
    /// Rows of each of three sites.
    pub summed: &'a [usize],
}

impl Tried<'_> {
    /// All settings.
    pub fn settings(&self) -> Vec<Setting> {
        self.widths.iter().flat_map(|width| self.line(*width)).collect()
    }

    /// Those with so many hidden units.
    fn line(&self, width: u32) -> Vec<Setting> {
        let of = |rows: &[usize], sites: usize| -> Vec<Setting> {
            rows.iter().map(|rows| Setting { width, rows: *rows, sites }).collect()
        };
        [of(self.rows, 1), of(self.summed, 3)].concat()
    }

    /// A table with one line for each width, headed by what it shows.
    fn table(&self, head: &str, lines: &[(String, Vec<Option<f64>>)]) -> String {
        let mut out = format!("\n{head}\n{:<16}", "hidden units");
        self.rows.iter().for_each(|rows| {
            let _ = write!(out, "{rows:>6}");
        });
        out.push_str("   |");
        self.summed.iter().for_each(|rows| {
            let _ = write!(out, "{:>8}", format!("3 x {rows}"));
        });
        for (name, values) in lines {
            let _ = write!(out, "\n{name:<16}");
            for (place, value) in values.iter().enumerate() {
                let text = value.map_or("-".to_owned(), |value| format!("{value:.2}"));
                let summed = place >= self.rows.len();
                let _ = match (place == self.rows.len(), summed) {
                    (true, _) => write!(out, "   |{text:>8}"),
                    (false, true) => write!(out, "{text:>8}"),
                    (false, false) => write!(out, "{text:>6}"),
                };
            }
        }
        out.push('\n');
        out
    }

    fn read_off(&self, records: &[Record]) -> String {
        let mut lines: Vec<(String, Vec<Option<f64>>)> = Vec::new();
        for width in self.widths {
            let values = self.line(*width).into_iter().map(|setting| share(records, setting));
            lines.push((width.to_string(), values.collect()));
        }
        self.table(
            "Share of rows read off one exact step: own step of a site with so many rows | masked sum of three such sites",
            &lines,
        )
    }

    fn matched(&self, records: &[Record]) -> String {
        let mut lines: Vec<(String, Vec<Option<f64>>)> = Vec::new();
        for width in self.widths {
            let values = self.line(*width).into_iter().map(|setting| Some(cells(records, setting)?.found));
            lines.push((width.to_string(), values.collect()));
        }
        // the same for all widths
        if let Some(width) = self.widths.first() {
            let values = self.line(*width).into_iter().map(|setting| Some(cells(records, setting)?.guessed));
            lines.push(("guessing".into(), values.collect()));
        }
        self.table("Share of cells right by gradient matching, likewise", &lines)
    }
}

fn membership(records: &[Record], arms: &[Arm]) -> String {
    let mut out = String::from(
        "Who was among the rows? AUC / share found at one false alarm in a hundred: mean (least to largest) over draws\n",
    );
    for arm in arms {
        for view in View::ALL {
            let _ = write!(out, "{:9} {:20}", arm.name(), view.name());
            for whitened in [false, true] {
                let text = spreads(records, *arm, view, whitened).map_or("-".to_owned(), |(auc, found)| {
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

/// All tables, and the bars.
pub fn tables(records: &[Record], read: &Tried<'_>, matched: &Tried<'_>) -> String {
    membership(records, &Arm::PLAIN) + &read.read_off(records) + &matched.matched(records) + &lines(records)
}

/// The table of private studies, and the bars.
pub fn private(records: &[Record]) -> String {
    membership(records, &Arm::PRIVATE) + &lines(records)
}

fn lines(records: &[Record]) -> String {
    let mut out = String::from("\nBars\n");
    bars(records).iter().for_each(|bar| out.push_str(&bar.line()));
    out
}

/// What a figure must be, and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The figure.
    pub what: String,
    /// What was measured.
    pub value: f64,
    /// Whether it must be at least the limit; else at most.
    pub least: bool,
    /// The limit.
    pub limit: f64,
}

impl Bar {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        if self.least {
            self.value >= self.limit
        } else {
            self.value <= self.limit
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Self { what, value, limit, .. } = self;
        let (words, end) =
            (if self.least { "at least" } else { "at most" }, if self.holds() { "holds" } else { "MISSED" });
        format!("  {what}: {value:.3}, {words} {limit:.3}: {end}\n")
    }
}

/// All bars of what was measured; what was not measured has none.
pub fn bars(records: &[Record]) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut bar = |what: String, value: Option<f64>, least: bool, limit: f64| {
        bars.extend(value.map(|value| Bar { what, value, least, limit }));
    };
    // the control: where there is something to be found, the attack finds it
    let update = spreads(records, Arm::Net, View::Update, false);
    bar("membership, the site's update, AUC".into(), update.map(|(auc, _)| auc.mean), true, 0.70);
    bar("membership, the site's update, found".into(), update.map(|(_, found)| found.mean), true, 0.10);
    for (whitened, name) in [(false, "membership, masked sum"), (true, "membership, masked sum, whitened")] {
        let sum = spreads(records, Arm::Net, View::Sum, whitened);
        bar(format!("{name}, AUC"), sum.map(|(auc, _)| auc.mean), false, 0.65);
        bar(format!("{name}, found"), sum.map(|(_, found)| found.mean), false, 0.08);
    }
    let exact = spreads(records, Arm::Steps, View::Update, false);
    bar("membership, steps, the site's update, AUC".into(), exact.map(|(auc, _)| auc.mean), true, 0.70);
    for (arm, limit) in [(Arm::Epsilon2, 0.56), (Arm::Epsilon1, 0.54)] {
        let update = spreads(records, arm, View::Update, false);
        let what = format!("membership, {}, the site's update, AUC", arm.name());
        bar(what, update.map(|(auc, _)| auc.mean), false, limit);
    }
    // of every draw and view: what was seen is made of what the promise is about
    for (arm, promise) in Arm::PRIVATE.into_iter().filter_map(|arm| Some((arm, arm.promise()?))) {
        for (view, whitened) in View::ALL.into_iter().flat_map(|view| [(view, false), (view, true)]) {
            let found = spreads(records, arm, view, whitened).map(|(_, found)| found.most);
            let end = if whitened { ", whitened" } else { "" };
            let what = format!("membership, {}, {}{end}, found in any draw", arm.name(), view.name());
            bar(what, found, false, promise.found_at_most() + CHANCE);
        }
    }
    let four = |sites| Setting { width: 256, rows: 4, sites };
    bar("read off, 256 hidden units, 4 rows".into(), share(records, four(1)), true, 0.90);
    bar("read off the masked sum of three, 256 hidden units, 4 rows each".into(), share(records, four(3)), false, 0.15);
    let alone = cells(records, Setting { width: 16, rows: 1, sites: 1 });
    bar("matching, 16 hidden units, 1 row, cells".into(), alone.map(|cells| cells.found), true, 0.90);
    bars
}
