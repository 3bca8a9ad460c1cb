//! What the worker counts, and its load report.

use super::Worker;
use crate::scan::lag::Lag;
use crate::scan::skipped::Skipped;
use crate::scan::window::Window;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FromWorker, LoadReport, LostWith, MatchState,
};

type Topics = HashSet<Box<[u8]>, RandomState>;

/// Counters of the loop, and what the last report said of them.
#[derive(Debug)]
pub struct Meter {
    since: Instant,
    idle: Duration,
    turns: u64,
    diffs: u64,
    bytes: u64,
    reported_diffs: u64,
    reported_bytes: u64,
    published: u64,
    errors: u64,
    peak: u64,
    asked_at: Instant,
    server_queue: Option<u32>,
    acknowledged: Topics,
    loaded: Topics,
    connection: ConnectionState,
    /// What the server sent and is of no use.
    pub skipped: Skipped,
    /// How long a change takes from the read to the recorder.
    pub lag: Lag,
    /// When the rates of matches were last looked at.
    pub rates_at: Instant,
    /// When the next report is due, and whether it is due now.
    pub next_report: Instant,
    pub report_now: bool,
}

impl Meter {
    /// Counts from `now`.
    pub fn new(now: Instant) -> Meter {
        Meter {
            since: now,
            idle: Duration::ZERO,
            turns: 0,
            diffs: 0,
            bytes: 0,
            reported_diffs: 0,
            reported_bytes: 0,
            published: 0,
            errors: 0,
            peak: 0,
            asked_at: now,
            server_queue: None,
            acknowledged: Topics::default(),
            loaded: Topics::default(),
            connection: ConnectionState::Down,
            skipped: Skipped::default(),
            lag: Lag::default(),
            rates_at: now,
            next_report: now,
            report_now: true,
        }
    }

    pub fn waited(&mut self, time: Duration) {
        self.idle += time;
    }

    pub fn turn(&mut self) {
        self.turns += 1;
    }

    pub fn read(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub fn delta(&mut self) {
        self.diffs += 1;
    }

    pub fn queued(&mut self, bytes: u64) {
        self.peak = self.peak.max(bytes);
    }

    pub fn published(&mut self, sections: usize) {
        self.published += sections as u64;
    }

    pub fn error(&mut self) {
        self.errors += 1;
    }

    pub fn server_queue(&mut self, depth: u64) {
        self.server_queue = Some(u32::try_from(depth).unwrap_or(u32::MAX));
    }

    /// A first message or a status came for a topic.
    pub fn acknowledged(&mut self, topic: &[u8]) {
        if !self.acknowledged.contains(topic) {
            self.acknowledged.insert(topic.into());
        }
    }

    pub fn loaded(&mut self, topic: &[u8]) {
        if !self.loaded.contains(topic) {
            self.loaded.insert(topic.into());
        }
    }

    /// A topic has no load any more.
    pub fn unloaded(&mut self, topic: &[u8]) {
        self.loaded.remove(topic);
    }

    /// A topic is followed no more.
    pub fn forgotten(&mut self, topic: &[u8]) {
        self.acknowledged.remove(topic);
        self.loaded.remove(topic);
    }

    pub fn asked(&mut self, now: Instant) {
        self.asked_at = now;
    }

    /// How long ago that was, milliseconds.
    pub fn quiet_ms(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.asked_at).as_millis()).unwrap_or(u32::MAX)
    }

    pub fn loads_held(&self) -> u32 {
        self.loaded.len() as u32
    }

    pub fn disconnected(&mut self) {
        self.acknowledged.clear();
        self.loaded.clear();
        self.server_queue = None;
    }
}

impl Worker {
    pub(super) fn send_connection(&mut self, state: ConnectionState, detail: String, lost: Option<LostWith>) {
        if self.meter.connection != state || !detail.is_empty() {
            self.meter.connection = state;
            self.send(&FromWorker::Connection { state, detail, lost });
            self.meter.report_now = true;
        }
    }

    /// Reports to the coordinator. The rates are those since the last report of at least half a second ago.
    pub(super) fn report(&mut self) {
        let now = Instant::now();
        let report = self.load_report(now);
        self.send(&FromWorker::Load(report));
    }

    fn load_report(&mut self, now: Instant) -> LoadReport {
        let (mut live, mut stale) = (0, 0);
        for (_, followed) in self.matches.iter() {
            live += u32::from(followed.state == MatchState::Live);
            stale += u32::from(followed.state == MatchState::Stale);
        }
        let subscriptions = self.subscriptions() as u32;
        let asked = self.source.asked();
        let queue = self.source.receive_queue();
        let meter = &mut self.meter;
        let passed = now.saturating_duration_since(meter.since).as_secs_f64().max(1e-3);
        let report = LoadReport {
            commands_seen: self.coordinator.commands_taken(),
            matches: self.matches.len() as u32,
            live,
            stale,
            subscriptions,
            asked,
            acknowledged: meter.acknowledged.len() as u32,
            loaded: meter.loaded.len() as u32,
            busy: (1.0 - meter.idle.as_secs_f64() / passed).clamp(0.0, 1.0) as f32,
            turns: meter.turns,
            diffs: meter.diffs,
            diffs_per_s: (meter.diffs - meter.reported_diffs) as f64 / passed,
            bytes_per_s: (meter.bytes - meter.reported_bytes) as f64 / passed,
            receive_queue: queue,
            receive_queue_peak: meter.peak.max(queue),
            server_queue: meter.server_queue,
            round_ms: self.window.as_ref().and_then(Window::round).map(|round| round.as_millis() as u32),
            lag_p50_us: meter.lag.percentile(0.5),
            lag_p99_us: meter.lag.percentile(0.99),
            published: meter.published,
            errors: meter.errors + self.source.errors(),
            dropped: self.link.outboxes.matches.dropped(),
            odds_conflated: self.link.outboxes.bulk.dropped(),
            unacknowledged: self.link.unacknowledged() as u64,
        };
        // A report on a change must not leave the next one a window too short to mean anything.
        if passed >= 0.5 {
            meter.since = now;
            meter.idle = Duration::ZERO;
            meter.reported_diffs = meter.diffs;
            meter.reported_bytes = meter.bytes;
            meter.peak = 0;
            meter.lag.clear();
        }
        report
    }
}
