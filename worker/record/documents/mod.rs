//! The documents in memory: parts as they came, put together only when one is needed.
//!
//! A rendering is applied as a unit. `version` is dense from 1 per epoch. What a candidate publishes is kept as a content of its
//! own until the ledger adopts its epoch, and is then version 1 of it. A document ends with the epochs up to which its match has ended;
//! under a higher one another begins. Callers: the recorder's loop and its data channels.

mod content;
#[cfg(test)]
mod tests;
mod text;

pub use content::PartId;
pub(super) use text::push_text;
pub(crate) use text::{ended, push_members};

use super::config::RecordConfig;
use super::store::{Restored, Snapshot};
use content::Content;
use hashbrown::HashMap;
use slab::Slab;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::control::Followed;
use touchline_common::ipc::messages::data::{Extent, Stamp};
use touchline_common::ipc::messages::feed::FeedDocument;
use touchline_common::model::{Epoch, MatchKey};

/// Candidates of one match whose contents are kept; a match has its seat at two workers at most. Beyond it the lowest epoch goes.
const CANDIDATES: usize = 3;

/// A document, never another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DocumentId {
    place: u32,
    /// Counts the documents of the recorder's life.
    birth: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Published,
    Kept,
}

#[derive(Debug)]
struct Candidate {
    epoch: Epoch,
    stamp: Stamp,
    content: Content,
}

#[derive(Debug)]
struct Document {
    birth: u64,
    key: MatchKey,
    owner: Epoch,
    /// The highest that a worker follows the match under, or did.
    named: Epoch,
    /// Up to which the match has ended: what is rendered under it comes late.
    ended: Option<Epoch>,
    epoch: Epoch,
    version: u64,
    source: Source,
    stamp: Stamp,
    content: Content,
    unsaved: bool,
    /// Of what is saved next: whether the store may hold parts of another document under this id.
    extent: Extent,
    /// The lowest epoch first.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Match,
    /// The match list, while the match waits for a place.
    List,
}

#[derive(Debug)]
pub struct Documents {
    config: Arc<RecordConfig>,
    all: Slab<Document>,
    by_key: HashMap<MatchKey, DocumentId, foldhash::fast::RandomState>,
    births: u64,
    /// Documents that are not saved, the longest first.
    unsaved: VecDeque<(Instant, DocumentId)>,
    /// Bytes that may be written now; below zero after a large document.
    budget: f64,
    refilled: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// By age and bytes a second.
    Steady,
    /// All that is unsaved: the recorder leaves.
    Last,
}

#[derive(Debug)]
pub struct Rendering<'d> {
    content: &'d mut Content,
    applied: Applied,
}

impl Rendering<'_> {
    /// The part that is the market of this name in the store; `hint` is where it stood the last time.
    pub fn market(&mut self, name: &Arc<str>, hint: &mut PartId) -> PartId {
        *hint = self.content.place(name, *hint);
        *hint
    }

    /// Sets a part; `None` removes it.
    pub fn set(&mut self, part: PartId, text: Option<&str>) {
        self.content.set(part, text);
    }

    pub fn applied(&self) -> Applied {
        self.applied
    }
}

impl Documents {
    /// The documents of the last run, stale, and the epochs that own matches.
    pub fn new(
        config: Arc<RecordConfig>,
        restored: Vec<Restored>,
        owners: Vec<(MatchKey, Epoch)>,
    ) -> Documents {
        let mut documents = Documents {
            config,
            all: Slab::new(),
            by_key: HashMap::default(),
            births: 0,
            unsaved: VecDeque::new(),
            budget: 0.0,
            refilled: Instant::now(),
        };
        for (key, owner) in owners {
            documents.entry(&key).1.owner = owner;
        }
        for old in restored {
            let document = documents.entry(&old.key).1;
            document.epoch = old.epoch;
            document.version = old.version;
            document.source = if old.listed_only { Source::List } else { Source::Match };
            document.stamp = Stamp { stale: true, ..old.stamp };
            document.content = Content::restored(old.sections);
            document.extent = Extent::Changes;
        }
        documents
    }

