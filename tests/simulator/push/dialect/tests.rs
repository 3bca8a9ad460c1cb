use super::*;
use proptest::prelude::*;
use serde_json::json;

const ALL: [(Dialect, Deltas); 4] = [
    (Dialect::Exchange, Deltas::Merge),
    (Dialect::Books, Deltas::Merge),
    (Dialect::Scores, Deltas::Merge),
    (Dialect::Scores, Deltas::Patch),
];

fn script(dialect: Dialect) -> Script {
    Script { seed: 5, topics: 4, cells: dialect.cells() }
}

/// A plain client: what it holds after a part.
fn apply(dialect: Dialect, held: &mut Value, part: &str) {
    let message: Value = serde_json::from_str(part).unwrap();
    match dialect {
        Dialect::Exchange => {
            for (name, value) in message.as_object().unwrap() {
                match name.as_str() {
                    "rc" => value.as_array().unwrap().iter().for_each(|runner| in_runner(held, runner)),
                    "img" | "con" => {}
                    _ => held[name] = value.clone(),
                }
            }
        }
        Dialect::Books => {
            for (name, value) in message.as_object().unwrap() {
                match name.as_str() {
                    "bids" | "asks" => in_ladder(&mut held[name], value),
                    "type" | "prev" => {}
                    _ => held[name] = value.clone(),
                }
            }
        }
        Dialect::Scores => match message["op"].as_str().unwrap() {
            "merge" => merge(held, &message["data"]),
            "patch" => message["data"].as_array().unwrap().iter().for_each(|one| {
                let path = one["path"].as_str().unwrap();
                let (parent, name) = path.rsplit_once('/').unwrap();
                let members = held.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                match one["op"].as_str().unwrap() {
                    "remove" => assert!(members.remove(name).is_some()),
                    op => assert_eq!(
                        members.insert(name.to_owned(), one["value"].clone()).is_some(),
                        op == "replace"
                    ),
                }
            }),
            _ => *held = message["data"].clone(),
        },
    }
}

fn in_runner(held: &mut Value, told: &Value) {
    if held["rc"].is_null() {
        held["rc"] = json!([]);
    }
    let runners = held["rc"].as_array_mut().unwrap();
    let place = runners.iter().position(|runner| runner["id"] == told["id"]).unwrap_or_else(|| {
        runners.push(json!({"id": told["id"]}));
        runners.len() - 1
    });
    for (name, value) in told.as_object().unwrap() {
        match name.as_str() {
            "atb" | "atl" => in_ladder(&mut runners[place][name], value),
            _ => runners[place][name] = value.clone(),
        }
    }
}

fn in_ladder(held: &mut Value, told: &Value) {
    if held.is_null() {
        *held = json!([]);
    }
    let rungs = held.as_array_mut().unwrap();
    for rung in told.as_array().unwrap() {
        rungs.retain(|one| one[0] != rung[0]);
        if rung[1] != json!(0.0) && rung[1] != json!("0") {
            rungs.push(rung.clone());
        }
    }
}

fn merge(held: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else { return *held = patch.clone() };
    if !held.is_object() {
        *held = json!({});
    }
    for (name, value) in members {
        if value.is_null() {
            held.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut held[name], value);
        }
    }
}

/// The same whatever the order of arrays, and without empty ones.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty()))
            .map(|(name, value)| (name.clone(), sorted(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn assert_follows(dialect: Dialect, form: Deltas, from: Number, steps: &[u64]) {
    let script = script(dialect);
    let id = dialect.id(2, 0);
    let topic = Topic { id: &id, slot: 2, script: &script };
    let mut held = Value::Null;
    apply(dialect, &mut held, &dialect.image(topic, from));
    let mut now = from;
    for step in steps {
        let span = Span { from: now, to: now + step };
        apply(dialect, &mut held, &dialect.delta(topic, span, form));
        now = span.to;
        let truth = dialect.document(topic, now);
        assert_eq!(sorted(&held), sorted(&truth), "{dialect:?} {form:?} at {now}");
        assert_eq!(truth[dialect.numbered_by()], json!(now));
    }
}

proptest! {
    #[test]
    fn image_and_deltas_end_in_the_document(from in 0_u64..200, steps in prop::collection::vec(1_u64..40, 0..60)) {
        for (dialect, form) in ALL {
            assert_follows(dialect, form, from, &steps);
        }
    }
}

#[test]
fn requests_are_understood_and_others_are_not() {
    let asked = |dialect: Dialect, message: Value| dialect.asked(&message);
    let topics = vec!["a".to_owned()];
    let message =
        json!({"op": "marketSubscription", "id": 4, "marketFilter": {"marketIds": ["a"]}, "clk": "1f"});
    let wanted = Asked::Subscribe { id: json!(4), topics: topics.clone(), resume: Some("1f".to_owned()) };
    assert_eq!(asked(Dialect::Exchange, message), Some(wanted));
    let message = json!({"type": "unsubscribe", "id": "x", "markets": ["a"]});
    let wanted = Asked::Unsubscribe { id: json!("x"), topics: topics.clone() };
    assert_eq!(asked(Dialect::Books, message), Some(wanted));
    let message = json!({"action": "subscribe", "topics": ["a"]});
    let wanted = Asked::Subscribe { id: Value::Null, topics, resume: None };
    assert_eq!(asked(Dialect::Scores, message), Some(wanted));
    for (dialect, _) in ALL {
        assert_eq!(asked(dialect, json!({"op": 1, "type": null, "action": ["subscribe"]})), None);
        assert_eq!(asked(dialect, json!([])), None);
    }
}

#[test]
fn several_books_travel_as_one_array_and_several_markets_in_one_message() {
    let stamp = Stamp { changes: 31, at: 7 };
    let parts = ["{\"a\":1}".to_owned(), "{\"b\":2}".to_owned()];
    assert_eq!(Dialect::Books.pack(&parts, stamp), ["[{\"a\":1},{\"b\":2}]"]);
    let packed = Dialect::Exchange.pack(&parts, stamp);
    let message: Value = serde_json::from_str(&packed[0]).unwrap();
    assert_eq!((message["mc"].as_array().unwrap().len(), message["clk"].as_str()), (2, Some("1f")));
    assert_eq!(Dialect::Exchange.resumed("1f"), Some(31));
    assert_eq!(Dialect::Scores.pack(&parts, stamp).len(), 2);
}
