//! What clients watch: the newest document of each match, and the list of all matches, which is kept as a document, too.
//!
//! Each is an [`Item`]. What came is applied at once and published some milliseconds later, all of it together: only then are changes
//! worked out, and only of what somebody watches. Pure: times are passed in. Callers: the loop, with what the recorder's feed brings.

mod document;
mod item;
mod merge;
#[cfg(test)]
pub(in crate::serve) mod tests;

pub(super) use document::{Document, Revision};
pub(super) use item::{Change, Known};
#[cfg(test)]
pub(super) use merge::apply;

use super::client::ClientId;
use super::rooms::SessionId;
use document::LineChange;
use hashbrown::{HashMap, HashSet};
use item::Item;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::feed::{FeedDocument, FeedEnded};
use touchline_common::model::MatchKey;

/// How long the document of a match that is over stays here; then it is the store's.
const KEEP_OVER: Duration = Duration::from_secs(60);
/// After the feed was taken up anew: matches that were not sent again by then are no more.
const CONFIRM: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ItemKey {
    /// All matches, each with its head.
    List,
    Match(MatchKey),
}

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Watcher {
    /// A stream, with its connection.
    Client(ClientId),
    /// A session, whichever connections it has.
    Session(SessionId),
}

#[derive(Debug)]
struct Match {
    item: Item,
    /// Since when it is over.
    over: Option<Instant>,
    /// Sent since the feed was last taken up.
    confirmed: bool,
}

#[derive(Debug)]
pub(super) struct Items {
    /// Names of the feeds, each at its `FeedId`.
    feeds: Vec<Arc<str>>,
    matches: HashMap<MatchKey, Match, foldhash::fast::RandomState>,
    list: Item,
    /// Whose newest state is not published.
    dirty: HashSet<ItemKey, foldhash::fast::RandomState>,
    taken_up: Option<Instant>,
    /// Matches that were not there before, until they are taken.
    appeared: Vec<MatchKey>,
}

/// A match by the name that a client gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    One(MatchKey),
    None,
    /// In several feeds.
    Several,
}

impl Items {
    /// `run` tells the list's states from those of another run.
    pub(super) fn new(feeds: Vec<Arc<str>>, run: u64) -> Items {
        Items {
            feeds,
            matches: HashMap::default(),
            list: Item::new(Document::list(run)),
            dirty: HashSet::default(),
            taken_up: None,
            appeared: Vec::new(),
        }
    }

    /// The feed begins anew: all documents come, but those that ended meanwhile.
    pub(super) fn taken_up(&mut self, now: Instant) {
        self.taken_up = Some(now);
        self.matches.values_mut().for_each(|held| held.confirmed = false);
    }

    pub(super) fn apply(&mut self, message: &FeedDocument<'_>) {
        let feed = self.feed(&message.key);
        let is_listed = self.matches.get(&message.key).is_some_and(|held| held.over.is_none());
        if !self.matches.contains_key(&message.key) {
            self.appeared.push(message.key.clone());
        }
        let held = self.matches.entry(message.key.clone()).or_insert_with(|| Match {
            item: Item::new(Document::of_match(&feed, message.key.id.as_str())),
            over: None,
            confirmed: true,
        });
        (held.over, held.confirmed) = (None, true);
        let line = held.item.newest_mut().apply(message);
        if held.item.is_watched() {
            self.dirty.insert(ItemKey::Match(message.key.clone()));
        }
        if line == LineChange::Maybe || !is_listed {
            self.set_line(&message.key);
        }
    }

    pub(super) fn ended(&mut self, message: &FeedEnded, now: Instant) {
        let Some(held) = self.matches.get_mut(&message.key) else { return };
        held.over = Some(now);
        held.item
            .newest_mut()
            .end(Revision { epoch: message.epoch.0, version: message.version }, message.updated_at);
        if held.item.is_watched() {
            self.dirty.insert(ItemKey::Match(message.key.clone()));
        }
        self.set_line(&message.key);
    }

    /// The list is published anew if a match's line there differs.
    fn set_line(&mut self, key: &MatchKey) {
        let Some(held) = self.matches.get(key) else { return };
        let (name, line) = (self.name(key), held.item.newest().line());
        if self.list.newest().child(&name).is_none_or(|before| **before != *line) {
            self.list.newest_mut().set_child(&name, Some(Arc::from(line)));
            self.list_changed();
        }
    }

    fn list_changed(&mut self) {
        self.list.newest_mut().count();
        if self.list.is_watched() {
            self.dirty.insert(ItemKey::List);
        }
    }

