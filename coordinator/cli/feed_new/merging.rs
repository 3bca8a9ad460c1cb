//! Guesses of numbers, of what a delta does, and of what a document says of a match. Pure; caller: `guess`.

use super::guess::{Item, Noted};
use super::recorded::{Said, Step, Way, places, rank, scalar};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const NUMBER: [&str; 21] = [
    "seq",
    "sequence",
    "seqnum",
    "seq_num",
    "seqno",
    "sequencenumber",
    "sequence_number",
    "seqid",
    "version",
    "ver",
    "revision",
    "rev",
    "updateid",
    "update_id",
    "lastupdateid",
    "u",
    "offset",
    "serial",
    "nonce",
    "number",
    "n",
];
const KEY: [&str; 12] = [
    "id",
    "key",
    "selectionid",
    "selection_id",
    "runnerid",
    "runner_id",
    "price",
    "p",
    "level",
    "name",
    "code",
    "symbol",
];
const AMOUNT: [&str; 9] = ["size", "amount", "qty", "quantity", "volume", "vol", "s", "q", "v"];

/// Where numbers stand, and how they go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) at: Way,
    pub(super) rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Next,
    /// The number before is there.
    Previous(Way),
    Rising,
}

/// What a delta does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deltas {
    Replace,
    Merge,
    Patch,
    Keyed { key: String, amount: String },
}

