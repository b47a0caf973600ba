//! `consilium study register`, `enrol`, `start` and so on: what an institution's people sign, and what they decide at home.
//!
//! * [`rows`]: the rows of a table that a site's worker will train on, and the table's entry in `sites.toml`;
//! * [`fetch`]: a finished study's model;
//! * [`sentences`]: what is signed, in words; [`voices`]: starting a study, leaving it, letting it go on, ending it;
//! * [`view`]: studies for whoever asks what there is;
//! * [`answers`]: whose part of a round will not come, and why; [`waiting`]: whose part is waited for, and until when.

pub mod answers;
pub mod fetch;
pub mod rows;
pub mod sentences;
pub mod view;
mod voices;
pub mod waiting;

use crate::{
    chain::{agreement_hash, Chain, SWARM},
    motions::Acting,
    programs::Programs,
    show::{self, print_json},
    site,
};
use anyhow::{bail, ensure, Context, Result};
use clap::{Args, Subcommand};
use codec::Encode;
use consilium_primitives::{
    rules::{RulesError, MAX_PARTICIPANTS},
    Hash, InstitutionId, InstitutionNotice, StudyId, StudyRules,
};
use consilium_study::{StudyFile, StudySpec};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::PathBuf};
use voices::{said, speak, Voice};

/// What can be signed.
#[derive(Subcommand)]
pub enum Command {
    /// Proposes a study; the others, and the proposer too, enrol afterwards
    Register(Register),
    /// Enrols in exactly one agreement
    Enrol(Enrol),
    /// Starts a study before its enrolment ends (its proposer)
    Start(voices::Plain),
    /// Takes no further part in a study
    Withdraw(voices::Plain),
    /// Lets a paused study go on (its proposer, or more than half of its members; more than two thirds in a strict one)
    Resume(voices::Plain),
    /// Ends a study in enrolment, or a paused one
    Abort(voices::Plain),
    /// Goes on from the attested model, although this site has computed another one
    ///
    /// A site whose merge differs from the attested one, also when it is computed a second time, takes no further part in
    /// the study. This notes the decision of its people to go on all the same.
    Accept(site::Accept),
    /// Writes a finished study's model, statistics and specification to a folder, from this site's own files
    Fetch(fetch::Fetch),
    /// Trains a model of this site's rows alone, after the study, and signs how it fares beside the study's
    Figures(Box<crate::report::own::Figures>),
    /// What the merge rule did to each update of a round, and how near updates were to the merge and to each other
    Reasons(site::Reasons),
}

/// What `register` takes.
#[derive(Args)]
pub struct Register {
    /// Study file: model, data schema, training and rules
    #[arg(value_name = "FILE")]
    study: PathBuf,
    /// An institution that may enrol, by name or id; give it once for each. The one that proposes is invited with them. Left
    /// out: every participant
    #[arg(long = "invite", value_name = "NAME")]
    invited: Vec<String>,
    #[command(flatten)]
    acting: Acting,
}

/// What `enrol` takes.
#[derive(Args)]
pub struct Enrol {
    /// Number of the study
    number: StudyId,
    /// The agreement that was read and is signed: 64 hexadecimal digits, as `consilium study N` prints them
    #[arg(long, value_name = "HASH")]
    agreement: String,
    /// Training rows of this site, as its worker will count them; the count binds for the whole study
    #[arg(long, value_name = "ROWS", conflicts_with = "data")]
    samples: Option<u32>,
    /// This site's table, in place of the count: its training rows are counted, and it is named in the folder's sites.toml
    #[arg(long, value_name = "FILE", requires = "dir")]
    data: Option<PathBuf>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR", requires = "data")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    acting: Acting,
}

/// Signs and sends one of them, and waits until a block holds it.
///
/// # Errors
/// A file that cannot be used; what the chain refused, by the name of its error.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Register(options) => register(options).await,
        Command::Enrol(options) => enrol(options).await,
        Command::Start(options) => speak(Voice::Start, options).await,
        Command::Withdraw(options) => speak(Voice::Withdraw, options).await,
        Command::Resume(options) => speak(Voice::Resume, options).await,
        Command::Abort(options) => speak(Voice::Abort, options).await,
        Command::Accept(options) => site::accept(options).await,
        Command::Fetch(options) => fetch::run(options).await,
        Command::Figures(options) => crate::report::own::run(*options).await,
        Command::Reasons(options) => site::reasons(options).await,
    }
}

