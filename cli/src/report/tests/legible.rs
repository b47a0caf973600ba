//! What a clinician and a statistician must be able to read of a report without a question.

use super::*;
use crate::report::losses;

/// The part of this name.
fn part<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, after) = page.split_once(&format!("<section id=\"{id}\">")).unwrap();
    after.split_once("</section>").unwrap().0
}

#[test]
fn no_line_of_the_page_ends_between_a_number_and_its_percent_sign() {
    let mut document = document();
    document.study.rules = vec!["no site has more than 50 % of the weight".into()];
    document.study.members[0].samples = 900;
    let page = render(&document);
    for part in
        ["Swarm − own (95\u{a0}%)", "Own model (95\u{a0}%)", "95\u{a0}% intervals", "95\u{a0}% interval of the AUC"]
    {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let torn = page.split(" %").filter(|part| part.ends_with(|c: char| c.is_ascii_digit())).count();
    assert_eq!(torn, 0, "{page}");
}

#[test]
fn a_chart_says_which_rows_weigh_and_why_a_line_has_a_gap() {
    let mut document = document();
    let page = render(&document);
    for id in ["losses", "figures"] {
        let said = part(&page, id);
        assert!(said.contains("</svg> swarm, mean of all 3 sites, weighted by training rows</li>"), "{said}");
        assert!(said.contains("training rows weigh in it") && said.contains("Pooled by validation rows"), "{said}");
        assert!(!said.contains(" a gap") && !said.contains("have gaps"), "{said}");
    }
    // Cedar tells nothing of rounds 2 and 3, and Birch nothing at all
    for round in &mut document.study.rounds {
        let away = round.kind == "round" && (2..=3).contains(&round.round);
        round.losses.retain(|(place, _)| *place == 0 || (*place == 2 && !away));
    }
    let page = render(&document);
    let said = part(&page, "losses");
    for words in [
        "Lines of sites have gaps where the chain has no figure: that of Cedar University at rounds 2 to 3.",
        "There is no line of Birch Hospital, of which the chain has no figure",
        "A ring is the mean of fewer sites",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // of the mean of all, where it has a line
    let mut document = super::document();
    document.study.rounds[3].losses.pop();
    let page = render(&document);
    for id in ["losses", "figures"] {
        assert!(part(&page, id).contains("It has a gap at round 2: not every site has told a figure of it."), "{page}");
    }
    // a round that nobody has told of yet is no gap
    document.study.rounds.push(Round { kind: "round".into(), round: 5, ..Round::default() });
    let page = render(&document);
    assert!(part(&page, "losses").contains("It has a gap at round 2: not"), "{page}");
    // one model of all rows, by validation rows
    document.figures[0].figures.central = Some(model(0.3, 0.9));
    let page = render(&document);
    let said = part(&page, "figures");
    assert!(
        said.contains("on all validation rows together, each row counting once")
            && said.contains("The dashed line weighs otherwise")
    );
    document.figures[1].figures.alone.by_round[1] = None;
    let page = render(&document);
    assert!(part(&page, "figures").contains("as with too few validation rows: so at Alder Clinic."), "{page}");
}

#[test]
fn with_masks_the_line_is_of_validation_rows_and_its_gaps_have_a_reason() {
    let mut document = Document { figures: Vec::new(), held_out: None, ..document() };
    document.study.masked = true;
    document.study.rounds.iter_mut().for_each(|round| round.losses.clear());
    let said = losses::section(&document);
    assert!(
        said.contains("each of these rows counts once") && said.contains("each validation row counting once"),
        "{said}"
    );
    assert!(!said.contains(" a gap"), "{said}");
    document.study.rounds[4].mean = None;
    let said = losses::section(&document);
    assert!(said.contains("It has a gap at round 3: too few sites told a figure of it in time"), "{said}");
}

#[test]
fn a_site_whose_loss_is_unlike_the_others_is_named_with_both_numbers() {
    let mut document = document();
    document.study.rounds[4].losses[2].1 = 0.9;
    let document = answered(document);
    let said = document.answers.sure.join("\n");
    let words = "Cedar University is unlike the others: the log-loss of the swarm's model there, on its own validation rows, in round 3, is \
                 0.900, and the median of the other 2 sites is 0.200: it is higher by a factor of 4.5.";
    assert!(said.contains(words), "{said}");
    let page = render(&document);
    assert!(
        part(&page, "summary").contains("and its loss is at least twice that of the others at Cedar University."),
        "{page}"
    );
    assert!(!super::document().answers.sure.join("\n").contains("unlike the other"));
}

#[test]
fn better_probabilities_are_not_taken_for_a_better_order() {
    let mut document = document();
    let words = "The two measure different things: the probabilities came nearer to what came true; that the model puts people in a better \
                 order is not shown.";
    assert!(!document.answers.sure.join("\n").contains("measure different things"));
    // Birch, which loses, stands first
    document.figures[1].figures.auc_difference = Some(Difference { value: 0.01, interval: Some((-0.02, 0.04)) });
    let document = answered(document);
    let said = document.answers.sure.join("\n");
    assert!(
        said.contains("At Alder Clinic the swarm's model is better than the own one by the log-loss")
            && said.contains(words),
        "{said}"
    );
    assert!(part(&render(&document), "figures").contains(words), "in both places");
    // it is worse by both
    assert!(!said.contains("went further from"), "{said}");
}

#[test]
fn each_measure_is_explained_where_it_first_stands() {
    let page = render(&document());
    // the summary above has the scale of its one figure beside it
    let (_, answers) = page.split_once("<section id=\"short\">").unwrap();
    let after = |first: &str, says: &str| {
        let (_, rest) = answers.split_once(first).unwrap();
        let (line, rest) = rest.split_once("</li><li>").unwrap();
        assert!(rest.starts_with(says), "{first}: {line} and then {rest}");
    };
    after("AUC ", "An AUC says how often");
    after("log-loss", "Log-loss says how far");
    let (_, figures) = page.split_once("<h3>ROC and calibration at each site</h3>").unwrap();
    assert!(figures.starts_with("<p class=\"dim\">Calibration slope: whether"), "{figures}");
    assert!(figures.find("Calibration intercept (with").unwrap() < figures.find("<svg").unwrap(), "{figures}");
    let mut brier = document();
    brier.study.metric = "brier".into();
    brier.figures.iter_mut().for_each(|told| told.figures.metric = Metric::Brier);
    assert!(answered(brier).answers.sure.iter().any(|line| line.starts_with("The Brier score is the mean square")));
}

#[test]
fn each_cut_says_whose_it_is_and_each_dash_what_it_is() {
    let mut document = document();
    let page = render(&document);
    let said = part(&page, "figures");
    assert_eq!(
        (said.matches(">0.420 (its own)<").count(), said.matches(">0.400 (of all sites)<").count()),
        (2, 1),
        "{said}"
    );
    assert!(said.contains("“Of all sites”, on the rows held out from everyone"), "{said}");
    assert!(part(&page, "short").contains("At the cut of all sites&#39; validation rows together, 0.400,"), "{page}");
    assert!(said.contains("A dash beside shares that are known: there is no row"), "{said}");
    assert!(!said.contains("A dash: ") && !part(&page, "sites").contains("A dash"), "{page}");
    // where figures are not defined
    for told in &mut document.figures {
        let figures = &mut told.figures;
        (figures.alone.metric, figures.alone.auc, figures.alone.auc_interval) = (None, None, None);
        (figures.difference, figures.auc_difference) = (None, None);
    }
    let held = &mut document.held_out.as_mut().unwrap().models[0];
    (held.auc, held.auc_interval) = (None, None);
    document.study.rounds.iter_mut().for_each(|round| round.inputs.retain(|(place, _)| *place != 1));
    let page = render(&document);
    let said = part(&page, "figures");
    for words in [
        "A dash: the figure is not defined on these rows, or is no finite number.",
        "A dash: on rows of one class alone there is no AUC",
        "A dash: not defined on these rows. An AUC takes rows of more than one class",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(part(&page, "sites").contains("A dash: no update of that site was merged in that round"), "{page}");
    assert!(card::text(&document).contains("lower is better. A dash: not defined on these rows."));
    document.study.rounds.clear();
    assert!(part(&render(&document), "sites").contains("A dash: no update has been merged yet"));
    document.faults[0].block = None;
    assert!(part(&render(&document), "faults").contains("A dash: only the round is known"));
}

#[test]
fn columns_stand_behind_the_results() {
    let page = render(&document());
    let at = |id: &str| page.find(&format!("<section id=\"{id}\">")).unwrap();
    assert!(at("sites") < at("figures") && at("figures") < at("columns") && at("columns") < at("part"), "{page}");
    assert!(part(&page, "columns").contains("<th scope=\"row\">crp</th>"), "{page}");
    assert!(!part(&page, "sites").contains("crp") && part(&page, "sites").contains("<a href=\"#columns\">"), "{page}");
}
