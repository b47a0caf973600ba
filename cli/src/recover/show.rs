//! A recovery as people read it, beside what the chain says.

use super::statement;
use crate::{
    chain::{consortium::Consortium, Block, Chain},
    motions::words::span,
    options::{node_of, Connection, Format},
    show::print_json,
};
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use consilium_founding::RecoveryFile;
use serde_json::json;
use sp_core::crypto::{AccountId32, Ss58Codec};
use std::{collections::BTreeSet, fs, path::Path};

/// Where the chain stands towards a recovery.
pub struct Towards {
    here: Consortium,
    /// What the state of the last final block has against it.
    error: Option<String>,
    /// Milliseconds of silence of each of the lost; none of who makes no blocks.
    silent: Vec<(String, Option<u64>)>,
}

impl Towards {
    /// As a node has it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn of(chain: &Chain, file: &RecoveryFile) -> Result<Self> {
        let stated = file.statement()?;
        let (number, hash) = stated.last_final;
        let best = chain.best().await?;
        let here = chain.consortium(best).await?;
        let asked = (stated, file.consents()?).encode();
        let answer = chain.state_call("ConsortiumApi_recovery_error", &asked, Block { number, hash }).await;
        let error = match answer.map(|bytes| Option::<Vec<u8>>::decode(&mut &bytes[..])) {
            Ok(Ok(error)) => error.map(|text| String::from_utf8_lossy(&text).into_owned()),
            Ok(Err(_)) => Some("the chain's answer cannot be read".into()),
            Err(error) => Some(format!("not known here, for the state of block {number} is not ({error:#})")),
        };
        let slots = chain.silences(best).await?;
        let since = |account: &str| {
            let found = slots.iter().find(|(who, _)| who.to_ss58check() == account);
            found.map(|(_, slots)| slots.saturating_mul(here.block_ms.into()))
        };
        let silent = file.lost.iter().map(|it| (it.name.clone(), since(&it.account))).collect();
        Ok(Self { here, error, silent })
    }

    /// How long the lost are silent, and how long they must be.
    pub fn silences(&self) -> String {
        let each = |(name, silent): &(String, Option<u64>)| match silent {
            Some(millis) => format!("{name} silent for {}", span(*millis)),
            None => format!("{name} makes no blocks"),
        };
        let all: Vec<String> = self.silent.iter().map(each).collect();
        format!("{} (agreed: {})", all.join(", "), span(self.here.founding.silence))
    }

    /// Validators that remain and have not signed.
    fn missing(&self, file: &RecoveryFile) -> Vec<String> {
        let others = file.lost.iter().map(|it| &it.account).chain(file.consents.iter().map(|it| &it.account));
        let others: BTreeSet<&String> = others.collect();
        let stands = |who: &AccountId32| self.here.institutions.get(who).is_some_and(|it| !it.suspended);
        let asked = self.here.validators.iter().filter(|who| stands(who) && !others.contains(&who.to_ss58check()));
        asked.map(|who| self.here.name(who)).collect()
    }
}

/// Shows a file.
///
/// # Errors
/// It is none, or the node does not answer.
pub async fn run(file: &Path, dir: Option<&Path>, connection: &Connection) -> Result<()> {
    let file = read(file)?;
    let chain = Chain::connect(&node_of(dir, &connection.url)?).await?;
    let towards = Towards::of(&chain, &file).await?;
    if connection.format == Format::Json {
        return print_json(&json!({
            "fingerprint": file.fingerprint()?,
            "last_final": file.last_final.number,
            "lost": file.lost.iter().map(|it| &it.name).collect::<Vec<_>>(),
            "signed": file.consents.iter().map(|it| &it.name).collect::<Vec<_>>(),
            "missing": towards.missing(&file),
            "refused": towards.error,
            "silent_ms": towards.silent.iter().map(|(_, millis)| millis).collect::<Vec<_>>(),
            "silence_ms": towards.here.founding.silence,
        }));
    }
    print(&file, Some(&towards))
}

/// Prints a file for people.
///
/// # Errors
/// It is none.
pub fn print(file: &RecoveryFile, towards: Option<&Towards>) -> Result<()> {
    let stated = file.statement()?;
    let names = |all: Vec<&str>| if all.is_empty() { "nobody".into() } else { all.join(", ") };
    out!("recovery     of the chain {}", file.genesis);
    out!("from         block {} ({})", file.last_final.number, file.last_final.hash);
    out!("lost         {}", names(file.lost.iter().map(|it| it.name.as_str()).collect()));
    out!("finality     {}", statement::shown(&stated));
    out!("signed by    {}", names(file.consents.iter().map(|it| it.name.as_str()).collect()));
    if let Some(towards) = towards {
        out!("missing      {}", names(towards.missing(file).iter().map(String::as_str).collect()));
        out!("silence      {}", towards.silences());
        out!(
            "nodes        {}",
            towards
                .error
                .as_deref()
                .map_or("take it".into(), |error| format!("refuse it where they can tell: {error}"))
        );
    }
    out!("fingerprint  {}", file.fingerprint()?);
    out!("");
    out!("If the lost come back with the old chain and the old keys, they can make another chain final from block {} on:", file.last_final.number);
    out!("be sure that they are gone, and never make a second recovery from this block.");
    Ok(())
}

/// The recovery in a file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(file: &Path) -> Result<RecoveryFile> {
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    RecoveryFile::parse(&bytes).with_context(|| shown.to_string())
}
