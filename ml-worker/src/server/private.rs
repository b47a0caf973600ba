//! A private study's training: what it costs is reserved in this site's ledger before its first step, or it does not begin.

use super::{
    job::{other, JobError},
    kept::Got,
    Worker,
};
use crate::{
    data::DataError,
    learn::private::{Mechanism, Private, Units},
    random::key,
    site::{OwnRows, StudyKey},
};
use consilium_aggregation::masked::Noised;
use consilium_primitives::{DutyKind, DutyOrder, FailureCode, Hash};
use consilium_privacy::{seed_hash, words, Ask, Unit};
use consilium_study::{PrivacySpec, SharedSum, StudySpec};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a training does not begin.
fn refused(why: impl Into<String>) -> JobError {
    DataError::new(FailureCode::Refused, why).into()
}

/// What a private study's training is told.
pub(super) struct Told {
    /// Units, chance and noise.
    pub private: Private,
    /// Where sites share the noise: the grid of the sum. By itself what this site adds to it has too little noise.
    pub grid: Option<Noised>,
}

/// What `sites.toml` says of a private study.
struct Allowed {
    dataset: String,
    limit_micro: u32,
}

impl Worker {
    /// What a private study's training is told; none of any other. When this returns, its cost is in the ledger, on the disk.
    ///
    /// # Errors
    /// In words, why the training must not begin.
    pub(super) fn private(&self, order: &DutyOrder, spec: &StudySpec, got: &Got) -> Result<Option<Told>, JobError> {
        let Some(privacy) = &spec.privacy else {
            return self.unpromised(order).map_or(Ok(None), |why| Err(refused(why)));
        };
        let shared = self.shared(order, spec)?;
        let allowed = self.allowed(&order.duty.agreement)?;
        self.rows_named(order, spec, &allowed.dataset)?;
        let units = match privacy.unit() {
            Unit::Record => Units::records(got.rows.training.len()),
            Unit::Patient => Units::patients(&got.rows.patients, privacy.rows_per_patient() as usize, &self.secret),
        };
        let count = self.home.units(&order.duty.agreement, units.len() as u64)?;
        privacy.small_enough(count).map_err(|error| refused(error.to_string()))?;
        let (mut mechanism, ask) = self.cost(order, privacy, count)?;
        if let Some(sum) = &shared {
            // this site's part; what is counted is the noise of the whole sum
            mechanism.sigma = sum.noise.deviation() / mechanism.clip;
        }
        let seed = ask.0;
        let ledger = match self.home.reserve(&allowed.dataset, &ask.1, allowed.limit_micro)? {
            Ok(ledger) => ledger,
            Err(why) => return Err(refused(format!("data set {}: {why}", allowed.dataset))),
        };
        let spent = words::Spent {
            dataset: &allowed.dataset,
            spent_micro: ledger.epsilon_micro(),
            limit_micro: allowed.limit_micro.into(),
            delta_exp: ledger.delta_exp().unwrap_or_default(),
            unit: privacy.unit(),
            studies: ledger.studies(),
            rounds: ledger.rounds(),
        };
        tracing::info!("study {}, round {}: {}", order.duty.study, order.duty.round, spent.sentence());
        let grid = shared.map(|sum| sum.noised());
        Ok(Some(Told { private: Private { mechanism, seed, units }, grid }))
    }

    /// Why rows are not read for an order: this site's people have said what the study may cost them, and by the specification that the
    /// node names nothing is counted. Which specification people agreed on, the worker does not know otherwise.
    pub(super) fn unpromised(&self, order: &DutyOrder) -> Option<String> {
        let duty = &order.duty;
        let counted = matches!(duty.kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate)
            && self
                .leave
                .lock()
                .settings(&duty.agreement)
                .is_some_and(|study| study.dataset.is_some() || study.epsilon_micro.is_some());
        let private = || self.spec(&order.spec).is_some_and(|spec| spec.privacy.is_some());
        (counted && !private()).then(|| {
            format!(
                "sites.toml says under agreement {} what this study may cost a data set (dataset, epsilon), and the specification that the \
                 node names has no [privacy]: nothing would be counted, and no noise added. Ask who runs the node; if your people agreed \
                 to a study without [privacy], take both lines out of the entry",
                hex::encode(duty.agreement)
            )
        })
    }

