//! The part of the page that says what a private study promises, and what was spent of it.

use super::{
    document::Document,
    html::{dash, list, note, paragraph, section as part, table, Cell},
};
use crate::dashboard::state::{DatasetSpent, PrivacySpent};
use consilium_privacy::words;

/// The whole part; nothing where nothing is promised.
pub fn section(document: &Document) -> String {
    let Some(privacy) = &document.study.privacy else { return String::new() };
    let title = format!("What it may tell about one {}", privacy.unit);
    let mut body = paragraph(&format!("{}.", sentence(&privacy.promise)));
    body += &sites(privacy);
    body += &list(&privacy.meaning);
    part("privacy", &title, &body)
}

/// All of it in sentences, for a model card.
pub fn sentences(privacy: &PrivacySpent) -> Vec<String> {
    let promise = format!("{}.", sentence(&privacy.promise));
    let sites = privacy.sites.iter().map(|site| format!("{}.", site.words));
    std::iter::once(promise).chain(sites).chain(privacy.meaning.iter().cloned()).collect()
}

/// With a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut left = text.chars();
    left.next().map(|first| first.to_uppercase().chain(left).collect()).unwrap_or_default()
}

fn sites(privacy: &PrivacySpent) -> String {
    if privacy.sites.is_empty() {
        return paragraph("The chain counts nobody's data set for it yet.");
    }
    let micro = |micro: Option<u64>| micro.map_or_else(|| "–".into(), words::epsilon);
    let row = |site: &DatasetSpent| {
        vec![
            Cell::Head(site.name.clone()),
            Cell::Number(site.rounds.to_string()),
            Cell::Number(words::epsilon(site.study_micro)),
            Cell::Number(micro(site.spent_micro)),
            Cell::Number(micro(site.limit_micro.map(u64::from))),
        ]
    };
    let heads = ["Site", "Rounds charged", "In this study", "In all studies", "Of at most"];
    let rows: Vec<Vec<Cell>> = privacy.sites.iter().map(row).collect();
    let dashes = match rows.iter().flatten().any(dash) {
        true => note(
            "A dash: the chain shows no budget of that data set, so that neither its sum nor its limit is known here.",
        ),
        false => String::new(),
    };
    table(&heads, &rows)
        + &dashes
        + &note(
            "By the chain: a round is charged when a site's update of it is committed, also where nothing came of it. What all studies have \
             spent on a site's data set is of the block that this report was made of.",
        )
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What a study of three rounds has spent at the first of its sites.
    pub fn spent() -> PrivacySpent {
        PrivacySpent {
            promised_micro: Some(4_000_000),
            delta_exp: 5,
            unit: "patient".into(),
            rounds: 3,
            rounds_micro: 2_104_000,
            all_rounds_micro: 4_010_000,
            promise: "each patient is promised ε 4 (δ 10⁻⁵) for all 4 rounds; the 3 rounds that ran cost ε 2.11".into(),
            meaning: vec![words::meaning(2_104_000, consilium_privacy::Unit::Patient), words::COUNTED.into()],
            sites: vec![DatasetSpent {
                site: 0,
                name: "Alder <Clinic>".into(),
                dataset: "07".repeat(32),
                rounds: 3,
                study_micro: 2_104_000,
                spent_micro: Some(3_333_333),
                limit_micro: Some(8_000_000),
                words: "Alder <Clinic>: 3 rounds of this study charged, ε 2.11".into(),
            }],
        }
    }

    #[test]
    fn a_sentence_begins_with_a_capital() {
        assert_eq!(sentence("each patient"), "Each patient");
        assert_eq!(sentence(""), "");
        let said = sentences(&spent());
        assert!(said[0].starts_with("Each patient is promised ε 4") && said[0].ends_with("ε 2.11."), "{said:?}");
        assert_eq!(said.len(), 1 + 1 + 2);
    }
}
