//! `consilium study enrol`: an institution signs exactly one agreement, with the number of its training rows, after it was shown
//! what that is ([`super::consent`]).

use super::{consent::Screen, private, rows, spending, voices::said};
use crate::{
    ask,
    chain::{agreement_hash, Chain, StudyInfo, SWARM},
    motions::Acting,
    programs::Programs,
    show,
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use consilium_primitives::{budget::dataset_id, Hash, InstitutionId, StudyId, StudyRules};
use consilium_study::StudySpec;
use std::path::{Path, PathBuf};

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
    /// Of a private study: the name under which this site counts what studies cost these rows, the same in every study
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Of a private study: how much all studies together may cost these rows
    #[arg(long, value_name = "EPSILON", requires = "data")]
    epsilon: Option<f64>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR", requires = "data")]
    bin_dir: Option<PathBuf>,
    /// Sign without showing what is signed and asking whether it is meant; for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    acting: Acting,
}

/// Signs it, sends it, and names the table to the worker.
///
/// # Errors
/// Another agreement than the one that was read; a table that does not fit; what the chain refused.
pub async fn run(options: Enrol) -> Result<()> {
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
    private::follows(&spec, &info.state.rules)?;
    let counted = match &options.data {
        Some(_) => private::counted(&spec, options.dataset.as_deref(), options.epsilon)?,
        None => None,
    };
    let dataset = private::named(&spec, options.dataset.as_deref())?;
    let (id, own) = Acting::institution(&chain, &signer).await?;
    let mut cost = Vec::new();
    if let (Some(name), Some(privacy)) = (dataset, &info.state.rules.privacy) {
        let budget = chain.budget(&id, &dataset_id(&id, name), at).await?;
        private::has_room(budget.as_ref(), privacy, name, at.number, &acting.hint())?;
        let before = |budget| spending::before(name, budget, (privacy, info.state.rules.max_rounds), at.number);
        cost = budget.as_ref().map(before).unwrap_or_default();
    }
    let data = match &options.data {
        Some(data) => Some(data.canonicalize().with_context(|| format!("--data {}", data.display()))?),
        None => None,
    };
    if !options.yes {
        asked(&options, &chain, &info, (spec.as_slice(), cost.as_slice()), data.as_deref()).await?;
    }
    let samples = match (options.samples, data, &acting.dir) {
        (Some(samples), _, _) => samples,
        (None, Some(data), Some(dir)) => {
            let programs = Programs::find(options.bin_dir.as_deref())?;
            let rows = rows::count(&programs, dir, &spec, &data).await?;
            rows::name_in_sites(dir, (&wanted, info.state.rules.masked.is_some()), &data, counted)?;
            rows
        }
        _ => bail!("how many rows does this site train on? Give --data FILE with --dir FOLDER, or --samples ROWS"),
    };
    let (call, arguments) = private::enrolment(options.number, &wanted, samples, dataset.map(|it| dataset_id(&id, it)));
    chain.submit(&signer, SWARM, call, arguments).await?;
    let mut text = format!("{own} has enrolled in study {} with {samples} training rows", options.number);
    if let Some(dir) = acting.dir.as_ref().filter(|dir| rows::data_of(dir, &wanted).is_none()) {
        text += &format!(
            "\n  its worker is told of no table for it yet, and would refuse; name it: {}",
            rows::naming(dir, &wanted, info.state.rules.masked.is_some())
        );
    }
    said(acting, options.number, "enrolled", &own, &text)
}

/// Shows what is signed, and asks whether it is meant.
///
/// # Errors
/// It is not, or nobody is there to say so; the study cannot train on the table.
async fn asked(
    options: &Enrol,
    chain: &Chain,
    info: &StudyInfo,
    (spec, cost): (&[u8], &[String]),
    data: Option<&Path>,
) -> Result<()> {
    let acting = &options.acting;
    ensure!(
        ask::somebody(),
        "nobody is there to be asked whether this is meant, and nothing was signed: read `consilium study {}{}`, then give --yes",
        options.number,
        acting.asks()
    );
    let (own, _) = Acting::institution(chain, &acting.signer()?).await?;
    let institutions = chain.institutions(chain.best().await?).await?;
    let participants: Vec<InstitutionId> = institutions.iter().filter(|it| it.participant).map(|it| it.id).collect();
    let looked = match data {
        Some(data) => {
            let programs = Programs::find(options.bin_dir.as_deref())?;
            let masked = info.state.rules.masked.is_some();
            Some(rows::look(&programs, acting.dir.as_deref(), spec, masked, data).await?)
        }
        None => None,
    };
    let screen = Screen {
        number: options.number,
        agreement: info.agreement,
        study: &info.state,
        spec: &StudySpec::from_canonical(spec).context("no worker takes this specification")?,
        own,
        participants: &participants,
        names: &show::names(&institutions),
        looked: looked.as_ref(),
        samples: options.samples,
        cost,
    };
    for line in screen.lines() {
        eprintln!("{line}");
    }
    ensure!(
        looked.is_none_or(|looked| looked.usable),
        "the study cannot train on this table, for what stands under OUR DATA: nothing was signed"
    );
    ask::consent(ask::line("Type yes to sign it: "), "nothing was signed")
}

/// Whether the lengths of files in the rules are those that follow from the specification. The chain takes any, and refuses
/// every file of another length: with a slip of the proposer's the study could only pause. `register` computes them.
///
/// # Errors
/// The first that is another one, with both numbers.
fn lengths_fit(spec: &[u8], rules: &StudyRules) -> Result<()> {
    let spec = StudySpec::from_canonical(spec).context("no worker takes this specification")?;
    let mut lengths = vec![
        ("update_len", rules.update_len, spec.update_len()?),
        ("merged_len", rules.merged_len, spec.merged_len(rules.merge.moments())?),
        ("statistics_len", rules.statistics_len, spec.statistics_len()?),
    ];
    if let Some(masked) = &rules.masked {
        let lens = spec.masked_lens()?;
        lengths[0].2 = lens.update;
        lengths.push(("masked.statistics_len", masked.statistics_len, lens.statistics));
        lengths.push(("masked.figures_len", masked.figures_len, lens.figures));
    }
    for (name, signed, follows) in lengths {
        if signed != follows {
            bail!(
                "{name} is {signed} bytes in the rules, and {follows} follow from the specification: no file could have both, \
                 so that this study could only pause. Its proposer must register it anew; do not enrol"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

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

    #[test]
    fn of_a_study_with_masks_the_lengths_of_masked_files_are_looked_at() {
        let text =
            include_str!("../../../examples/breast-cancer/study.toml").replace("[rules]\n", "[rules]\nmasked = true\n");
        let file = StudyFile::parse(&text).unwrap();
        let spec = file.spec().canonical().unwrap();
        let rules = file.rules(2_000, 4).unwrap();
        lengths_fit(&spec, &rules).unwrap();
        type Change = fn(&mut StudyRules);
        let change: [(&str, Change); 3] = [
            ("update_len", |rules| rules.update_len += 1),
            ("masked.statistics_len", |rules| rules.masked.as_mut().unwrap().statistics_len += 1),
            ("masked.figures_len", |rules| rules.masked.as_mut().unwrap().figures_len += 1),
        ];
        for (name, change) in change {
            let mut slip = rules.clone();
            change(&mut slip);
            let error = lengths_fit(&spec, &slip).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
