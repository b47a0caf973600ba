//! Tests with real processes. Each network has eight to twelve; four networks at a time (`--test-threads=4`) leave two cores idle
//! but for the moments in which they start.
#![allow(clippy::unwrap_used)]

mod attached;
mod audit;
mod checks;
mod clock;
mod dashboard;
mod errors;
mod far;
mod faults;
mod hostile;
mod house;
mod json;
mod liars;
mod localnet;
mod lost;
mod masked;
mod own_model;
mod polkadot;
mod private;
mod readme;
mod refusals;
mod rejoin;
mod resume;
mod site;
mod story;
mod tutorial;
mod waits;

/// The study that ships, and its sites.
const STUDY: &str = "examples/breast-cancer/study.toml";
const SITES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "hospital-d"];
