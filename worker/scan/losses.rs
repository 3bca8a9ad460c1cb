//! Which attempts to connect, and which lost connections, are a line of the log.
//!
//! A server that is down is tried again and again: the first failure is logged at once, the next ones at growing intervals, up to a
//! minute, with the number of those between. A connection that stood for longer than that is news again when it is lost. Each is
//! logged at level debug besides. Called by the loop.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Losses {
    /// None is logged before, and how long that was.
    quiet: Option<(Instant, Duration)>,
    /// Since the last line.
    unshown: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// After so many that were not.
    Line(u64),
    No,
}

impl Losses {
    pub(super) fn note(&mut self, now: Instant) -> Shown {
        let wait = match self.quiet {
            Some((until, _)) if now < until => {
                self.unshown += 1;
                return Shown::No;
            }
            Some((until, wait)) if now.saturating_duration_since(until) < LAST => (wait * 2).min(LAST),
            Some(_) | None => FIRST,
        };
        self.quiet = now.checked_add(wait).map(|until| (until, wait));
        Shown::Line(std::mem::take(&mut self.unshown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_shown_then_fewer_and_fewer_with_the_number_of_those_between() {
        let start = Instant::now();
        let mut losses = Losses::default();
        let mut shown = Vec::new();
        for second in 0..300 {
            if let Shown::Line(unshown) = losses.note(start + Duration::from_secs(second)) {
                shown.push((second, unshown));
            }
        }
        let expected = [(0, 0), (5, 4), (15, 9), (35, 19), (75, 39), (135, 59), (195, 59), (255, 59)];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_connection_that_stood_is_news_again() {
        let start = Instant::now();
        let mut losses = Losses::default();
        let mut after = |seconds| losses.note(start + Duration::from_secs(seconds));
        assert_eq!((after(0), after(5)), (Shown::Line(0), Shown::Line(0)));
        assert_eq!(after(80), Shown::Line(0));
        assert_eq!((after(81), after(85)), (Shown::No, Shown::Line(1)), "as after the first");
    }
}
