//! The compiled runtime, kept on disk, and the executor that uses it.

use sc_executor::{HeapAllocStrategy, WasmExecutor, DEFAULT_HEAP_ALLOC_STRATEGY};
use sc_service::config::ExecutorConfiguration;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Runs the runtime's wasm.
pub type Executor = WasmExecutor<sp_io::SubstrateHostFunctions>;

/// Makes the folder for its owner alone where it is not there, and gives its absolute path.
///
/// # Errors
/// It cannot be made, or somebody else could put machine code into it; for people.
pub fn open(dir: &Path) -> Result<PathBuf, String> {
    let named = |error: io::Error| format!("--wasm-cache {}: {error}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(named)?;
    let dir = dir.canonicalize().map_err(named)?;
    // wasmtime's own folder below it counts as well, where an earlier start has made one
    for folder in [dir.clone(), dir.join("wasmtime")] {
        let found = match fs::metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != dir => continue,
            found => found.map_err(named)?,
        };
        let mode = found.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(format!(
                "--wasm-cache {path}: its mode is {mode:04o}, so others can put code there that this node would run: delete \
                 what is in it and `chmod 700 {path}`",
                path = folder.display()
            ));
        }
        let own = fs::metadata("/proc/self").map_err(named)?.uid();
        if found.uid() != own {
            return Err(format!(
                "--wasm-cache {}: it belongs to user {}, who could put code there that this node, user {own}, would run: \
                 name a folder of this user",
                folder.display(),
                found.uid()
            ));
        }
    }
    Ok(dir)
}

/// The executor that is asked for, with what it compiles kept in `cache`.
#[must_use]
pub fn executor(config: &ExecutorConfiguration, cache: Option<PathBuf>) -> Executor {
    let pages = config.default_heap_pages.and_then(|pages| u32::try_from(pages).ok());
    let heap = pages.map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |extra_pages| HeapAllocStrategy::Static { extra_pages });
    let builder = Executor::builder()
        .with_execution_method(config.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(config.max_runtime_instances)
        .with_runtime_cache_size(config.runtime_cache_size);
    match cache {
        Some(cache) => builder.with_cache_path(cache),
        None => builder,
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    #[test]
    fn the_folder_is_made_for_its_owner_alone_and_refused_where_others_can_write() {
        let base = tempfile::tempdir().expect("a folder");
        let dir = base.path().join("some").join("where");
        let made = open(&dir).expect("made");
        assert!(made.is_absolute());
        assert_eq!(fs::metadata(&dir).expect("there").mode() & 0o777, 0o700);
        assert_eq!(open(&dir), Ok(made));
        for mode in [0o770, 0o702, 0o777] {
            fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("its own");
            let text = open(&dir).expect_err("refused");
            assert!(text.contains(&format!("{mode:04o}")) && text.contains("chmod 700"), "{text}");
        }
        fs::set_permissions(&dir, Permissions::from_mode(0o750)).expect("its own");
        assert!(open(&dir).is_ok());
        fs::create_dir(dir.join("wasmtime")).expect("made");
        fs::set_permissions(dir.join("wasmtime"), Permissions::from_mode(0o775)).expect("its own");
        assert!(open(&dir).is_err_and(|text| text.contains("wasmtime")));
        assert!(open(Path::new("/proc/nowhere")).is_err_and(|text| text.contains("--wasm-cache /proc/nowhere")));
    }
}
