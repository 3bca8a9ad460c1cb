//! What a session does by the clock: deadlines, heartbeats, the end of a silent server, subscriptions.

use super::{LostReason, MessageTemplate, Outgoing, Session, State};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Alive;

impl Session {
    /// Does what is due.
    pub(in crate::feed::push) fn timer(&mut self, now: Instant) {
        match self.state {
            State::Upgrading { until } | State::Greeted { until } | State::LoggingIn { until }
                if now >= until =>
            {
                let (after, waited_for) = (self.config.deadline, self.waited_for());
                self.end(LostReason::Deadline { after, waited_for });
            }
            State::Open => {
                self.watch_silence(now);
                self.beat(now);
                self.send_requests(now);
            }
            State::Upgrading { .. }
            | State::Greeted { .. }
            | State::LoggingIn { .. }
            | State::Closed { .. } => {}
        }
    }

    /// A ping, a pong or anything else came that is no message.
    pub(in crate::feed::push) fn frame_came(&mut self, now: Instant) {
        match self.config.alive {
            Alive::Frame => self.alive_at = self.alive_at.max(now),
            Alive::Message => {}
        }
    }

    fn watch_silence(&mut self, now: Instant) {
        let silent = now.saturating_duration_since(self.alive_at);
        // A host that slept did not listen: the heartbeat goes out first, and its answer decides.
        let has_beaten = now.saturating_duration_since(self.beat_at) < self.beat_every() * 2;
        if self.is_watched() && silent >= self.config.idle_limit && has_beaten {
            self.end(LostReason::Silent { after: silent });
        }
    }

    fn is_watched(&self) -> bool {
        !self.config.idle_limit.is_zero()
    }

    /// How often a heartbeat is sent; without one nothing is waited for.
    fn beat_every(&self) -> Duration {
        match self.config.heartbeat.every.get() {
            Duration::ZERO => Duration::MAX / 4,
            every => every,
        }
    }

    fn beat(&mut self, now: Instant) {
        if now.saturating_duration_since(self.beat_at) < self.beat_every() {
            return;
        }
        self.beat_at = now;
        let config = Arc::clone(&self.config);
        if config.heartbeat.send.is_empty() {
            self.out.push_back(Outgoing::Ping);
        } else {
            self.send(&config.heartbeat.send, &MessageTemplate::default(), &[], b"");
        }
    }

    /// When [`Session::timer`] has something to do next.
    pub(in crate::feed::push) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Upgrading { until } | State::Greeted { until } | State::LoggingIn { until } => Some(until),
            State::Open => {
                let beat = self.beat_at.checked_add(self.beat_every());
                let silence = self.alive_at.checked_add(self.config.idle_limit).filter(|_| self.is_watched());
                [beat, silence, self.subscriptions.deadline()].into_iter().flatten().min()
            }
            State::Closed { .. } => None,
        }
    }
}
