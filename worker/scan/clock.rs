//! The two clocks of a read: the wall clock, which orders nothing, and the time since the loop began.

use crate::payload::Received;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Counts from `now`.
    pub fn new(now: Instant) -> Clock {
        Clock { started: now }
    }

    /// Both clocks of a read at `now`.
    pub fn received(&self, now: Instant) -> Received {
        let mono_ns = now.saturating_duration_since(self.started).as_nanos() as u64;
        Received { wall_us: wall_us(), mono_ns }
    }

    pub fn instant(&self, mono_ns: u64) -> Instant {
        self.started + Duration::from_nanos(mono_ns)
    }
}

/// The wall clock, microseconds since 1970 UTC. Orders nothing.
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
