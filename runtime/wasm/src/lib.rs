//! Nothing: with the feature `build`, this crate's build script compiles the runtime to wasm. What came out of it last lies in
//! `chain-specs/`, and is what the node carries, so that a build of the programs needs no wasm target.
