//! Readiness and health: of each feed, of the pool, and the summary line.
//!
//! `status`, `health` and the log follow from what is judged here, so that they never disagree, but for stale matches, which come and
//! go: the log's events of feeds leave them out.

use super::children::slot::{Pulse, Slot};
use super::feed::FirstList;
use super::log_event::LogEvent;
use super::{Answer, Pool, millis};
use crate::pool::catalog::list::LISTED_MAX;
use crate::pool::catalog::table::Mark;
use touchline_common::control::views::{FeedState, counted};
use touchline_common::ipc::messages::worker::{ConnectionState, FailingSource, SourcesReport};
use touchline_common::model::{FeedId, SlotId};

/// Whether the pool was ready already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Awaited,
    /// `Timing::ready_deadline` passed before.
    Overdue,
    Reached,
}

/// `connection of worker 3`, `connections of workers 3, 4`; as many as a line has room for.
fn connections_of(workers: &[SlotId]) -> String {
    const MOST: usize = 10;
    let names: Vec<String> = workers.iter().take(MOST).map(SlotId::to_string).collect();
    let more = if workers.len() > MOST { " and more" } else { "" };
    match workers {
        [one] => format!("connection of worker {one}"),
        _ => format!("connections of workers {}{more}", names.join(", ")),
    }
}

/// `2 sources fail for longer than stale_after, first a of match 5: status 500`.
fn overdue_why(sources: &SourcesReport) -> String {
    let fail = counted(sources.overdue, "source fails", "sources fail");
    let why = sources.worst.as_ref().map(|worst| format!(", first {}: {}", worst.name, worst.why));
    format!("{fail} for longer than stale_after{}", why.unwrap_or_default())
}

impl Pool {
    /// Logs the health of each feed when that changed.
    pub(super) fn tick_feeds(&mut self) {
        let tripped = self.children.breaker.is_tripped();
        if std::mem::replace(&mut self.children.breaker_logged, tripped) != tripped {
            self.out.log(match tripped {
                true => LogEvent::PoolDegraded { why: super::children::breaker::TRIPPED.into() },
                false => LogEvent::PoolRecovered,
            });
        }
        for feed in self.feeds.ids() {
            let (state, why) = self.feed_fault(feed);
            let (now, settle, of) = (self.now, self.timing.feed_settle, &mut self.feeds[feed]);
            // Before its first list is placed a feed is not up, and that is no news.
            let starts =
                of.logged_state.is_none() && state != FeedState::Up && now < self.timing.ready_deadline;
            if starts || of.logged_state == Some(state) {
                of.changed_since = None;
                continue;
            }
            let since = *of.changed_since.get_or_insert(now);
            if state != FeedState::Up && now < since + settle {
                continue;
            }
            of.changed_since = None;
            of.logged_state = Some(state);
            self.out.log(match state {
                FeedState::Up => LogEvent::FeedUp { feed },
                FeedState::Degraded => LogEvent::FeedDegraded { feed, why },
                FeedState::Down => LogEvent::FeedDown { feed, why },
            });
        }
    }

    /// The state of a feed, and why it is not up.
    pub(super) fn feed_health(&self, feed: FeedId) -> (FeedState, String) {
        let working = self.children.of(feed).filter(|slot| slot.life.works());
        let stale: u64 = working.map(|slot| u64::from(slot.report.stale)).sum();
        match self.feed_fault(feed) {
            (FeedState::Up, _) if stale == 1 => (FeedState::Degraded, "1 match is stale".into()),
            (FeedState::Up, _) if stale > 1 => (FeedState::Degraded, format!("{stale} matches are stale")),
            judged => judged,
        }
    }

    /// The same but for stale matches, which come and go: the log says nothing of them.
    fn feed_fault(&self, feed: FeedId) -> (FeedState, String) {
        let is_up = |slot: &&Slot| slot.life.works() && slot.upstream.state == ConnectionState::Up;
        let up: Vec<&Slot> = self.children.of(feed).filter(is_up).collect();
        let parked = self.children.of(feed).filter(|slot| slot.life.is_parked()).count();
        let waiting = self.catalog.matches.waiting_of(feed).count();
        let quiet = up.iter().filter(|slot| slot.report.quiet_s > 0);
        let quiet: Vec<SlotId> = quiet.map(|slot| slot.id).collect();
        let lacking = up.iter().filter(|slot| slot.report.unanswered > 0);
        let lacking: Vec<SlotId> = lacking.map(|slot| slot.id).collect();
        let unanswered: u32 = up.iter().map(|slot| slot.report.unanswered).sum();
        let left_out = self.feeds[feed].list.left_out();
        let overdue = self.sources_of(feed).filter(|sources| sources.overdue > 0);
        let overdue = overdue.map(|sources| overdue_why(&sources)).unwrap_or_default();
        let why = match (self.feeds[feed].first, waiting, parked) {
            _ if self.is_refused(feed) => {
                "a worker was refused, its configuration (exit 2) or its version: see its log line, correct it and restart the daemon".into()
            }
            _ if up.is_empty() => return (FeedState::Down, self.why_down(feed)),
            _ if !quiet.is_empty() => {
                format!("nothing came for longer than stale_after on the {}", connections_of(&quiet))
            }
            (FirstList::Awaited, ..) if !lacking.is_empty() => {
                format!("its list is not loaded, and there is no answer on the {}", connections_of(&lacking))
            }
            (FirstList::Awaited, ..) if !overdue.is_empty() => format!("its list is not loaded, and {overdue}"),
            (FirstList::Awaited, ..) => "its list is not loaded".into(),
            _ if self.is_quota_spent(feed) => "its quota of requests is spent until midnight UTC".into(),
            _ if !overdue.is_empty() => overdue,
            (_, 1.., _) => format!("{} waiting for capacity", counted(waiting, "match", "matches")),
            (.., 1..) => counted(parked, "worker is parked", "workers are parked"),
            _ if !lacking.is_empty() => {
                let are = counted(unanswered, "subscription is", "subscriptions are");
                format!("{are} not answered on the {}", connections_of(&lacking))
            }
            _ if left_out > 0 => {
                let are = counted(left_out, "match is", "matches are");
                format!("{are} left out: its list has more than {LISTED_MAX}")
            }
            (FirstList::Placing | FirstList::Placed, 0, 0) => return (FeedState::Up, String::new()),
        };
        (FeedState::Degraded, why)
    }

