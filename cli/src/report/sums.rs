//! With masks: whom the difference of two sums points at.

use super::{
    certified::names,
    html::{list, paragraph},
};
use crate::dashboard::state::{Round, Study};

/// Most rounds that the page lists; all of them are in the document.
const MOST: usize = 20;

/// Which rounds' sums lack one or two sites that the sum before them has, and what that tells; nothing where none does.
pub fn lost(study: &Study) -> String {
    let of = |round: &Round| {
        let places: Vec<usize> = round.lost.iter().map(|place| usize::from(*place)).collect();
        (!places.is_empty()).then(|| format!("round {}: without {}", round.round, names(study, &places)))
    };
    let mut lines: Vec<String> = study.rounds.iter().filter_map(of).collect();
    if lines.is_empty() {
        return String::new();
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("and {more} more, in the JSON beside this page"));
    }
    let said = if lines.len() == 1 { "One sum lacks" } else { "Some sums lack" };
    let words = format!(
        "{said} one or two sites that the sum before had. Whoever has both can guess from the difference at what these sites sent: at its direction, \
         not at the update as it was; but it is more than the other sums tell of them."
    );
    paragraph(&words) + &list(&lines)
}
