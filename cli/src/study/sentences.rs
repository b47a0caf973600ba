//! What people sign when they enrol, in sentences: every rule of an agreement is in one of them.

use crate::{
    plain::counted,
    show::{name, names, Names},
};
use consilium_primitives::{
    round::{Phase, Study},
    rules::{Merge, MergeRule, NormBound, OnStall, ServerOptimizer, StudyRules, Weighting, PPM},
    InstitutionId, InstitutionNotice,
};

/// A span of milliseconds, for people.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match millis {
        0..=9_999 => format!("{:.1} s", millis as f64 / 1_000.0),
        10_000..=119_999 => format!("{seconds} s"),
        120_000..=7_199_999 => format!("{} min", seconds / 60),
        7_200_000..=172_799_999 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Parts per million as a percentage.
fn percent(ppm: u32) -> String {
    format!("{} %", f64::from(ppm) / 10_000.0)
}

/// A number in parts per million.
fn number(ppm: u32) -> f64 {
    f64::from(ppm) / 1e6
}

/// The rules of a study, one sentence each.
pub fn rules(study: &Study, names: &Names) -> Vec<String> {
    let rules = &study.rules;
    let lasts = |blocks: u32| span(u64::from(blocks) * u64::from(study.slot_millis));
    let invited = match rules.invited.as_slice() {
        [] => "every participant of the consortium may enrol".into(),
        ids => format!("invited are {}", ids.iter().map(|id| name(names, id)).collect::<Vec<_>>().join(", ")),
    };
    let starts = match rules.auto_start {
        true => "the study then starts if enough have enrolled, or before that when its proposer starts it",
        false => "the study starts when its proposer starts it, and ends without a model if that is not done by then",
    };
    let mut lines = vec![
        format!("{invited}; enrolment is open for {}, {starts}", lasts(rules.enrolment_blocks)),
        format!(
            "at most {}; in each a site is expected to train for {}, and the updates to travel for {}",
            counted(rules.max_rounds.into(), "round"),
            lasts(rules.training_blocks),
            lasts(rules.transfer_blocks)
        ),
        round_needs(rules),
        merge(&rules.merge, names),
        share(rules),
        match rules.strict {
            true => "a merge counts once more than two thirds of the sites have computed it alike, also at its deadline",
            false => {
                "a merge counts once more than two thirds of the sites have computed it alike, at its deadline once more than half have"
            }
        }
        .into(),
        match rules.on_stall {
            OnStall::Pause => "where too few updates come, the study pauses, and waits for sites and people",
            OnStall::Shrink => {
                "where fewer than that have come at the deadline, a round goes on with those that there are, if they are of as many \
                 sites as it takes at least"
            }
            OnStall::Abort => "where too few updates come, the study ends",
        }
        .into(),
        match (rules.keep_updates, files(rules)) {
            (0, files) => format!("members keep each other's {files} until the next round has closed"),
            (some, files) => {
                format!("members keep each other's {files} for {} after their own", counted(some.into(), "round"))
            }
        },
        format!(
            "files: {} has {} bytes, a merged model {}{}",
            if rules.masked.is_some() { "a masked update" } else { "an update" },
            rules.update_len,
            rules.merged_len,
            match rules.statistics_len {
                0 => "; no statistics are exchanged".into(),
                some => format!(", a site's statistics (number, mean and spread of each column) {some}"),
            }
        ),
    ];
    lines.extend(super::private::rule(rules));
    if let Some(masked) = &rules.masked {
        lines.push(masks(masked.range_log2, rules.privacy.is_some_and(|privacy| privacy.shared)));
    }
    if let Some(target) = rules.target {
        let whose = if rules.masked.is_some() {
            "the loss of all sites together is"
        } else {
            "more than half report a loss of"
        };
        lines.push(format!("it ends early once {whose} {} or less", number(target)));
    }
    if rules.patience > 0 {
        lines.push(format!("it ends early after {} without a better one", counted(rules.patience.into(), "round")));
    }
    lines
}

/// What masks mean. `gradients`: it is these that are summed, with noise.
fn masks(range_log2: i8, gradients: bool) -> String {
    let what = if gradients {
        "No number of the sum of all gradients goes beyond"
    } else {
        "A step moves no number by more than"
    };
    format!(
        "updates are masked: others see the sum of at least {}, their own among them, and no site's update, loss or statistics; in return \
         nobody can see a bad update, and no rule that looks at single ones is there. {what} {}",
        updates(consilium_primitives::masks::LEAST),
        2f64.powi(i32::from(range_log2))
    )
}

/// What members keep of each other.
fn files(rules: &StudyRules) -> &'static str {
    match rules.masked {
        Some(_) => "masked files",
        None => "updates",
    }
}

