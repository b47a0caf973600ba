//! One arm: which of its rounds counts, and how good that model is.

use super::inputs::Inputs;
use crate::{
    data::{Rows, Scaler, Table},
    external::Step,
    learn::{
        figures::{groups, validated_cuts, Figures},
        micro_of, objective, OptimizerState,
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
    /// The agreed metric after each round on the rows that judge the arm's rounds; none where these are too few. Empty of the
    /// swarm's, which the chain has.
    pub by_round: Vec<Option<f64>>,
    /// The chosen model's figures.
    #[serde(flatten)]
    pub chosen: Measured,
    /// Those of the last round's model; none where it is not there any more.
    pub last: Option<Measured>,
}

/// A model, with what is not merged of it.
#[derive(Clone)]
pub(super) struct Point {
    pub parameters: Vec<f32>,
    pub kept: Kept,
}

/// Tensors that stay at a site.
#[derive(Clone)]
pub(super) enum Kept {
    /// Those of the model itself, wherever it is measured; none of most studies.
    Own(Option<Vec<u8>>),
    /// At each site its own; on rows that are no site's, those of the initial file.
    EachSite,
}

/// An arm's models.
pub(super) struct Model {
    pub chosen: Point,
    /// `None`: not there.
    pub last: Option<Point>,
    pub choice: Choice,
    pub by_round: Vec<Option<f64>>,
}

/// How rows are scaled for a model.
pub(super) struct Sets {
    /// Those of each site.
    pub sites: Vec<Scaler>,
    /// Those that are no site's.
    pub common: Scaler,
}

/// The rows on which an arm's cuts are chosen.
pub(super) enum Judges<'a> {
    /// These.
    One(&'a Rows),
    /// At a site its own validation rows; for rows that are no site's, those of all sites together.
    EachSite,
}

/// Cuts of a model: at each site, and on rows that are no site's.
pub(super) struct Cuts {
    pub sites: Vec<Vec<Option<f64>>>,
    common: Vec<Option<f64>>,
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
        let mut parameters = self.engine.start(self.spec)?;
        self.engine.fresh()?;
        let mut state = OptimizerState::default();
        let mut best: Option<(u32, u32, Point)> = None;
        let mut by_round = Vec::new();
        // what never leaves this process needs no noise
        let plain = self.spec.without_privacy(rows.len() as u64);
        let spec = plain.as_ref().unwrap_or(self.spec);
        for round in 1..=self.rounds {
            let step = Step { base: &parameters, rows: (rows, validation), state: &state, chance: (secret, round) };
            let trained = self.engine.train(spec, &step, &|_| false)?;
            parameters = trained.parameters;
            if self.spec.training.keep_optimizer_state {
                state = trained.state;
            }
            let z = self.engine.logits(self.spec, &parameters, validation)?;
            let loss = micro_of(self.spec, &z, validation);
            by_round.push(loss.map(|micro| f64::from(micro) / 1e6));
            if let Some(loss) = loss {
                if best.as_ref().is_none_or(|(lowest, ..)| loss <= *lowest) {
                    best = Some((loss, round, self.own_point(parameters.clone())?));
                }
            }
        }
        let (too_few, last) = (best.is_none(), self.own_point(parameters)?);
        let (round, chosen) = match best {
            Some((_, round, chosen)) => (round, chosen),
            None => (self.rounds, last.clone()),
        };
        let choice = Choice { round, rounds: self.rounds, validation_rows: validation.len(), too_few };
        Ok(Model { chosen, last: Some(last), choice, by_round })
    }

    /// A model that was trained just now.
    fn own_point(&self, parameters: Vec<f32>) -> Result<Point> {
        Ok(Point { parameters, kept: Kept::Own(self.engine.kept()?) })
    }

    /// Logits of a model's at a site, or nowhere.
    fn logits(&self, point: &Point, at: Option<usize>, rows: &Rows) -> Result<Vec<f32>> {
        self.engine.keep(match &point.kept {
            Kept::Own(kept) => kept.as_deref(),
            Kept::EachSite => at.and_then(|site| self.engine.at_site(site)),
        })?;
        self.engine.logits(self.spec, &point.parameters, rows)
    }

    /// Figures of an arm's models, what the chosen one says of each site's own held-out rows, and its cuts.
    pub(super) fn arm(
        &self,
        name: &str,
        model: &Model,
        (sets, judges): (&Sets, &Judges<'_>),
        training_rows: usize,
    ) -> Result<(Arm, Vec<Said>, Cuts)> {
        let (chosen, said, cuts) = self.measure(&model.chosen, sets, judges)?;
        let last = match &model.last {
            Some(_) if model.choice.round == model.choice.rounds => Some(chosen.clone()),
            Some(last) => Some(self.measure(last, sets, judges)?.0),
            None => None,
        };
        let (name, by_round) = (name.to_owned(), model.by_round.clone());
        Ok((Arm { name, training_rows, choice: model.choice, by_round, chosen, last }, said, cuts))
    }

    fn say(
        &self,
        (point, at): (&Point, Option<usize>),
        scaler: &Scaler,
        table: &Table,
        places: &[usize],
    ) -> Result<Said> {
        let rows = scaler.apply(table, places)?;
        Ok(Said {
            logits: self.logits(point, at, &rows)?,
            labels: rows.labels().to_vec(),
            groups: groups(&self.spec.data, table, places),
        })
    }

    /// The cuts that an arm's validation rows ask for; none where they are too few to choose by.
    fn cuts(&self, point: &Point, sets: &Sets, judges: &Judges<'_>) -> Result<Cuts> {
        let goal = objective(self.spec, None);
        let of = |logits: &[f32], labels: &[u32]| match labels.len() / goal.labels_per_row() {
            rows if rows < self.spec.evaluation.min_rows as usize => Vec::new(),
            _ => validated_cuts(&goal, logits, labels),
        };
        if let Judges::One(rows) = judges {
            let cuts = of(&self.logits(point, None, rows)?, rows.labels());
            return Ok(Cuts { sites: vec![cuts.clone(); self.sites.len()], common: cuts });
        }
        let (mut sites, mut logits, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for (n, ((site, split), scaler)) in self.sites.iter().zip(self.splits).zip(&sets.sites).enumerate() {
            let said = self.say((point, Some(n)), scaler, &site.table, &split.rows(&site.table).1)?;
            sites.push(of(&said.logits, &said.labels));
            logits.extend(said.logits);
            labels.extend(said.labels);
        }
        Ok(Cuts { sites, common: of(&logits, &labels) })
    }

    fn measure(&self, point: &Point, sets: &Sets, judges: &Judges<'_>) -> Result<(Measured, Vec<Said>, Cuts)> {
        let goal = objective(self.spec, None).told_in(self.target());
        let cuts = self.cuts(point, sets, judges)?;
        let say = |at: Option<usize>, scaler: &Scaler, table: &Table, places: &[usize]| {
            self.say((point, at), scaler, table, places)
        };
        let figures = |said: &Said, cuts: &[Option<f64>]| {
            Figures::by_group(&goal, &said.logits, &said.labels, cuts, Some(&said.groups))
        };
        let all = |table: &Table| (0..table.rows()).collect::<Vec<_>>();
        let (mut sites, mut own) = (Vec::new(), Vec::new());
        for (n, (site, scaler)) in self.sites.iter().zip(&sets.sites).enumerate() {
            let (said, cuts) = match &self.tests[n] {
                Some(table) => (say(Some(n), scaler, table, &all(table))?, &cuts.sites[n][..]),
                // a cut that was chosen on these very rows would look too good
                None => (say(Some(n), scaler, &site.table, &self.splits[n].rows(&site.table).1)?, &[][..]),
            };
            sites.push((site.name.clone(), figures(&said, cuts)));
            own.push(said);
        }
        let held_out = match self.held_out {
            Some(table) => figures(&say(None, &sets.common, table, &all(table))?, &cuts.common),
            None => None,
        };
        Ok((Measured { held_out, sites }, own, cuts))
    }
}
