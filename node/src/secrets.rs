//! Files that must stay this institution's own: keys, tokens, passwords, and the database, in which the worker's token lies.

use sc_network::config::{NodeKeyConfig, Secret};
use sc_service::Configuration;
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// What nobody but the owner may do with a key.
const KEY: u32 = 0o077;
/// What nobody but the owner, and its group by reading, may do with the token that node and worker share.
const TOKEN: u32 = 0o037;
/// What nobody outside the group may do with the database.
const OTHERS: u32 = 0o007;

/// Looks at the files with secrets that a node is started with; those that are not there are made later, by this node.
///
/// # Errors
/// The first that others can read or change, its mode, and what to do, for people.
pub fn check(config: &Configuration, token: Option<&Path>, password: Option<&Path>) -> Result<(), String> {
    let NodeKeyConfig::Ed25519(key) = &config.network.node_key;
    if let Secret::File(path) = key {
        closed("node key", path, KEY)?;
    }
    if let Some(path) = token {
        there("worker token", path)?;
        closed("worker token", path, TOKEN)?;
    }
    if let Some(path) = password {
        closed("keystore password", path, KEY)?;
    }
    let keys = config.keystore.path().map(fs::read_dir).and_then(Result::ok);
    for entry in keys.into_iter().flatten().flatten() {
        closed("session key", &entry.path(), KEY)?;
    }
    Ok(())
}

/// Refuses a file that is missing, and that starting this node again does not make.
fn there(what: &str, path: &Path) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    Err(format!(
        "{what} {}: is missing; make one for node and worker alike: 64 random digits (`openssl rand -hex 32`) in a file of mode 600",
        path.display()
    ))
}

/// Refuses a file with which others may do what `forbidden` names.
fn closed(what: &str, path: &Path, forbidden: u32) -> Result<(), String> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{what} {}: {error}", path.display())),
    };
    let mode = found.permissions().mode() & 0o777;
    if !found.is_file() || mode & forbidden == 0 {
        return Ok(());
    }
    let right = 0o666 & !forbidden;
    Err(format!(
        "{what} {path}: its mode is {mode:04o}, so others on this machine can read or change it: `chmod {right:o} {path}`; if \
         others have an account here, make a new one",
        path = path.display()
    ))
}

/// Shuts others out of the folder below the base path in which the database, the node's own key and the keystore lie. New
/// files get their modes from the process's umask; this is for those of before.
///
/// # Errors
/// The mode cannot be changed, for people.
pub fn shut(base: &Path) -> Result<(), String> {
    let folder = base.join("chains");
    let Ok(found) = fs::metadata(&folder) else { return Ok(()) };
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(&folder, Permissions::from_mode(mode & !OTHERS)).map_err(|error| {
        format!(
            "{path}: others on this machine can enter it, and that cannot be changed ({error}): `chmod o-rwx {path}`",
            path = folder.display()
        )
    })?;
    log::warn!("{}: others on this machine could enter it, now they cannot", folder.display());
    Ok(())
}

/// Writes a new secret that only its owner can read. What is there already is not overwritten.
///
/// # Errors
/// It is there, or cannot be written; the text names it.
pub fn write_new(path: &Path, secret: &[u8]) -> Result<(), String> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(secret)?;
        file.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{}: is there already, and is not overwritten: move it away first", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a mode.
    fn file(dir: &tempfile::TempDir, mode: u32) -> std::path::PathBuf {
        let path = dir.path().join("secret");
        fs::write(&path, "secret").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its own");
        path
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_by_name_mode_and_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        for (forbidden, good, bad, right) in [
            (KEY, &[0o600, 0o400, 0o700][..], &[0o644, 0o640, 0o604, 0o620, 0o660][..], "chmod 600"),
            (TOKEN, &[0o600, 0o640, 0o440], &[0o644, 0o660, 0o604, 0o642], "chmod 640"),
        ] {
            for mode in good {
                assert_eq!(closed("node key", &file(&dir, *mode), forbidden), Ok(()), "{mode:o}");
            }
            for mode in bad {
                let path = file(&dir, *mode);
                let text = closed("node key", &path, forbidden).expect_err("refused");
                for part in ["node key", &path.display().to_string(), &format!("{mode:04o}"), right] {
                    assert!(text.contains(part), "{text}");
                }
            }
        }
        // what is made later, and what is no file
        assert_eq!(closed("node key", &dir.path().join("later"), KEY), Ok(()));
        assert_eq!(closed("node key", Path::new("/dev/null"), KEY), Ok(()));
    }

    #[test]
    fn a_token_that_is_missing_is_named_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = there("worker token", &dir.path().join("token")).expect_err("refused");
        assert!(text.contains("/token: is missing") && text.contains("openssl rand"), "{text}");
        assert_eq!(there("worker token", &file(&dir, 0o600)), Ok(()));
    }

    #[test]
    fn a_new_secret_is_its_owners_alone_and_never_replaces_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("node.key");
        write_new(&path, b"first").expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let text = write_new(&path, b"second").expect_err("refused");
        assert!(text.contains("node.key") && text.contains("not overwritten"), "{text}");
        assert_eq!(fs::read(&path).expect("there"), b"first");
    }

    #[test]
    fn others_are_shut_out_of_the_database_of_an_earlier_version() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(shut(dir.path()), Ok(()));
        let folder = dir.path().join("chains");
        fs::create_dir(&folder).expect("made");
        for (before, after) in [(0o755, 0o750), (0o2775, 0o2770), (0o700, 0o700)] {
            fs::set_permissions(&folder, Permissions::from_mode(before)).expect("its own");
            assert_eq!(shut(dir.path()), Ok(()));
            assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o7777, after);
        }
    }
}
