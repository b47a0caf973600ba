//! Models of finished studies that lie on this machine already, as `consilium study fetch` and `ml-worker pack` write them.
//!
//! They are looked for where `consilium study fetch` has put them for this institution, in its folder, and beside it as `localnet run`
//! leaves one; not in other folders, which may be another institution's. Each is known by its hash, whatever its folder is called.

use super::site::Site;
use crate::institution::made::{kept, What};
use consilium_aggregation::blob_hash;
use consilium_primitives::Hash;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// Most folders of the institution's own that are looked into.
const MOST: usize = 200;
/// Most bytes of a model that is looked at.
const LARGEST: u64 = 256 << 20;
/// The file that `ml-worker pack` writes beside a model that is ready for use.
const READY: &str = "model.json";

/// A model on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Its folder, from where this program was started.
    pub folder: PathBuf,
    /// Whether it has been packed.
    pub ready: bool,
}

/// What was found.
#[derive(Default)]
pub struct Fetched {
    looked: Option<Instant>,
    /// Hashes of files as they were then.
    hashes: BTreeMap<PathBuf, (SystemTime, u64, Hash)>,
    found: BTreeMap<Hash, Model>,
}

impl Fetched {
    /// The model with this hash, where it lies here.
    pub fn model(&mut self, site: &Site, root: &Hash) -> Option<&Model> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
            self.look(&site.dir, std::env::current_dir().ok().as_deref());
            self.looked = Some(Instant::now());
        }
        self.found.get(root)
    }

    fn look(&mut self, dir: &Path, here: Option<&Path>) {
        self.found.clear();
        let mut hashes = BTreeMap::new();
        for folder in folders(dir) {
            let file = folder.join("model.safetensors");
            let Some((changed, len)) = size(&file).filter(|(_, len)| *len <= LARGEST) else { continue };
            let before = self.hashes.get(&file).filter(|(then, long, _)| (*then, *long) == (changed, len));
            let hash = match before {
                Some((.., hash)) => *hash,
                // another user's, perhaps
                None => match fs::read(&file) {
                    Ok(bytes) => blob_hash(&bytes),
                    Err(_) => continue,
                },
            };
            let ready = folder.join(READY).exists();
            let model = self.found.entry(hash).or_default();
            // of several folders the first is named, of a packed one and another the packed one
            if model.folder.as_os_str().is_empty() || (ready && !model.ready) {
                *model = Model { folder: within(&folder, here), ready };
            }
            hashes.insert(file, (changed, len, hash));
        }
        self.hashes = hashes;
    }
}

/// A folder as it is named where this program was started.
fn within(folder: &Path, here: Option<&Path>) -> PathBuf {
    match here.and_then(|here| folder.strip_prefix(here).ok()) {
        Some(within) if within.as_os_str().is_empty() => ".".into(),
        Some(within) => Path::new(".").join(within),
        None => folder.to_owned(),
    }
}

fn size(file: &Path) -> Option<(SystemTime, u64)> {
    let found = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    Some((found.modified().ok()?, found.len()))
}

/// Where a model may lie, and be packed.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut inside: Vec<PathBuf> = inside.filter(|path| path.is_dir()).take(MOST).collect();
    inside.sort();
    let all = kept(dir, What::Model).into_iter().chain([dir.to_owned()]).chain(inside);
    // on one machine all institutions have the same model, which lies beside their folders
    let beside = dir.parent().map(Path::to_owned);
    all.flat_map(|folder| [folder.join("ready"), folder]).chain(beside).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::institution::made::keep;

    #[test]
    fn a_model_is_known_by_its_hash_where_it_lies_and_whether_it_is_ready() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (dir, here) = (root.join("sites/alder"), root.join("desk"));
        let put = |folder: &Path, name: &str, text: &str| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        };
        put(&dir, "settings.json", "");
        let mut fetched = Fetched::default();
        fetched.look(&dir, Some(&here));
        assert!(fetched.found.is_empty());
        put(&here.join("my model"), "model.safetensors", "one");
        keep(&dir, What::Model, &here.join("my model")).unwrap();
        put(&dir.join("model-4"), "model.safetensors", "two");
        fetched.look(&dir, Some(&here));
        let (one, two) = (blob_hash(b"one"), blob_hash(b"two"));
        assert_eq!(fetched.found[&one], Model { folder: "./my model".into(), ready: false });
        assert!(fetched.found[&two].folder.ends_with("alder/model-4"), "{:?}", fetched.found);
        assert_eq!(fetched.found.len(), 2);
        // packed, within the folder or elsewhere
        let ready = here.join("my model/ready");
        put(&ready, "model.safetensors", "one");
        put(&ready, READY, "{}");
        put(&dir.join("packed"), "model.safetensors", "two");
        put(&dir.join("packed"), READY, "{}");
        fetched.look(&dir, Some(&here));
        assert_eq!(fetched.found[&one], Model { folder: "./my model/ready".into(), ready: true });
        assert!(fetched.found[&two].ready && fetched.found[&two].folder.ends_with("packed"));
        // beside the folder itself, as a finished `localnet run` leaves one
        put(&dir.join(".."), "model.safetensors", "four");
        fetched.look(&dir, Some(&here));
        assert!(fetched.found[&blob_hash(b"four")].folder.ends_with("sites"), "{:?}", fetched.found);
        // another file of the same name is another model, and one that is gone is forgotten
        put(&here.join("my model"), "model.safetensors", "three");
        fs::remove_dir_all(&ready).unwrap();
        fetched.look(&dir, Some(&here));
        assert!(!fetched.found.contains_key(&one) && !fetched.found[&blob_hash(b"three")].ready);
    }

    #[test]
    fn what_another_institution_beside_it_has_fetched_is_not_taken_for_the_own_one() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (alder, birch) = (root.join("alder"), root.join("birch"));
        for folder in [&alder, &birch, &root.join("birch-model"), &birch.join("model-4")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(root.join("birch-model/model.safetensors"), "one").unwrap();
        fs::write(birch.join("model-4/model.safetensors"), "two").unwrap();
        keep(&birch, What::Model, &root.join("birch-model")).unwrap();
        let mut fetched = Fetched::default();
        // also where the page was started in the folder that both lie in
        fetched.look(&alder, Some(&root));
        assert!(fetched.found.is_empty(), "{:?}", fetched.found);
        fetched.look(&birch, Some(&root));
        assert_eq!(fetched.found.len(), 2, "{:?}", fetched.found);
    }
}