/// The number of items of the first topic.
pub(super) fn sequence(all: &[Item<'_>], topic: Option<&Way>) -> Noted<Option<Sequence>> {
    let of = |one: &Item<'_>| topic.and_then(|topic| scalar(topic.find(one.item)?));
    let first = all.iter().find(|one| one.said == Said::Snapshot).or_else(|| all.first()).and_then(of);
    let course: Vec<&Value> =
        all.iter().filter(|one| one.said != Said::Removed && of(one) == first).map(|one| one.item).collect();
    let Some(newest) = course.last() else { return none() };
    let places = places(newest);
    let mut named: Vec<&Way> = places
        .iter()
        .filter(|(way, value)| rank(way.name(), &NUMBER) < NUMBER.len() && whole(value).is_some())
        .map(|(way, _)| way)
        .collect();
    named.sort_by_key(|way| (rank(way.name(), &NUMBER), way.0.len()));
    let mut rising: Option<Sequence> = None;
    for at in named {
        let numbers: Option<Vec<u64>> = course.iter().map(|item| whole(at.find(item)?)).collect();
        let Some(numbers) = numbers else { continue };
        let pairs: Vec<(u64, u64)> = numbers.iter().copied().zip(numbers.iter().copied().skip(1)).collect();
        if pairs.iter().any(|(before, after)| after <= before) {
            continue;
        }
        let names_before = |(way, _): &&(Way, &Value)| {
            let before = course.iter().skip(1).map(|item| whole(way.find(item)?));
            way != at && before.zip(&pairs).all(|(named, (before, _))| named == Some(*before))
        };
        if !pairs.is_empty()
            && let Some((from, _)) = places.iter().find(names_before)
        {
            let guess = Some(Sequence { at: at.clone(), rule: Rule::Previous(from.clone()) });
            return Noted { guess, note: "each item names the number of the one before it" };
        }
        if !pairs.is_empty() && pairs.iter().all(|(before, after)| *after == before + 1) {
            let guess = Some(Sequence { at: at.clone(), rule: Rule::Next });
            return Noted { guess, note: "numbers rise by one from item to item" };
        }
        rising = rising.or(Some(Sequence { at: at.clone(), rule: Rule::Rising }));
    }
    match rising {
        Some(guess) => {
            let note = "numbers rise, not by one: what is missing does not show; record items that follow one another, and see the rules";
            Noted { guess: Some(guess), note }
        }
        None => none(),
    }
}

fn none() -> Noted<Option<Sequence>> {
    let note = "no number was found by which a missing delta would show: if the server has one, say where";
    Noted { guess: None, note }
}

fn whole(value: &Value) -> Option<u64> {
    scalar(value)?.parse().ok()
}

/// What the recorded deltas do to the recorded snapshots.
pub(super) fn merge(all: &[Item<'_>], body: Option<&Way>) -> Noted<Deltas> {
    let bodies = |said: Said| -> Vec<&Value> {
        let of = all.iter().filter(|one| one.said == said);
        of.filter_map(|one| body.map_or(Some(one.item), |body| body.find(one.item))).collect()
    };
    let (snapshots, deltas) = (bodies(Said::Snapshot), bodies(Said::Delta));
    if deltas.is_empty() {
        return Noted { guess: Deltas::Replace, note: "no delta was recorded" };
    }
    if deltas.iter().all(|delta| is_patch(delta)) {
        return Noted { guess: Deltas::Patch, note: "deltas are lists of operations (RFC 6902)" };
    }
    let Some(snapshot) = snapshots.first() else {
        return Noted {
            guess: Deltas::Replace,
            note: "no snapshot was recorded: say what a delta does to one",
        };
    };
    if deltas.iter().all(|delta| has_all(snapshot, delta)) {
        return Noted { guess: Deltas::Replace, note: "deltas have all that a snapshot has" };
    }
    let bodies: Vec<&Value> = snapshots.iter().chain(&deltas).copied().collect();
    if let Some(keyed) = keyed(&bodies, &deltas) {
        let note = "items of arrays are known by a member of theirs, pairs by their first";
        return Noted { guess: keyed, note };
    }
    let note =
        "deltas have some members of a snapshot; if null is a value and does not remove, say \"deep-merge\"";
    Noted { guess: Deltas::Merge, note }
}

/// A list of operations of RFC 6902.
pub(super) fn is_patch(delta: &Value) -> bool {
    let is_operation = |value: &Value| value.get("op").is_some() && value.get("path").is_some();
    delta.as_array().is_some_and(|operations| !operations.is_empty() && operations.iter().all(is_operation))
}

/// Whether a delta has every member of a snapshot, and no shorter arrays.
fn has_all(snapshot: &Value, delta: &Value) -> bool {
    let (Some(whole), Some(part)) = (snapshot.as_object(), delta.as_object()) else { return false };
    whole.iter().all(|(name, value)| match (value, part.get(name)) {
        (_, None) => flag_like(value),
        (Value::Array(whole), Some(Value::Array(part))) => part.len() >= whole.len(),
        (_, Some(_)) => true,
    })
}

/// What may mark a snapshot and is no part of a document.
fn flag_like(value: &Value) -> bool {
    value.is_boolean()
}

/// The member by which items of arrays are known, if a delta has arrays of such items.
fn keyed(bodies: &[&Value], deltas: &[&Value]) -> Option<Deltas> {
    let arrays: Vec<&Vec<Value>> = bodies.iter().flat_map(|body| arrays(body)).collect();
    let of_objects: Vec<Vec<&Map<String, Value>>> = arrays
        .iter()
        .filter_map(|items| items.iter().map(Value::as_object).collect::<Option<Vec<_>>>())
        .filter(|items| !items.is_empty())
        .collect();
    let in_deltas = || deltas.iter().flat_map(|delta| self::arrays(delta));
    let has_pairs = in_deltas().any(|items| !items.is_empty() && items.iter().all(is_pair));
    let has_objects = in_deltas().any(|items| items.iter().any(Value::is_object));
    let mut names: BTreeSet<&str> =
        of_objects.iter().flatten().flat_map(|item| item.keys()).map(String::as_str).collect();
    names.retain(|name| of_objects.iter().all(|items| is_key(name, items)));
    let key = names.into_iter().min_by_key(|name| rank(name, &KEY)).filter(|_| has_objects);
    let amount = |key: &str| {
        let items = || of_objects.iter().flatten();
        let has = |name: &&&str| {
            let there = |item: &&&Map<String, Value>| item.contains_key(**name);
            items().all(|item| item.len() == 2 && item.contains_key(**name))
                || items().filter(there).any(|item| item.get(**name).is_some_and(is_nothing))
        };
        AMOUNT
            .iter()
            .find(|name| **name != key && has(name))
            .map(|name| (*name).to_owned())
            .unwrap_or_default()
    };
    match key {
        Some(key) => Some(Deltas::Keyed { key: key.to_owned(), amount: amount(key) }),
        // Any member does: pairs are known by their first item.
        None if has_pairs => Some(Deltas::Keyed { key: "id".to_owned(), amount: String::new() }),
        None => None,
    }
}

fn arrays(body: &Value) -> Vec<&Vec<Value>> {
    places(body).into_iter().filter_map(|(_, value)| value.as_array()).collect()
}

fn is_pair(value: &Value) -> bool {
    value.as_array().is_some_and(|items| {
        (2..=4).contains(&items.len()) && items.iter().all(|item| scalar(item).is_some() || item.is_null())
    })
}

fn is_key(name: &str, items: &[&Map<String, Value>]) -> bool {
    let values: Option<BTreeSet<String>> = items.iter().map(|item| scalar(item.get(name)?)).collect();
    values.is_some_and(|values| values.len() == items.len())
}

/// Zero or null.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || scalar(value).and_then(|text| text.parse::<f64>().ok()) == Some(0.0)
}

/// What usual members of the document say of the match: settings and their values as they are written.
pub(super) fn reading(all: &[Item<'_>], body: Option<&Way>) -> Vec<(&'static str, String)> {
    let snapshot = all.iter().find(|one| one.said == Said::Snapshot).or_else(|| all.first());
    let Some(document) = snapshot.and_then(|one| body.map_or(Some(one.item), |body| body.find(one.item)))
    else {
        return Vec::new();
    };
    let there = |ways: &[&'static [&'static str]]| {
        let ways = ways.iter().map(|names| Way::members(names));
        ways.into_iter().find(|way| way.find(document).is_some_and(|value| scalar(value).is_some()))
    };
    let one: [(&'static str, &[&'static [&'static str]]); 5] = [
        ("title", &[&["title"], &["name"]]),
        ("sport", &[&["sport"]]),
        ("home", &[&["home", "name"], &["home"], &["homeTeam", "name"], &["home_team"]]),
        ("away", &[&["away", "name"], &["away"], &["awayTeam", "name"], &["away_team"]]),
        ("state", &[&["status"], &["state"]]),
    ];
    let mut found: Vec<(&'static str, String)> =
        one.iter().filter_map(|(key, ways)| Some((*key, format!("\"{}\"", there(ways)?)))).collect();
    let sides = (
        there(&[&["score", "home"], &["homeScore"], &["home_score"]]),
        there(&[&["score", "away"], &["awayScore"], &["away_score"]]),
    );
    if let (Some(home), Some(away)) = sides {
        found.push(("score", format!("{{ home = \"{home}\", away = \"{away}\" }}")));
    }
    found
}

/// The name of the member in which the number of a subscription stands: `{N}` in the template.
pub(super) fn number_member(subscribe: &str) -> Option<String> {
    const NUMBER: u64 = 987_654_321;
    let text =
        subscribe.replace("{N}", &NUMBER.to_string()).replace("{TOPICS}", "[]").replace("{TOPIC}", "x");
    let message: Value = serde_json::from_str(&text).ok()?;
    let all = places(&message);
    let (way, _) = all.iter().find(|(_, value)| value.as_u64() == Some(NUMBER))?;
    match way.0.last()? {
        Step::Member(name) => Some(name.clone()),
        Step::Item(_) => None,
    }
}
