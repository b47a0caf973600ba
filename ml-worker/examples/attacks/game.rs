//! One study with liars in it, and what its model is worth.

use super::{
    attack::{Attack, Trains},
    rule::Rule,
    world::{Site, World},
};
use anyhow::{Context, Result};
use consilium_ml_worker::{
    data::Rows,
    learn::{
        initial_parameters, logits_of,
        metrics::{Metrics, MultiClass},
        Net, OptimizerState, Seeds, Session, TrainError,
    },
    random::{key, Stream},
};

/// A model after local training, and what the optimiser remembers.
type Trained = (Vec<f32>, OptimizerState);

/// Sites of one seed, ready to train.
pub struct Game<'w> {
    /// The data.
    pub world: &'w World,
    /// Liars that rules are to tolerate.
    pub liars: usize,
    sites: Vec<Site>,
    hash: [u8; 32],
    start: Vec<f32>,
    net: Net,
    /// The first round's honest training, which is the same whoever lies.
    first: Vec<Trained>,
}

/// Figures of a model.
#[derive(Clone, Copy, Debug)]
pub struct Worth {
    /// AUC with two classes, share of right answers with more.
    pub score: f64,
    /// Mean recall of the classes.
    pub balanced: f64,
}

/// How a study went.
pub struct Played {
    /// The last round's model.
    pub model: Vec<f32>,
    /// How much of what the first site says differently from the others reaches the merge: mean over rounds.
    pub heard: f64,
}

impl<'w> Game<'w> {
    /// These sites.
    ///
    /// # Errors
    /// What training says.
    pub fn new(world: &'w World, sites: Vec<Site>, liars: usize) -> Result<Self> {
        let mut game = Self {
            world,
            liars,
            sites,
            hash: world.spec.hash()?.0,
            start: initial_parameters(&world.spec)?,
            net: Net::new(world.spec.architecture()?)?,
            first: Vec::new(),
        };
        for site in &game.sites {
            let trained = game.train(site, &site.rows, &game.start, &OptimizerState::default(), 1)?;
            game.first.push(trained.context("training left the finite numbers")?);
        }
        Ok(game)
    }

