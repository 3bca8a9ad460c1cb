//! What a line and an object of JSON say alike: times, headers, bodies, and why something is missing of them.

use std::fmt::Write as _;
use touchline_worker::wire::capture::{Body, Entry, GaveUp, Topic, Undecoded};
use touchline_worker::wire::diffusion::{BodyError, FragmentError, Message, MessageType, fields, records};

pub(super) const HIDDEN: &str = "…";

pub(super) enum Readable<'a> {
    Records(Vec<Vec<String>>),
    /// As bytes, and why it is not records.
    Bytes(&'a [u8], String),
}

/// When an entry was captured.
pub(super) fn time(entry: &Entry<'_>) -> Option<String> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(entry.at?)).ok()?;
    Some(format!("{at:.6}"))
}

/// The headers that the topic does not say already.
pub(super) fn headers(message: &Message<'_>, topic: Option<&Topic<'_>>) -> Vec<String> {
    let secret = matches!(message.kind, MessageType::Credentials | MessageType::CredentialsRejected);
    let headers = message.headers.iter().enumerate().skip(usize::from(topic.is_some()));
    headers
        .map(|(place, header)| {
            if secret && place == 1 {
                HIDDEN.to_owned()
            } else {
                String::from_utf8_lossy(header).into_owned()
            }
        })
        .collect()
}

/// A body as records of fields, or why it is none.
pub(super) fn readable<'a>(body: &Body<'a>) -> Readable<'a> {
    let bytes = match body {
        Body::Plain(bytes) | Body::Decoded(bytes) => *bytes,
        Body::Encoded(bytes, why) => return Readable::Bytes(bytes, undecoded(*why)),
    };
    if std::str::from_utf8(bytes).is_err() {
        return Readable::Bytes(bytes, "not UTF-8".to_owned());
    }
    let texts = |record| fields(record).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    Readable::Records(records(bytes).map(texts).collect())
}

fn undecoded(why: Undecoded) -> String {
    match why {
        Undecoded::Piece => "only a part of it".to_owned(),
        // What these advise is for the daemon: a capture is read within its defaults.
        Undecoded::Fault(BodyError::TooLong { limit }) => format!("decoded it has more than {limit} bytes"),
        Undecoded::Fault(BodyError::TooDense { ratio }) => {
            format!("decoded it has more than {ratio} times the bytes that came")
        }
        Undecoded::Fault(BodyError::Encrypted) => "in a way that is not public".to_owned(),
        Undecoded::Fault(BodyError::Unknown { .. }) => "no known way".to_owned(),
        Undecoded::Fault(
            error @ (BodyError::Zlib | BodyError::CutOff | BodyError::Trailing { .. } | BodyError::Base64),
        ) => error.to_string(),
    }
}

pub(super) fn fault(fault: FragmentError) -> String {
    match fault {
        FragmentError::TooLong { limit } => format!("the parts that wait have more than {limit} bytes"),
        FragmentError::Head(_)
        | FragmentError::Stray
        | FragmentError::Again { .. }
        | FragmentError::Missing { .. }
        | FragmentError::Beyond { .. }
        | FragmentError::Mixed
        | FragmentError::Restarted
        | FragmentError::Parts { .. }
        | FragmentError::Crowded
        | FragmentError::Old => fault.to_string(),
    }
}

/// Why a message in pieces does not come whole.
pub(super) fn gave_up(why: GaveUp) -> String {
    match why {
        GaveUp::Cancelled => "then it was cancelled".to_owned(),
        GaveUp::Ended => "then nothing more".to_owned(),
        GaveUp::Fault(error) => format!("then {}", fault(error)),
    }
}

/// The first `most` bytes in hex, and how many are left out.
pub(super) fn hex(bytes: &[u8], most: usize) -> String {
    let shown = bytes.get(..most.min(bytes.len())).unwrap_or_default();
    let mut out = String::with_capacity(2 * shown.len() + 16);
    for byte in shown {
        let _ = write!(out, "{byte:02x}");
    }
    if bytes.len() > shown.len() {
        let _ = write!(out, "… (+{} bytes)", bytes.len() - shown.len());
    }
    out
}
