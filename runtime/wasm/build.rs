//! With the feature `build`, compiles the runtime to wasm.

fn main() {
    #[cfg(feature = "build")]
    {
        let runtime = std::fs::canonicalize("../Cargo.toml").expect("the runtime lies beside this crate");
        let builder = substrate_wasm_builder::WasmBuilder::new().with_project(runtime).expect("it is a crate");
        builder.export_heap_base().import_memory().build();
    }
}
