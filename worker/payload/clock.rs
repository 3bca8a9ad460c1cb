//! The displayed clock, as the feed states it and as it stands at a moment.

use super::json_text::Json;
use super::text;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use touchline_common::model::Clock;

/// The longest that a running clock is believed without a new statement, seconds.
const LONGEST: i64 = 4 * 3_600;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockState {
    /// Seconds of play at `at`; `None` without a clock.
    pub(super) seconds: Option<i64>,
    pub(super) running: bool,
    pub(super) down: bool,
    /// When that was so, seconds since 1970 UTC.
    pub(super) at: Option<i64>,
}

impl ClockState {
    /// What it shows at a wall clock time in microseconds since 1970 UTC.
    pub(super) fn shown(&self, wall_us: i64) -> Option<Clock> {
        let stated = self.seconds?;
        let since = match self.at {
            Some(at) if self.running => wall_us.div_euclid(1_000_000).saturating_sub(at).clamp(0, LONGEST),
            Some(_) | None => 0,
        };
        let seconds = if self.down { (stated - since).max(0) } else { stated + since };
        Some(Clock { seconds: u32::try_from(seconds).unwrap_or(u32::MAX) })
    }

    /// Writes it as a member of a document's head, if there is a clock.
    pub(super) fn write(&self, out: &mut Json) {
        let Some(seconds) = self.seconds else { return };
        out.fixed(b"\"clock\":{\"seconds\":");
        out.number(seconds);
        out.truth(b",\"running\":", self.running);
        out.truth(b"\"down\":", self.down);
        out.member("at", self.at.and_then(written).as_deref());
        out.close_member(b'}');
    }
}

/// A time without a zone as it was written, and the instant that it was taken for when it came. It is not read again: in the hour
/// that comes twice a later look might find the other reading nearer.
#[derive(Debug, Default)]
pub(super) struct Stated {
    text: Box<[u8]>,
    at: Option<i64>,
}

impl Stated {
    pub(super) fn new(stamp: &[u8], zone: &TimeZone, received_us: i64) -> Self {
        Self { text: stamp.into(), at: instant(stamp, zone, received_us) }
    }

    pub(super) fn says(&self, stamp: &[u8]) -> bool {
        *self.text == *stamp
    }

    /// The instant that this text was taken for; of another text the one nearest to `received_us`.
    pub(super) fn instant_of(&self, stamp: &[u8], zone: &TimeZone, received_us: i64) -> Option<i64> {
        if self.says(stamp) { self.at } else { instant(stamp, zone, received_us) }
    }
}

/// Seconds since 1970 UTC of `YYYYMMDDhhmmss` in a zone. A time that comes twice, or one that is skipped, can be read in two ways: the
/// one nearest to `received_us`, microseconds since 1970 UTC, is meant.
pub(super) fn instant(stamp: &[u8], zone: &TimeZone, received_us: i64) -> Option<i64> {
    if stamp.len() != 14 {
        return None;
    }
    let part = |from: usize, to: usize| text::whole(stamp.get(from..to)?, 4);
    let small = |from: usize| part(from, from + 2).map(|n| n as i8);
    let year = i16::try_from(part(0, 4)?).ok()?;
    let civil = DateTime::new(year, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()?;
    let read = zone.to_ambiguous_timestamp(civil);
    let (first, last) = (read.earlier().ok()?.as_second(), read.later().ok()?.as_second());
    let received = received_us.div_euclid(1_000_000);
    Some(if received.abs_diff(last) < received.abs_diff(first) { last } else { first })
}

/// An instant as documents write it: `2019-05-17T13:03:07Z`.
fn written(second: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(second).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_in_the_feeds_zone() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let shown = |stamp: &[u8]| instant(stamp, &zone, 0).and_then(written);
        assert_eq!(shown(b"20190517140307").as_deref(), Some("2019-05-17T13:03:07Z"));
        assert_eq!(shown(b"20190117140307").as_deref(), Some("2019-01-17T14:03:07Z"));
        for odd in [&b""[..], b"2019051714030", b"20191317140307", b"201905171403 7", b"20190517250307"] {
            assert_eq!(shown(odd), None);
        }
    }

    #[test]
    fn of_two_readings_the_nearest_to_when_it_came_is_meant() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let read = |stamp: &[u8], came: &str| instant(stamp, &zone, at(came)).and_then(written).unwrap();
        // Clocks went back from 02:00 to 01:00 at 01:00 UTC.
        assert_eq!(read(b"20191027013000", "2019-10-27T00:30:02Z"), "2019-10-27T00:30:00Z");
        assert_eq!(read(b"20191027013000", "2019-10-27T01:30:02Z"), "2019-10-27T01:30:00Z");
        assert_eq!(read(b"20191027013000", "2019-10-27T00:20:00Z"), "2019-10-27T00:30:00Z");
        assert_eq!(read(b"20191027013000", "2019-10-27T05:00:00Z"), "2019-10-27T01:30:00Z");
        assert_eq!(read(b"20191027005959", "2019-10-27T05:00:00Z"), "2019-10-26T23:59:59Z");
        // Clocks went forward from 01:00 to 02:00 at 01:00 UTC: no clock showed 01:30.
        assert_eq!(read(b"20190331013000", "2019-03-31T00:30:02Z"), "2019-03-31T00:30:00Z");
        assert_eq!(read(b"20190331013000", "2019-03-31T01:30:02Z"), "2019-03-31T01:30:00Z");
    }

    #[test]
    fn a_time_is_read_once() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let (first, last) = (at("2019-10-27T00:30:00Z"), at("2019-10-27T01:30:00Z"));
        let stated = Stated::new(b"20191027013000", &zone, first.as_microsecond());
        let later = last.as_microsecond();
        assert_eq!(stated.instant_of(b"20191027013000", &zone, later), Some(first.as_second()));
        assert_eq!(stated.instant_of(b"20191027013001", &zone, later), Some(last.as_second() + 1));
    }

    #[test]
    fn a_running_clock_is_advanced_within_bounds() {
        let up = ClockState { seconds: Some(2_700), running: true, down: false, at: Some(1_000) };
        let at = |state: ClockState, second: i64| state.shown(second * 1_000_000).map(|clock| clock.seconds);
        assert_eq!(at(up, 1_010), Some(2_710));
        assert_eq!(at(up, 900), Some(2_700), "stated in the future");
        assert_eq!(at(up, 1_000_000), Some(2_700 + 14_400));
        assert_eq!(at(ClockState { down: true, seconds: Some(5), ..up }, 1_010), Some(0));
        assert_eq!(at(ClockState { running: false, ..up }, 1_010), Some(2_700));
        assert_eq!(at(ClockState { at: None, ..up }, 1_010), Some(2_700));
        assert_eq!(at(ClockState { seconds: None, ..up }, 1_010), None);
    }
}
