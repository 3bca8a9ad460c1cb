//! One state of an item: texts of its parts, shared with the states before and after it as far as they are the same.
//!
//! A match's is its stamp, head and tail, whose members stand at the top, and its markets; the list's is a line for each match. It is parsed only
//! where two states of it are compared.

use super::merge;
use crate::record::documents::{ended, push_members};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use touchline_common::ipc::messages::feed::FeedDocument;

/// Names a state of one item: of two of the same epoch the higher version is the newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) struct Revision {
    pub epoch: u64,
    pub version: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.version)
    }
}

/// The text is no `<epoch>-<version>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct RevisionError;

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Revision, RevisionError> {
        let (epoch, version) = text.split_once('-').ok_or(RevisionError)?;
        let number = |text: &str| text.parse().map_err(|_| RevisionError);
        Ok(Revision { epoch: number(epoch)?, version: number(version)? })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A worker follows it.
    Match,
    /// The match list is all that is known.
    List,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Source::Match => "match",
            Source::List => "list",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum About {
    Match {
        id: Arc<str>,
        feed: Arc<str>,
        source: Source,
        stale: bool,
        /// Microseconds since 1970 UTC, as the next.
        received_at: i64,
        updated_at: i64,
    },
    List,
}

/// Whether the list says something else of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineChange {
    No,
    Maybe,
}

type Child = (Arc<str>, Arc<str>);

#[derive(Clone, Debug)]
pub(in crate::serve) struct Document {
    pub(in crate::serve) revision: Revision,
    about: About,
    /// Objects whose members stand at the top.
    head: Arc<str>,
    tail: Arc<str>,
    /// Name and text of each market or match, by name.
    children: Vec<Child>,
}

impl Document {
    pub(super) fn list(run: u64) -> Document {
        Document::empty(About::List, Revision { epoch: run, version: 1 })
    }

    pub(super) fn of_match(feed: &str, id: &str) -> Document {
        let (id, feed) = (Arc::from(id), Arc::from(feed));
        let about =
            About::Match { id, feed, source: Source::List, stale: false, received_at: 0, updated_at: 0 };
        Document::empty(about, Revision::default())
    }

    fn empty(about: About, revision: Revision) -> Document {
        Document { revision, about, head: Arc::from("{}"), tail: Arc::from("{}"), children: Vec::new() }
    }

    /// Whether its line in the list may be another one.
    pub(super) fn apply(&mut self, message: &FeedDocument<'_>) -> LineChange {
        let before = (Arc::clone(&self.head), self.standing());
        self.revision = Revision { epoch: message.epoch.0, version: message.version };
        if let About::Match { source, stale, received_at, updated_at, .. } = &mut self.about {
            *source = if message.source == "list" { Source::List } else { Source::Match };
            (*stale, *received_at, *updated_at) = (message.stale, message.received_at, message.updated_at);
        }
        if message.whole {
            (self.head, self.tail) = (Arc::from("{}"), Arc::from("{}"));
            // Texts that are the same stay shared with earlier states.
            self.children.retain(|(key, _)| {
                message.sections.iter().any(|(name, _)| name.strip_prefix("market:") == Some(key))
            });
        }
        for (name, text) in &message.sections {
            let text = text.as_deref();
            match &**name {
                "" => set(&mut self.head, text.unwrap_or("{}")),
                "tail" => set(&mut self.tail, text.unwrap_or("{}")),
                market => {
                    if let Some(key) = market.strip_prefix("market:") {
                        self.set_child(key, text.map(Arc::from));
                    }
                }
            }
        }
        match before == (Arc::clone(&self.head), self.standing()) {
            true => LineChange::No,
            false => LineChange::Maybe,
        }
    }

    /// The match is over.
    pub(super) fn end(&mut self, revision: Revision, at: i64) {
        self.revision = revision;
        if let About::Match { updated_at, .. } = &mut self.about {
            *updated_at = at;
        }
        if let Some(head) = ended(&self.head) {
            self.head = Arc::from(head);
        }
    }

    /// Sets the text of a market or match; `None` removes it.
    pub(super) fn set_child(&mut self, key: &str, text: Option<Arc<str>>) {
        match (self.children.binary_search_by(|(known, _)| (**known).cmp(key)), text) {
            (Ok(at), Some(text)) => {
                if let Some((_, held)) = self.children.get_mut(at).filter(|(_, held)| *held != text) {
                    *held = text;
                }
            }
            (Ok(at), None) => drop(self.children.remove(at)),
            (Err(at), Some(text)) => self.children.insert(at, (Arc::from(key), text)),
            (Err(_), None) => {}
        }
    }

    pub(super) fn child(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.children.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.children.get(at).map(|(_, text)| text)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.iter()
    }

    /// The list is another one.
    pub(super) fn count(&mut self) {
        self.revision.version += 1;
    }

