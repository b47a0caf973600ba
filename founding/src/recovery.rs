//! A recovery as a file, which the survivors of a consortium sign one after the other and give to their nodes.

use crate::bytes::{grouped, hex_bytes};
use anyhow::{ensure, Context, Result};
use consilium_primitives::{Consent, FinalitySet, Hash, Recovery};
use serde::{Deserialize, Serialize};
use sp_core::crypto::{AccountId32, Ss58Codec};

/// Most bytes of a recovery's file.
const MOST_BYTES: usize = 65_536;

/// A recovery, as its file holds it. Fields are in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryFile {
    /// Version of this form: 1.
    pub recovery: u32,
    /// Hash of block 0, `0x` and 64 digits.
    pub genesis: String,
    /// The last block that was final.
    pub last_final: BlockEntry,
    /// Institutions whose nodes are gone for good.
    pub lost: Vec<InstitutionEntry>,
    /// Who votes on finality from then on.
    pub sets: Vec<SetEntry>,
    /// Who has signed it.
    pub consents: Vec<ConsentEntry>,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockEntry {
    /// Its number.
    pub number: u32,
    /// Its hash, `0x` and 64 digits.
    pub hash: String,
}

/// An institution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstitutionEntry {
    /// Its account, SS58.
    pub account: String,
    /// Its name, for people; it is not signed, for the chain has it.
    pub name: String,
}

/// A set of those who vote on finality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetEntry {
    /// Its number.
    pub id: u64,
    /// The block in which it was signalled; none for the set of block 0.
    pub signalled: Option<BlockEntry>,
    /// Keys that remain, `0x` and 64 digits each.
    pub authorities: Vec<String>,
}

/// An institution's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentEntry {
    /// Its account, SS58.
    pub account: String,
    /// Its name, for people.
    pub name: String,
    /// Signature of the digest, `0x` and 128 digits.
    pub signature: String,
}

fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn account(text: &str) -> Result<[u8; 32]> {
    let account = AccountId32::from_ss58check(text).ok().filter(|it| it.to_ss58check() == text);
    Ok(account.with_context(|| format!("{text:?} is no address of an account"))?.into())
}

impl BlockEntry {
    fn of((number, hash): (u32, Hash)) -> Self {
        Self { number, hash: digits(hash.as_bytes()) }
    }

    fn read(&self) -> Result<(u32, Hash)> {
        Ok((self.number, Hash::from(hex_bytes("hash", &self.hash)?)))
    }
}

