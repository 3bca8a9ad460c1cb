//! From recorded messages to what a configuration says of them: where the topic stands, what an item is, what a delta does.
//!
//! Pure. Each guess has a note for people: by what it was made, or what to look at. What is not found is left out, and the note says so.
//! `merging` guesses numbers and deltas. Caller: `text`.

use super::merging;
use super::recorded::{Recorded, Said, Way, places, rank, scalar, word};
use serde_json::Value;
use std::collections::BTreeSet;

/// Usual names, all in lower case, the best first.
const TOPIC: [&str; 21] = [
    "topic",
    "channel",
    "marketid",
    "market",
    "market_id",
    "instrument",
    "instid",
    "symbol",
    "product_id",
    "asset_id",
    "game_id",
    "match_id",
    "event_id",
    "fixture_id",
    "gameid",
    "matchid",
    "eventid",
    "id",
    "s",
    "pair",
    "stream",
];
const BODY: [&str; 8] = ["data", "payload", "body", "content", "document", "doc", "params", "d"];
const KIND: [&str; 14] = [
    "type",
    "op",
    "action",
    "event",
    "kind",
    "msg_type",
    "messagetype",
    "message_type",
    "update_type",
    "event_type",
    "msgtype",
    "e",
    "ct",
    "t",
];
const ANSWER: [&str; 16] = [
    "statuscode",
    "status",
    "result",
    "success",
    "event",
    "type",
    "op",
    "action",
    "kind",
    "msg_type",
    "messagetype",
    "code",
    "method",
    "errorcode",
    "error",
    "e",
];
const WHY: [&str; 9] = [
    "reason",
    "message",
    "msg",
    "errormessage",
    "error_message",
    "errorcode",
    "code",
    "error",
    "description",
];

/// Where a member is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Item,
    Message,
}

/// A condition: at a place one of some words, or anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) at: Way,
    /// As it is written in the configuration; empty: anything but null and false.
    pub(super) is: Vec<String>,
    pub(super) of: Of,
}

/// What answers a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) when: When,
    pub(super) topic: Option<Way>,
    pub(super) number: Option<Way>,
    pub(super) why: Option<Way>,
}

/// A guess and by what it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted<T> {
    pub(super) guess: T,
    pub(super) note: &'static str,
}

/// All that was guessed.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    pub(super) items: Option<Way>,
    /// None: items are the members of an object, by topic.
    pub(super) topic: Noted<Option<Way>>,
    pub(super) body: Option<Way>,
    pub(super) snapshot: Noted<Option<When>>,
    pub(super) delta: Option<When>,
    pub(super) removed: Option<When>,
    pub(super) ignored: Vec<When>,
    pub(super) acknowledged: Option<Answer>,
    pub(super) refused: Option<Answer>,
    pub(super) greeting: Option<When>,
    pub(super) accepted: Option<When>,
    pub(super) sequence: Noted<Option<merging::Sequence>>,
    pub(super) merge: Noted<merging::Deltas>,
    pub(super) reading: Vec<(&'static str, String)>,
}

/// An item of a recorded message.
#[derive(Clone, Copy)]
pub(super) struct Item<'r> {
    pub(super) said: Said,
    message: &'r Value,
    pub(super) item: &'r Value,
}

/// What is known beside the messages: the topics, and the member of a subscription in which its number is.
pub(super) struct Known<'a> {
    pub(super) topics: &'a [String],
    pub(super) number: Option<String>,
}

impl Known<'_> {
    fn is_topic(&self, value: &Value) -> bool {
        scalar(value).is_some_and(|text| self.topics.contains(&text))
    }
}

