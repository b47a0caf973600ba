//! What a site's own ledgers say, which lie in the worker's folder; and, where that is asked for, what the chain says of the same.

use crate::{
    chain::Chain,
    institution::folder::{whose, SITES},
    options::{node_of, Format, DEFAULT_URL},
    show::print_json,
};
use anyhow::{ensure, Context, Result};
use clap::Args;
use consilium_primitives::{
    budget::{dataset_id, Budget},
    InstitutionId,
};
use consilium_privacy::{dataset_name, words, Ledger, Unit};
use serde_json::{json, Value};
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where the worker keeps its ledgers, in the institution's folder.
const LEDGERS: &str = "worker/ledger";

/// What `budget show` takes.
#[derive(Args)]
pub struct Show {
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Ask its node, too, what the chain says of each data set
    #[arg(long)]
    chain: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints what each data set has cost.
///
/// # Errors
/// There is no such folder; a ledger that was changed; the node does not answer.
pub async fn run(options: &Show) -> Result<()> {
    let (dir, shown) = (&options.dir, options.dir.display());
    ensure!(dir.is_dir(), "--dir {shown}: there is no such folder; name the one that `consilium init` has made");
    let (ledgers, limits) = (ledgers(dir)?, limits(dir));
    let declared = if options.chain { Some(declared(dir, ledgers.keys().chain(limits.keys())).await?) } else { None };
    if options.format == Format::Json {
        let entry = |(name, ledger): (&String, &Ledger)| {
            let mut told = told(name, ledger, &limits);
            if let Some(declared) = &declared {
                told["chain"] = json!(declared.get(name).map(|(budget, block)| told_of(budget, *block)));
            }
            told
        };
        return print_json(&json!(ledgers.iter().map(entry).collect::<Vec<_>>()));
    }
    if ledgers.is_empty() {
        out!("no private study has been trained on this site's rows: nothing was spent");
    }
    for (name, ledger) in &ledgers {
        let unit = ledger.unit().unwrap_or_default();
        out!("{}", sentence(name, ledger, limits.get(name).copied()));
        out!("  {}", words::meaning(ledger.epsilon_micro(), unit));
    }
    if !ledgers.is_empty() {
        out!("{}", words::COUNTED);
    }
    for (name, (budget, block)) in declared.iter().flatten() {
        out!("{}", on_chain(name, budget, *block));
    }
    Ok(())
}

/// What the chain says of data sets that are declared there, and in which block.
type Declared = BTreeMap<String, (Budget, u32)>;

/// Asks the folder's node.
async fn declared(dir: &Path, names: impl Iterator<Item = &String>) -> Result<Declared> {
    let shown = dir.display();
    let (_, account) = whose(dir).with_context(|| format!("{shown}: has no card that says whose folder it is"))?;
    let chain = Chain::connect(&node_of(Some(dir), DEFAULT_URL)?).await?;
    let (at, who) = (chain.best().await?, InstitutionId(account));
    let mut all = Declared::new();
    for name in names {
        if let Some(budget) = chain.budget(&who, &dataset_id(&who, name), at).await? {
            all.insert(name.clone(), (budget, at.number));
        }
    }
    Ok(all)
}

/// What the chain says of a data set, in a sentence.
fn on_chain(name: &str, budget: &Budget, block: u32) -> String {
    let limit = words::epsilon(budget.limit_micro(block).into());
    let spent = words::epsilon(budget.epsilon_micro());
    let delta = words::delta(budget.delta_exp());
    let later = budget.raise_to().filter(|raise| raise.from > block).map_or_else(String::new, |raise| {
        format!("; {} from block {} on", words::epsilon(raise.limit_micro.into()), raise.from)
    });
    format!("on the chain: {spent} of {limit} spent on {name} ({delta}){later}")
}

/// The same for programs.
fn told_of(budget: &Budget, block: u32) -> Value {
    json!({
        "epsilon_micro": budget.epsilon_micro(),
        "limit_micro": budget.limit_micro(block),
        "spent": budget.spent(),
        "delta_exp": budget.delta_exp(),
    })
}

/// All ledgers, by their data sets' names.
fn ledgers(dir: &Path) -> Result<BTreeMap<String, Ledger>> {
    let folder = dir.join(LEDGERS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut all = BTreeMap::new();
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if dataset_name(&name).is_err() {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (ledger, _) = Ledger::read(&bytes).with_context(|| path.display().to_string())?;
        all.insert(name, ledger);
    }
    Ok(all)
}

/// What `sites.toml` lets each data set cost, in millionths of ε: where its entries differ, the least.
fn limits(dir: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(dir.join(SITES)).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let mut limits = BTreeMap::new();
    for study in table.get("study").and_then(toml::Value::as_array).into_iter().flatten() {
        let name = study.get("dataset").and_then(toml::Value::as_str);
        let epsilon = study.get("epsilon").and_then(|it| it.as_float().or(it.as_integer().map(|whole| whole as f64)));
        if let Some((name, epsilon)) = name.zip(epsilon) {
            let micro = (epsilon * 1e6).floor() as u64;
            limits.entry(name.to_owned()).and_modify(|least: &mut u64| *least = (*least).min(micro)).or_insert(micro);
        }
    }
    limits
}

fn sentence(name: &str, ledger: &Ledger, limit_micro: Option<u64>) -> String {
    let spent_micro = ledger.epsilon_micro();
    let spent = words::Spent {
        dataset: name,
        spent_micro,
        limit_micro: limit_micro.unwrap_or(spent_micro),
        delta_exp: ledger.delta_exp().unwrap_or_default(),
        unit: ledger.unit().unwrap_or_default(),
        studies: ledger.studies(),
        rounds: ledger.rounds(),
    };
    match limit_micro {
        Some(_) => spent.sentence(),
        None => format!("{} No entry of {SITES} says how much it may cost.", spent.sentence()),
    }
}

fn told(name: &str, ledger: &Ledger, limits: &BTreeMap<String, u64>) -> Value {
    json!({
        "dataset": name,
        "unit": match ledger.unit().unwrap_or_default() {
            Unit::Record => "record",
            Unit::Patient => "patient",
        },
        "epsilon_micro": ledger.epsilon_micro(),
        "limit_micro": limits.get(name),
        "delta_exp": ledger.delta_exp(),
        "studies": ledger.studies(),
        "rounds": ledger.rounds(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_primitives::PrivacyUnit;
    use consilium_privacy::{seed_hash, spend, Ask, Mechanism};

    #[test]
    fn what_the_chain_says_is_told_with_a_limit_that_waits() {
        let mut budget = Budget::declare(6_500_000, 5, PrivacyUnit::Patient).unwrap();
        assert_eq!(on_chain("x", &budget, 1), "on the chain: ε 0 of ε 6.5 spent on x (δ 10⁻⁵)");
        let from = budget.raise(8_000_000, 1).unwrap();
        assert!(on_chain("x", &budget, 1).ends_with(&format!("; ε 8 from block {from} on")));
        assert_eq!(told_of(&budget, from)["limit_micro"], 8_000_000);
        assert_eq!(told_of(&budget, from)["spent"][15], 0);
    }

    #[test]
    fn what_a_sites_ledgers_say_is_told_beside_what_sites_toml_allows() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        assert!(ledgers(dir).unwrap().is_empty());
        let mut ledger = Ledger::default();
        let ask = |duty: u8| Ask {
            time: 1_700_000_000,
            agreement: [7; 32],
            study: 0,
            round: duty.into(),
            duty: [duty; 32],
            unit: Unit::Patient,
            delta_exp: 5,
            spend: spend(&Mechanism { rate_ppm: 250_000, sigma_1024: 3_072 }, 8),
            seed: seed_hash(&[duty; 32]),
        };
        let lines: String = (1..=3).map(|n| ledger.reserve(&ask(n), 8_000_000).unwrap().unwrap()).collect();
        fs::create_dir_all(dir.join(LEDGERS)).unwrap();
        fs::write(dir.join(LEDGERS).join("oncology-2026"), &lines).unwrap();
        fs::write(dir.join(LEDGERS).join("oncology-2026.rows"), "ab\n").unwrap();
        let sites = "[[study]]\nagreement = \"a\"\ndata = \"t\"\ndataset = \"oncology-2026\"\nepsilon = 8\n\
                     [[study]]\nagreement = \"b\"\ndata = \"t\"\ndataset = \"oncology-2026\"\nepsilon = 6.5\n";
        fs::write(dir.join(SITES), sites).unwrap();
        let (all, limits) = (ledgers(dir).unwrap(), limits(dir));
        assert_eq!(all, BTreeMap::from([("oncology-2026".to_owned(), ledger.clone())]));
        let said = sentence("oncology-2026", &ledger, limits.get("oncology-2026").copied());
        assert_eq!(said, "ε 2 of 6.5 spent on oncology-2026 (δ 10⁻⁵, per patient, 1 study, 3 rounds).");
        let told = told("oncology-2026", &ledger, &limits);
        assert_eq!(
            (&told["limit_micro"], &told["rounds"], &told["unit"]),
            (&json!(6_500_000), &json!(3), &json!("patient"))
        );
        assert!(sentence("oncology-2026", &ledger, None).contains("No entry of sites.toml"));
        // one that was changed is no ledger
        fs::write(dir.join(LEDGERS).join("oncology-2026"), lines.replacen("\"round\":1", "\"round\":4", 1)).unwrap();
        assert!(format!("{:#}", ledgers(dir).unwrap_err()).contains("line 2"));
    }
}
