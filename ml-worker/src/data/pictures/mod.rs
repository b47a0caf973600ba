//! Pictures that a table names: read, brought to the model's size, scaled, and kept in memory or in a working copy. Files that the
//! study's own trainer reads are hashed, and known by where they lie.

pub mod dicom;
pub mod image;
mod jpeg;
mod pixels;
mod size;
pub mod survey;

pub(in crate::data) use pixels::Pixels;

use crate::data::{
    error::DataError,
    pictures::{
        dicom::parse_dicom,
        image::{limited, parse_colours, parse_picture, Grey},
    },
    table::{
        cell::Mode,
        copy::{Known, Writer},
        sink::{none_left, too_many, Target},
        source::hash_file,
    },
};
use consilium_primitives::{FailureCode, Hash};
use consilium_study::{BadRows, DataSpec, PictureKind, Pictures};
use rayon::prelude::*;
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Bytes that reading one picture may take, at most; how many are read at the same time follows from it.
const ONE: u64 = 600 << 20;
/// Bytes of pixels that are made before they are stored, at least and at most, and pictures at most.
const BATCH: (u64, u64) = (1 << 22, 1 << 26);
const MOST: usize = 1_024;

/// What is made of a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Want {
    /// Its hash alone.
    Hash,
    /// Its size, as it is.
    Size,
    /// The network's numbers.
    Pixels,
}

/// What became of a picture.
pub(in crate::data) struct Seen {
    /// BLAKE3 of its bytes; zeros where they could not be read.
    pub hash: [u8; 32],
    pub what: Result<Shown, Failure>,
}

/// A picture that could be read.
#[derive(Default)]
pub(in crate::data) struct Shown {
    /// Width and height, as it is.
    pub size: (usize, usize),
    pub pixels: Vec<f32>,
    /// Where it lies, of files that others read.
    pub path: PathBuf,
}

/// Why a picture could not be read.
#[derive(Clone)]
pub(in crate::data) struct Failure {
    pub error: DataError,
    pub kind: FailureKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum FailureKind {
    /// It lies where pictures of this table do not: never skipped.
    Outside,
    /// Its bytes cannot be had.
    Unread,
    /// Its bytes are no such picture.
    Damaged,
}

/// The pictures of a table.
pub(in crate::data) struct Sheet<'a> {
    pub pictures: &'a Pictures,
    /// The table's own folder, without symbolic links.
    pub folder: PathBuf,
    pub names: &'a [String],
    /// Line or row of each.
    pub places: &'a [usize],
    pub unit: &'static str,
    /// Bytes that may be used.
    pub allowance: u64,
}

impl<'a> Sheet<'a> {
    pub fn new(
        pictures: &'a Pictures,
        target: &Target<'_>,
        names: &'a [String],
        (places, unit): (&'a [usize], &'static str),
    ) -> Result<Self, DataError> {
        let folder = match target.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(folder).map_err(|e| DataError::io("its folder cannot be read", &e))?;
        Ok(Self { pictures, folder, names, places, unit, allowance: target.reading.allowance })
    }

    /// Numbers of a picture.
    fn side(&self) -> usize {
        self.pictures.numbers()
    }

    /// Hands over all pictures in the table's order; they are read on all cores, as many at the same time as memory allows.
    /// `want` is asked before each batch.
    pub fn each(
        &self,
        want: &dyn Fn() -> Want,
        each: &mut dyn FnMut(usize, Seen) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let together = usize::try_from(self.allowance / ONE).unwrap_or(1).clamp(1, rayon::current_num_threads());
        let bytes = (self.allowance / 4).clamp(BATCH.0, BATCH.1);
        let batch = usize::try_from(bytes / (self.side() as u64 * 4).max(1)).unwrap_or(1).clamp(together, MOST);
        let all: Vec<usize> = (0..self.names.len()).collect();
        for rows in all.chunks(batch) {
            let want = want();
            let seen: Vec<Vec<Seen>> = rows
                .par_chunks(rows.len().div_ceil(together))
                .map(|rows| rows.iter().map(|row| self.one(*row, want)).collect())
                .collect();
            for (row, seen) in rows.iter().zip(seen.into_iter().flatten()) {
                each(*row, seen)?;
            }
        }
        Ok(())
    }