/// What the messages say.
///
/// # Errors
/// What is missing in them.
pub(super) fn guess(recorded: &Recorded, known: &Known<'_>) -> Result<Guess, String> {
    let data = recorded.data();
    let (items, topic) = topic(&data, known).ok_or(
        "no message has one of the topics, or a member with a usual name for it: name the recorded topic among the topics",
    )?;
    let all = items_of(&data, items.as_ref(), topic.guess.as_ref());
    if all.is_empty() {
        return Err("no item has a topic: record a snapshot or a delta of one of the topics".to_owned());
    }
    let body = body(&all);
    let kinds = Kinds { all: &all, items: items.as_ref(), topic: topic.guess.as_ref(), body: body.as_ref() };
    let (snapshot, delta) = kinds.snapshot_and_delta();
    let rest: Vec<&Value> = data.iter().map(|(_, message)| *message).collect();
    let refused = recorded.of(Said::Refused);
    let control = |said: Said, others: &[&Value]| control(&recorded.of(said), others, known);
    let beside = |more: &[Said]| {
        let more = more.iter().flat_map(|said| recorded.of(*said));
        rest.iter().copied().chain(more).collect::<Vec<&Value>>()
    };
    Ok(Guess {
        removed: kinds.removed(),
        ignored: each_ignored(&recorded.of(Said::Ignored), &rest, known, items.as_ref()),
        acknowledged: control(Said::Acknowledged, &beside(&[Said::Ignored, Said::Refused]))
            .map(|when| answer(when, &recorded.of(Said::Acknowledged), known))
            .filter(|answer| answer.topic.is_some() || answer.number.is_some()),
        refused: control(Said::Refused, &beside(&[Said::Ignored, Said::Acknowledged]))
            .map(|when| answer(when, &refused, known)),
        greeting: control(Said::Greeting, &[]),
        accepted: control(Said::Accepted, &beside(&[Said::Greeting, Said::Refused])),
        sequence: merging::sequence(&all, topic.guess.as_ref()),
        merge: merging::merge(&all, body.as_ref()),
        reading: merging::reading(&all, body.as_ref()),
        items,
        topic,
        body,
        snapshot,
        delta,
    })
}

/// Where items are, and in them their topics.
fn topic(data: &[(Said, &Value)], known: &Known<'_>) -> Option<(Option<Way>, Noted<Option<Way>>)> {
    let by_value = |_: &Way, value: &Value| known.is_topic(value);
    if let Some((items, topic)) = best_topic(data, &by_value) {
        return Some((items, Noted { guess: Some(topic), note: "one of the topics stands there" }));
    }
    if let Some(items) = object_by_topic(data, known) {
        let note = "items are the members of an object, each under its topic";
        return Some((Some(items), Noted { guess: None, note }));
    }
    let by_name =
        |way: &Way, value: &Value| scalar(value).is_some() && rank(way.name(), &TOPIC) < TOPIC.len();
    let (items, topic) = best_topic(data, &by_name)?;
    let note = "by its name alone: none of the topics was found in the messages, so look whether it is right";
    Some((items, Noted { guess: Some(topic), note }))
}

/// The place that most messages have, then the one of the most usual name.
fn best_topic(data: &[(Said, &Value)], is: &dyn Fn(&Way, &Value) -> bool) -> Option<(Option<Way>, Way)> {
    let mut found: Vec<(Option<Way>, Way)> = Vec::new();
    for (_, message) in data {
        let mut here = BTreeSet::new();
        for (way, _) in places(message).into_iter().filter(|(way, value)| is(way, value)) {
            let split = way.split_at_item();
            let place = split.map_or((None, way), |(items, rest)| (Some(items), rest));
            if place.1.is_of_members() && !place.1.0.is_empty() {
                here.insert(place);
            }
        }
        found.extend(here);
    }
    let count = |place: &(Option<Way>, Way)| found.iter().filter(|one| *one == place).count();
    let best = |place: &&(Option<Way>, Way)| {
        let length = place.1.0.len() + place.0.as_ref().map_or(0, |items| items.0.len());
        (std::cmp::Reverse(count(place)), rank(place.1.name(), &TOPIC), length)
    };
    found.iter().min_by_key(best).cloned()
}

