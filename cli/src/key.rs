//! An institution's key, as people keep it: a file that only they can read.

use anyhow::{bail, Context, Result};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, str::FromStr};
use subxt_signer::{sr25519::Keypair, SecretUri};

/// Reads a key file: one line with a secret phrase, a seed of `0x` and 64 hexadecimal digits, or such a thing with a
/// derivation path.
///
/// # Errors
/// The file is not there, others can read it, or it holds no key. What it holds is never repeated.
pub fn read(file: &Path) -> Result<Keypair> {
    let shown = file.display();
    let mode = fs::metadata(file).with_context(|| format!("cannot read the key file {shown}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{shown}: others on this machine can read this key; run `chmod 600 {shown}` first");
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read the key file {shown}"))?;
    // errors of the two calls could repeat parts of the secret
    SecretUri::from_str(text.trim()).ok().and_then(|uri| Keypair::from_uri(&uri).ok()).with_context(|| {
        if is_phrase(&text) {
            return format!(
                "{shown}: a word of the phrase is wrong, missing or in another place (its checksum fails): compare it with what was \
                 written down"
            );
        }
        format!("{shown}: no key; it must hold one line: a secret phrase, or 0x and 64 hexadecimal digits")
    })
}

/// Whether a text looks like a phrase: twelve words or more, of small letters alone, on one line.
fn is_phrase(text: &str) -> bool {
    let small = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut words = text.split_whitespace();
    text.trim().lines().count() == 1 && words.clone().count() >= 11 && words.all(small)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use subxt_signer::sr25519::dev;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("institution.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_key_of_ones_own_is_read() {
        let (_dir, path) = file("//Alice\n", 0o600);
        assert_eq!(read(&path).unwrap().public_key().0, dev::alice().public_key().0);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, path) = file("//Alice\n", 0o640);
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let (_dir, path) = file("correct horse battery staple", 0o600);
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("no key") && !error.contains("horse"), "{error}");
        // twelve words whose last is another one
        let phrase = "abandon ".repeat(12);
        let (_dir, path) = file(phrase.trim(), 0o600);
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("a word of the phrase is wrong") && !error.contains("abandon"), "{error}");
    }
}
