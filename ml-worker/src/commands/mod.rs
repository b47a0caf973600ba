//! What the program's commands do.

pub mod desk;
mod inspect;
pub mod seeds;
