//! Figures as a file, which a site may sign.

use super::{FiguresError, SiteFigures};
use serde::{Deserialize, Serialize};

/// Version of [`FiguresFile`].
pub const FIGURES_VERSION: u32 = 1;

/// A site's figures as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiguresFile {
    /// [`FIGURES_VERSION`].
    pub consilium_figures: u32,
    /// BLAKE2b-256 of the specification.
    pub spec: String,
    /// BLAKE3 of the study's model.
    pub model: String,
    /// The figures.
    pub figures: SiteFigures,
    /// Whose they are; none as a worker writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Whose figures a file has, and for which study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Hash of the chain's block 0.
    pub genesis: String,
    /// Number of the study.
    pub study: u32,
    /// The agreement.
    pub agreement: String,
    /// The account that signs for the institution.
    pub signer: String,
    /// Its sr25519 signature of [`FiguresFile::message`].
    pub signature: String,
}

impl FiguresFile {
    /// What is signed of them: every byte of the file but the signature. Wallets wrap what people sign in the same way, so that no
    /// such text can be a transaction.
    pub fn message(&self) -> Vec<u8> {
        let mut unsigned = self.clone();
        if let Some(signed) = &mut unsigned.signed {
            signed.signature.clear();
        }
        // a struct of numbers and texts: numbers that are none were refused, and are written as null here
        let text = serde_json::to_string(&unsigned).unwrap_or_default();
        format!("<Bytes>consilium/figures/{FIGURES_VERSION} {text}</Bytes>").into_bytes()
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none, or of another version; a number in it cannot be what it is called.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let file: Self = serde_json::from_slice(bytes).map_err(ReadError::None)?;
        if file.consilium_figures != FIGURES_VERSION {
            return Err(ReadError::Version(file.consilium_figures));
        }
        file.figures.check()?;
        Ok(file)
    }
}

/// Why a file of figures cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no such file.
    #[error("this is no file of figures, which `ml-worker own-arm` and `consilium study figures` write: {0}")]
    None(serde_json::Error),
    /// It is of another version.
    #[error("figures of version {0}: this program knows {FIGURES_VERSION}")]
    Version(u32),
    /// A number cannot be what it is called.
    #[error("these figures cannot be right: {0}")]
    Figures(#[from] FiguresError),
}