async fn register(options: Register) -> Result<()> {
    let acting = &options.acting;
    let signer = acting.signer()?;
    let shown = options.study.display();
    let text = fs::read_to_string(&options.study).with_context(|| format!("cannot read the study file {shown}"))?;
    let file = StudyFile::parse(&text);
    ensure!(
        file.is_ok() || !is_table(&text),
        "{shown}: this is a table, and no study file: examples/own-csv/study.toml is one"
    );
    let file = file.with_context(|| shown.to_string())?;
    let spec = file.spec().canonical()?;
    let chain = acting.chain().await?;
    let institutions = chain.institutions(chain.best().await?).await?;
    let (proposer, own) = Acting::institution(&chain, &signer).await?;
    let (invited, added) = invited(&options.invited, &proposer, &institutions)?;
    let takers = if invited.is_empty() { institutions.iter().filter(|i| i.participant).count() } else { invited.len() };
    let takers = u32::try_from(takers)?.clamp(2, MAX_PARTICIPANTS);
    let mut rules = file.rules(chain.block_ms().await?, takers).with_context(|| shown.to_string())?;
    rules.invited = invited.try_into().map_err(|_| anyhow::anyhow!("more than {MAX_PARTICIPANTS} were invited"))?;
    if let Err(error) = rules.check() {
        bail!("{shown}: the chain would refuse these rules: {}", refused(&error, &rules));
    }
    let warning = file.transfer(takers).with_context(|| shown.to_string())?.warning();
    if let Some(warning) = &warning {
        eprintln!("warning: {shown}: {warning}");
    }
    let agreement = agreement_hash(chain.genesis(), &proposer, &rules, &spec);
    chain.submit(&signer, SWARM, "register", (&rules, &spec).encode()).await?;
    let number = find(&chain, &agreement).await?;
    // to each of the others an update, and one from each of them; and the same in the statistics phase, once
    let traffic = rules.update_len.saturating_mul(u64::from(takers - 1)).saturating_mul(2);
    if acting.json() {
        return print_json(&json!({
            "study": number,
            "institution": own,
            "agreement": hex::encode(agreement),
            "bytes_per_site_and_round": traffic,
            "warning": warning,
            "rules": show::rules_json(&rules),
        }));
    }
    out!("study {number} is registered by {own}; its agreement is {}", hex::encode(agreement));
    if let Some(name) = added {
        out!("  {name}, which proposes it, is invited with the others");
    }
    out!("  with {takers} participants, {traffic} bytes go through each site's link in a round");
    out!("  each site reads it (consilium study {number} --dir FOLDER), and enrols with its table and its own folder:");
    let agreement = hex::encode(agreement);
    out!("    consilium study enrol {number} --agreement {agreement} --data FILE --dir FOLDER");
    out!("  when all have: consilium study start {number}{}", acting.hint());
    Ok(())
}

/// What the chain would refuse of rules, for people.
fn refused(error: &RulesError, rules: &StudyRules) -> String {
    match error {
        RulesError::Invited => format!(
            "min_participants is {}, and {} are invited: invite more (--invite NAME, once for each), or ask for fewer in the \
             study file",
            rules.min_participants,
            rules.invited.len()
        ),
        other => format!("{other:?}; what may stand in [rules] is in docs/study-file.md"),
    }
}

