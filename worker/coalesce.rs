//! How long a loop waits before it reads again, so that several messages share a wake-up (`[limits] coalesce`). Pure.
//!
//! The first message after a quiet time is dealt with at once: only what follows it waits, and never longer than one pause. Waiting by
//! itself begins where wake-ups cost more than the wait saves in time, and ends where they have become few. Callers: the loops of
//! workers and of the recorder, once nothing is left to read.

use std::time::{Duration, Instant};
use touchline_common::config::Coalesce;

/// How long a loop waits that does so by itself.
const PAUSE: Duration = Duration::from_millis(1);
/// Over how long turns are counted.
const SPAN: Duration = Duration::from_millis(100);
/// It begins above so many turns in that time, 5,000 a second,
const BEGIN: u32 = 500;
/// and ends below so many: with pauses between them there are 1,000 a second at most.
const END: u32 = 75;

/// What the turns of one loop came to.
#[derive(Debug)]
pub struct Coalescing {
    rule: Coalesce,
    state: State,
    /// Turns that read something,
    turns: u32,
    /// since then.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AtOnce,
    Waiting,
}

impl Coalescing {
    /// A loop that begins now.
    pub fn new(rule: Coalesce, now: Instant) -> Coalescing {
        Coalescing { rule, state: State::AtOnce, turns: 0, since: now }
    }

    /// How long to wait after a turn that read something and left nothing unread.
    pub fn after(&mut self, now: Instant) -> Duration {
        match self.rule {
            Coalesce::For(pause) => pause.get(),
            Coalesce::Auto => {
                self.count(now);
                match self.state {
                    State::AtOnce => Duration::ZERO,
                    State::Waiting => PAUSE,
                }
            }
        }
    }

    fn count(&mut self, now: Instant) {
        self.turns += 1;
        let passed = now.saturating_duration_since(self.since);
        if passed < SPAN {
            return;
        }
        // A turn that comes late ends a longer time: what counts is the rate.
        let turns = f64::from(self.turns) * SPAN.as_secs_f64() / passed.as_secs_f64();
        self.state = match self.state {
            State::AtOnce if turns > f64::from(BEGIN) => State::Waiting,
            State::Waiting if turns < f64::from(END) => State::AtOnce,
            state @ (State::AtOnce | State::Waiting) => state,
        };
        (self.turns, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::Dur;

    /// So long the loop waits in the end if a message comes each `every`, for a second.
    fn waits(coalescing: &mut Coalescing, now: &mut Instant, every: Duration) -> Duration {
        let end = *now + Duration::from_secs(1);
        let (mut next, mut pause) = (*now + every, Duration::ZERO);
        while *now < end {
            *now = next.max(*now + pause);
            // All that came meanwhile is read.
            while next <= *now {
                next += every;
            }
            pause = coalescing.after(*now);
        }
        pause
    }

    #[test]
    fn it_waits_by_itself_only_where_wake_ups_are_many() {
        let mut now = Instant::now();
        let mut auto = Coalescing::new(Coalesce::Auto, now);
        for (per_second, expected) in
            [(1_000, 0), (4_900, 0), (5_300, 1), (20_000, 1), (3_000, 1), (700, 0), (4_000, 0)]
        {
            let every = Duration::from_secs(1) / per_second;
            let found = waits(&mut auto, &mut now, every);
            assert_eq!(found, Duration::from_millis(expected), "{per_second} a second");
        }
    }

    #[test]
    fn what_is_configured_is_the_pause() {
        let now = Instant::now();
        for ms in [0, 5] {
            let mut fixed = Coalescing::new(Coalesce::For(Dur::millis(ms)), now);
            assert_eq!(fixed.after(now), Duration::from_millis(ms));
        }
    }
}
