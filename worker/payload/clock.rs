//! The displayed clock, as the feed states it and as it stands at a moment.

use super::json::Json;
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

/// Seconds since 1970 UTC of `YYYYMMDDhhmmss` in a zone. Of a time that comes twice the first is meant; one that is
/// skipped counts from before the step.
pub(super) fn instant(stamp: &[u8], zone: &TimeZone) -> Option<i64> {
    if stamp.len() != 14 {
        return None;
    }
    let part = |from: usize, to: usize| text::whole(stamp.get(from..to)?, 4);
    let small = |from: usize| part(from, from + 2).map(|n| n as i8);
    let year = i16::try_from(part(0, 4)?).ok()?;
    let civil = DateTime::new(year, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()?;
    Some(zone.to_ambiguous_zoned(civil).compatible().ok()?.timestamp().as_second())
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
        let shown = |stamp: &[u8]| instant(stamp, &zone).and_then(written);
        assert_eq!(shown(b"20190517140307").as_deref(), Some("2019-05-17T13:03:07Z"));
        assert_eq!(shown(b"20190117140307").as_deref(), Some("2019-01-17T14:03:07Z"));
        for odd in [&b""[..], b"2019051714030", b"20191317140307", b"201905171403 7", b"20190517250307"] {
            assert_eq!(shown(odd), None);
        }
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
