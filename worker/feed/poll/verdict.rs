//! What an answer means for what was asked. Pure.

use super::backoff::{Kind, RETRY_AFTER_MAX, TOO_MANY};
use crate::net::http::Answer;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Body,
    /// As it was, says the server.
    Unchanged,
    /// There is no such thing any more.
    Gone,
    /// Not before this time, for all that is asked of this source.
    Busy {
        why: String,
        after: Duration,
    },
    Failed {
        why: String,
        kind: Kind,
    },
}

/// What a document can be asked for again with, if it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    pub tag: Option<String>,
    pub modified: Option<String>,
}

impl Validators {
    pub(super) fn of(answer: &Answer) -> Validators {
        let header = |name: &str| answer.header(name).map(str::to_owned);
        Validators { tag: header("etag"), modified: header("last-modified") }
    }

    /// As headers of a request.
    pub(super) fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let tag = self.tag.iter().map(|tag| ("If-None-Match".to_owned(), tag.clone()));
        let modified = self.modified.iter().map(|at| ("If-Modified-Since".to_owned(), at.clone()));
        tag.chain(modified)
    }
}

pub(super) fn judge(answer: &Answer) -> Verdict {
    let failed = |why: String| Verdict::Failed { why, kind: Kind::Failed };
    match (answer.status, retry_after(answer)) {
        (200..=299, _) => match answer.body.trim_ascii_start().first() {
            None => failed("an empty answer".to_owned()),
            Some(b'<') => failed("HTML or XML where JSON was promised; check the url".to_owned()),
            Some(_) => Verdict::Body,
        },
        (304, _) => Verdict::Unchanged,
        (404 | 410, _) => Verdict::Gone,
        (401 | 403, _) => Verdict::Failed {
            why: format!(
                "the server refuses the key or the login (status {}); check `headers` and what the key may read",
                answer.status
            ),
            kind: Kind::Refused,
        },
        (429, after) => Verdict::Busy {
            why: "too many requests (status 429)".to_owned(),
            after: after.unwrap_or(TOO_MANY),
        },
        (status, Some(after)) => Verdict::Busy { why: format!("status {status}"), after },
        (status, None) => failed(format!("status {status}")),
    }
}

/// When to come again: in seconds, or at a time, which counts from the answer's own.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let written = answer.header("retry-after")?.trim();
    let after = match written.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let (at, now) = (time(written)?, time(answer.header("date")?)?);
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(after.min(RETRY_AFTER_MAX))
}

fn time(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { status, body: body.into(), headers, first_byte: Duration::ZERO, took: Duration::ZERO }
    }

    #[test]
    fn a_server_that_says_when_to_come_again_is_believed_up_to_a_bound() {
        let after = |headers: &[(&str, &str)]| {
            let verdict = judge(&answer(429, "", headers));
            let Verdict::Busy { after, .. } = verdict else { panic!("{verdict:?}") };
            after.as_secs()
        };
        assert_eq!(after(&[]), TOO_MANY.as_secs());
        assert_eq!(after(&[("retry-after", "17")]), 17);
        assert_eq!(after(&[("retry-after", "999999999")]), RETRY_AFTER_MAX.as_secs());
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), date]), 60);
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:48:37 GMT"), date]), 0);
        assert_eq!(after(&[("retry-after", "soon")]), TOO_MANY.as_secs());
    }

    #[test]
    fn what_is_not_the_document_is_not_taken_for_it() {
        assert_eq!(judge(&answer(200, " {}", &[])), Verdict::Body);
        assert_eq!(judge(&answer(304, "", &[])), Verdict::Unchanged);
        assert_eq!(judge(&answer(404, "", &[])), Verdict::Gone);
        for (status, body) in [(200, ""), (200, "\n<html>"), (500, "{}"), (302, ""), (0, "")] {
            let verdict = judge(&answer(status, body, &[]));
            assert!(matches!(verdict, Verdict::Failed { kind: Kind::Failed, .. }), "{status}: {verdict:?}");
        }
        assert!(matches!(judge(&answer(403, "", &[])), Verdict::Failed { kind: Kind::Refused, .. }));
        assert!(matches!(judge(&answer(503, "", &[("retry-after", "3")])), Verdict::Busy { .. }));
    }
}
