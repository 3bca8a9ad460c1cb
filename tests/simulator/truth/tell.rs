//! What happened, in the words of the recorder's events.

use crate::model::document::stat_key;
use crate::model::ledger::{Counter, Happening, Ledger, What};
use crate::model::node::Node;
use crate::model::state::{Ident, Odds};
use crate::model::world::World;
use serde_json::{Value, json};
use std::fmt;
use touchline_common::model::Side;

/// One thing that happened, as an event would say it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) n: u64,
    pub(crate) at: i64,
    pub(crate) kind: &'static str,
    pub(crate) side: Option<Side>,
    pub(crate) clock: Option<u32>,
    /// The side's score after it.
    pub(crate) score: Option<u32>,
    pub(crate) payload: Vec<(&'static str, Value)>,
    /// What it takes back.
    pub(crate) target: Option<Box<Told>>,
}

impl Told {
    /// Whether the payload must have that member; the others only must not say otherwise.
    pub(crate) fn needs(&self, key: &str) -> bool {
        matches!(key, "color" | "market" | "selection")
    }

    /// Whether an event has to say the side in its own field.
    pub(crate) fn side_matters(&self) -> bool {
        self.kind != "retract" && self.kind != "stat_change"
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(side) = self.side {
            write!(f, " {}", side.as_str())?;
        }
        if let Some(clock) = self.clock {
            write!(f, " at {}:{:02}", clock / 60, clock % 60)?;
        }
        for (key, value) in &self.payload {
            write!(f, " {key}={value}")?;
        }
        match &self.target {
            Some(target) => write!(f, " of [{target}]"),
            None => Ok(()),
        }
    }
}

/// A happening as an event would say it.
pub(crate) fn told(ident: &Ident, ledger: &Ledger, happening: &Happening) -> Told {
    let mut told = Told {
        n: happening.n,
        at: happening.at,
        kind: kind(&happening.what),
        side: None,
        clock: happening.clock,
        score: None,
        payload: Vec::new(),
        target: None,
    };
    let market = |number: u32| ("market", Value::from(Node::Market(number).topic(ident)));
    let selection = |number: u32| ("selection", Value::from(Node::Selection(number).topic(ident)));
    match &happening.what {
        What::Listed | What::Started | What::Ended | What::Suspended(_) => {}
        What::PeriodStart(period) | What::PeriodEnd(period) => told.payload.push(("period", json!(period))),
        What::Count { counter, side, after } => {
            told.side = Some(*side);
            told.score = matches!(counter, Counter::Goal | Counter::Score).then_some(*after);
            match counter {
                Counter::YellowCard => told.payload.push(("color", json!("yellow"))),
                Counter::RedCard => told.payload.push(("color", json!("red"))),
                Counter::Score => told.payload.push(("to", json!(after))),
                Counter::Goal
                | Counter::Corner
                | Counter::Penalty
                | Counter::Substitution
                | Counter::Wicket => {}
            }
            if *counter != Counter::Score {
                told.payload.push(("n", json!(after)));
            }
        }
        What::Set { side, index } => {
            told.side = Some(*side);
            told.payload.push(("index", json!(index)));
        }
        What::Game { side, set, index } => {
            told.side = Some(*side);
            told.payload.extend([("set", json!(set)), ("index", json!(index))]);
        }
        What::Point { side, set, game, index } => {
            told.side = Some(*side);
            told.payload.push(("set", json!(set)));
            // A ledger counts the points of a tennis game from when it began to listen.
            if *game == 0 {
                told.payload.push(("index", json!(index)));
            }
        }
        What::Retract { n } => {
            told.target = ledger.register(*n).map(|target| Box::new(self::told(ident, ledger, target)));
            told.side = told.target.as_ref().and_then(|target| target.side);
        }
        What::Odds { market: of, selection: one, odds } => {
            told.payload.extend([market(*of), selection(*one), ("odds_text", json!(odds_text(*odds)))]);
        }
        What::SelectionSuspended { market: of, selection: one, .. } => {
            told.payload.extend([market(*of), selection(*one)]);
        }
        What::MarketSuspended { market: of, .. } | What::MarketClose { market: of } => {
            told.payload.push(market(*of));
        }
        What::MarketOpen { market: of, name } => {
            told.payload.extend([market(*of), ("name", json!(&**name))]);
        }
        What::Comment(text) => told.payload.push(("text", json!(&**text))),
        What::Stat { label, side, text } => {
            told.side = Some(*side);
            told.payload.extend([("key", json!(stat_key(label))), ("text", json!(&**text))]);
        }
    }
    told
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Listed => "match_listed",
        What::Started => "match_started",
        What::Ended => "match_ended",
        What::PeriodStart(_) => "period_start",
        What::PeriodEnd(_) => "period_end",
        What::Count { counter, .. } => counter.event(),
        What::Set { .. } => "set",
        What::Game { .. } => "game",
        What::Point { .. } => "point",
        What::Suspended(suspended)
        | What::SelectionSuspended { suspended, .. }
        | What::MarketSuspended { suspended, .. } => {
            if *suspended {
                "suspended"
            } else {
                "resumed"
            }
        }
        What::Retract { .. } => "retract",
        What::Odds { .. } => "odds_change",
        What::MarketOpen { .. } => "market_open",
        What::MarketClose { .. } => "market_close",
        What::Comment(_) => "comment",
        What::Stat { .. } => "stat_change",
    }
}

fn odds_text(odds: Odds) -> String {
    let mut out = Vec::new();
    odds.write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Everything that happened, in order within each match, as JSON objects.
pub(crate) fn events(world: &World) -> Vec<Value> {
    let live = world.matches.iter().map(|(_, m)| (&m.ident, m.sport, &m.ledger));
    let gone = world.gone.values().map(|gone| (&gone.ident, gone.sport, &gone.ledger));
    let mut all = Vec::new();
    for (ident, sport, ledger) in live.chain(gone) {
        let start = all.len();
        for happening in ledger.registers.iter().chain(&ledger.flips) {
            let told = told(ident, ledger, happening);
            let payload: serde_json::Map<String, Value> =
                told.payload.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            all.push(json!({
                "n": told.n, "match": ident.id, "sport": sport.name(), "type": told.kind,
                "side": told.side.map(Side::as_str), "minute": told.clock.map(|clock| clock / 60),
                "second": told.clock.map(|clock| clock % 60), "at": crate::model::rfc3339(told.at),
                "retracts": told.target.map(|target| target.n), "payload": payload,
            }));
        }
        if let Some(these) = all.get_mut(start..) {
            these.sort_by_key(|event| event.get("n").and_then(Value::as_u64));
        }
    }
    all
}
