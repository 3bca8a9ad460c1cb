//! The dialects: how clients ask, and what images, deltas, answers and heartbeats look like.
//!
//! Pure: text in, text out. Each dialect is a file with the same functions; here is the choice between them. Shapes only: each is one of
//! the usual ways in which such servers speak. Callers: the loop, the judge.

mod books;
mod exchange;
mod scores;
#[cfg(test)]
mod tests;

use super::options::Deltas;
use super::script::{Number, Script, Slot};
use serde_json::Value;
use std::collections::BTreeMap;

/// The topic that lists the others, where a dialect has one.
pub const LIST: &str = "games";

/// How a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// An odds exchange: images and deltas in messages of one kind with an image flag, conflation flag, heartbeat messages, a resume token
    /// (`clk`), ladders keyed by price where zero removes, a login before anything else.
    Exchange,
    /// Prices with order books: a snapshot, then deltas of `[price, size]` pairs with sequence numbers, `prev` naming the last one.
    Books,
    /// Scores: documents and merge patches (or RFC 6902), and a topic that lists the games.
    Scores,
}

/// What a client asks for. `id` comes back in the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Login {
        id: Value,
        token: String,
    },
    Subscribe {
        id: Value,
        topics: Vec<String>,
        /// From where on deltas are enough.
        resume: Option<String>,
    },
    Unsubscribe {
        id: Value,
        topics: Vec<String>,
    },
    Heartbeat {
        id: Value,
    },
}

/// A topic, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic<'a> {
    pub(super) id: &'a str,
    pub(super) slot: Slot,
    pub(super) script: &'a Script,
}

/// Changes of a topic in one message: those behind `from`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Number,
    pub(super) to: Number,
}

/// When a message is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// All changes so far.
    pub(super) changes: u64,
    /// Milliseconds since 1970.
    pub(super) at: i64,
}

/// What becomes of rungs on which nothing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeros {
    /// They are told, which removes them.
    Written,
    LeftOut,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Cap,
    Batch,
    Rate,
    Unknown,
    Login,
}

impl Why {
    pub(super) fn word(self) -> &'static str {
        match self {
            Why::Cap => "SUBSCRIPTION_LIMIT_EXCEEDED",
            Why::Batch => "TOO_MANY_IN_ONE_REQUEST",
            Why::Rate => "TOO_MANY_REQUESTS",
            Why::Unknown => "NO_SUCH_TOPIC",
            Why::Login => "NOT_AUTHORIZED",
        }
    }
}

impl Dialect {
    /// Cells of a document.
    pub(super) fn cells(self) -> u64 {
        match self {
            Dialect::Exchange => exchange::CELLS,
            Dialect::Books => books::CELLS,
            Dialect::Scores => scores::CELLS,
        }
    }

    /// The id of a topic; a place that was given to another one has a higher `generation`.
    pub(super) fn id(self, slot: Slot, generation: u32) -> String {
        let number = slot as u64 + u64::from(generation) * 1_000_000;
        match self {
            Dialect::Exchange => format!("1.{}", 200_000_000 + number),
            Dialect::Books => format!("book-{number}"),
            Dialect::Scores => format!("game-{number}"),
        }
    }

    /// What a client's message asks for; none if that cannot be told.
    pub(super) fn asked(self, message: &Value) -> Option<Asked> {
        match self {
            Dialect::Exchange => exchange::asked(message),
            Dialect::Books => books::asked(message),
            Dialect::Scores => scores::asked(message),
        }
    }

    /// What comes first on a connection.
    pub(super) fn greeting(self, connection: u64) -> Option<String> {
        match self {
            Dialect::Exchange => Some(exchange::greeting(connection)),
            Dialect::Books | Dialect::Scores => None,
        }
    }

    pub(super) fn logged_in(self, id: &Value) -> String {
        match self {
            Dialect::Exchange => exchange::done(id),
            Dialect::Books => books::logged_in(id),
            Dialect::Scores => scores::logged_in(),
        }
    }

    pub(super) fn subscribed(self, id: &Value, topics: &[String]) -> Vec<String> {
        match self {
            Dialect::Exchange => vec![exchange::done(id)],
            Dialect::Books => vec![books::acknowledged(id, "subscribed", topics)],
            Dialect::Scores => topics.iter().map(|topic| scores::acknowledged("subscribed", topic)).collect(),
        }
    }

