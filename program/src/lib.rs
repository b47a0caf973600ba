//! What `consilium`, `consilium-node` and `ml-worker` have in common as programs: what `--version` says, examples of commands, and the
//! manual pages and shells' completions that packages bring.
#![forbid(unsafe_code)]

mod examples;
mod manuals;
mod version;

pub use examples::{with_examples, wrong_examples, Examples};
pub use manuals::Manuals;
pub use version::{Version, SDK};
