//! Which sums with this site's numbers in them were opened: `masks/summed` in the study's folder. It stays as long as that folder, for
//! nothing may ever be in a second one: the difference of two sums over different sites shows whoever is in one of them alone.

use super::{
    super::{
        later::force,
        records::{hashed, intact, read, OWN},
    },
    Home, StudyKey,
};
use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use consilium_primitives::Hash;
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

/// The file's name.
const SUMMED: &str = "summed";
/// Bytes of the longest entry, with its length and its hash.
const LONGEST: usize = 4 + 32 + 4 + 32 + 33 + 32;

/// What a site's masked numbers were made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Source {
    /// The name of the work that gave them.
    pub work: Hash,
    /// The model that they were trained on, where training on it in another round would give the same again.
    pub again: Option<Hash>,
}

impl Source {
    /// Whether two are the same numbers, but for their rounding.
    pub fn same_as(&self, other: &Self) -> bool {
        self.work == other.work || self.again.is_some() && self.again == other.again
    }
}

/// A sum with this site's numbers in it, which was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Summed {
    /// Number of its pairing.
    pub pairing: u32,
    /// What of this site is in it.
    pub source: Source,
    /// What stands for the sites in it, with their weights; [`Summed::UNSEEN`] where this site does not know them.
    pub set: Hash,
}

impl Summed {
    /// Stands for the sites of a sum that this site may be in and has not seen.
    pub const UNSEEN: Hash = Hash::zero();
}

impl Home {
    /// Sums with this site's numbers in them that were opened, in their order.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: then nothing is masked and nothing opened in this study.
    pub fn summed(&self, study: &StudyKey) -> Result<Vec<Summed>> {
        let path = self.masks(study).join(SUMMED);
        let Some(bytes) = read(&path)? else { return Ok(Vec::new()) };
        let (found, whole) = entries(&bytes);
        // what a power cut left of the last one, whose shares nobody was given
        if bytes.get(whole..).is_some_and(|rest| !torn(rest)) {
            bail!(
                "{} is damaged: which sums this site is in is not known, and it takes part in no further one of this study. Put the \
                 file back from a backup, or withdraw from the study",
                path.display()
            );
        }
        Ok(found)
    }

    /// Notes such a sum: it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`summed`](Self::summed).
    pub fn add_summed(&self, study: &StudyKey, summed: &Summed) -> Result<()> {
        if self.summed(study)?.contains(summed) {
            return Ok(());
        }
        let folder = self.make_masks(study)?;
        let path = folder.join(SUMMED);
        let append = || -> Result<()> {
            let whole = read(&path)?.map_or(0, |bytes| entries(&bytes).1);
            let entry = hashed(summed.encode());
            let mut file = OpenOptions::new().append(true).create(true).mode(OWN).open(&path)?;
            file.set_len(whole as u64)?;
            file.write_all(&[&(entry.len() as u32).to_le_bytes()[..], &entry].concat())?;
            file.sync_all()?;
            Ok(force(&folder)?)
        };
        append().with_context(|| format!("cannot note a sum in {}", path.display()))
    }
}

/// The entries that some bytes begin with, and how many bytes these are.
fn entries(bytes: &[u8]) -> (Vec<Summed>, usize) {
    let (mut found, mut whole) = (Vec::new(), 0);
    while let Some((summed, length)) = bytes.get(whole..).and_then(entry) {
        found.push(summed);
        whole += length;
    }
    (found, whole)
}

/// Whether bytes that are no entry may be what a power cut left of one: cut off, or room for it with nothing written in it yet.
fn torn(rest: &[u8]) -> bool {
    let Some((length, record)) = rest.split_first_chunk() else { return true };
    let record = record.get(..u32::from_le_bytes(*length) as usize);
    rest.len() < LONGEST && record.is_none_or(|record| record.iter().all(|byte| *byte == 0))
}

fn entry(bytes: &[u8]) -> Option<(Summed, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let record = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let summed = Summed::decode(&mut intact(record)?).ok()?;
    Some((summed, 4 + record.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };

    fn summed(n: u8, again: Option<Hash>) -> Summed {
        Summed {
            pairing: n.into(),
            source: Source { work: Hash::repeat_byte(n), again },
            set: Hash::repeat_byte(n.wrapping_mul(3)),
        }
    }

    #[test]
    fn the_same_numbers_are_known_by_their_work_and_by_the_model_that_gives_them_again() {
        let model = Some(Hash::repeat_byte(9));
        let [one, two] = [1, 2].map(|n| summed(n, model).source);
        assert!(one.same_as(&two) && one.same_as(&one));
        assert!(!one.same_as(&summed(2, Some(Hash::repeat_byte(8))).source));
        assert!(!one.same_as(&summed(2, None).source));
        assert!(!summed(1, None).source.same_as(&summed(2, None).source));
        assert!(one.same_as(&summed(1, None).source));
    }

    #[test]
    fn a_sum_is_noted_once_and_for_good_and_what_a_power_cut_tore_was_none() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("home")).unwrap();
        assert!(home.summed(&STUDY).unwrap().is_empty());
        let all = [summed(1, None), summed(2, Some(Hash::repeat_byte(9))), summed(3, None)];
        for one in all.iter().chain(&all) {
            home.add_summed(&STUDY, one).unwrap();
        }
        let again = Home::open(&dir.path().join("home")).unwrap();
        assert_eq!(again.summed(&STUDY).unwrap(), all);
        let path = home.masks(&STUDY).join(SUMMED);
        let bytes = fs::read(&path).unwrap();
        let two = entries(&bytes[..bytes.len() - 1]).1;
        for cut in two..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(home.summed(&STUDY).unwrap(), all[..2]);
            home.add_summed(&STUDY, &all[2]).unwrap();
            assert!(fs::read(&path).unwrap() == bytes);
        }
        // where it is damaged, also in its last entry, it is not taken for one that says less
        for (at, most) in [(40, bytes.len()), (two + 40, bytes.len()), (40, 105)] {
            let mut spoilt = bytes[..most].to_vec();
            spoilt[at] ^= 1;
            fs::write(&path, spoilt).unwrap();
            let said = home.summed(&STUDY).unwrap_err().to_string();
            assert!(said.contains("damaged") && said.contains("withdraw"), "{said}");
            assert!(home.add_summed(&STUDY, &summed(4, None)).is_err());
        }
        // room that a file system has given, and nothing in it
        fs::write(&path, [&bytes[..two], &[0; 105]].concat()).unwrap();
        assert_eq!(home.summed(&STUDY).unwrap(), all[..2]);
    }
}
