//! The pass over masked files: hashed, summed, freed of masks, and merged with the model they stand on, each part by one thread.

use super::{
    encoding::{add_words, Open, Opening},
    masking::add_masks,
    norm::Squares,
    output::{Grains, Output},
    summed, Figures, MaskedError, MaskedLayout, MaskedRound, OutOfRange, SLACK,
};
use crate::{
    blob::for_each,
    files::{
        committed, open_inputs, open_model,
        reading::{Cuts, Reader},
        same, FilesError, InputFile,
    },
    layout::Dtype,
    rules::{MergeError, Server},
};
use blake3::hazmat::ChainingValue;
use consilium_masks::Streams;
use consilium_primitives::BlobRef;
use std::{fs::File, path::Path};

/// What merging masked files gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskedMerge {
    /// The merged file.
    pub blob: BlobRef,
    /// What the sites reported, summed.
    pub figures: Figures,
    /// The length of the merged step, where there is a norm bound.
    pub norm: Option<f64>,
}

/// Merges masked files, which come in order of institution id with the capped weights of their sites. `streams` are the masks that
/// are on their sum, each with the sign that takes it off; `out` is an empty file open for reading and writing, whose path is for
/// messages.
///
/// # Errors
/// [`FilesError::Differs`] for the first input, in order, whose file is not what was committed, before anything is said of what
/// is in it; [`MaskedError::TooFew`] below [`MIN_SUMMED`](super::MIN_SUMMED); [`MaskedError::OutOfRange`] where the sum is none of
/// honest sites'. Nothing in `out` counts after an error.
pub fn merge_masked(
    round: &MaskedRound<'_>,
    inputs: &[InputFile],
    streams: &Streams,
    out: (&File, &Path),
) -> Result<MaskedMerge, MaskedError> {
    let merged = merged(round, inputs, streams, out);
    if let Err(MaskedError::Files(FilesError::Input { .. })) = &merged {
        same(inputs)?;
    }
    merged
}

fn merged(
    round: &MaskedRound<'_>,
    inputs: &[InputFile],
    streams: &Streams,
    out: (&File, &Path),
) -> Result<MaskedMerge, MaskedError> {
    let bound = round.bound()?;
    let weights: Vec<u32> = inputs.iter().map(|input| input.weight).collect();
    summed(round.merge, &weights, round.total)?;
    let moments = round.merge.moments();
    let whole = round.layout.with_state(moments)?;
    let masked = MaskedLayout::model(round.layout)?;
    let base = open_model(round.base, &whole)?;
    let readers = open_inputs(inputs, Dtype::U32, masked.tensor())?;
    let server = round.merge.server.as_ref().map(Server::new);
    let pass = Pass {
        masked: &masked,
        readers: &readers,
        base: &base,
        streams,
        opening: match round.noised {
            Some(noised) => Opening::noised(noised, &weights),
            None => Opening::new(round.scale, &weights, round.total),
        },
        server: server.as_ref(),
        bounded: bound.is_some(),
        elements: masked.words(),
        moments: moments as usize,
        output: Output::new(out, &whole, masked.words(), moments as usize)?,
    };
    let cuts = Cuts::new(masked.tensor(), readers.len());
    let parts = for_each(0..cuts.parts.count(), |buffers, part| pass.part(&cuts, part, buffers))?;
    let (mut values, mut grains, mut squares) = (Vec::new(), Vec::new(), Vec::new());
    let mut tails = vec![Vec::new(); inputs.len()];
    let mut wrong = None;
    for part in parts {
        values.push(part.values);
        grains.push(part.grains);
        squares.push(part.squares);
        tails.iter_mut().zip(&part.tails).for_each(|(all, tail)| all.extend_from_slice(tail));
        wrong = wrong.or(part.wrong);
    }
    committed(&cuts, &values, inputs)?;
    if let Some(wrong) = wrong {
        return Err(wrong.into());
    }
    let figures = Figures::opened(&tails, streams, masked.padded())?;
    let norm = bound.is_some().then(|| Squares::length(&squares));
    within(norm, bound)?;
    Ok(MaskedMerge { blob: pass.output.finish(grains)?, figures, norm })
}

/// Whether a merged step keeps the agreed bound, as that of honest sites does.
pub(super) fn within(norm: Option<f64>, bound: Option<f64>) -> Result<(), OutOfRange> {
    match (norm, bound) {
        (Some(norm), Some(bound)) if norm > bound * (1.0 + SLACK) => Err(OutOfRange::Norm { norm, bound }),
        _ => Ok(()),
    }
}

