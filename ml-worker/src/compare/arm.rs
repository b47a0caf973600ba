//! One arm: which of its rounds counts, and how good that model is.

use super::Inputs;
use crate::{
    data::{Rows, Scaler, Table},
    learn::{
        figures::Figures, initial_parameters, logits_of, loss_micro, objective, Net, OptimizerState, Seeds, Session,
    },
};
use anyhow::Result;
use serde::Serialize;

/// Which of an arm's rounds its model is of, and by what it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The round.
    pub round: u32,
    /// The last round.
    pub rounds: u32,
    /// Validation rows that judge the arm's rounds.
    pub validation_rows: usize,
    /// Whether these were too few to choose by: the last round was taken.
    pub too_few: bool,
}

/// Figures of one model: on the held-out rows common to all, and on each site's own held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// On the common held-out rows; none where there are none.
    pub held_out: Option<Figures>,
    /// On each site's own held-out rows, by site.
    pub sites: Vec<(String, Option<Figures>)>,
}

/// One arm.
#[derive(Clone, Debug, Serialize)]
pub struct Arm {
    /// Who trained it.
    pub name: String,
    /// Training rows it saw.
    pub training_rows: usize,
    /// Which of its rounds the figures are of.
    pub choice: Choice,
    /// The chosen model's figures.
    #[serde(flatten)]
    pub chosen: Measured,
    /// Those of the last round's model; none where it is not there any more.
    pub last: Option<Measured>,
}

/// An arm's models.
pub(super) struct Model {
    pub chosen: Vec<f32>,
    /// `None`: not there.
    pub last: Option<Vec<f32>>,
    pub choice: Choice,
}

/// How rows are scaled for a model.
pub(super) struct Sets {
    /// Those of each site.
    pub sites: Vec<Scaler>,
    /// Those that are no site's.
    pub common: Scaler,
}

/// What a model says of rows, with their labels and groups.
pub(super) struct Said {
    pub logits: Vec<f32>,
    pub labels: Vec<u32>,
    pub groups: Vec<[u8; 32]>,
}

impl Inputs<'_> {
    /// Trains on these rows for as many rounds as the swarm, and chooses among the rounds as the swarm does: the newest
    /// against the best so far, by the agreed metric on the arm's own validation rows.
    pub(super) fn fit(&self, rows: &Rows, validation: &Rows, secret: &[u8; 32]) -> Result<Model> {
        let hash = self.spec.hash()?.0;
        let mut parameters = initial_parameters(self.spec)?;
        let mut state = OptimizerState::default();
        let mut best: Option<(u32, u32, Vec<f32>)> = None;
        for round in 1..=self.rounds {
            let seeds = Seeds::new(secret, &hash, round);
            let trained =
                Session::new(self.spec, &parameters, rows, Some(validation), &state, &seeds).train(&|_| false)?;
            parameters = trained.parameters;
            if self.spec.training.keep_optimizer_state {
                state = trained.state;
            }
            if let Some(loss) = loss_micro(self.spec, &parameters, validation)? {
                if best.as_ref().is_none_or(|(lowest, ..)| loss <= *lowest) {
                    best = Some((loss, round, parameters.clone()));
                }
            }
        }
        let too_few = best.is_none();
        let (round, chosen) = match best {
            Some((_, round, chosen)) => (round, chosen),
            None => (self.rounds, parameters.clone()),
        };
        let choice = Choice { round, rounds: self.rounds, validation_rows: validation.len(), too_few };
        Ok(Model { chosen, last: Some(parameters), choice })
    }

    /// Figures of an arm's models, and what the chosen one says of each site's own held-out rows.
    pub(super) fn arm(&self, name: &str, model: &Model, sets: &Sets, training_rows: usize) -> Result<(Arm, Vec<Said>)> {
        let (chosen, said) = self.measure(&model.chosen, sets)?;
        let last = match &model.last {
            Some(_) if model.choice.round == model.choice.rounds => Some(chosen.clone()),
            Some(last) => Some(self.measure(last, sets)?.0),
            None => None,
        };
        Ok((Arm { name: name.to_owned(), training_rows, choice: model.choice, chosen, last }, said))
    }

    fn measure(&self, parameters: &[f32], sets: &Sets) -> Result<(Measured, Vec<Said>)> {
        let net = Net::new(self.spec.architecture()?)?;
        let goal = objective(self.spec, None);
        let say = |scaler: &Scaler, table: &Table, places: &[usize]| -> Result<Said> {
            let rows = scaler.apply(table, places)?;
            Ok(Said {
                logits: logits_of(&net, parameters, &rows)?,
                labels: rows.labels().to_vec(),
                groups: places.iter().map(|row| table.groups[*row]).collect(),
            })
        };
        let figures = |said: &Said| Figures::of(&goal, &said.logits, &said.labels, &[]);
        let all = |table: &Table| (0..table.rows()).collect::<Vec<_>>();
        let (mut sites, mut own) = (Vec::new(), Vec::new());
        for (n, (site, scaler)) in self.sites.iter().zip(&sets.sites).enumerate() {
            let said = match &self.tests[n] {
                Some(table) => say(scaler, table, &all(table))?,
                None => say(scaler, &site.table, &self.splits[n].rows(&site.table).1)?,
            };
            sites.push((site.name.clone(), figures(&said)));
            own.push(said);
        }
        let held_out = match self.held_out {
            Some(table) => figures(&say(&sets.common, table, &all(table))?),
            None => None,
        };
        Ok((Measured { held_out, sites }, own))
    }
}
