//! What the beginning and the end of a connection mean for the matches that are followed on it; and the end of a single topic's, where
//! each has one of its own.

use super::Worker;
use super::report::Meter;
use crate::feed::{Cause, Loss, SessionKind};
use crate::net::Refusal;
use crate::payload::{MatchSlot, Trees};
use crate::raw::Mark;
use crate::scan::clock::wall_us;
use crate::scan::losses::Shown;
use crate::scan::reporter::Reporter;
use std::time::{Duration, Instant};
use touchline_common::control::views::counted;
use touchline_common::ipc::messages::worker::{ConnectionState, ListChange, LostWith, MatchState};

impl Worker {
    pub(super) fn opened(&mut self, session: SessionKind, now: Instant) {
        match session {
            SessionKind::Fresh => self.parts.trees.connection_lost(),
            SessionKind::Resumed => {
                let kept = self.go_on(now);
                let found = format!("the session resumes with {}", counted(kept, "match", "matches"));
                self.send_connection(ConnectionState::Up, found, None);
            }
        }
    }

    /// The server goes on with the session: what it has and was loaded before is followed again from where it stood. What
    /// came between may be lost without a word, so the gap that began with the loss ends here, with all registers as they
    /// are known. The others are asked for again. How many go on.
    fn go_on(&mut self, now: Instant) -> usize {
        let mut kept = 0;
        let mut again = Vec::new();
        for slot in self.matches.slots() {
            let Some(followed) = self.matches.get_mut(slot) else { continue };
            let has_all = followed.topics.iter().all(|topic| self.source.is_loaded(topic));
            if followed.state != MatchState::Subscribing || !has_all || !self.parts.trees.is_live(slot) {
                again.push(slot);
                continue;
            }
            followed.touched_at = now;
            for topic in &followed.topics {
                self.meter.acknowledged(topic.as_bytes());
                self.meter.loaded(topic.as_bytes());
            }
            self.set_state(slot, MatchState::Live);
            self.report_values(slot);
            self.matches.make_due(slot);
            kept += 1;
        }
        for slot in again {
            self.reload_kept(slot);
        }
        kept
    }

    /// The connection is over: for every match a gap begins.
    pub(super) fn lost(&mut self, loss: &Loss, now: Instant) {
        let quiet = now.saturating_duration_since(self.meter.asked_at);
        let with = LostWith {
            asked: loss.asked,
            loaded: self.meter.loaded.len() as u32,
            quiet_ms: u32::try_from(quiet.as_millis()).unwrap_or(u32::MAX),
        };
        let why = loss.to_string();
        self.log_loss(loss, &why, now);
        self.meter.disconnected();
        self.forget_loads();
        self.record_mark(|| Mark::Lost);
        let at = wall_us();
        for slot in self.matches.slots() {
            if self.matches.get(slot).is_some_and(|followed| followed.state == MatchState::Subscribing) {
                continue;
            }
            self.reporter().connection_lost(slot, at);
            if let Some(followed) = self.matches.get_mut(slot) {
                followed.asked_at = Instant::now();
            }
            self.set_state(slot, MatchState::Subscribing);
        }
        if self.list.is_followed {
            self.list.changes.push(ListChange::Lost);
        }
        // A refused login is no sign of a cap on what was asked.
        let with = Some(with).filter(|with| with.asked > 0 && loss.cause != Cause::Login);
        self.send_connection(ConnectionState::Down, why, with);
    }

    /// An attempt to connect came to nothing.
    pub(super) fn not_connected(&mut self, loss: &Loss, now: Instant) {
        let why = loss.to_string();
        self.log_loss(loss, &why, now);
        self.send_connection(ConnectionState::Down, why, None);
    }

    fn log_loss(&mut self, loss: &Loss, why: &str, now: Instant) {
        let feed = self.parts.feed_name.as_str();
        match (loss.cause, loss.refusal) {
            (Cause::Login, Refusal::New) => log::error!(feed = feed, why = why; "worker.login_refused"),
            (Cause::Login, Refusal::Repeated) => log::debug!(feed = feed, why = why; "worker.login_refused"),
            (Cause::Connection | Cause::Tls | Cause::WebSocket, _) => match self.meter.losses.note(now) {
                Shown::Line(0) => log::warn!(feed = feed, why = why; "worker.connection_lost"),
                Shown::Line(unshown) => {
                    log::warn!(feed = feed, why = why, unshown = unshown; "worker.connection_lost");
                }
                Shown::No => log::debug!(feed = feed, why = why; "worker.connection_lost"),
            },
        }
    }
}

/// A topic alone is not followed at the moment, and was `unheard` for so long before: for its match a gap begins with what came last,
/// unless one is open already. Which match that is.
pub(super) fn interrupted(
    trees: &mut Trees,
    meter: &mut Meter,
    topic: &[u8],
    unheard: Duration,
    reporter: &mut Reporter<'_>,
) -> Option<MatchSlot> {
    let slot = trees.owner(topic)?;
    meter.forgotten(topic);
    let followed = reporter.matches.get_mut(slot)?;
    followed.rate.begin(followed.deltas);
    if followed.loaded.take().is_some() {
        followed.asked_at = reporter.now;
        let unheard = i64::try_from(unheard.as_micros()).unwrap_or(i64::MAX);
        reporter.connection_lost(slot, wall_us().saturating_sub(unheard));
        trees.await_load(slot);
    }
    Some(slot)
}

pub(super) fn log_interrupted(meter: &mut Meter, feed: &str, topic: &[u8], why: &str, now: Instant) {
    let id = String::from_utf8_lossy(topic);
    let id = id.as_ref();
    match meter.losses.note(now) {
        Shown::Line(0) => log::warn!(feed = feed, match_id = id, why = why; "match.interrupted"),
        Shown::Line(unshown) => {
            log::warn!(feed = feed, match_id = id, why = why, unshown = unshown; "match.interrupted");
        }
        Shown::No => log::debug!(feed = feed, match_id = id, why = why; "match.interrupted"),
    }
}

pub(super) fn log_refused(feed: &str, topic: &[u8], why: &str, retry: Duration) {
    let (id, retry_s) = (String::from_utf8_lossy(topic), retry.as_secs());
    log::warn!(feed = feed, match_id = id.as_ref(), why = why, retry_s = retry_s; "match.refused");
}
