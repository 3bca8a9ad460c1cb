//! A topic's value as records and fields: counts, numbers, texts. What does not parse is `None`, never a guess.

use crate::payload::text;
use crate::wire::diffusion::{fields, records};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// One record per incident.
    Incidents,
    Number,
    /// One whole number up to 100: home's part.
    HomePercent,
}

/// Digits of a number that is believed.
const DIGITS: usize = 15;

/// How many incidents a whole list has. A record that has no second field, or whose second field is neither empty nor
/// a whole number, is no incident, and then the whole list is something else.
pub(super) fn incidents(value: &[u8]) -> Option<i64> {
    let mut count = 0;
    for record in records(value).filter(|record| !record.is_empty()) {
        let second = fields(record).nth(1)?;
        if !second.is_empty() {
            text::whole(second, DIGITS)?;
        }
        count += 1;
    }
    Some(count)
}

/// The one text of a value: one record of one field, without blanks at its ends; `None` if it is empty or more.
pub(super) fn single(value: &[u8]) -> Option<&[u8]> {
    let mut records = records(value).filter(|record| !record.is_empty());
    let record = records.next().filter(|_| records.next().is_none())?;
    let mut fields = fields(record);
    let first = fields.next().map(<[u8]>::trim_ascii)?;
    (!first.is_empty() && fields.all(<[u8]>::is_empty)).then_some(first)
}

pub(super) fn number(value: &[u8]) -> Option<i64> {
    text::whole(single(value)?, DIGITS).map(|n| n as i64)
}

/// A field, from 1, of the newest record, if it is not empty; the record itself if it has none that far.
pub(super) fn newest(value: &[u8], field: usize) -> Option<&[u8]> {
    let record = records(value).filter(|record| !record.is_empty()).last()?;
    match fields(record).nth(field.checked_sub(1)?) {
        Some(text) => Some(text).filter(|text| !text.is_empty()),
        None => Some(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_are_records_with_a_second_and_anything_else_is_unknown() {
        assert_eq!(incidents(b""), Some(0));
        assert_eq!(incidents(b"x\x02754\x02A. Player"), Some(1));
        assert_eq!(incidents(b"x\x02754\x02A\x01x\x021200\x01\x02\x02"), Some(3));
        assert_eq!(incidents(b"x\x02754\x01"), Some(1), "a separator behind the last record is none");
        for odd in [&b"3"[..], b"n/a", b"x\x02soon", b"x\x02754\x01gone", b"x\x02-1", b"\x00"] {
            assert_eq!(incidents(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_single_value_is_one_field() {
        assert_eq!(single(b" H1 "), Some(&b"H1"[..]));
        assert_eq!(single(b"H1\x01"), Some(&b"H1"[..]));
        assert_eq!(single(b"H1\x02"), Some(&b"H1"[..]));
        assert_eq!(number(b"2712"), Some(2712));
        for odd in [&b""[..], b" ", b"\x01", b"1\x022", b"1\x012"] {
            assert_eq!(single(odd), None, "{odd:?}");
        }
        for odd in [&b"12a"[..], b"-1", b"1234567890123456", b"1.5"] {
            assert_eq!(number(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_comment_is_a_field_of_the_newest_record() {
        let log = b"1\x02a\x02b\x02700\x02CORNER_HOME\x02\x012\x02a\x02b\x02754\x02GOAL_HOME\x02";
        assert_eq!(newest(log, 5), Some(&b"GOAL_HOME"[..]));
        assert_eq!(newest(b"Kick-off\x01", 5), Some(&b"Kick-off"[..]));
        assert_eq!(newest(b"1\x02a\x02b\x02754\x02\x02", 5), None);
        assert_eq!(newest(b"", 5), None);
        assert_eq!(newest(b"a", 0), None);
    }
}