    /// `None`: training left the finite numbers.
    fn train(
        &self,
        site: &Site,
        rows: &Rows,
        base: &[f32],
        state: &OptimizerState,
        round: u32,
    ) -> Result<Option<Trained>> {
        let seeds = Seeds::new(&site.secret, &self.hash, round);
        match Session::new(&self.world.spec, base, rows, None, state, &seeds).train(&|_| false) {
            Ok(trained) => Ok(Some((trained.parameters, trained.state))),
            Err(TrainError::NotFinite { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Plays all rounds. Who lies, lies in every round; `listen` measures [`Played::heard`]. Where a model's numbers leave
    /// what training can be done with, the study ends with it.
    ///
    /// # Errors
    /// What training or merging say.
    pub fn play(&self, lying: &[usize], attack: Option<Attack>, rule: Rule, listen: bool) -> Result<Played> {
        let n = self.sites.len();
        let attack = attack.filter(|_| !lying.is_empty());
        let samples: Vec<u32> = (0..n)
            .map(|i| {
                let rows = self.sites[i].rows.len() as u32;
                attack.filter(|_| lying.contains(&i)).map_or(rows, |attack| attack.samples(rows))
            })
            .collect();
        let mut base = self.start.clone();
        let mut states = vec![OptimizerState::default(); n];
        let mut before: Vec<f32> = Vec::new();
        let mut heard = 0.0;
        for round in 1..=self.world.rounds {
            let mut updates = vec![Vec::new(); n];
            for i in 0..n {
                let site = &self.sites[i];
                let trains = attack.filter(|_| lying.contains(&i)).map_or(Trains::Honestly, Attack::trains);
                let rows = match trains {
                    Trains::No => {
                        updates[i].clone_from(&base);
                        continue;
                    }
                    Trains::Honestly => &site.rows,
                    Trains::Flipped => &site.flipped,
                    Trains::Poisoned => &site.poisoned,
                };
                if round == 1 && trains == Trains::Honestly {
                    (updates[i], states[i]) = self.first[i].clone();
                    continue;
                }
                let Some(trained) = self.train(site, rows, &base, &states[i], round)? else {
                    return Ok(Played { model: base, heard: f64::NAN });
                };
                (updates[i], states[i]) = trained;
            }
            if let Some(attack) = attack {
                self.lie(attack, lying, round, &base, &mut updates);
            }
            let all: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
            let merged = |all: &[&[f32]]| rule.merged(all, &samples, self.liars, &base, &before);
            let Ok(model) = merged(&all) else {
                return Ok(Played { model: base, heard: f64::NAN });
            };
            if listen {
                let others = mean(&all[1..]);
                let without = merged(&[&[others.as_slice()], &all[1..]].concat())?;
                heard += share(&model, &without, &updates[0], &others) / f64::from(self.world.rounds);
            }
            before = model.iter().zip(&base).map(|(x, w)| x - w).collect();
            base = model;
        }
        Ok(Played { model: base, heard })
    }

    fn lie(&self, attack: Attack, lying: &[usize], round: u32, base: &[f32], updates: &mut [Vec<f32>]) {
        let honest: Vec<&[f32]> =
            updates.iter().enumerate().filter(|(i, _)| !lying.contains(i)).map(|(_, x)| x.as_slice()).collect();
        let forged: Vec<Vec<f32>> = lying
            .iter()
            .map(|i| {
                let mut chance =
                    Stream::new(key("consilium/attacks/noise/1", &[&self.sites[*i].secret, &round.to_le_bytes()]));
                attack.forged(base, &honest, &updates[*i], &mut chance)
            })
            .collect();
        for (i, forged) in lying.iter().zip(forged) {
            updates[*i] = forged;
        }
    }

    /// Figures of a model; those of guessing where it gives no numbers.
    ///
    /// # Errors
    /// None with rows in memory.
    pub fn worth(&self, model: &[f32], rows: &Rows) -> Result<Worth> {
        let classes = self.world.classes;
        let guess = Worth { score: 1.0 / classes as f64, balanced: 1.0 / classes as f64 };
        let logits = logits_of(&self.net, model, rows)?;
        if logits.iter().any(|z| !z.is_finite()) {
            return Ok(guess);
        }
        let figures = if classes == 2 {
            Metrics::of(&logits, &rows.positive()).map(|m| (m.auc, m.balanced_accuracy))
        } else {
            let labels: Vec<usize> = rows.labels().iter().map(|label| *label as usize).collect();
            MultiClass::of(&logits, classes, &labels).map(|m| (m.accuracy, m.balanced_accuracy))
        };
        let (score, balanced) = figures.unwrap_or_default();
        Ok(Worth { score: score.unwrap_or(guess.score), balanced: balanced.unwrap_or(guess.balanced) })
    }

    /// Share of the stamped rows that a model takes for the target's class.
    ///
    /// # Errors
    /// None with rows in memory.
    pub fn fooled(&self, model: &[f32]) -> Result<f64> {
        let (rows, target) = (&self.world.stamped, self.world.target as usize);
        let logits = logits_of(&self.net, model, rows)?;
        let answers = |z: &[f32]| match z {
            [one] => usize::from(*one >= 0.0),
            many => (1..many.len()).fold(0, |best, k| if many[k] > many[best] { k } else { best }),
        };
        let width = logits.len() / rows.len().max(1);
        let hits = logits.chunks_exact(width.max(1)).filter(|z| answers(z) == target).count();
        Ok(hits as f64 / rows.len().max(1) as f64)
    }
}

fn mean(updates: &[&[f32]]) -> Vec<f32> {
    let width = updates.first().map_or(0, |x| x.len());
    let n = updates.len() as f64;
    (0..width).map(|k| (updates.iter().map(|x| f64::from(x[k])).sum::<f64>() / n) as f32).collect()
}

/// `⟨with − without, own − others⟩ ÷ ‖own − others‖²`.
fn share(with: &[f32], without: &[f32], own: &[f32], others: &[f32]) -> f64 {
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect::<Vec<_>>();
    let (change, gap) = (apart(with, without), apart(own, others));
    let size: f64 = gap.iter().map(|x| x * x).sum();
    change.iter().zip(&gap).map(|(a, b)| a * b).sum::<f64>() / size.max(f64::MIN_POSITIVE)
}
