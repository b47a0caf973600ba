//! A compiled runtime, asked without a node: its version, its slots, and the state that a chain begins with.

use crate::{shipped::RUNTIME, wasm_cache};
use codec::Decode;
use sc_executor::RuntimeVersionOf;
use sc_service::config::ExecutorConfiguration;
use serde_json::{json, Value};
use sp_core::{
    storage::{well_known_keys::CODE, Storage},
    traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode},
};
use sp_crypto_hashing::blake2_256;
use sp_state_machine::BasicExternalities;
use sp_version::RuntimeVersion;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Largest file that is read as a runtime, in bytes: a raw specification is twice its code, in hexadecimal.
const MOST_BYTES: u64 = 64 << 20;

/// Version of the metadata that is asked for.
const METADATA: u32 = 15;

/// A compiled runtime.
pub struct Runtime {
    /// Its bytes, as a chain keeps them.
    pub code: Vec<u8>,
    /// Where they come from, for people.
    pub from: String,
    executor: wasm_cache::Executor,
}

/// What `inspect-runtime` takes.
#[derive(Debug, clap::Args)]
pub struct InspectRuntime {
    /// A compiled runtime, or a raw chain specification that holds one. Left out: the one that ships with this program.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Folder in which what is compiled from it is kept.
    #[arg(long, value_name = "DIR")]
    pub wasm_cache: Option<PathBuf>,

    /// Print its metadata, too, of version 15: which calls it has, and of which types all is.
    #[arg(long)]
    pub metadata: bool,
}

impl InspectRuntime {
    /// Prints what a runtime says of itself, as JSON.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn run(&self) -> Result<(), String> {
        let runtime = Runtime::load(self.file.as_deref(), self.wasm_cache.as_deref())?;
        let mut said = runtime.describe()?;
        if self.metadata {
            said["metadata"] = json!(format!("0x{}", hex::encode(runtime.metadata()?)));
        }
        println!("{said}");
        Ok(())
    }
}

impl Runtime {
    /// Reads a runtime from a file, or takes the one that ships with this program.
    ///
    /// # Errors
    /// The file holds none; for people.
    pub fn load(file: Option<&Path>, cache: Option<&Path>) -> Result<Self, String> {
        let (code, from) = match file {
            Some(file) => (read(file)?, file.display().to_string()),
            None => (RUNTIME.to_vec(), format!("shipped with consilium-node {}", env!("CARGO_PKG_VERSION"))),
        };
        let cache = cache.map(wasm_cache::open).transpose()?;
        Ok(Self { code, from, executor: wasm_cache::executor(&ExecutorConfiguration::default(), cache) })
    }

    /// BLAKE2b-256 of the bytes.
    pub fn hash(&self) -> [u8; 32] {
        blake2_256(&self.code)
    }

    fn called<T>(&self, call: impl FnOnce(&RuntimeCode) -> T) -> T {
        let fetch = WrappedRuntimeCode(self.code.as_slice().into());
        call(&RuntimeCode { code_fetcher: &fetch, heap_pages: None, hash: self.hash().to_vec() })
    }

    fn call(&self, state: &mut BasicExternalities, method: &str, data: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.called(|code| self.executor.call(state, code, method, data, CallContext::Offchain).0);
        answer.map_err(|error| format!("{}: {method}: {error}", self.from))
    }

