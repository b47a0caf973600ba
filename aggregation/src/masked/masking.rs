//! Masking one's own update: encoded, masked, hashed and written in one pass, each part by one thread.

use super::{
    encoding::{Encoded, Encoding, Share},
    figures::enough_masks,
    Figures, MaskedError, MaskedLayout, MaskedRound, CLAMPED,
};
use crate::{
    blob::for_each,
    files::{
        gram_of, open_model,
        output::place,
        reading::{words_from_file, Cuts, Opened, Reader},
        FilesError,
    },
    layout::{Dtype, FileError, Layout},
    model::{fits, unfit},
    rules::Gram,
};
use blake3::hazmat::ChainingValue;
use consilium_masks::Streams;
use consilium_primitives::{BlobRef, Hash};
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// What a site trained, which leaves it only under masks.
#[derive(Clone, Copy, Debug)]
pub struct OwnUpdate<'a> {
    /// The update's file.
    pub path: &'a Path,
    /// The duty that the file names: to train.
    pub duty: &'a Hash,
    /// The site's capped weight.
    pub weight: u32,
    /// What it reports of the model that it was given.
    pub figures: Figures,
}

/// What masking gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskedUpdate {
    /// The masked file.
    pub blob: BlobRef,
    /// Numbers that moved too far, and were held at the bound: for the site's own log.
    pub clamped: u64,
    /// By what the step was shortened to keep the norm bound; 1: it was not.
    pub shortened: f64,
}

/// Masks an update into a file that names `duty`. `out` is an empty file open for reading and writing, whose path is for messages.
///
/// # Errors
/// [`MaskedError::StepTooLarge`] where more than one number in a thousand moved too far; a merge that cannot be masked; an update
/// or a model that is not what it must be. Nothing in `out` counts after an error.
pub fn mask_update(
    round: &MaskedRound<'_>,
    own: &OwnUpdate<'_>,
    streams: &Streams,
    duty: &Hash,
    out: (&File, &Path),
) -> Result<MaskedUpdate, MaskedError> {
    let bound = round.bound()?;
    if round.noised.is_some() {
        return Err(MaskedError::Noise { what: "an update is no sum of gradients" });
    }
    enough_masks(streams)?;
    if own.weight == 0 || u64::from(own.weight) > round.total {
        return Err(MaskedError::Weights { sum: own.weight.into(), total: round.total });
    }
    let merged = round.layout.with_state(round.merge.moments())?;
    let base = open_model(round.base, &merged)?;
    let reader = Reader::open(own.path, Dtype::F32, round.layout, Some(own.duty)).map_err(|opened| match opened {
        Opened::Io(error) => FilesError::Io { path: own.path.into(), error },
        Opened::Invalid(error) => FilesError::Input { input: 0, error },
    })?;
    let mut shortened = 1.0;
    if let Some(bound) = bound {
        let norm = gram_of(Gram::new(1), std::slice::from_ref(&reader), &base, round.layout)?.norm(0);
        if norm > bound {
            shortened = bound / norm;
        }
    }
    let masked = MaskedLayout::model(round.layout)?;
    let share = Share { weight: own.weight, total: round.total };
    let pass = Pass {
        encoding: Encoding::new(round.scale, share, shortened),
        update: &reader,
        base: &base,
        layout: round.layout,
        streams,
        figures: own.figures.masked(streams, masked.padded()),
        cuts: Cuts::new(masked.tensor(), 2),
        header: masked.header(duty),
        masked: &masked,
        out,
    };
    let len = masked.file_len();
    out.0.set_len(len).and_then(|()| place(out.0, len)).map_err(|error| pass.io(error))?;
    let parts = for_each(0..pass.cuts.parts.count(), |buffers, part| pass.part(part, buffers))?;
    let (values, clamped): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let clamped = clamped.into_iter().sum::<u64>();
    let numbers = masked.words();
    if clamped.saturating_mul(CLAMPED) > numbers as u64 {
        return Err(MaskedError::StepTooLarge { clamped, numbers, range: round.scale.range() });
    }
    Ok(MaskedUpdate { blob: BlobRef { root: pass.cuts.parts.root(&values), len }, clamped, shortened })
}

/// What all threads look at.
struct Pass<'a> {
    encoding: Encoding,
    update: &'a Reader,
    base: &'a Reader,
    layout: &'a Layout,
    streams: &'a Streams,
    /// The last words of the file, under masks.
    figures: [u32; super::figures::SUMS],
    masked: &'a MaskedLayout,
    cuts: Cuts,
    header: Vec<u8>,
    out: (&'a File, &'a Path),
}

/// Numbers of one piece.
#[derive(Default)]
struct Buffers {
    update: Vec<f32>,
    base: Vec<f32>,
    words: Vec<u32>,
}

impl Pass<'_> {
    fn io(&self, error: io::Error) -> FilesError {
        FilesError::Io { path: self.out.1.into(), error }
    }

    /// Makes one part of the file. Gives its place in the tree of hashes, and how many numbers were held at the bound.
    fn part(&self, part: usize, buffers: &mut Buffers) -> Result<(ChainingValue, u64), FilesError> {
        let Buffers { update, base, words } = buffers;
        let write = |bytes: &[u8], at| self.out.0.write_all_at(bytes, at).map_err(|error| self.io(error));
        let (numbers, padded) = (self.masked.words(), self.masked.padded());
        let mut hasher = self.cuts.parts.hasher(part);
        if part == 0 {
            hasher.update(&self.header);
            write(&self.header, 0)?;
        }
        let mut clamped = 0;
        for (at, len) in self.cuts.pieces(part) {
            let (own, under) = (numbers.saturating_sub(at).min(len), padded.saturating_sub(at).min(len));
            words.resize(len, 0);
            if own > 0 {
                self.update.read(at, own, update, None)?;
                self.base.read(at, own, base, None)?;
                let found: Encoded = self.encoding.block(update, base, &mut words[..own]);
                if found.unfit {
                    return Err(FilesError::Input { input: 0, error: self.unfit(at, update) });
                }
                clamped += found.clamped;
            }
            words[own..under].fill(0);
            add_masks(self.streams, at, &mut words[..under]);
            if under < len {
                let first = at + under - padded;
                words[under..].copy_from_slice(&self.figures[first..first + len - under]);
            }
            words_from_file(words);
            let bytes = bytemuck::cast_slice::<u32, u8>(words);
            hasher.update(bytes);
            write(bytes, self.cuts.start + at as u64 * 4)?;
        }
        Ok((self.cuts.parts.value(&hasher), clamped))
    }

    fn unfit(&self, at: usize, update: &[f32]) -> FileError {
        let place = update.iter().position(|number| !fits(*number)).unwrap_or(0);
        unfit(self.layout, at + place, update[place])
    }
}

/// Adds masks to words from position `at` on, whole blocks of the cipher together.
pub(super) fn add_masks(streams: &Streams, at: usize, words: &mut [u32]) {
    // words of a block of AES
    const CIPHER: usize = 4;
    let lead = (at.next_multiple_of(CIPHER) - at).min(words.len());
    let (first, rest) = words.split_at_mut(lead);
    if !first.is_empty() {
        streams.add(at as u64, first);
    }
    if !rest.is_empty() {
        streams.add((at + lead) as u64, rest);
    }
}
