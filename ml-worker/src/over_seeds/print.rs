//! The table of all seeds.

use super::{names, Arms, OverSeeds, Row};
use crate::learn::metrics::PairedMean;
use consilium_study::{fixed, signed, Task};
use std::fmt;

/// The least and the largest, once where they are the same.
fn range(numbers: impl Iterator<Item = usize> + Clone) -> String {
    match (numbers.clone().min(), numbers.max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (Some(least), _) => least.to_string(),
        (None, _) => String::new(),
    }
}

fn interval(difference: Option<PairedMean>) -> String {
    let Some(found) = difference else { return "no seed".into() };
    match found.interval {
        Some((low, high)) => {
            format!("{} (95 % interval {} to {})", signed(found.difference, 4), signed(low, 4), signed(high, 4))
        }
        None => format!("{} (no interval: fewer than ten seeds, or no spread)", signed(found.difference, 4)),
    }
}

impl OverSeeds {
    fn rounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.rows.len();
        let few = |of: &dyn Fn(&Row) -> usize| self.rows.iter().map(of).sum::<usize>();
        let locals: usize = self.rows.iter().map(|r| r.local_choices.len()).sum();
        let (swarm, central, local) = (
            few(&|r| usize::from(r.choices.0.too_few)),
            few(&|r| usize::from(r.choices.1.too_few)),
            few(&|r| r.local_choices.iter().filter(|choice| choice.too_few).count()),
        );
        if (swarm, central, local) == (n, n, locals) {
            let rows = range(self.rows.iter().map(|r| r.choices.1.validation_rows));
            return writeln!(
                f,
                "every arm's model is that of its last round: {rows} validation rows of all sites together are too few to \
                 choose by ({} are needed)",
                self.min_rows
            );
        }
        writeln!(f, "every arm's model is that of the round with the lowest loss on its own validation rows")?;
        if swarm + central + local > 0 {
            writeln!(
                f,
                "(its last round where these are fewer than {}: swarm {swarm} of {n}, central {central} of {n}, local {local} \
                 of {locals})",
                self.min_rows
            )?;
        }
        Ok(())
    }

    fn differences(&self, f: &mut fmt::Formatter<'_>, of: fn(&Row) -> &Arms) -> fmt::Result {
        let auc = |pair: fn(&Arms) -> (f64, f64)| interval(self.paired(|r| pair(of(r))));
        let [order, loss, _] = names(self.task);
        writeln!(f, "  swarm minus mean of local: {order:<3} {}", auc(|a| (a.swarm.auc, a.local.auc)))?;
        writeln!(f, "                        {loss:<8} {}", auc(|a| (a.swarm.log_loss, a.local.log_loss)))?;
        writeln!(f, "  central minus swarm:       {order:<3} {}", auc(|a| (a.central.auc, a.swarm.auc)))?;
        writeln!(f, "                        {loss:<8} {}", auc(|a| (a.central.log_loss, a.swarm.log_loss)))
    }
}

impl fmt::Display for OverSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || self.rows.iter();
        let sites = range(rows().map(|r| r.local_choices.len()));
        let [order, loss, third] = names(self.task);
        let held_out = range(rows().map(|r| r.held_out.0));
        match self.task {
            Task::Binary | Task::Classes(_) | Task::Labels(_) => writeln!(
                f,
                "AUC, log-loss and balanced accuracy at .5 on {held_out} held-out rows ({} {:?}, the positive class);",
                range(rows().map(|r| r.held_out.1)),
                self.positive,
            )?,
            Task::Value | Task::Events(_) => writeln!(f, "{order}, {loss} and {third} on {held_out} held-out rows;")?,
        }
        let trained = range(rows().flat_map(|r| r.training_rows.iter().copied()));
        writeln!(f, "{sites} sites train on {trained} rows each;")?;
        self.rounds(f)?;
        let locals = format!("mean of {sites} local");
        writeln!(
            f,
            "seed   swarm                     round  central                   round  {locals:<26}best local {order}"
        )?;
        for r in rows() {
            let Arms { swarm, central, local, best_local_auc } = &r.chosen;
            let (ours, theirs) = (r.choices.0.round, r.choices.1.round);
            writeln!(
                f,
                "{:>4}   {swarm:<26}{ours:>5}  {central:<26}{theirs:>5}  {local:<26}{best_local_auc:.4}",
                r.seed
            )?;
        }
        let n = self.rows.len();
        let earlier = |of: &dyn Fn(&Row) -> usize| rows().map(of).sum::<usize>();
        let locals: usize = rows().map(|r| r.local_choices.len()).sum();
        writeln!(f)?;
        writeln!(f, "swarm {order}: mean {:.4}, lowest {:.4}", self.swarm_auc(), self.lowest_swarm_auc())?;
        let (mean, largest) = (self.auc_behind_central(), self.furthest_behind_central());
        writeln!(f, "central minus swarm {order}: mean {}, largest {}", fixed(mean, 4), fixed(largest, 4))?;
        let gain = fixed(self.balanced_accuracy_gain(), 4);
        writeln!(f, "{third}, swarm minus mean of local: mean {gain}")?;
        writeln!(f, "{loss} below the mean of local: {} of {n}", self.log_loss_below_local())?;
        writeln!(f, "{loss} below central: {} of {n}", self.log_loss_below_central())?;
        writeln!(f, "swarm {order} above the best local model's: {} of {n}", self.above_best_local())?;
        writeln!(
            f,
            "an earlier round than the last was chosen: swarm {} of {n}, central {} of {n}, local {} of {locals}",
            earlier(&|r| usize::from(r.choices.0.round < r.choices.0.rounds)),
            earlier(&|r| usize::from(r.choices.1.round < r.choices.1.rounds)),
            earlier(&|r| r.local_choices.iter().filter(|choice| choice.round < choice.rounds).count()),
        )?;
        writeln!(
            f,
            "every arm at its last round: swarm {order} mean {:.4}, central {:.4}, local {:.4}; {loss} swarm {:.4}, central {:.4}, local {:.4}",
            self.mean(|r| r.last.swarm.auc),
            self.mean(|r| r.last.central.auc),
            self.mean(|r| r.last.local.auc),
            self.mean(|r| r.last.swarm.log_loss),
            self.mean(|r| r.last.central.log_loss),
            self.mean(|r| r.last.local.log_loss),
        )?;
        writeln!(f)?;
        writeln!(f, "means of paired differences, Student's interval over {n} seeds: seeds draw other parts of the same rows, so")?;
        writeln!(f, "that it says how sure the mean over such draws is, not how sure it is for other patients")?;
        writeln!(f, "each arm as chosen:")?;
        self.differences(f, |r| &r.chosen)?;
        writeln!(f, "each arm at its last round:")?;
        self.differences(f, |r| &r.last)
    }
}
