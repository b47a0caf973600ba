//! Files that a trainer reads itself: which of the site's folders it may see, and where it sees them.

use super::{
    confine::{Place, FILES},
    ExternalError,
};
use crate::{data::Rows, site::TrainerSettings};
use std::{
    collections::{hash_map::Entry, HashMap},
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where the trainer sees the file that each row is. `roots` are the folders that it sees, to which those of these rows are added.
///
/// # Errors
/// The site allows no folder, or one in which a file does not lie.
pub(super) fn listed(
    rows: &Rows,
    settings: &TrainerSettings,
    place: &Place,
    roots: &mut Vec<PathBuf>,
) -> Result<Vec<String>, ExternalError> {
    let Some(allowed) = &settings.files else {
        return Err(ExternalError::Refused(
            "trainer.files in sites.toml names no folder, and this study's rows are files: name the folder whose files the \
             trainer may read, seen from that of the table (files = \"scans\"), if it may"
                .into(),
        ));
    };
    let mut known: HashMap<&Path, PathBuf> = HashMap::new();
    let mut list = Vec::new();
    for (file, table) in rows.files() {
        let root = &*match known.entry(table) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let root = table.join(allowed);
                entry.insert(fs::canonicalize(&root).map_err(|error| {
                    ExternalError::Refused(format!("trainer.files: {} cannot be read: {error}", root.display()))
                })?)
            }
        };
        let below = file.strip_prefix(root).map_err(|_| {
            ExternalError::Refused(format!(
                "{} is not in {}, the folder whose files the trainer may read (trainer.files)",
                file.display(),
                root.display()
            ))
        })?;
        let number = roots.iter().position(|one| one == root).unwrap_or_else(|| {
            roots.push(root.clone());
            roots.len() - 1
        });
        let seen = place.files(number, root).join(below);
        let Some(seen) = seen.to_str() else {
            return Err(ExternalError::Schema(format!("{}: its name is not UTF-8 text", file.display())));
        };
        list.push(seen.to_owned());
    }
    Ok(list)
}

/// Makes the folders in a trainer's own at which it sees those of the site.
///
/// # Errors
/// What the file system says.
pub(super) fn mount_points(folder: &Path, roots: &[PathBuf]) -> io::Result<()> {
    for number in 0..roots.len() {
        let at = folder.join(FILES).join(number.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&at)?;
        // whatever the umask says
        for made in [at.as_path(), &folder.join(FILES)] {
            fs::set_permissions(made, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}
