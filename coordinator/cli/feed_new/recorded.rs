//! Recorded messages of a server, and where in them something stands.
//!
//! Pure. A file has one message, or one a line; an array of messages is several of them. A way through a message is bounded in depth and in
//! places, so that any file is looked at in little time.

use serde_json::Value;
use std::fmt;

/// Members and items of a message that are looked at.
const PLACES: usize = 4_000;
const DEPTH: usize = 7;
/// Messages of a file that are looked at.
const MESSAGES: usize = 200;
/// Characters of a word, at most.
const WORD: usize = 48;

/// What recorded messages are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Snapshot,
    Delta,
    Removed,
    Ignored,
    Acknowledged,
    Refused,
    Greeting,
    /// The answer to a login.
    Accepted,
}

impl Said {
    pub(super) const ALL: [Said; 8] = [
        Said::Snapshot,
        Said::Delta,
        Said::Removed,
        Said::Ignored,
        Said::Acknowledged,
        Said::Refused,
        Said::Greeting,
        Said::Accepted,
    ];

    /// The option that has a file of them.
    pub(super) fn option(self) -> &'static str {
        match self {
            Said::Snapshot => "snapshot",
            Said::Delta => "delta",
            Said::Removed => "removed",
            Said::Ignored => "ignored",
            Said::Acknowledged => "acknowledged",
            Said::Refused => "refused",
            Said::Greeting => "greeting",
            Said::Accepted => "accepted",
        }
    }
}

/// All that was recorded, in the order in which it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded(Vec<(Said, Value)>);

impl Recorded {
    /// Adds the messages of a file.
    ///
    /// # Errors
    /// What is no JSON in it.
    pub(super) fn add(&mut self, said: Said, file: &[u8]) -> Result<(), String> {
        let messages = match serde_json::from_slice::<Value>(file) {
            Ok(message) => vec![message],
            Err(_) => lines(file)?,
        };
        if messages.is_empty() {
            return Err("there is no message in it".to_owned());
        }
        for message in messages.into_iter().take(MESSAGES) {
            match message {
                Value::Array(several) => self.0.extend(several.into_iter().map(|one| (said, one))),
                one @ (Value::Object(_)
                | Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)) => self.0.push((said, one)),
            }
        }
        Ok(())
    }

    pub(super) fn of(&self, said: Said) -> Vec<&Value> {
        self.0.iter().filter(|(of, _)| *of == said).map(|(_, message)| message).collect()
    }

    /// Those that have something of topics.
    pub(super) fn data(&self) -> Vec<(Said, &Value)> {
        let is_data = |said: Said| matches!(said, Said::Snapshot | Said::Delta | Said::Removed);
        self.0.iter().filter(|(said, _)| is_data(*said)).map(|(said, message)| (*said, message)).collect()
    }
}

/// One message a line.
fn lines(file: &[u8]) -> Result<Vec<Value>, String> {
    let mut messages = Vec::new();
    for (n, line) in file.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let message = serde_json::from_slice(line);
        messages.push(message.map_err(|error| format!("line {} is no JSON: {error}", n + 1))?);
    }
    Ok(messages)
}

/// The way to a place: names of members and places of items.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way(pub(super) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Member(String),
    Item(usize),
}

impl Way {
    fn with(&self, step: Step) -> Way {
        let mut steps = self.0.clone();
        steps.push(step);
        Way(steps)
    }

    pub(super) fn members(names: &[&str]) -> Way {
        Way(names.iter().map(|name| Step::Member((*name).to_owned())).collect())
    }

    /// The name of the last member on it.
    pub(super) fn name(&self) -> &str {
        self.0
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Member(name) => Some(name.as_str()),
                Step::Item(_) => None,
            })
            .unwrap_or_default()
    }

    pub(super) fn is_of_members(&self) -> bool {
        self.0.iter().all(|step| matches!(step, Step::Member(_)))
    }

    pub(super) fn is_below(&self, other: &Way) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Before the first item of an array, and behind it.
    pub(super) fn split_at_item(&self) -> Option<(Way, Way)> {
        let place = self.0.iter().position(|step| matches!(step, Step::Item(_)))?;
        Some((Way(self.0.get(..place)?.to_vec()), Way(self.0.get(place + 1..)?.to_vec())))
    }

    pub(super) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Item(place) => value.get(place),
        })
    }
}

/// As a JSON pointer.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Member(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Item(place) => write!(f, "/{place}"),
        })
    }
}

/// Everything in a value with the way to it, what is outside first.
pub(super) fn places(value: &Value) -> Vec<(Way, &Value)> {
    let mut all = vec![(Way::default(), value)];
    let mut next = 0;
    while let Some((way, value)) = all.get(next).map(|(way, value)| (way.clone(), *value)) {
        next += 1;
        if way.0.len() >= DEPTH || all.len() >= PLACES {
            continue;
        }
        match value {
            Value::Object(members) => {
                let members = members.iter();
                all.extend(members.map(|(name, value)| (way.with(Step::Member(name.clone())), value)));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                all.extend(items.map(|(place, value)| (way.with(Step::Item(place)), value)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    all
}

/// A text or a number as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text that may name a kind: it begins with a letter and has no blanks.
pub(super) fn word(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let is_word =
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= WORD && text.chars().all(plain);
    is_word.then_some(text)
}

/// How early a name stands among those that are usual; those that do not come last.
pub(super) fn rank(name: &str, usual: &[&str]) -> usize {
    let name = name.to_ascii_lowercase();
    usual.iter().position(|known| *known == name).unwrap_or(usual.len())
}