    pub(super) fn is_live(&self) -> bool {
        self.standing() == Some((Source::Match, false))
    }

    fn standing(&self) -> Option<(Source, bool)> {
        match &self.about {
            About::Match { source, stale, .. } => Some((*source, *stale)),
            About::List => None,
        }
    }

    /// Texts that it holds, for bounds.
    pub(super) fn parts(&self) -> usize {
        self.children.len() + 2
    }

    /// What the list says of the match.
    pub(super) fn line(&self) -> String {
        let mut out = match &self.about {
            About::Match { id, feed, source, stale, .. } => {
                let (id, feed) = (Value::from(&**id), Value::from(&**feed));
                let source = source.as_str();
                format!(r#"{{"match":{id},"feed":{feed},"source":"{source}","stale":{stale}"#)
            }
            About::List => "{\"list\":true".to_owned(),
        };
        push_members(&mut out, &self.head);
        out.push('}');
        out
    }

    /// The whole of it, as `match ID --json` shows it.
    pub(in crate::serve) fn text(&self) -> String {
        let size: usize = self.children.iter().map(|(key, text)| key.len() + text.len() + 8).sum();
        let mut out = String::with_capacity(size + self.head.len() + self.tail.len() + 512);
        out.push_str(&self.stamp());
        out.pop();
        push_members(&mut out, &self.head);
        push_members(&mut out, &self.tail);
        out.push_str(&format!(",\"{}\":{{", self.inner()));
        let mut comma = "";
        for (key, text) in &self.children {
            out.push_str(&format!("{comma}{}:{text}", Value::from(&**key)));
            comma = ",";
        }
        out.push_str("}}");
        out
    }

    fn inner(&self) -> &'static str {
        match self.about {
            About::Match { .. } => "markets",
            About::List => "matches",
        }
    }

    /// What is said of the state itself, as an object.
    fn stamp(&self) -> String {
        let Revision { epoch, version } = self.revision;
        match &self.about {
            About::Match { id, feed, source, stale, received_at, updated_at } => {
                let (id, feed, source) = (Value::from(&**id), Value::from(&**feed), source.as_str());
                let (received, updated) = (rfc3339(*received_at), rfc3339(*updated_at));
                format!(
                    r#"{{"match":{id},"feed":{feed},"source":"{source}","epoch":{epoch},"version":{version},"received_at":"{received}","updated_at":"{updated}","stale":{stale}}}"#
                )
            }
            About::List => format!(r#"{{"epoch":{epoch},"version":{version}}}"#),
        }
    }

    /// The merge patch (RFC 7396) that makes this of `before`.
    pub(in crate::serve) fn patch_from(&self, before: &Document) -> Map<String, Value> {
        let mut patch = Map::new();
        add(&mut patch, merge::difference(&object(&before.stamp()), &object(&self.stamp())));
        for (old, new) in [(&before.head, &self.head), (&before.tail, &self.tail)] {
            if !Arc::ptr_eq(old, new) && old != new {
                add(&mut patch, merge::difference(&object(old), &object(new)));
            }
        }
        let children = self.children_from(before);
        if !children.is_empty() {
            patch.insert(self.inner().to_owned(), Value::Object(children));
        }
        patch
    }

    fn children_from(&self, before: &Document) -> Map<String, Value> {
        let mut patch = Map::new();
        let (mut old, mut new) = (before.children.iter().peekable(), self.children.iter().peekable());
        loop {
            match (old.peek().copied(), new.peek().copied()) {
                (None, None) => return patch,
                (Some((key, was)), Some((now_key, is))) if key == now_key => {
                    if !Arc::ptr_eq(was, is)
                        && was != is
                        && let Some(changed) = merge::difference(&object(was), &object(is))
                    {
                        patch.insert(key.to_string(), changed);
                    }
                    old.next();
                    new.next();
                }
                (Some((key, _)), other) if other.is_none_or(|(now_key, _)| key < now_key) => {
                    patch.insert(key.to_string(), Value::Null);
                    old.next();
                }
                (_, Some((key, is))) => {
                    patch.insert(key.to_string(), object(is));
                    new.next();
                }
                // A key that is not before that of `new` was taken above, if there is one in `new`.
                (Some(_), None) => return patch,
            }
        }
    }
}

fn set(held: &mut Arc<str>, text: &str) {
    if **held != *text {
        *held = Arc::from(text);
    }
}

/// What the recorder holds are objects; what is none is shown as nothing.
fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// A member that went from one part to another is not removed.
fn add(patch: &mut Map<String, Value>, more: Option<Value>) {
    let Some(Value::Object(more)) = more else { return };
    for (key, value) in more {
        if !(value.is_null() && patch.contains_key(&key)) {
            patch.insert(key, value);
        }
    }
}

fn rfc3339(us: i64) -> String {
    let stamp = jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.6}")
}
