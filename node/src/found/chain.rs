//! A chain's specification in a file: its bytes, its genesis hash, and in what two of them differ.

use crate::chain_spec::ChainSpec;
use consilium_runtime::{opaque::Block, AllPalletsWithSystem};
use frame_support::traits::StorageInfoTrait;
use sc_chain_spec::construct_genesis_block;
use serde_json::{json, Value};
use sp_core::{
    storage::{well_known_keys::CODE, StateVersion, Storage},
    H256,
};
use sp_crypto_hashing::blake2_256;
use sp_runtime::{traits::Block as _, BuildStorage};
use sp_state_machine::BasicExternalities;
use std::{collections::BTreeSet, path::PathBuf};

/// What `inspect-chain` takes.
#[derive(Debug, clap::Args)]
pub struct InspectChain {
    /// A chain's specification.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

impl InspectChain {
    /// Prints what a raw specification holds, as JSON: `name`, `id`, `genesis` and `code_hash`.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn run(&self) -> Result<(), String> {
        let spec = ChainSpec::from_json_file(self.file.clone())
            .map_err(|error| format!("{}: no chain specification: {error}", self.file.display()))?;
        let storage = spec.build_storage().map_err(|error| format!("{}: {error}", self.file.display()))?;
        let code = storage.top.get(CODE).ok_or_else(|| format!("{}: holds no runtime", self.file.display()))?;
        let code_hash = format!("0x{}", hex::encode(blake2_256(code)));
        let genesis = format!("{:?}", genesis_hash(storage)?);
        println!("{}", json!({ "name": spec.name(), "id": spec.id(), "genesis": genesis, "code_hash": code_hash }));
        Ok(())
    }
}

/// Hash of block 0 of a chain that begins with this state.
///
/// # Errors
/// The state has no root; never with a state that was built.
pub fn genesis_hash(storage: Storage) -> Result<H256, String> {
    // the runtime's system_version is 1, which gives this version of the state
    let version = StateVersion::V1;
    let root = BasicExternalities::new(storage).execute_with(|| sp_io::storage::root(version));
    let root = <[u8; 32]>::try_from(root.as_slice()).map_err(|_| "the genesis state has no root".to_owned())?;
    Ok(construct_genesis_block::<Block>(root.into(), version).header().hash())
}

/// In what two specifications differ, for people, each difference once. Never empty: where the content is the same, the way it
/// is written is not.
pub fn differences(ours: &[u8], theirs: &[u8]) -> Vec<String> {
    let Ok(theirs) = serde_json::from_slice::<Value>(theirs) else {
        return vec!["the file is no chain specification: it is no JSON".into()];
    };
    let ours: Value = serde_json::from_slice(ours).unwrap_or_default();
    let mut found = Vec::new();
    for (field, name) in [
        ("name", "the name"),
        ("id", "the id"),
        ("chainType", "the kind of chain"),
        ("bootNodes", "the nodes that are dialled first"),
        ("protocolId", "the protocol id"),
        ("forkId", "the fork id"),
        ("properties", "the properties"),
        ("telemetryEndpoints", "where telemetry goes"),
        ("codeSubstitutes", "runtimes that take the chain's place"),
    ] {
        if ours[field] != theirs[field] {
            found.push(format!("{name}: here {}, in the file {}", short(&ours[field]), short(&theirs[field])));
        }
    }
    let top = |spec: &Value| spec["genesis"]["raw"]["top"].as_object().cloned().unwrap_or_default();
    let (here, there) = (top(&ours), top(&theirs));
    let code = format!("0x{}", hex::encode(CODE));
    let hash = |value: Option<&Value>| {
        let bytes = value.and_then(Value::as_str).and_then(|text| hex::decode(text.trim_start_matches("0x")).ok());
        bytes.map_or_else(|| "none".into(), |bytes| format!("0x{}", hex::encode(blake2_256(&bytes))))
    };
    if here.get(&code) != there.get(&code) {
        let (ours, theirs) = (hash(here.get(&code)), hash(there.get(&code)));
        found.push(format!(
            "the runtime: here its hash is {ours}, in the file {theirs}; compare again with --runtime and the file of the \
             version that the others use"
        ));
    }
    let keys: BTreeSet<&String> = here.keys().chain(there.keys()).filter(|key| **key != code).collect();
    let mut places: Vec<String> = Vec::new();
    for key in keys {
        let place = place(key);
        if here.get(key) != there.get(key) && !places.contains(&place) {
            places.push(place);
        }
    }
    found.extend(places.into_iter().map(|place| format!("the genesis: {place}")));
    if ours["genesis"]["raw"]["childrenDefault"] != theirs["genesis"]["raw"]["childrenDefault"] {
        found.push("the genesis: child tries".into());
    }
    if found.is_empty() {
        found.push("the way it is written, or fields that no specification of this program has".into());
    }
    found
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 100 {
        return text;
    }
    format!("{}…", text.chars().take(100).collect::<String>())
}

