//! What a site's people learn of their pictures before a study: which cannot be read, and how large they are.

use crate::data::{
    error::DataError,
    pictures::{retain, FailureKind, Sheet, Want},
    table::{copy::Known, sink::Target},
};
use consilium_study::Pictures;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Pictures that cannot be read that are named, and sizes that are listed.
const MOST: usize = 20;

/// Pictures of a table: numbers and sizes, nothing of what they show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// How many can be read.
    pub read: usize,
    /// How many cannot.
    pub unreadable: usize,
    /// The most frequent sizes: width, height, and how many pictures have it.
    pub sizes: Vec<(usize, usize, usize)>,
    /// How many other sizes there are.
    pub other_sizes: usize,
    /// Rows whose picture is byte for byte that of a row before of another group: how many, and how many of them are
    /// labelled otherwise.
    pub twice: (usize, usize),
}

/// Looks at all pictures; rows whose pictures cannot be read are taken out of what is known. Also what is wrong, with
/// whether it is so whatever the study says of bad rows.
pub(in crate::data) fn survey(
    pictures: &Pictures,
    target: &Target<'_>,
    known: &mut Known,
    places: (&[usize], &'static str),
) -> Result<(Survey, Vec<(String, bool)>), DataError> {
    let names = std::mem::take(&mut known.pictures);
    let mut seen = Survey::default();
    let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let (mut wrong, mut more) = (Vec::new(), (0, false));
    let mut keep = vec![true; names.len()];
    let mut first: HashMap<[u8; 32], usize> = HashMap::new();
    let per_row = known.labels.len() / names.len().max(1);
    let label = |row: usize| &known.labels[row * per_row..(row + 1) * per_row];
    Sheet::new(pictures, target, &names, places)?.each(&|| Want::Size, &mut |row, picture| {
        match picture.what {
            Ok(shown) => {
                seen.read += 1;
                let before = *first.entry(picture.hash).or_insert(row);
                if known.groups[before] != known.groups[row] {
                    seen.twice.0 += 1;
                    seen.twice.1 += usize::from(label(before) != label(row));
                }
                // files that others read have no size that is known here
                if shown.size != (0, 0) {
                    *sizes.entry(shown.size).or_default() += 1;
                }
            }
            Err(failure) => {
                seen.unreadable += 1;
                keep[row] = false;
                let blocks = failure.kind == FailureKind::Outside;
                if wrong.len() < MOST {
                    wrong.push((failure.error.message, blocks));
                } else {
                    more = (more.0 + 1, more.1 || blocks);
                }
            }
        }
        Ok(())
    })?;
    if more.0 > 0 {
        wrong.push((format!("{} more pictures cannot be read", more.0), more.1));
    }
    known.pictures = names;
    retain(known, &keep);
    let mut all: Vec<(usize, usize, usize)> = sizes.into_iter().map(|((w, h), count)| (w, h, count)).collect();
    all.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    seen.other_sizes = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    seen.sizes = all;
    Ok((seen, wrong))
}
