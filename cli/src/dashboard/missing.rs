//! Who is missing, in words for people: since when, why as far as the chain tells, and whom to call. Pure.

use super::{
    absent::Absent,
    advice::{Asked, Listed},
    site::Site,
    state::{Consortium, Institution, State},
};
use crate::{
    plain::{clock, counted},
    study::{gone, sentences::span, silence::RULE},
};
use consilium_primitives::{InstitutionId, StudyId};
use std::collections::BTreeMap;

/// Whose updates are missing in a study, since when, and whom to call. `max_rounds`: how many rounds it may have.
pub fn missing(
    site: &Site,
    (number, title, max_rounds): (StudyId, &str, u32),
    gone: &Absent,
    chain: &Consortium,
) -> Asked {
    let dir = &site.shown;
    let ours = gone.who == InstitutionId(site.id);
    let whose = if ours { "our" } else { "its" };
    let rounds = counted(u64::from(gone.without), "round");
    let have = if gone.without == 1 { "has" } else { "have" };
    let since = match gone.last {
        Some((round, at)) => {
            format!(
                "{whose} last update is in round {round}, which closed at {}; {rounds} {have} closed without it since",
                clock(at)
            )
        }
        None => format!("no update of {whose} own is in the last {rounds}"),
    };
    let out = gone
        .left_out_until
        .map(|until| format!(" The chain leaves it out up to round {until}, since its part was missing twice."));
    let out = out.unwrap_or_default();
    let look = format!("consilium study {number} --dir {dir}");
    if ours {
        let words = format!(
            "Our own part is missing in study {number}, “{title}”: {since}.{out} The first line below looks for the fault here, the \
             second shows what the study waits for"
        );
        return (true, words, vec![format!("consilium doctor --dir {dir}"), look]);
    }
    let id = gone.who.to_string();
    let it = chain.institutions.iter().find(|it| it.id == id);
    let name = it.map_or(id.as_str(), |it| it.name.as_str());
    let node = match it.and_then(|it| it.silent_ms) {
        Some(silent) if silent > quiet(chain) => {
            format!(" Its node has made no block for {}: it is down or cut off.", span(silent))
        }
        Some(_) => " Its node makes blocks: its worker is slow, or has stopped.".into(),
        None => String::new(),
    };
    let whom = it.map(whom).unwrap_or_default();
    // a site that is not waited for costs the others no time
    let goes_on = match gone.unawaited {
        Some(it) => {
            let words = it.words(max_rounds);
            format!("it {words}. The rule: {RULE}. The line below shows each site's part in the present round")
        }
        None => "while enough others take part, each round goes on without it after the time that is named. The line below shows each \
                 site's part in the present round, and that time"
            .to_owned(),
    };
    let words = format!(
        "{name} is missing in study {number}, “{title}”: {since}.{out}{node} {whom} Nothing need be done for the study to go on: {goes_on}"
    );
    (false, words, vec![look])
}

/// Whom to call at an institution.
fn whom(it: &Institution) -> String {
    match it.profile.is_empty() {
        true => {
            "Telephone its people. They have not put on the chain whom to call; they do with: consilium profile set."
                .into()
        }
        false => format!("Telephone its people; on the chain it says of itself: {}.", it.profile),
    }
}

/// For how many milliseconds a validator makes no block before it is told.
fn quiet(chain: &Consortium) -> u64 {
    let makers = chain.institutions.iter().filter(|it| it.makes_blocks).count() as u64;
    gone::quiet(makers, chain.block_ms)
}