/// The first thing that is wrong with a sum.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Sum(OutOfRange),
    Overflow(usize),
}

impl From<Wrong> for MaskedError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Sum(range) => range.into(),
            Wrong::Overflow(index) => MergeError::Overflow { index }.into(),
        }
    }
}

/// What all threads look at while masked files are merged.
struct Pass<'a> {
    masked: &'a MaskedLayout,
    readers: &'a [Reader],
    base: &'a Reader,
    streams: &'a Streams,
    opening: Opening,
    server: Option<&'a Server>,
    /// Whether the step's length is asked for.
    bounded: bool,
    elements: usize,
    moments: usize,
    output: Output<'a>,
}

/// What one part gives.
struct Part {
    /// Each input's place in its tree of hashes.
    values: Vec<ChainingValue>,
    /// Words of each input that belong to its figures.
    tails: Vec<Vec<u32>>,
    squares: Squares,
    grains: Grains,
    wrong: Option<Wrong>,
}

/// Numbers of one piece.
#[derive(Default)]
struct Buffers {
    sum: Vec<u32>,
    words: Vec<u32>,
    base: Vec<f32>,
    state: [Vec<f32>; 2],
    model: Vec<f32>,
}

impl Pass<'_> {
    /// Reads one part of all inputs, takes the masks off its sum, merges and writes it.
    fn part(&self, cuts: &Cuts, part: usize, buffers: &mut Buffers) -> Result<Part, FilesError> {
        let mut hashers: Vec<_> = self.readers.iter().map(|reader| reader.hasher(&cuts.parts, part)).collect();
        let mut tails = vec![Vec::new(); self.readers.len()];
        let (mut squares, mut wrong) = (Squares::default(), None);
        let Buffers { sum, words, base, state, model } = buffers;
        let first = cuts.pieces(part).next().map_or(self.elements, |(at, _)| at);
        let mut output = if first < self.elements { Some(self.output.part(first, model)) } else { None };
        for (at, len) in cuts.pieces(part) {
            let own = self.elements.saturating_sub(at).min(len);
            let under = self.masked.padded().saturating_sub(at).min(len);
            for (input, ((reader, hasher), tail)) in self.readers.iter().zip(&mut hashers).zip(&mut tails).enumerate() {
                let read = if input == 0 { &mut *sum } else { &mut *words };
                read.resize(len, 0);
                reader.words(at, read, Some(hasher))?;
                tail.extend_from_slice(&read[under..]);
                if input > 0 {
                    add_words(&mut sum[..under], &words[..under]);
                }
            }
            add_masks(self.streams, at, &mut sum[..under]);
            wrong = wrong.or_else(|| self.padding(&sum[own..under]));
            let Some(output) = output.as_mut().filter(|_| own > 0) else { continue };
            self.base.read(at, own, base, None)?;
            for (list, state) in state.iter_mut().take(self.moments).enumerate() {
                self.base.read((list + 1) * self.elements + at, own, state, None)?;
            }
            let [first, second] = &mut *state;
            let out = output.room(own);
            let open = Open {
                opening: &self.opening,
                server: self.server,
                at,
                sum: &sum[..own],
                base,
                m: first,
                v: second,
                squares: self.bounded.then_some(&mut squares),
                out,
            };
            let verdict = open.run();
            if !verdict.in_range {
                wrong = wrong.or_else(|| self.beyond(at, &sum[..own]));
            }
            if !verdict.finite {
                wrong = wrong.or(Some(Wrong::Overflow(at)));
            }
            output.done(at, own)?;
            for (list, state) in state.iter_mut().take(self.moments).enumerate() {
                self.output.list(list + 1, at, state)?;
            }
        }
        let values = hashers.iter().map(|hasher| cuts.parts.value(hasher)).collect();
        let grains = output.map_or_else(|| Ok(Grains::default()), |output| output.end())?;
        Ok(Part { values, tails, squares, grains, wrong })
    }

    /// The first number that is none of honest sites', of numbers from position `at` on.
    fn beyond(&self, at: usize, sum: &[u32]) -> Option<Wrong> {
        let most = self.opening.bound;
        let place = sum.iter().position(|word| (*word as i32).unsigned_abs() > most)?;
        Some(Wrong::Sum(OutOfRange::Number { index: at + place, sum: sum[place] as i32, most }))
    }

    /// What is wrong with the padding word, where it is here.
    fn padding(&self, words: &[u32]) -> Option<Wrong> {
        words.iter().any(|word| *word != 0).then_some(Wrong::Sum(OutOfRange::Padding))
    }
}
