//! The archive's form: a tar of a manifest, the evidence and the files, plain or encrypted with age.
//!
//! | entry | what it holds |
//! |---|---|
//! | `manifest.json` | [`Manifest`] |
//! | `header.scale` | the block's header |
//! | `finality.scale` | the SDK's finality proof: justification and the headers between |
//! | `proof.scale` | nodes of the state's trie |
//! | `spec.json` | the spec's bytes, for reading; the proof shows them too |
//! | `blobs/HASH` | files, by BLAKE3 hash |

use crate::audit::blobs::BlobSource;
use age::Identity;
use anyhow::{bail, ensure, Context, Result};
use codec::{DecodeAll, Encode};
use consilium_primitives::{rules::MAX_BLOB_LEN, Hash, StudyId};
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// The version of this form.
pub const VERSION: u32 = 1;
/// Longest entry that is no blob, in bytes.
const MAX_PART: u64 = 64 << 20;
const MANIFEST: &str = "manifest.json";
const HEADER: &str = "header.scale";
const FINALITY: &str = "finality.scale";
const PROOF: &str = "proof.scale";
const SPEC: &str = "spec.json";
const BLOBS: &str = "blobs/";
/// First bytes of a file encrypted with age.
const AGE: &[u8] = b"age-encryption.org/";

/// What an archive says it is. Nothing in it is believed: all of it is compared with what the evidence shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Hash of block 0, hexadecimal.
    pub genesis: String,
    /// Number of the study.
    pub study: StudyId,
    /// Hash of the block whose state is shown, hexadecimal.
    pub block: String,
    /// Its number.
    pub number: u32,
    /// Number of the authority set in that state.
    pub set_id: u64,
    /// Whether individual updates are in it, as far as whoever made it had them.
    pub updates: bool,
}

/// The evidence of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it says it is.
    pub manifest: Manifest,
    /// The block's header, in SCALE.
    pub header: Vec<u8>,
    /// The finality proof, in SCALE.
    pub finality: Vec<u8>,
    /// Nodes of the state's trie.
    pub proof: Vec<Vec<u8>>,
    /// The spec's bytes; empty where the chain keeps them no longer.
    pub spec: Vec<u8>,
}

/// Writes an archive's entries, one after the other, the same bytes for the same contents.
pub struct Writer<W: Write>(tar::Builder<W>);

impl<W: Write> Writer<W> {
    /// Begins with the evidence.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin(to: W, evidence: &Evidence) -> Result<Self> {
        let mut writer = Self(tar::Builder::new(to));
        writer.entry(MANIFEST, &serde_json::to_vec_pretty(&evidence.manifest)?)?;
        writer.entry(HEADER, &evidence.header)?;
        writer.entry(FINALITY, &evidence.finality)?;
        writer.entry(PROOF, &evidence.proof.encode())?;
        writer.entry(SPEC, &evidence.spec)?;
        Ok(writer)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn blob(&mut self, root: &Hash, bytes: &[u8]) -> io::Result<()> {
        self.entry(&format!("{BLOBS}{}", hex::encode(root)), bytes)
    }

    /// Ends the archive, and gives back what it was written to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, name, bytes)
    }
}

/// What can be read from any place of.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// The files of an archive that was opened.
pub struct Blobs {
    reader: RefCell<Box<dyn ReadSeek>>,
    /// Place and length of each.
    places: BTreeMap<Hash, (u64, u64)>,
}

impl BlobSource for Blobs {
    fn read(&self, root: &Hash) -> io::Result<Option<Vec<u8>>> {
        let Some((start, len)) = self.places.get(root) else { return Ok(None) };
        let mut reader = self.reader.borrow_mut();
        reader.seek(SeekFrom::Start(*start))?;
        let mut bytes = Vec::new();
        reader.by_ref().take(*len).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < *len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within it"));
        }
        Ok(Some(bytes))
    }
}

/// Opens an archive, and decrypts it where it is encrypted.
///
/// # Errors
/// It cannot be read; it is encrypted and no identity opens it; a part is damaged, missing, there twice or unknown, by
/// its name.
pub fn open(path: &Path, identity: Option<&Path>) -> Result<(Evidence, Blobs)> {
    let shown = path.display();
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot open the archive {shown}"))?);
    let encrypted = file.fill_buf().with_context(|| format!("cannot read {shown}"))?.starts_with(AGE);
    let reader: Box<dyn ReadSeek> = if encrypted {
        let Some(identity) = identity else {
            bail!("{shown} is encrypted: give the file with your age key with --identity");
        };
        let identities = identities(identity)?;
        let decryptor = age::Decryptor::new_buffered(file).with_context(|| format!("{shown}: its age header"))?;
        let opened = decryptor.decrypt(identities.iter().map(|identity| &**identity as &dyn Identity));
        Box::new(opened.with_context(|| format!("{shown}: no key in {} opens it", identity.display()))?)
    } else {
        Box::new(file)
    };
    read(reader).with_context(|| format!("the archive {shown} is damaged"))
}

fn identities(path: &Path) -> Result<Vec<Box<dyn Identity>>> {
    let shown = || format!("--identity {}", path.display());
    let file = BufReader::new(File::open(path).with_context(shown)?);
    age::IdentityFile::from_buffer(file)
        .with_context(shown)?
        .into_identities()
        .with_context(|| format!("{}: it holds no age key that can be used", shown()))
}

fn read(mut reader: Box<dyn ReadSeek>) -> Result<(Evidence, Blobs)> {
    let end = reader.seek(SeekFrom::End(0)).context("its end")?;
    reader.rewind().context("its beginning")?;
    let mut parts: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
    let mut places = BTreeMap::new();
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries_with_seek().context("it is no tar file")? {
        let mut entry = entry.context("an entry of the tar file cannot be read")?;
        let name =
            entry.path().context("an entry has an impossible name")?.to_string_lossy().escape_debug().to_string();
        let (start, len) = (entry.raw_file_position(), entry.size());
        ensure!(start.checked_add(len).is_some_and(|last| last <= end), "{name}: the archive ends within it");
        let known = [MANIFEST, HEADER, FINALITY, PROOF, SPEC].into_iter().find(|part| *part == name);
        if let Some(part) = known {
            ensure!(len <= MAX_PART, "{name}: it has {len} bytes, more than {MAX_PART}");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).with_context(|| name.clone())?;
            ensure!(parts.insert(part, bytes).is_none(), "{name}: it is there twice");
        } else {
            let root = name.strip_prefix(BLOBS).and_then(|text| hex::decode(text).ok());
            let root = root.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Hash::from);
            let root = root.with_context(|| format!("{name}: there is no such part"))?;
            ensure!(len <= MAX_BLOB_LEN, "{name}: it has {len} bytes, more than any file of a study");
            ensure!(places.insert(root, (start, len)).is_none(), "{name}: it is there twice");
        }
    }
    let mut take = |part| parts.remove(part).with_context(|| format!("{part}: it is missing"));
    let manifest: Manifest = serde_json::from_slice(&take(MANIFEST)?).context(MANIFEST)?;
    ensure!(
        manifest.version == VERSION,
        "{MANIFEST}: version {} is unknown; this program knows {VERSION}",
        manifest.version
    );
    let proof = Vec::<Vec<u8>>::decode_all(&mut &take(PROOF)?[..])
        .map_err(|_| anyhow::anyhow!("{PROOF}: it is no list of trie nodes in SCALE"))?;
    let evidence = Evidence { manifest, header: take(HEADER)?, finality: take(FINALITY)?, proof, spec: take(SPEC)? };
    Ok((evidence, Blobs { reader: RefCell::new(archive.into_inner()), places }))
}