/// Nodes of others that are to make blocks and make none, where neither a check nor a study has named them.
pub fn silent<'a>(
    site: &'a Site,
    state: &'a State,
    studies: &'a BTreeMap<StudyId, Listed>,
) -> impl Iterator<Item = Asked> + 'a {
    let limit = quiet(&state.consortium);
    let named = move |it: &Institution| {
        let absent = studies.values().flat_map(|listed| &listed.absent).any(|gone| gone.who.to_string() == it.id);
        absent || state.checks.iter().any(|check| !check.well && check.words.contains(&it.name))
    };
    let others = state.consortium.institutions.iter().filter(|it| it.makes_blocks && !it.own);
    others.filter_map(move |it| {
        let silent = it.silent_ms.filter(|silent| *silent > limit)?;
        let words = format!(
            "{}: its node has made no block for {}, it is down or cut off. {}",
            it.name,
            span(silent),
            whom(it)
        );
        (!named(it)).then(|| (false, words, vec![format!("consilium doctor --dir {}", site.shown)]))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::state::Check, *};
    use crate::{study::silence::Unawaited, up::arguments::tests::settings};

    const OWN: InstitutionId = InstitutionId([1; 32]);
    const OTHER: InstitutionId = InstitutionId([2; 32]);

    fn site() -> Site {
        Site {
            dir: "/srv/alder".into(),
            shown: "alder".into(),
            settings: settings(),
            id: OWN.0,
            name: "Alder".into(),
            report: "report.json".into(),
            bin_dir: None,
        }
    }

    fn state(silent_ms: u64, profile: &str) -> State {
        let institution = |id: InstitutionId, name: &str, silent_ms, profile: &str| Institution {
            name: name.into(),
            id: id.to_string(),
            own: id == OWN,
            makes_blocks: true,
            silent_ms: Some(silent_ms),
            profile: profile.into(),
            ..Institution::default()
        };
        let mut state = State::default();
        state.consortium.block_ms = 2_000;
        state.consortium.institutions =
            vec![institution(OWN, "Alder", 0, ""), institution(OTHER, "Birch", silent_ms, profile)];
        state
    }

    #[test]
    fn who_is_missing_is_named_with_since_when_and_whom_to_call() {
        let gone =
            Absent { who: OTHER, last: Some((7, 60_000)), without: 5, left_out_until: Some(12), unawaited: None };
        let told = |state: &State, gone: &Absent| missing(&site(), (4, "Sepsis", 20), gone, &state.consortium);
        let (pressing, words, commands) = told(&state(200_000, "+49 221 0"), &gone);
        for part in [
            "Birch is missing in study 4, “Sepsis”: its last update is in round 7",
            "closed at 1970-01-01 00:01:00 UTC; 5 rounds have closed without it since",
            "up to round 12",
            "no block for 3 min",
            "+49 221 0",
            "Nothing need be done for the study to go on",
            "The line below shows each site's part",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert_eq!((pressing, commands.join(" ")), (false, "consilium study 4 --dir alder".into()));
        // the rounds do not wait for it: no time is named, but until when that is so
        let unawaited = Some(Unawaited { rounds: (8, 9), back: 15 });
        let (_, words, _) = told(&state(0, ""), &Absent { unawaited, ..gone });
        assert!(
            words.contains("it is not waited for until round 15, since nothing came from it in rounds 8 and 9"),
            "{words}"
        );
        assert!(!words.contains("the time that is named"), "{words}");
        assert!(
            words.contains(
                "rounds 8 and 9; what it sends in time counts. The rule: where nothing came from a site in two"
            ),
            "{words}"
        );
        assert!(words.contains("two rounds within five, the next five do not wait for it. The line below"), "{words}");
        // its node answers, and nobody knows whom to call
        let (_, words, _) = told(&state(0, ""), &gone);
        assert!(!words.contains('`') && words.contains("its worker is slow, or has stopped"), "{words}");
        assert!(words.contains("consilium profile set"), "{words}");
        // ours is for us to mend, at once
        let own = Absent { who: OWN, last: None, left_out_until: None, ..gone };
        let (pressing, words, commands) = told(&state(0, ""), &own);
        assert!(pressing && words.starts_with("Our own part is missing in study 4"), "{words}");
        assert!(words.contains("the last 5 rounds") && commands[0] == "consilium doctor --dir alder", "{words}");
    }

    #[test]
    fn a_node_that_is_away_is_told_once() {
        let told =
            |state: &State| silent(&site(), state, &BTreeMap::new()).map(|(_, words, _)| words).collect::<Vec<_>>();
        let mut now = state(200_000, "");
        assert!(told(&now)[0].starts_with("Birch: its node has made no block for 3 min"));
        now.checks = vec![Check { what: "peer".into(), well: false, words: "Birch: no connection".into() }];
        assert!(told(&now).is_empty(), "a check names it");
        assert!(told(&state(47_000, "")).is_empty(), "an idle chain leaves out two turns of three");
        assert_eq!(told(&state(49_000, "")).len(), 1);
    }
}
