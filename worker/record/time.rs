//! Wall clock as the rows write it. It orders and expires nothing but what is kept by age on disk.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC.
pub(super) fn wall_us() -> i64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Appends `us`, microseconds since 1970 UTC, as RFC 3339 with microseconds; what no calendar holds is 1970.
pub(super) fn push_rfc3339(out: &mut String, us: i64) {
    let stamp = jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    // Writing to a string cannot fail.
    let _ = write!(out, "{stamp:.6}");
}

/// `us` as RFC 3339 text.
pub(super) fn rfc3339(us: i64) -> String {
    let mut out = String::with_capacity(27);
    push_rfc3339(&mut out, us);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn microseconds_are_always_written() {
        assert_eq!(super::rfc3339(1_558_098_187_000_000), "2019-05-17T13:03:07.000000Z");
        assert_eq!(super::rfc3339(i64::MAX), "1970-01-01T00:00:00.000000Z");
    }
}