    /// Its version.
    ///
    /// # Errors
    /// It says none.
    pub fn version(&self) -> Result<RuntimeVersion, String> {
        let mut state = BasicExternalities::new_empty();
        let version = self.called(|code| self.executor.runtime_version(&mut state, code));
        version.map_err(|error| format!("{}: no runtime of a chain: {error}", self.from))
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// It does not.
    pub fn describe(&self) -> Result<Value, String> {
        let version = self.version()?;
        let slot = self.call(&mut BasicExternalities::new_empty(), "AuraApi_slot_duration", &[])?;
        let slot = u64::decode(&mut &slot[..]).map_err(|error| format!("{}: {error}", self.from))?;
        Ok(json!({
            "spec_name": version.spec_name,
            "spec_version": version.spec_version,
            "code_hash": format!("0x{}", hex::encode(self.hash())),
            "size": self.code.len(),
            "slot_millis": slot,
            "from": self.from,
        }))
    }

    /// Its metadata, of version [`METADATA`].
    ///
    /// # Errors
    /// It has none of that version.
    pub fn metadata(&self) -> Result<Vec<u8>, String> {
        let mut state = BasicExternalities::new_empty();
        let data = codec::Encode::encode(&METADATA);
        let answer = self.call(&mut state, "Metadata_metadata_at_version", &data)?;
        let found = Option::<Vec<u8>>::decode(&mut &answer[..]).map_err(|error| format!("{}: {error}", self.from))?;
        found.ok_or_else(|| format!("{}: has no metadata of version {METADATA}", self.from))
    }

    /// The state of block 0, with the code: the runtime's default configuration with a patch. A field of the patch that is an
    /// object is merged, anything else takes the default's place.
    ///
    /// # Errors
    /// The runtime takes no such configuration.
    pub fn genesis(&self, patch: Value) -> Result<Storage, String> {
        let what = |error: &dyn std::fmt::Display| format!("{}: the genesis cannot be built: {error}", self.from);
        let default = self.call(&mut BasicExternalities::new_empty(), "GenesisBuilder_get_preset", &[0])?;
        let default = Option::<Vec<u8>>::decode(&mut &default[..]).map_err(|error| what(&error))?;
        let mut whole: Value = serde_json::from_slice(&default.ok_or_else(|| what(&"it has no default"))?)
            .map_err(|error| what(&error))?;
        merge(&mut whole, patch);
        let mut state = BasicExternalities::new_empty();
        let data = codec::Encode::encode(&serde_json::to_string(&whole).map_err(|error| what(&error))?);
        let built = self.call(&mut state, "GenesisBuilder_build_state", &data)?;
        Result::<(), String>::decode(&mut &built[..]).map_err(|error| what(&error))?.map_err(|error| what(&error))?;
        let mut storage = state.into_storages();
        storage.top.insert(CODE.to_vec(), self.code.clone());
        Ok(storage)
    }
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let size = fs::metadata(file).map_err(|error| format!("{shown}: {error}"))?.len();
    if size > MOST_BYTES {
        return Err(format!("{shown}: is larger than any runtime"));
    }
    let bytes = fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
    if bytes.first() != Some(&b'{') {
        return Ok(bytes);
    }
    let spec: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{shown}: {error}"))?;
    let code = spec["genesis"]["raw"]["top"][format!("0x{}", hex::encode(CODE))].as_str();
    code.and_then(|text| hex::decode(text.trim_start_matches("0x")).ok())
        .ok_or_else(|| format!("{shown}: neither a compiled runtime nor a raw chain specification that holds one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_patch_takes_the_place_of_what_is_no_object() {
        let mut whole = json!({ "a": { "b": [1], "c": 2 }, "d": null });
        merge(&mut whole, json!({ "a": { "b": [3] }, "d": { "e": 1 }, "f": 4 }));
        assert_eq!(whole, json!({ "a": { "b": [3], "c": 2 }, "d": { "e": 1 }, "f": 4 }));
    }

    #[test]
    fn a_runtime_says_what_it_is_wherever_it_is_read_from() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = dir.path().join("cache");
        let own = Runtime::load(None, Some(&cache)).and_then(|runtime| runtime.describe()).expect("built in");
        assert_eq!(own["spec_name"], "consilium");
        assert_eq!(fs::metadata(&cache).expect("made").permissions().mode() & 0o777, 0o700);
        assert!(fs::read_dir(&cache).expect("a folder").count() > 0, "nothing is kept");
        let metadata = Runtime::load(None, Some(&cache)).and_then(|runtime| runtime.metadata()).expect("built in");
        assert!(metadata.starts_with(b"meta\x0f"), "{:?}", metadata.get(..5));
        let code = RUNTIME;
        let (wasm, spec) = (dir.path().join("r.wasm"), dir.path().join("spec.json"));
        fs::write(&wasm, code).expect("written");
        let top = json!({ "0x3a636f6465": format!("0x{}", hex::encode(code)) });
        fs::write(&spec, json!({ "genesis": { "raw": { "top": top } } }).to_string()).expect("written");
        for file in [wasm, spec] {
            let read = Runtime::load(Some(&file), Some(&cache)).and_then(|r| r.describe()).expect("a runtime");
            assert_eq!(read["code_hash"], own["code_hash"]);
            assert_eq!(read["from"], file.display().to_string());
        }
        fs::write(dir.path().join("none"), "no wasm").expect("written");
        let none = Runtime::load(Some(&dir.path().join("none")), None).and_then(|r| r.version());
        assert!(none.is_err_and(|text| text.contains("no runtime of a chain")));
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("its own");
        assert!(Runtime::load(None, Some(&cache)).is_err_and(|text| text.contains("chmod 700")));
    }
}