    /// The document of a match, made if there is none.
    pub fn id(&mut self, key: &MatchKey) -> DocumentId {
        self.entry(key).0
    }

    /// The document of a match, if there is one.
    pub fn known(&self, key: &MatchKey) -> Option<DocumentId> {
        self.by_key.get(key).copied()
    }

    /// As [`Documents::id`], for a worker that follows the match under `epoch`.
    pub fn named(&mut self, key: &MatchKey, epoch: Epoch) -> DocumentId {
        let (id, document) = self.entry(key);
        document.named = document.named.max(epoch);
        id
    }

    fn entry(&mut self, key: &MatchKey) -> (DocumentId, &mut Document) {
        let id = match self.by_key.get(key) {
            Some(id) => *id,
            None => {
                self.births += 1;
                let entry = self.all.vacant_entry();
                let id = DocumentId { place: entry.key() as u32, birth: self.births };
                entry.insert(Document {
                    birth: id.birth,
                    key: key.clone(),
                    owner: Epoch(0),
                    named: Epoch(0),
                    ended: None,
                    epoch: Epoch(0),
                    version: 0,
                    source: Source::Match,
                    stamp: Stamp::default(),
                    content: Content::default(),
                    unsaved: false,
                    extent: Extent::Whole,
                    candidates: Vec::new(),
                });
                self.by_key.insert(key.clone(), id);
                id
            }
        };
        // It was found or made right above.
        #[allow(clippy::indexing_slicing)]
        (id, &mut self.all[id.place as usize])
    }

    fn get(&self, id: DocumentId) -> Option<&Document> {
        self.all.get(id.place as usize).filter(|document| document.birth == id.birth)
    }

    fn get_mut(&mut self, id: DocumentId) -> Option<&mut Document> {
        self.all.get_mut(id.place as usize).filter(|document| document.birth == id.birth)
    }

    pub fn keys(&self) -> impl Iterator<Item = &MatchKey> {
        self.by_key.keys()
    }

    pub fn ids(&self) -> impl Iterator<Item = DocumentId> + '_ {
        self.by_key.values().copied()
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    pub fn version(&self, id: DocumentId, epoch: Epoch) -> u64 {
        self.get(id).filter(|document| document.epoch == epoch).map_or(0, |document| document.version)
    }