fn sites(count: u32) -> String {
    counted(count.into(), "site")
}

fn updates(count: u32) -> String {
    counted(count.into(), "update")
}

/// How many updates a round takes.
fn round_needs(rules: &StudyRules) -> String {
    let least = match rules.rule_min {
        0 | 1 => String::new(),
        some => format!("; the rule that merges them takes {} at least", updates(some)),
    };
    format!(
        "a round takes the updates of at least {}, and of more than half of those that take part in it{least}",
        sites(rules.min_participants)
    )
}

/// How much one site may count, and what that comes to where as few sites as may take part.
fn share(rules: &StudyRules) -> String {
    let (share, few) = (rules.max_share, rules.min_participants);
    if share >= PPM {
        return "how much one site counts has no bound".into();
    }
    let text = format!("no site has more than {} of the weight, however many training rows it has", percent(share));
    // where so many cannot all keep to it, the chain lets each count the same
    if u64::from(share) * u64::from(few) <= u64::from(PPM) {
        format!("{text}: where {} take part, each counts the same", sites(few))
    } else if few == 2 {
        format!("{text}: of two sites, the one with fewer rows counts for at least {}", percent(PPM - share))
    } else {
        text
    }
}

/// How updates become one model.
pub fn merge(merge: &Merge, names: &Names) -> String {
    let by = |weighting: &Weighting| match weighting {
        Weighting::Equal => "every site counting once".to_owned(),
        Weighting::Samples => "each site counting by its training rows".to_owned(),
        Weighting::Declared(list) => {
            let one = |(who, weight): &(InstitutionId, u32)| format!("{} by {weight}", name(names, who));
            format!("counting {}", list.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    };
    let mut text = match &merge.rule {
        MergeRule::Mean(w) => format!("updates are merged by their mean, {}", by(w)),
        MergeRule::Median(w) => format!("updates are merged by the median of every number, {}", by(w)),
        MergeRule::TrimmedMean => "updates are merged by the mean without the largest and smallest values".into(),
        MergeRule::GeometricMedian(w) => format!("updates are merged by the geometric median, {}", by(w)),
        MergeRule::Krum { keep } => format!("updates are merged by Krum, which keeps {keep}"),
    };
    text += &match merge.liars {
        0 => "; the rule does not guard against a site that sends wrong updates".to_owned(),
        some => format!("; the rule is made to bear {} with wrong updates", sites(some)),
    };
    match merge.bound {
        None => {}
        Some(NormBound::Fixed(length)) => text += &format!("; a step longer than {} is shortened", length as f64 / 1e6),
        Some(NormBound::Median) => text += "; a step longer than their median is shortened",
    }
    if merge.mixing {
        text += "; each is first mixed with its nearest others";
    }
    let adaptive = |kind: &str, a: &consilium_primitives::rules::Adaptive| {
        format!(
            "; the merged step goes through {kind} (rate {}, beta1 {}, beta2 {}, tau {})",
            number(a.rate),
            number(a.beta1),
            number(a.beta2),
            number(a.tau)
        )
    };
    text += &match &merge.server {
        None => String::new(),
        Some(ServerOptimizer::Momentum { rate, beta }) => {
            format!("; the merged step goes through momentum (rate {}, beta {})", number(*rate), number(*beta))
        }
        Some(ServerOptimizer::Adam(a)) => adaptive("Adam", a),
        Some(ServerOptimizer::Yogi(a)) => adaptive("Yogi", a),
        Some(ServerOptimizer::Adagrad(a)) => adaptive("Adagrad", a),
    };
    text
}

/// Who is invited and has not enrolled; none where every participant may.
pub fn missing(study: &Study, names: &Names) -> Vec<String> {
    let enrolled = |id: &InstitutionId| study.members.iter().any(|member| member.id == *id && member.active);
    study.rules.invited.iter().filter(|id| !enrolled(id)).map(|id| name(names, id)).collect()
}

/// Who may enrol and has not, in a line, while a study enrols: where nobody is named, every participant may.
pub fn not_enrolled(study: &Study, institutions: &[InstitutionNotice]) -> Option<String> {
    if !matches!(study.phase, Phase::Enrolling { .. }) {
        return None;
    }
    let names = names(institutions);
    let absent: Vec<String> = if study.rules.invited.is_empty() {
        let enrolled = |id: &InstitutionId| study.members.iter().any(|member| member.id == *id && member.active);
        let asked = institutions.iter().filter(|i| i.participant && !enrolled(&i.id));
        asked.map(|i| name(&names, &i.id)).collect()
    } else {
        missing(study, &names)
    };
    Some(match absent.as_slice() {
        [] => "all who are invited have enrolled".into(),
        some => format!("not enrolled yet: {}", some.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;

    #[test]
    fn every_rule_is_said_in_words_and_seconds() {
        let world = World::new();
        let mut study = world.history.info.state.clone();
        let file = consilium_study::StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap();
        study.rules = file.rules(500, 2).unwrap();
        study.slot_millis = 500;
        let text = |study: &Study| rules(study, &world.history.names).join("\n");
        let said = text(&study);
        for part in [
            "at most 5 rounds",
            "train for 10 s",
            "a round takes the updates of at least 2 sites, and of more than half of those that take part in it\n",
            "50 % of the weight, however many training rows it has: where 2 sites take part, each counts the same",
            "by its training rows",
            "pauses",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
        // whatever is changed in the rules changes what is read
        type Change = fn(&mut consilium_primitives::StudyRules);
        let changes: [Change; 18] = [
            |r| r.training_blocks += 20,
            |r| r.transfer_blocks += 20,
            |r| r.enrolment_blocks *= 3,
            |r| r.auto_start = !r.auto_start,
            |r| r.min_participants += 1,
            |r| r.rule_min += 1,
            |r| r.max_rounds += 1,
            |r| r.max_share -= 1,
            |r| r.strict = !r.strict,
            |r| r.on_stall = OnStall::Abort,
            |r| r.keep_updates += 1,
            |r| r.invited.try_push(InstitutionId([9; 32])).unwrap(),
            |r| r.merge.liars += 1,
            |r| r.merge.mixing = true,
            |r| r.merge.rule = MergeRule::Krum { keep: 2 },
            |r| r.merge.bound = Some(NormBound::Median),
            |r| r.target = Some(300_000),
            |r| r.patience = 3,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut other = study.clone();
            change(&mut other.rules);
            assert_ne!(text(&other), said, "change {at}");
        }
        for change in [(|r| r.update_len += 1) as Change, |r| r.merged_len += 1, |r| r.statistics_len += 1] {
            let mut other = study.clone();
            change(&mut other.rules);
            assert_ne!(text(&other), said);
        }
    }

    #[test]
    fn a_share_says_what_two_sites_count() {
        let file = consilium_study::StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap();
        let rules =
            |max_share, min_participants| StudyRules { max_share, min_participants, ..file.rules(500, 2).unwrap() };
        assert!(share(&rules(500_000, 2)).ends_with("where 2 sites take part, each counts the same"));
        assert!(share(&rules(600_000, 2)).ends_with("the one with fewer rows counts for at least 40 %"));
        assert!(share(&rules(500_000, 3)).ends_with("however many training rows it has"));
        assert!(share(&rules(1_000_000, 2)).contains("no bound"));
        let needs = round_needs(&StudyRules { rule_min: 3, ..rules(500_000, 3) });
        assert!(
            needs.starts_with("a round takes the updates of at least 3 sites") && needs.contains("takes 3 updates"),
            "{needs}"
        );
    }

    #[test]
    fn who_is_invited_and_has_not_enrolled_is_named() {
        let world = World::new();
        let mut study = world.history.info.state.clone();
        assert!(missing(&study, &world.history.names).is_empty());
        let (there, absent) = (study.members[0].id, InstitutionId([9; 32]));
        for id in [there, absent] {
            study.rules.invited.try_push(id).unwrap();
        }
        assert_eq!(missing(&study, &world.history.names), [absent.to_string()]);
        study.members[0].active = false;
        assert_eq!(missing(&study, &world.history.names).len(), 2);
    }

    #[test]
    fn where_every_participant_may_enrol_those_that_have_not_are_named() {
        let mut study = World::new().history.info.state;
        let notice = |id, name: &str, participant| InstitutionNotice {
            id,
            name: consilium_primitives::Name::truncate_from(name.into()),
            peer_id: None,
            validator: true,
            participant,
        };
        let mut all: Vec<InstitutionNotice> = study.members.iter().map(|m| notice(m.id, "a member", true)).collect();
        all.push(notice(InstitutionId([98; 32]), "Notary", false));
        assert_eq!(not_enrolled(&study, &all), None, "it enrols no more");
        study.phase = Phase::Enrolling { until: 9 };
        assert_eq!(not_enrolled(&study, &all).unwrap(), "all who are invited have enrolled");
        all.push(notice(InstitutionId([99; 32]), "Cedar", true));
        assert_eq!(not_enrolled(&study, &all).unwrap(), "not enrolled yet: Cedar");
        // of those that were named, as before
        study.rules.invited.try_push(study.members[0].id).unwrap();
        assert_eq!(not_enrolled(&study, &all).unwrap(), "all who are invited have enrolled");
    }
}
