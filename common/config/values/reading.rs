//! How a JSON answer is read: words that stand for types and sides, and pointers that need each other.

use crate::config::check::Findings;
use crate::config::feed::{EventReading, MarketReading, Reading};
use crate::config::locate::Place;
use crate::config::sections::EVENT_TYPES;
use crate::config::{CARDS, Pointer};

/// Bytes of a statistic's name at most.
const MAX_STAT: usize = 64;
/// Details of a happening at most.
const MAX_DETAILS: usize = 16;

/// Judges the reading whose table is at `at`.
pub(super) fn check(reading: &Reading, at: &Place, findings: &mut Findings<'_>) {
    let key = |key: &str| at.clone().child(key);
    for name in reading.stats.keys() {
        if name.is_empty() || name.len() > MAX_STAT || name.chars().any(char::is_control) {
            findings.add(&key("stats").child(name), "bad name of a statistic", "expected 1 to 64 bytes");
        }
    }
    if let Some(clock) = &reading.clock
        && clock.minute.is_none()
        && clock.second.is_none()
    {
        findings.add(&key("clock"), "a clock of nothing", "expected `minute`, `second` or both");
    }
    match (&reading.events, &reading.event) {
        (Some(_), Some(event)) => check_event(event, &key("event"), findings),
        (Some(_), None) => findings.add(
            &key("events"),
            "happenings of which nothing is read",
            "expected `event = { type = \"/…\", … }` beside it",
        ),
        (None, Some(_)) => findings.add(
            &key("event"),
            "nothing says where the happenings are",
            "expected `events` with the pointer of their array",
        ),
        (None, None) => {}
    }
    if let Some(markets) = &reading.markets {
        check_markets(markets, &key("markets"), findings);
    }
}

fn check_event(event: &EventReading, at: &Place, findings: &mut Findings<'_>) {
    if event.kind.0.is_empty() {
        findings.add(
            &at.clone().child("type"),
            "no pointer to a happening's type",
            "expected such as \"/type\"",
        );
    }
    for (word, kind) in &event.types {
        let known = |name: &&str| *name == kind;
        if !EVENT_TYPES.iter().any(known) && !CARDS.iter().any(|(name, _)| known(name)) {
            findings.add(
                &at.clone().child("types").child(word),
                format!("`{}` is no type of event", kind.escape_debug()),
                format!("expected yellow_card, red_card, or one of {}", EVENT_TYPES.join(", ")),
            );
        }
    }
    for word in event.sides.keys().filter(|word| word.starts_with('/')) {
        if let Err(error) = word.parse::<Pointer>() {
            let place = at.clone().child("sides").child(word);
            findings.add(&place, error.to_string(), "expected a word, or the pointer to one");
        }
    }
    if event.details.len() > MAX_DETAILS {
        findings.add(&at.clone().child("details"), "more than 16 details", "expected at most 16");
    }
}

fn check_markets(markets: &MarketReading, at: &Place, findings: &mut Findings<'_>) {
    if markets.price.is_none() && markets.price_text.is_none() && markets.won.is_none() {
        findings.add(
            &at.clone().child("price"),
            "selections without a price or a result",
            "expected `price`, `price_text` or `won`",
        );
    }
    for (key, pointer) in [("list", &markets.list), ("selections", &markets.selections)] {
        if pointer.steps().is_empty() && !findings.is_written(&at.clone().child(key)) {
            findings.add(
                &at.clone().child(key),
                format!("nothing says where the {} are", if key == "list" { "markets" } else { key }),
                "expected a JSON pointer; \"\" is the whole",
            );
        }
    }
}
