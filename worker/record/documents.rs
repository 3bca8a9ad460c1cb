//! The documents in memory: sections as they came, put together only when somebody needs one.
//!
//! A rendering is applied as a unit. `version` is dense from 1 per epoch. What a candidate publishes is held beside
//! the document until the ledger adopts its epoch, and is then version 1 of it.

use super::config::RecordConfig;
use super::store::payload::push_text;
use super::store::{Restored, Snapshot, schema};
use super::time::push_rfc3339;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::{Extent, Publish};
use touchline_common::model::{Epoch, MatchKey, Section, SectionKey};

/// What became of a rendering.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is this version of the document.
    Version(u64),
    /// Its epoch is a candidate.
    Held,
    /// A higher epoch owns the match.
    Refused,
}

#[derive(Debug)]
struct Body {
    text: Arc<String>,
    saved: bool,
}

/// What a candidate has published.
#[derive(Debug)]
struct Held {
    epoch: Epoch,
    publish: Publish,
}

#[derive(Debug, Default)]
struct Document {
    /// Whose renderings are applied.
    owner: Epoch,
    /// The epoch of what is held.
    epoch: Epoch,
    version: u64,
    listed_only: bool,
    stale: bool,
    ended: bool,
    received_at: i64,
    updated_at: i64,
    /// Named as in the store, so that the head sorts first.
    sections: BTreeMap<String, Body>,
    /// Sections of the store that are gone.
    removed: Vec<String>,
    unsaved: bool,
    held: Option<Box<Held>>,
}

/// Every document.
#[derive(Debug)]
pub struct Documents {
    config: Arc<RecordConfig>,
    all: HashMap<MatchKey, Document>,
    /// Documents that are not saved, the longest first.
    unsaved: VecDeque<(Instant, MatchKey)>,
    /// Bytes that may be written now; below zero after a large document.
    budget: f64,
    refilled: Instant,
}

impl Documents {
    /// The documents of the last run, stale, and the epochs that own matches.
    pub fn new(
        config: Arc<RecordConfig>,
        restored: Vec<Restored>,
        owners: Vec<(MatchKey, Epoch)>,
    ) -> Documents {
        let mut all: HashMap<MatchKey, Document> = HashMap::new();
        for (key, owner) in owners {
            all.entry(key).or_default().owner = owner;
        }
        for old in restored {
            let document = all.entry(old.key).or_default();
            document.epoch = old.epoch;
            document.version = old.version;
            document.listed_only = old.listed_only;
            document.stale = true;
            (document.received_at, document.updated_at) = (old.received_at, old.updated_at);
            let body = |(name, text)| (name, Body { text: Arc::new(text), saved: true });
            document.sections = old.sections.into_iter().map(body).collect();
        }
        Documents { config, all, unsaved: VecDeque::new(), budget: 0.0, refilled: Instant::now() }
    }

    /// How many are held.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The version that a document of this epoch has now.
    pub fn version(&self, key: &MatchKey, epoch: Epoch) -> u64 {
        self.all.get(key).filter(|document| document.epoch == epoch).map_or(0, |document| document.version)
    }

    /// Applies one rendering, or holds it.
    pub fn apply(&mut self, publish: Publish, now: Instant) -> Applied {
        let document = match self.all.get_mut(&publish.key) {
            Some(document) => document,
            None => self.all.entry(publish.key.clone()).or_default(),
        };
        if publish.epoch < document.owner {
            return Applied::Refused;
        }
        if publish.epoch > document.owner {
            document.hold(publish);
            return Applied::Held;
        }
        let newly = (!document.unsaved).then(|| publish.key.clone());
        let version = document.take(publish);
        if let Some(key) = newly {
            self.unsaved.push_back((now, key));
        }
        Applied::Version(version)
    }