    /// Begins to apply a rendering; `None` where a higher epoch owns the match or it is over.
    pub fn render(
        &mut self,
        id: DocumentId,
        epoch: Epoch,
        extent: Extent,
        stamp: Stamp,
        now: Instant,
    ) -> Option<Rendering<'_>> {
        let document = self.all.get_mut(id.place as usize).filter(|document| document.birth == id.birth)?;
        if epoch < document.owner || document.ended.is_some_and(|ended| epoch <= ended) {
            return None;
        }
        if epoch > document.owner {
            let candidate = document.candidate(epoch, stamp);
            if extent == Extent::Whole {
                candidate.content.clear();
            }
            return Some(Rendering { content: &mut candidate.content, applied: Applied::Kept });
        }
        if document.epoch != epoch || document.source == Source::List {
            document.replace(epoch, Content::default());
        } else if extent == Extent::Whole {
            document.content.clear();
        }
        document.version += 1;
        document.stamp = stamp;
        if !std::mem::replace(&mut document.unsaved, true) {
            self.unsaved.push_back((now, id));
        }
        Some(Rendering { content: &mut document.content, applied: Applied::Published })
    }

    /// An epoch owns the match: what it published so far is its document. The document, if there was anything.
    pub fn adopt(&mut self, key: &MatchKey, epoch: Epoch, now: Instant) -> Option<DocumentId> {
        let (id, document) = self.entry(key);
        document.owner = document.owner.max(epoch);
        let at = document.candidates.iter().position(|candidate| candidate.epoch == epoch);
        let candidate = at.map(|at| document.candidates.remove(at));
        document.candidates.retain(|candidate| candidate.epoch > epoch);
        let candidate = candidate?;
        document.replace(epoch, candidate.content);
        document.version = 1;
        document.stamp = candidate.stamp;
        if !std::mem::replace(&mut document.unsaved, true) {
            self.unsaved.push_back((now, id));
        }
        Some(id)
    }

    /// What the list knows of a match that waits; nothing if a worker's document is there. The document, if it changed.
    pub fn listed(
        &mut self,
        key: &MatchKey,
        (head, tail): (&str, &str),
        wall: i64,
        now: Instant,
    ) -> Option<DocumentId> {
        let (id, document) = self.entry(key);
        if !(document.source == Source::List || document.content.is_empty()) {
            return None;
        }
        let content = &mut document.content;
        if content.text(PartId::HEAD) == Some(head) && !document.stamp.stale {
            return None;
        }
        document.source = Source::List;
        document.version += 1;
        document.stamp = Stamp { stale: false, received_at: wall, updated_at: wall };
        content.set(PartId::HEAD, Some(head));
        content.set(PartId::TAIL, Some(tail));
        if !std::mem::replace(&mut document.unsaved, true) {
            self.unsaved.push_back((now, id));
        }
        Some(id)
    }

    /// The match is over as it was assigned up to `epoch`: its document is handed out for the last time, as of a match that is over, and
    /// forgotten here. One that a higher epoch owns is of what was assigned since, and stays; where a worker follows the match under a
    /// higher one that does not own it yet, an empty one stays for that.
    pub fn end(&mut self, key: &MatchKey, epoch: Epoch, wall: i64) -> Option<Snapshot> {
        let id = *self.by_key.get(key)?;
        let document = self.get_mut(id).filter(|document| document.owner <= epoch)?;
        let last = document.end(wall);
        if document.named > epoch {
            document.begin_anew(epoch);
        } else {
            self.by_key.remove(key);
            self.all.try_remove(id.place as usize);
        }
        last
    }

    /// The next document whose time to be saved has come, within the bytes that may be written.
    pub fn next_to_save(&mut self, now: Instant, pace: Pace) -> Option<Snapshot> {
        if pace == Pace::Steady {
            self.refill(now);
            if self.budget <= 0.0 {
                return None;
            }
        }
        loop {
            let (since, _) = self.unsaved.front()?;
            if pace == Pace::Steady && now.duration_since(*since) < self.config.store.snapshot_interval.get()
            {
                return None;
            }
            let (_, id) = self.unsaved.pop_front()?;
            let Some(document) = self.get_mut(id).filter(|document| document.unsaved) else { continue };
            let snapshot = document.snapshot();
            let sections = snapshot.sections.iter();
            let bytes: usize = sections.map(|(_, text)| text.as_ref().map_or(0, |text| text.len())).sum();
            self.budget -= bytes as f64 + 100.0;
            return Some(snapshot);
        }
    }

    fn refill(&mut self, now: Instant) {
        let most = self.config.store.max_write.get() as f64;
        let passed = now.duration_since(self.refilled).min(Duration::from_secs(1));
        self.refilled = now;
        // A tenth of a second's bytes at most in one go, so that a commit is never held up for long.
        self.budget = (self.budget + passed.as_secs_f64() * most).min(most / 10.0);
    }

    /// Keys of the documents whose id is `id`, in `feed` if that is given.
    pub fn find(&self, feed: Option<&str>, id: &str) -> Vec<MatchKey> {
        let in_feed = |key: &&MatchKey| feed.is_none_or(|feed| self.feed(key) == feed);
        let with_id = self.by_key.keys().filter(|key| key.id.as_str() == id);
        with_id.filter(in_feed).cloned().collect()
    }

    pub fn has_feed(&self, name: &str) -> bool {
        self.config.feeds.iter().any(|feed| **feed == *name)
    }

    /// What a feed brings, by its name; without one what all of them bring.
    pub fn followed(&self, feed: Option<&str>) -> Followed {
        self.config.followed(feed)
    }

    pub fn feed(&self, key: &MatchKey) -> &str {
        self.config.feed(key).unwrap_or_default()
    }

    pub fn text(&self, key: &MatchKey) -> Option<String> {
        let document = self.get(*self.by_key.get(key)?).filter(|document| !document.content.is_empty())?;
        Some(text::write(document, self.feed(key)))
    }

    pub fn list(&self) -> impl Iterator<Item = (MatchKey, u64, i64)> + '_ {
        let shown = self.all.iter().filter(|(_, document)| !document.content.is_empty());
        shown.map(|(_, document)| (document.key.clone(), document.version, document.stamp.updated_at))
    }

    /// The parts of a document for a reader of the feed; `None`: all of them.
    pub fn message(&self, id: DocumentId, parts: Option<&[PartId]>) -> Option<FeedDocument<'_>> {
        let document = self.get(id).filter(|document| !document.content.is_empty())?;
        let content = &document.content;
        let section = |id: PartId| (Cow::Borrowed(content.name(id)), content.text(id).map(Cow::Borrowed));
        let sections = match parts {
            Some(parts) => parts.iter().copied().map(section).collect(),
            None => content.ids().map(section).filter(|(_, text)| text.is_some()).collect(),
        };
        Some(FeedDocument {
            key: document.key.clone(),
            epoch: document.epoch,
            version: document.version,
            source: Cow::Borrowed(document.source()),
            whole: parts.is_none(),
            stale: document.stamp.stale,
            received_at: document.stamp.received_at,
            updated_at: document.stamp.updated_at,
            sections,
        })
    }
}

