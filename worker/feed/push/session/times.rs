//! What a session does by the clock: deadlines, heartbeats, the end of a silent server, subscriptions.

use super::{LostReason, MessageTemplate, Outgoing, Session, State};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Alive;

/// How long a silent server may take to answer a heartbeat.
const PROBE: Duration = Duration::from_secs(5);

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
            Alive::Frame => self.is_alive(now),
            Alive::Message => {}
        }
    }

    /// A silent server is sent a heartbeat, and given up if nothing comes. The time counts from that: whoever was stopped for long asks first,
    /// and judges by what comes then.
    fn watch_silence(&mut self, now: Instant) {
        let silent = now.saturating_duration_since(self.alive_at);
        match self.probed {
            None if self.is_watched() && silent >= self.config.idle_limit => {
                self.probed = Some(now);
                self.send_heartbeat(now);
            }
            Some(at) if now.saturating_duration_since(at) >= PROBE => {
                self.end(LostReason::Silent { after: silent });
            }
            None | Some(_) => {}
        }
    }

    /// Something came that counts.
    pub(super) fn is_alive(&mut self, now: Instant) {
        self.alive_at = self.alive_at.max(now);
        self.probed = None;
    }

    fn is_watched(&self) -> bool {
        !self.config.idle_limit.is_zero()
    }

    fn beat(&mut self, now: Instant) {
        let every = self.config.heartbeat.every.get();
        if !every.is_zero() && now.saturating_duration_since(self.beat_at) >= every {
            self.send_heartbeat(now);
        }
    }

    fn send_heartbeat(&mut self, now: Instant) {
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
                let every = self.config.heartbeat.every.get();
                let beat = self.beat_at.checked_add(every).filter(|_| !every.is_zero());
                let silence = match self.probed {
                    None => self.alive_at.checked_add(self.config.idle_limit).filter(|_| self.is_watched()),
                    Some(at) => at.checked_add(PROBE),
                };
                [beat, silence, self.subscriptions.deadline()].into_iter().flatten().min()
            }
            State::Closed { .. } => None,
        }
    }
}
