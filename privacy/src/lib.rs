//! How much all studies together can tell about one record, or one patient.
//!
//! * [`Mechanism`]: what steps of DP-SGD cost, and [`calibrate`]: the noise that keeps an agreed ε;
//! * [`spend`]: a round's cost in the whole numbers that a ledger adds up, and [`epsilon_micro`]: what their sum stands for;
//! * [`Ledger`]: what was spent on one data set, each line bound to the one before it, and whether a limit lets more through;
//! * [`SharedNoise`]: what each site of a masked sum adds, so that the sum has all of the noise;
//! * [`words`]: how people are told.
//!
//! Nothing here reads or writes a file. Arithmetic is of sums, products and quotients of `f64` in a fixed order, with powers and
//! logarithms of its own: every machine finds the same numbers, and whole ones are rounded up.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod accountant;
mod double;
mod ledger;
mod shared;
mod spend;
pub mod words;

pub use accountant::{calibrate, Mechanism, MAX_STEPS, ORDERS};
pub use ledger::{dataset_name, seed_hash, Ask, Damaged, Entry, Ledger, Refused};
pub use shared::{SharedNoise, LEAST_UNITS};
pub use spend::{constants, epsilon_micro, spend, sum, Spend, LEDGER_ORDERS};

use serde::{Deserialize, Serialize};

/// Whom a promise is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One row of the table.
    #[default]
    Record,
    /// All rows of one patient, as the study's group column says.
    Patient,
}
