//! What happened, as the events that the recorder has to make of it.

use crate::model::document::stat_key;
use crate::model::ledger::{Counter, Happening, Ledger, What};
use crate::model::node::Node;
use crate::model::odds::{Cause, State, Subject};
use crate::model::state::{Ident, Odds};
use crate::model::world::World;
use serde_json::{Value, json};
use std::fmt;
use touchline_common::model::Side;

/// The event that is expected of one thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) n: u64,
    pub(crate) at: i64,
    pub(crate) kind: &'static str,
    pub(crate) side: Option<Side>,
    pub(crate) clock: Option<u32>,
    /// The side's score after it.
    pub(crate) score: Option<u32>,
    pub(crate) payload: Vec<(&'static str, Value)>,
    /// What it takes back.
    pub(crate) target: Option<Box<Expected>>,
}

impl Expected {
    /// Whether the payload must have that member; the others only must not differ.
    pub(crate) fn needs(&self, key: &str) -> bool {
        key == "color"
    }

    /// Whether an event must have the side in its own field.
    pub(crate) fn side_matters(&self) -> bool {
        self.kind != "retract" && self.kind != "stat_change"
    }
}

impl fmt::Display for Expected {
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

/// The event that is expected of a happening.
pub(crate) fn expected(ledger: &Ledger, happening: &Happening) -> Expected {
    let mut event = Expected {
        n: happening.n,
        at: happening.at,
        kind: kind(&happening.what),
        side: None,
        clock: happening.clock,
        score: None,
        payload: Vec::new(),
        target: None,
    };
    match &happening.what {
        What::Listed | What::Started | What::Ended | What::Suspended(_) => {}
        What::PeriodStart(period) | What::PeriodEnd(period) => event.payload.push(("period", json!(period))),
        What::Count { counter, side, after } => {
            event.side = Some(*side);
            event.score = matches!(counter, Counter::Goal | Counter::Score).then_some(*after);
            match counter {
                Counter::YellowCard => event.payload.push(("color", json!("yellow"))),
                Counter::RedCard => event.payload.push(("color", json!("red"))),
                Counter::Score => event.payload.push(("to", json!(after))),
                Counter::Goal
                | Counter::Corner
                | Counter::Penalty
                | Counter::Substitution
                | Counter::Wicket => {}
            }
            if *counter != Counter::Score {
                event.payload.push(("n", json!(after)));
            }
        }
        What::Set { side, index } => {
            event.side = Some(*side);
            event.payload.push(("index", json!(index)));
        }
        What::Game { side, set, index } => {
            event.side = Some(*side);
            event.payload.extend([("set", json!(set)), ("index", json!(index))]);
        }
        What::Point { side, set, game, index } => {
            event.side = Some(*side);
            event.payload.push(("set", json!(set)));
            // A ledger counts the points of a tennis game from when it began to listen.
            if *game == 0 {
                event.payload.push(("index", json!(index)));
            }
        }
        What::Retract { n } => {
            event.target = ledger.register(*n).map(|target| Box::new(expected(ledger, target)));
            event.side = event.target.as_ref().and_then(|target| target.side);
        }
        What::Comment(text) => event.payload.push(("text", json!(&**text))),
        What::Stat { label, side, text } => {
            event.side = *side;
            event.payload.extend([("key", json!(stat_key(label))), ("text", json!(&**text))]);
        }
    }
    event
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
        What::Suspended(true) => "suspended",
        What::Suspended(false) => "resumed",
        What::Retract { .. } => "retract",
        What::Comment(_) => "comment",
        What::Stat { .. } => "stat_change",
    }
}

/// A price as the feed writes it.
pub(crate) fn odds_text(odds: Odds) -> String {
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
        let mut of_match = Vec::new();
        for happening in ledger.registers.iter().chain(&ledger.commentary) {
            let event = expected(ledger, happening);
            let payload: serde_json::Map<String, Value> =
                event.payload.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            of_match.push(json!({
                "n": event.n, "match": ident.id, "sport": sport.name(), "type": event.kind,
                "side": event.side.map(Side::as_str), "minute": event.clock.map(|clock| clock / 60),
                "second": event.clock.map(|clock| clock % 60), "at": crate::model::rfc3339(event.at),
                "retracts": event.target.map(|target| target.n), "payload": payload,
            }));
        }
        for (number, sequence) in &ledger.odds.sequences {
            let (market, selection) = keys(ident, *number, &sequence.subject);
            for state in sequence.states.iter().filter(|state| state.cause.is_event()) {
                let payload = match &sequence.subject {
                    Subject::Market { name } => json!({ "market": market, "name": &**name }),
                    Subject::Selection { .. } => json!({
                        "market": market, "selection": selection, "odds_text": odds_text(state.odds),
                    }),
                };
                of_match.push(json!({
                    "n": state.n, "match": ident.id, "sport": sport.name(), "type": odds_kind(state),
                    "at": crate::model::rfc3339(state.at), "payload": payload,
                }));
            }
        }
        of_match.sort_by_key(|event| event.get("n").and_then(Value::as_u64));
        all.append(&mut of_match);
    }
    all
}

/// The keys of a market or selection: its market's, and its own if it is a selection.
pub(crate) fn keys(ident: &Ident, number: u32, subject: &Subject) -> (String, Option<String>) {
    match subject {
        Subject::Market { .. } => (Node::Market(number).topic(ident), None),
        Subject::Selection { market } => {
            (Node::Market(*market).topic(ident), Some(Node::Selection(number).topic(ident)))
        }
    }
}

/// The type of the row that is expected of a change of odds.
pub(crate) fn odds_kind(state: &State) -> &'static str {
    match (state.cause, state.suspended) {
        (Cause::Price, _) => "odds_change",
        (Cause::Suspension, true) => "suspended",
        (Cause::Suspension, false) => "resumed",
        (Cause::Opened, _) => "market_open",
        (Cause::Closed, _) => "market_close",
        (Cause::Found, _) => "found",
        (Cause::Gone, _) => "gone",
    }
}
