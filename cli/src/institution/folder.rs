//! The folder of an institution: what lies where, with which mode, and how it is made.

pub use super::settings::SiteSettings;
use crate::{
    process::output,
    programs::{random, write_new, Programs},
};
use anyhow::{bail, ensure, Context, Result};
use consilium_founding::{peer_claim, Card, PeerId};
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    ed25519, Pair,
};
use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};
use subxt_signer::{bip39::Mnemonic, sr25519::Keypair};

/// The account's phrase.
pub const INSTITUTION_KEY: &str = "institution.key";
/// The node's key in the network.
pub const NODE_KEY: &str = "node.key";
/// The node's session keys.
pub const KEYSTORE: &str = "keystore";
/// What node and worker know each other by.
pub const TOKEN: &str = "token";
/// The public card.
pub const CARD: &str = "card.json";
/// The card before the account has signed it.
pub const UNSIGNED_CARD: &str = "card.unsigned.json";
/// What people may change.
pub const SETTINGS: &str = "consilium.toml";
/// Files by hash, shared by node and worker.
pub const BLOBS: &str = "blobs";
/// Where the worker keeps files that a study's specification names, once the blob store has let them go.
pub const NAMED: &str = "worker/named";
/// What says which rows train.
pub const WORKER_SECRET: &str = "worker/secret";
/// Which study works with which table.
pub const SITES: &str = "sites.toml";

/// The folders of an institution in which files lie by their hash.
pub fn hashed(dir: &Path) -> Vec<PathBuf> {
    let named = Some(dir.join(NAMED)).filter(|named| named.is_dir());
    std::iter::once(dir.join(BLOBS)).chain(named).collect()
}

/// An institution's account, by where its phrase is.
#[derive(Clone, Debug)]
pub enum Account {
    /// The phrase goes into the folder.
    Here(Mnemonic),
    /// The phrase stays elsewhere: the account itself, 32 bytes.
    Elsewhere([u8; 32]),
}

impl Account {
    /// A new one, whose phrase has 24 words.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn fresh() -> Result<Self> {
        Ok(Self::Here(Mnemonic::from_entropy(&random::<32>()?).context("no phrase")?))
    }

    /// Its key, where the phrase is known.
    ///
    /// # Errors
    /// The phrase gives none; never one of 24 words.
    pub fn signer(&self) -> Result<Option<Keypair>> {
        let Self::Here(phrase) = self else { return Ok(None) };
        Keypair::from_phrase(phrase, None).map(Some).map_err(|_| anyhow::anyhow!("no key from a new phrase"))
    }
}

/// What an institution says of itself, before it has keys.
#[derive(Clone, Debug)]
pub struct Said {
    /// The consortium.
    pub consortium: String,
    /// The chain that it is to join, by genesis hash.
    pub chain: Option<[u8; 32]>,
    /// How others reach its people.
    pub contact: String,
    /// Whether it is to take part in studies.
    pub participant: bool,
    /// Its account.
    pub account: Account,
    /// Leave the account's signature to another place.
    pub unsigned: bool,
    /// What the site is started with.
    pub settings: SiteSettings,
}

/// Makes an institution's folder: all keys, an empty store for everything, and the card. What is there is never overwritten.
///
/// # Errors
/// What stands in the way. A folder that this call has made is taken away again then.
pub async fn make(programs: &Programs, dir: &Path, said: &Said) -> Result<Card> {
    let made = check_place(dir)?;
    let result = fill(programs, dir, said).await;
    if result.is_err() && made {
        // what stood in the way is what people must hear of
        let _ = fs::remove_dir_all(dir);
    }
    result
}

/// Makes the folder, or takes an empty one; tells whether it was made.
fn check_place(dir: &Path) -> Result<bool> {
    let shown = dir.display();
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let found =
        fs::metadata(parent).with_context(|| format!("cannot make {shown}: its parent folder {}", parent.display()))?;
    let (mode, sticky) = (found.permissions().mode(), 0o1000);
    if mode & 0o022 != 0 && mode & sticky == 0 {
        bail!(
            "{}: others can write to this folder (mode {:04o}), and could put another one in the place of {shown}: choose \
             another, or `chmod go-w` it",
            parent.display(),
            mode & 0o7777
        );
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {
            if dir.join(CARD).exists() || dir.join(UNSIGNED_CARD).exists() {
                bail!("{shown} is an institution's folder already; `consilium card {shown}` shows its card");
            }
            let mut entries = fs::read_dir(dir).with_context(|| format!("cannot read {shown}"))?;
            ensure!(entries.next().is_none(), "{shown} is not empty: name a new folder with --dir");
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
                .with_context(|| format!("cannot shut others out of {shown}"))?;
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("cannot make {shown}")),
    }
}

