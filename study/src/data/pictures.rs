//! Pictures, and other files, that a table names.

use serde::{Deserialize, Serialize};

/// Pictures: the table has a column with their files' names, relative to the table's own folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// Column of the files' names.
    pub column: String,
    /// Rows of pixels that the network takes; pictures of other sizes are resized. Left out of [`PictureKind::Files`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub height: u32,
    /// Columns of pixels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width: u32,
    /// 1: grey; 3: red, green and blue, one after the other in each row of the network.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub channels: u32,
    /// PNG and JPEG by themselves; or DICOM with a window.
    #[serde(default)]
    pub kind: PictureKind,
    /// Subtracted from every pixel, which lies between 0 and 1.
    #[serde(default = "half")]
    pub mean: f64,
    /// What pixels are divided by then.
    #[serde(default = "quarter")]
    pub deviation: f64,
}

impl Pictures {
    /// Numbers of one picture; none of a file that the study's own trainer reads.
    pub fn numbers(&self) -> usize {
        self.channels as usize * self.height as usize * self.width as usize
    }

    /// Whether nothing is said of pixels beside what goes without saying.
    pub(crate) fn without_pixels(&self) -> bool {
        let (column, kind) = (self.column.clone(), self.kind);
        *self == Self { column, height: 0, width: 0, channels: one(), kind, mean: half(), deviation: quarter() }
    }
}

/// Kinds of picture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PictureKind {
    /// PNG or JPEG, told apart by their content; of one channel, colours become grey.
    #[default]
    Picture,
    /// DICOM, seen through this window (DICOM PS3.3, C.11.2.1.2) after the modality's rescaling; MONOCHROME1 is inverted.
    Dicom(Window),
    /// Files of any kind, one a row, which the study's own trainer reads: volumes, slides, signals. This program hashes them,
    /// and makes no number of them.
    Files,
}

/// Which values of a DICOM picture become black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// The first window that the file itself names, else its full range.
    #[default]
    Own,
    /// The full range that its stored bits can hold.
    Full,
    /// This one, for all files.
    Fixed {
        /// Its centre.
        center: f64,
        /// Its width, at least 1.
        width: f64,
    },
}

fn half() -> f64 {
    0.5
}
fn quarter() -> f64 {
    0.25
}
fn one() -> u32 {
    1
}
fn is_zero(side: &u32) -> bool {
    *side == 0
}
fn is_one(channels: &u32) -> bool {
    *channels == 1
}
