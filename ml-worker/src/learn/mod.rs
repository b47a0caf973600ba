//! Initial parameters, local training, and what is measured. Pure functions of their arguments: files, duties and
//! sites are other modules' affair.

mod init;
pub mod metrics;
mod net;
mod optimize;
mod train;

pub use init::initial_parameters;
pub use net::{logits, Net, NetError};
pub use optimize::OptimizerState;
pub use train::{loss_micro, train, Halt, Seeds, TrainError, Trained};
