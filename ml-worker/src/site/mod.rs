//! What the worker keeps on disk, and what its people allow it.

mod agreement;
mod home;
mod journal;
mod later;
mod ledger;
mod masks;
mod merges;
mod moved;
mod records;
mod settings;
mod store;
mod study;

pub use home::{group_key, read_secret, Home};
pub use later::{Later, EVERY as SETTLE_EVERY};
pub use ledger::OwnRows;
pub use masks::{Answered, Pairing, Source, Summed, Worked};
pub use merges::{Dissent, OwnMerge, What};
pub use settings::{Confinement, SiteError, Sites, StudySettings, TrainerSettings};
pub(crate) use store::random;
pub use store::{write_whole, Blobs};
pub(crate) use study::state_name;
pub use study::StudyKey;
