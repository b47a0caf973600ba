//! The worker of one institution: trains, merges and evaluates, for this site's node alone.
//!
//! * [`data`]: the site's rows; [`learn`]: the network and what is measured; [`random`]: where chance comes from.
//! * [`external`]: a study's model that a program of its own trains.
//! * [`site`]: what the worker keeps on disk, and what its people allow it.
//! * [`server`]: takes duties from the node, does them, remembers what came out.
//! * [`simulate`]: the same study as a plain loop in one process; [`compare`]: swarm, local-only and central side by
//!   side, where all data lie on one machine; [`over_seeds`]: that over many seeds.
//! * [`onnx`]: a model as a file for programs that know nothing of this one.
//! * [`scratch`]: where patients' data may lie for a while.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod compare;
pub mod data;
pub mod desk;
pub mod external;
pub mod learn;
pub mod onnx;
pub mod over_seeds;
pub mod scratch;
pub mod server;
pub mod simulate;
pub mod site;

pub use consilium_study::random;
