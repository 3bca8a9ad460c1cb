//! The dialect of an odds exchange.
//!
//! Of each runner a last price and two ladders of `[price, size]`, keyed by price; a size of 0 removes. `img` marks a whole, `con` changes
//! that were put together, `clk` what has been seen, `zc` is the number of the newest change. A message holds several topics.

use super::{Asked, Span, Stamp, Topic, Why, Zeros, id_of, text, texts};
use crate::push::script::{Cell, Number};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const RUNNERS: u64 = 3;
const RUNGS: u64 = 4;
/// Of a runner: its last price, its rungs to back and to lay.
const OF_RUNNER: u64 = 1 + 2 * RUNGS;
/// And one for the market's state.
pub(super) const CELLS: u64 = RUNNERS * OF_RUNNER + 1;

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Last,
    Back(u64),
    Lay(u64),
}

pub(super) fn asked(message: &Value) -> Option<Asked> {
    let id = id_of(message);
    let topics = || texts(message.pointer("/marketFilter/marketIds"));
    match message.get("op")?.as_str()? {
        "authentication" => Some(Asked::Login { id, token: text(message.get("session"))? }),
        "marketSubscription" => {
            let resume = text(message.get("clk")).filter(|clk| !clk.is_empty());
            Some(Asked::Subscribe { id, topics: topics()?, resume })
        }
        "marketUnsubscription" => Some(Asked::Unsubscribe { id, topics: topics()? }),
        "heartbeat" => Some(Asked::Heartbeat { id }),
        _ => None,
    }
}

pub(super) fn greeting(connection: u64) -> String {
    json!({"op": "connection", "connectionId": format!("002-{connection}")}).to_string()
}

pub(super) fn done(id: &Value) -> String {
    json!({"op": "status", "id": id, "statusCode": "SUCCESS", "connectionClosed": false}).to_string()
}

pub(super) fn refused(id: &Value, topics: &[String], why: Why) -> String {
    json!({"op": "status", "id": id, "statusCode": "FAILURE", "errorCode": why.word(), "marketIds": topics,
        "connectionClosed": why == Why::Login})
    .to_string()
}

pub(super) fn heartbeat(stamp: Stamp) -> String {
    format!(
        "{{\"op\":\"mcm\",\"id\":0,\"clk\":\"{:x}\",\"pt\":{},\"ct\":\"HEARTBEAT\"}}",
        stamp.changes, stamp.at
    )
}

pub(super) fn pack(parts: &[String], stamp: Stamp) -> String {
    format!(
        "{{\"op\":\"mcm\",\"id\":0,\"clk\":\"{:x}\",\"pt\":{},\"mc\":[{}]}}",
        stamp.changes,
        stamp.at,
        parts.join(",")
    )
}

pub(super) fn image(topic: Topic<'_>, number: Number) -> String {
    let mut image = document(topic, number);
    if let Value::Object(members) = &mut image {
        members.insert("img".to_owned(), Value::Bool(true));
    }
    image.to_string()
}

pub(super) fn delta(topic: Topic<'_>, span: Span) -> String {
    let cells = topic.script.changed(topic.slot, span.from, span.to);
    let mut members = described(topic, &cells, Zeros::Written);
    if span.to > span.from + 1 {
        members.insert("con".to_owned(), Value::Bool(true));
    }
    members.insert("zc".to_owned(), span.to.into());
    Value::Object(members).to_string()
}

pub(super) fn document(topic: Topic<'_>, number: Number) -> Value {
    let mut members = described(topic, &topic.script.cells(topic.slot, number), Zeros::LeftOut);
    members.insert("zc".to_owned(), number.into());
    Value::Object(members)
}

/// The last prices that each runner ever had up to change `number`, by its id.
pub(super) fn prices(topic: Topic<'_>, number: Number) -> BTreeMap<String, Vec<f64>> {
    let of = |runner: u64| {
        let course = topic.script.course(topic.slot, runner * OF_RUNNER, number);
        let mut prices: Vec<f64> = course.map(|cell| last_price(topic, cell) as f64 / 100.0).collect();
        prices.dedup();
        (runner_id(runner).to_string(), prices)
    };
    (0..RUNNERS).map(of).collect()
}

/// What these cells say, in the order of the runners.
fn described(topic: Topic<'_>, cells: &[Cell], zeros: Zeros) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("id".to_owned(), topic.id.into());
    let mut runners: Vec<Value> = Vec::new();
    for runner in 0..RUNNERS {
        let of_runner =
            cells.iter().filter(|cell| cell.place / OF_RUNNER == runner && cell.place < CELLS - 1);
        let told = runner_of(topic, runner, of_runner, zeros);
        runners.extend(told.map(Value::Object));
    }
    if !runners.is_empty() {
        members.insert("rc".to_owned(), Value::Array(runners));
    }
    if let Some(state) = cells.iter().find(|cell| cell.place == CELLS - 1) {
        members.insert("marketDefinition".to_owned(), definition(topic, *state));
    }
    members
}

fn runner_of<'c>(
    topic: Topic<'_>,
    runner: u64,
    cells: impl Iterator<Item = &'c Cell>,
    zeros: Zeros,
) -> Option<Map<String, Value>> {
    let mut told = Map::new();
    for cell in cells {
        let (ladder, price) = match what(cell.place % OF_RUNNER) {
            What::Last => {
                told.insert("ltp".to_owned(), hundredths(last_price(topic, *cell)));
                continue;
            }
            What::Back(rung) => ("atb", price(runner).saturating_sub(2 * rung)),
            What::Lay(rung) => ("atl", price(runner) + 2 * (rung + 1)),
        };
        let size = size(topic, *cell);
        if size == 0 && zeros == Zeros::LeftOut {
            continue;
        }
        let rungs = told.entry(ladder).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(rungs) = rungs {
            rungs.push(json!([hundredths(price), hundredths(size)]));
        }
    }
    if told.is_empty() {
        return None;
    }
    told.insert("id".to_owned(), runner_id(runner).into());
    Some(told)
}

/// In hundredths.
fn last_price(topic: Topic<'_>, cell: Cell) -> u64 {
    101 + topic.script.value(topic.slot, cell, 900)
}

fn what(place: u64) -> What {
    match place {
        0 => What::Last,
        place if place <= RUNGS => What::Back(place - 1),
        place => What::Lay(place - 1 - RUNGS),
    }
}

/// The middle of a runner's ladders, in hundredths.
fn price(runner: u64) -> u64 {
    180 + runner * 80
}

fn size(topic: Topic<'_>, cell: Cell) -> u64 {
    let value = topic.script.value(topic.slot, cell, 50_000);
    // Every fifth rung is empty.
    if value.is_multiple_of(5) { 0 } else { value + 200 }
}

fn runner_id(runner: u64) -> u64 {
    2_857_900 + runner
}

fn definition(topic: Topic<'_>, state: Cell) -> Value {
    let suspended = topic.script.value(topic.slot, state, 8) == 0;
    let runners: Vec<Value> = (0..RUNNERS)
        .map(|runner| json!({"id": runner_id(runner), "sortPriority": runner + 1, "status": "ACTIVE"}))
        .collect();
    json!({"status": if suspended { "SUSPENDED" } else { "OPEN" }, "inPlay": true, "betDelay": 5,
        "marketType": "MATCH_ODDS", "version": state.changed, "runners": runners})
}

/// So many hundredths, as a number.
fn hundredths(value: u64) -> Value {
    json!(value as f64 / 100.0)
}
