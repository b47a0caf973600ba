//! What the courier counts for Prometheus. Labels are of these lists alone.

use super::peers::Outcome;
use crate::metrics::figure::told;
use substrate_prometheus_endpoint::{Counter, CounterVec, Histogram, Opts, PrometheusError, Registry, U64};

/// Why a request is not answered with what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// This node lags behind the chain, or has not read it yet.
    Behind,
    /// No institution has registered the peer.
    Outsider,
    /// More requests than the rate allows.
    Rate,
    /// It makes no sense.
    Malformed,
    /// Its institution is no active member of the study, or has no part in that round.
    NotMember,
    /// This node's own institution is none.
    Left,
    /// The blob is here for something else.
    HeldForOther,
    /// What it asks for is not final here, or not listed, and was not within the time that it waits.
    NotYet,
    /// Too many others are being served.
    Crowded,
    /// It took all that it may of that blob.
    Budget,
    /// The blob is not here.
    NotHeld,
    /// What proves the blob is being computed.
    Building,
    /// The egress log cannot be written.
    EgressLog,
}

impl Why {
    /// All of them.
    const ALL: [Self; 13] = [
        Self::Behind,
        Self::Outsider,
        Self::Rate,
        Self::Malformed,
        Self::NotMember,
        Self::Left,
        Self::HeldForOther,
        Self::NotYet,
        Self::Crowded,
        Self::Budget,
        Self::NotHeld,
        Self::Building,
        Self::EgressLog,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Outsider => "outsider",
            Self::Rate => "rate",
            Self::Malformed => "malformed",
            Self::NotMember => "not_member",
            Self::Left => "left",
            Self::HeldForOther => "held_for_other",
            Self::NotYet => "not_yet",
            Self::Crowded => "crowded",
            Self::Budget => "budget",
            Self::NotHeld => "not_held",
            Self::Building => "building",
            Self::EgressLog => "egress_log",
        }
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed_out",
        Outcome::NotHeld => "not_held",
        Outcome::Refused => "refused",
        Outcome::NotYet => "not_yet",
        Outcome::Busy => "busy",
        Outcome::Slow(_) => "slow",
        Outcome::WrongBytes => "wrong_bytes",
        Outcome::Local => "local",
    }
}

/// Figures of a courier. Copies are of one and the same.
#[derive(Clone, Debug)]
pub struct Figures {
    incoming: Counter<U64>,
    outgoing: Counter<U64>,
    refusals: CounterVec<U64>,
    fetches: CounterVec<U64>,
    fetching: Histogram,
}

impl Figures {
    /// Nothing counted yet. `fetching` takes the seconds for which an update was waited for.
    ///
    /// # Errors
    /// One of these names exists already.
    pub fn new(registry: Option<&Registry>, fetching: Histogram) -> Result<Self, PrometheusError> {
        let counter = |name: &str, help: &str, label: &str| {
            told(CounterVec::<U64>::new(Opts::new(name, help), &[label])?, registry)
        };
        let bytes = counter(
            "consilium_courier_bytes_total",
            "Bytes of blobs, with the hashes that prove them: out, given to other institutions' nodes; in, taken from them",
            "direction",
        )?;
        let [incoming, outgoing] = ["in", "out"].map(|direction| bytes.with_label_values(&[direction]));
        let figures = Self {
            incoming,
            outgoing,
            refusals: counter(
                "consilium_courier_refusals_total",
                "Requests of other nodes that were not answered with what they ask for",
                "reason",
            )?,
            fetches: counter(
                "consilium_courier_fetches_total",
                "Ends of fetching a blob from a peer, or of having it shown that one that is here may be had",
                "outcome",
            )?,
            fetching,
        };
        for why in Why::ALL {
            figures.refusals.with_label_values(&[why.name()]);
        }
        Ok(figures)
    }

    /// So many bytes are on their way to a peer.
    pub fn gave(&self, bytes: usize) {
        self.outgoing.inc_by(bytes as u64);
    }

    /// So many bytes came from a peer.
    pub fn got(&self, bytes: usize) {
        self.incoming.inc_by(bytes as u64);
    }

    /// A request was not answered with what it asks for.
    pub fn refused(&self, why: Why) {
        self.refusals.with_label_values(&[why.name()]).inc();
    }

    /// Fetching a blob from a peer has ended.
    pub fn ended(&self, how: Outcome) {
        self.fetches.with_label_values(&[outcome(how)]).inc();
    }

    /// An update is here, so long after it was final here that this node may have it.
    pub fn waited(&self, how_long: std::time::Duration) {
        self.fetching.observe(how_long.as_secs_f64());
    }
}

#[cfg(test)]
impl Figures {
    /// Told to nobody.
    pub fn quiet() -> Self {
        let fetching = substrate_prometheus_endpoint::HistogramOpts::new("fetching", "-");
        Self::new(None, Histogram::with_opts(fetching).expect("a name")).expect("no registry")
    }

    /// Bytes in and out.
    pub fn moved(&self) -> (u64, u64) {
        (self.incoming.get(), self.outgoing.get())
    }

    /// How often a request was turned away for this reason.
    pub fn count(&self, why: Why) -> u64 {
        self.refusals.with_label_values(&[why.name()]).get()
    }

    /// How often fetching ended so.
    pub fn count_ends(&self, how: Outcome) -> u64 {
        self.fetches.with_label_values(&[outcome(how)]).get()
    }

    /// How many updates were waited for, and for how many seconds all together.
    pub fn updates(&self) -> (u64, f64) {
        (self.fetching.get_sample_count(), self.fetching.get_sample_sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_a_name_of_its_own_and_is_told_from_the_start() {
        let figures = Figures::quiet();
        let names: BTreeSet<&str> = Why::ALL.into_iter().map(Why::name).collect();
        assert_eq!(names.len(), Why::ALL.len());
        for why in Why::ALL {
            assert_eq!(figures.count(why), 0);
            figures.refused(why);
            assert_eq!(figures.count(why), 1);
        }
        for how in [Outcome::Complete, Outcome::Slow(1), Outcome::Slow(2)] {
            figures.ended(how);
        }
        assert_eq!((figures.count_ends(Outcome::Slow(3)), figures.count_ends(Outcome::Complete)), (2, 1));
        figures.gave(7);
        figures.got(5);
        figures.got(1);
        assert_eq!(figures.moved(), (6, 7));
    }
}