    /// How the noise is shared; none where this site adds all of it. By the rules that people signed the sum is opened over so many sites
    /// alone as the noise is reckoned with, which this worker itself sees to when it is asked for its shares.
    fn shared(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Option<SharedSum>, JobError> {
        let wrong = |error: consilium_study::SpecError| refused(error.to_string());
        let Some(sum) = spec.shared_sum().map_err(wrong)? else { return Ok(None) };
        let Some(masked) = self.mask_order(order) else {
            return Err(refused(
                "by the specification sites share the noise, and the node asks for training without masks: what leaves would have too \
                 little noise. Update the node",
            ));
        };
        if let Some(why) = self.unsigned(order, &masked) {
            return Err(refused(why));
        }
        // with it: that sums are opened over as many sites as the noise is reckoned with
        spec.privacy_follows(&masked.rules).map_err(wrong)?;
        Ok(Some(sum))
    }

    /// The data set's name, and what may be spent on it.
    fn allowed(&self, agreement: &Hash) -> Result<Allowed, JobError> {
        let leave = self.leave.lock();
        let settings = leave.settings(agreement);
        let (file, hash) = (leave.file().display(), hex::encode(agreement));
        if settings.is_some_and(|settings| settings.gpu.is_some()) {
            return Err(refused(format!(
                "{file}: a GPU does not know each record's gradient, which a private study needs: take `gpu` out of the entry of \
                 agreement {hash}"
            )));
        }
        let both = settings.and_then(|settings| Some((settings.dataset.clone()?, settings.epsilon_micro?)));
        let Some((dataset, limit_micro)) = both else {
            return Err(refused(format!(
                "{file}: the entry of agreement {hash} must say under which name this site counts what studies cost these rows, and \
                 how much they may: add the lines dataset = \"NAME\" and epsilon = 8.0, with a name and a number that your people have \
                 decided on"
            )));
        };
        Ok(Allowed { dataset, limit_micro })
    }

    /// Whether the study's rows are counted under this name and no other.
    fn rows_named(&self, order: &DutyOrder, spec: &StudySpec, dataset: &str) -> Result<(), JobError> {
        let Some(data) = self.home.data(&order.duty.agreement)? else { return Ok(()) };
        let file = Hash::from(key("consilium/ledger/file/1", &[&self.secret, &data.0, &order.spec.0]));
        if self.home.rows_are_named(dataset, &file)? {
            return Ok(());
        }
        let (table, _, path) = self.table_of(order, spec)?;
        let contents = table.contents(&key("consilium/ledger/rows/1", &[&self.secret])).map_err(other)?;
        match self.home.name_rows(dataset, &OwnRows { file, contents })? {
            None => Ok(()),
            Some((known, shared)) => Err(refused(format!(
                "{}: {shared} of its rows belong to the data set {known}, and would be counted anew as {dataset}: write dataset = \
                 \"{known}\" in sites.toml",
                path.display()
            ))),
        }
    }

    /// The mechanism, and the seed with what is asked of the ledger.
    fn cost(
        &self,
        order: &DutyOrder,
        privacy: &PrivacySpec,
        units: u64,
    ) -> Result<(Mechanism, ([u8; 32], Ask)), JobError> {
        let duty = &order.duty;
        if duty.round > privacy.rounds {
            return Err(refused(format!(
                "round {}: the study's ε is for {} rounds, and no more are trained",
                duty.round, privacy.rounds
            )));
        }
        let follows = privacy.rules().map_err(|error| refused(error.to_string()))?;
        let mechanism = Mechanism {
            rate_ppm: follows.rate_ppm,
            steps: follows.steps,
            clip: f64::from(follows.clip_micro) / 1e6,
            sigma: f64::from(follows.sigma_1024) / 1024.0,
            units,
        };
        let study = StudyKey::of(duty);
        let hash = super::key(order);
        // what was made of the seeds of rounds long merged is in everybody's hands; what they hide is not
        self.home.wipe_seeds(&study, duty.round.saturating_sub(1))?;
        let seed = self.home.seed(&study, duty.round, &hash)?;
        let ask = Ask {
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            agreement: duty.agreement.0,
            study: duty.study,
            round: duty.round,
            duty: hash.0,
            unit: privacy.unit(),
            delta_exp: follows.delta_exp,
            spend: follows.spend,
            seed: seed_hash(&seed),
        };
        Ok((mechanism, (seed, ask)))
    }
}