    /// An epoch owns the match: what it published so far is its document. Told as one whole rendering.
    pub fn adopt(&mut self, key: &MatchKey, epoch: Epoch, now: Instant) -> Option<(Publish, u64)> {
        let document = self.all.entry(key.clone()).or_default();
        document.owner = document.owner.max(epoch);
        document.ended = false;
        let held = document.held.take_if(|held| held.epoch <= epoch)?;
        if held.epoch < epoch {
            return None;
        }
        let publish = held.publish;
        if !document.unsaved {
            self.unsaved.push_back((now, key.clone()));
        }
        let version = document.take(publish.clone());
        Some((publish, version))
    }

    /// What the list knows of a match that waits; nothing if a worker's document is there.
    pub fn listed(&mut self, key: &MatchKey, head: String, wall: i64, now: Instant) {
        let document = self.all.entry(key.clone()).or_default();
        if !(document.listed_only || document.sections.is_empty()) {
            return;
        }
        if document.sections.get(schema::HEAD).is_some_and(|body| *body.text == head) && !document.stale {
            return;
        }
        document.listed_only = true;
        document.stale = false;
        document.ended = false;
        document.version += 1;
        (document.received_at, document.updated_at) = (wall, wall);
        document.set(schema::HEAD.to_owned(), head);
        if !document.unsaved {
            document.unsaved = true;
            self.unsaved.push_back((now, key.clone()));
        }
    }

    /// The match is over: its document is handed out for the last time and forgotten here.
    pub fn end(&mut self, key: &MatchKey) -> Option<Snapshot> {
        let mut document = self.all.remove(key)?;
        document.ended = true;
        Some(document.snapshot(key))
    }

    /// A waiting match is gone from the list.
    pub fn unlist(&mut self, key: &MatchKey) -> Option<Snapshot> {
        self.all.get(key).filter(|document| document.listed_only)?;
        self.end(key)
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
            if pace == Pace::Steady && now.duration_since(*since) < self.config.snapshot_interval {
                return None;
            }
            let (_, key) = self.unsaved.pop_front()?;
            let Some(document) = self.all.get_mut(&key).filter(|document| document.unsaved) else { continue };
            let snapshot = document.snapshot(&key);
            let bytes: usize =
                snapshot.sections.iter().map(|(_, body)| body.as_ref().map_or(0, |body| body.len())).sum();
            self.budget -= bytes as f64 + 100.0;
            return Some(snapshot);
        }
    }

    fn refill(&mut self, now: Instant) {
        let most = self.config.max_write as f64;
        let passed = now.duration_since(self.refilled).min(Duration::from_secs(1));
        self.refilled = now;
        // A tenth of a second's bytes at most in one go, so that a commit is never held up for long.
        self.budget = (self.budget + passed.as_secs_f64() * most).min(most / 10.0);
    }

    /// Keys of the documents whose id is `id`, in `feed` if that is given.
    pub fn find(&self, feed: Option<&str>, id: &str) -> Vec<MatchKey> {
        let in_feed = |key: &&MatchKey| feed.is_none_or(|feed| self.feed(key) == feed);
        let with_id = self.all.keys().filter(|key| key.id.as_str() == id);
        with_id.filter(in_feed).cloned().collect()
    }

    /// What the configuration calls a match's feed.
    pub fn feed(&self, key: &MatchKey) -> &str {
        self.config.feeds.get(usize::from(key.feed.0)).map_or("", |name| name)
    }

    /// A document as text.
    pub fn text(&self, key: &MatchKey) -> Option<String> {
        let document = self.all.get(key).filter(|document| !document.sections.is_empty())?;
        Some(document.text(self.feed(key), key.id.as_str()))
    }

    /// Match, version and time of rendering of each.
    pub fn list(&self) -> impl Iterator<Item = (MatchKey, u64, i64)> + '_ {
        let shown = self.all.iter().filter(|(_, document)| !document.sections.is_empty());
        shown.map(|(key, document)| (key.clone(), document.version, document.updated_at))
    }
}

/// How documents are handed out for saving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// By age and bytes a second.
    Steady,
    /// All that is unsaved: the recorder leaves.
    Last,
}

