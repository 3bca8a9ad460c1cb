//! A text of a JSON value as what it says: counts, clocks, times, truth, prices, states. What does not parse is `None`, never a guess.

use crate::payload::text;
use std::borrow::Cow;
use touchline_common::config::Status;
use touchline_common::model::Price;

/// Digits of a count that is believed.
const DIGITS: usize = 15;
/// A number of seconds since 1970 is below this, one of milliseconds above: the year 5138.
const SECONDS: i64 = 100_000_000_000;
/// Places behind the point of a price that can matter to its rounding.
const PLACES: usize = 9;

pub(super) fn count(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    text::whole(digits.as_bytes(), DIGITS).map(|count| sign * count as i64)
}

/// A whole number that is none of less than nothing.
pub(super) fn whole(text: &str) -> Option<u64> {
    text::whole(text.as_bytes(), DIGITS)
}

/// Seconds of play of a minute and a second, of which either may be unknown. A minute `45+2` is their sum.
pub(super) fn clock(minute: Option<&str>, second: Option<&str>) -> Option<u32> {
    let minutes = match minute {
        Some(text) => Some(
            text.trim_end_matches('\'')
                .split('+')
                .try_fold(0_u64, |sum, part| Some(sum + whole(part.trim())?.min(u64::from(u32::MAX))))?,
        ),
        None => None,
    };
    let second = second.and_then(whole);
    if minutes.is_none() && second.is_none() {
        return None;
    }
    let seconds = minutes.unwrap_or(0).saturating_mul(60).saturating_add(second.unwrap_or(0));
    u32::try_from(seconds).ok()
}

/// Microseconds since 1970 UTC of a number of seconds or milliseconds, or of a time of RFC 3339.
pub(super) fn time(text: &str) -> Option<i64> {
    if let Some(number) = count(text) {
        let scale = if number.abs() < SECONDS { 1_000_000 } else { 1_000 };
        return number.checked_mul(scale);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_microsecond())
}

/// Whether a value says yes: `false`, `0`, `no` and nothing do not.
pub(super) fn is_true(text: &str) -> bool {
    let text = text.trim();
    !["", "0", "false", "no"].iter().any(|no| text.eq_ignore_ascii_case(no))
}

/// The result of a selection.
pub(super) fn won(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    if is(&["true", "1", "won", "win", "winner"]) {
        Some(true)
    } else if is(&["false", "0", "lost", "lose", "loser"]) {
        Some(false)
    } else {
        None
    }
}

/// Decimal odds, of which a whole number is one, too. Places beyond those that matter are cut.
pub(super) fn decimal_price(text: &str) -> Option<Price> {
    let text = text.trim();
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((whole, places)) = text.split_once('.') else {
        return are_digits(text).then(|| Price::from_text(format!("{text}.0"))).flatten();
    };
    if !are_digits(whole) || !are_digits(places) {
        return None;
    }
    Price::from_text(text.get(..whole.len() + 1 + PLACES).unwrap_or(text))
}

/// What a word for a match's state usually stands for.
pub(super) fn state(word: &str) -> Option<Status> {
    let plain: String =
        word.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    Some(match plain.as_str() {
        "notstarted" | "scheduled" | "ns" | "upcoming" | "pre" | "prematch" | "created" | "delayed"
        | "postponed" | "fixture" => Status::NotStarted,
        "inprogress" | "inplay" | "live" | "playing" | "started" | "running" | "active" => Status::InPlay,
        "break" | "halftime" | "ht" | "pause" | "paused" | "intermission" => Status::Break,
        "suspended" | "interrupted" | "willcontinue" | "stopped" => Status::Suspended,
        "finished" | "ended" | "ft" | "closed" | "complete" | "completed" | "fulltime" | "aet" | "ap"
        | "final" | "over" => Status::Finished,
        "abandoned" | "canceled" | "cancelled" | "walkover" => Status::Abandoned,
        _ => return None,
    })
}

/// A sport's word as our names are written: `ice-hockey` is `ice_hockey`, `football` is `soccer`.
pub(super) fn sport(word: &str) -> Cow<'_, str> {
    let plain = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    match plain.as_str() {
        "football" => Cow::Borrowed("soccer"),
        "hockey" => Cow::Borrowed("ice_hockey"),
        "e_sports" => Cow::Borrowed("esports"),
        _ => Cow::Owned(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        for (minute, second, want) in [
            (Some("45+2"), None, Some(47 * 60)),
            (Some("90'"), Some("5"), Some(5_405)),
            (None, Some("2712"), Some(2_712)),
            (Some("7"), Some("x"), Some(420)),
            (Some("HT"), Some("5"), None),
            (Some(""), None, None),
            (None, None, None),
            (Some("999999999999999"), None, None),
            (Some("-1"), None, None),
        ] {
            assert_eq!(clock(minute, second), want, "{minute:?} {second:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time("1700000000"), Some(1_700_000_000_000_000));
        assert_eq!(time("1700000000123"), Some(1_700_000_000_123_000));
        assert_eq!(time("2023-11-14T22:13:20Z"), Some(1_700_000_000_000_000));
        assert_eq!(time("2023-11-14T23:13:20+01:00"), Some(1_700_000_000_000_000));
        for odd in ["", "soon", "1.5", "2023-11-14", "99999999999999999999"] {
            assert_eq!(time(odd), None, "{odd}");
        }
    }

    #[test]
    fn prices_of_any_length() {
        assert_eq!(decimal_price("2"), Some(Price(20_000)));
        assert_eq!(decimal_price("1.853400000000000001"), Some(Price(18_534)));
        assert_eq!(decimal_price("1.85345"), Some(Price(18_535)));
        for odd in ["", "0.5", "1e2", "-2", "2.", ".5", "99999999999999999999", "é.é"] {
            assert_eq!(decimal_price(odd), None, "{odd}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(state("Not Started"), Some(Status::NotStarted));
        assert_eq!(state("in_progress"), Some(Status::InPlay));
        assert_eq!(state("?"), None);
        assert_eq!((won("WON"), won("loser"), won("void")), (Some(true), Some(false), None));
        assert_eq!(
            (is_true("0"), is_true("False"), is_true("1"), is_true("yes")),
            (false, false, true, true)
        );
        assert_eq!((sport("ice-hockey").as_ref(), sport("Football").as_ref()), ("ice_hockey", "soccer"));
        assert_eq!((count("-3"), count("3.5"), count("")), (Some(-3), None, None));
    }
}
