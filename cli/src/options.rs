//! Options that several commands have: which node is asked, how is printed, yes and no.

use crate::{
    chain::Chain,
    institution::folder::{hashed, SiteSettings, SETTINGS},
};
use anyhow::{ensure, Context, Result};
use clap::{Args, ValueEnum};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where a node listens for JSON-RPC unless it is told otherwise.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:9944";

/// Which node to ask, and how to print.
#[derive(Args)]
pub struct Connection {
    /// JSON-RPC address of a node
    #[arg(long, default_value = DEFAULT_URL)]
    pub url: String,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

impl Connection {
    /// What a command that is shown to people needs at its end to reach the same node.
    pub fn hint(&self) -> String {
        if self.url == DEFAULT_URL {
            String::new()
        } else {
            format!(" --url {}", self.url)
        }
    }
}

/// Which node to ask, by its institution's folder or its address, and how to print.
#[derive(Args)]
pub struct Asked {
    /// The institution's folder: its node is asked unless --url names another
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
}

impl Asked {
    /// The node.
    ///
    /// # Errors
    /// It does not answer, or the folder is none.
    pub async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(&self.url()?).await?.of_folder(self.dir.as_deref()))
    }

    /// JSON-RPC address of the node.
    ///
    /// # Errors
    /// The folder is none, or its settings cannot be read.
    pub fn url(&self) -> Result<String> {
        node_of(self.dir.as_deref(), &self.connection.url)
    }

    /// These folders of files, and after them those of the institution that was named.
    pub fn and_own(&self, mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
        folders.extend(self.dir.iter().flat_map(|dir| hashed(dir)));
        folders
    }

    /// What a command that is shown to people needs at its end to reach the same node.
    pub fn hint(&self) -> String {
        let dir = self.dir.as_ref().map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default();
        dir + &self.connection.hint()
    }

    /// A line with the folder that was named in the place of one that is still to be named.
    pub fn pasted(&self, line: &str) -> String {
        match &self.dir {
            Some(dir) => line.replace("--dir FOLDER", &format!("--dir {}", dir.display())),
            None => line.to_owned(),
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: one JSON document on standard output
    Json,
}

/// JSON-RPC address of a folder's node, where no other was named.
///
/// # Errors
/// The folder's settings cannot be read.
pub fn node_of(dir: Option<&Path>, url: &str) -> Result<String> {
    let Some(dir) = dir else { return Ok(url.to_owned()) };
    // another one's node would be asked in its place
    ensure!(
        dir.is_dir(),
        "--dir {}: there is no such folder; name the one that `consilium init` has made",
        dir.display()
    );
    if url != DEFAULT_URL {
        return Ok(url.to_owned());
    }
    let file = dir.join(SETTINGS);
    if !file.exists() {
        return Ok(url.to_owned());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings: SiteSettings = toml::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(format!("ws://127.0.0.1:{}", settings.rpc_port))
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("must be yes or no".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hint_names_the_address_where_it_is_not_the_usual_one() {
        let at = |url: &str| Connection { url: url.into(), format: Format::Text }.hint();
        assert_eq!(at(DEFAULT_URL), "");
        assert_eq!(at("ws://127.0.0.1:1"), " --url ws://127.0.0.1:1");
    }

    #[test]
    fn files_are_looked_for_in_the_blobs_and_where_the_worker_keeps_what_studies_name() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection { url: DEFAULT_URL.into(), format: Format::Text };
        let asked = Asked { dir: Some(dir.path().to_owned()), connection };
        let folders = || asked.and_own(vec!["other".into()]);
        assert_eq!(folders(), [PathBuf::from("other"), dir.path().join("blobs")]);
        fs::create_dir_all(dir.path().join("worker/named")).unwrap();
        assert_eq!(folders()[1..], [dir.path().join("blobs"), dir.path().join("worker/named")]);
    }

    #[test]
    fn a_folder_says_where_its_node_answers_unless_another_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(node_of(Some(dir.path()), DEFAULT_URL).unwrap(), DEFAULT_URL);
        let mut settings = SiteSettings::usual("x", true, 1, Vec::new());
        settings.rpc_port = 7;
        fs::write(dir.path().join(SETTINGS), toml::to_string(&settings).unwrap()).unwrap();
        assert_eq!(node_of(Some(dir.path()), DEFAULT_URL).unwrap(), "ws://127.0.0.1:7");
        assert_eq!(node_of(Some(dir.path()), "ws://127.0.0.1:8").unwrap(), "ws://127.0.0.1:8");
        assert_eq!(node_of(None, DEFAULT_URL).unwrap(), DEFAULT_URL);
        let nowhere = dir.path().join("nowhere");
        for url in [DEFAULT_URL, "ws://127.0.0.1:8"] {
            assert!(node_of(Some(&nowhere), url).unwrap_err().to_string().contains("consilium init"));
        }
        fs::write(dir.path().join(SETTINGS), "rpc_port").unwrap();
        assert!(format!("{:#}", node_of(Some(dir.path()), DEFAULT_URL).unwrap_err()).contains(SETTINGS));
    }
}