fn object_by_topic(data: &[(Said, &Value)], known: &Known<'_>) -> Option<Way> {
    let (_, message) = data.first()?;
    let has = |value: &Value| {
        value.as_object().is_some_and(|members| known.topics.iter().any(|topic| members.contains_key(topic)))
    };
    let mut all = places(message).into_iter();
    all.find(|(way, value)| way.is_of_members() && !way.0.is_empty() && has(value)).map(|(way, _)| way)
}

fn items_of<'r>(data: &[(Said, &'r Value)], items: Option<&Way>, topic: Option<&Way>) -> Vec<Item<'r>> {
    let has_topic = |item: &Value| topic.is_none_or(|topic| topic.find(item).is_some());
    let mut all = Vec::new();
    for (said, message) in data {
        let of: Vec<&Value> = match items.map(|items| items.find(message)) {
            None => vec![*message],
            Some(None) => Vec::new(),
            Some(Some(Value::Object(members))) => members.values().collect(),
            Some(Some(Value::Array(items))) => items.iter().collect(),
            Some(Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => Vec::new(),
        };
        let of = of.into_iter().filter(|item| has_topic(item));
        all.extend(of.map(|item| Item { said: *said, message, item }));
    }
    all
}

/// A member with a usual name that all have, and that has members or items itself.
fn body(all: &[Item<'_>]) -> Option<Way> {
    let held = |one: &&Item<'_>| one.said != Said::Removed;
    let of = |name: &&&str| {
        let has =
            |one: &Item<'_>| one.item.get(**name).is_some_and(|body| body.is_object() || body.is_array());
        all.iter().filter(held).all(has)
    };
    let name = BODY.iter().find(of)?;
    let way = Way::members(&[name]);
    let is_one = |one: &Item<'_>| {
        let body = way.find(one.item).and_then(Value::as_array);
        body.is_some_and(|items| items.len() == 1 && items.iter().all(Value::is_object))
    };
    // An array of one object has the object as the body, unless it is a patch.
    let is_patch = all.iter().any(|one| way.find(one.item).is_some_and(merging::is_patch));
    if all.iter().filter(held).all(is_one) && !is_patch {
        return Some(Way(way.0.into_iter().chain([super::recorded::Step::Item(0)]).collect()));
    }
    Some(way)
}

/// What tells kinds of items from one another.
struct Kinds<'a, 'r> {
    all: &'a [Item<'r>],
    items: Option<&'a Way>,
    topic: Option<&'a Way>,
    body: Option<&'a Way>,
}

impl Kinds<'_, '_> {
    fn snapshot_and_delta(&self) -> (Noted<Option<When>>, Option<When>) {
        let is = |said: Said| self.all.iter().any(|one| one.said == said);
        if !is(Said::Delta) {
            let note = "no delta was recorded: each item is taken as the whole document";
            return (Noted { guess: None, note }, None);
        }
        if !is(Said::Snapshot) {
            let note = "no snapshot was recorded: the first item after each subscription is taken as one";
            return (Noted { guess: None, note }, None);
        }
        if let Some((snapshot, delta)) = self.words() {
            return (Noted { guess: Some(snapshot), note: "a word that deltas do not have" }, Some(delta));
        }
        if let Some(flag) = self.flag() {
            return (Noted { guess: Some(flag), note: "a flag that deltas do not have" }, None);
        }
        let note =
            "nothing tells a snapshot from a delta: the first item after each subscription is taken as one";
        (Noted { guess: None, note }, None)
    }

