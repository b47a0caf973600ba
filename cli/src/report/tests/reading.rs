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
    let document = answered(Document { figures: told, ..document() });
    for text in [render(&document), card::text(&document), document.answers.sure.join("\n")] {
        assert!(text.contains("0.000 to +0.030"), "{text}");
        assert!(!text.contains("-0.000") && !text.contains("−0.000") && !text.contains("+0.000"), "{text}");
    }
}

#[test]
fn a_clinician_finds_sensitivity_and_specificity_or_how_to_come_by_them() {
    let document = document();
    let page = render(&document);
    let (_, part) = page.split_once("<h3>Sensitivity and specificity</h3>").unwrap();
    let line = |who: &str| {
        let (_, line) = part.split_once(&format!("<th scope=\"row\">{who}</th>")).unwrap();
        line.split_once("</tr>").unwrap().0.to_owned()
    };
    let birch = line("Birch Hospital");
    for part in ["400, 120 yes", ">0.420 (its own)<", "0.800 (0.720 to 0.862)", "0.700 (0.644 to 0.751)", ">0.500 ("] {
        assert!(birch.contains(part), "{part} in {birch}");
    }
    // 42 of 42, and of the rows that were held out from everyone
    assert!(line("held out from everyone").contains("1.000 (0.916 to 1.000)"), "{part}");
    // Alder's rows have chosen its cut
    assert_eq!(line("Alder Clinic").matches(">–<").count(), 4, "{part}");
    assert!(part.contains("consilium study figures 3 --dir FOLDER --test"), "{part}");
    let page = render(&Document { figures: Vec::new(), held_out: None, ..document });
    assert!(page.contains("Sensitivity and specificity are not in this report"), "{page}");
    assert!(page.contains("consilium study figures 3 --dir FOLDER --test"), "{page}");
}

#[test]
fn a_share_of_rows_above_the_bound_is_explained_beside_the_weight() {
    let mut document = document();
    document.study.rules = vec!["no site has more than 50 % of the weight".into()];
    for (member, samples) in document.study.members.iter_mut().zip([130, 102, 0]) {
        member.samples = samples;
    }
    // as the chain bounds 130 of 232
    document.study.rounds.iter_mut().for_each(|round| round.inputs = vec![(0, 102), (1, 102)]);
    let page = render(&document);
    assert!(
        page.contains(">Weight, round 3<") && page.contains(">56.0\u{a0}%<") && page.contains(">50.0\u{a0}%<"),
        "{page}"
    );
    let said = "bound it (no site has more than 50 % of the weight): Alder Clinic has 56.0 % of the rows, and counted with 50.0 %.";
    assert!(page.contains(&crate::report::html::escaped(said)), "{page}");
    // nothing to explain where they are the same
    document.study.members[0].samples = 102;
    assert!(!render(&document).contains("are two things"), "{page}");
}

#[test]
fn a_clinician_finds_whom_it_learned_from() {
    let document = document();
    let page = render(&document);
    let line = "<th scope=\"row\">crp</th><td class=\"n\">500</td><td class=\"n\">61.2</td><td class=\"n\">48.6</td>";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("Nobody counts the levels of sex across sites."), "{page}");
    assert!(
        page.contains("its figures were measured on: Birch Hospital 120 of 400 and Alder Clinic 30 of 90."),
        "{page}"
    );
    let from = LearnedFrom { missing: Some("the rows are pictures".into()), ..LearnedFrom::default() };
    let page = render(&Document { learned_from: from, ..document });
    assert!(page.contains("not in this report: the rows are pictures."), "{page}");
}

#[test]
fn what_left_is_said_in_words_and_no_word_alarms_without_a_cause() {
    let mut document = document();
    let sum =
        |kind: &str, files| Sum { to: "Birch Hospital".into(), study: 3, kind: kind.into(), files, ..Sum::default() };
    document.left = vec![sum("statistics", 1), sum("update", 4)];
    let page = render(&document);
    for line in [
        "statistics of columns, before the first round</td><td class=\"n\">1<",
        "updates, one for each round</td><td class=\"n\">4<",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(page.contains("by itself no fault") && !page.to_lowercase().contains("not heard"), "{page}");
    assert!(page.contains("<code>ml-worker pack --data</code>"), "{page}");
}
