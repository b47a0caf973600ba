//! What the own people are to do now, the most pressing first. Pure.

use super::{
    base::Listed,
    state::{State, Todo},
    Site,
};
use crate::localnet::why_paused;
use consilium_primitives::{round::Phase, InstitutionId, StudyId};
use std::collections::BTreeMap;

/// Checks that are told by other parts of the page, or follow from them.
const ELSEWHERE: [&str; 1] = ["study"];

/// What is to be done.
pub fn advice(site: &Site, state: &State, studies: &BTreeMap<StudyId, Listed>) -> Vec<Todo> {
    let dir = &site.shown;
    let mut list = Vec::new();
    let mut put = |pressing: bool, words: String, commands: Vec<String>| list.push(Todo { pressing, words, commands });
    if let Some(why) = &state.unreachable {
        put(
            true,
            format!("Our node does not answer: {why}"),
            vec![format!("consilium up --dir {dir}"), format!("consilium doctor --dir {dir}")],
        );
    }
    if let Some(why) = &state.stands {
        put(true, format!("The chain stands: {why}"), vec![format!("consilium doctor --dir {dir}")]);
    }
    // what a check finds wrong names what to type
    for check in state.checks.iter().filter(|check| !check.well) {
        let of_a_study = ELSEWHERE.contains(&check.what.as_str());
        let what = if of_a_study { "Study " } else { "To be mended, " };
        let separator = if of_a_study { "" } else { ": " };
        let named = if of_a_study { "" } else { check.what.as_str() };
        put(true, format!("{what}{named}{separator}{}", check.words), vec![format!("consilium doctor --dir {dir}")]);
    }
    for (number, listed) in studies {
        if let Some((pressing, words, commands)) = of_study(site, *number, listed) {
            put(pressing, words, commands);
        }
    }
    for motion in state.motions.iter().filter(|motion| motion.ours) {
        let number = motion.number;
        let words = format!("Motion {number} waits for our vote: {}", motion.headline);
        let look = format!("consilium motions {number} --url {}", site.settings.rpc_url());
        put(
            false,
            words,
            vec![
                look,
                format!("consilium vote {number} aye --dir {dir}"),
                format!("consilium vote {number} nay --dir {dir}"),
            ],
        );
    }
    list.sort_by_key(|todo| !todo.pressing);
    list
}

/// What a study asks of the own people.
fn of_study(site: &Site, number: StudyId, listed: &Listed) -> Option<(bool, String, Vec<String>)> {
    let (dir, title, study) = (&site.shown, &listed.title, &listed.info.state);
    let own = InstitutionId(site.id);
    let member = study.members.iter().find(|member| member.id == own);
    let proposes = study.proposer == own;
    let named = format!("Study {number}, “{title}”,");
    match &study.phase {
        Phase::Enrolling { .. } if member.is_none() => {
            let asked = study.rules.invited.is_empty() || study.rules.invited.contains(&own);
            let read = format!("consilium study {number} --dir {dir}");
            let agreement = hex::encode(listed.info.agreement);
            let enrol = format!("consilium study enrol {number} --agreement {agreement} --data FILE --dir {dir}");
            asked.then(|| {
                (
                    false,
                    format!("{named} is open to us: read what is signed, then enrol with our table"),
                    vec![read, enrol],
                )
            })
        }
        Phase::Enrolling { .. } if proposes => {
            let enrolled = study.members.iter().filter(|member| member.active).count();
            let words = format!("{named} is ours to start, once all have enrolled who should ({enrolled} have)");
            Some((false, words, vec![format!("consilium study start {number} --dir {dir}")]))
        }
        Phase::Paused(pause) if member.is_some_and(|member| member.active) => {
            let words =
                format!("{named} is paused: {}. Mend what is named below; then it can go on", why_paused(pause.reason));
            Some((true, words, vec![format!("consilium study resume {number} --dir {dir}")]))
        }
        Phase::Completed(found) => {
            let at = study.members.iter().position(|member| member.id == own)?;
            let holds = found.held >> at & 1 == 1;
            // the files go once the chain lists the study no longer
            let words = format!("{named} has its model: fetch it within a day of its end");
            holds.then(|| {
                (false, words, vec![format!("consilium study fetch {number} --dir {dir} --out model-{number}")])
            })
        }
        _ => None,
    }
}
