//! What a study brings of its own, as a site has it: the file that it begins with, the code of its trainer, what this site allows of
//! that, and the tensors that stay here.

use super::rows::{gpu_of, trainer_of};
use crate::{
    audit::blobs::{BlobSource, Sources},
    institution::folder::{hashed, BLOBS, NAMED, SITES},
    programs::write_new,
};
use anyhow::{bail, ensure, Context, Result};
use consilium_primitives::{Hash, StudyId};
use consilium_study::{NamedFile, StudySpec};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The tensors that stay at this site.
pub const LOCAL: &str = "local.safetensors";
/// Their names in a folder, each with the option of `ml-worker` that names it.
const FILES: [(&str, &str); 4] = [
    ("--initial", "initial.safetensors"),
    ("--trainer", "trainer.toml"),
    ("--code", "trainer.tar"),
    ("--local", LOCAL),
];

/// A round of a study at a site.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The institution's folder.
    pub dir: &'a Path,
    /// The study's agreement.
    pub agreement: &'a Hash,
    /// Its number.
    pub study: StudyId,
    /// The round whose model is used.
    pub round: u32,
}

/// What a study brings; nothing for most.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Means {
    initial: Option<Vec<u8>>,
    trainer: Option<Vec<u8>>,
    code: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    /// The GPU that its trainer may see.
    gpu: Option<u64>,
}

/// The folders of a site in which such files lie by their hash, and more of them.
///
/// # Errors
/// One of them is no folder.
pub fn sources(dir: &Path, more: &[PathBuf]) -> Result<Sources> {
    Sources::folders([&hashed(dir)[..], more].concat())
}

impl Means {
    /// Those of a study.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn of(spec: &StudySpec, at: &At<'_>, sources: &impl BlobSource) -> Result<Self> {
        let read = |what: &str, file: Option<&NamedFile>| file.map(|file| named(sources, what, file)).transpose();
        let external = spec.model.external();
        let local = external.and_then(|_| {
            let folder = at.dir.join("worker/studies").join(hex::encode(at.agreement));
            local(&folder.join(format!("study-{}", at.study)), at.round)
        });
        let local = local.map(|path| fs::read(&path).with_context(|| format!("cannot read {}", path.display())));
        Ok(Self {
            initial: read("the file that the study begins with", spec.initial.as_ref())?,
            trainer: external.and_then(|_| trainer_of(at.dir, at.agreement)).map(String::into_bytes),
            code: read("the code of the study's trainer", external.map(|external| &external.code))?,
            local: local.transpose()?,
            gpu: external.and_then(|_| gpu_of(at.dir, at.agreement)),
        })
    }

    /// Number of the GPU that the site allows the study's own trainer.
    pub fn gpu(&self) -> Option<u64> {
        self.gpu
    }

    /// That a trainer can be started, where the study has one of its own.
    ///
    /// # Errors
    /// The site's `sites.toml` allows none.
    pub fn runs(&self, dir: &Path) -> Result<()> {
        ensure!(
            self.code.is_none() || self.trainer.is_some(),
            "{} allows this agreement no trainer, and the study brings one: write [study.trainer] below its entry (docs/external.md); \
             or run `ml-worker own-arm` with --trainer, and sign what it prints with --sign",
            dir.join(SITES).display()
        );
        Ok(())
    }

    /// Writes them to a folder, for this user alone.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let all = [&self.initial, &self.trainer, &self.code, &self.local];
        for ((_, name), bytes) in FILES.iter().zip(all) {
            if let Some(bytes) = bytes {
                write_new(&folder.join(name), bytes, 0o600)?;
            }
        }
        Ok(())
    }
}

/// The options that name those that lie in a folder. Without what this site allows, nothing of its trainer is named: it does not run.
pub fn options(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    let runs = there(FILES[1].1).is_some();
    let named = FILES.into_iter().filter(|(option, _)| runs || *option == FILES[0].0);
    named.filter_map(|(option, name)| Some((option, there(name)?))).collect()
}

/// The tensors that stay at a site, as a worker's folder of a study has them of a round: those of the last round up to it that was
/// trained here; where none of these is there, as the last round of all has left them.
pub fn local(study: &Path, round: u32) -> Option<PathBuf> {
    let folder = study.join("external");
    let of_round = |path: &PathBuf| -> Option<u32> {
        let whole = path.extension()? == "safetensors";
        path.file_stem()?.to_str()?.parse::<u32>().ok().filter(|number| whole && *number <= round)
    };
    let paths = fs::read_dir(folder.join("local")).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = paths.filter_map(|path| Some((of_round(&path)?, path))).max().map(|(_, path)| path);
    newest.or_else(|| Some(folder.join("local.safetensors")).filter(|path| path.exists()))
}

