//! What a push feed's configuration made of each of the first messages, and what to change where a pointer found nothing.
//!
//! Pure, and bounded by the number of messages that are wanted. Caller: `probe`.

use super::Outcome;
use super::poll::told;
use crate::feed::Event;
use crate::payload::Limits;
use crate::payload::json::{Looked, explain_push};
use touchline_common::config::{FeedConfig, PushConfig};

/// Bytes of a message that are shown.
const SHOWN: usize = 160;

pub(super) struct Made {
    push: PushConfig,
    limits: Limits,
    wanted: usize,
    told: Vec<Told>,
}

/// Of a message.
pub(super) struct Told {
    pub(super) outcome: Outcome,
    pub(super) found: String,
    pub(super) advice: String,
}

/// What a message, or an item of one, was taken for.
pub(super) struct Taken {
    what: String,
    looked: Option<Looked>,
}

impl Taken {
    /// None of what is no message. What the topic `list` has is no match.
    pub(super) fn of(event: &Event<'_>, list: &str) -> Option<Taken> {
        let of = |what: &str, topic: &[u8], body: &[u8]| {
            format!("{what} of '{}', {} bytes", topic.escape_ascii(), body.len())
        };
        let (what, looked) = match event {
            Event::Snapshot { topic, body } => {
                let looked = if *topic == list.as_bytes() { Looked::Item } else { Looked::Document };
                (of("a snapshot", topic, body), Some(looked))
            }
            // A delta may have any part of a document.
            Event::Delta { topic, body } => (of("a delta", topic, body), Some(Looked::Item)),
            Event::Removed { topic } => (format!("the end of '{}'", topic.escape_ascii()), None),
            Event::Status { topic, status } => {
                (format!("a refusal of '{}': {}", topic.escape_ascii(), status.escape_ascii()), None)
            }
            Event::Skipped(why) => (format!("left out: {why}"), Some(Looked::Item)),
            Event::Interrupted { topic, why, .. } => (format!("'{}': {why}", topic.escape_ascii()), None),
            Event::Connection(_)
            | Event::Unchanged { .. }
            | Event::RoundEnd { .. }
            | Event::Refused { .. }
            | Event::QueueDepth(_) => return None,
        };
        Some(Taken { what, looked })
    }
}

impl Made {
    pub(super) fn new(feed: &FeedConfig, nodes: usize, wanted: usize) -> Made {
        let limits = Limits { nodes, ..Limits::default() };
        Made { push: feed.push.clone(), limits, wanted, told: Vec::new() }
    }

    pub(super) fn is_wanting(&self) -> bool {
        self.told.len() < self.wanted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// A message was taken so.
    pub(super) fn add(&mut self, Taken { what, looked }: Taken, message: Option<&[u8]>) {
        let Some(message) = message else {
            return self.told.push(Told { outcome: Outcome::Good, found: what, advice: String::new() });
        };
        let mut found = format!("{what}\n{}", beginning(message));
        let explained =
            looked.and_then(|looked| explain_push(&self.push, message, looked, &self.limits).ok());
        let (used, advice) = explained.map(|found| told(&found)).unwrap_or_default();
        if looked == Some(Looked::Document) {
            found.push_str(&used);
        }
        let outcome = if advice.is_empty() { Outcome::Good } else { Outcome::Odd };
        self.told.push(Told { outcome, found, advice });
    }

    /// What was made of them, once.
    pub(super) fn tell(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }
}

fn beginning(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message.get(..SHOWN).unwrap_or(message));
    let more = if message.len() > SHOWN { "\u{2026}" } else { "" };
    format!("{}{more}", text.escape_debug().to_string().replace("\\\"", "\""))
}
