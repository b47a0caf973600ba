//! `ml-worker survey`: the columns of a table, for whoever writes a study file.

use super::{memory::Memory, named, say};
use anyhow::Result;
use clap::Args;
use consilium_ml_worker::data::survey;
use consilium_study::{Encoding, Layout, Orientation};
use std::path::PathBuf;

#[derive(Args)]
pub struct Survey {
    /// Data file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The column that is to be predicted: its values are told, as a study file names them
    #[arg(long, value_name = "COLUMN")]
    label: String,
    /// What bytes beyond ASCII stand for, as data.encoding in a study file
    #[arg(long, value_name = "utf8|latin1", value_parser = named::<Encoding>, default_value = "utf8")]
    encoding: Encoding,
    /// Whether a line is a row or a column, as data.orientation in a study file
    #[arg(long, value_name = "rows|columns", value_parser = named::<Orientation>, default_value = "rows")]
    orientation: Orientation,
    #[command(flatten)]
    memory: Memory,
}

impl Survey {
    pub fn print(&self) -> Result<()> {
        let layout = Layout { encoding: self.encoding, orientation: self.orientation };
        let found = survey(&self.data, layout, &self.label, &self.memory.reading())?;
        say(format_args!("{}\n", serde_json::to_string(&found)?))
    }
}