async fn fill(programs: &Programs, dir: &Path, said: &Said) -> Result<Card> {
    let signer = said.account.signer()?;
    let account = match (&said.account, &signer) {
        (Account::Here(phrase), Some(signer)) => {
            let words: Vec<&str> = phrase.words().collect();
            write_new(&dir.join(INSTITUTION_KEY), format!("{}\n", words.join(" ")).as_bytes(), 0o600)?;
            signer.public_key().0
        }
        (Account::Elsewhere(account), _) => *account,
        (Account::Here(_), None) => bail!("no key from a new phrase"),
    };
    let seed = random::<32>()?;
    write_new(&dir.join(NODE_KEY), hex::encode(seed).as_bytes(), 0o600)?;
    let node = ed25519::Pair::from_seed(&seed);
    new_token(dir)?;
    for folder in ["node", "worker", BLOBS] {
        let path = dir.join(folder);
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    // which rows train follows from it; where the worker looks for it
    write_new(&dir.join(WORKER_SECRET), hex::encode(random::<32>()?).as_bytes(), 0o600)?;
    write_new(&dir.join(SETTINGS), said.settings.text()?.as_bytes(), 0o644)?;
    write_new(&dir.join(SITES), b"", 0o644)?;
    let (keys, keys_proof) = make_keys(programs, &dir.join(KEYSTORE), &account).await?;
    let mut card = said.card(&account, &node, (keys, keys_proof))?;
    write_card(dir, &mut card, signer.as_ref().filter(|_| !said.unsigned))?;
    Ok(card)
}

impl Said {
    /// The card, signed by the node's key alone. `keys` are the session keys and their proof.
    ///
    /// # Errors
    /// What cannot stand in a card.
    pub fn card(&self, account: &[u8; 32], node: &ed25519::Pair, keys: (String, String)) -> Result<Card> {
        let peer = PeerId { key: node.public().0 };
        let hex_of = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let claim = |chain: &[u8; 32]| hex_of(&node.sign(&peer_claim(chain, account, &peer)).0);
        let mut card = Card {
            card: 1,
            consortium: self.consortium.clone(),
            chain: self.chain.map(|chain| hex_of(&chain)),
            name: self.settings.name.clone(),
            contact: self.contact.clone(),
            validator: self.settings.validator,
            participant: self.participant,
            account: AccountId32::from(*account).to_ss58check(),
            peer: peer.to_string(),
            addresses: self.settings.addresses.clone(),
            keys: keys.0,
            keys_proof: keys.1,
            peer_claim: self.chain.as_ref().map(claim),
            node_signature: String::new(),
            account_signature: None,
        };
        card.node_signature = hex_of(&node.sign(&card.digest()).0);
        card.check_unsigned()?;
        Ok(card)
    }
}

/// Writes a card into its folder, signed if somebody signs.
///
/// # Errors
/// One is there, it cannot be written, or the key is another account's.
pub fn write_card(dir: &Path, card: &mut Card, signer: Option<&Keypair>) -> Result<()> {
    match signer {
        Some(signer) => {
            sign(card, signer)?;
            write_new(&dir.join(CARD), &card.file(), 0o644)
        }
        None => write_new(&dir.join(UNSIGNED_CARD), &card.file(), 0o644),
    }
}

/// Name and genesis hash of the chain that a specification is of.
///
/// # Errors
/// It is none.
pub async fn chain_of(programs: &Programs, file: &Path) -> Result<(String, [u8; 32])> {
    let mut command = Command::new(&programs.node);
    command.arg("inspect-chain").arg(file);
    let chain = node_answer(command).await?;
    let text = |name: &str| chain[name].as_str().with_context(|| format!("{}: has no {name}", file.display()));
    let mut genesis = [0; 32];
    hex::decode_to_slice(text("genesis")?.trim_start_matches("0x"), &mut genesis).context("the genesis hash")?;
    Ok((text("id")?.to_owned(), genesis))
}

/// Says what is to be done with a card that was just written.
pub fn say_card(dir: &Path, card: &Card) {
    let shown = dir.display();
    let unsigned = card.account_signature.is_none();
    let file = if unsigned { UNSIGNED_CARD } else { CARD };
    out!("fingerprint  {}", card.fingerprint());
    out!("card         {shown}/{file}");
    if unsigned {
        out!("Sign the card where the institution's key is: consilium card sign {file} --key {INSTITUTION_KEY}");
    } else {
        out!("Send the card to the others, and read them the fingerprint over a line that you knew before.");
    }
}

/// Makes the token that node and worker know each other by.
///
/// # Errors
/// There is one, or it cannot be written.
pub fn new_token(dir: &Path) -> Result<()> {
    write_new(&dir.join(TOKEN), hex::encode(random::<32>()?).as_bytes(), 0o600)
}

/// Signs a card with the account's key.
///
/// # Errors
/// It is another account's key.
pub fn sign(card: &mut Card, signer: &Keypair) -> Result<()> {
    card.account_signature = Some(format!("0x{}", hex::encode(signer.sign(&card.digest()).0)));
    card.check().map(|_| ()).context("this key is not that of the card's account")
}

/// Lets the node make session keys for an account in a keystore; gives the keys and their proof, `0x` and digits.
///
/// # Errors
/// What the node says.
pub async fn make_keys(programs: &Programs, keystore: &Path, owner: &[u8; 32]) -> Result<(String, String)> {
    let mut command = Command::new(&programs.node);
    command.arg("make-keys").arg("--keystore-path").arg(keystore).arg("--owner").arg(hex::encode(owner));
    let made = node_answer(command).await?;
    let text = |name: &str| made[name].as_str().map(str::to_owned).context("consilium-node made no keys");
    Ok((text("keys")?, text("proof")?))
}

/// Runs a command of the node that prints JSON.
///
/// # Errors
/// What the node says.
pub async fn node_answer(command: Command) -> Result<serde_json::Value> {
    let (_, value) = node_says(command).await?;
    value
}

/// Exit code of a command of the node, and what it printed as JSON.
///
/// # Errors
/// It cannot be started.
pub async fn node_says(command: Command) -> Result<(Option<i32>, Result<serde_json::Value>)> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output(command).await.with_context(|| format!("cannot start {program}"))?;
    let value = if output.stdout.is_empty() {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(anyhow::anyhow!("{}", text.trim().trim_start_matches("error: ")))
    } else {
        serde_json::from_slice(&output.stdout).with_context(|| format!("{program} printed no JSON"))
    };
    Ok((output.status.code(), value))
}