    fn is_quota_spent(&self, feed: FeedId) -> bool {
        self.feeds[feed].quota.is_some_and(|quota| !quota.has_batch(self.time()))
    }

    /// How what all workers of a polled feed ask for fares; none for a feed of another kind, and before the first report.
    pub(super) fn sources_of(&self, feed: FeedId) -> Option<SourcesReport> {
        let working = self.children.of(feed).filter(|slot| slot.life.works());
        working.filter_map(|slot| slot.report.sources.clone()).reduce(|one, other| {
            let failing_ms = |worst: &FailingSource| worst.failing_ms;
            SourcesReport {
                up: one.up.saturating_add(other.up),
                slow: one.slow.saturating_add(other.slow),
                failing: one.failing.saturating_add(other.failing),
                overdue: one.overdue.saturating_add(other.overdue),
                worst: [one.worst, other.worst].into_iter().flatten().max_by_key(failing_ms),
            }
        })
    }

    pub(super) fn tick_summary(&mut self) {
        let every = self.timing.summary_every;
        if self.summary_due.get_or_insert(self.now + every) > &mut self.now.clone() {
            return;
        }
        self.summary_due = Some(self.now + every);
        let count = self.count();
        self.out.log(LogEvent::Summary {
            matches: count.listed,
            live: count.live + count.stale,
            waiting: count.waiting,
            workers: self.children.working().count(),
            // The sum of nothing is -0, which would be shown.
            diffs_per_s: self.children.working().map(|slot| slot.report.diffs_per_s).sum::<f64>() + 0.0,
            lag_p99_us: self.children.working().map(|slot| slot.report.lag_p99_us).max().unwrap_or(0),
            gaps: self.children.recorder.stats.gaps_open,
            restarts: self.children.restarts,
        });
    }

    /// Follows the contract's rule of `ready`.
    pub(super) fn settle_readiness(&mut self) {
        for feed in self.feeds.ids() {
            let placed = self.catalog.matches.waiting_topics(feed) == 0;
            let state = &mut self.feeds[feed];
            if placed && state.first == FirstList::Placing {
                state.first = FirstList::Placed;
            }
        }
        if self.readiness == Readiness::Reached {
            return;
        }
        let ready = self.is_recorder_ready() && self.feeds.iter().all(|feed| feed.first == FirstList::Placed);
        if ready {
            if self.readiness == Readiness::Overdue {
                self.out.log(LogEvent::PoolRecovered);
            }
            self.readiness = Readiness::Reached;
            let count = self.count();
            let workers = self.children.working().count();
            let (took_ms, matches) = (millis(self.now), count.listed);
            self.out.log(LogEvent::PoolReady { took_ms, matches, workers });
            self.tick_requests();
        } else if self.readiness == Readiness::Awaited && self.now >= self.timing.ready_deadline {
            self.readiness = Readiness::Overdue;
            self.out.log(LogEvent::PoolDegraded { why: self.reasons().join("; ") });
            self.tick_requests();
        }
    }

    /// The answer to `wait-ready`, once there is one.
    pub(super) fn readiness_answer(&self) -> Option<Answer> {
        match self.readiness {
            Readiness::Reached => Some(Answer::Done { message: "ready".into() }),
            Readiness::Overdue => Some(Answer::Partial { missing: self.reasons().join("; ") }),
            Readiness::Awaited => None,
        }
    }

    pub fn is_recorder_ready(&self) -> bool {
        self.children.recorder.life.is_ready()
    }

    pub(super) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.is_recorder_ready() {
            reasons.push(format!("the recorder is {}", self.children.recorder.life.state.as_str()));
        } else if !self.children.recorder.stats.trouble.is_empty() {
            reasons.push(format!("the recorder: {}", self.children.recorder.stats.trouble));
        }
        if self.is_recorder_ready() {
            let sinks = self.children.recorder.stats.sinks.iter().filter(|sink| !sink.trouble.is_empty());
            reasons.extend(sinks.map(|sink| format!("sink {}: {}", sink.name, sink.trouble)));
        }
        reasons.extend(self.gateway_trouble());
        for feed in self.feeds.ids() {
            let name = self.feed_name(feed);
            match self.feed_health(feed) {
                (FeedState::Down, why) => reasons.push(format!("feed {name} is down: {why}")),
                (FeedState::Degraded, why) => reasons.push(format!("feed {name}: {why}")),
                (FeedState::Up, _) => {}
            }
        }
        let quarantined = self.catalog.matches.marked(Mark::Quarantined).len();
        if quarantined > 0 {
            let are = counted(quarantined, "match is", "matches are");
            reasons.push(format!("{are} in quarantine"));
        }
        if self.children.breaker.is_tripped() {
            reasons.push(crate::pool::children::breaker::TRIPPED.into());
        }
        let is_silent = |slot: &&Slot| slot.life.is_ready() && slot.session.pulse == Pulse::Silent;
        let silent = self.children.slots.iter().filter(is_silent);
        reasons.extend(silent.map(|slot| format!("worker {} does not report", slot.id)));
        reasons
    }
}
