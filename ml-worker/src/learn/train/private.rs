//! A round's private training: so many steps, each with the units that its coins draw.

use super::{
    run::{Run, Watch},
    session::{Session, TrainError, Trained},
};
use crate::learn::{
    kernels::elementwise::add,
    memory::{copy, zeros},
    net::Net,
    optimize::Stepper,
    private::{refusal, Private},
};

impl Session<'_> {
    /// Trains for the mechanism's number of steps.
    ///
    /// # Errors
    /// A study that cannot be trained privately, or not here; numbers that are no longer finite; a stop that was asked for; rows
    /// that cannot be read.
    pub(super) fn train_private(&self, private: &Private, halt: super::Halt<'_>) -> Result<Trained, TrainError> {
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
        let net = Net::new(architecture)?;
        let units = &private.units;
        let most = net.private_piece(units.rows()).max(units.largest());
        let mut run = Run {
            session: self,
            work: net.workspace(most),
            candle: None,
            gradient: zeros(net.parameters()),
            stepper: Stepper::new(&self.spec.training, &net, self.base),
            parameters: copy(self.base),
            objective: super::objective(self.spec, None),
            net: &net,
            labels: Vec::new(),
            step: 0,
            sum: 0.0,
            loss: 0.0,
            best: None,
        };
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
        if !run.parameters.iter().fold(true, |all, p| all & p.is_finite()) {
            return Err(TrainError::NotFiniteInStep { step: steps });
        }
        // of as many rows as coins draw on average: how many they did draw is nobody's to know
        let passes = private.mechanism.rate() * steps as f64;
        let rows = (passes * units.rows() as f64).max(1.0);
        let (state, loss, epochs) = (run.stepper.state(), run.sum / rows, passes.ceil() as u32);
        Ok(Trained { parameters: run.parameters, state, loss, epochs })
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
            let mut loss = 0.0;
            self.gradient.fill(0.0);
            let mut part = if pieces.is_empty() { Vec::new() } else { zeros(self.gradient.len()) };
            for (n, piece) in pieces.iter().enumerate() {
                self.gather(&piece.rows)?;
                let batch = (&self.objective, &self.labels[..], &piece.units[..]);
                let chance = Some(private.chance(self.step, n));
                loss += self.net.clipped(&mut self.work, &self.parameters, batch, chance, clip, &mut part);
                add(&mut self.gradient, &part);
            }
            if loss.is_finite() {
                self.stepper.step_with_noise(&mut self.parameters, &mut self.gradient, &noise, (round, share));
            }
            loss
        };
        self.step += 1;
        if !loss.is_finite() {
            return Err(TrainError::NotFiniteInStep { step: self.step });
        }
        self.sum += loss;
        Ok(())
    }
}
