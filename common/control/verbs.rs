//! The verbs of the control socket with the arguments of each: the one table that requests are checked with and that `help` shows.
//!
//! Invariant: what is not in the table is refused, the known named, before anything is done: a mistyped argument never makes another
//! command of what was asked, such as a rebalance of its dry run. Arguments are written in snake_case; hyphens are taken, too. The
//! coordinator reads every request through it, also those that the recorder answers.

use super::Code;
use serde_json::{Map, Value, json};

/// Verbs that this build does not have, on the socket and on the command line.
pub const UNBUILT: &[&str] = &["reload", "upgrade", "metrics", "top", "doctor"];

/// What a verb does, and so who may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Look,
    Act,
}

/// What the value of an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Switch,
    Whole,
    Text,
    Worker,
}

type Arg = (&'static str, ArgKind);

#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    pub access: Access,
    args: &'static [Arg],
}

const MATCH: Arg = ("match", ArgKind::Text);
const WORKER: Arg = ("worker", ArgKind::Worker);
/// How long the daemon may work on it.
const TIMEOUT: Arg = ("timeout_ms", ArgKind::Whole);
const FOLLOW: Arg = ("follow", ArgKind::Switch);
const SINCE: Arg = ("since", ArgKind::Whole);
const LIMIT: Arg = ("limit", ArgKind::Whole);
/// One type of rows, or more between commas.
const TYPE: Arg = ("type", ArgKind::Text);
const MARKET: Arg = ("market", ArgKind::Text);

pub const VERBS: &[Verb] = &[
    look("help", &[]),
    look("ping", &[]),
    look("status", &[]),
    look("workers", &[]),
    look("matches", &[("feed", ArgKind::Text), WORKER, ("state", ArgKind::Text), TIMEOUT]),
    look("match", &[MATCH]),
    look("gaps", &[]),
    look("events", &[FOLLOW, SINCE, MATCH, ("lane", ArgKind::Text), TYPE, LIMIT, MARKET]),
    look("odds", &[MATCH, MARKET, FOLLOW, SINCE, LIMIT]),
    look("health", &[]),
    look("wait-ready", &[TIMEOUT]),
    act("drain", &[WORKER, TIMEOUT]),
    act("move", &[MATCH, WORKER, TIMEOUT]),
    act("rebalance", &[("dry_run", ArgKind::Switch), TIMEOUT]),
    act("scale", &[("min", ArgKind::Whole), ("max", ArgKind::Whole), TIMEOUT]),
    act("resync", &[MATCH, TIMEOUT]),
    act("release", &[MATCH, TIMEOUT]),
    act("sink", &[("action", ArgKind::Text), ("name", ArgKind::Text), SINCE, ("lane", ArgKind::Text)]),
    act("log", &[("action", ArgKind::Text), ("filter", ArgKind::Text)]),
    act("stop", &[("now", ArgKind::Switch), TIMEOUT]),
];

const fn look(name: &'static str, args: &'static [Arg]) -> Verb {
    Verb { name, access: Access::Look, args }
}

const fn act(name: &'static str, args: &'static [Arg]) -> Verb {
    Verb { name, access: Access::Act, args }
}

/// The answer to `help`: each verb, who may ask for it, and its arguments with what they take.
pub fn help() -> Value {
    let entries = VERBS.iter().map(|verb| {
        let named = verb.args.iter().map(|(name, kind)| ((*name).to_owned(), Value::from(kind.expected())));
        let args: Map<String, Value> = named.collect();
        json!({ "verb": verb.name, "access": verb.access.name(), "args": args })
    });
    Value::Array(entries.collect())
}

impl Verb {
    /// The verb of this name.
    ///
    /// # Errors
    /// Code and text of the refusal: it is not in this build, or there is none.
    pub fn by_name(name: &str) -> Result<&'static Verb, (Code, String)> {
        if UNBUILT.contains(&name) {
            return Err((Code::Failed, format!("`{name}` is not in this build")));
        }
        VERBS.iter().find(|verb| verb.name == name).ok_or_else(|| {
            let known: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
            (Code::Usage, format!("no such verb: {name}; there are {}", known.join(", ")))
        })
    }

    /// The arguments of a request by their names in the table, each of its kind; those that are null are left out.
    ///
    /// # Errors
    /// The first that is unknown, of another kind or given twice, with what would be right.
    pub fn read(&self, args: Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut read = Map::new();
        for (given, value) in args {
            let name = given.replace('-', "_");
            let Some((_, kind)) = self.args.iter().find(|(known, _)| *known == name) else {
                return Err(format!("{} has no argument {given:?}; {}", self.name, self.known()));
            };
            if value.is_null() {
                continue;
            }
            let Some(value) = kind.read(value) else {
                return Err(format!("{given:?} of {}: expected {}", self.name, kind.expected()));
            };
            if read.insert(name, value).is_some() {
                return Err(format!("{given:?} of {} is given twice, with `-` and with `_`", self.name));
            }
        }
        Ok(read)
    }

    /// The names of its arguments, in snake_case.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.args.iter().map(|(name, _)| *name)
    }

    fn known(&self) -> String {
        let known: Vec<&str> = self.names().collect();
        if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) }
    }
}

impl Access {
    /// As `[control]` names those who may.
    const fn name(self) -> &'static str {
        match self {
            Access::Look => "read",
            Access::Act => "operate",
        }
    }
}

impl ArgKind {
    const fn expected(self) -> &'static str {
        match self {
            ArgKind::Switch => "true or false",
            ArgKind::Whole => "a whole number",
            ArgKind::Text => "text",
            ArgKind::Worker => "the number of a worker",
        }
    }

    /// The value as the verbs read it; `None` if it is of another kind.
    fn read(self, value: Value) -> Option<Value> {
        match self {
            ArgKind::Switch => value.is_boolean().then_some(value),
            ArgKind::Text => value.is_string().then_some(value),
            // Which worker `w3` is, the coordinator knows.
            ArgKind::Worker => (value.is_u64() || value.is_string()).then_some(value),
            ArgKind::Whole => match value.as_str() {
                Some(digits) => digits.parse::<u64>().ok().map(Value::from),
                None => value.is_u64().then_some(value),
            },
        }
    }
}
