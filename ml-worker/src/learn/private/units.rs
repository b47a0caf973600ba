//! What is protected as one: a record, or all records of a patient.

use crate::random::{key, Stream};
use std::collections::BTreeMap;

/// Training rows by unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// Where each unit's rows begin among `rows`, and where the last one's end.
    starts: Vec<usize>,
    rows: Vec<usize>,
}

/// A part of what a step draws that goes through the network at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Training rows, unit by unit.
    pub rows: Vec<usize>,
    /// How many of them each unit has.
    pub units: Vec<usize>,
}

impl Units {
    /// Each row is a unit.
    pub fn records(rows: usize) -> Self {
        Self { starts: (0..=rows).collect(), rows: (0..rows).collect() }
    }

    /// Each patient is a unit: of every training row the keyed hash of its patient. Units come in the order of the hashes, so
    /// that it does not matter how a table is sorted. Of a patient with more than `most` rows so many are drawn by the site's
    /// secret, the same in every round.
    pub fn patients(groups: &[[u8; 32]], most: usize, secret: &[u8; 32]) -> Self {
        let mut of_patient = BTreeMap::<&[u8; 32], Vec<usize>>::new();
        for (row, group) in groups.iter().enumerate() {
            of_patient.entry(group).or_default().push(row);
        }
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for (group, mut own) in of_patient {
            if own.len() > most {
                Stream::new(key("consilium/rows-of-patient/1", &[secret, group])).shuffle(&mut own);
                own.truncate(most);
                own.sort_unstable();
            }
            rows.extend(own);
            starts.push(rows.len());
        }
        Self { starts, rows }
    }

    /// How many units.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of all units.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Rows of one unit.
    pub fn of(&self, unit: usize) -> &[usize] {
        &self.rows[self.starts[unit]..self.starts[unit + 1]]
    }

    /// Rows of the unit that has the most.
    pub fn largest(&self) -> usize {
        (0..self.len()).map(|unit| self.of(unit).len()).max().unwrap_or(0)
    }

    /// The rows of these units in pieces of at most `most` rows; a unit is never torn apart, even where it has more.
    pub fn pieces(&self, drawn: &[usize], most: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut piece = Piece::default();
        for unit in drawn {
            let own = self.of(*unit);
            if own.is_empty() {
                continue;
            }
            if !piece.rows.is_empty() && piece.rows.len() + own.len() > most {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.rows.extend_from_slice(own);
            piece.units.push(own.len());
        }
        if !piece.rows.is_empty() {
            pieces.push(piece);
        }
        pieces
    }
}
