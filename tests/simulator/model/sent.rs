//! What was sent of a match that is published as a branch of topics, value by value, and the states in between.
//!
//! Whoever listens may render between any two of the values, so each state on the way is remembered, under the number that
//! was last sent: a value of its own, sent after all others. Documents are read back from the values here, by the page of
//! rules and apart from `branch`, which makes them from what the match is; a test holds the two together.

use super::branch::{self, COMMENTARY, LISTS, NUMBER, RD};
use super::json::Digest;
use super::state::Match;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use touchline_common::model::Side;

/// Topics below the branch's top with their values, in the order in which they are sent.
pub(crate) type Values = Vec<(String, String)>;

/// Sends what of the match is not sent yet, under the next number.
pub(crate) fn send(m: &mut Match) {
    let before = number(&m.sent);
    m.change = before;
    if branch::values(m) == m.sent {
        return;
    }
    m.change = before + 1;
    let next = branch::values(m);
    let mut sent = std::mem::take(&mut m.sent);
    sent.resize(next.len(), Default::default());
    for (place, one) in next.into_iter().enumerate() {
        if let Some(old) = sent.get_mut(place).filter(|old| **old != one) {
            *old = one;
            m.history.push(number(&sent), digest(&sent));
        }
    }
    m.sent = sent;
}

/// Of a new match, everything is as if it had been sent.
pub(crate) fn begin(m: &mut Match) {
    m.change = 1;
    m.sent = branch::values(m);
    m.history.push(m.change, digest(&m.sent));
}

fn number(sent: &Values) -> u64 {
    let number = sent.iter().rev().find(|(key, _)| key == NUMBER);
    number.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// The digest of the document without what no digest has in it: the number.
fn digest(sent: &Values) -> Digest {
    let mut document = document(sent);
    if let Some(members) = document.as_object_mut() {
        members.remove("markets");
    }
    if let Some(extra) = document.pointer_mut("/extra").and_then(Value::as_object_mut) {
        extra.remove(NUMBER);
    }
    Digest::of(&document)
}

/// The document that these values make.
pub(crate) fn document(sent: &Values) -> Value {
    let values: HashMap<&str, &str> =
        sent.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let value = |key: &str| values.get(key).copied().unwrap_or_default();
    let counted = |side: Side, name: &str| {
        values.get(format!("stats/{}/{name}", side.as_str()).as_str()).map(|value| value.matches(RD).count())
    };
    let count = |side| counted(side, "goals").unwrap_or(0);
    let (home, away) = (count(Side::Home), count(Side::Away));
    let period = value("stats/period");
    let (status, running) = match period {
        "NS" => ("not_started", false),
        "H1" | "H2" => ("in_play", true),
        "FT" => ("finished", false),
        _ => ("break", false),
    };
    let mut stats = Map::new();
    for (key, name) in LISTS {
        if let (Some(home), Some(away)) = (counted(Side::Home, name), counted(Side::Away, name)) {
            stats.insert(key.to_owned(), json!({"home": home, "away": away}));
        }
    }
    if let Ok(share) = value("stats/homeTeamPossesion").parse::<u32>() {
        stats.insert("possession".to_owned(), json!({"home": share, "away": 100 - share.min(100)}));
    }
    let name = |key: &str| value(&format!("i18n/en-gb/{key}"));
    let mut document = json!({
        "sport_id": "1", "sport": "soccer", "competition": name("competition"), "name": name("name"),
        "home": name("home"), "away": name("away"), "status": status, "period": period,
        "clock": {"seconds": value("stats/time").parse::<u32>().unwrap_or(0), "running": running, "down": false},
        "score": {"text": format!("{home}-{away}"), "home": home, "away": away},
        "market_order": [], "markets": {},
        "extra": {COMMENTARY: value(COMMENTARY), "stats/serving": value("stats/serving"), NUMBER: value(NUMBER)},
    });
    if let (Some(members), false) = (document.as_object_mut(), stats.is_empty()) {
        members.insert("stats".to_owned(), Value::Object(stats));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::super::change::Change;
    use super::super::history::Known;
    use super::super::make::{Plan, make};
    use super::super::pen::Pen;
    use super::super::random::Random;
    use super::super::state::Sport;
    use super::super::time::Moment;
    use super::*;
    use proptest::prelude::*;

    fn plan(course: usize) -> Plan {
        let (sport, bytes) = (Sport::Soccer, 3_000);
        Plan { number: 12, sport, bytes, sparse: false, history: 100_000, changes: 100_000, course }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_state_between_two_values_is_remembered_and_the_last_is_the_matchs(seed in any::<u64>(), course in 0_usize..60) {
            let mut random = Random::new(seed);
            let mut now = Moment { micros: 1_700_000_000_000_000, offset: 0 };
            let mut m = make(plan(course), &mut random, now);
            branch::suit(&mut m);
            for _ in 0..200 {
                let before = m.sent.clone();
                let mut change = Change::default();
                now.micros += 500_000;
                branch::step(&mut m, &mut random, &mut Pen { now, change: &mut change }, 300.0);
                prop_assert_eq!(document(&m.sent), branch::document(&m));
                let mut shown = before.clone();
                for (place, one) in m.sent.clone().into_iter().enumerate() {
                    shown[place] = one;
                    let known = m.history.knows(number(&shown), digest(&shown));
                    prop_assert_eq!(known, Known::True, "{:?} {:?}", &shown, &m.sent);
                }
                let changed = before != m.sent;
                prop_assert_eq!(number(&m.sent), number(&before) + u64::from(changed));
            }
            let mut never = m.sent.clone();
            never[0].1 = "999999".to_owned();
            prop_assert_eq!(m.history.knows(number(&never), digest(&never)), Known::False);
        }
    }
}
