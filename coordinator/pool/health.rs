//! Readiness and health: of each feed, of the pool, and the summary line.
//!
//! `status`, `health` and the log follow from what is judged here, so that they never disagree.

use super::children::life::State;
use super::children::slot::Pulse;
use super::feed::{FeedHealth, FirstList};
use super::log_event::LogEvent;
use super::{Action, Answer, Pool, millis};
use crate::pool::catalog::table::Mark;
use touchline_common::ipc::messages::worker::ConnectionState;
use touchline_common::model::FeedId;

/// Whether the pool was ready already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Awaited,
    /// `Timing::ready_deadline` passed before.
    Overdue,
    Reached,
}

impl Pool {
    /// Logs the health of each feed when that changed.
    pub(super) fn tick_feeds(&mut self, out: &mut Vec<Action>) {
        let tripped = self.children.breaker.is_tripped();
        if std::mem::replace(&mut self.children.breaker_logged, tripped) != tripped {
            out.push(Action::Log(match tripped {
                true => LogEvent::PoolDegraded { why: super::children::breaker::TRIPPED.into() },
                false => LogEvent::PoolRecovered,
            }));
        }
        for feed in self.feed_ids() {
            let health = self.feed_health(feed);
            let Some(state) = self.feed_mut(feed) else { continue };
            // Before its first list is placed a feed is not up, and that is no news.
            let starting = state.logged_health == FeedHealth::Unknown && health != FeedHealth::Up;
            if starting && self.now < self.config.timing.ready_deadline {
                continue;
            }
            let Some(state) = self.feed_mut(feed) else { continue };
            // The numbers in a reason change all the time; only a change of the state itself is news.
            let before = std::mem::replace(&mut state.logged_health, health.clone());
            if std::mem::discriminant(&before) != std::mem::discriminant(&health) {
                out.push(Action::Log(match health {
                    FeedHealth::Unknown | FeedHealth::Up => LogEvent::FeedUp { feed },
                    FeedHealth::Degraded(why) => LogEvent::FeedDegraded { feed, why },
                    FeedHealth::Down => LogEvent::FeedDown { feed },
                }));
            }
        }
    }

    /// The health of a feed, but for stale matches, which come and go.
    pub(super) fn feed_health(&self, feed: FeedId) -> FeedHealth {
        let connected = self.children.slots.iter().any(|slot| {
            slot.feed == Some(feed) && slot.life.works() && slot.upstream.state == ConnectionState::Up
        });
        let parked =
            self.children.slots.iter().filter(|s| s.feed == Some(feed) && s.life.is_parked()).count();
        let Some(state) = self.feed(feed) else { return FeedHealth::Unknown };
        if self.is_refused(feed) {
            return FeedHealth::Degraded(
                "a worker was refused, its configuration (exit 2) or its version: see its log line, correct it and start anew".into(),
            );
        }
        if !connected {
            return FeedHealth::Down;
        }
        let waiting = self.catalog.matches.waiting_of(feed).count();
        let why = match (state.first, waiting, parked) {
            (FirstList::Awaited, ..) => "its list is not loaded".into(),
            (_, 1.., _) => format!("{waiting} matches wait for a place"),
            (.., 1..) => format!("{parked} workers are parked"),
            (FirstList::Placing | FirstList::Placed, 0, 0) => return FeedHealth::Up,
        };
        FeedHealth::Degraded(why)
    }

    pub(super) fn tick_summary(&mut self, out: &mut Vec<Action>) {
        let every = self.config.timing.summary_every;
        if self.summary_due.get_or_insert(self.now + every) > &mut self.now.clone() {
            return;
        }
        self.summary_due = Some(self.now + every);
        let count = self.count();
        let working = || self.children.slots.iter().filter(|slot| slot.life.works());
        out.push(Action::Log(LogEvent::Summary {
            matches: count.listed,
            live: count.live + count.stale,
            waiting: count.waiting,
            workers: working().count(),
            // The sum of nothing is -0, which would be shown.
            diffs_per_s: working().map(|slot| slot.report.diffs_per_s).sum::<f64>() + 0.0,
            lag_p99_us: working().map(|slot| slot.report.lag_p99_us).max().unwrap_or(0),
            gaps: self.children.recorder.stats.gaps_open,
            restarts: self.children.restarts,
        }));
    }

    /// Follows the contract's rule of `ready`.
    pub(super) fn settle_readiness(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let placed = self.catalog.matches.waiting_topics(feed) == 0;
            if let Some(feed) = self.feed_mut(feed).filter(|feed| placed && feed.first == FirstList::Placing)
            {
                feed.first = FirstList::Placed;
            }
        }
        if self.readiness == Readiness::Reached {
            return;
        }
        let ready = self.children.services.recorder.life.is_ready()
            && self.feeds.iter().all(|feed| feed.first == FirstList::Placed);
        if ready {
            if self.readiness == Readiness::Overdue {
                out.push(Action::Log(LogEvent::PoolRecovered));
            }
            self.readiness = Readiness::Reached;
            let count = self.count();
            let workers = self.children.slots.iter().filter(|slot| slot.life.works()).count();
            let (took_ms, matches) = (millis(self.now), count.listed);
            out.push(Action::Log(LogEvent::PoolReady { took_ms, matches, workers }));
            self.tick_requests(out);
        } else if self.readiness == Readiness::Awaited && self.now >= self.config.timing.ready_deadline {
            self.readiness = Readiness::Overdue;
            out.push(Action::Log(LogEvent::PoolDegraded { why: self.reasons().join("; ") }));
            self.tick_requests(out);
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

    pub(super) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.children.services.recorder.life.is_ready() {
            reasons.push(format!("the recorder is {}", self.children.services.recorder.life.state.as_str()));
        } else if !self.children.recorder.stats.trouble.is_empty() {
            reasons.push(format!("the recorder: {}", self.children.recorder.stats.trouble));
        }
        for feed in self.feed_ids() {
            let name = self.feed_name(feed);
            match self.feed_health(feed) {
                FeedHealth::Down => reasons.push(format!("feed {name} is down")),
                FeedHealth::Degraded(why) => reasons.push(format!("feed {name}: {why}")),
                FeedHealth::Unknown | FeedHealth::Up => {}
            }
        }
        let quarantined = self.catalog.matches.marked(Mark::Quarantined).len();
        if quarantined > 0 {
            reasons.push(format!("{quarantined} matches are in quarantine"));
        }
        if self.children.breaker.is_tripped() {
            reasons.push(crate::pool::children::breaker::TRIPPED.into());
        }
        let silent = self.children.slots.iter().filter(|slot| {
            matches!(slot.life.state, State::Ready { .. }) && slot.session.pulse == Pulse::Silent
        });
        reasons.extend(silent.map(|slot| format!("worker {} does not report", slot.id)));
        reasons
    }
}
