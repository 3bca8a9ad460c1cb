//! What a session does by the clock: deadlines, pings, the probe of a silent server.

use super::{Session, State};
use crate::feed::diffusion::LostReason;
use crate::wire::diffusion;
use std::time::{Duration, Instant};

/// Bounds of what a server's heartbeat may make of the idle limit.
const IDLE_MIN: Duration = Duration::from_secs(10);
const IDLE_MAX: Duration = Duration::from_secs(600);

impl Session {
    /// Does what is due: deadlines, pings, subscriptions. What ends the session is an event, too.
    pub fn timer(&mut self, now: Instant) {
        match self.state {
            State::Shaking { until } if now >= until => {
                let after = self.config.handshake_deadline;
                self.end(LostReason::HandshakeDeadline { after });
            }
            State::Open => {
                self.watch_silence(now);
                self.give_back_memory();
                self.ping(now);
                let expired = self.fragments.expire(now);
                self.errors += expired;
                self.too_old += expired;
                self.subscriptions.send(now, &mut self.out);
                self.check_output();
            }
            State::Shaking { .. } | State::Closed { .. } => {}
        }
    }

    /// The server sends at least this often. Without pings of ours, silence is judged by that.
    pub fn heartbeat(&mut self, every: Duration) {
        if self.config.ping_interval.is_none() {
            self.config.idle_limit = (every + every / 2).clamp(IDLE_MIN, IDLE_MAX);
        }
    }

    /// A silent server is probed, and given up if nothing comes. The time counts from the question: whoever
    /// was stopped for long asks first, and judges by what comes then.
    fn watch_silence(&mut self, now: Instant) {
        match self.probed {
            None if now.saturating_duration_since(self.received_at) >= self.config.idle_limit => {
                self.probed = Some(now);
                self.send_ping(now);
            }
            Some(at) if now.saturating_duration_since(at) >= self.config.probe_deadline => {
                let after = now.saturating_duration_since(self.received_at);
                self.end(LostReason::Silent { after });
            }
            None | Some(_) => {}
        }
    }

    fn ping(&mut self, now: Instant) {
        let Some(interval) = self.config.ping_interval else { return };
        if now.saturating_duration_since(self.pinged) >= interval {
            self.send_ping(now);
        }
    }

    fn send_ping(&mut self, now: Instant) {
        self.pinged = now;
        let passed =
            u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        let wall = self.config.wall_ms.saturating_add(passed);
        // Cannot fail: digits are no separators.
        let _ = diffusion::ping_server(&mut self.out, wall.to_string().as_bytes(), 0);
    }

    /// When [`Session::timer`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Shaking { until } => Some(until),
            State::Open => {
                let ping = self.config.ping_interval.and_then(|interval| self.pinged.checked_add(interval));
                let silence = match self.probed {
                    None => self.received_at.checked_add(self.config.idle_limit),
                    Some(at) => at.checked_add(self.config.probe_deadline),
                };
                let due = [ping, silence, self.subscriptions.next_send(), self.fragments.deadline()];
                due.into_iter().flatten().min()
            }
            State::Closed { .. } => None,
        }
    }
}
