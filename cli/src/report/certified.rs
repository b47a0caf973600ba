//! The round that was certified: how the chain came to it, and which members' updates or figures it lacks.

use super::{
    answers::{list, metric, number},
    document::Told,
};
use crate::dashboard::state::{Round, Study};
use consilium_study::MeasuredOn;

/// How the chain chooses a round: no mean over sites does.
const CHOICE: &str = "How the certified round was chosen: not by the mean, and not as the lowest of all rounds. The chain compares each \
    round with the best one before it. The sites that measured both say by how much the newer one is better or worse on their rows, and the \
    middle one of these answers decides (the lower weighted median: each site weighs by its rows, bounded so that no site decides alone); \
    where it is no worse, the newer round is the best from then on. So it is, too, where the sites that measured both are not more than half \
    of those that take part, by weight and by number. A round that no such majority measured cannot become the best; where there is no best, the last \
    round is certified.";

/// How the chain chooses a round of a study with masks.
const POOLED: &str = "How the certified round was chosen: the study's updates are masked, and so are the sites' figures. The chain keeps one \
    figure for each round, the loss over the validation rows of all sites together; the round in which it is least is certified, the latest of \
    several. A round of which fewer than three sites, or not more than half of those in the sum, reported a figure cannot become the best; where there is no \
    best, the last round is certified. A site that reports falsely can move that choice, and nobody can see it.";

/// What masks give and take, for whoever reads of a study that has them.
pub const MASKED: &str = "The study's updates are masked: each site has seen the sum of at least three sites' updates, its own among them, and no other \
    site's update, loss or statistics. In return nobody could see a bad update, and no merge rule that looks at single updates was there: robust rules \
    or hidden updates, not both. The sum and the model can still tell something about the records behind them, and so can the \
    difference of two sums of which a site is in one.";

/// How the certified round was chosen.
pub fn choice(study: &Study) -> &'static str {
    if study.masked {
        POOLED
    } else {
        CHOICE
    }
}

/// What a study without a model says of how sure it is.
pub fn undecided(study: &Study) -> &'static str {
    if study.masked {
        "Nothing can be said yet: which round's model is certified, the loss over all sites' validation rows together decides, and rounds may \
         come that are better or worse."
    } else {
        "Nothing can be said yet: which round's model is certified, the sites' figures decide, and rounds may come that are better or worse."
    }
}

/// The last figure that a study with masks has; none of one without them, of which each site has its own.
pub fn so_far(study: &Study) -> Option<String> {
    let known = study.rounds.iter().rev().find_map(|round| Some((round.round, round.mean?)));
    let (round, loss) = known.filter(|_| study.masked)?;
    Some(format!(
        "The last model with a figure is that of round {round}: the {} over the validation rows of all sites together is {}; lower is better. \
         No site's own figure is known.",
        metric(&study.metric),
        number(loss)
    ))
}

/// What there is of a model of which no site's figure is known.
pub fn without_sites(study: &Study, round: Option<&Round>) -> String {
    match round.and_then(|round| round.mean).filter(|_| study.masked) {
        Some(loss) => format!(
            "The chain has one figure, the {} over the validation rows of all sites together, without an interval: {}. By it alone nobody \
             can tell whether the model is good enough for anything.",
            metric(&study.metric),
            number(loss)
        ),
        None => "The chain has no figure of this model either.".into(),
    }
}

/// What to remember when the model is handed on.
pub fn handed_on(study: &Study) -> String {
    let begins = "Do not hand the model on as if it held nothing of its patients:";
    match (&study.privacy, study.masked) {
        (None, true) => format!(
            "{begins} updates were masked, which hid them from the other sites, but what was trained on rows can reveal something about \
             them, without any bound, since the study names no epsilon."
        ),
        (None, false) => format!(
            "{begins} what was trained on rows can reveal something about them, without any bound, since the study names no epsilon, and \
             updates were not masked."
        ),
        (Some(privacy), masked) => format!(
            "{begins} what was trained on rows can reveal something about them, within a bound that is not nothing ({}); updates were {}.",
            privacy.promise,
            if masked { "masked" } else { "not masked" }
        ),
    }
}

/// Whether a study has come to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One is certified.
    Model,
    /// Its end is still to come.
    Open,
    /// It has ended without one.
    None,
}

impl Outcome {
    /// Of a study.
    pub fn of(study: &Study) -> Self {
        match (&study.certificate, study.stage.as_str()) {
            (Some(_), _) => Self::Model,
            (None, "ended") => Self::None,
            (None, _) => Self::Open,
        }
    }
}

/// Where a study is, with the round where it has one.
pub fn at(study: &Study) -> String {
    match study.round {
        0 => study.phase.clone(),
        round => format!("{}, round {round} of {} at most", study.phase, study.max_rounds),
    }
}

