//! The study specification: what a group of institutions agrees to train, on which columns, and how.
//!
//! * [`StudySpec`]: data schema, model and training, as people sign it; its [canonical form](StudySpec::canonical) is
//!   the one text of it that counts.
//! * [`StudyFile`]: what a person writes (TOML): the specification together with the wishes from which the chain's
//!   rules are computed.
//! * [`SiteFigures`]: what is measured of a finished study's model at a site, as it is signed and reported;
//! * [`initial_parameters`]: the model that training starts from, by the specification's seed or from a file that it names; [`random`]: the streams
//!   that its numbers come from.
//! * [`Attachments`]: the files that it names, which every participant needs.
//!
//! Nothing here reaches the runtime: to the chain a specification is opaque bytes with a hash.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod apart;
mod architecture;
mod attachments;
mod canonical;
mod data;
mod decimals;
mod documents;
mod error;
mod external;
mod figures;
mod file;
mod init;
mod initial;
mod layer;
mod limits;
mod link;
mod model;
mod named;
mod nodes;
mod optimizer;
mod preset;
mod privacy;
pub mod random;
mod spec;
mod training;
mod transfer;

pub use architecture::{Architecture, MAX_ACTIVATIONS};
pub use attachments::{attachment_note, Attachments, MAX_CODE_LEN};
pub use canonical::CanonicalError;
pub use data::{
    same_value, BadRows, Categorical, DataSpec, Decimal, Encoding, Features, Layout, Missing, MissingLabels, OneClass,
    Orientation, Others, Outcome, PictureKind, Pictures, Scaling, Task, Transform, Window,
};
pub use decimals::{fixed, signed};
pub use documents::Documents;
pub use error::SpecError;
pub use external::{tensor_line, External, Integers, Role};
pub use figures::{
    wilson, Bin, Curves, CutFigures, Difference, FiguresError, FiguresFile, Fit, MeasuredOn, ModelFigures, ReadError,
    Signed, SiteFigures, Verdict, CALIBRATION_BINS, FIGURES_VERSION, MIN_FOR_CURVES, ROC_STEPS,
};
pub use file::{BoundFile, Dataset, FileError, RuleName, RulesFile, ServerFile, ServerName, StudyFile, WeightingName};
pub use init::initial_parameters;
pub use initial::{roles, starting_parameters};
pub use layer::{Activation, Initializer, Layer, Pool};
pub use limits::MAX_PARAMETERS;
pub use model::Model;
pub use named::NamedFile;
pub use nodes::{Node, Op, Penalty, Start, Tensor};
pub use optimizer::{EpsilonForm, Optimizer};
pub use preset::Preset;
pub use privacy::{NoiseOf, PrivacySpec, SharedSum, SumsSpec};
pub use spec::{MaskedLens, StudySpec};
pub use training::{ClassWeights, Clip, EarlyStopping, Evaluation, Loss, Metric, Schedule, Training};
pub use transfer::Transfer;
