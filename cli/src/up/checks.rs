//! What must hold before anything is started in an institution's folder.

use super::{
    arguments::CHAIN,
    identity::{genesis_values, Own, Standing},
    ports::check_ports,
};
use crate::{
    institution::{
        folder::{new_token, node_answer, SiteSettings, SITES, TOKEN},
        modes::{check_modes, two_users},
    },
    programs::Programs,
};
use anyhow::{bail, ensure, Context, Result};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Programs of a supervisor that was killed are gone within so long.
const ENDING: Duration = Duration::from_secs(3);
/// Free bytes without which nothing is started.
pub const FREE_BYTES: u64 = 2 << 30;

/// What the checks found.
#[derive(Debug)]
pub struct Found {
    /// Genesis hash of its chain, `0x` and 64 digits.
    pub genesis: String,
    /// What its genesis says of this folder, in words; to be settled by the chain's state where it is not the same.
    pub standing: (Standing, String),
}

/// Who runs node and worker is this user: two users need two services.
///
/// # Errors
/// The folder is that of two users, or of another one.
pub fn check_user(dir: &Path) -> Result<()> {
    if let Some((node, worker)) = two_users(dir)? {
        bail!(
            "{}: is of two users, {node} for the node and {worker} for the worker, and `up` runs both as one: make services of \
             them with `consilium units`",
            dir.display()
        );
    }
    // the system shows a process as its user's
    let own = fs::metadata("/proc/self").context("cannot read /proc/self")?.uid();
    let owner = fs::metadata(dir)?.uid();
    ensure!(own == owner, "{}: belongs to user {owner}, and this is user {own}: start it as that user", dir.display());
    Ok(())
}

/// Whether there is room left.
///
/// # Errors
/// There is not.
pub fn check_disk(dir: &Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    ensure!(
        free >= FREE_BYTES,
        "{}: {:.1} GiB are free on its disk, and a node needs at least {} GiB: make room first",
        dir.display(),
        free as f64 / f64::from(1 << 30),
        FREE_BYTES >> 30
    );
    Ok(free)
}

/// Whether programs listen on this machine alone where they should.
///
/// # Errors
/// They do not, and nobody said that they may.
pub fn check_loopback(settings: &SiteSettings, i_know: bool) -> Result<()> {
    ensure!(
        i_know || settings.rpc_ip.is_loopback(),
        "rpc_ip = {:?} in consilium.toml: whoever reaches that address can read the chain here and fill the node's queues; use \
         127.0.0.1 and come by ssh, or say --i-know",
        settings.rpc_ip.to_string()
    );
    Ok(())
}

/// Makes the token that node and worker know each other by, where there is none; whether there was none. It is no secret that
/// anybody else has, and lost with nothing.
///
/// # Errors
/// It cannot be written.
pub fn ensure_token(dir: &Path) -> Result<bool> {
    let missing = !dir.join(TOKEN).exists();
    if missing {
        new_token(dir)?;
    }
    Ok(missing)
}

/// Reads the chain's specification, and holds this folder against it.
///
/// # Errors
/// There is none, it is another chain's, or keys are another institution's.
pub async fn check_chain(dir: &Path, programs: &Programs, keys_changed: bool) -> Result<Found> {
    let own = Own::read(dir)?;
    let file = dir.join(CHAIN);
    ensure!(
        file.is_file(),
        "{}: is missing: copy the specification of your consortium's chain there, from `consilium found` or from a member",
        file.display()
    );
    let genesis = genesis_of(programs, &file).await?;
    let mut hash = [0; 32];
    hex::decode_to_slice(genesis.trim_start_matches("0x"), &mut hash).context("the genesis hash")?;
    if let Some(chain) = own.chain {
        ensure!(
            chain == hash,
            "{}: is chain {genesis}, and this folder's card was made for joining 0x{}: get that chain's specification",
            file.display(),
            hex::encode(chain)
        );
    }
    let standing = own.stands(&genesis_values(&file)?)?;
    let known = dir.join("node/chains").exists();
    let words = weigh(&own, &standing, known, keys_changed)?;
    Ok(Found { genesis, standing: (standing, words) })
}

/// Whether to start, by what the genesis says; and what is still to be settled, in words.
fn weigh(own: &Own, standing: &Standing, known: bool, keys_changed: bool) -> Result<String> {
    let name = &own.name;
    match standing {
        Standing::Same => Ok(format!("{name}: node and keys are as the chain was founded with")),
        Standing::Unknown if own.chain.is_none() => bail!(
            "{name}: its account is not among the institutions that this chain was founded with, and its card was made for \
             founding: {CHAIN} is of another consortium, or was made without this card"
        ),
        Standing::Unknown => Ok(format!(
            "{name}: is not among the founders; if it was admitted later, the others' nodes let this one in, and the chain's \
             state decides as soon as this node is in step"
        )),
        Standing::Differs(differences) => {
            let differences = differences.join("; ");
            ensure!(
                known || keys_changed,
                "{name}: not as the chain was founded: {differences}. If keys were changed since by the chain's own calls, \
                 say --keys-changed; the chain's state then decides"
            );
            Ok(format!(
                "{name}: not as the chain was founded: {differences}; keys may have been changed since, and the chain's state \
                 decides as soon as this node is in step"
            ))
        }
    }
}

