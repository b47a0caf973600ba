//! The summary at the top, and how a rehearsal is called.

use super::*;

/// The part of this name.
fn part<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, after) = page.split_once(&format!("<section id=\"{id}\">")).unwrap();
    after.split_once("</section>").unwrap().0
}

#[test]
fn a_page_begins_with_three_answers_of_a_sentence_or_two_which_lead_to_the_whole_ones() {
    let page = render(&document());
    let (_, after) = page.split_once("<section id=\"").unwrap();
    assert!(after.starts_with("summary\"><h2>In short</h2>"), "{after}");
    let said = part(&page, "summary");
    for words in [
        "<a href=\"#whom\">Whom is this model for?</a>",
        "For people like those at Alder Clinic, Birch Hospital and Cedar University: it learned from 524 rows of theirs.",
        "It says how likely “admitted” is “yes”, and not “no”.",
        "<a href=\"#sure\">How sure is it?</a>",
        "better at Alder Clinic; worse at Birch Hospital. No external validation.",
        "<a href=\"#not\">What should I not do with it?</a>",
        "no medical device. Do not use it at Birch Hospital in place of the own model.",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    for (id, question) in crate::report::summary::QUESTIONS {
        assert!(page.contains(&format!("<div id=\"{id}\"><h3>{question}</h3>")), "{id} in {page}");
    }
    // one figure, with what its numbers mean: of the rows that were held out from everyone
    let sure = said.split_once("How sure is it?").unwrap().1;
    let figure = "AUC 0.970 (95\u{a0}% interval 0.950 to 0.990), where 0.5 is guessing and 1 is without an error, on 114 rows that were held out from everyone.";
    assert!(sure.contains(figure), "{said}");
    assert!(!said.contains("log-loss"), "{said}");
}

#[test]
fn a_summary_says_no_more_than_is_known() {
    let bare = answered(Document { figures: Vec::new(), held_out: None, ..document() });
    let page = render(&bare);
    let said = part(&page, "summary");
    assert!(said.contains("not known, since no site&#39;s figures were taken in. No external validation."), "{said}");
    assert!(!said.contains("AUC"), "{said}");
    // without held-out rows a site's figure, and of which rows it is
    let own = render(&answered(Document { held_out: None, ..document() }));
    let figure = "AUC 0.800 (95\u{a0}% interval 0.750 to 0.840), where 0.5 is guessing and 1 is without an error, on 400 rows of a table of its own at \
                  Birch Hospital.";
    assert!(part(&own, "summary").contains(figure), "{own}");
    assert!(said.contains("Do not use it elsewhere before"), "{said}");
    let mut open = bare;
    (open.study.certificate, open.study.stage) = (None, "running".into());
    let page = render(&answered(open));
    let said = part(&page, "summary");
    assert!(said.contains("For nobody yet") && said.contains("Nothing can be said yet"), "{said}");
    assert!(!page.contains("external validation") && !said.contains("It says"), "{page}");
    // many sites are counted
    let mut many = document();
    many.study.members.extend(many.study.members.clone());
    let page = render(&many);
    assert!(part(&page, "summary").contains("like those at 6 sites: it learned from 1048 rows"), "{page}");
}

#[test]
fn nothing_of_a_rehearsal_looks_like_a_success_at_patients() {
    let plain = render(&document());
    assert!(
        plain.contains("<span class=\"state done\">completed</span>") && !plain.contains("as a rehearsal"),
        "{plain}"
    );
    let mut document = document();
    document.made.localnet = true;
    let document = answered(document);
    let page = render(&document);
    assert!(page.contains("<span class=\"state rehearsal\">completed, as a rehearsal</span>"), "{page}");
    assert!(!page.contains("class=\"state done\"") && page.contains(".state.rehearsal{background:#ededed"), "{page}");
    assert!(part(&page, "summary").contains("</dt><dd>A rehearsal: for trying out"), "{page}");
    assert!(part(&page, "summary").contains("in this rehearsal: better at Alder Clinic"), "{page}");
    assert!(document.answers.whom[0].starts_with("A rehearsal:"), "{:?}", document.answers.whom);
    // what is said of the model comes after it
    let card = card::text(&document);
    let (_, after) = card.split_once("\n# Admission to intensive care from three values\n\n").unwrap();
    assert!(after.starts_with("**A rehearsal: ") && after.contains("**\n\nThe model of study 3"), "{after}");
    // one that has not ended, too
    let mut open = document;
    (open.study.certificate, open.study.stage, open.study.phase) = (None, "running".into(), "training".into());
    let page = render(&answered(open));
    assert!(page.contains("<span class=\"state \">training, round 4 of 4 at most, as a rehearsal</span>"), "{page}");
}

#[test]
fn that_nobody_else_has_measured_it_stands_with_the_results() {
    let document = document();
    assert!(document.answers.sure.iter().any(|line| line.starts_with("No external validation:")));
    assert!(part(&render(&document), "short")
        .contains("No external validation: no site that took no part in the study has signed"));
    assert!(card::text(&document).contains("- No external validation:"));
}
