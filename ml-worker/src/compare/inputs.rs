//! What is compared.

use crate::{
    data::{Split, Table},
    external::Engine,
    simulate::{Site, Swarm},
};
use consilium_aggregation::Statistics;
use consilium_study::StudySpec;

/// What is compared.
pub struct Inputs<'a> {
    /// The spec.
    pub spec: &'a StudySpec,
    /// Rounds that were run: every arm trains for as many.
    pub rounds: u32,
    /// Sites.
    pub sites: &'a [Site],
    /// Their splits.
    pub splits: &'a [Split],
    /// Each site's own held-out table; where there is none, its validation rows are used.
    pub tests: &'a [Option<Table>],
    /// Rows held out from everyone.
    pub held_out: Option<&'a Table>,
    /// The study's model.
    pub swarm: Swarm<'a>,
    /// Merged statistics of the study.
    pub statistics: Option<&'a Statistics>,
    /// What trains, where that is not this program alone.
    pub engine: &'a Engine,
}
