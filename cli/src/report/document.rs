//! A report as one document: what its page shows, and what lies beside the page as JSON.
//!
//! Whatever others have written (names, titles, words) has its unseen characters spelt out. Nothing in it comes from a cell of a
//! table: names of columns and of classes are those of the specification that everybody has signed.

use super::{answers::Answers, faults::Fault, question::Question};
use crate::dashboard::state::{Member, Study, Sum};
use consilium_study::{CutFigures, Fit, SiteFigures, Verdict};
use serde::Serialize;

/// Version of this document.
pub const VERSION: u32 = 1;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// [`VERSION`].
    pub consilium_report: u32,
    /// By whom it was made, and of which state.
    pub made: Made,
    /// The study: members, closed rounds, certificate. As the dashboard has it.
    pub study: Study,
    /// What is asked.
    pub question: Question,
    /// Which rows it learned from, as far as all sites know.
    pub learned_from: LearnedFrom,
    /// Figures of the swarm's model beside each site's own, of the sites that are known; those that lose come first, and the others in the
    /// order of the members.
    pub figures: Vec<Told>,
    /// On rows that were held out from everyone, where there are any: `localnet run` alone has such.
    pub held_out: Option<HeldOut>,
    /// What did not go as it should.
    pub faults: Vec<Fault>,
    /// What could not be looked at, and why.
    pub unread: Vec<String>,
    /// What left the own institution in this study.
    pub left: Vec<Sum>,
    /// In short.
    pub answers: Answers,
    /// What it does not show.
    pub limits: Vec<String>,
}

/// By whom a report was made, and of which state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The institution that made it.
    pub by: String,
    /// Hash of the chain's block 0.
    pub genesis: String,
    /// The final block whose state it shows.
    pub block: u32,
    /// When that was made, milliseconds since 1970.
    pub at_ms: u64,
    /// BLAKE2b-256 of the specification.
    pub spec: String,
    /// Version of the program that made the report.
    pub program: String,
    /// Version of the node that was asked, where it tells.
    pub node: Option<String>,
    /// Version of the chain's runtime.
    pub runtime: Option<u64>,
    /// Whether it is of a network of `localnet run`, on one machine.
    pub localnet: bool,
}

/// Mean and spread of columns over all sites' training rows, which the study's merged statistics have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LearnedFrom {
    /// Why there are none here.
    pub missing: Option<String>,
    /// Of what they are, where that is not the value itself.
    pub of: Option<String>,
    /// The columns, in the order of the specification.
    pub columns: Vec<Column>,
    /// Columns of categories, of which nothing is merged.
    pub categories: Vec<String>,
}

/// A column over all sites' training rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Values that are not missing; 0 where no site has enough of them to tell others.
    pub values: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub deviation: Option<f64>,
}

/// Where a site's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// All models were trained and measured on the machine that all data lie on.
    OneMachine,
    /// The own worker, by a file that nobody signed.
    Own,
    /// The site, by a file that it signed.
    Signed,
}

/// One site's figures, and where they come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// The site.
    pub site: String,
    /// Where they come from.
    pub source: Source,
    /// Whether joining made its figure better.
    pub verdict: Verdict,
    /// The figures.
    pub figures: SiteFigures,
}

/// Figures on rows that were held out from everyone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeldOut {
    /// Rows.
    pub rows: u64,
    /// Rows of the positive class, of two classes.
    pub positives: Option<u64>,
    /// By model: `only NAME`, `swarm`, `central`.
    pub models: Vec<HeldOutModel>,
}

/// A model on rows that were held out from everyone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeldOutModel {
    /// Which.
    pub name: String,
    /// Log-loss.
    pub log_loss: Option<f64>,
    /// AUC; of several classes or labels their mean.
    pub auc: Option<f64>,
    /// 95 % interval of the AUC.
    pub auc_interval: Option<(f64, f64)>,
    /// From which probability on it says yes, by its own validation rows, the swarm's by those of all sites together; none of several
    /// classes, and where these are too few.
    pub cut: Option<f64>,
    /// Figures at that cut.
    pub at_cut: Option<CutFigures>,
    /// What stands in the AUC's place where the outcome is no class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
}

impl Document {
    /// The sites whose own model is better than the swarm's, by the interval.
    pub fn losing(&self) -> Vec<&str> {
        let losing = self.figures.iter().filter(|told| told.verdict == Verdict::Worse);
        losing.map(|told| told.site.as_str()).collect()
    }
}

/// Puts sites that lose first; otherwise in the order of the study's members.
pub fn sorted(mut figures: Vec<Told>, members: &[Member]) -> Vec<Told> {
    let place = |told: &Told| members.iter().position(|member| member.name == told.site);
    figures.sort_by_key(|told| (told.verdict != Verdict::Worse, place(told)));
    figures
}
