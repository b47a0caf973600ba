//! Under which name the courier logs.

/// Target of the courier's log lines.
pub const LOG: &str = "courier";
