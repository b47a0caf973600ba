//! How large a model can be.

/// Most layers, those of residual blocks counted.
pub const MAX_LAYERS: usize = 256;
/// Deepest nesting of residual blocks.
pub const MAX_DEPTH: usize = 4;
/// Most units, filters, or pixels along one side.
pub const MAX_UNITS: u32 = 65_536;
/// Most parameters of a model.
pub const MAX_PARAMETERS: u64 = 200_000_000;