impl Document {
    fn replace(&mut self, epoch: Epoch, mut content: Content) {
        content.replaces(&self.content);
        self.content = content;
        self.source = Source::Match;
        if self.epoch != epoch {
            (self.epoch, self.version) = (epoch, 0);
        }
    }

    fn candidate(&mut self, epoch: Epoch, stamp: Stamp) -> &mut Candidate {
        let at = self.candidates.partition_point(|candidate| candidate.epoch < epoch);
        let known = self.candidates.get(at).is_some_and(|candidate| candidate.epoch == epoch);
        let at = match known {
            true => at,
            false => {
                self.candidates.insert(at, Candidate { epoch, stamp, content: Content::default() });
                let surplus = usize::from(self.candidates.len() > CANDIDATES && at > 0);
                self.candidates.drain(..surplus);
                at - surplus
            }
        };
        // It was found or inserted right above.
        #[allow(clippy::indexing_slicing)]
        let candidate = &mut self.candidates[at];
        candidate.stamp = stamp;
        candidate
    }

    /// What is saved of it as of a match that is over, if there was anything.
    fn end(&mut self, wall: i64) -> Option<Snapshot> {
        let head = ended(self.content.text(PartId::HEAD)?);
        if let Some(head) = head {
            self.content.set(PartId::HEAD, Some(&head));
            self.version += 1;
            self.stamp.updated_at = wall;
        }
        Some(Snapshot { state: "ended", ..self.snapshot() })
    }

    /// Nothing of it stays but what is rendered under higher epochs than `ended`.
    fn begin_anew(&mut self, ended: Epoch) {
        self.ended = Some(ended);
        (self.epoch, self.version, self.stamp) = (Epoch(0), 0, Stamp::default());
        self.source = Source::Match;
        self.content = Content::default();
        self.unsaved = false;
        self.extent = Extent::Whole;
        self.candidates.retain(|candidate| candidate.epoch > ended);
    }

    fn snapshot(&mut self) -> Snapshot {
        self.unsaved = false;
        Snapshot {
            key: self.key.clone(),
            epoch: self.epoch,
            version: self.version,
            state: self.state(),
            source: self.source(),
            stamp: self.stamp,
            extent: std::mem::replace(&mut self.extent, Extent::Changes),
            sections: self.content.take_unsaved(),
        }
    }

    fn state(&self) -> &'static str {
        match (self.source, self.stamp.stale) {
            (Source::List, _) => "waiting",
            (Source::Match, true) => "stale",
            (Source::Match, false) => "live",
        }
    }

    fn source(&self) -> &'static str {
        match self.source {
            Source::List => "list",
            Source::Match => "match",
        }
    }
}