    /// Where both have a word, and none of the other's.
    fn words(&self) -> Option<(When, When)> {
        let mut found = Vec::new();
        for (of, at) in self.scalars(Said::Snapshot) {
            let words = |said: Said| self.words_at(of, &at, said).filter(|words| words.len() <= 3);
            let (Some(whole), Some(part)) = (words(Said::Snapshot), words(Said::Delta)) else { continue };
            if whole.is_disjoint(&part) {
                found.push((rank(at.name(), &KIND), of, at, whole, part));
            }
        }
        // A word under an unusual name may be chance, or a token, unless several deltas have the same.
        let several = self.all.iter().filter(|one| one.said == Said::Delta).count() > 1;
        let is_one = |words: &BTreeSet<String>| words.len() == 1 && words.iter().all(|word| is_plain(word));
        let usual = |(rank, _, _, whole, part): &&(usize, Of, Way, BTreeSet<String>, BTreeSet<String>)| {
            *rank < KIND.len() || (several && is_one(whole) && is_one(part))
        };
        let (_, of, at, whole, part) = found.iter().filter(usual).min_by_key(|(rank, ..)| *rank)?;
        let when = |words: &BTreeSet<String>| When { at: at.clone(), is: quoted(words), of: *of };
        Some((when(whole), when(part)))
    }

    /// The words at a place, if all have one there.
    fn words_at(&self, of: Of, at: &Way, said: Said) -> Option<BTreeSet<String>> {
        let all = self.all.iter().filter(|one| one.said == said);
        all.map(|one| Some(word(at.find(one.at(of))?)?.to_owned())).collect()
    }

    /// What is true in all snapshots and in no delta, or a word of a usual name that only snapshots have.
    fn flag(&self) -> Option<When> {
        let snapshots = || self.all.iter().filter(|one| one.said == Said::Snapshot);
        let deltas = || self.all.iter().filter(|one| one.said == Said::Delta);
        for (of, at) in self.scalars(Said::Snapshot) {
            let value = |one: &Item<'_>| at.find(one.at(of)).cloned();
            if snapshots().all(|one| value(one) == Some(Value::Bool(true)))
                && deltas().all(|one| value(one) != Some(Value::Bool(true)))
            {
                return Some(When { at, is: vec!["true".to_owned()], of });
            }
            if rank(at.name(), &KIND) < KIND.len()
                && let Some(words) = self.words_at(of, &at, Said::Snapshot)
                && deltas().all(|one| value(one).is_none())
            {
                return Some(When { at, is: quoted(&words), of });
            }
        }
        None
    }

    fn removed(&self) -> Option<When> {
        let mut found = Vec::new();
        for (of, at) in self.scalars(Said::Removed) {
            let Some(words) = self.words_at(of, &at, Said::Removed) else { continue };
            let other = |one: &Item<'_>| {
                let there = at.find(one.at(of)).and_then(word);
                one.said != Said::Removed && there.is_some_and(|there| words.contains(there))
            };
            let is_usual = rank(at.name(), &KIND) < KIND.len();
            if (is_usual || words.iter().all(|word| is_plain(word))) && !self.all.iter().any(other) {
                found.push((rank(at.name(), &KIND), When { is: quoted(&words), at, of }));
            }
        }
        found.into_iter().min_by_key(|(rank, _)| *rank).map(|(_, when)| when)
    }

    /// Texts and flags of the first item of a kind outside its body, and beside the items.
    fn scalars(&self, said: Said) -> Vec<(Of, Way)> {
        let Some(first) = self.all.iter().find(|one| one.said == said) else { return Vec::new() };
        let is_flat =
            |way: &Way, value: &Value| way.is_of_members() && (value.is_string() || value.is_boolean());
        let is_body = |way: &Way| self.body.is_some_and(|body| way.is_below(body));
        let mut all: Vec<(Of, Way)> = places(first.item)
            .into_iter()
            .filter(|(way, value)| is_flat(way, value) && !is_body(way) && Some(way) != self.topic)
            .map(|(way, _)| (Of::Item, way))
            .collect();
        if self.items.is_some() {
            let message = places(first.message).into_iter().filter(|(way, value)| is_flat(way, value));
            all.extend(message.map(|(way, _)| (Of::Message, way)));
        }
        all
    }
}

