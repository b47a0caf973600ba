//! `consilium report`: the report that a study ends with, for people to read, print and cite.
//!
//! * [`gather`]: what the own node's chain and the own folder know; [`taken`]: figures of sites, which come as files;
//! * [`document`]: all of it as one document, with [`question`], [`faults`] and [`answers`] ([`sites`], [`measures`]), which are pure;
//! * [`brought`]: what a study brings of its own, a file to begin with or a program;
//! * [`columns`]: what the study's merged statistics say of its patients;
//! * [`certified`]: how the certified round was chosen, and whom it lacks; [`sums`]: with masks, whom two sums point at;
//!   [`privacy`]: what a private study has spent;
//! * [`summary`], [`sections`], [`people`], [`losses`], [`measured`], [`areas`], [`unmeasured`], [`fit`], [`held_out`], [`cut`], [`chart`], [`html`]: the page;
//!   [`card`]: a model card;
//! * [`own`]: `consilium study figures`, with which a site trains its own model and signs what it finds.
//!
//! It only reads. All that comes from others is escaped, and nothing comes from a cell of a table.

mod answers;
mod areas;
pub mod brought;
pub mod card;
mod certified;
mod chart;
mod columns;
mod cut;
mod document;
mod faults;
mod fit;
mod gather;
mod held_out;
mod html;
mod losses;
mod measured;
mod measures;
pub mod own;
mod people;
mod privacy;
pub mod question;
mod sections;
mod sites;
mod summary;
mod sums;
mod taken;
#[cfg(test)]
pub mod tests;
mod unmeasured;

use crate::{
    chain::{Chain, StudyInfo},
    dashboard::{base::Link, Site},
    institution::made::{keep_or_warn, What},
    options::{node_of, Connection, Format},
    programs::{replace_private, write_new},
    show::{name, print_json},
};
use anyhow::{bail, ensure, Context, Result};
use certified::{at, Outcome};
use clap::Args;
use consilium_primitives::{InstitutionId, StudyId};
use document::{Document, Source, Told};
use gather::{gather, Blocks};
use serde_json::Value;
use sp_core::crypto::AccountId32;
use std::path::{Path, PathBuf};

/// Folder in commands that a report shows: whoever reads it has another one than whoever made it.
const ANY: &str = "FOLDER";

