//! Chains that the node knows by name, and those in files.

use crate::shipped;
use sc_service::{ChainType, GenericChainSpec};

/// The specification of a chain.
pub type ChainSpec = GenericChainSpec;

/// `dev`: one institution; `local`: four. Keys are well known: never for real use. Anything else is a file's path.
///
/// # Errors
/// The file is no specification.
pub fn load(id: &str) -> Result<ChainSpec, String> {
    match id {
        "dev" => Ok(preset("Consilium Development", "consilium_dev", ChainType::Development, sp_preset::DEV)),
        "" | "local" => Ok(preset("Consilium Local Testnet", "consilium_local", ChainType::Local, sp_preset::LOCAL)),
        path => ChainSpec::from_json_file(path.into())
            .map_err(|error| format!("--chain {path}: not a chain specification that this node can read: {error}")),
    }
}

/// Address format for chains without a registered one.
pub const SS58_FORMAT: u16 = 42;

/// Names of the runtime's presets.
mod sp_preset {
    pub const DEV: &str = "development";
    pub const LOCAL: &str = "local_testnet";
}

fn preset(name: &str, id: &str, kind: ChainType, preset: &str) -> ChainSpec {
    let mut properties = sc_service::Properties::new();
    properties.insert("ss58Format".into(), SS58_FORMAT.into());
    ChainSpec::builder(shipped::RUNTIME, None)
        .with_name(name)
        .with_id(id)
        .with_protocol_id("consilium")
        .with_chain_type(kind)
        .with_properties(properties)
        .with_genesis_config_preset_name(preset)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_runtime::{AccountId, Runtime, Session};
    use pallet_consortium::Institutions;
    use sp_runtime::BuildStorage;

    type Consortium = pallet_consortium::Pallet<Runtime>;

    fn institutions_of(chain: &str) -> Vec<(String, bool)> {
        let storage = load(chain).and_then(|spec| spec.build_storage()).expect("the preset builds");
        sp_io::TestExternalities::new(storage).execute_with(|| {
            let validators: Vec<AccountId> = Session::validators();
            let named = |(account, it): (AccountId, pallet_consortium::Institution)| {
                assert!(it.is_active_participant());
                (String::from_utf8_lossy(&it.name).into_owned(), validators.contains(&account))
            };
            <Consortium as Institutions<AccountId>>::all().into_iter().map(named).collect()
        })
    }

    #[test]
    fn the_local_testnet_is_four_hospitals_that_make_its_blocks() {
        let mut found = institutions_of("local");
        found.sort();
        let expected = ["hospital-a", "hospital-b", "hospital-c", "hospital-d"].map(|name| (name.to_owned(), true));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_development_chain_is_one_hospital() {
        assert_eq!(institutions_of("dev"), [("hospital-a".to_owned(), true)]);
    }

    #[test]
    fn the_shipped_specifications_are_what_the_preset_gives() {
        // scripts/chain-specs.sh mends what this test finds
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain-specs/");
        let storage = |spec: &ChainSpec| spec.build_storage().expect("it builds");
        let kind = |spec: &ChainSpec| sc_service::ChainSpec::chain_type(spec);
        let network = |spec: &ChainSpec| (spec.protocol_id().map(str::to_owned), spec.fork_id().map(str::to_owned));
        let preset = load("local").expect("the preset");
        let expected = storage(&preset);
        for name in ["local.json", "local-raw.json"] {
            let shipped = load(&format!("{folder}{name}")).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((shipped.name(), shipped.id()), (preset.name(), preset.id()), "{name}");
            assert_eq!(kind(&shipped), kind(&preset), "{name}");
            assert_eq!(shipped.properties(), preset.properties(), "{name}");
            assert_eq!(shipped.boot_nodes(), preset.boot_nodes(), "{name}");
            assert_eq!(network(&shipped), network(&preset), "{name}");
            let found = storage(&shipped);
            assert_eq!(found.top, expected.top, "{name}");
            assert_eq!(found.children_default, expected.children_default, "{name}");
        }
    }

    #[test]
    fn a_chain_that_cannot_be_read_is_named() {
        let Err(error) = load("no-such-file.json") else { panic!("a file that is not there was read") };
        assert!(error.contains("--chain no-such-file.json"), "{error}");
    }
}