    fn one(&self, row: usize, want: Want) -> Seen {
        let name = Path::new(&self.names[row]);
        let failed = |error: DataError, kind: FailureKind| {
            let place = format!("{} {}", self.unit, self.places.get(row).copied().unwrap_or_default());
            let passes = error.passes;
            let message = match kind {
                FailureKind::Outside => format!("{place}: {}", error.message),
                FailureKind::Unread | FailureKind::Damaged => {
                    format!("{place}, {} {}", self.noun(), error.of(name).message)
                }
            };
            Failure { error: DataError { passes, ..DataError::new(code(kind), message) }, kind }
        };
        let gone = |(error, kind): (DataError, FailureKind)| Seen { hash: [0; 32], what: Err(failed(error, kind)) };
        let path = match self.within(name) {
            Ok(path) => path,
            Err(wrong) => return gone(wrong),
        };
        if self.pictures.kind == PictureKind::Files {
            return match hash_of(&path) {
                Ok(hash) => Seen { hash: hash.0, what: Ok(Shown { path, ..Shown::default() }) },
                Err(error) => gone((error, FailureKind::Unread)),
            };
        }
        let bytes = match limited(&path) {
            Ok(bytes) => bytes,
            Err(error) => return gone((error, FailureKind::Unread)),
        };
        let hash = *blake3::hash(&bytes).as_bytes();
        if want == Want::Hash {
            return Seen { hash, what: Ok(Shown::default()) };
        }
        let mut shown = Shown::default();
        let mut take = |plane: Grey| {
            shown.size = (plane.width, plane.height);
            if want == Want::Pixels {
                shown.pixels.extend(self.numbers(&plane));
            }
        };
        let read = match self.pictures.kind {
            PictureKind::Picture if self.pictures.channels == 1 => parse_picture(&bytes, name).map(take),
            PictureKind::Picture => parse_colours(&bytes, name, &mut take),
            PictureKind::Dicom(window) => parse_dicom(&bytes, name, window).map(take),
            // hashed above
            PictureKind::Files => Ok(()),
        };
        let what = read.map(|()| shown).map_err(|error| failed(error, FailureKind::Damaged));
        Seen { hash, what }
    }

    /// What its rows name.
    fn noun(&self) -> &'static str {
        match self.pictures.kind {
            PictureKind::Picture | PictureKind::Dicom(_) => "picture",
            PictureKind::Files => "file",
        }
    }

    /// Where a picture lies, if that is in the table's folder.
    fn within(&self, name: &Path) -> Result<PathBuf, (DataError, FailureKind)> {
        let outside = || {
            let message = format!(
                "names a {} that is not in the table's own folder or below; put it there, and name it from there, without \"..\"",
                self.noun()
            );
            (DataError::schema(message), FailureKind::Outside)
        };
        if !name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let path = fs::canonicalize(self.folder.join(name)).map_err(|e| {
            let hint = match name.as_os_str().as_encoded_bytes().contains(&b'\\') {
                true => "; folders stand before a /, not a \\",
                false => "",
            };
            let message = format!("cannot be read: {e}{hint}");
            (DataError::new(FailureCode::DataUnreadable, message), FailureKind::Unread)
        })?;
        if path.starts_with(&self.folder) {
            Ok(path)
        } else {
            Err(outside())
        }
    }

    /// The network's numbers of one channel.
    fn numbers(&self, grey: &Grey) -> Vec<f32> {
        let Pictures { height, width, mean, deviation, .. } = self.pictures;
        let sized = grey.resized(*width as usize, *height as usize);
        sized.pixels.iter().map(|p| ((f64::from(*p) - mean) / deviation) as f32).collect()
    }

    /// The hash that stands for the table and its pictures.
    pub fn hash(&self, table: &Hash) -> Result<Hash, DataError> {
        let mut hasher = begin(table);
        self.each(&|| Want::Hash, &mut |_, seen| match seen.what {
            // it is there, and has a hash
            Err(failure) if failure.error.passes => Err(failure.error),
            _ => {
                hasher.update(&seen.hash);
                Ok(())
            }
        })?;
        Ok(Hash::from(*hasher.finalize().as_bytes()))
    }
}

/// The hash of a file of any size.
fn hash_of(path: &Path) -> Result<Hash, DataError> {
    if !fs::metadata(path).map_err(|e| DataError::io("cannot be read", &e))?.is_file() {
        return Err(DataError::new(FailureCode::DataUnreadable, "is no file"));
    }
    hash_file(path)
}

fn code(kind: FailureKind) -> FailureCode {
    match kind {
        FailureKind::Outside | FailureKind::Damaged => FailureCode::SchemaMismatch,
        FailureKind::Unread => FailureCode::DataUnreadable,
    }
}

