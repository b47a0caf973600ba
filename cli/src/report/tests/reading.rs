//! What people must be able to read of a report without knowing the code.

use super::*;

#[test]
fn nothing_is_shown_as_a_negative_zero() {
    let small = Some(Difference { value: -0.000_2, interval: Some((-0.000_4, 0.03)) });
    let mut told = document().figures;
    for told in &mut told {
        (told.figures.difference, told.figures.auc_difference) = (small, small);
        told.verdict = told.figures.verdict();
        if let Some(curves) = &mut told.figures.swarm.curves {
            (curves.slope, curves.in_the_large) = (Some(-0.000_1), Some(-0.000_1));
        }
    }
    let mut document = Document { figures: told, ..document() };
    let known = Known {
        study: &document.study,
        question: &document.question,
        figures: &document.figures,
        held_out: None,
        unread: &[],
    };
    document.answers = known.answers();
    for text in [render(&document), card::text(&document), document.answers.sure.join("\n")] {
        assert!(text.contains("0.000 to +0.030"), "{text}");
        assert!(!text.contains("-0.000") && !text.contains("−0.000") && !text.contains("+0.000"), "{text}");
    }
}
