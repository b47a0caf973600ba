//! Noise that sites of a masked sum share.

use super::*;
use crate::training::Schedule;
use consilium_primitives::{rules::NormBound, Weighting};

/// The study of [`FILE`] with one step over all rows in each of 30 rounds, whose noise is shared.
fn text() -> String {
    FILE.replace("rounds = 10", "rounds = 30")
        .replace("training_seconds = 10", "training_seconds = 10\nmasked = true\nmin_participants = 4\nmax_share = 1.0")
        .replace("clip = 0.5", "clip = 1.0")
        .replace("rate = 0.25", "rate = 1.0")
        .replace("steps = 8", "steps = 1\nnoise = \"shared\"")
}

fn file() -> StudyFile {
    StudyFile::parse(&text()).unwrap()
}

fn refused(from: &str, to: &str) -> String {
    assert!(text().contains(from), "{from}");
    StudyFile::parse(&text().replace(from, to)).unwrap_err().to_string()
}

#[test]
fn what_a_site_adds_follows_from_what_was_agreed() {
    let (file, spec) = (file(), file().spec());
    let rules = file.rules(2_000, 4).unwrap();
    assert_eq!(rules.check(), Ok(()));
    let privacy = rules.privacy.unwrap();
    // noise and cost of a sum are those of a site that adds all of it: of the golden file's calibration at rate 1, 30 steps, δ 1e-5, ε 4
    assert_eq!((privacy.shared, privacy.colluders, privacy.sigma_1024), (true, 1, 6_494));
    assert_eq!(privacy.spend, spend(&Mechanism { rate_ppm: 1_000_000, sigma_1024: 6_494 }, 1));
    let sums = SumsSpec { least: 4, range_log2: 16 };
    assert_eq!((rules.least_summed(), rules.masked.unwrap().range_log2), (sums.least, sums.range_log2));
    assert_eq!(spec.privacy.as_ref().unwrap().sums, Some(sums), "it is signed with the rest");
    let canonical = spec.canonical().unwrap();
    assert_eq!(StudySpec::from_canonical(&canonical).unwrap(), spec);
    let sum = spec.shared_sum().unwrap().unwrap();
    assert_eq!((sum.noise.least, sum.noise.colluders, sum.noise.exponent()), (4, 1, 14));
    assert_eq!(sum.noise.parameters, spec.architecture().unwrap().parameters());
    assert_eq!((sum.learning_rate, sum.rate()), (0.5, 1.0));
    assert!((sum.noise.deviation() / (6_494.0 / 1_024.0 / 3f64.sqrt()) - 1.0).abs() < 1e-3, "{:?}", sum.noise);
    // each adds all of it where noise is local
    assert_eq!(super::spec().shared_sum().unwrap(), None);
    assert_eq!(super::spec().privacy.unwrap().sums, None);
}

/// With another number of sites in the least sum, or another range, a site adds other noise: rules that say otherwise are not signed.
#[test]
fn rules_of_sums_are_those_that_the_noise_is_for_and_no_others() {
    let (spec, rules) = (file().spec(), file().rules(2_000, 4).unwrap());
    spec.privacy_follows(&rules).unwrap();
    let said = |change: &dyn Fn(&mut StudyRules)| {
        let mut slip = rules.clone();
        change(&mut slip);
        spec.privacy_follows(&slip).unwrap_err().to_string()
    };
    let fewer = said(&|rules| rules.min_participants = 3);
    assert!(fewer.contains("privacy.sums.least: 4 is counted on") && fewer.contains("sums of 3"), "{fewer}");
    let other = said(&|rules| rules.masked.as_mut().unwrap().range_log2 = 9);
    assert!(other.contains("privacy.sums.range_log2: is 16 in the specification, and 9"), "{other}");
    assert!(said(&|rules| rules.masked = None).contains("nothing is masked"));
    assert!(said(&|rules| rules.max_share = 500_000).contains("PrivacyShared"));
    assert!(said(&|rules| rules.merge.bound = Some(NormBound::Fixed(9))).contains("PrivacyShared"));
    assert!(said(&|rules| rules.merge.rule = consilium_primitives::MergeRule::Mean(Weighting::Equal))
        .contains("PrivacyShared"));
    assert!(said(&|rules| rules.privacy.as_mut().unwrap().shared = false).contains("PrivacyColluders"));
    assert!(said(&|rules| rules.privacy.as_mut().unwrap().colluders = 2).contains("colluders is 2 in the rules, and 1"));
    assert!(said(&|rules| rules.privacy.as_mut().unwrap().sigma_1024 -= 1).contains("sigma_1024"));
}

