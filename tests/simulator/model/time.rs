//! Times as the feed and as documents write them, from seconds since 1970. No zones: whoever calls adds the offset.

/// A moment, as the shell passes it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970 UTC.
    pub(crate) micros: i64,
    /// Seconds by which the feed's zone is ahead of UTC.
    pub(crate) offset: i64,
}

impl Moment {
    /// Seconds since 1970 UTC.
    pub(crate) fn seconds(self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// The moment so many microseconds later.
    #[cfg(test)]
    pub(crate) fn after(self, micros: i64) -> Self {
        Self { micros: self.micros + micros, ..self }
    }
}

/// `20190517140307`.
pub(crate) fn compact(seconds: i64) -> String {
    let (year, month, day, second) = split(seconds);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// `2019-05-17T13:03:07Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (year, month, day, second) = split(seconds);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month, day, second of the day, by the proleptic Gregorian calendar; years are counted from March, so that
/// the leap day is the last of its year.
fn split(seconds: i64) -> (i64, i64, i64, i64) {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_feed_and_documents_do() {
        assert_eq!(rfc3339(1_558_098_187), "2019-05-17T13:03:07Z");
        assert_eq!(compact(1_558_098_187 + 3_600), "20190517140307");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    }
}