fn begin(table: &Hash) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&table.0);
    hasher
}

/// Where pixels go: memory if all have room there, otherwise a working copy.
enum Store {
    Memory(Vec<Vec<f32>>),
    File(Box<Writer>),
    Elsewhere(Vec<PathBuf>),
}

/// Reads all pictures of a table whose file has this hash. Rows whose pictures cannot be read are taken out of `known` under
/// [`Mode::Skip`]. The hash is that of table and pictures whatever comes out.
///
/// # Errors
/// A picture's bytes cannot be had, so that there is no hash.
pub(in crate::data) fn load(
    target: &Target<'_>,
    spec: (&DataSpec, &Pictures),
    known: &mut Known,
    places: (&[usize], &'static str),
    table: &Hash,
    mode: Mode,
) -> Result<(Hash, Result<Pixels, DataError>), DataError> {
    let names = std::mem::take(&mut known.pictures);
    let sheet = Sheet::new(spec.1, target, &names, places)?;
    let folder = sheet.folder.clone();
    let room = (names.len() as u64).saturating_mul(sheet.side() as u64 * 4) <= target.reading.allowance;
    let mut hasher = begin(table);
    let mut store = match room {
        _ if spec.0.files() => Ok(Store::Elsewhere(Vec::with_capacity(names.len()))),
        true => Ok(Store::Memory(Vec::with_capacity(names.len()))),
        false => target.writer("pixels").map(|writer| Store::File(Box::new(writer))),
    };
    let (mut keep, mut first) = (vec![true; names.len()], None);
    // pictures after one that is wrong are only hashed
    let wrong = std::cell::Cell::new(store.is_err());
    sheet.each(&|| if wrong.get() { Want::Hash } else { Want::Pixels }, &mut |row, seen| {
        hasher.update(&seen.hash);
        match seen.what {
            Err(failure) if failure.error.passes => return Err(failure.error),
            Err(failure) if failure.kind == FailureKind::Unread && mode != Mode::Skip => return Err(failure.error),
            _ if wrong.get() => return Ok(()),
            Err(failure) if failure.kind != FailureKind::Outside && mode == Mode::Skip => {
                keep[row] = false;
                first.get_or_insert(failure.error.message);
            }
            Err(failure) => store = Err(failure.error),
            Ok(shown) => {
                let stored = match &mut store {
                    Ok(Store::Memory(rows)) => {
                        rows.push(shown.pixels);
                        Ok(())
                    }
                    Ok(Store::File(writer)) => writer.write_pixels(&shown.pixels).map_err(|e| target.failed(&e)),
                    Ok(Store::Elsewhere(files)) => {
                        files.push(shown.path);
                        Ok(())
                    }
                    Err(_) => Ok(()),
                };
                if let Err(error) = stored {
                    store = Err(error);
                }
            }
        }
        wrong.set(store.is_err());
        Ok(())
    })?;
    let hash = Hash::from(*hasher.finalize().as_bytes());
    known.pictures = names;
    known.source = hash.0;
    let pixels = store.and_then(|store| {
        retain(known, &keep);
        let (skipped, left) = (known.skipped, known.groups.len() as u64);
        let all = left + skipped + known.dropped;
        if let (BadRows::Skip { at_most }, Mode::Skip) = (spec.0.bad_rows, mode) {
            too_many(skipped, all, at_most, first.as_deref())?;
        }
        if left == 0 {
            return Err(none_left(all, known.dropped, skipped));
        }
        match store {
            Store::Memory(rows) => Ok(Pixels::Memory(rows)),
            Store::File(writer) => writer.finish(known).map(Pixels::File).map_err(|e| target.failed(&e)),
            Store::Elsewhere(files) => Ok(Pixels::Elsewhere { folder, files }),
        }
    });
    Ok((hash, pixels))
}

/// Takes rows out that are not kept; they count as such that cannot be read.
pub(in crate::data) fn retain(known: &mut Known, keep: &[bool]) {
    let per_row = known.labels.len() / keep.len().max(1);
    let mut label = 0;
    known.labels.retain(|_| {
        label += 1;
        keep[(label - 1) / per_row.max(1)]
    });
    let mut kept = keep.iter();
    known.groups.retain(|_| kept.next().copied().unwrap_or(true));
    let mut kept = keep.iter();
    known.pictures.retain(|_| kept.next().copied().unwrap_or(true));
    known.skipped += keep.iter().filter(|kept| !**kept).count() as u64;
}
