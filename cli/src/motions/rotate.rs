//! `consilium rotate`: new session keys, and a new key of the node. Votes are signed with whatever key the chain knows, so that
//! none is lost.

use super::{account, own::signs_for};
use crate::{
    chain::{consortium::CONSORTIUM, Chain},
    institution::folder::{make_keys, CARD, INSTITUTION_KEY, KEYSTORE, NODE_KEY},
    key,
    options::{node_of, Connection, Format},
    programs::{random, write_new, Programs},
    show::print_json,
};
use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_founding::{peer_claim, PeerId};
use serde_json::json;
use sp_core::{crypto::AccountId32, ed25519, Pair};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use subxt_signer::sr25519::Keypair;

/// Exit code where new session keys are registered and the blocks that are made with them were not waited for.
const NOT_USED_YET: u8 = 3;
/// Where session keys go that are no longer used, within the keystore.
const OLD: &str = "old";
/// The node's key that is made, before the chain knows it.
const NEW_NODE_KEY: &str = "node.key.new";
/// The node's key of before.
const OLD_NODE_KEY: &str = "node.key.old";
/// First digits of the names of session keys in a keystore: blocks, finality, votes.
const KINDS: [&str; 3] = ["61757261", "6772616e", "7377726d"];

/// Which keys.
#[derive(Subcommand)]
pub enum Command {
    /// New session keys: for blocks, finality and votes
    Session(Session),
    /// A new key of the node, which is another name in the network
    Node(Node),
}

/// Whose keys.
#[derive(Args)]
pub struct Whose {
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// File with the institution's key. Left out: institution.key in the folder
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What `session` takes.
#[derive(Args)]
pub struct Session {
    /// Make no keys: wait for those that were registered last, and put the older ones away
    #[arg(long)]
    finish: bool,
    /// Most seconds to wait until the new keys are used; exit code 3 if they are registered and not used by then
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

/// What `node` takes.
#[derive(Args)]
pub struct Node {
    #[command(flatten)]
    whose: Whose,
}

impl Whose {
    fn signer(&self) -> Result<Keypair> {
        key::read(self.key.as_deref().unwrap_or(&self.dir.join(INSTITUTION_KEY)))
    }

