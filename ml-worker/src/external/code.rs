//! The trainer's code as one file that has a hash: a tar archive, the same bytes for the same files.

use anyhow::{bail, Context, Result};
use consilium_study::MAX_CODE_LEN as MOST;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

/// Most files in it.
const MOST_FILES: usize = 4096;

/// Packs a folder: regular files by their names, without owner, time or mode. Left out: what begins with a dot, `__pycache__`.
///
/// # Errors
/// A link or another thing that is no file; too much of it; what the file system says.
pub fn pack(folder: &Path) -> Result<Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(folder, Path::new(""), &mut files)?;
    if files.is_empty() {
        bail!("{}: holds no file", folder.display());
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (name, path) in &files {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, name, &bytes[..]).with_context(|| path.display().to_string())?;
    }
    let bytes = archive.into_inner()?;
    if bytes.len() as u64 > MOST {
        bail!("{}: its files come to {} bytes; at most {MOST} are code", folder.display(), bytes.len());
    }
    Ok(bytes)
}

fn collect(folder: &Path, below: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    let here = folder.join(below);
    for entry in fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if name.as_encoded_bytes().starts_with(b".") || name == "__pycache__" {
            continue;
        }
        let kind = fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.file_type();
        if kind.is_dir() {
            collect(folder, &below.join(&name), files)?;
        } else if kind.is_file() {
            files.insert(below.join(&name), path);
        } else {
            bail!("{}: is neither a file nor a folder; put a copy in its place", path.display());
        }
        if files.len() > MOST_FILES {
            bail!("{}: holds more than {MOST_FILES} files", folder.display());
        }
    }
    Ok(())
}

/// Writes an archive's files into a new folder, for everybody to read and for nobody else to write.
///
/// # Errors
/// What is no plain file or leads out of the folder; too much of it; what the file system says.
pub fn unpack(archive: &[u8], folder: &Path) -> Result<()> {
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    readable(folder, 0o755)?;
    if archive.len() as u64 > MOST {
        bail!("the trainer's code has {} bytes; at most {MOST} are code", archive.len());
    }
    for (count, entry) in tar::Archive::new(archive).entries()?.enumerate() {
        let mut entry = entry.context("the trainer's code is no tar archive")?;
        let name = entry.path()?.into_owned();
        let plain = name.components().all(|part| matches!(part, Component::Normal(_))) && name != Path::new("");
        if !plain || !entry.header().entry_type().is_file() || count >= MOST_FILES {
            bail!("the trainer's code holds {}, which is no plain file below its folder", name.display());
        }
        let path = folder.join(&name);
        for above in name.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let above = folder.join(above);
            if !above.is_dir() {
                fs::create_dir(&above).with_context(|| format!("cannot make {}", above.display()))?;
                readable(&above, 0o755)?;
            }
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        readable(&path, 0o644)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_files_are_the_same_bytes_and_come_out_as_they_went_in() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("a");
        fs::create_dir_all(folder.join("deep/__pycache__")).unwrap();
        for (name, text) in [("trainer.py", "x = 1\n"), ("deep/net.py", "y"), (".git", "z"), ("deep/__pycache__/n", "")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        let packed = pack(&folder).unwrap();
        fs::set_permissions(folder.join("trainer.py"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(pack(&folder).unwrap(), packed);
        let out = scratch.path().join("out");
        unpack(&packed, &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("deep/net.py")).unwrap(), "y");
        assert!(!out.join(".git").exists() && !out.join("deep/__pycache__").exists());
        assert_eq!(pack(&out).unwrap(), packed);
        fs::write(folder.join("trainer.py"), "x = 2\n").unwrap();
        assert_ne!(pack(&folder).unwrap(), packed);
    }

    #[test]
    fn what_leads_out_of_the_folder_or_is_no_file_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let entry = |name: &str, kind| {
            let mut header = tar::Header::new_ustar();
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            header.set_mode(0o644);
            header.set_entry_type(kind);
            header.set_cksum();
            let mut archive = tar::Builder::new(Vec::new());
            archive.append(&header, &[][..]).unwrap();
            archive.into_inner().unwrap()
        };
        let wrong =
            [("../up", tar::EntryType::Regular), ("/etc/x", tar::EntryType::Regular), ("l", tar::EntryType::Symlink)];
        for (n, (name, kind)) in wrong.into_iter().enumerate() {
            let out = scratch.path().join(n.to_string());
            let said = unpack(&entry(name, kind), &out).unwrap_err().to_string();
            assert!(said.contains("no plain file"), "{name}: {said}");
            assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
        }
    }
}
