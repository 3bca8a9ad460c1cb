//! Compares what was made of the server with its truth: each delivered document at the number that it states, at the end all documents.
//!
//! A document must say what the truth says: state, score, prices, and the rungs of ladders in any order; what it has beside that is not
//! compared. The number stands under `extra`, as whatever the mapping does not use does.

use super::Shared;
use super::dialect::Dialect;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Differences that are explained; the others are only counted.
const EXPLAINED: usize = 10;

/// What was found so far, or in the end.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    pub compared: u64,
    /// Documents that state no number, or one that is yet to come.
    pub unknown: u64,
    pub different: u64,
    /// The first differences.
    pub explained: Vec<String>,
}

impl Judgement {
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    pub(super) fn differs(&mut self, what: String) {
        self.different += 1;
        if self.explained.len() < EXPLAINED {
            self.explained.push(what);
        }
    }
}

pub struct PushJudge {
    pub(super) shared: Arc<Shared>,
    delivered: Judgement,
}

impl PushJudge {
    pub(super) fn new(shared: Arc<Shared>) -> PushJudge {
        PushJudge { shared, delivered: Judgement::default() }
    }

    /// A document as it was published.
    pub fn delivered(&mut self, id: &str, document: &Value) {
        // Locked as shortly as can be: the server waits meanwhile.
        let (dialect, truth) = {
            let world = self.shared.world();
            let number = number(world.dialect, document);
            (world.dialect, number.and_then(|number| world.document_at(id, number)))
        };
        match truth {
            None => self.delivered.unknown += 1,
            Some(truth) => compare(dialect, id, &truth, document, &mut self.delivered),
        }
    }

    /// What was found of documents as they were published.
    pub fn report(&self) -> &Judgement {
        &self.delivered
    }

    /// Counts what could not be read as a difference.
    pub(super) fn unreadable(&mut self, what: String) {
        self.delivered.differs(what);
    }

    /// Compares the newest documents of all topics that there are. Pause the server first.
    pub fn documents(&self, documents: &BTreeMap<String, Value>) -> Judgement {
        let world = self.shared.world();
        let mut report = Judgement::default();
        for (slot, id) in world.topics().iter().enumerate() {
            let Some(truth) = world.document_at(id, world.number(slot)) else { continue };
            match documents.get(id) {
                Some(document) => compare(world.dialect, id, &truth, document, &mut report),
                None => report.differs(format!("{id}: no document")),
            }
        }
        report
    }
}

/// Members of an answer that no pointer of the mapping leads to, under the name of whatever they are of.
fn rest(dialect: Dialect, document: &Value) -> Option<&Value> {
    let extra = document.get("extra")?.as_object()?;
    extra.values().find(|value| value.get(dialect.numbered_by()).is_some())
}

fn number(dialect: Dialect, document: &Value) -> Option<u64> {
    let number = rest(dialect, document)?.get(dialect.numbered_by())?;
    number.as_u64().or_else(|| number.as_str()?.parse().ok())
}

fn compare(dialect: Dialect, id: &str, truth: &Value, document: &Value, report: &mut Judgement) {
    report.compared += 1;
    let (expected, found) = match dialect {
        Dialect::Exchange => (of_market(truth), shown_market(document)),
        Dialect::Books => (of_book(truth), rest(dialect, document).map_or(Value::Null, of_book)),
        Dialect::Scores => (of_game(truth), shown_game(document)),
    };
    if let Some(difference) = differ(&expected, &found, "") {
        let at = number(dialect, document).map_or("?".to_owned(), |number| number.to_string());
        report.differs(format!("{id} at {at}: {difference}"));
    }
}

fn runners(truth: &Value) -> impl Iterator<Item = (String, &Value)> {
    let runners = truth.get("rc").and_then(Value::as_array).into_iter().flatten();
    runners.filter_map(|runner| Some((runner.get("id")?.to_string(), runner)))
}

/// What a market's document must say.
fn of_market(truth: &Value) -> Value {
    let of = |(id, runner): (String, &Value)| {
        let ladder = |name: &str| runner.get(name).map_or(json!([]), sorted);
        (id, json!({"price": runner.get("ltp"), "atb": ladder("atb"), "atl": ladder("atl")}))
    };
    let runners: Map<String, Value> = runners(truth).map(of).collect();
    let suspended = truth.pointer("/marketDefinition/status").is_some_and(|status| status == "SUSPENDED");
    json!({"status": if suspended { "suspended" } else { "in_play" }, "runners": runners})
}

