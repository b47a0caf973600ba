//! A private study: what it promises and has spent stands on the page, in the card and in the JSON.

use super::document;
use crate::report::{answers::Known, card, privacy::tests::spent, sections::render};

#[test]
fn of_a_private_study_promised_and_spent_are_told_and_of_no_other() {
    let mut document = document();
    let none = render(&document);
    assert!(!none.contains("id=\"privacy\"") && !card::text(&document).contains("## Privacy"), "{none}");
    assert_eq!(serde_json::to_value(&document).unwrap()["study"]["privacy"], serde_json::Value::Null);

    document.study.privacy = Some(spent());
    let page = render(&document);
    for part in [
        "<a href=\"#privacy\">What it may tell about one patient</a>",
        "Each patient is promised ε 4 (δ 10⁻⁵) for all 4 rounds; the 3 rounds that ran cost ε 2.11.",
        // what was spent, and of how much
        "<td class=\"n\">ε 3.34</td><td class=\"n\">ε 8</td>",
        "Alder &lt;Clinic&gt;",
        "whether one particular patient was among the rows",
        "is right about at most 7 of 100",
        "The count covers model updates.",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let card = card::text(&document);
    for part in [
        "## Privacy: what it may tell about one patient",
        "promised ε 4",
        "Alder &lt;Clinic&gt;: 3 rounds",
        "at most 7 of 100",
    ] {
        assert!(card.contains(part), "{part} in {card}");
    }
    let told = serde_json::to_value(&document).unwrap();
    assert_eq!(told["study"]["privacy"]["sites"][0]["spent_micro"], 3_333_333);
}

#[test]
fn a_private_model_is_handed_on_with_its_bound_and_not_as_if_it_had_none() {
    let mut document = document();
    document.study.privacy = Some(spent());
    let not = |document: &crate::report::document::Document| {
        let (study, question) = (&document.study, &document.question);
        Known { study, question, figures: &[], held_out: None, unread: &[], localnet: false }.answers().not.join("\n")
    };
    let said = not(&document);
    assert!(said.contains("within a bound that is not nothing") && said.contains("promised ε 4"), "{said}");
    assert!(said.contains("updates were not masked") && !said.contains("without any bound"), "{said}");
    document.study.masked = true;
    assert!(not(&document).contains("updates were masked"), "{}", not(&document));
}