/// What `report` takes.
#[derive(Args)]
pub struct Options {
    /// Number of the study
    number: StudyId,
    /// The institution's folder: its node is asked unless --url names another
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The page to write, whose name ends in .html; the same as JSON is written beside it
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// A file of figures of `consilium study figures`, this site's own or another's; give it once for each. One whose signature is
    /// wrong is refused
    #[arg(long, value_name = "FILE")]
    figures: Vec<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Makes a study's report.
///
/// # Errors
/// The node does not answer, there is no such study; figures that cannot be taken in; a file that is there already.
pub async fn run(options: Options) -> Result<()> {
    let json = options.connection.format == Format::Json;
    ensure!(
        json || options.out.is_some(),
        "where is the page to go? Add --out report-{}.html, or --format json to have it on the terminal",
        options.number
    );
    let places = options.out.as_deref().map(places).transpose()?;
    let site = Site { shown: ANY.into(), ..Site::open(&options.dir, None, None)? };
    let chain = Chain::connect(&node_of(Some(&options.dir), &options.connection.url)?).await?;
    let link = gather::link(&site, chain).await?;
    let hint = format!(" --dir {}{}", options.dir.display(), options.connection.hint());
    let gathered = gather(&site, &link, options.number, &hint, Blocks::Read).await?;
    let mut figures: Vec<Told> = Vec::new();
    if !options.figures.is_empty() {
        let of = taken::Of::study(link.chain.genesis(), options.number, &gathered.info)?;
        for path in &options.figures {
            let file = taken::read(path)?;
            let signer = of.check(&file).with_context(|| format!("--figures {}", path.display()))?;
            let (who, source) = match signer {
                None => (site.name.clone(), Source::Own),
                Some(signer) => (member(&link, &gathered.info, signer, path).await?, Source::Signed),
            };
            taken::add(&mut figures, who, source, file.figures)?;
        }
    }
    let document = gathered.document(&link.names, figures, None);
    if let Some((page, beside)) = &places {
        write(&document, page, beside)?;
        keep_or_warn(&options.dir, What::Report, beside);
    }
    if json {
        return print_json(&serde_json::to_value(&document)?);
    }
    if let Some((page, beside)) = places {
        out!("{}: the report on study {}, to be opened in a browser or printed", page.display(), options.number);
        out!("  the same for programs: {}", beside.display());
        for line in next(&document, &options.dir) {
            out!("  {line}");
        }
    }
    Ok(())
}

/// What is not in a report yet, and how it comes in.
fn next(document: &Document, dir: &Path) -> Vec<String> {
    let (number, dir) = (document.study.number, dir.display());
    match Outcome::of(&document.study) {
        Outcome::Open => vec![format!("the study has not ended, so that no model is in it: it is at {}", at(&document.study))],
        Outcome::None => vec![format!("there is no model in it: {}", document.study.phase)],
        Outcome::Model if document.figures.is_empty() => vec![
            "whether the swarm's model is better than this site's own is not in it yet; that takes".into(),
            format!("  consilium study figures {number} --dir {dir} --out figures-{number}.json"),
            format!(
                "  consilium report {number} --dir {dir} --figures figures-{number}.json --out report-{number}-with-figures.html"
            ),
        ],
        Outcome::Model => Vec::new(),
    }
}

/// The name of the member that an account signs for.
async fn member(link: &Link, info: &StudyInfo, signer: [u8; 32], path: &Path) -> Result<String> {
    let id = InstitutionId(link.chain.signs_for(AccountId32::from(signer), link.at).await?.into());
    let shown = path.display();
    ensure!(
        info.state.members.iter().any(|member| member.id == id),
        "--figures {shown}: signed by {}, which is no member of this study",
        name(&link.names, &id)
    );
    Ok(name(&link.names, &id))
}

/// Where the page goes, and its JSON.
fn places(out: &Path) -> Result<(PathBuf, PathBuf)> {
    let shown = out.display();
    let ends =
        out.extension().is_some_and(|ends| ends.eq_ignore_ascii_case("html") || ends.eq_ignore_ascii_case("htm"));
    ensure!(ends, "--out {shown}: name a page, such as report.html; the same as JSON is written beside it");
    let beside = out.with_extension("json");
    for path in [out, &beside] {
        if path.exists() {
            bail!(
                "{} is there already, and is not overwritten: remove it first, or name another page with --out",
                path.display()
            );
        }
    }
    Ok((out.to_owned(), beside))
}

/// Writes the page and its JSON, for this user alone: whom to give them to is for people to say.
fn write(document: &Document, page: &Path, beside: &Path) -> Result<()> {
    write_new(page, sections::render(document).as_bytes(), 0o600)?;
    write_new(beside, &serde_json::to_vec_pretty(document)?, 0o600)
}

/// The report of a network on one machine: with every site's figures, which `comparison` has.
///
/// Writes `report.html` and `README.md` to the folder, and gives the document.
///
/// # Errors
/// As [`run`].
pub async fn of_localnet(house: &Path, link: &Link, number: StudyId, comparison: &Value, out: &Path) -> Result<Value> {
    let document = localnet(house, link, number, Some(comparison)).await?;
    replace_private(&out.join(PAGE), sections::render(&document).as_bytes())?;
    replace_private(&out.join(card::FILE), card::text(&document).as_bytes())?;
    Ok(serde_json::to_value(&document)?)
}

/// The report of such a network whose study has not ended, with no site's figures. Writes the page, and gives the document.
///
/// # Errors
/// As [`run`].
pub async fn localnet_so_far(house: &Path, link: &Link, number: StudyId, page: &Path) -> Result<Value> {
    let document = localnet(house, link, number, None).await?;
    replace_private(page, sections::render(&document).as_bytes())?;
    Ok(serde_json::to_value(&document)?)
}

async fn localnet(house: &Path, link: &Link, number: StudyId, comparison: Option<&Value>) -> Result<Document> {
    let site = Site { shown: ANY.into(), ..Site::open(house, None, None)? };
    let study = link.chain.study(number, link.at).await?;
    // of many rounds that takes minutes
    let many = study.is_some_and(|info| info.state.round > LONG);
    let blocks = if many { Blocks::Skip } else { Blocks::Read };
    let mut gathered = gather(&site, link, number, "", blocks).await?;
    gathered.made.localnet = true;
    gathered.left.clear();
    gathered.made.by = "consilium localnet run".into();
    gathered.study.members.iter_mut().for_each(|member| member.own = false);
    let (figures, held_out) = comparison.map(taken::compared).transpose()?.unwrap_or_default();
    Ok(gathered.document(&link.names, figures, held_out))
}

/// The model card of a study's files, from what the own node and folder know.
///
/// # Errors
/// As [`run`].
pub async fn card_of(dir: &Path, chain: Chain, number: StudyId) -> Result<String> {
    let site = Site { shown: ANY.into(), ..Site::open(dir, None, None)? };
    let link = gather::link(&site, chain).await?;
    let gathered = gather(&site, &link, number, "", Blocks::Skip).await?;
    Ok(card::text(&gathered.document(&link.names, Vec::new(), None)))
}

/// Most rounds whose blocks are read at the end of a run on one machine.
const LONG: u32 = 100;
/// The page of a run on one machine.
pub const PAGE: &str = "report.html";