/// The card at a path, or in an institution's folder; signed or not.
pub fn find(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_path_buf();
    }
    let signed = path.join(CARD);
    if signed.exists() {
        signed
    } else {
        path.join(UNSIGNED_CARD)
    }
}

/// Whose folder this is, by its card: name and account. None where it has no card that can be read.
pub fn whose(dir: &Path) -> Option<(String, [u8; 32])> {
    let bytes = fs::read(find(dir)).ok()?;
    let (card, identity) = Card::read(&bytes).or_else(|_| Card::read_unsigned(&bytes)).ok()?;
    Some((card.name, identity.account))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_made_where_others_cannot_write_and_only_where_nothing_is() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("st-mary");
        assert!(check_place(&dir).unwrap());
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!check_place(&dir).unwrap(), "an empty one is taken");
        fs::write(dir.join("x"), "").unwrap();
        assert!(check_place(&dir).unwrap_err().to_string().contains("not empty"));
        fs::write(dir.join(CARD), "").unwrap();
        assert!(check_place(&dir).unwrap_err().to_string().contains("folder already"));
        let open = scratch.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(check_place(&open.join("x")).unwrap_err().to_string().contains("chmod go-w"));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(check_place(&open.join("x")).unwrap(), "as /tmp");
        assert!(format!("{:#}", check_place(Path::new("/nonexistent/x")).unwrap_err()).contains("/nonexistent"));
    }
}
