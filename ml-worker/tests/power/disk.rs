//! A disk that loses all that was not forced to it: `disk.c` put under the worker, and what a power cut leaves made from what it noted.

use crate::support::below;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Such a disk under the folders of one worker.
pub struct Disk {
    library: PathBuf,
    noted: PathBuf,
    folders: Vec<PathBuf>,
    /// What was there, whole, when the power came back last.
    files: BTreeMap<u64, Vec<u8>>,
    names: BTreeMap<u64, BTreeMap<String, u64>>,
    state: u64,
}

impl Disk {
    /// A disk whose losses follow from a seed; none where there is no C compiler.
    pub fn new(dir: &Path, folders: &[&str], seed: u64) -> Option<Self> {
        let library = dir.join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/disk.c");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        if !compiled.is_ok_and(|status| status.success()) {
            return None;
        }
        let folders = folders.iter().map(|name| dir.join(name)).collect();
        let (files, names) = Default::default();
        let mut disk = Self { library, noted: dir.join("disk"), folders, files, names, state: seed };
        disk.whole();
        Some(disk)
    }

    /// Puts a command's program on it.
    pub fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("CUT_DISK", &self.noted);
    }

    /// The files and folders that were forced since the power came back last, each as often as it was.
    pub fn forced(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.noted.join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// All that is there now is on the disk.
    pub fn whole(&mut self) {
        let _ = fs::remove_dir_all(&self.noted);
        fs::create_dir_all(&self.noted).unwrap();
        self.files.clear();
        self.names.clear();
        for folder in self.everywhere() {
            let inode = fs::metadata(&folder).unwrap().ino();
            for (name, path) in entries(&folder) {
                let found = fs::metadata(&path).unwrap();
                self.names.entry(inode).or_default().insert(name, found.ino());
                if found.is_file() {
                    self.files.insert(found.ino(), fs::read(&path).unwrap());
                }
            }
        }
    }

    fn everywhere(&self) -> Vec<PathBuf> {
        let folders = self.folders.iter().filter(|folder| folder.is_dir());
        folders.flat_map(|top| below(top).into_iter().filter(|path| path.is_dir()).chain([top.clone()])).collect()
    }

    /// One of so many cases.
    fn draw(&mut self, cases: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % cases
    }

    /// A file's bytes as they were forced last.
    fn kept(&self, inode: u64) -> Option<Vec<u8>> {
        fs::read(self.noted.join(format!("f-{inode}"))).ok().or_else(|| self.files.get(&inode).cloned())
    }

    /// A folder's entries as they were forced last.
    fn listed(&self, inode: u64) -> BTreeMap<String, u64> {
        match fs::read_to_string(self.noted.join(format!("d-{inode}"))) {
            Ok(text) => text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(inode, name)| (name.to_owned(), inode.parse().unwrap()))
                .collect(),
            Err(_) => self.names.get(&inode).cloned().unwrap_or_default(),
        }
    }

    /// Cuts the power of a program that has been killed: of what was not forced, any part may be gone. Gives how many files
    /// are not what they were.
    pub fn cut(&mut self) -> usize {
        let mut lost = 0;
        for folder in self.everywhere() {
            let listed = self.listed(fs::metadata(&folder).unwrap().ino());
            let now: BTreeMap<String, PathBuf> =
                entries(&folder).into_iter().filter(|(_, path)| path.is_file()).collect();
            let names: BTreeSet<&String> = now.keys().chain(listed.keys()).collect();
            for name in names {
                let path = folder.join(name);
                let there = now.get(name).map(|path| fs::metadata(path).unwrap().ino());
                let before = listed.get(name).copied();
                // a name that was not forced leads to the file that it led to before, or to the new one, or to none
                let inode = if there == before || self.draw(2) == 0 { there } else { before };
                let (Some(inode), current) = (inode, now.get(name).map(|path| fs::read(path).unwrap())) else {
                    lost += usize::from(fs::remove_file(&path).is_ok());
                    continue;
                };
                let current = current.unwrap_or_default();
                let bytes = match self.kept(inode) {
                    Some(kept) if Some(inode) != there || kept == current || self.draw(2) == 0 => kept,
                    Some(_) => current.clone(),
                    // never forced: whole by luck, or cut off, or of the right length and empty all the same
                    None if Some(inode) == there => match self.draw(4) {
                        0 => current.clone(),
                        1 => Vec::new(),
                        2 => current[..current.len() / 2].to_vec(),
                        _ => vec![0; current.len()],
                    },
                    // a folder, or a file of which nothing is known
                    None => continue,
                };
                if !now.contains_key(name) || bytes != current {
                    lost += 1;
                    let mode = now.get(name).map(|path| fs::metadata(path).unwrap().permissions());
                    fs::write(&path, bytes).unwrap();
                    mode.into_iter().for_each(|mode| fs::set_permissions(&path, mode).unwrap());
                }
            }
        }
        self.whole();
        lost
    }
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}