    async fn chain(&self) -> Result<Chain> {
        Chain::connect(&node_of(Some(&self.dir), &self.connection.url)?).await
    }
}

/// Rotates keys.
///
/// # Errors
/// The folder cannot be used; what the chain refused.
pub async fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Session(options) => session(options).await,
        Command::Node(options) => node(options).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn session(options: &Session) -> Result<ExitCode> {
    let whose = &options.whose;
    let keystore = whose.dir.join(KEYSTORE);
    ensure!(keystore.is_dir(), "{}: no keystore; name the institution's folder", keystore.display());
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let (signer, chain) = (whose.signer()?, whose.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let who = signs_for(&chain, &here, account(&signer)).await?;
    let quiet = whose.connection.format == Format::Json;
    let keys = if options.finish {
        let keys =
            chain.registered_keys(&who, here.at).await?.context("this institution has registered no session keys")?;
        ensure!(
            names(&keys).iter().all(|name| keystore.join(name).exists()),
            "the registered keys do not lie in {}",
            keystore.display()
        );
        keys
    } else {
        let (keys, block) = register(&programs, &chain, &signer, &who, &keystore).await?;
        if !quiet {
            out!("new session keys are registered (block {block})");
        }
        keys
    };
    let makes_blocks = here.institutions.get(&who).is_some_and(|it| it.validator && !it.suspended);
    let began = Instant::now();
    let used = in_use(&chain, &who, &keys, makes_blocks, Duration::from_secs(options.wait)).await?;
    let Some(block) = used else {
        let finish = format!("consilium rotate session --finish --dir {}", whose.dir.display());
        if quiet {
            print_json(&json!({ "done": "session keys", "used": false, "finish": finish }))?;
        } else {
            out!(
                "they are not used yet after {} s: they are from the next change of validators but one on. The older ones stay in \
                 their place until then. To put those away later: {finish}",
                options.wait
            );
        }
        return Ok(NOT_USED_YET.into());
    };
    let moved = put_away(&keystore, &names(&keys))?;
    if quiet {
        let said = json!({ "done": "session keys", "used": true, "block": block, "put_away": moved.len() });
        return print_json(&said).map(|()| ExitCode::SUCCESS);
    }
    out!("they are used (block {block}, after {} s)", began.elapsed().as_secs());
    out!("{} older keys now lie in {}", moved.len(), keystore.join(OLD).display());
    Ok(ExitCode::SUCCESS)
}

/// Makes session keys and registers them. No key is ever deleted.
async fn register(
    programs: &Programs,
    chain: &Chain,
    signer: &Keypair,
    who: &AccountId32,
    keystore: &Path,
) -> Result<([u8; 96], u32)> {
    let (keys, proof) = make_keys(programs, keystore, who.as_ref()).await?;
    let bytes = |text: &str| hex::decode(text.trim_start_matches("0x")).context("consilium-node made no keys");
    let (keys, proof) = (bytes(&keys)?, bytes(&proof)?);
    let keys: [u8; 96] = keys.try_into().ok().context("the keys of consilium-node are not those of this program")?;
    let sent = match chain.has_call(CONSORTIUM, "rotate_keys").await {
        Ok(true) => chain.send(signer, CONSORTIUM, "rotate_keys", (keys.to_vec(), proof).encode()).await,
        // a chain whose runtime has no such call yet
        Ok(false) => chain.send(signer, "Session", "set_keys", [&keys[..], &proof.encode()].concat()).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(done) => Ok((keys, done.block.number)),
        Err(error) => {
            // the chain may take it still, and then these are the only keys with which this node can make blocks
            let files = names(&keys).into_iter().map(|name| keystore.join(name).display().to_string());
            Err(error.context(format!(
                "whether the new keys are registered is not known; they stay where they are, and `rotate session` can be sent \
                 again: {}",
                files.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// Waits until the keys are used: in the sets of a block that is final, where the institution makes blocks. Gives that block's
/// number, and none if there was none in time.
async fn in_use(
    chain: &Chain,
    who: &AccountId32,
    keys: &[u8; 96],
    makes_blocks: bool,
    wait: Duration,
) -> Result<Option<u32>> {
    let (mut aura, mut grandpa) = ([0; 32], [0; 32]);
    aura.copy_from_slice(&keys[..32]);
    grandpa.copy_from_slice(&keys[32..64]);
    let until = Instant::now() + wait;
    loop {
        let at = chain.finalised().await?;
        let registered = chain.registered_keys(who, at).await? == Some(*keys);
        let ready = registered && (!makes_blocks || chain.in_sets(&aura, &grandpa, at).await? == (true, true));
        if ready {
            return Ok(Some(at.number));
        }
        if Instant::now() > until {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Names of session keys' files in a keystore.
fn names(keys: &[u8; 96]) -> Vec<String> {
    KINDS.iter().zip(keys.chunks_exact(32)).map(|(kind, key)| format!("{kind}{}", hex::encode(key))).collect()
}

/// Moves all session keys but these to a folder for old ones; tells which.
fn put_away(keystore: &Path, keep: &[String]) -> Result<Vec<String>> {
    let keep: BTreeSet<&String> = keep.iter().collect();
    let old = keystore.join(OLD);
    if !old.is_dir() {
        DirBuilder::new().mode(0o700).create(&old).with_context(|| format!("cannot make {}", old.display()))?;
    }
    let mut moved = Vec::new();
    for entry in fs::read_dir(keystore).with_context(|| format!("cannot read {}", keystore.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if KINDS.iter().any(|kind| name.starts_with(kind)) && !keep.contains(&name) {
            fs::rename(keystore.join(&name), old.join(&name)).with_context(|| format!("cannot move {name}"))?;
            moved.push(name);
        }
    }
    Ok(moved)
}

async fn node(options: &Node) -> Result<()> {
    let whose = &options.whose;
    let (dir, signer) = (&whose.dir, whose.signer()?);
    ensure!(dir.join(NODE_KEY).exists(), "{}: no {NODE_KEY}; name the institution's folder", dir.display());
    let chain = whose.chain().await?;
    let here = chain.consortium(chain.best().await?).await?;
    let who = signs_for(&chain, &here, account(&signer)).await?;
    let made = new_node_key(dir)?;
    let peer = PeerId { key: made.public().0 };
    let id: &[u8; 32] = who.as_ref();
    let claim = made.sign(&peer_claim(&chain.genesis().0, id, &peer));
    let done = chain.send(&signer, CONSORTIUM, "set_peer_id", (peer.key, claim.0).encode()).await?;
    let rename = |from: &str, to: &str| {
        fs::rename(dir.join(from), dir.join(to))
            .with_context(|| format!("cannot rename {from} to {to} in {}", dir.display()))
    };
    rename(NODE_KEY, OLD_NODE_KEY)?;
    rename(NEW_NODE_KEY, NODE_KEY)?;
    if whose.connection.format == Format::Json {
        return print_json(&json!({ "done": "node key", "block": done.block.number, "peer": peer.to_string() }));
    }
    out!("node         {peer} (block {})", done.block.number);
    out!("Start the node again now: until then it has its old name, which the others let in for an hour at most.");
    out!("The old key is {OLD_NODE_KEY}, to be deleted when the node runs by the new one. `consilium card make` names the new one in {CARD}.");
    Ok(())
}

/// A new node key, or the one that an earlier run has left that did not end.
fn new_node_key(dir: &Path) -> Result<ed25519::Pair> {
    let file = dir.join(NEW_NODE_KEY);
    if !file.exists() {
        write_new(&file, hex::encode(random::<32>()?).as_bytes(), 0o600)?;
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| anyhow::anyhow!("{}: no node key; delete it", file.display()))?;
    Ok(ed25519::Pair::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_that_are_not_used_are_put_away_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (names(&[1; 96]), names(&[2; 96]));
        for name in old.iter().chain(&new).chain([&"note".to_owned()]) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut moved = put_away(dir.path(), &new).unwrap();
        moved.sort();
        assert_eq!(moved, old);
        assert!(new.iter().all(|name| dir.path().join(name).exists()) && dir.path().join("note").exists());
        assert!(old.iter().all(|name| dir.path().join(OLD).join(name).exists()));
        assert_eq!(fs::metadata(dir.path().join(OLD)).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(put_away(dir.path(), &new).unwrap().is_empty());
    }

    #[test]
    fn a_node_key_that_was_made_is_used_again_by_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let first = new_node_key(dir.path()).unwrap().public();
        assert_eq!(new_node_key(dir.path()).unwrap().public(), first);
        let file = dir.path().join(NEW_NODE_KEY);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "x").unwrap();
        assert!(new_node_key(dir.path()).err().unwrap().to_string().contains("delete"));
    }
}
