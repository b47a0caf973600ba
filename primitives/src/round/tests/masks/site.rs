//! What a site's worker keeps of the pairings and sums that it is in, and its rules on an update that may be in two sums.

use super::*;

/// What masked numbers were made of, as a worker tells sums apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub work: Hash,
    /// The model that they were trained on, where training on it in another round gives the same again.
    pub again: Option<Hash>,
}

impl Source {
    fn same_as(&self, other: &Self) -> bool {
        self.work == other.work || self.again.is_some() && self.again == other.again
    }
}

/// What a site has trained, and for which study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Update {
    pub study: StudyId,
    pub source: Source,
}

impl Update {
    /// What is the same of all updates of a study that are the same numbers.
    pub fn numbers(self) -> Self {
        let work = self.source.again.unwrap_or(self.source.work);
        Self { source: Source { work, ..self.source }, ..self }
    }
}

/// A sum that a site is in. All members weigh the same, so that its sites stand for it; none where the site may be in one that it has
/// not seen.
#[derive(Clone, PartialEq)]
pub(super) struct Summed {
    pub pairing: u32,
    pub source: Source,
    pub set: Option<Mask>,
}

/// How far sites look that an update is in one sum alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Not beyond one pairing.
    OfOnePairing,
    /// At the sums that they have opened or computed themselves.
    OfSumsSeen,
    /// Also at those that others may have opened meanwhile.
    Whole,
}

/// What a site keeps of one pairing, by its context: written before anything of it is answered.
#[derive(Clone)]
pub(super) struct Answered {
    pub study: StudyId,
    pub number: u32,
    pub keys: MaskKeys,
    pub keys_root: Option<Hash>,
    pub partners_root: Option<Hash>,
    pub source: Option<Source>,
    pub set: Option<Mask>,
}

/// One site's folder.
#[derive(Clone, Default)]
pub(super) struct Site {
    pub pairings: BTreeMap<Hash, Answered>,
    /// Sums that it is in, by study. A backup has them.
    summed: BTreeMap<StudyId, Vec<Summed>>,
    /// How often it was made anew from a backup that had none of this: secrets are drawn anew then.
    pub restored: u32,
}

impl Site {
    /// What it has masked in other rounds, and has seen no sum of, it may be in sums with.
    pub fn note_unseen(&mut self, study: StudyId, source: &Source) {
        if source.again.is_none() {
            return;
        }
        let summed = self.summed.entry(study).or_default();
        for file in self.pairings.values().filter(|file| file.study == study) {
            let Some(before) = file.source.filter(|it| it.again.is_some() && it.work != source.work) else { continue };
            if !summed.iter().any(|summed| summed.source.work == before.work) {
                summed.push(Summed { pairing: file.number, source: before, set: None });
            }
        }
    }

    /// Notes that it is in a sum.
    pub fn note(&mut self, study: StudyId, summed: Summed) {
        let all = self.summed.entry(study).or_default();
        if !all.contains(&summed) {
            all.push(summed);
        }
    }

    /// The sums of other pairings that have the same numbers in them.
    pub fn others_with(&self, study: StudyId, number: u32, source: Source) -> impl Iterator<Item = &Summed> + '_ {
        let all = self.summed.get(&study).into_iter().flatten();
        all.filter(move |summed| summed.pairing != number && summed.source.same_as(&source))
    }
}
