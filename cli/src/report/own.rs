//! `consilium study figures`: after a study, a site's own model beside the study's, trained and measured by its own worker, and signed.

use super::taken::{read, Of};
use crate::{
    chain::{Chain, StudyInfo},
    dashboard::base::Link,
    institution::folder::WORKER_SECRET,
    motions::{account, Acting},
    options::node_of,
    plain::seen,
    process::answer,
    programs::{write_new, Programs},
    show::{history, name, names, print_json},
    study::{
        fetch::{has_model, settled, whole},
        means::{self, At, Means},
        rows::data_of,
    },
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use consilium_primitives::{
    round::{Kind, Phase},
    InstitutionId, StudyId,
};
use consilium_study::{FiguresFile, StudySpec};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// What `study figures` takes.
#[derive(Args)]
pub struct Figures {
    /// Number of the study
    number: StudyId,
    /// The file to write, which `consilium report --figures` takes in
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Rows of the site's own that had no part in the study, to measure on; left out, its validation rows, which have chosen the
    /// round of either model
    #[arg(long, value_name = "FILE", conflicts_with = "sign")]
    test: Option<PathBuf>,
    /// The site's table, where sites.toml names it no longer
    #[arg(long, value_name = "FILE", conflicts_with = "sign")]
    data: Option<PathBuf>,
    /// Another folder of files that are named by their BLAKE3 hash; give it once for each
    #[arg(long, value_name = "DIR", conflicts_with = "sign")]
    blobs: Vec<PathBuf>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR", conflicts_with = "sign")]
    bin_dir: Option<PathBuf>,
    /// Signs this file, which `ml-worker own-arm` has printed, in place of training and measuring now
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// Does not sign: for the own report alone
    #[arg(long, conflicts_with = "sign")]
    unsigned: bool,
    #[command(flatten)]
    acting: Acting,
}

/// Trains this site's own model, measures it beside the study's, and signs what it finds.
///
/// # Errors
/// The study has no certificate that is final; a file is missing; what the worker says; the key is no member's.
pub async fn run(options: Figures) -> Result<()> {
    let (acting, number) = (&options.acting, options.number);
    let out = target(options.out.as_deref(), number)?;
    let chain = match options.unsigned {
        // no key is needed
        true => Chain::connect(&node_of(acting.dir.as_deref(), &acting.connection.url)?).await?,
        false => acting.chain().await?,
    };
    has_model(&chain, number, &acting.asks()).await?;
    let (at, info) = settled(&chain, number).await?;
    let of = Of::study(chain.genesis(), number, &info)?;
    let names = Arc::new(names(&chain.institutions(at).await?));
    let block_ms = chain.block_ms().await?;
    let link = Link { chain: Arc::new(chain), at, names, block_ms };
    let file = match (&options.sign, acting.dir.as_deref()) {
        (Some(path), _) => {
            let file = FiguresFile { signed: None, ..read(path)? };
            of.check(&file).with_context(|| path.display().to_string())?;
            file
        }
        (None, Some(dir)) => measured(&options, dir, &link, &info).await?,
        (None, None) => bail!(
            "whose rows? Give --dir FOLDER, the institution's own, or figures of `ml-worker own-arm` with --sign FILE"
        ),
    };
    of.check(&file)?;
    finish(&options, out, &link, &of, &info, file).await
}

/// The file to write, where it is named and not there yet.
fn target(out: Option<&Path>, number: StudyId) -> Result<&Path> {
    let out = out.with_context(|| {
        format!(
            "where are the figures to go? Add --out figures-{number}.json: a new file, which holds how this site's own model does beside \
             the study's, as sums over its rows and no row; `consilium report {number} --dir FOLDER --figures figures-{number}.json --out \
             report-{number}-with-figures.html` shows them, and other members may have it, too"
        )
    })?;
    ensure!(!out.exists(), "{} is there already: name a new file with --out", out.display());
    Ok(out)
}

/// Lets the folder's worker train and measure.
async fn measured(options: &Figures, dir: &Path, link: &Link, info: &StudyInfo) -> Result<FiguresFile> {
    let Phase::Completed(certificate) = &info.state.phase else { bail!("there is no certificate") };
    let number = options.number;
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let sources = means::sources(dir, &options.blobs)?;
    let spec = super::gather::spec(dir, link, number, info).await?.context(
        "the chain keeps the study's specification no longer, and this folder's worker has none: take spec.json from an archive \
         (`consilium export`), and run `ml-worker own-arm` with it",
    )?;
    let scratch = tempfile::tempdir().context("cannot make a folder among temporary files")?;
    let put = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = scratch.path().join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let mut command = Command::new(&programs.worker);
    command.arg("own-arm").arg("--spec").arg(put("spec.json", &spec)?);
    command.arg("--model").arg(put("model.safetensors", &whole(&sources, &certificate.root, "the certified model")?)?);
    if let Some(root) = &info.state.statistics {
        command
            .arg("--statistics")
            .arg(put("statistics.safetensors", &whole(&sources, root, "the study's statistics")?)?);
    }
    let records = history(&link.chain, number, &info.state, link.at).await?;
    let rounds = records.iter().filter(|record| record.kind == Kind::Model).map(|record| record.round).max();
    command.arg("--rounds").arg(rounds.unwrap_or_default().to_string());
    command.arg("--canonical").arg(certificate.round.to_string());
    let data = match &options.data {
        Some(data) => data.clone(),
        None => data_of(dir, &info.agreement).with_context(|| {
            format!(
                "sites.toml of {} names no table for this agreement: name the site's table with --data",
                dir.display()
            )
        })?,
    };
    command.arg("--data").arg(data).arg("--secret").arg(dir.join(WORKER_SECRET));
    // the worker's own note of which rows trained holds also where the data were changed and accepted since
    let split = dir.join("worker/studies").join(hex::encode(info.agreement)).join("split.json");
    if split.exists() {
        command.arg("--split").arg(split);
    }
    if let Some(test) = &options.test {
        command.arg("--test").arg(test);
    }
    let at = At { dir, agreement: &info.agreement, study: number, round: certificate.round };
    let brought = Means::of(&StudySpec::from_canonical(&spec)?, &at, &sources)?;
    brought.runs(dir)?;
    brought.write(scratch.path())?;
    means::options(scratch.path()).into_iter().for_each(|(option, path)| {
        command.arg(option).arg(path);
    });
    if let Some(gpu) = brought.gpu() {
        command.arg("--gpu").arg(gpu.to_string());
    }
    eprintln!("training a model of this site's rows alone, for {} rounds", rounds.unwrap_or_default());
    let said = answer(command).await?;
    FiguresFile::read(&serde_json::to_vec(&said)?).context("what the worker has printed")
}

/// Signs the file where that is wanted, and writes it.
async fn finish(
    options: &Figures,
    out: &Path,
    link: &Link,
    of: &Of,
    info: &StudyInfo,
    file: FiguresFile,
) -> Result<()> {
    let verdict = file.figures.verdict();
    let (file, who) = match options.unsigned {
        true => (file, None),
        false => {
            let key = options.acting.signer()?;
            let id = InstitutionId(link.chain.signs_for(account(&key), link.at).await?.into());
            ensure!(
                info.state.members.iter().any(|member| member.id == id),
                "this key signs for {}, which is no member of the study",
                name(&link.names, &id)
            );
            (of.signed(file, &key), Some(name(&link.names, &id)))
        }
    };
    write_new(out, &serde_json::to_vec_pretty(&file)?, 0o600)?;
    if options.acting.json() {
        return print_json(&serde_json::to_value(&file)?);
    }
    let shown = out.display();
    match who {
        Some(who) => out!("{shown}: figures of study {}, signed for {}", options.number, seen(&who)),
        None => out!("{shown}: figures of study {}, not signed", options.number),
    }
    out!("  the swarm's model beside the site's own, on {} rows: {verdict}", file.figures.rows);
    out!(
        "  it holds sums over this site's rows (losses, an AUC, a curve of at least 50 rows of each class), and no row"
    );
    let (number, dir) = (options.number, options.acting.dir.as_deref().unwrap_or(Path::new("FOLDER")).display());
    out!("  the report takes it in; other members may have it, too:");
    // one of each may be made
    let what = if options.test.is_some() { "test-figures" } else { "figures" };
    out!("    consilium report {number} --dir {dir} --figures {shown} --out report-{number}-with-{what}.html");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn without_a_file_to_write_it_says_what_it_is_for_and_proposes_one() {
        let said = target(None, 3).unwrap_err().to_string();
        for part in ["--out figures-3.json", "no row", "consilium report 3 --dir FOLDER --figures figures-3.json --out"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(target(Some(file.path()), 3).unwrap_err().to_string().contains("is there already"));
        let free = file.path().with_extension("other");
        assert_eq!(target(Some(&free), 3).unwrap(), free);
    }
}