async fn enrol(options: Enrol) -> Result<()> {
    let acting = &options.acting;
    ensure!(
        options.samples.is_some() || options.data.is_some(),
        "with which table? Give --data FILE with --dir FOLDER: its training rows are counted, and the worker is told of it. (Away from \
         the site: --samples ROWS, as `ml-worker check` counts them there)"
    );
    let signer = acting.signer()?;
    let wanted = options.agreement.trim_start_matches("0x");
    let wanted =
        hex::decode(wanted).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Hash::from).with_context(
            || {
                format!(
                    "--agreement {}: must have 64 hexadecimal digits, as `consilium study {}` prints them",
                    options.agreement, options.number
                )
            },
        )?;
    let chain = acting.chain().await?;
    let at = chain.best().await?;
    let info = show::existing(&chain, options.number, at, &acting.asks()).await?;
    // what is signed is what can be read: the hash is recomputed from the rules and the spec, not taken from the node
    let spec = chain.spec(options.number, at).await?.unwrap_or_default();
    let is = agreement_hash(chain.genesis(), &info.state.proposer, &info.state.rules, &spec);
    if is != wanted {
        bail!(
            "study {} has the agreement {}, not {}: read it again with `consilium study {}{}` before you sign",
            options.number,
            hex::encode(is),
            hex::encode(wanted),
            options.number,
            acting.asks()
        );
    }
    lengths_fit(&spec, &info.state.rules)?;
    let samples = match (options.samples, &options.data, &acting.dir) {
        (Some(samples), _, _) => samples,
        (None, Some(data), Some(dir)) => {
            let data = data.canonicalize().with_context(|| format!("--data {}", data.display()))?;
            let programs = Programs::find(options.bin_dir.as_deref())?;
            let rows = rows::count(&programs, dir, &spec, &data).await?;
            rows::name_in_sites(dir, &wanted, &data)?;
            rows
        }
        _ => bail!("how many rows does this site train on? Give --data FILE with --dir FOLDER, or --samples ROWS"),
    };
    let (_, own) = Acting::institution(&chain, &signer).await?;
    chain.submit(&signer, SWARM, "enrol", (options.number, wanted, samples).encode()).await?;
    let mut text = format!("{own} has enrolled in study {} with {samples} training rows", options.number);
    if let Some(dir) = acting.dir.as_ref().filter(|dir| rows::data_of(dir, &wanted).is_none()) {
        text += &format!(
            "\n  its worker is told of no table for it yet, and would refuse; name it: {}",
            rows::naming(dir, &wanted)
        );
    }
    said(acting, options.number, "enrolled", &own, &text)
}

/// Whether the lengths of files in the rules are those that follow from the specification. The chain takes any, and refuses
/// every file of another length: with a slip of the proposer's the study could only pause. `register` computes them.
///
/// # Errors
/// The first that is another one, with both numbers.
fn lengths_fit(spec: &[u8], rules: &StudyRules) -> Result<()> {
    let spec = StudySpec::from_canonical(spec).context("no worker takes this specification")?;
    let lengths = [
        ("update_len", rules.update_len, spec.update_len()),
        ("merged_len", rules.merged_len, spec.merged_len(rules.merge.moments())),
        ("statistics_len", rules.statistics_len, spec.statistics_len()),
    ];
    for (name, signed, follows) in lengths {
        let follows = follows?;
        if signed != follows {
            bail!(
                "{name} is {signed} bytes in the rules, and {follows} follow from the specification: no file could have both, \
                 so that this study could only pause. Its proposer must register it anew; do not enrol"
            );
        }
    }
    Ok(())
}

/// Whether a text that is no study file is a table.
fn is_table(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    first.contains([',', ';', '\t']) && !first.contains('=') && !first.starts_with(['[', '#'])
}

/// The number that the chain gave to the study with this agreement.
///
/// # Errors
/// There is none.
pub async fn find(chain: &Chain, agreement: &Hash) -> Result<StudyId> {
    registered(chain, agreement).await?.with_context(|| {
        format!("the chain has registered another agreement than the one proposed ({})", hex::encode(agreement))
    })
}

