//! What of the state a browser has not been told yet.

use super::state::{Round, State};
use anyhow::Result;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What one browser knows.
#[derive(Default)]
pub struct Known {
    /// Of the document's parts, but the rounds of the study.
    parts: Map<String, Value>,
    /// Which study its rounds are of, and these by what they are.
    rounds: (Option<u32>, BTreeMap<(String, u32), Round>),
}

impl Known {
    /// What has changed: the whole document at first, then those of its parts that are other than before. Of a study whose rounds
    /// are known, only those that are new or other.
    ///
    /// # Errors
    /// Never: a state can be written.
    pub fn news(&mut self, mut state: State) -> Result<Value> {
        if let Some(study) = &mut state.study {
            let number = Some(study.number);
            study.whole = self.rounds.0 != number;
            if study.whole {
                self.rounds = (number, BTreeMap::new());
            }
            let known = &mut self.rounds.1;
            study.rounds.retain(|round| {
                let before = known.insert((round.kind.clone(), round.round), round.clone());
                before.is_none_or(|before| before != *round)
            });
        } else {
            self.rounds = (None, BTreeMap::new());
        }
        let Value::Object(all) = serde_json::to_value(&state)? else { return Ok(Value::Null) };
        let first = self.parts.is_empty();
        let news: Map<String, Value> =
            all.iter().filter(|(key, value)| first || self.parts.get(*key) != Some(value)).map(own).collect();
        self.parts = all;
        Ok(Value::Object(news))
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::state::Study, *};

    fn state(number: u32, rounds: &[(u32, u64)]) -> State {
        let round = |(round, closed_at_ms): &(u32, u64)| Round {
            kind: "round".into(),
            round: *round,
            closed_at_ms: *closed_at_ms,
            ..Round::default()
        };
        let study = Study { number, rounds: rounds.iter().map(round).collect(), ..Study::default() };
        State { version: 1, study: Some(study), ..State::default() }
    }

    #[test]
    fn a_browser_gets_everything_once_and_then_what_has_changed() {
        let mut known = Known::default();
        let news = known.news(state(4, &[(1, 10), (2, 20)])).unwrap();
        assert_eq!(news["study"]["rounds"].as_array().unwrap().len(), 2);
        assert_eq!((&news["study"]["whole"], &news["version"]), (&Value::Bool(true), &Value::from(1)));
        assert!(news.get("motions").is_some());
        // a round that is new, and one that was attested late
        let news = known.news(state(4, &[(1, 10), (2, 21), (3, 30)])).unwrap();
        let numbers: Vec<u64> =
            news["study"]["rounds"].as_array().unwrap().iter().map(|r| r["round"].as_u64().unwrap()).collect();
        assert_eq!((numbers, &news["study"]["whole"]), (vec![2, 3], &Value::Bool(false)));
        assert!(news.get("motions").is_none() && news.get("version").is_none());
        // another study is told whole
        let news = known.news(state(5, &[(1, 10)])).unwrap();
        assert_eq!(
            (&news["study"]["whole"], news["study"]["rounds"].as_array().unwrap().len()),
            (&Value::Bool(true), 1)
        );
    }
}