/// What a market's document says.
fn shown_market(document: &Value) -> Value {
    let markets = document.get("markets").and_then(Value::as_object);
    let selections =
        markets.into_iter().flat_map(Map::values).filter_map(|market| market.get("selections")?.as_object());
    let of = |(id, shown): (&String, &Value)| {
        let ladder = |name: &str| shown.pointer(&format!("/extra/{name}")).map_or(json!([]), sorted);
        (id.clone(), json!({"price": shown.get("odds"), "atb": ladder("atb"), "atl": ladder("atl")}))
    };
    let runners: Map<String, Value> = selections.flatten().map(of).collect();
    json!({"status": document.get("status"), "runners": runners})
}

/// What a book says, as it is sent and as it is shown.
fn of_book(book: &Value) -> Value {
    let side = |name: &str| book.get(name).map_or(json!([]), sorted);
    json!({"seq": book.get("seq"), "last": book.get("last"), "bids": side("bids"), "asks": side("asks")})
}

fn of_game(truth: &Value) -> Value {
    json!({"status": "in_play", "score": truth.get("score"), "note": truth.get("note"),
        "corners": truth.pointer("/corners/home"), "home": truth.pointer("/home/name")})
}

fn shown_game(document: &Value) -> Value {
    let score = |side: &str| document.pointer(&format!("/score/{side}"));
    let note = rest(Dialect::Scores, document).and_then(|rest| rest.get("note"));
    json!({"status": document.get("status"), "score": {"home": score("home"), "away": score("away")},
        "note": note, "corners": document.pointer("/stats/corners/home"), "home": document.get("home")})
}

/// The same whatever the order of arrays and however a number was written.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect(),
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| json!(number)),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The first member that is not found as expected.
fn differ(expected: &Value, found: &Value, path: &str) -> Option<String> {
    let Value::Object(members) = expected else {
        let equal = match (expected.as_f64(), found.as_f64()) {
            (Some(expected), Some(found)) => (expected - found).abs() < 1e-9,
            _ => expected == found,
        };
        return (!equal).then(|| format!("{path} is {found}, expected {expected}"));
    };
    members.iter().find_map(|(name, expected)| {
        differ(expected, found.get(name).unwrap_or(&Value::Null), &format!("{path}/{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_is_compared_by_prices_and_rungs_in_any_order() {
        let truth = json!({"id": "1.1", "zc": 4, "marketDefinition": {"status": "OPEN"},
            "rc": [{"id": 7, "ltp": 2.5, "atb": [[1.5, 10.0], [1.4, 2.0]]}]});
        let document = |price: f64, first: f64| {
            json!({"status": "in_play", "extra": {"feed": {"zc": 4}},
                "markets": {"7": {"selections": {"7": {"odds": price, "extra": {"atb": [[1.4, first], [1.5, 10]]}}}}}})
        };
        let mut report = Judgement::default();
        compare(Dialect::Exchange, "1.1", &truth, &document(2.5, 2.0), &mut report);
        assert!(report.is_equal(), "{report:?}");
        compare(Dialect::Exchange, "1.1", &truth, &document(2.6, 2.0), &mut report);
        compare(Dialect::Exchange, "1.1", &truth, &document(2.5, 3.0), &mut report);
        assert_eq!((report.compared, report.different), (3, 2));
        assert!(report.explained[0].starts_with("1.1 at 4: /runners/7/price is 2.6"), "{report:?}");
    }

    #[test]
    fn a_side_of_a_book_that_is_empty_must_be_shown_so() {
        let truth = json!({"seq": 3, "last": "1.10", "bids": [], "asks": [["0.51", "2"]]});
        let mut document =
            json!({"extra": {"document": {"seq": 3, "last": "1.10", "asks": [["0.51", "2"]]}}});
        let mut report = Judgement::default();
        compare(Dialect::Books, "b", &truth, &document, &mut report);
        assert!(report.is_equal(), "{report:?}");
        document["extra"]["document"]["bids"] = json!([["0.50", "1"]]);
        compare(Dialect::Books, "b", &truth, &document, &mut report);
        assert_eq!(report.different, 1);
    }

    #[test]
    fn a_note_that_is_gone_must_not_be_shown() {
        let truth =
            json!({"score": {"home": 1, "away": 2}, "corners": {"home": 0}, "home": {"name": "A"}, "zc": 1});
        let mut document = json!({"status": "in_play", "score": {"home": 1, "away": 2}, "home": "A",
            "stats": {"corners": {"home": 0}}, "extra": {"feed": {"zc": "1"}}});
        let mut report = Judgement::default();
        compare(Dialect::Scores, "g", &truth, &document, &mut report);
        assert!(report.is_equal(), "{report:?}");
        document["extra"]["feed"]["note"] = json!("old");
        compare(Dialect::Scores, "g", &truth, &document, &mut report);
        assert_eq!(report.different, 1);
    }
}
