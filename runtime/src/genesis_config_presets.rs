//! Consortia to begin with: one institution for a desk, four for a local testnet.

use crate::{AccountId, ConsortiumConfig, RuntimeGenesisConfig, SessionConfig, SessionKeys};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// Institutions with well-known keys: never for real use.
fn consortium(institutions: &[(Sr25519Keyring, Ed25519Keyring, &str)]) -> Value {
    let account = |keyring: &Sr25519Keyring| -> AccountId { keyring.to_account_id() };
    build_struct_json_patch!(RuntimeGenesisConfig {
        consortium: ConsortiumConfig {
            institutions: institutions
                .iter()
                .map(|(who, _, name)| (account(who), name.as_bytes().to_vec(), true, true))
                .collect::<Vec<_>>(),
        },
        session: SessionConfig {
            keys: institutions
                .iter()
                .map(|(sr, ed, _)| {
                    let keys = SessionKeys {
                        aura: sr.public().into(),
                        grandpa: ed.public().into(),
                        swarm: sr.public().into(),
                    };
                    (account(sr), account(sr), keys)
                })
                .collect::<Vec<_>>(),
        },
    })
}

/// The genesis of a preset, as a patch of the default.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    use {Ed25519Keyring as E, Sr25519Keyring as S};
    let patch = match id.as_ref() {
        DEV_RUNTIME_PRESET => consortium(&[(S::Alice, E::Alice, "hospital-a")]),
        LOCAL_TESTNET_RUNTIME_PRESET => consortium(&[
            (S::Alice, E::Alice, "hospital-a"),
            (S::Bob, E::Bob, "hospital-b"),
            (S::Charlie, E::Charlie, "hospital-c"),
            (S::Dave, E::Dave, "hospital-d"),
        ]),
        _ => return None,
    };
    serde_json::to_vec(&patch).ok()
}

/// Presets there are.
pub fn preset_names() -> Vec<PresetId> {
    vec![PresetId::from(DEV_RUNTIME_PRESET), PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET)]
}
