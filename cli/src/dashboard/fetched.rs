//! Models of finished studies that lie on this machine already, as `consilium study fetch` and `ml-worker pack` write them.
//!
//! They are looked for where this program was started, in the institution's folder, beside it, and in the folders that lie there;
//! each is known by its hash, whatever its folder is called.

use super::site::Site;
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
/// Most folders of a place that are looked into.
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
        for folder in folders(dir, here) {
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

/// Where a model may lie: some places, the folders in them, and what is packed in those.
fn folders(dir: &Path, here: Option<&Path>) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for place in [here, dir.parent(), Some(dir)].into_iter().flatten() {
        let inside = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut inside: Vec<PathBuf> = inside.filter(|path| path.is_dir()).take(MOST).collect();
        inside.sort();
        all.push(place.to_owned());
        for folder in inside {
            all.push(folder.join("ready"));
            all.push(folder);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_model_is_known_by_its_hash_where_it_lies_and_whether_it_is_ready() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, here) = (scratch.path().join("sites/alder"), scratch.path().join("desk"));
        let put = |folder: &Path, name: &str, text: &str| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        };
        put(&dir, "settings.json", "");
        let mut fetched = Fetched::default();
        fetched.look(&dir, Some(&here));
        assert!(fetched.found.is_empty());
        put(&here.join("my model"), "model.safetensors", "one");
        put(&dir.join("../model-4"), "model.safetensors", "two");
        fetched.look(&dir, Some(&here));
        let (one, two) = (blob_hash(b"one"), blob_hash(b"two"));
        assert_eq!(fetched.found[&one], Model { folder: "./my model".into(), ready: false });
        assert!(fetched.found[&two].folder.ends_with("sites/model-4"), "{:?}", fetched.found);
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
        // where this program was started itself, such as beside a finished `localnet run`
        put(&here, "model.safetensors", "four");
        fetched.look(&dir, Some(&here));
        assert_eq!(fetched.found[&blob_hash(b"four")].folder, PathBuf::from("."));
        // another file of the same name is another model, and one that is gone is forgotten
        put(&here.join("my model"), "model.safetensors", "three");
        fs::remove_dir_all(&ready).unwrap();
        fetched.look(&dir, Some(&here));
        assert!(!fetched.found.contains_key(&one) && !fetched.found[&blob_hash(b"three")].ready);
    }
}
