//! A study with masks: one figure of all sites together, and what is given up for hidden updates.

use super::*;
use crate::report::losses;

/// The made-up study with masks: no site's figure is known. Nobody was asked for figures afterwards.
fn masked() -> Document {
    let mut document = Document { figures: Vec::new(), held_out: None, ..document() };
    document.study.masked = true;
    for round in &mut document.study.rounds {
        round.losses.clear();
    }
    document
}

#[test]
fn of_a_study_with_masks_no_site_s_figure_is_shown_and_what_it_gives_up_is_said() {
    let document = answered(masked());
    let page = losses::section(&document);
    for part in [
        "all 3 sites together",
        "robust rules or hidden updates, not both",
        "nobody could see a bad update",
        "the loss over the validation rows of all sites together; the round in which it is least",
        "and so can the difference of two sums of which a site is in one",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("Birch Hospital") && !page.contains("the middle one of these answers"), "{page}");
    let sure = document.answers.sure.join("\n");
    assert!(
        sure.contains("The chain has one figure, the log-loss over the validation rows of all sites together"),
        "{sure}"
    );
    let not = &document.answers.not;
    assert!(not.iter().any(|line| line.contains("updates were masked")), "{not:?}");
    // the line beside own models is of all sites' rows together, and no mean of figures that nobody has
    let named = |document: &Document| losses::means(&document.study, 1)[0].name.clone().unwrap();
    assert_eq!(named(&document), "swarm, validation rows of all sites together, each row counting once");
    // without masks neither is said
    let plain = answered(Document { study: Study { masked: false, ..document.study.clone() }, ..document });
    assert!(plain.answers.not.iter().any(|line| line.contains("updates were not masked")));
    assert!(plain.answers.not.iter().any(|line| line.contains("without any bound")));
    assert_eq!(named(&super::document()), "swarm, mean of all 3 sites, weighted by training rows");
}

#[test]
fn a_running_study_with_masks_has_one_figure_and_no_site_decides() {
    let mut document = masked();
    (document.study.certificate, document.study.stage) = (None, "running".into());
    document.study.rounds.last_mut().unwrap().mean = None;
    let sure = answered(document).answers.sure.join("\n");
    assert!(sure.contains("the loss over all sites' validation rows together decides"), "{sure}");
    // too few have told one of the fourth round
    assert!(
        sure.contains("that of round 3: the log-loss over the validation rows of all sites together is 0.188"),
        "{sure}"
    );
    assert!(!sure.contains("the sites' figures decide") && !sure.contains("Birch"), "{sure}");
}

#[test]
fn whom_two_sums_point_at_is_said_by_name() {
    let mut document = masked();
    let words = "one or two sites that the sum before had";
    assert!(!render(&document).contains(words));
    document.study.rounds[3].lost = vec![1];
    document.study.rounds[5].lost = vec![0, 2];
    let page = render(&document);
    for part in ["Some sums lack", words, "round 2: without Birch Hospital", "round 4: without Alder Clinic and Cedar"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    // a long study lists the first ones
    document.study.rounds = rounds(3, 50);
    document.study.rounds.iter_mut().filter(|round| round.kind == "round").for_each(|round| round.lost = vec![1]);
    let page = render(&document);
    assert_eq!(page.matches(": without Birch Hospital").count(), 20);
    assert!(page.contains("and 30 more, in the JSON beside this page"), "{page}");
}
