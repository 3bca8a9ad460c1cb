//! The documents in memory: sections as they came, put together only when somebody needs one.
//!
//! A rendering is applied as a unit. `version` is dense from 1 per epoch. What a candidate publishes is held beside
//! the document until the ledger adopts its epoch, and is then version 1 of it. Candidates are held apart: after a start of the
//! recorder the owner, too, has an epoch that is not adopted yet, and another worker may be ahead of it.

use super::config::RecordConfig;
use super::store::payload::push_text;
use super::store::{Restored, Snapshot, schema};
use super::time::push_rfc3339;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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

/// Candidates whose renderings are held; a match has its seat at two workers at most. Beyond it the lowest epoch goes.
const HELD: usize = 3;

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
    removed: BTreeSet<String>,
    unsaved: bool,
    /// The lowest epoch first.
    held: Vec<Held>,
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
        let at = document.held.iter().position(|held| held.epoch == epoch);
        let held = at.map(|at| document.held.remove(at));
        document.held.retain(|held| held.epoch > epoch);
        let publish = held?.publish;
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

impl Held {
    fn change(&mut self, changes: Publish) {
        let whole = &mut self.publish;
        (whole.stale, whole.received_at, whole.updated_at) =
            (changes.stale, changes.received_at, changes.updated_at);
        for section in changes.sections {
            match whole.sections.iter_mut().find(|known| known.key == section.key) {
                Some(known) => known.body = section.body,
                None => whole.sections.push(section),
            }
        }
    }
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
                        self.removed.insert(name);
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
        let epoch = publish.epoch;
        match self.held.iter_mut().find(|held| held.epoch == epoch) {
            Some(held) if publish.extent == Extent::Changes => held.change(publish),
            Some(held) => held.publish = publish,
            None => {
                let at = self.held.partition_point(|held| held.epoch < epoch);
                self.held.insert(at, Held { epoch, publish });
                if self.held.len() > HELD {
                    self.held.remove(0);
                }
            }
        }
    }

    fn snapshot(&mut self, key: &MatchKey) -> Snapshot {
        self.unsaved = false;
        let removed = std::mem::take(&mut self.removed);
        let gone = removed.into_iter().filter(|name| !self.sections.contains_key(name));
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

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::model::FeedId;

    fn publish(epoch: u64, extent: Extent, sections: &[(SectionKey, &str)]) -> Publish {
        let section =
            |(key, body): &(SectionKey, &str)| Section { key: key.clone(), body: Some((*body).to_owned()) };
        Publish {
            key: MatchKey { feed: FeedId(0), id: "M".into() },
            epoch: Epoch(epoch),
            extent,
            sections: sections.iter().map(section).collect(),
            stale: false,
            received_at: 0,
            updated_at: 0,
        }
    }

    #[test]
    fn an_owner_with_a_new_epoch_keeps_what_it_published_beside_a_candidate_above_it() {
        let market = |key: &str| SectionKey::Market(key.into());
        let whole = |epoch: u64, body: &'static str| {
            publish(epoch, Extent::Whole, &[(SectionKey::Head, "{}"), (market("K"), body)])
        };
        let now = Instant::now();
        let key = MatchKey { feed: FeedId(0), id: "M".into() };
        let config = Arc::new(RecordConfig::new(&touchline_common::config::Config::default()));
        let mut documents = Documents::new(config, Vec::new(), vec![(key.clone(), Epoch(5))]);
        assert_eq!(documents.apply(whole(5, "5"), now), Applied::Version(1));
        // The recorder started anew: its worker has epoch 7, and the match is on its way to another, with 9, which is quicker.
        for (epoch, body) in [(9, "9"), (7, "7")] {
            assert_eq!(documents.apply(whole(epoch, body), now), Applied::Held);
        }
        let (adopted, version) = documents.adopt(&key, Epoch(7), now).unwrap();
        assert_eq!((adopted, version), (whole(7, "7"), 1));
        let more = publish(7, Extent::Changes, &[(market("L"), "7")]);
        assert_eq!(documents.apply(more, now), Applied::Version(2));
        assert!(
            documents.text(&key).unwrap().contains(r#""markets":{"K":7,"L":7}"#),
            "{:?}",
            documents.text(&key)
        );
        // What the candidate changes meanwhile is its own.
        let more = publish(9, Extent::Changes, &[(market("N"), "9")]);
        assert_eq!(documents.apply(more, now), Applied::Held);
        documents.adopt(&key, Epoch(9), now).unwrap();
        assert!(
            documents.text(&key).unwrap().contains(r#""markets":{"K":9,"N":9}"#),
            "{:?}",
            documents.text(&key)
        );
        assert_eq!(documents.apply(whole(7, "7"), now), Applied::Refused);
    }
}
