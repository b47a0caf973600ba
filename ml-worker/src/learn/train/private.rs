//! A round's private training: so many steps, each with the units that its coins draw. Or, where the sites of a masked sum share the
//! noise, one step's sum of gradients with this site's part of it.

use super::{
    run::{Run, Watch},
    session::{Session, TrainError, Trained},
    Halt,
};
use crate::learn::{
    kernels::elementwise::add,
    memory::{copy, zeros},
    net::Net,
    optimize::Stepper,
    private::{refusal, Piece, Private},
};
use consilium_aggregation::masked::Noised;

/// What a site adds to a sum whose noise it shares with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Added {
    /// Its gradients and its part of the noise, on the agreed grid. By themselves they have only a part of the noise.
    pub words: Vec<u32>,
    /// Mean loss of as many rows as coins draw on average: for this site alone.
    pub loss: f64,
}

impl Session<'_> {
    /// Trains for the mechanism's number of steps.
    ///
    /// # Errors
    /// A study that cannot be trained privately, or not here; numbers that are no longer finite; a stop that was asked for; rows
    /// that cannot be read.
    pub(super) fn train_private(&self, private: &Private, halt: Halt<'_>) -> Result<Trained, TrainError> {
        if self.spec.shares_noise() {
            return Err(TrainError::NotPrivate(
                "sites share its noise: one site's update by itself would have too little",
            ));
        }
        let net = self.private_net()?;
        let units = &private.units;
        let mut run = self.private_run(&net, private);
        let steps = u64::from(private.mechanism.steps);
        run.stepper.resume(self.state);
        if let Some(from) = self.from.as_ref().filter(|from| from.fits(&net, steps)) {
            run.resume(from);
        }
        let mut watch = Watch::new();
        while run.step < steps {
            run.private_step(private)?;
            if watch.stops(&run, steps, halt) {
                return Err(TrainError::Halted);
            }
        }
        // what noise has gone into tells of it no more than the update would: no row by itself brings a training here
        if !run.parameters.iter().fold(true, |all, p| all & p.is_finite()) {
            return Err(TrainError::NotFiniteInStep { step: steps });
        }
        // of as many rows as coins draw on average: how many they did draw is nobody's to know
        let passes = private.mechanism.rate() * steps as f64;
        let rows = (passes * units.rows() as f64).max(1.0);
        let (state, loss, epochs) = (run.stepper.state(), run.sum / rows, passes.ceil() as u32);
        Ok(Trained { parameters: run.parameters, state, loss, epochs })
    }

    /// The sum of one step's clipped gradients and this site's part of the noise, on the grid of a sum that other sites' parts
    /// complete. What the model makes of it is everybody's to compute, once it is summed.
    ///
    /// It is one step, which nothing stops in its middle.
    ///
    /// # Errors
    /// As [`train`](Self::train), of a private study.
    pub fn add_to_sum(&self, private: &Private, grid: Noised) -> Result<Added, TrainError> {
        if private.mechanism.steps != 1 {
            return Err(TrainError::NotPrivate("noise is shared of one step in each round alone"));
        }
        let net = self.private_net()?;
        let mut run = self.private_run(&net, private);
        let pieces = private.units.pieces(&private.draw(0), run.work.rows());
        let loss = run.sum_of(private, &pieces)?;
        let words = private.noise(0).counted(&run.gradient, grid);
        let rows = (private.mechanism.rate() * private.units.rows() as f64).max(1.0);
        Ok(Added { words, loss: loss / rows })
    }

    /// The network, where it can be trained privately here.
    fn private_net(&self) -> Result<Net, TrainError> {
        if let Some(why) = refusal(self.spec) {
            return Err(TrainError::NotPrivate(why));
        }
        if self.device.is_some() {
            return Err(TrainError::NotPrivate(
                "a GPU does not know each record's gradient: take `gpu` out of sites.toml",
            ));
        }
        let architecture = self.spec.architecture()?;
        architecture.keeps_rows_apart()?;
        Ok(Net::new(architecture)?)
    }

    fn private_run<'r>(&'r self, net: &'r Net, private: &Private) -> Run<'r> {
        let units = &private.units;
        let most = net.private_piece(units.rows()).max(units.largest());
        Run {
            session: self,
            work: net.workspace(most),
            candle: None,
            gradient: zeros(net.parameters()),
            stepper: Stepper::new(&self.spec.training, net, self.base),
            parameters: copy(self.base),
            objective: super::objective(self.spec, None),
            net,
            labels: Vec::new(),
            step: 0,
            sum: 0.0,
            loss: 0.0,
            best: None,
        }
    }
}

impl Run<'_> {
    fn private_step(&mut self, private: &Private) -> Result<(), TrainError> {
        let (clip, noise) = (private.mechanism.clip, private.noise(self.step));
        let share = 1.0 / f64::from(private.mechanism.steps);
        let round = f64::from(self.session.seeds.round.saturating_sub(1)) + self.step as f64 * share;
        let pieces = private.units.pieces(&private.draw(self.step), self.work.rows());
        let loss = if let [piece] = &pieces[..] {
            self.gather(&piece.rows)?;
            let batch = (&self.objective, &self.labels[..], &piece.units[..]);
            let chance = Some(private.chance(self.step, 0));
            let (parameters, sums) = (&mut self.parameters[..], &mut self.gradient[..]);
            let (clipping, now) = ((clip, &noise), (round, share));
            self.stepper.train_private(self.net, &mut self.work, parameters, batch, chance, sums, clipping, now)
        } else {
            let loss = self.sum_of(private, &pieces)?;
            self.stepper.step_with_noise(&mut self.parameters, &mut self.gradient, &noise, (round, share));
            loss
        };
        self.step += 1;
        self.sum += loss;
        Ok(())
    }

    /// Makes the sum of the clipped gradients of what a step has drawn; gives the sum of the rows' losses.
    fn sum_of(&mut self, private: &Private, pieces: &[Piece]) -> Result<f64, TrainError> {
        let mut loss = 0.0;
        self.gradient.fill(0.0);
        let mut part = if pieces.is_empty() { Vec::new() } else { zeros(self.gradient.len()) };
        for (n, piece) in pieces.iter().enumerate() {
            self.gather(&piece.rows)?;
            let batch = (&self.objective, &self.labels[..], &piece.units[..]);
            let chance = Some(private.chance(self.step, n));
            let clip = private.mechanism.clip;
            loss += self.net.clipped(&mut self.work, &self.parameters, batch, chance, clip, &mut part);
            add(&mut self.gradient, &part);
        }
        Ok(loss)
    }
}