    pub(super) fn unsubscribed(self, id: &Value, topics: &[String]) -> Vec<String> {
        match self {
            Dialect::Exchange => vec![exchange::done(id)],
            Dialect::Books => vec![books::acknowledged(id, "unsubscribed", topics)],
            Dialect::Scores => {
                topics.iter().map(|topic| scores::acknowledged("unsubscribed", topic)).collect()
            }
        }
    }

    /// The answer to a request that is refused, or to the part of it that is.
    pub(super) fn refused(self, id: &Value, topics: &[String], why: Why) -> Vec<String> {
        match self {
            Dialect::Exchange => vec![exchange::refused(id, topics, why)],
            Dialect::Books => vec![books::refused(id, topics, why)],
            Dialect::Scores if topics.is_empty() => vec![scores::refused("", why)],
            Dialect::Scores => topics.iter().map(|topic| scores::refused(topic, why)).collect(),
        }
    }

    /// The answer to a client's heartbeat.
    pub(super) fn alive(self, id: &Value) -> String {
        match self {
            Dialect::Exchange => exchange::done(id),
            Dialect::Books => books::alive(),
            Dialect::Scores => scores::alive(),
        }
    }

    /// The server's own heartbeat.
    pub(super) fn heartbeat(self, stamp: Stamp) -> String {
        match self {
            Dialect::Exchange => exchange::heartbeat(stamp),
            Dialect::Books => books::heartbeat(stamp),
            Dialect::Scores => scores::heartbeat(stamp),
        }
    }

    /// A topic's whole, as it travels: a part of a message.
    pub(super) fn image(self, topic: Topic<'_>, number: Number) -> String {
        match self {
            Dialect::Exchange => exchange::image(topic, number),
            Dialect::Books => books::image(topic, number),
            Dialect::Scores => scores::image(topic, number),
        }
    }

    /// Changes of a topic: a part of a message.
    pub(super) fn delta(self, topic: Topic<'_>, span: Span, form: Deltas) -> String {
        match self {
            Dialect::Exchange => exchange::delta(topic, span),
            Dialect::Books => books::delta(topic, span),
            Dialect::Scores => scores::delta(topic, span, form),
        }
    }

    /// The messages in which parts travel.
    pub(super) fn pack(self, parts: &[String], stamp: Stamp) -> Vec<String> {
        match self {
            Dialect::Exchange => vec![exchange::pack(parts, stamp)],
            Dialect::Books => vec![books::pack(parts)],
            Dialect::Scores => parts.to_vec(),
        }
    }

    /// The newest of all changes that a client with this token has seen.
    pub(super) fn resumed(self, token: &str) -> Option<u64> {
        match self {
            Dialect::Exchange => u64::from_str_radix(token, 16).ok(),
            Dialect::Books | Dialect::Scores => None,
        }
    }

    /// The truth of a topic: its document as a client that missed nothing holds it.
    pub(super) fn document(self, topic: Topic<'_>, number: Number) -> Value {
        match self {
            Dialect::Exchange => exchange::document(topic, number),
            Dialect::Books => books::document(topic, number),
            Dialect::Scores => scores::document(topic, number),
        }
    }

    /// Where topics are markets: the prices that each selection ever had up to change `number`, by its id.
    pub(super) fn prices(self, topic: Topic<'_>, number: Number) -> BTreeMap<String, Vec<f64>> {
        match self {
            Dialect::Exchange => exchange::prices(topic, number),
            Dialect::Books | Dialect::Scores => BTreeMap::new(),
        }
    }

    /// The member that states a document's number.
    pub(super) fn numbered_by(self) -> &'static str {
        match self {
            Dialect::Exchange | Dialect::Scores => "zc",
            Dialect::Books => "seq",
        }
    }

    /// The list topic's whole.
    pub(super) fn list(self, topics: &[String], number: Number) -> Option<String> {
        match self {
            Dialect::Exchange | Dialect::Books => None,
            Dialect::Scores => Some(scores::list(topics, number)),
        }
    }

    /// One topic of the list is replaced by another one.
    pub(super) fn list_change(self, gone: &str, new: &str, number: Number) -> Option<String> {
        match self {
            Dialect::Exchange | Dialect::Books => None,
            Dialect::Scores => Some(scores::list_change(gone, new, number)),
        }
    }
}

/// The texts of an array.
fn texts(array: Option<&Value>) -> Option<Vec<String>> {
    array?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(str::to_owned)
}

fn id_of(message: &Value) -> Value {
    message.get("id").cloned().unwrap_or(Value::Null)
}
