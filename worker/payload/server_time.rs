//! The server's own clock, from the topic in which it states it: `F|IN;TI=20251116152627721;UF=15;|`, then deltas `U|IN;TI=…`.
//!
//! What the feed says of a match's clock is in the server's time, and so is what it shows at the moment of a read. Only
//! displayed clocks follow it: what is received when is our own wall clock's affair.

use super::{clock, text};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The time that a load or delta of the time topic states, microseconds since 1970 UTC; `None` if it states none.
/// `zone` is that of the feed's times; of two readings the one nearest to `received_us` is meant. Milliseconds may be missing.
pub(super) fn stated(body: &[u8], zone: &TimeZone, received_us: i64) -> Option<i64> {
    let mut attributes = body.split(|b| matches!(b, b'|' | b';'));
    let value = attributes.find_map(|attribute| attribute.strip_prefix(b"TI="))?;
    let (second, millis) = value.split_at_checked(14)?;
    let millis = if millis.is_empty() { 0 } else { text::whole(millis, 3).filter(|_| millis.len() == 3)? };
    let seconds = clock::instant(second, zone, received_us)?;
    seconds.checked_mul(1_000_000)?.checked_add(i64::try_from(millis).ok()? * 1_000)
}

/// How often the time topic says that it states the time: `UF`, seconds.
pub fn heartbeat(body: &[u8]) -> Option<Duration> {
    let mut attributes = body.split(|b| matches!(b, b'|' | b';'));
    let value = attributes.find_map(|attribute| attribute.strip_prefix(b"UF="))?;
    let seconds = text::whole(value, 4).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_is_in_whole_seconds_or_unknown() {
        let seconds = |body: &str| heartbeat(body.as_bytes()).map(|every| every.as_secs());
        assert_eq!(seconds("F|IN;TI=20251116152627721;UF=55;|"), Some(55));
        assert_eq!(seconds("U|UF=9999"), Some(9999));
        for odd in
            ["", "U|IN;TI=1;|", "U|UF=;|", "U|UF=0;|", "U|UF=-5;|", "U|UF=1.5;|", "U|UF=10000;|", "U|XUF=5;|"]
        {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_stated_time_is_in_the_feeds_zone_to_the_millisecond() {
        let zone = TimeZone::get("Europe/London").unwrap();
        // 2026-06-01 12:00:00 UTC.
        const NOON: i64 = 1_780_315_200_000_000;
        let micros = |body: &str| stated(body.as_bytes(), &zone, NOON);
        assert_eq!(micros("F|IN;TI=20260601130000721;UF=15;|"), Some(NOON + 721_000));
        assert_eq!(micros("U|IN;TI=20260601130001000;UF=15;|"), Some(NOON + 1_000_000));
        assert_eq!(micros("U|TI=20260601130000001;|"), Some(NOON + 1_000));
        assert_eq!(micros("U|TI=20260601130000"), Some(NOON));
        for odd in [
            "",
            "U|",
            "EMPTY",
            "F|IN;UF=15;|",
            "U|IN;TI=;|",
            "U|IN;TI=2026060113000;|",
            "U|IN;TI=2026060113000012;|",
            "U|IN;TI=202606011300001234;|",
            "U|IN;TI=20261301130000000;|",
            "U|IN;TI=2026060113000\u{e9}00;|",
        ] {
            assert_eq!(micros(odd), None, "{odd}");
        }
    }
}
