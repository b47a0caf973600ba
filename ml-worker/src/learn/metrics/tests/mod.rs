#![allow(clippy::unwrap_used)]

mod behaviour;
mod golden;
