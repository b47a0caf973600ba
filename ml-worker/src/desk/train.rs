//! Training on one site's rows.

use super::{
    bundle::{Bundle, Made},
    fit::Fitted,
};
use crate::{
    data::{own_statistics, Prepared, Rows, Split, Table},
    external::{Engine, Step},
    learn::{
        figures::{groups, Figures},
        objective, OptimizerState, TrainError,
    },
};
use anyhow::{Context, Result};
use consilium_study::{Scaling, StudySpec};
use serde::Serialize;

/// What is trained, and for how long.
pub struct Plan<'a> {
    /// The study.
    pub spec: &'a StudySpec,
    /// Rounds: how often the study's local training is done, one after the other.
    pub rounds: u32,
    /// The site's rows.
    pub table: &'a Table,
    /// Keys shuffling and dropout.
    pub secret: [u8; 32],
}

/// What came out.
#[derive(Serialize)]
pub struct Outcome {
    /// Rows trained on, and rows set aside.
    pub rows: (usize, usize),
    /// Loss of the last epoch's batches, without penalty.
    pub training_loss: f64,
    /// On the validation rows; the cut beside one half was chosen on these very rows.
    pub validation: Option<Figures>,
    /// The model.
    #[serde(skip)]
    pub bundle: Bundle,
}

/// Trains. `progress` is told the share that is done (0 to 1), and says whether to stop.
///
/// Where the study scales by the swarm's statistics, those of the site's own training rows take their place: here it is the
/// whole swarm.
///
/// # Errors
/// Rows that the study cannot train on; what training says.
pub fn train(plan: &Plan<'_>, progress: &dyn Fn(f64) -> bool) -> Result<Outcome> {
    train_by(&Engine::NONE, plan, progress)
}

/// The same of a study that begins with a file, or brings its own trainer.
///
/// # Errors
/// As [`train`]; what the trainer says.
pub fn train_by(engine: &Engine, plan: &Plan<'_>, progress: &dyn Fn(f64) -> bool) -> Result<Outcome> {
    let Plan { spec, rounds, table, secret } = plan;
    let split = Split::of(table, spec.evaluation.validation_share);
    let own = match spec.data.scaling {
        Scaling::Swarm => Some(own_statistics(table, &split.rows(table).0)?),
        // an outcome that is a number is standardised by the site's own then, too
        Scaling::None | Scaling::Site | Scaling::Transductive | Scaling::Fixed(_) => None,
    };
    let prepared = Prepared::new(spec, table, &split, own.as_ref())?;
    let Prepared { training, validation, preprocessing, .. } = prepared;
    let mut parameters = engine.start(spec)?;
    engine.fresh()?;
    let mut state = OptimizerState::default();
    let mut training_loss = f64::NAN;
    for round in 1..=*rounds {
        let halt = |done: f64| progress((f64::from(round - 1) + done) / f64::from(*rounds));
        let rows = (&training, &validation);
        let step = Step { base: &parameters, rows, state: &state, chance: (secret, round) };
        let trained = match engine.train(spec, &step, &halt) {
            Err(error) if matches!(error.downcast_ref(), Some(TrainError::Halted)) => return Err(error),
            other => other.with_context(|| format!("round {round}"))?,
        };
        parameters = trained.parameters;
        training_loss = trained.loss;
        if spec.training.keep_optimizer_state {
            state = trained.state;
        }
    }
    let goal = objective(spec, None).told_in(preprocessing.scaler.target());
    let z = engine.logits(spec, &parameters, &validation)?;
    let fitted = Fitted::of(&goal, &z, validation.labels(), None);
    let cuts = fitted.cuts.clone();
    let groups = groups(&spec.data, table, &split.rows(table).1);
    let figures = Figures::by_group(&goal, &z, validation.labels(), &cuts, Some(&groups));
    let engine = engine.clone();
    let made = Made::Desk { training_rows: Rows::len(&training), rounds: *rounds };
    Ok(Outcome {
        rows: (training.len(), validation.len()),
        training_loss,
        validation: figures,
        bundle: Bundle { spec: (*spec).clone(), preprocessing, parameters, cuts, fitted: Some(fitted), made, engine },
    })
}
