//! What an institution says on the chain of a data set: what it may cost, and that it may cost less, or more.

use crate::{
    chain::{Chain, SWARM},
    motions::Acting,
    show::print_json,
};
use anyhow::{ensure, Result};
use clap::{Args, ValueEnum};
use codec::Encode;
use consilium_primitives::{
    budget::{dataset_id, RAISE_BLOCKS},
    rules::PrivacyUnit,
    SLOT_MILLIS,
};
use consilium_privacy::{dataset_name, words};
use serde_json::json;

/// Largest ε of a budget; beyond a dozen it promises next to nothing.
const MOST_EPSILON: f64 = 1_000.0;
/// Powers of ten, without their signs, that δ can be.
const LEAST_EXP: u8 = 3;
const MOST_EXP: u8 = 12;

/// Of whom a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Whom {
    /// Each row of the table
    Record,
    /// All rows of a patient together
    Patient,
}

/// What `budget declare` takes.
#[derive(Args)]
pub struct Declare {
    /// The data set's name, as in sites.toml; the chain learns a hash of it
    #[arg(value_name = "NAME")]
    dataset: String,
    /// What all studies together may cost it
    #[arg(long, value_name = "EPSILON")]
    epsilon: f64,
    /// A power of ten, as 1e-5
    #[arg(long, value_name = "DELTA", default_value_t = 1e-5)]
    delta: f64,
    /// Of whom it counts
    #[arg(long, value_enum)]
    unit: Whom,
    #[command(flatten)]
    acting: Acting,
}

/// What `budget raise` and `budget lower` take.
#[derive(Args)]
pub struct Limit {
    /// The data set's name, as in sites.toml
    #[arg(value_name = "NAME")]
    dataset: String,
    /// What all studies together may cost it from then on
    #[arg(long, value_name = "EPSILON")]
    epsilon: f64,
    #[command(flatten)]
    acting: Acting,
}

/// Which way a limit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Up, after seven days.
    Raise,
    /// Down, at once.
    Lower,
}

/// An ε in millionths, rounded down.
fn millionths(epsilon: f64) -> Result<u32> {
    ensure!(
        epsilon > 0.0 && epsilon <= MOST_EPSILON,
        "--epsilon {epsilon}: must be above 0, and at most {MOST_EPSILON}; 1 to 8 are usual"
    );
    Ok((epsilon * 1e6).floor() as u32)
}

/// The power of ten that a δ is, without its sign.
fn power(delta: f64) -> Result<u8> {
    let found = (LEAST_EXP..=MOST_EXP).find(|exp| (delta * 10f64.powi(i32::from(*exp)) - 1.0).abs() < 1e-9);
    found.ok_or_else(|| anyhow::anyhow!("--delta {delta}: must be a power of ten from 1e-3 to 1e-12, as 1e-5"))
}

/// Whether the chain keeps budgets at all.
async fn kept(chain: &Chain, call: &str) -> Result<()> {
    ensure!(
        chain.has_call(SWARM, call).await?,
        "this chain's runtime keeps no budgets: its institutions can take up a later one (consilium upgrade propose)"
    );
    Ok(())
}

fn name(dataset: &str) -> Result<()> {
    dataset_name(dataset).map_err(anyhow::Error::msg)
}

/// Declares what a data set may cost.
///
/// # Errors
/// Numbers that cannot be; what the chain refused.
pub async fn declare(options: &Declare) -> Result<()> {
    let (acting, dataset) = (&options.acting, &options.dataset);
    name(dataset)?;
    let (limit, delta_exp) = (millionths(options.epsilon)?, power(options.delta)?);
    let unit = match options.unit {
        Whom::Record => PrivacyUnit::Record,
        Whom::Patient => PrivacyUnit::Patient,
    };
    let signer = acting.signer()?;
    let chain = acting.chain().await?;
    kept(&chain, "declare_budget").await?;
    let (id, own) = Acting::institution(&chain, &signer).await?;
    let set = dataset_id(&id, dataset);
    chain.submit(&signer, SWARM, "declare_budget", (set, limit, delta_exp, unit).encode()).await?;
    let said = format!(
        "{own}: all studies together may cost {dataset} {} ({})",
        words::epsilon(limit.into()),
        words::delta(delta_exp)
    );
    told(acting, "declared", dataset, limit, &said)
}

/// Raises or lowers it.
///
/// # Errors
/// As [`declare`].
pub async fn limit(way: Way, options: &Limit) -> Result<()> {
    let (acting, dataset) = (&options.acting, &options.dataset);
    name(dataset)?;
    let limit = millionths(options.epsilon)?;
    let (call, done) = match way {
        Way::Raise => ("raise_budget", "raised"),
        Way::Lower => ("lower_budget", "lowered"),
    };
    let signer = acting.signer()?;
    let chain = acting.chain().await?;
    kept(&chain, call).await?;
    let (id, own) = Acting::institution(&chain, &signer).await?;
    chain.submit(&signer, SWARM, call, (dataset_id(&id, dataset), limit).encode()).await?;
    let when = match way {
        Way::Raise => format!("in {} days", u64::from(RAISE_BLOCKS) * SLOT_MILLIS / 86_400_000),
        Way::Lower => "from now on".into(),
    };
    let said = format!("{own}: all studies together may cost {dataset} {} {when}", words::epsilon(limit.into()));
    told(acting, done, dataset, limit, &said)
}

fn told(acting: &Acting, done: &str, dataset: &str, limit_micro: u32, said: &str) -> Result<()> {
    if acting.json() {
        return print_json(&json!({ "done": done, "dataset": dataset, "limit_micro": limit_micro }));
    }
    out!("{said}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_of_a_budget_are_those_that_the_chain_counts_in() {
        assert_eq!((millionths(8.0).unwrap(), millionths(0.5).unwrap()), (8_000_000, 500_000));
        for wrong in [0.0, -1.0, f64::NAN, 1e9] {
            assert!(millionths(wrong).unwrap_err().to_string().contains("1 to 8 are usual"));
        }
        assert_eq!((power(1e-5).unwrap(), power(1e-12).unwrap()), (5, 12));
        for wrong in [1e-2, 2e-5, 0.0, f64::NAN] {
            assert!(power(wrong).unwrap_err().to_string().contains("power of ten"));
        }
    }
}
