//! Initial parameters, local training, and what is measured. Pure functions of their arguments: files, duties and
//! sites are other modules' affair.

mod agreed;
pub mod candle;
pub mod curvature;
pub mod figures;
pub mod kernels;
mod learner;
pub mod loss;
pub mod memory;
pub mod metrics;
mod net;
mod optimize;
pub mod private;
pub mod real;
mod step;
mod train;

pub use agreed::{loss_micro, micro_of};
pub use consilium_study::initial_parameters;
pub use net::{logits, Chance, Net, NetError, Workspace};
pub use optimize::{OptimizerState, Penalties, Stepper};
pub use train::{logits_of, logits_on, objective, Added, Checkpoint, Halt, Keep, Seeds, Session, TrainError, Trained};