/// The number of the newest study with this agreement, if there is any.
///
/// # Errors
/// The node does not answer.
pub async fn registered(chain: &Chain, agreement: &Hash) -> Result<Option<StudyId>> {
    let at = chain.best().await?;
    for number in (0..chain.study_count(at).await?).rev() {
        if chain.study(number, at).await?.is_some_and(|info| info.agreement == *agreement) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Ids of the invited, sorted as the chain wants them; and the proposer's name, where it is invited without having been
/// named: who proposes a study takes part in it, where it takes part in any.
fn invited(
    texts: &[String],
    proposer: &InstitutionId,
    institutions: &[InstitutionNotice],
) -> Result<(Vec<InstitutionId>, Option<String>)> {
    let mut ids = BTreeSet::new();
    for text in texts {
        let of = |i: &&InstitutionNotice| i.name.as_slice() == text.as_bytes() || i.id.to_string() == *text;
        let Some(institution) = institutions.iter().find(of) else {
            let names = show::names(institutions).into_values().collect::<Vec<_>>().join(", ");
            bail!("--invite {text}: no institution of this name or id; there are {names}");
        };
        if !institution.participant {
            bail!("--invite {text}: this institution is no participant of the consortium");
        }
        ids.insert(institution.id);
    }
    let own = institutions.iter().find(|i| i.id == *proposer && i.participant);
    let own = own.filter(|own| !ids.is_empty() && ids.insert(own.id));
    let added = own.map(|own| show::name(&show::names(institutions), &own.id));
    Ok((ids.into_iter().collect(), added))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_primitives::Name;

    #[test]
    fn who_proposes_is_invited_with_those_it_names_and_told_so() {
        let notice = |n: u8, name: &str, participant| InstitutionNotice {
            id: InstitutionId([n; 32]),
            name: Name::truncate_from(name.into()),
            peer_id: None,
            validator: true,
            participant,
        };
        let all = [notice(1, "Alder Clinic", true), notice(2, "Birch Hospital", true), notice(3, "Notary", false)];
        let call = |texts: &[&str], proposer: u8| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            invited(&texts, &InstitutionId([proposer; 32]), &all)
        };
        let ids = |of: &[u8]| of.iter().map(|n| InstitutionId([*n; 32])).collect::<Vec<_>>();
        assert_eq!(call(&["Birch Hospital"], 1).unwrap(), (ids(&[1, 2]), Some("Alder Clinic".into())));
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 1).unwrap(), (ids(&[1, 2]), None));
        // who takes part in none, and where everybody may enrol
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 3).unwrap(), (ids(&[1, 2]), None));
        assert_eq!(call(&[], 1).unwrap(), (Vec::new(), None));
        assert!(call(&["Cedar"], 1).unwrap_err().to_string().contains("there are Alder Clinic, Birch Hospital"));
        assert!(call(&["Notary"], 1).unwrap_err().to_string().contains("no participant"));
    }

    #[test]
    fn a_table_in_the_place_of_a_study_file_is_told_from_one_that_is_wrong() {
        assert!(is_table("age,crp,spo2\n1,2,3\n") && is_table("\nage;crp\n"));
        for text in [include_str!("../../../examples/own-csv/study.toml"), "title = 1, 2", "[data], x", "# a, b", ""] {
            assert!(!is_table(text), "{text}");
        }
    }

    #[test]
    fn rules_that_the_chain_would_refuse_are_told_with_what_to_do() {
        let text = include_str!("../../../examples/breast-cancer/study.toml");
        let rules = StudyFile::parse(text).unwrap().rules(2_000, 4).unwrap();
        let said = refused(&RulesError::Invited, &rules);
        assert!(said.contains("0 are invited") && said.contains("--invite NAME"), "{said}");
        let said = refused(&RulesError::Kept, &rules);
        assert!(said.contains("Kept") && !said.contains("invited"), "{said}");
    }

    #[test]
    fn lengths_that_do_not_follow_from_the_specification_are_refused_with_both_numbers() {
        let text = include_str!("../../../examples/breast-cancer/study.toml");
        let file = StudyFile::parse(text).unwrap();
        let spec = file.spec().canonical().unwrap();
        let rules = file.rules(2_000, 4).unwrap();
        lengths_fit(&spec, &rules).unwrap();
        type Change = fn(&mut StudyRules);
        let change: [(&str, Change); 3] = [
            ("update_len", |rules| rules.update_len += 1),
            ("merged_len", |rules| rules.merged_len += 1),
            ("statistics_len", |rules| rules.statistics_len += 1),
        ];
        for (name, change) in change {
            let mut slip = rules.clone();
            change(&mut slip);
            let error = lengths_fit(&spec, &slip).unwrap_err().to_string();
            let of = |rules: &StudyRules| match name {
                "update_len" => rules.update_len,
                "merged_len" => rules.merged_len,
                _ => rules.statistics_len,
            };
            for part in [name.to_owned(), of(&slip).to_string(), of(&rules).to_string()] {
                assert!(error.contains(&part), "{part} in {error}");
            }
        }
        assert!(lengths_fit(b"{}", &rules).is_err());
    }
}
