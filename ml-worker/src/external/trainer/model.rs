//! The tensors of a trainer's model: those that are merged, from the files of the study, and those that stay at the site.

use super::{
    super::{
        files::{bytes_of, expect, put_tensors, raw, Raw},
        ExternalError,
    },
    State, Trainer, BY_ROUND, LOCAL,
};
use crate::site::write_whole;
use anyhow::Context;
use consilium_aggregation::blob_hash;
use safetensors::Dtype;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Most bytes of what stayed at the site, of all rounds together: a round that is certified is seldom among the first.
const MOST: u64 = 1 << 30;

impl Trainer {
    /// Keeps the tensors that stay at the site as a round's training has left them: for the next round, and under the round's number,
    /// since which round is certified is known at the study's end.
    pub(super) fn stay(&self, kept: &[Raw<'_>], round: u32) -> Result<(), ExternalError> {
        put_tensors(&self.folder.join(LOCAL), kept)?;
        let folder = self.folder.join(BY_ROUND);
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{round:08}.safetensors"));
        put_tensors(&file, kept)?;
        let most = MOST / fs::metadata(&file)?.len().max(1);
        Ok(forget_oldest(&folder, usize::try_from(most).unwrap_or(usize::MAX).max(2))?)
    }

    /// What the site keeps of the tensors that are not merged; `None` where there are none.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn kept(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.folder.join(LOCAL);
        path.exists().then(|| fs::read(&path).with_context(|| path.display().to_string())).transpose()
    }

    /// Puts back what [`kept`](Self::kept) gave.
    ///
    /// # Errors
    /// Tensors of another model; what the file system says.
    pub fn keep(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let expected: Vec<_> = self.local.iter().map(|(n, d, s, _)| (n.as_str(), *d, s.clone())).collect();
        expect(LOCAL, bytes, &expected)?;
        self.state.lock().model = None;
        let path = self.folder.join(LOCAL);
        write_whole(&path, bytes, 0o600).with_context(|| path.display().to_string())
    }

    /// Whether tensors stay at the site.
    pub fn keeps(&self) -> bool {
        !self.local.is_empty()
    }

    /// Puts back those of the initial file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_initial(&self) -> io::Result<()> {
        self.state.lock().model = None;
        match fs::remove_file(self.folder.join(LOCAL)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the model that a job is about, merged and local tensors, unless it lies there; gives its hash.
    pub(super) fn put_model(&self, state: &mut State, parameters: &[f32]) -> Result<String, ExternalError> {
        let numbers = bytes_of(parameters);
        let hash = blob_hash(numbers).0;
        if state.model != Some(hash) {
            let merged = self.layout.ranges();
            let mut tensors: Vec<Raw<'_>> = merged
                .map(|(tensor, range)| {
                    (&tensor.name[..], Dtype::F32, &tensor.shape[..], &numbers[range.start * 4..range.end * 4])
                })
                .collect();
            let kept = self.kept().map_err(|error| ExternalError::Failed(format!("{error:#}")))?;
            match &kept {
                Some(bytes) => {
                    let expected: Vec<_> = self.local.iter().map(|(n, d, s, _)| (n.as_str(), *d, s.clone())).collect();
                    let found = expect(LOCAL, bytes, &expected)?;
                    tensors
                        .extend(self.local.iter().zip(found).map(|((n, d, s, _), bytes)| (&n[..], *d, &s[..], bytes)));
                }
                None => tensors.extend(self.local.iter().map(raw)),
            }
            put_tensors(&self.folder.join("in/model.safetensors"), &tensors)?;
            state.model = Some(hash);
        }
        state.jobs += 1;
        // local tensors may be others under the same merged ones
        Ok(if self.local.is_empty() { hex::encode(hash) } else { format!("{}-{}", hex::encode(hash), state.jobs) })
    }
}

/// Removes the files of the oldest rounds, so that at most so many are left.
fn forget_oldest(folder: &Path, most: usize) -> io::Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // one that was cut off while it was written counts for nothing
        if path.extension().is_some_and(|end| end == "safetensors") {
            files.push(path);
        }
    }
    // names have as many digits each
    files.sort();
    files.iter().take(files.len().saturating_sub(most)).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn of_what_stayed_after_each_round_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        for round in [9u32, 10, 100, 2] {
            fs::write(folder.path().join(format!("{round:08}.safetensors")), "x").unwrap();
        }
        fs::write(folder.path().join("00000001.tmp"), "x").unwrap();
        forget_oldest(folder.path(), 4).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
        forget_oldest(folder.path(), 2).unwrap();
        let there = |round: u32| folder.path().join(format!("{round:08}.safetensors")).exists();
        assert_eq!([2, 9, 10, 100].map(there), [false, false, true, true]);
    }
}
