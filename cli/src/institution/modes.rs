//! Who on this machine may read and change what lies in an institution's folder.
//!
//! Where one user runs node and worker, everything is that user's alone. Where they are two, the folder is the node's, with mode
//! 0750, in a group that both are in; `token` has 0640, `blobs/` 2770; `worker/` and what is in it are the worker's, the keys the
//! node's. Both are accepted here, and nothing wider.

use super::folder::{INSTITUTION_KEY, KEYSTORE, NODE_KEY, TOKEN};
use anyhow::{bail, ensure, Context, Result};
use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// What is looked at, what of its mode is refused, and whether it is the worker's.
const RULES: [(&str, u32, bool); 9] = [
    ("", 0o027, false),
    (INSTITUTION_KEY, 0o077, false),
    (NODE_KEY, 0o077, false),
    (KEYSTORE, 0o077, false),
    (TOKEN, 0o037, false),
    ("node", 0o027, false),
    ("blobs", 0o007, false),
    ("worker", 0o077, true),
    ("worker/secret", 0o077, true),
];

/// Checks the modes and owners of an institution's folder and of what is in it.
///
/// # Errors
/// The first thing that others on this machine can read or change, that belongs to the wrong one of the two users, or that one
/// of them could not use; and what to do.
pub fn check_modes(dir: &Path) -> Result<()> {
    let node = fs::metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let worker = found(&dir.join("worker"))?.map_or(node.uid(), |worker| worker.uid());
    for (name, forbidden, workers) in RULES {
        let path = if name.is_empty() { dir.to_path_buf() } else { dir.join(name) };
        let Some(found) = found(&path)? else { continue };
        closed(&path, &found, forbidden)?;
        owned(&path, &found, if workers { worker } else { node.uid() })?;
    }
    let keystore = dir.join(KEYSTORE);
    // of another user, it is that user's to look at
    for entry in fs::read_dir(&keystore).into_iter().flatten().flatten() {
        let path = entry.path();
        if let Some(found) = found(&path)? {
            closed(&path, &found, 0o077)?;
            owned(&path, &found, node.uid())?;
        }
    }
    if worker != node.uid() {
        shared(dir, &node)?;
    }
    Ok(())
}

/// The users of node and worker, where they are two.
///
/// # Errors
/// The folder cannot be read.
pub fn two_users(dir: &Path) -> Result<Option<(u32, u32)>> {
    let node = fs::metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?.uid();
    let worker = found(&dir.join("worker"))?.map_or(node, |worker| worker.uid());
    Ok((worker != node).then_some((node, worker)))
}

fn found(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        // what is in another user's folder is not for this one to look at
        Err(error) if [ErrorKind::NotFound, ErrorKind::PermissionDenied].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn closed(path: &Path, found: &Metadata, forbidden: u32) -> Result<()> {
    let mode = found.mode() & 0o777;
    if mode & forbidden != 0 {
        let right = if found.is_dir() { 0o777 & !forbidden } else { 0o666 & !forbidden };
        bail!(
            "{path}: its mode is {mode:04o}, so others on this machine can read or change it: `chmod {right:o} {path}`",
            path = path.display()
        );
    }
    Ok(())
}

fn owned(path: &Path, found: &Metadata, user: u32) -> Result<()> {
    ensure!(
        found.uid() == user,
        "{path}: belongs to user {}, and whoever uses it is user {user}: `chown {user} {path}`",
        found.uid(),
        path = path.display()
    );
    Ok(())
}

/// Whether two users can work together in a folder.
fn shared(dir: &Path, node: &Metadata) -> Result<()> {
    for (name, needed) in [("", 0o050), (TOKEN, 0o040), ("blobs", 0o2070)] {
        let path = if name.is_empty() { dir.to_path_buf() } else { dir.join(name) };
        let Some(found) = found(&path)? else { continue };
        ensure!(
            found.gid() == node.gid(),
            "{path}: node and worker are two users here, and what they share must be of the folder's group: `chgrp {} {path}`",
            node.gid(),
            path = path.display()
        );
        if found.mode() & needed != needed {
            bail!(
                "{path}: node and worker are two users here, and its mode {:04o} keeps one of them out: `chmod {:o} {path}`",
                found.mode() & 0o7777,
                (found.mode() & 0o7777) | needed,
                path = path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder as `init` makes it.
    fn folder() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        set(dir, 0o700);
        for name in [KEYSTORE, "node", "worker", "blobs"] {
            fs::create_dir(dir.join(name)).unwrap();
            set(&dir.join(name), 0o700);
        }
        for name in [INSTITUTION_KEY, NODE_KEY, TOKEN, "keystore/6772", "worker/secret"] {
            fs::write(dir.join(name), "secret").unwrap();
            set(&dir.join(name), 0o600);
        }
        scratch
    }

    #[test]
    fn whatever_is_open_wider_than_two_users_need_is_named_with_the_remedy() {
        let scratch = folder();
        let dir = scratch.path();
        check_modes(dir).unwrap();
        for (name, taken, refused, right) in [
            (NODE_KEY, &[0o600, 0o400][..], &[0o640, 0o604, 0o620, 0o660][..], 0o600),
            (INSTITUTION_KEY, &[0o600], &[0o640, 0o644], 0o600),
            ("keystore/6772", &[0o600], &[0o640, 0o644], 0o600),
            ("worker/secret", &[0o600], &[0o640, 0o644], 0o600),
            (TOKEN, &[0o600, 0o640], &[0o644, 0o660, 0o650], 0o640),
            (KEYSTORE, &[0o700], &[0o750, 0o755, 0o701], 0o700),
            ("worker", &[0o700], &[0o750, 0o770], 0o700),
            ("node", &[0o700, 0o750], &[0o755, 0o770], 0o750),
            ("blobs", &[0o700, 0o750, 0o2770], &[0o2771, 0o2775, 0o777], 0o770),
            ("", &[0o700, 0o750], &[0o755, 0o770, 0o751], 0o750),
        ] {
            let path = if name.is_empty() { dir.to_path_buf() } else { dir.join(name) };
            for mode in refused {
                set(&path, *mode);
                let error = check_modes(dir).unwrap_err().to_string();
                assert!(error.contains(name) && error.contains(&format!("chmod {right:o} ")), "{mode:o}: {error}");
            }
            for mode in taken {
                set(&path, *mode);
                check_modes(dir).unwrap();
            }
        }
    }

    #[test]
    fn what_two_users_share_must_let_both_in() {
        let scratch = folder();
        let dir = scratch.path();
        let node = fs::metadata(dir).unwrap();
        for (name, mode, says) in [("", 0o750, "750"), (TOKEN, 0o640, "640"), ("blobs", 0o2770, "2770")] {
            let path = if name.is_empty() { dir.to_path_buf() } else { dir.join(name) };
            let error = shared(dir, &node).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(&format!("chmod {says} ")), "{error}");
            set(&path, mode);
        }
        shared(dir, &node).unwrap();
        // new blobs would not be of the group
        set(&dir.join("blobs"), 0o770);
        assert!(shared(dir, &node).unwrap_err().to_string().contains("chmod 2770 "));
        check_modes(dir).unwrap();
        assert_eq!(two_users(dir).unwrap(), None);
        let error = owned(dir, &node, node.uid() + 1).unwrap_err().to_string();
        assert!(error.contains("chown"), "{error}");
    }
}
