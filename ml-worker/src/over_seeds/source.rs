//! Where a seed's rows come from.

use crate::{
    compare::{Comparison, Inputs},
    data::{demo, read_table, Draw, Pool, Split},
    external::Engine,
    random::key,
    scratch::Scratch,
    simulate::{run, site_group_key, Site},
};
use anyhow::{bail, Context, Result};
use consilium_primitives::{InstitutionId, SLOT_MILLIS};
use consilium_study::{StudyFile, Task};
use std::{io, path::Path};

/// Where a seed's rows come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The demo's data, shared out by the seed.
    Demo,
    /// One table of all sites' rows.
    Pool {
        /// The table.
        pool: &'a Pool,
        /// What the seed draws of it.
        draw: Draw,
    },
}

/// One site of a source, before its rows are read.
struct Place {
    name: String,
    file: String,
    /// Merges go by the order of ids; those of a local network ascend with its sites, and so a seed of the demo's data gives
    /// here the bits that it gives there.
    id: InstitutionId,
    secret: [u8; 32],
}

impl Source<'_> {
    /// Refuses what no seed can be run with.
    fn check(self, file: &StudyFile) -> Result<()> {
        if !matches!(file.data.task(), Task::Binary | Task::Value | Task::Events(_)) {
            bail!("the table over seeds is for studies of two classes, of a number, or of the time until an event");
        }
        let Self::Pool { pool, draw } = self else { return Ok(()) };
        if !(1..pool.patients()).contains(&draw.held_out) {
            bail!("{} are to be held out, of {}; hold out at least one, and not all", draw.held_out, pool.patients());
        }
        if pool.sites().len() > 64 {
            bail!("{} sites are named; a study has at most 64", pool.sites().len());
        }
        Ok(())
    }

    fn places(self, seed: u64) -> Vec<Place> {
        match self {
            Self::Demo => demo::SITES
                .iter()
                .zip(1u8..)
                .map(|((name, ..), n)| Place {
                    name: (*name).to_owned(),
                    file: format!("{name}.csv"),
                    id: InstitutionId([n; 32]),
                    secret: demo::secret(seed, name),
                })
                .collect(),
            Self::Pool { pool, .. } => pool
                .sites()
                .iter()
                .zip(0u8..)
                .map(|(name, n)| Place {
                    name: name.clone(),
                    file: format!("{n}.csv"),
                    id: InstitutionId([n + 1; 32]),
                    // everything is on one machine: nothing is kept from anyone by it
                    secret: key("consilium/seeds/secret/1", &[&seed.to_le_bytes(), name.as_bytes()]),
                })
                .collect(),
        }
    }

    fn write(self, seed: u64, folder: &Path) -> io::Result<()> {
        match self {
            Self::Demo => demo::write(seed, folder),
            Self::Pool { pool, draw } => pool.write(&pool.partition(seed, draw), folder),
        }
    }

    /// Runs the study of one seed, and the other arms beside it.
    pub(super) fn compared(self, file: &StudyFile, seed: u64) -> Result<Comparison> {
        self.check(file)?;
        let mut file = file.clone();
        file.seed = seed;
        let spec = file.spec();
        let places = self.places(seed);
        let rules = file.rules(u32::try_from(SLOT_MILLIS)?, places.len() as u32)?;
        // patients' rows: gone as soon as they are read
        let scratch = Scratch::new()?;
        let folder = scratch.path();
        self.write(seed, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        let sites = places
            .into_iter()
            .map(|Place { name, file, id, secret }| {
                let group_key = site_group_key(&spec, &secret)?;
                let table = read_table(&folder.join(file), &spec.data, &group_key).with_context(|| name.clone())?;
                // what a site signs, as `consilium localnet run` counts it
                let samples = Split::of(&table, spec.evaluation.validation_share).rows(&table).0.len() as u32;
                Ok(Site { name, id, secret, samples, table })
            })
            .collect::<Result<Vec<_>>>()?;
        let held_out = read_table(&folder.join("held-out.csv"), &spec.data, &[0; 32])?;
        drop(scratch);
        let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss)?;
        let tests: Vec<_> = sites.iter().map(|_| None).collect();
        Inputs {
            engine: &Engine::NONE,
            spec: &spec,
            rounds: outcome.rounds.len() as u32 - 1,
            sites: &sites,
            splits: &outcome.splits,
            tests: &tests,
            held_out: Some(&held_out),
            swarm: outcome.swarm(),
            statistics: outcome.statistics.as_ref(),
        }
        .compare()
    }
}
