//! What a report says where the certified round lacks a site, and of a rehearsal.

use super::*;
use crate::report::{
    certified, faults,
    losses::{line, means},
};

/// Cedar is in no merge of rounds 2 and 3, and has not measured the latter, which was certified.
fn study() -> Study {
    let mut study = document().study;
    for round in &mut study.rounds {
        if round.kind == "round" && (2..=3).contains(&round.round) {
            round.inputs.retain(|(place, _)| *place != 2);
            round.dropped.clear();
        }
        if round.kind == "round" && round.round == 3 {
            round.losses.retain(|(place, _)| *place != 2);
            round.mean = Some(0.2);
        }
    }
    study
}

/// The document with everything that follows from such a study, and from Cedar's own figures.
fn absent() -> Document {
    let told = Told {
        site: "Cedar University".into(),
        source: Source::Signed,
        verdict: figures().verdict(),
        figures: figures(),
    };
    let study = study();
    let faults = faults::faults(&study, None, &crate::show::Names::new());
    answered(Document { study, faults, figures: vec![told], ..document() })
}

#[test]
fn a_certified_round_without_a_site_says_so_by_name_wherever_its_figures_stand() {
    let document = absent();
    let page = render(&document);
    let part =
        |id: &str| page.split(&format!("<section id=\"{id}\">")).nth(1).unwrap().split("</section>").next().unwrap();
    assert!(part("short")
        .contains("<div class=\"loud\"><p>The certified round, 3, lacks sites: it was made without the updates of Cedar University"));
    for told in [part("short"), part("losses")] {
        for words in [
            "Round 3, the certified one, was made without Cedar University",
            "Of the 2 rounds before it, Cedar University trained in 1.",
            "by the figures of 2 of 3 sites, without any of Cedar University",
            "on the 90 validation rows of Cedar University: log-loss 0.300; the mean of the sites that measured it in time is 0.200.",
        ] {
            assert!(told.contains(words), "{words} in {told}");
        }
    }
    assert!(part("losses").contains(">0.200 (2 of 3 sites)<") && part("losses").contains("A dash:"), "{page}");
    assert!(part("figures").contains("Cedar University did not measure round 3"), "{page}");
    assert!(part("faults").contains("Cedar University did not take part: no update of its rows was merged"), "{page}");
    assert!(part("faults").contains(">rounds 2 to 3<") && part("faults").contains("href=\"#limits\""), "{page}");
    let kinds: Vec<&str> = document.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, ["absent", "not_measured"]);
    // the choice is not that of the lowest figure, whoever is there
    let whole = render(&super::document());
    for page in [&page, &whole] {
        assert!(
            page.contains("the lower weighted median") && !page.contains("the one with the lowest figure"),
            "{page}"
        );
    }
    assert!(!whole.contains("class=\"loud\"") && certified::told(&super::document().study, &[]).is_empty(), "{whole}");
}

#[test]
fn a_mean_of_fewer_sites_is_a_ring_and_no_step_of_the_line() {
    let drawn = means(&study(), 0);
    assert_eq!(drawn.len(), 2);
    let at = |series: usize| {
        let known = drawn[series].points.iter().filter(|(_, mean)| mean.is_finite());
        known.map(|(round, _)| *round).collect::<Vec<_>>()
    };
    assert_eq!((at(0), at(1)), (vec![0.0, 1.0, 2.0, 4.0], vec![3.0]));
    // where all measure all, there is a line alone
    assert_eq!(means(&document().study, 0).len(), 1);
}

#[test]
fn a_site_has_the_dashboards_colour() {
    let mut study = document().study;
    assert_eq!([0, 1, 2].map(|place| line(&study, place)), [0, 1, 2]);
    study.members.swap(0, 2);
    assert_eq!([0, 1, 2].map(|place| line(&study, place)), [1, 2, 0]);
}

#[test]
fn a_rehearsal_says_so_at_its_top_and_names_no_command_of_a_site() {
    let mut document = document();
    let said = "No hospital took part";
    assert!(!render(&document).contains(said) && !card::text(&document).contains(said));
    document.made.localnet = true;
    let page = render(&document);
    let (top, _) = page.split_once("<section").unwrap();
    assert!(top.contains(said) && top.contains("<a href=\"#certificate\">Certificate</a>"), "{top}");
    assert!(page.contains("In a rehearsal, where all sites are folders") && !page.contains("At a site:"), "{page}");
    assert!(card::text(&document).contains(said));
}

#[test]
fn held_out_rows_stand_beside_validation_rows_with_whose_own_model_is_better() {
    let document = document();
    let mut held = document.held_out.clone().unwrap();
    let own = |name: &str, loss| HeldOutModel {
        name: format!("only {name}"),
        log_loss: Some(loss),
        ..HeldOutModel::default()
    };
    held.models.extend([own("Alder Clinic", 0.09), own("Birch Hospital", 0.4)]);
    held.models.push(HeldOutModel { name: "central".into(), log_loss: Some(0.15), ..HeldOutModel::default() });
    let told = crate::report::held_out::told(&held, &document.study, Some("yes")).join(" ");
    assert!(told.contains("has a log-loss of 0.200 on these rows, and of 0.188 as the mean of all 3 sites"), "{told}");
    // by rows of validation the mean would be another
    assert!(told.contains("each counting by its training rows, on the validation rows that chose the round"), "{told}");
    // 42 of 42, and .9 of 72
    assert!(
        told.contains(
            "calls 42 of the 42 rows that are “yes” so (sensitivity 1.000, 95\u{a0}% interval 0.916 to 1.000)"
        ),
        "{told}"
    );
    assert!(
        told.contains("not call 65 of the 72 others so (specificity 0.900, 95\u{a0}% interval 0.813 to 0.952)"),
        "{told}"
    );
    assert!(told.contains("its log-loss is 0.200, and lower is that of Alder Clinic's own model (0.090) and a model of all rows in one place (0.150)"), "{told}");
    assert!(!told.contains("Birch"), "{told}");
    let mut study = document.study.clone();
    study.masked = true;
    study.rounds.iter_mut().for_each(|round| round.losses.clear());
    let told = crate::report::held_out::told(&held, &study, None).join(" ");
    assert!(told.contains("and of 0.188 over all sites' validation rows together, which chose the round:"), "{told}");
    let page = render(&Document { held_out: Some(held), ..document });
    assert!(page.contains("validation rows of all sites together ask for: 0.400"), "{page}");
    assert!(page.contains("taken from the example data before"), "{page}");
}

#[test]
fn nobody_stands_first_where_nobody_loses() {
    let mut all = document();
    assert!(render(&all).contains("Sites that lose stand first"));
    let told = |site: &str| Told {
        site: site.into(),
        source: Source::Signed,
        verdict: figures().verdict(),
        figures: figures(),
    };
    all.figures = sorted(vec![told("Cedar University"), told("Alder Clinic")], &all.study.members);
    assert_eq!(all.figures[0].site, "Alder Clinic");
    let page = render(&all);
    assert!(!page.contains("Sites that lose stand first"), "{page}");
    // 80 groups of 90 rows
    assert!(page.contains("Intervals take rows of one group"), "{page}");
    all.figures.iter_mut().for_each(|told| told.figures.groups = told.figures.rows);
    assert!(render(&all).contains("Intervals take each row for itself"));
    // an AUC of 1 says why it has no interval
    assert!(!page.contains("has no interval: where no two rows"), "{page}");
    (all.figures[0].figures.swarm.auc, all.figures[0].figures.swarm.auc_interval) = (Some(1.0), None);
    assert!(render(&all).contains("has no interval: where no two rows"));
}
