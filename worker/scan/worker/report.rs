//! What the worker counts, and its load report.

use super::Worker;
use crate::feed::FollowError;
use crate::scan::lag::Lag;
use crate::scan::losses::Losses;
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
    /// What is counted as it happens; the rest is filled in where a report is made.
    pub counted: LoadReport,
    /// When the time began over which the next report has its rates: idle time and bytes since then, and the diffs before it.
    since: Instant,
    idle: Duration,
    pub bytes: u64,
    diffs_before: u64,
    /// When a topic was last asked for.
    pub asked_at: Instant,
    /// When something last came of what is followed, or could have begun to.
    pub heard_at: Instant,
    acknowledged: Topics,
    pub loaded: Topics,
    connection: ConnectionState,
    /// What the server sent and is of no use.
    pub skipped: Skipped,
    pub losses: Losses,
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
            counted: LoadReport::default(),
            since: now,
            idle: Duration::ZERO,
            bytes: 0,
            diffs_before: 0,
            asked_at: now,
            heard_at: now,
            acknowledged: Topics::default(),
            loaded: Topics::default(),
            connection: ConnectionState::Down,
            skipped: Skipped::default(),
            losses: Losses::default(),
            lag: Lag::default(),
            rates_at: now,
            next_report: now,
            report_now: true,
        }
    }

    pub fn waited(&mut self, time: Duration) {
        self.idle += time;
    }

    pub fn queued(&mut self, bytes: u64) {
        let peak = &mut self.counted.receive_queue_peak;
        *peak = bytes.max(*peak);
    }

    pub fn error(&mut self) {
        self.counted.errors += 1;
    }

    /// A topic was asked for.
    pub fn asked(&mut self, topic: &str, asked: Result<(), FollowError>) {
        self.asked_at = Instant::now();
        if let Err(error) = asked {
            self.error();
            log::error!(topic = topic, error:% = error; "worker.not_subscribed");
        }
    }

    /// A first message or a status came for a topic.
    pub fn acknowledged(&mut self, topic: &[u8]) {
        self.acknowledged.get_or_insert_with(topic, |topic| topic.into());
    }

    pub fn loaded(&mut self, topic: &[u8]) {
        self.loaded.get_or_insert_with(topic, |topic| topic.into());
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

    pub fn disconnected(&mut self) {
        self.acknowledged.clear();
        self.loaded.clear();
        self.counted.server_queue = None;
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

    /// A connection that is up and brings nothing of what is followed on it is not up: see [`LoadReport::quiet_s`].
    pub(super) fn quiet_s(&mut self, now: Instant) -> u32 {
        // A list alone may have nothing to say for hours, and nothing comes of what the server refuses.
        let is_awaited = self.matches.iter().any(|(_, followed)| followed.state != MatchState::Refused);
        if !is_awaited || self.meter.connection != ConnectionState::Up {
            self.meter.heard_at = now;
            return 0;
        }
        let quiet = now.saturating_duration_since(self.meter.heard_at);
        if quiet < self.parts.stale_after {
            return 0;
        }
        u32::try_from(quiet.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    fn load_report(&mut self, now: Instant) -> LoadReport {
        let (mut live, mut stale) = (0, 0);
        for (_, followed) in self.matches.iter() {
            live += u32::from(followed.state == MatchState::Live);
            stale += u32::from(followed.state == MatchState::Stale);
        }
        let subscriptions = self.subscriptions() as u32;
        let (asked, unanswered) = (self.source.asked(), self.source.unanswered());
        let quiet_s = self.quiet_s(now);
        let sources = self.source.sources(now);
        let queue = self.source.receive_queue();
        let meter = &mut self.meter;
        let passed = now.saturating_duration_since(meter.since).as_secs_f64().max(1e-3);
        let report = LoadReport {
            matches: self.matches.len() as u32,
            live,
            stale,
            subscriptions,
            asked,
            acknowledged: meter.acknowledged.len() as u32,
            loaded: meter.loaded.len() as u32,
            unanswered,
            quiet_s,
            busy: (1.0 - meter.idle.as_secs_f64() / passed).clamp(0.0, 1.0) as f32,
            diffs_per_s: (meter.counted.diffs - meter.diffs_before) as f64 / passed,
            bytes_per_s: meter.bytes as f64 / passed,
            receive_queue: queue,
            receive_queue_peak: meter.counted.receive_queue_peak.max(queue),
            round_ms: self.window.as_ref().and_then(Window::round).map(|round| round.as_millis() as u32),
            lag_p50_us: meter.lag.percentile(0.5),
            lag_p99_us: meter.lag.percentile(0.99),
            errors: meter.counted.errors + self.source.errors(),
            dropped: self.link.outboxes.matches.dropped() + self.link.outboxes.bulk.lines_dropped(),
            odds_conflated: self.link.outboxes.bulk.dropped(),
            unacknowledged: self.link.unacknowledged() as u64,
            sources,
            ..meter.counted.clone()
        };
        // A report on a change must not leave the next one a window too short to mean anything.
        if passed >= 0.5 {
            meter.since = now;
            meter.idle = Duration::ZERO;
            meter.diffs_before = meter.counted.diffs;
            meter.bytes = 0;
            meter.counted.receive_queue_peak = 0;
            meter.lag.clear();
        }
        report
    }
}