#[test]
fn what_does_not_add_up_is_refused_by_name_with_what_to_do() {
    let sgd = "optimizer = { sgd = { learning_rate = 0.5 } }";
    let shared = "noise = \"shared\"";
    let share = "max_share = 1.0";
    let with = |line: &str| format!("{sgd}\n{line}");
    for (from, to, field, advice) in [
        ("masked = true\n", String::new(), "privacy.noise", "masked = true"),
        ("steps = 1", "steps = 2".into(), "privacy.steps", "more rounds"),
        (shared, format!("{shared}\ncolluders = 0"), "privacy.colluders", "between 1 and 1"),
        // two of four could take masks off where finality is broken
        (shared, format!("{shared}\ncolluders = 2"), "privacy.colluders", "finality"),
        (shared, format!("{shared}\ncolluders = 3"), "privacy.colluders", "min_participants"),
        (shared, format!("{shared}\nsums = {{ least = 9, range_log2 = 4 }}"), "privacy.sums", "leave it out"),
        (sgd, "optimizer = { adam = { learning_rate = 0.1 } }".into(), "training.optimizer", "rules.server"),
        (
            sgd,
            "optimizer = { sgd = { learning_rate = 0.5, momentum = 0.9 } }".into(),
            "training.optimizer",
            "rules.server",
        ),
        (sgd, with("schedule = { cosine = { rounds = 30 } }"), "training.schedule", "leave it out"),
        (sgd, with("warmup_rounds = 2.0"), "training.warmup_rounds", "leave it out"),
        (sgd, with("proximal = 0.1"), "training.proximal", "leave it out"),
        (sgd, with("keep_optimizer_state = true"), "training.keep_optimizer_state", "leave it out"),
        (sgd, with("l2 = 0.01"), "training.l2", "leave out l1 and l2"),
        (sgd, with("l1 = 0.01"), "training.l2", "leave out l1 and l2"),
        (share, "max_share = 0.5".into(), "rules.max_share", "must be 1.0"),
        (share, format!("{share}\nweighting = \"equal\""), "rules.weighting", "\"samples\""),
        (share, format!("{share}\nnorm_bound = 2.0"), "rules.norm_bound", "privacy.clip"),
        (share, format!("{share}\nmasked_range = 3.0"), "rules.masked_range", "sum of all gradients"),
        // no room for the noise of all sites
        (share, format!("{share}\nmasked_range = 64.0"), "rules.masked_range", "too narrow"),
        // noise that the grid would be coarse beside
        ("clip = 1.0", "clip = 0.000001".into(), "rules.masked_range", "too wide"),
    ] {
        let said = refused(from, &to);
        assert!(said.contains(&format!("{field}: ")) && said.contains(advice), "{to}: {said}");
    }
    // a range that is enough is taken
    StudyFile::parse(&text().replace(share, "max_share = 1.0\nmasked_range = 1024.0")).unwrap();
    // and a server's optimiser, which has the sum alone
    StudyFile::parse(&text().replace(share, "max_share = 1.0\nserver = { optimizer = \"momentum\" }")).unwrap();
}

/// A study file cannot name them for noise of each site's own, nor can a specification.
#[test]
fn sums_are_named_where_noise_is_shared_alone() {
    let mut spec = super::spec();
    spec.privacy.as_mut().unwrap().sums = Some(SumsSpec { least: 3, range_log2: 16 });
    assert!(spec.check().unwrap_err().to_string().contains("privacy.sums: is for noise = \"shared\""));
    let mut spec = file().spec();
    spec.privacy.as_mut().unwrap().sums = None;
    assert!(spec.check().unwrap_err().to_string().contains("privacy.noise: "));
    assert_eq!(spec.training.schedule, Schedule::Constant);
}

#[test]
fn people_are_told_how_many_may_act_together() {
    let said = file().spec().privacy.unwrap().sentences();
    assert!(
        said[0].contains("no more than 1 of them act together") && said[0].contains("one step with every row"),
        "{said:?}"
    );
}

/// A third of the others, rounded up: of three and four sites one, of five to seven two, of eight three.
#[test]
fn no_more_sites_than_a_third_of_the_others_may_act_together() {
    for (least, most) in [(3, 1), (4, 1), (5, 2), (7, 2), (8, 3)] {
        let with = |colluders: u32| {
            let text = text()
                .replace("min_participants = 4", &format!("min_participants = {least}"))
                .replace("noise = \"shared\"", &format!("noise = \"shared\"\ncolluders = {colluders}"));
            StudyFile::parse(&text).map_err(|error| error.to_string())
        };
        with(most).unwrap();
        let said = with(most + 1).unwrap_err();
        assert!(said.contains(&format!("between 1 and {most}")), "{least}: {said}");
    }
}