impl Item<'_> {
    fn at(&self, of: Of) -> &Value {
        match of {
            Of::Item => self.item,
            Of::Message => self.message,
        }
    }
}

/// Tokens mostly have digits.
fn is_plain(word: &str) -> bool {
    !word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Words as they are written in the configuration.
fn quoted(words: &BTreeSet<String>) -> Vec<String> {
    words.iter().map(|word| format!("\"{word}\"")).collect()
}

/// A word that all messages of a kind have and none of the others, or a member that they alone have.
fn control(messages: &[&Value], others: &[&Value], known: &Known<'_>) -> Option<When> {
    let first = messages.first()?;
    let mut words = Vec::new();
    let mut members = Vec::new();
    for (at, value) in places(first) {
        if !at.is_of_members() || at.0.is_empty() || known.is_topic(value) {
            continue;
        }
        let (answer, kind) = (rank(at.name(), &ANSWER), rank(at.name(), &KIND));
        let is_usual = answer < ANSWER.len() || kind < KIND.len();
        let rank = (if answer < ANSWER.len() { answer } else { answer + kind }, at.0.len());
        if word(value).is_some() {
            let all: Option<BTreeSet<String>> =
                messages.iter().map(|message| at.find(message).and_then(word).map(str::to_owned)).collect();
            let is_telling = |all: &BTreeSet<String>| {
                all.len() <= 3 && (is_usual || all.iter().all(|word| is_plain(word)))
            };
            let Some(all) = all.filter(is_telling) else { continue };
            let is_other =
                |message: &&Value| at.find(message).and_then(word).is_some_and(|word| all.contains(word));
            if !others.iter().any(is_other) {
                words.push((rank, When { is: quoted(&all), at, of: Of::Message }));
            }
        } else if messages.iter().all(|message| at.find(message).is_some())
            && !others.iter().any(|message| at.find(message).is_some())
        {
            members.push((rank, When { at, is: Vec::new(), of: Of::Message }));
        }
    }
    let best = |found: Vec<((usize, usize), When)>| found.into_iter().min_by_key(|(rank, _)| *rank);
    best(words).or_else(|| best(members)).map(|(_, when)| when)
}

/// A condition for each ignored message, those that are alike together.
fn each_ignored(messages: &[&Value], rest: &[&Value], known: &Known<'_>, items: Option<&Way>) -> Vec<When> {
    let mut found: Vec<When> = Vec::new();
    for message in messages {
        let Some(when) = control(&[*message], rest, known) else { continue };
        let when = if items.is_some() { when } else { When { of: Of::Item, ..when } };
        if found.contains(&when) {
            continue;
        }
        match found.iter_mut().find(|known| known.at == when.at && !known.is.is_empty()) {
            Some(known) => {
                let new: Vec<String> = when.is.into_iter().filter(|word| !known.is.contains(word)).collect();
                known.is.extend(new);
            }
            None => found.push(when),
        }
    }
    found
}

/// What an answer names.
fn answer(when: When, messages: &[&Value], known: &Known<'_>) -> Answer {
    let all = messages.first().map(|message| places(message)).unwrap_or_default();
    let has_topic = |value: &Value| match value {
        Value::Array(items) => items.iter().any(|item| known.is_topic(item)),
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            known.is_topic(value)
        }
    };
    let topic = all.iter().find(|(way, value)| way.is_of_members() && has_topic(value));
    let number = known.number.as_ref().map(|name| Way::members(&[name]));
    let number = number.filter(|way| all.iter().any(|(known, value)| known == way && value.is_number()));
    let why = all
        .iter()
        .filter(|(way, value)| way.is_of_members() && *way != when.at && scalar(value).is_some())
        .filter(|(way, _)| rank(way.name(), &WHY) < WHY.len())
        .min_by_key(|(way, _)| rank(way.name(), &WHY));
    Answer { topic: topic.map(|(way, _)| way.clone()), number, why: why.map(|(way, _)| way.clone()), when }
}
