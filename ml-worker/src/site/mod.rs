//! What the worker keeps on disk, and what its people allow it.

mod home;
mod merges;
mod settings;
mod store;

pub use home::{group_key, read_secret, Home};
pub use merges::{Dissent, OwnMerge, What};
pub use settings::{SiteError, Sites, StudySettings};
pub use store::{write_whole, Blobs};
