//! The ledgers of all matches of a replay, and the rows of the events that they make.
//!
//! Time is the recorded one: what waits for a time waits for that. Invariant: each id is given once, as a store gives it.

use crate::payload::Received;
use crate::record::config::RecordConfig;
use crate::record::ledger::incidents::Bounds;
use crate::record::ledger::{EventId, Input, Ledger, NewEvent, Outcome};
use hashbrown::HashSet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use touchline_common::config::Config;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{ChatKind, ChatLine, MatchKey, Side};

/// How often what waits for a time is looked at, microseconds of the recording.
const LOOK_EVERY: i64 = 10_000;
/// At the end as much time passes as anything may wait for.
const REST: Duration = Duration::from_secs(3_600);

pub(super) struct Ledgers {
    config: RecordConfig,
    all: BTreeMap<MatchKey, Held>,
    outcome: Outcome,
    /// Stands for the time of the first record.
    origin: Instant,
    /// Of the first and the newest record, microseconds since 1970 UTC.
    first: Option<i64>,
    newest: i64,
    looked_at: i64,
    /// Events that were not given yet.
    pub(super) rows: Vec<Value>,
}

struct Held {
    ledger: Ledger,
    ids: HashSet<(EventId, u32), foldhash::fast::RandomState>,
    /// Lines of chat that have an id.
    said: HashSet<(ChatKind, Box<str>), foldhash::fast::RandomState>,
}

impl Ledgers {
    pub(super) fn new(config: &Config) -> Ledgers {
        Ledgers {
            config: RecordConfig::new(config),
            all: BTreeMap::new(),
            outcome: Outcome::default(),
            origin: Instant::now(),
            first: None,
            newest: 0,
            looked_at: 0,
            rows: Vec::new(),
        }
    }

    /// Both clocks of a read at `at`, microseconds since 1970 UTC.
    pub(super) fn received(&self, at: i64) -> Received {
        let mono_ns = u64::try_from(self.since_first(at).as_nanos()).unwrap_or(u64::MAX);
        Received { wall_us: at, mono_ns }
    }

    /// Both clocks so many nanoseconds after the first record.
    pub(super) fn received_after(&self, mono_ns: u64) -> Received {
        let since_us = i64::try_from(mono_ns / 1_000).unwrap_or(i64::MAX);
        Received { wall_us: self.first.unwrap_or(0).saturating_add(since_us), mono_ns }
    }

    pub(super) fn instant(&self, at: i64) -> Instant {
        let since = self.since_first(at);
        self.origin.checked_add(since).unwrap_or(self.origin)
    }

    fn since_first(&self, at: i64) -> Duration {
        let since = at.saturating_sub(self.first.unwrap_or(at));
        Duration::from_micros(u64::try_from(since).unwrap_or(0))
    }

    /// It is `at` now: what has waited for that happens.
    pub(super) fn pass_time(&mut self, at: i64) {
        self.first.get_or_insert(at);
        self.newest = self.newest.max(at);
        if at.saturating_sub(self.looked_at) >= LOOK_EVERY {
            self.looked_at = at;
            self.tick(self.instant(at), at);
        }
    }

    /// The recording is over: everything that still waits happens.
    pub(super) fn finish(&mut self) {
        let end = self.instant(self.newest);
        self.tick(end.checked_add(REST).unwrap_or(end), self.newest);
    }

    fn tick(&mut self, now: Instant, at: i64) {
        let due = |held: &Held| held.ledger.deadline().is_some_and(|deadline| deadline <= now);
        let keys: Vec<MatchKey> =
            self.all.iter().filter(|(_, held)| due(held)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.run(&key, &Input::Tick { at }, now);
        }
    }

    pub(super) fn bounds(&self, key: &MatchKey) -> Bounds {
        self.config.incidents(key)
    }

    /// Runs a match's ledger.
    pub(super) fn advance(&mut self, key: &MatchKey, input: &Input<'_>, at: i64) {
        let now = self.instant(at);
        self.run(key, input, now);
        // Who owns a match is not recorded: whoever loads it last does.
        if let Input::Base { report, source, .. } = input
            && self.all.get(key).is_some_and(|held| held.ledger.source() != Some(*source))
        {
            self.run(key, &Input::Switch { epoch: report.epoch, owner: Owner::Dead }, now);
        }
    }

    fn run(&mut self, key: &MatchKey, input: &Input<'_>, now: Instant) {
        let Some(feed) = self.config.feed(key) else { return };
        let settle = self.config.store.settle.get();
        let held = self.all.entry(key.clone()).or_insert_with(|| Held {
            ledger: Ledger::new(feed, key.id.as_str(), settle),
            ids: HashSet::default(),
            said: HashSet::default(),
        });
        held.ledger.advance(input, now, &mut self.outcome);
        for event in std::mem::take(&mut self.outcome).events {
            if held.ids.insert((event.id, event.revision)) {
                let lane = self.config.lane(event.kind, event.lane).as_str();
                self.rows.push(row(feed, key, held.ledger.sport(), lane, &event));
            }
        }
    }
}

impl Ledgers {
    /// What was said in a room; a line that has the id of an earlier one is that one. A line of a room that was never loaded is none.
    pub(super) fn say(&mut self, key: &MatchKey, lines: &[ChatLine<'_>], at: i64) {
        let Some(feed) = self.config.feed(key) else { return };
        let Some(held) = self.all.get_mut(key) else { return };
        for line in lines {
            if line.id.is_empty() || held.said.insert((line.kind, (&*line.id).into())) {
                self.rows.push(line_row(feed, key, line, at));
            }
        }
    }
}

fn line_row(feed: &str, key: &MatchKey, line: &ChatLine<'_>, at: i64) -> Value {
    let time = |at: i64| format!("{:.6}", jiff::Timestamp::from_microsecond(at).unwrap_or_default());
    let user = Some(&*line.user).filter(|user| !user.is_empty());
    json!({
        "match": key.id.as_str(), "feed": feed, "type": line.kind.as_str(), "lane": "chat", "id": line.id,
        "user": user, "text": line.text, "amount": line.amount, "at": time(at), "feed_at": line.feed_at.map(time),
    })
}

fn row(feed: &str, key: &MatchKey, sport: Option<&str>, lane: &str, event: &NewEvent) -> Value {
    let at = jiff::Timestamp::from_microsecond(event.at).unwrap_or_default();
    json!({
        "id": event.id.to_string(), "revision": event.revision, "retracts": event.retracts.map(|id| id.to_string()),
        "match": key.id.as_str(), "feed": feed, "sport": sport, "type": event.kind.as_str(), "lane": lane,
        "side": event.side.map(Side::as_str), "minute": event.clock.map(|clock| clock / 60),
        "second": event.clock.map(|clock| clock % 60), "period": event.period, "at": format!("{at:.6}"),
        "epoch": event.epoch.0, "order": event.order,
        "score": event.score.map(|(home, away)| json!({ "home": home, "away": away })),
        "recovered": event.recovered,
        "payload": serde_json::to_value(&event.payload).unwrap_or_default(),
    })
}