    /// Matches that are over for long, or that the recorder has no more, go.
    pub(super) fn tick(&mut self, now: Instant) {
        let all_came = self.taken_up.take_if(|at| now >= *at + CONFIRM).is_some();
        let gone =
            |held: &Match| (all_came && !held.confirmed) || held.over.is_some_and(|at| now >= at + KEEP_OVER);
        let gone: Vec<MatchKey> =
            self.matches.iter().filter(|(_, held)| gone(held)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            let name = self.name(&key);
            if self.list.newest().child(&name).is_some() {
                self.list.newest_mut().set_child(&name, None);
                self.list_changed();
            }
            match self.matches.get_mut(&key) {
                // It goes when nobody watches it any more.
                Some(held) if held.item.is_watched() => _ = held.over.get_or_insert(now),
                Some(_) | None => _ = self.matches.remove(&key),
            }
        }
        self.list.tick(now);
        self.matches.values_mut().for_each(|held| held.item.tick(now));
    }

    /// Publishes what came since: a change for each watched item.
    pub(super) fn publish(&mut self) -> Vec<(ItemKey, Change)> {
        let mut changes = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let item = match &key {
                ItemKey::List => Some(&mut self.list),
                ItemKey::Match(key) => self.matches.get_mut(key).map(|held| &mut held.item),
            };
            changes.extend(item.and_then(Item::publish).map(|change| (key, change)));
        }
        changes
    }

    /// Matches that came since the last call.
    pub(super) fn take_appeared(&mut self) -> Vec<MatchKey> {
        std::mem::take(&mut self.appeared)
    }

    pub(super) fn has_unpublished(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// A client watches from now on. What it is to be sent first, and what it has then.
    pub(super) fn watch(&mut self, key: &ItemKey, watcher: Watcher, had: Option<Revision>) -> Option<Known> {
        let item = self.item_mut(key)?;
        Some(item.watch(watcher, had))
    }

    pub(super) fn unwatch(&mut self, key: &ItemKey, watcher: Watcher, now: Instant) {
        if let Some(item) = self.item_mut(key) {
            item.unwatch(watcher, now);
        }
    }

    pub(super) fn watchers(&self, key: &ItemKey) -> &[Watcher] {
        self.item(key).map_or(&[], Item::watchers)
    }

    /// What those who keep up have.
    pub(super) fn published(&self, key: &ItemKey) -> Option<&Arc<Document>> {
        self.item(key)?.published()
    }

    pub(super) fn newest(&self, key: &ItemKey) -> Option<&Document> {
        self.item(key).map(Item::newest)
    }

    fn item(&self, key: &ItemKey) -> Option<&Item> {
        match key {
            ItemKey::List => Some(&self.list),
            ItemKey::Match(key) => self.matches.get(key).map(|held| &held.item),
        }
    }

    fn item_mut(&mut self, key: &ItemKey) -> Option<&mut Item> {
        match key {
            ItemKey::List => Some(&mut self.list),
            ItemKey::Match(key) => self.matches.get_mut(key).map(|held| &mut held.item),
        }
    }

    /// The match called `FEED/ID`, or `ID` where only one feed has it.
    pub(super) fn find(&self, name: &str) -> Found {
        if let Some((feed, id)) = name.split_once('/') {
            let of = |key: &&MatchKey| key.id.as_str() == id && *self.feed(key) == *feed;
            if let Some(key) = self.matches.keys().find(of) {
                return Found::One(key.clone());
            }
        }
        let mut of = self.matches.keys().filter(|key| key.id.as_str() == name);
        match (of.next(), of.next()) {
            (Some(key), None) => Found::One(key.clone()),
            (None, _) => Found::None,
            (Some(_), Some(_)) => Found::Several,
        }
    }

    /// The match of an event, by its feed's name and its id.
    pub(super) fn of_event(&self, feed: &str, id: &str) -> Option<ItemKey> {
        let place = self.feeds.iter().position(|name| **name == *feed)?;
        let feed = touchline_common::model::FeedId(u16::try_from(place).ok()?);
        Some(ItemKey::Match(MatchKey { feed, id: id.into() }))
    }

    /// Every match's line in the list, as an array.
    pub(super) fn lines(&self) -> String {
        let lines: Vec<&str> = self.list.newest().children().map(|(_, line)| &**line).collect();
        format!("[{}]", lines.join(","))
    }

    /// Matches held, and those of them that a worker follows and that are not stale.
    pub(super) fn count(&self) -> (usize, usize) {
        let is_live = |held: &&Match| held.over.is_none() && held.item.newest().is_live();
        (self.matches.len(), self.matches.values().filter(is_live).count())
    }

    pub(super) fn has_feed(&self, name: &str) -> bool {
        self.feeds.iter().any(|feed| **feed == *name)
    }

    pub(super) fn feed(&self, key: &MatchKey) -> Arc<str> {
        self.feeds.get(usize::from(key.feed.0)).cloned().unwrap_or_else(|| Arc::from("?"))
    }

    fn name(&self, key: &MatchKey) -> String {
        format!("{}/{}", self.feed(key), key.id)
    }
}