async fn genesis_of(programs: &Programs, file: &Path) -> Result<String> {
    let mut command = Command::new(&programs.node);
    command.arg("inspect-chain").arg(file);
    let chain = node_answer(command).await?;
    Ok(chain["genesis"].as_str().with_context(|| format!("{}: no genesis hash", file.display()))?.to_owned())
}

/// Data files that `sites.toml` names; none where there is no such file or it names no study yet. What is wrong with it is the
/// worker's to say.
pub fn data_files(dir: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(dir.join(SITES)).unwrap_or_default();
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let studies = table.get("study").and_then(toml::Value::as_array).into_iter().flatten();
    studies.filter_map(|study| Some(dir.join(study.get("data")?.as_str()?))).collect()
}

/// Whether the worker has anything to do: `sites.toml` is there and is not empty. One that cannot be read is the worker's to
/// complain of.
pub fn has_sites(dir: &Path) -> bool {
    let text = fs::read_to_string(dir.join(SITES)).unwrap_or_default();
    text.parse::<toml::Table>().map_or(true, |table| !table.is_empty())
}

/// Everything that must hold before the start.
///
/// # Errors
/// The first thing that does not.
pub async fn check(
    dir: &Path,
    settings: &SiteSettings,
    programs: &Programs,
    (i_know, keys_changed): (bool, bool),
) -> Result<Found> {
    check_user(dir)?;
    check_modes(dir)?;
    check_loopback(settings, i_know)?;
    check_disk(dir)?;
    let until = Instant::now() + ENDING;
    while let Err(error) = check_ports(settings) {
        if Instant::now() >= until {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    check_chain(dir, programs, keys_changed).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::up::arguments::tests::settings;
    use consilium_founding::PeerId;
    use std::collections::BTreeMap;

    #[test]
    fn an_address_that_others_reach_is_refused_unless_one_knows() {
        let mut settings = settings();
        check_loopback(&settings, false).unwrap();
        settings.rpc_ip = "::1".parse().unwrap();
        check_loopback(&settings, false).unwrap();
        settings.rpc_ip = "0.0.0.0".parse().unwrap();
        let error = check_loopback(&settings, false).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0") && error.contains("--i-know"), "{error}");
        check_loopback(&settings, true).unwrap();
        assert_eq!(settings.rpc_url(), "ws://127.0.0.1:9944");
    }

    #[test]
    fn what_the_genesis_cannot_tell_is_said_and_what_it_refutes_is_refused() {
        let own = |chain| Own {
            name: "St. Mary".into(),
            account: [1; 32],
            chain,
            peer: PeerId { key: [2; 32] },
            keys: BTreeMap::new(),
        };
        let (founder, newcomer) = (own(None), own(Some([9; 32])));
        let differs = Standing::Differs(vec!["node.key is of another node".into()]);
        weigh(&founder, &Standing::Same, false, false).unwrap();
        let error = weigh(&founder, &Standing::Unknown, true, true).unwrap_err().to_string();
        assert!(error.contains("another consortium"), "{error}");
        let words = weigh(&newcomer, &Standing::Unknown, false, false).unwrap();
        assert!(words.contains("state decides as soon as this node is in step"), "{words}");
        let error = weigh(&founder, &differs, false, false).unwrap_err().to_string();
        assert!(error.contains("node.key is of another node") && error.contains("--keys-changed"), "{error}");
        for (known, changed) in [(true, false), (false, true)] {
            assert!(weigh(&founder, &differs, known, changed).unwrap().contains("state decides"));
        }
    }

    #[test]
    fn a_worker_waits_for_an_entry() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        assert!(!has_sites(dir));
        for (text, wanted, files) in [
            ("", false, 0),
            ("# nothing yet\n", false, 0),
            ("[[study]]\nagreement = \"00\"\ndata = \"table.csv\"\n", true, 1),
            ("[[study]\n", true, 0),
        ] {
            fs::write(dir.join(SITES), text).unwrap();
            assert_eq!((has_sites(dir), data_files(dir).len()), (wanted, files), "{text}");
        }
    }

    #[test]
    fn a_token_that_is_missing_is_made_and_one_that_is_there_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let (dir, file) = (scratch.path(), scratch.path().join(TOKEN));
        assert!(ensure_token(dir).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read_to_string(&file).unwrap();
        assert!(first.len() == 64 && hex::decode(&first).is_ok(), "{first}");
        assert!(!ensure_token(dir).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        assert!(format!("{:#}", ensure_token(Path::new("/nowhere/x")).unwrap_err()).contains("/nowhere/x"));
    }

    #[test]
    fn free_room_is_what_the_system_says() {
        assert!(check_disk(Path::new("/")).is_ok_and(|free| free >= FREE_BYTES));
        assert!(format!("{:#}", check_disk(Path::new("/nowhere/x")).unwrap_err()).contains("/nowhere/x"));
    }
}