impl RecoveryFile {
    /// A recovery that nobody has signed yet; `name` gives the names of institutions.
    pub fn of(recovery: &Recovery<[u8; 32]>, name: impl Fn(&[u8; 32]) -> String) -> Self {
        let institution =
            |id: &[u8; 32]| InstitutionEntry { account: AccountId32::from(*id).to_ss58check(), name: name(id) };
        let set = |set: &FinalitySet| SetEntry {
            id: set.id,
            signalled: set.signalled.map(BlockEntry::of),
            authorities: set.authorities.iter().map(|key| digits(key)).collect(),
        };
        Self {
            recovery: 1,
            genesis: digits(recovery.genesis.as_bytes()),
            last_final: BlockEntry::of(recovery.last_final),
            lost: recovery.lost.iter().map(institution).collect(),
            sets: recovery.sets.iter().map(set).collect(),
            consents: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(file: &[u8]) -> Result<Self> {
        ensure!(file.len() <= MOST_BYTES, "no recovery: it has more than {MOST_BYTES} bytes");
        let this: Self = serde_json::from_slice(file).context("no recovery of a consortium")?;
        ensure!(this.recovery == 1, "a recovery of version {}; this program reads version 1", this.recovery);
        this.statement()?;
        this.consents()?;
        Ok(this)
    }

    /// The file's bytes.
    pub fn file(&self) -> Vec<u8> {
        // a structure of texts and numbers can always be written
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What is signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn statement(&self) -> Result<Recovery<[u8; 32]>> {
        let set = |entry: &SetEntry| -> Result<FinalitySet> {
            let authorities: Result<Vec<[u8; 32]>> =
                entry.authorities.iter().map(|key| hex_bytes("authorities", key)).collect();
            let signalled = entry.signalled.as_ref().map(BlockEntry::read).transpose().context("signalled")?;
            Ok(FinalitySet { id: entry.id, signalled, authorities: authorities? })
        };
        let sets: Result<Vec<_>> = self.sets.iter().map(set).collect();
        let lost: Result<Vec<_>> = self.lost.iter().map(|entry| account(&entry.account)).collect();
        let sets = sets.context("sets")?;
        ensure!(!sets.is_empty(), "sets: it names nobody who votes on finality from now on");
        ensure!(sets.iter().all(|set| !set.authorities.is_empty()), "sets: one of them has no keys");
        Ok(Recovery {
            genesis: Hash::from(hex_bytes("genesis", &self.genesis)?),
            last_final: self.last_final.read().context("last_final")?,
            lost: lost.context("lost")?,
            sets,
        })
    }

    /// Who has signed, ascending by account.
    ///
    /// # Errors
    /// What is wrong with an entry. Whether a signature holds is for the chain to say, which knows who signs for whom.
    pub fn consents(&self) -> Result<Vec<Consent<[u8; 32]>>> {
        let mut all = Vec::new();
        for entry in &self.consents {
            let institution = account(&entry.account).context("consents")?;
            all.push(Consent { institution, signature: hex_bytes("signature", &entry.signature)? });
        }
        ensure!(all.is_sorted_by(|a, b| a.institution < b.institution), "consents: not in order, or somebody twice");
        Ok(all)
    }

    /// Adds a signature, in place of an earlier one of the same institution.
    ///
    /// # Errors
    /// As of [`consents`](Self::consents).
    pub fn add(&mut self, institution: [u8; 32], name: &str, signature: &[u8; 64]) -> Result<()> {
        let shown = AccountId32::from(institution).to_ss58check();
        self.consents.retain(|entry| entry.account != shown);
        self.consents.push(ConsentEntry { account: shown, name: name.into(), signature: digits(signature) });
        // order by bytes, as the chain has it
        self.consents.sort_by_cached_key(|entry| account(&entry.account).unwrap_or_default());
        self.consents().map(|_| ())
    }

    /// What is read out on the telephone: 96 bits of the digest, in six groups of four hexadecimal digits.
    ///
    /// # Errors
    /// As of [`statement`](Self::statement).
    pub fn fingerprint(&self) -> Result<String> {
        Ok(grouped(&self.statement()?.digest()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn recovery() -> Recovery<[u8; 32]> {
        let hash = Hash::repeat_byte(1);
        let sets = vec![
            FinalitySet { id: 3, signalled: Some((5, hash)), authorities: vec![[7; 32], [8; 32]] },
            FinalitySet { id: 4, signalled: None, authorities: vec![[7; 32]] },
        ];
        Recovery { genesis: Hash::repeat_byte(2), last_final: (9, hash), lost: vec![[4; 32], [5; 32]], sets }
    }

    #[test]
    fn a_file_says_what_was_put_into_it() {
        let mut file = RecoveryFile::of(&recovery(), |id| format!("institution {}", id[0]));
        file.add([9; 32], "nine", &[1; 64]).unwrap();
        file.add([2; 32], "two", &[2; 64]).unwrap();
        file.add([9; 32], "nine", &[3; 64]).unwrap();
        let again = RecoveryFile::parse(&file.file()).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.statement().unwrap(), recovery());
        let consents: Vec<_> =
            again.consents().unwrap().iter().map(|it| (it.institution[0], it.signature[0])).collect();
        assert_eq!(consents, [(2, 2), (9, 3)]);
        assert_eq!(again.lost[1].name, "institution 5");
        assert_eq!(again.fingerprint().unwrap().replace(' ', ""), hex::encode(recovery().digest())[..24]);
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        let good = RecoveryFile::of(&recovery(), |_| String::new());
        let mut cases: Vec<(RecoveryFile, &str)> = Vec::new();
        let mut with = |change: &dyn Fn(&mut RecoveryFile), said| {
            let mut file = good.clone();
            change(&mut file);
            cases.push((file, said));
        };
        with(&|it| it.recovery = 2, "version 2");
        with(&|it| it.genesis = "0x12".into(), "genesis");
        with(&|it| it.last_final.hash = String::new(), "last_final");
        with(&|it| it.lost[0].account = "5x".into(), "lost");
        with(&|it| it.sets.clear(), "nobody who votes");
        with(&|it| it.sets[0].authorities.clear(), "no keys");
        with(&|it| it.sets[1].authorities[0] = "0xAB".into(), "authorities");
        for (file, said) in cases {
            let error = format!("{:#}", RecoveryFile::parse(&file.file()).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
        let entry = |n: u8| ConsentEntry {
            account: AccountId32::from([n; 32]).to_ss58check(),
            name: String::new(),
            signature: digits(&[0; 64]),
        };
        for consents in [vec![entry(2), entry(1)], vec![entry(1), entry(1)]] {
            let file = RecoveryFile { consents, ..good.clone() };
            assert!(RecoveryFile::parse(&file.file()).is_err());
        }
        assert!(RecoveryFile::parse(&vec![b' '; MOST_BYTES + 1]).is_err());
    }
}