/// The bytes of a file that a study names.
fn named(sources: &impl BlobSource, what: &str, file: &NamedFile) -> Result<Vec<u8>> {
    let root = file.blob(what)?.root;
    match sources.read(&root).with_context(|| format!("cannot read {what} ({})", file.root))? {
        Some(bytes) if NamedFile::of(&bytes) == *file => Ok(bytes),
        Some(_) => bail!(
            "{what}: the bytes that lie under {} are others: remove the damaged file, and put it there again (`ml-worker trainer put \
             FILE --blobs DIR`)",
            file.root
        ),
        None => bail!(
            "{what}, {}, lies neither in this folder's {BLOBS} nor in {NAMED}: whoever proposed the study has it; put it there \
             (`ml-worker trainer put FILE --blobs DIR`), or name a folder that holds it by its hash with --blobs",
            file.root
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    /// The demo's study with these two files of its own.
    fn study(initial: &[u8], code: &[u8]) -> StudySpec {
        let named = |bytes: &[u8]| {
            let NamedFile { root, len } = NamedFile::of(bytes);
            format!("{{ root = \"{root}\", len = {len} }}")
        };
        let text = include_str!("../../../examples/breast-cancer/study.toml")
            .replace("seed = 1\n", &format!("seed = 1\ninitial = {}\n", named(initial)))
            .replace("[model.dense]", "[model.external]")
            .replace(
                "hidden = [16]\nactivation = \"relu\"\n",
                &format!("code = {}\ntensors = [\"weight 1x30\"]\nlocal = [\"bn.\"]\n", named(code)),
            );
        StudyFile::parse(&text).unwrap().spec()
    }

    #[test]
    fn a_study_s_own_files_are_found_at_a_site_and_named_to_the_worker() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let agreement = Hash::repeat_byte(0xab);
        let spec = study(b"begin", b"code");
        let at = At { dir, agreement: &agreement, study: 3, round: 5 };
        fs::create_dir(dir.join(BLOBS)).unwrap();
        let found = || Means::of(&spec, &at, &sources(dir, &[])?);
        let missing = found().unwrap_err().to_string();
        assert!(missing.contains("begins with") && missing.contains("trainer put"), "{missing}");
        // one in the blob store, the other where the worker has kept it
        let root = |bytes: &[u8]| NamedFile::of(bytes).root;
        fs::write(dir.join(BLOBS).join(root(b"begin")), "begin").unwrap();
        fs::create_dir_all(dir.join(NAMED)).unwrap();
        fs::write(dir.join(NAMED).join(root(b"code")), "codE").unwrap();
        let damaged = found().unwrap_err().to_string();
        assert!(damaged.contains("the code of the study's trainer") && damaged.contains("are others"), "{damaged}");
        fs::write(dir.join(NAMED).join(root(b"code")), "code").unwrap();

        // a site that allows no trainer cannot run one
        let means = found().unwrap();
        let said = means.runs(dir).unwrap_err().to_string();
        assert!(said.contains("[study.trainer]") && said.contains(SITES), "{said}");
        let got = dir.join("got");
        fs::create_dir(&got).unwrap();
        means.write(&got).unwrap();
        assert_eq!(options(&got), [("--initial", got.join("initial.safetensors"))]);

        let sites = format!(
            "[[study]]\nagreement = \"{agreement:x}\"\ndata = \"a.csv\"\ngpu = 1\n[study.trainer]\ncode = \"{}\"\ncommand = [\"python3\"]\nread = [\"venv\", \"/opt/x\"]\n",
            root(b"code")
        );
        fs::write(dir.join(SITES), sites).unwrap();
        let rounds = dir.join(format!("worker/studies/{agreement:x}/study-3/external/local"));
        fs::create_dir_all(&rounds).unwrap();
        for round in [4u32, 5, 6] {
            fs::write(rounds.join(format!("{round:08}.safetensors")), round.to_string()).unwrap();
        }
        fs::remove_dir_all(&got).unwrap();
        fs::create_dir(&got).unwrap();
        let means = found().unwrap();
        means.runs(dir).unwrap();
        assert_eq!(means.gpu(), Some(1));
        means.write(&got).unwrap();
        let named = FILES.map(|(option, name)| (option, got.join(name)));
        assert_eq!(options(&got), named);
        assert_eq!(fs::read(got.join("trainer.tar")).unwrap(), b"code");
        assert_eq!(fs::read(got.join("local.safetensors")).unwrap(), b"5");
        // folders are named so that they are found from anywhere
        let allowed: toml::Table = fs::read_to_string(got.join("trainer.toml")).unwrap().parse().unwrap();
        assert_eq!(allowed["code"].as_str(), Some(root(b"code").as_str()));
        let read: Vec<&str> = allowed["read"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        assert_eq!(read, [dir.join("venv").to_str().unwrap(), "/opt/x"]);
    }

    #[test]
    fn the_tensors_that_stay_are_those_of_the_round_or_of_the_last_one_before_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (study, external) = (scratch.path(), scratch.path().join("external"));
        assert_eq!(local(study, 3), None);
        fs::create_dir_all(external.join("local")).unwrap();
        fs::write(external.join("local.safetensors"), "last").unwrap();
        assert_eq!(local(study, 3), Some(external.join("local.safetensors")));
        for name in ["00000002.safetensors", "00000010.safetensors", "00000003.tmp"] {
            fs::write(external.join("local").join(name), name).unwrap();
        }
        assert_eq!(local(study, 1), Some(external.join("local.safetensors")));
        assert_eq!(local(study, 3), Some(external.join("local/00000002.safetensors")));
        assert_eq!(local(study, 11), Some(external.join("local/00000010.safetensors")));
    }

    #[test]
    fn a_study_of_a_built_in_network_brings_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let spec = StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml")).unwrap().spec();
        let at = At { dir: scratch.path(), agreement: &Hash::zero(), study: 0, round: 1 };
        let means = Means::of(&spec, &at, &Sources::default()).unwrap();
        assert_eq!(means, Means::default());
        means.runs(scratch.path()).unwrap();
        means.write(scratch.path()).unwrap();
        assert!(options(scratch.path()).is_empty());
    }
}