impl Document {
    fn take(&mut self, publish: Publish) -> u64 {
        if self.epoch != publish.epoch {
            (self.epoch, self.version) = (publish.epoch, 0);
        }
        if publish.extent == Extent::Whole || self.listed_only {
            let old = std::mem::take(&mut self.sections);
            self.removed.extend(old.into_keys());
        }
        self.version += 1;
        self.listed_only = false;
        self.unsaved = true;
        self.stale = publish.stale;
        (self.received_at, self.updated_at) = (publish.received_at, publish.updated_at);
        for Section { key, body } in publish.sections {
            let name = match key {
                SectionKey::Head => schema::HEAD.to_owned(),
                SectionKey::Market(market) => format!("{MARKET}{market}"),
            };
            match body {
                Some(body) => self.set(name, body),
                None => {
                    if self.sections.remove(&name).is_some() {
                        self.removed.push(name);
                    }
                }
            }
        }
        self.version
    }

    fn set(&mut self, name: String, text: String) {
        self.sections.insert(name, Body { text: Arc::new(text), saved: false });
    }

    fn hold(&mut self, publish: Publish) {
        let held = match &mut self.held {
            Some(held) if held.epoch == publish.epoch && publish.extent == Extent::Changes => held,
            Some(held) if held.epoch > publish.epoch => return,
            Some(_) | None => {
                self.held = Some(Box::new(Held { epoch: publish.epoch, publish }));
                return;
            }
        };
        let old = &mut held.publish;
        (old.stale, old.received_at, old.updated_at) =
            (publish.stale, publish.received_at, publish.updated_at);
        for section in publish.sections {
            match old.sections.iter_mut().find(|known| known.key == section.key) {
                Some(known) => known.body = section.body,
                None => old.sections.push(section),
            }
        }
    }

    fn snapshot(&mut self, key: &MatchKey) -> Snapshot {
        self.unsaved = false;
        let gone = self.removed.drain(..).filter(|name| !self.sections.contains_key(name));
        let mut sections: Vec<_> = gone.map(|name| (name, None)).collect();
        for (name, body) in self.sections.iter_mut().filter(|(_, body)| !body.saved) {
            body.saved = true;
            sections.push((name.clone(), Some(Arc::clone(&body.text))));
        }
        Snapshot {
            key: key.clone(),
            epoch: self.epoch,
            version: self.version,
            state: self.state(),
            source: self.source(),
            stale: self.stale,
            received_at: self.received_at,
            updated_at: self.updated_at,
            sections,
        }
    }

    fn state(&self) -> &'static str {
        match (self.ended, self.listed_only, self.stale) {
            (true, _, _) => "ended",
            (false, true, _) => "waiting",
            (false, false, true) => "stale",
            (false, false, false) => "live",
        }
    }

    fn source(&self) -> &'static str {
        if self.listed_only { "list" } else { "match" }
    }

    fn text(&self, feed: &str, id: &str) -> String {
        let size: usize = self.sections.iter().map(|(name, body)| name.len() + body.text.len() + 8).sum();
        let mut out = String::with_capacity(size + 256);
        out.push_str("{\"match\":");
        push_text(&mut out, id);
        out.push_str(",\"feed\":");
        push_text(&mut out, feed);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#","source":"{}","epoch":{},"version":{},"received_at":""#,
            self.source(),
            self.epoch,
            self.version
        );
        push_rfc3339(&mut out, self.received_at);
        out.push_str(r#"","updated_at":""#);
        push_rfc3339(&mut out, self.updated_at);
        let _ = write!(out, r#"","stale":{}"#, self.stale);
        if let Some(head) = self.sections.get(schema::HEAD) {
            let members = head.text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            if let Some(members) = members.filter(|members| !members.trim().is_empty()) {
                out.push(',');
                out.push_str(members);
            }
        }
        out.push_str(",\"markets\":{");
        let mut comma = "";
        for (name, body) in &self.sections {
            let Some(market) = name.strip_prefix(MARKET) else { continue };
            out.push_str(comma);
            push_text(&mut out, market);
            out.push(':');
            out.push_str(&body.text);
            comma = ",";
        }
        out.push_str("}}");
        out
    }
}

/// Before a market's key in its section's name.
const MARKET: &str = "market:";
