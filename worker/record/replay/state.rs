//! What is known of a match after each of its rows: score, period, clock, and the price of each selection.
//!
//! Pure. Invariant: only what a row states is known; a row that states nothing of a value leaves it as it was.

use super::{Step, Stream};
use serde::Serialize;
use serde_json::{Number, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct State {
    /// When the newest row happened.
    pub at: Option<String>,
    pub minute: Option<i64>,
    pub second: Option<i64>,
    pub period: Option<String>,
    /// As the newest event that has one states it.
    pub score: Option<Value>,
    pub started: bool,
    pub ended: bool,
    /// The whole match.
    pub suspended: bool,
    /// False in a gap.
    pub followed: bool,
    /// By key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub markets: BTreeMap<String, Market>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Market {
    pub name: Option<String>,
    pub suspended: Option<bool>,
    /// By key.
    pub selections: BTreeMap<String, Selection>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Selection {
    pub name: Option<String>,
    /// Decimal, as the row states it.
    pub odds: Option<Number>,
    pub odds_text: Option<String>,
    pub suspended: Option<bool>,
    pub won: Option<bool>,
}

impl State {
    pub fn apply(&mut self, step: &Step) {
        self.at = text(&step.row, "at").or_else(|| self.at.take());
        match step.stream {
            Stream::Match => self.event(&step.row),
            Stream::Odds => self.odds(&step.row),
        }
    }

    /// All but the markets, of which there may be hundreds.
    pub fn head(&self) -> State {
        State { markets: BTreeMap::new(), ..self.clone() }
    }

    fn event(&mut self, row: &Value) {
        if let Some(minute) = row.get("minute").and_then(Value::as_i64) {
            (self.minute, self.second) = (Some(minute), row.get("second").and_then(Value::as_i64));
        }
        self.period = text(row, "period").or_else(|| self.period.take());
        if let Some(score) = row.get("score").filter(|score| !score.is_null()) {
            self.score = Some(score.clone());
        }
        match row.get("type").and_then(Value::as_str).unwrap_or_default() {
            "match_listed" | "gap_end" => self.followed = true,
            "gap_start" => self.followed = false,
            "match_started" => self.started = true,
            "match_ended" => self.ended = true,
            "suspended" => self.suspended = true,
            "resumed" => self.suspended = false,
            _ => {}
        }
    }

    fn odds(&mut self, row: &Value) {
        let Some(key) = text(row, "market") else { return };
        let kind = row.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(selection) = text(row, "selection") else {
            if kind == "market_close" {
                self.markets.remove(&key);
                return;
            }
            let market = self.markets.entry(key).or_default();
            market.name = text(row, "market_name").or_else(|| market.name.take());
            market.suspended = flag(row, "suspended").or(market.suspended);
            return;
        };
        let market = self.markets.entry(key).or_default();
        market.name = text(row, "market_name").or_else(|| market.name.take());
        // Each row states the whole value.
        let value = Selection {
            name: text(row, "selection_name"),
            odds: row.get("odds").and_then(Value::as_number).cloned(),
            odds_text: text(row, "odds_text"),
            suspended: flag(row, "suspended"),
            won: flag(row, "won"),
        };
        market.selections.insert(selection, value);
    }
}

fn text(row: &Value, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn flag(row: &Value, key: &str) -> Option<bool> {
    row.get(key).and_then(Value::as_bool)
}
