//! What a clinician and a statistician must be able to read of a report without a question.

use super::*;

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
