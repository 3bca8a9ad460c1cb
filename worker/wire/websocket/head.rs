//! The head of an HTTP message, as far as an opening handshake needs one: a first line, headers, an empty line.

use super::UpgradeError;
use super::error::printable;
use memchr::memmem;

/// The most that the head may have, in bytes.
pub const HEAD_LIMIT: usize = 16 * 1024;

const END: &[u8] = b"\r\n\r\n";
pub(super) const QUOTED: usize = 120;

/// A first line and the headers after it.
#[derive(Debug)]
pub(in crate::wire) struct HttpHead<'a> {
    pub(in crate::wire) first: &'a [u8],
    headers: &'a [u8],
}

impl<'a> HttpHead<'a> {
    /// The head that `bytes` begin with, and its size; `None` if its end is not there yet.
    ///
    /// # Errors
    /// [`UpgradeError::TooLong`].
    pub(in crate::wire) fn find(bytes: &'a [u8]) -> Result<Option<(HttpHead<'a>, usize)>, UpgradeError> {
        let window = bytes.get(..HEAD_LIMIT).unwrap_or(bytes);
        let Some(end) = memmem::find(window, END) else {
            return if bytes.len() >= HEAD_LIMIT { Err(UpgradeError::TooLong) } else { Ok(None) };
        };
        let text = window.get(..end).unwrap_or_default();
        let (first, headers) = match memmem::find(text, b"\r\n") {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 2..).unwrap_or_default()),
            None => (text, &[][..]),
        };
        Ok(Some((HttpHead { first, headers }, end + END.len())))
    }

    /// As [`HttpHead::find`], but a line that is no header is an error.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<(HttpHead<'a>, usize)>, UpgradeError> {
        let found = HttpHead::find(bytes)?;
        match found.as_ref().and_then(|(head, _)| head.lines().find(|line| field(line).is_none())) {
            Some(line) => Err(UpgradeError::Header { line: printable(line, QUOTED) }),
            None => Ok(found),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.headers;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let at = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
            let line = rest.get(..at).unwrap_or_default();
            rest = rest.get(at + 2..).unwrap_or_default();
            Some(line)
        })
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.lines()
            .filter_map(field)
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of a header that stands once, or the first one.
    pub(super) fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Whether one of the words of a header, between commas, is `word`.
    pub(in crate::wire) fn has_word(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|given| given.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether it is the head of an upgrade to WebSocket, asked for or granted.
    pub(super) fn check_upgrade(&self) -> Result<(), UpgradeError> {
        for (header, word) in [("Upgrade", "websocket"), ("Connection", "upgrade")] {
            if !self.has_word(header, word) {
                return Err(UpgradeError::Missing { header });
            }
        }
        Ok(())
    }

    pub(in crate::wire) fn joined(&self, name: &str) -> String {
        let values: Vec<_> = self.values(name).map(String::from_utf8_lossy).collect();
        values.join(", ")
    }
}

/// Name and value of a line. A name is a token of visible ASCII; a line that goes on with the one before is none.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
    let token = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let clean = value.iter().all(|byte| !matches!(byte, 0 | b'\r' | b'\n'));
    (token && clean).then(|| (name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// Whether a text can stand in a request's line or header: it neither ends the line nor hides anything.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}
