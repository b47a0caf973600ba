//! The compiled runtime that ships with this program.

/// Its bytes, as a chain keeps them: those of `chain-specs/consilium-runtime.wasm`, which `scripts/chain-specs.sh` makes of the
/// sources in `runtime/`. Everybody who has this version of the program founds with the same bytes, whatever compiler it was
/// built with.
pub static RUNTIME: &[u8] = include_bytes!("../../chain-specs/consilium-runtime.wasm");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found::Runtime;
    use sp_crypto_hashing::blake2_256;

    #[test]
    fn the_runtime_is_the_one_that_is_named_beside_it_and_of_the_version_that_this_program_knows() {
        let noted = include_str!("../../chain-specs/made-from.txt");
        let hash = format!("code 0x{}", hex::encode(blake2_256(RUNTIME)));
        assert!(noted.lines().any(|line| line == hash), "{hash} is not in chain-specs/made-from.txt:\n{noted}");
        let version = Runtime::load(None, None).and_then(|runtime| runtime.version()).expect("a runtime");
        // a compiled runtime lists its interfaces in another order
        let sorted = |mut version: sp_version::RuntimeVersion| {
            version.apis.to_mut().sort_unstable();
            version
        };
        assert_eq!(sorted(version), sorted(consilium_runtime::VERSION), "run scripts/chain-specs.sh");
    }

    #[test]
    fn it_names_no_folder_of_the_machine_that_built_it() {
        let code = sp_maybe_compressed_blob::decompress(RUNTIME, sp_maybe_compressed_blob::CODE_BLOB_BOMB_LIMIT);
        let code = String::from_utf8_lossy(&code.expect("it is packed")).into_owned();
        // what names files at all names them so, and a file of this house's own sources is among them
        assert!(code.contains("/consilium/runtime/src/"));
        let checkout = env!("CARGO_MANIFEST_DIR").trim_end_matches("node");
        for place in [checkout, "/root/", "/home/", "/usr/local/", ".cargo", ".rustup", "registry/src", "index."] {
            let found = code.find(place).map(|at| code[at..].chars().take(80).collect::<String>());
            assert_eq!(found, None, "made without scripts/chain-specs.sh?");
        }
    }
}
