//! Studies in one process, and what each who looks sees of them.

use super::{
    attack::{attack, Seen, Worth},
    promise::Promise,
    sums::{Partner, Sum},
    world::{Arm, World},
};
use anyhow::{Context, Result};
use consilium_ml_worker::learn::{initial_parameters, OptimizerState, Seeds, Session};
use consilium_primitives::rules::capped_against;
use rayon::prelude::*;

/// Cap on any one site's weight, as a study has it that names none: a half, in parts per million.
const MAX_SHARE: u32 = 500_000;
/// The site that looks: the second one. It knows its own update, every merged model and the agreement.
const CURIOUS: usize = 1;
/// The site that is attacked.
const ATTACKED: usize = 3;

/// What somebody sees of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The attacked site's own update: a study without masks.
    Update,
    /// The sum of all updates but the curious site's own: a study with masks.
    Sum,
    /// The merged models alone: somebody who was not in the round.
    Models,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Update, Self::Sum, Self::Models];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "the site's update",
            Self::Sum => "masked sum of three",
            Self::Models => "merged models only",
        }
    }
}

/// A study that was played.
struct Played {
    bases: Vec<Vec<f32>>,
    /// Steps of each round, by view.
    steps: [Vec<Vec<f32>>; 3],
    members: Vec<bool>,
}

/// One figure of the membership game.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// What was seen.
    pub view: View,
    /// Whether steps were whitened, too.
    pub whitened: bool,
    /// How well the attack did.
    pub worth: Worth,
}

/// Plays so many studies of one seed, and attacks each view.
///
/// # Errors
/// What training or merging say.
pub fn game(arm: Arm, seed: u64, studies: u32, whiten: bool) -> Result<Vec<Measured>> {
    let world = World::new(seed);
    let promise = arm.promise();
    let played: Vec<Played> =
        (0..studies).into_par_iter().map(|study| play(&world, arm, promise, seed, study)).collect::<Result<_>>()?;
    let candidates = world.candidates();
    let mut measured = Vec::new();
    for (place, view) in View::ALL.into_iter().enumerate() {
        let seen: Vec<Seen<'_>> = played
            .iter()
            .map(|study| Seen { bases: &study.bases, steps: &study.steps[place], members: &study.members })
            .collect();
        let worths = attack(arm.network(), &candidates, &seen, whiten);
        let each = [false, true].into_iter().zip(worths);
        measured.extend(each.map(|(whitened, worth)| Measured { view, whitened, worth }));
    }
    Ok(measured)
}

fn play(world: &World, arm: Arm, promise: Option<Promise>, seed: u64, study: u32) -> Result<Played> {
    let (spec, rounds) = arm.study(seed)?;
    let hash = spec.hash()?.0;
    let shares = world.shares(study);
    let weights = capped_against(&world.samples, MAX_SHARE, 0);
    let mut states = vec![OptimizerState::default(); shares.rows.len()];
    let mut base = initial_parameters(&spec)?;
    let mut played = Played { bases: Vec::new(), steps: Default::default(), members: shares.members };
    for round in 1..=rounds {
        let mut updates = Vec::new();
        for ((rows, secret), state) in shares.rows.iter().zip(&shares.secrets).zip(&mut states) {
            let seeds = Seeds::new(secret, &hash, round);
            let private = promise.map(|promise| promise.private(rows.len(), secret, round));
            let session = Session::new(&spec, &base, rows, None, state, &seeds);
            let trained = Session { private: private.as_ref(), ..session }
                .train(&|_| false)
                .with_context(|| format!("study {study}, round {round}"))?;
            if spec.training.keep_optimizer_state {
                *state = trained.state;
            }
            updates.push(trained.parameters);
        }
        let of = |left_out: Option<usize>| -> Vec<Partner<'_>> {
            let partners = updates.iter().zip(&weights).enumerate();
            partners
                .map(|(site, (update, weight))| Partner {
                    weight: *weight,
                    update: Some(update.as_slice()).filter(|_| left_out != Some(site)),
                })
                .collect()
        };
        // whoever knows the sum of all and its own masked numbers knows the sum of the others, to the bit
        let others = Sum::of(&base, &of(Some(CURIOUS)))?;
        let merged = Sum::of(&base, &of(None))?;
        let attacked = updates[ATTACKED].iter().zip(&base).map(|(x, w)| x - w).collect();
        for (steps, step) in played.steps.iter_mut().zip([attacked, others.step, merged.step]) {
            steps.push(step);
        }
        played.bases.push(std::mem::replace(&mut base, merged.model));
    }
    Ok(played)
}