/// What the certified round lacks; members by their place.
pub struct Lacks<'a> {
    /// The round.
    pub round: &'a Round,
    /// Whose update was not merged in it.
    pub updates: Vec<usize>,
    /// Who told the chain no figure of it.
    pub figures: Vec<usize>,
}

impl<'a> Lacks<'a> {
    /// None where all members are in the certified round, or there is no such round.
    pub fn of(study: &'a Study) -> Option<Self> {
        let certified = study.certificate.as_ref()?.round;
        let round = study.rounds.iter().find(|closed| closed.kind == "round" && closed.round == certified)?;
        let all = || 0..study.members.len();
        let updates = all().filter(|place| !round.inputs.is_empty() && !merged(round, *place)).collect();
        let measured = |place: usize| round.losses.iter().any(|(who, _)| usize::from(*who) == place);
        // where no site has a figure, the page says that
        let figures = all().filter(|place| !round.losses.is_empty() && !measured(*place)).collect();
        let lacks = Self { round, updates, figures };
        (!lacks.updates.is_empty() || !lacks.figures.is_empty()).then_some(lacks)
    }
}

/// Whether a member's update was there to be merged in a round; a merge rule may still have passed it over.
pub fn merged(round: &Round, place: usize) -> bool {
    let is = |who: &u8| usize::from(*who) == place;
    let there = round.inputs.iter().any(|(who, _)| is(who)) || round.left_out.iter().any(is);
    there && !round.dropped.iter().any(|(who, _)| is(who))
}

/// The names of members.
pub fn names(study: &Study, places: &[usize]) -> String {
    let each = places.iter().filter_map(|place| study.members.get(*place));
    list(&each.map(|member| member.name.as_str()).collect::<Vec<_>>())
}

/// In one sentence who is not in the certified round.
pub fn warning(study: &Study) -> Option<String> {
    let lacks = Lacks::of(study)?;
    let mut missing = Vec::new();
    if !lacks.updates.is_empty() {
        missing.push(format!("it was made without the updates of {}", names(study, &lacks.updates)));
    }
    if !lacks.figures.is_empty() {
        missing.push(format!("it was chosen without the figures of {}", names(study, &lacks.figures)));
    }
    Some(format!(
        "The certified round, {}, lacks sites: {}. “How sure is it?” says what that means.",
        lacks.round.round,
        list(&missing)
    ))
}

/// What the certified round lacks and what that means, in sentences.
pub fn told(study: &Study, figures: &[Told]) -> Vec<String> {
    let Some(lacks) = Lacks::of(study) else { return Vec::new() };
    let (round, mut lines) = (lacks.round.round, Vec::new());
    if !lacks.updates.is_empty() {
        let before = || study.rounds.iter().filter(move |closed| closed.kind == "round" && closed.round < round);
        let each: Vec<String> = lacks
            .updates
            .iter()
            .map(|place| {
                let took = before().filter(|closed| merged(closed, *place)).count();
                format!("{} trained in {took}", names(study, &[*place]))
            })
            .collect();
        lines.push(format!(
            "Round {round}, the certified one, was made without {}: no update of these rows was merged in it. Of the \
             {} rounds before it, {}.",
            names(study, &lacks.updates),
            before().count(),
            list(&each)
        ));
    }
    if !lacks.figures.is_empty() {
        let (who, some, all) = (names(study, &lacks.figures), lacks.round.losses.len(), study.members.len());
        lines.push(format!(
            "The chain chose round {round} by the figures of {some} of {all} sites, without any of {who}: how good it is on these rows had \
             no say, and the mean over {some} sites does not compare with that of rounds that all {all} measured."
        ));
        lines.extend(afterwards(study, &lacks, figures));
    }
    lines
}

/// What sites without a figure have measured of the certified round after the study, beside the mean that the chain has.
fn afterwards(study: &Study, lacks: &Lacks<'_>, figures: &[Told]) -> Vec<String> {
    let one = |place: &usize| {
        let site = &study.members.get(*place)?.name;
        let found = figures.iter().find(|told| told.site == *site)?;
        let value = found.figures.swarm.metric.filter(|_| found.figures.on == MeasuredOn::Validation)?;
        let beside = lacks.round.mean.map_or_else(String::new, |mean| {
            format!("; the mean of the sites that measured it in time is {}", number(mean))
        });
        Some(format!(
            "Measured after the study, on the {} validation rows of {site}: {} {}{beside}.",
            found.figures.rows,
            metric(&study.metric),
            number(value)
        ))
    };
    lacks.figures.iter().filter_map(one).collect()
}
