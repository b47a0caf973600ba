//! `consilium-node make-keys`: session keys for an account, with the proof that this node has them.

use codec::Encode;
use consilium_runtime::SessionKeys;
use sc_keystore::LocalKeystore;
use serde_json::json;
use sp_keystore::KeystoreExt;
use sp_state_machine::BasicExternalities;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

/// What `make-keys` takes.
#[derive(Debug, clap::Args)]
pub struct MakeKeys {
    /// Folder for the keys, as --keystore-path of the node; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub keystore_path: PathBuf,

    /// The account that they are for: its 32 bytes, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    pub owner: String,
}

impl MakeKeys {
    /// Makes three keys and prints them: one line of JSON, `{"keys":"0x…","proof":"0x…"}`, SCALE of the runtime's `SessionKeys`
    /// and of the signatures by each. The process's umask must keep others out of new files.
    ///
    /// # Errors
    /// The folder cannot be used, or the owner is no account; for people.
    pub fn run(&self) -> Result<(), String> {
        let (keys, proof) = self.make()?;
        let line = json!({ "keys": format!("0x{}", hex::encode(keys)), "proof": format!("0x{}", hex::encode(proof)) });
        println!("{line}");
        Ok(())
    }

    fn make(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let mut owner = [0; 32];
        hex::decode_to_slice(self.owner.trim_start_matches("0x"), &mut owner)
            .map_err(|_| "--owner: must be the account's 32 bytes, 64 hexadecimal digits".to_owned())?;
        let folder = &self.keystore_path;
        let cannot = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let new = !folder.exists();
        let keystore = LocalKeystore::open(folder, None).map_err(|error| cannot(&error))?;
        if new {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| cannot(&error))?;
        }
        let mode = fs::metadata(folder).map_err(|error| cannot(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!(
                "{path}: others can enter this folder: `chmod 700 {path}` first",
                path = folder.display()
            ));
        }
        let mut externalities = BasicExternalities::new_empty();
        externalities.register_extension(KeystoreExt::new(keystore));
        let made = externalities.execute_with(|| SessionKeys::generate(&owner, None));
        Ok((made.keys.encode(), made.proof.encode()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Decode;
    use sp_runtime::traits::OpaqueKeys;

    #[test]
    fn keys_lie_in_the_keystore_and_are_proven_for_their_owner_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = MakeKeys { keystore_path: dir.path().join("keystore"), owner: hex::encode([7; 32]) };
        // as command::run does
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let (keys, proof) = make.make().expect("made");
        assert_eq!((keys.len(), proof.len()), (96, 192));
        let session = SessionKeys::decode(&mut &keys[..]).expect("session keys");
        assert!(session.ownership_proof_is_valid(&[7; 32], &proof));
        assert!(!session.ownership_proof_is_valid(&[8; 32], &proof), "another owner");
        assert!(!session.ownership_proof_is_valid(&[7; 32], &[0; 192]), "no proof at all");
        let (others, _) = make.make().expect("made");
        let others = SessionKeys::decode(&mut &others[..]).expect("session keys");
        assert!(!others.ownership_proof_is_valid(&[7; 32], &proof), "other keys");

        let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&make.keystore_path), 0o700);
        let files: Vec<_> = fs::read_dir(&make.keystore_path).expect("a folder").flatten().collect();
        let mut names: Vec<String> = files.iter().map(|f| f.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names.len(), 6);
        for (kind, at) in [("61757261", 0), ("6772616e", 1), ("7377726d", 2)] {
            let key = hex::encode(&keys[32 * at..32 * at + 32]);
            assert!(names.contains(&format!("{kind}{key}")), "{names:?}");
        }
        assert!(files.iter().all(|file| mode(&file.path()) == 0o600));
    }

    #[test]
    fn a_folder_that_others_enter_and_an_owner_that_is_none_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = |owner: &str| MakeKeys { keystore_path: dir.path().into(), owner: owner.into() }.make();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its own");
        assert!(make(&"00".repeat(32)).expect_err("open").contains("chmod 700"));
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
        for wrong in ["", "0x", "5F", &"0g".repeat(32)] {
            assert!(make(wrong).expect_err("no owner").contains("--owner"));
        }
    }
}
