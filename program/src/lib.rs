//! What `consilium`, `consilium-node` and `ml-worker` have in common as programs: what `--version` says, and the manual pages and
//! shells' completions that packages bring.
#![forbid(unsafe_code)]

mod manuals;
mod version;

pub use manuals::Manuals;
pub use version::{Version, SDK};
