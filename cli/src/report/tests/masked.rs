//! A study with masks: one figure of all sites together, and what is given up for hidden updates.

use super::document;
use crate::report::{answers::Known, losses};

#[test]
fn of_a_study_with_masks_no_site_s_figure_is_shown_and_what_it_gives_up_is_said() {
    let mut document = document();
    document.study.masked = true;
    for round in &mut document.study.rounds {
        round.losses.clear();
    }
    let page = losses::section(&document);
    for part in [
        "all 3 sites together",
        "robust rules or hidden updates, not both",
        "nobody could see a bad update",
        "the loss over the validation rows of all sites together; the round in which it is least",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("Birch Hospital") && !page.contains("the middle one of these answers"), "{page}");
    let known =
        Known { study: &document.study, question: &document.question, figures: &[], held_out: None, unread: &[] };
    let answers = known.answers();
    let sure = answers.sure.join("\n");
    assert!(
        sure.contains("The chain has one figure, the log-loss over the validation rows of all sites together"),
        "{sure}"
    );
    assert!(answers.not.iter().any(|line| line.contains("updates were masked")), "{:?}", answers.not);
    // without masks neither is said
    document.study.masked = false;
    let known =
        Known { study: &document.study, question: &document.question, figures: &[], held_out: None, unread: &[] };
    assert!(known.answers().not.iter().any(|line| line.contains("updates were not masked")));
    assert!(known.answers().not.iter().any(|line| line.contains("without any bound")));
}
