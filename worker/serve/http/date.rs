//! The time of day as answers say it (RFC 9110, 6.6.1), from the time that the state machines are given. Pure.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::time::Instant;

/// A moment as both clocks have it.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Clock {
    pub at: Instant,
    pub time: Timestamp,
}

impl Clock {
    /// The value of a `Date` header.
    pub(in crate::serve) fn date(self, now: Instant) -> String {
        let time = self.time.saturating_add(now.saturating_duration_since(self.at)).unwrap_or(self.time);
        // Of years that four digits do not hold there is no such date.
        DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_date_is_as_http_has_it() {
        let at = Instant::now();
        // The example of the specification.
        let clock = Clock { at, time: "1994-11-06T08:49:30Z".parse().unwrap() };
        assert_eq!(clock.date(at + Duration::from_millis(7_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