/// Which pallet keeps a value under a raw key, and as what.
fn place(key: &str) -> String {
    let bytes = hex::decode(key.trim_start_matches("0x")).unwrap_or_default();
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let items = AllPalletsWithSystem::storage_info();
    match items.iter().find(|item| bytes.starts_with(&item.prefix)) {
        Some(item) => format!("{} of the pallet {}", name(&item.storage_name), name(&item.pallet_name)),
        None => format!("a value that no pallet of this version keeps, {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Value {
        let storage = crate::chain_spec::load("local").and_then(|spec| spec.as_json(true)).expect("the preset");
        serde_json::from_str(&storage).expect("JSON")
    }

    #[test]
    fn what_differs_is_named() {
        let ours = spec();
        let compare = |change: &dyn Fn(&mut Value)| {
            let mut theirs = ours.clone();
            change(&mut theirs);
            differences(&serde_json::to_vec(&ours).expect("JSON"), &serde_json::to_vec(&theirs).expect("JSON"))
        };
        let one = |change: &dyn Fn(&mut Value), says: &str| {
            let found = compare(change);
            assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
        };
        one(&|_| (), "the way it is written");
        one(&|spec| spec["name"] = "x".into(), "the name");
        one(&|spec| spec["bootNodes"] = json!(["/ip4/1.2.3.4/tcp/1/p2p/x"]), "dialled first");
        one(&|spec| spec["genesis"]["raw"]["top"]["0x3a636f6465"] = "0x00".into(), "--runtime");
        let key = |pallet: &str, item: &str| {
            let twox = sp_crypto_hashing::twox_128;
            format!("0x{}", hex::encode([twox(pallet.as_bytes()), twox(item.as_bytes())].concat()))
        };
        let planned = key("Consortium", "PlannedValidators");
        one(
            &|spec| spec["genesis"]["raw"]["top"][&planned] = "0x00".into(),
            "PlannedValidators of the pallet Consortium",
        );
        // two entries of one map are one difference
        let map = key("Consortium", "Institutions");
        let two = |spec: &mut Value| {
            for end in ["00", "01"] {
                spec["genesis"]["raw"]["top"][format!("{map}{end}")] = "0x00".into();
            }
        };
        one(&two, "Institutions of the pallet Consortium");
        one(&|spec| spec["genesis"]["raw"]["top"]["0xabcd"] = "0x00".into(), "0xabcd");
        let both = |spec: &mut Value| {
            spec["id"] = "x".into();
            spec["genesis"]["raw"]["top"]["0xabcd"] = "0x00".into();
        };
        assert_eq!(compare(&both).len(), 2);
        assert!(differences(b"{}", b"no JSON")[0].contains("no JSON"));
    }

    #[test]
    fn the_genesis_hash_is_the_one_that_the_client_computes() {
        // what sc-service does when it makes a database
        let spec = crate::chain_spec::load("dev").expect("the preset");
        let backend = std::sync::Arc::new(sc_client_api::in_mem::Backend::<Block>::new());
        let executor = sc_executor::WasmExecutor::<sp_io::SubstrateHostFunctions>::builder().build();
        let builder = sc_chain_spec::GenesisBlockBuilder::new(&spec, true, backend, executor).expect("a builder");
        let (block, _) = sc_chain_spec::BuildGenesisBlock::build_genesis_block(builder).expect("a block");
        let storage = spec.build_storage().expect("it builds");
        assert_eq!(genesis_hash(storage), Ok(block.header().hash()));
    }
}
