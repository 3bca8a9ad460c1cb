//! The head of a request.

use super::body::BodyLength;
use crate::wire::websocket::ServerRequest;
use memchr::memmem;
use std::fmt;
use std::net::IpAddr;

/// Bytes of a head at most.
pub(in crate::serve) const HEAD_LIMIT: usize = 8 * 1024;
const HEADERS: usize = 64;
/// Parameters of a query at most; the rest is left out.
const PARAMETERS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Method {
    Get,
    Head,
    Options,
    Post,
    /// Known to HTTP, of no use here.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Version {
    Http10,
    Http11,
}

/// What was asked, as far as it matters here. Names and values are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Request {
    pub method: Method,
    pub version: Version,
    /// Decoded, beginning with `/`.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// The head as it came, for the codec of the upgrade.
    pub head: Vec<u8>,
    /// What follows the head,
    pub length: BodyLength,
    /// and what it is, once it is there.
    pub body: Vec<u8>,
}

/// Why what came is no request that is served. The connection is closed after the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum BadRequest {
    /// No HTTP/1, or a head that could be read in two ways.
    Malformed {
        what: &'static str,
    },
    TooLong,
    /// It comes with a body where none belongs.
    Body,
    BodyTooLong {
        most: usize,
    },
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRequest::Malformed { what } => write!(f, "not a request that is served: {what}"),
            BadRequest::TooLong => write!(f, "the head is longer than {HEAD_LIMIT} bytes"),
            BadRequest::Body => f.write_str("no request of this kind has a body here"),
            BadRequest::BodyTooLong { most } => write!(f, "the body is longer than {most} bytes"),
        }
    }
}

/// The request that `bytes` begin with, and its size; `None` if its end is not there yet.
///
/// # Errors
/// [`BadRequest`], as soon as it is certain.
pub(in crate::serve) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
    let blank = leading_blank_lines(bytes);
    let head = bytes.get(blank..).unwrap_or_default();
    let end = memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
    let seen = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    check_line_ends(seen, end.is_some())?;
    if blank + seen.len() > HEAD_LIMIT {
        return Err(BadRequest::TooLong);
    }
    match end {
        None => Ok(None),
        Some(end) => read(seen).map(|request| Some((request, blank + end))),
    }
}

/// Clients may send an empty line before a request (RFC 9112, 2.2).
fn leading_blank_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2
}

/// Carriage return and line feed stand together or not at all: one alone ends a line for some servers and not for others.
fn check_line_ends(head: &[u8], is_whole: bool) -> Result<(), BadRequest> {
    let malformed = Err(BadRequest::Malformed { what: "a bare carriage return or line feed" });
    let mut before = 0;
    for (at, byte) in head.iter().enumerate() {
        let next = head.get(at + 1).copied();
        match byte {
            b'\n' if before != b'\r' => return malformed,
            b'\r' if next.is_some_and(|next| next != b'\n') || (next.is_none() && is_whole) => {
                return malformed;
            }
            0 => return Err(BadRequest::Malformed { what: "a null byte" }),
            _ => {}
        }
        before = *byte;
    }
    Ok(())
}

fn read(head: &[u8]) -> Result<Request, BadRequest> {
    let malformed = |what| BadRequest::Malformed { what };
    let mut room = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut room);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(size)) if size == head.len() => {}
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => {
            return Err(malformed("a head of several parts"));
        }
        Err(httparse::Error::TooManyHeaders) => return Err(malformed("too many headers")),
        Err(_) => return Err(malformed("no head of HTTP/1")),
    }
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        // A line that begins with a space goes on with the one before: long obsolete, and read in two ways.
        if header.name.is_empty() {
            return Err(malformed("a folded header"));
        }
        let value = std::str::from_utf8(header.value).map_err(|_| malformed("a header that is no text"))?;
        headers.push((header.name.to_ascii_lowercase(), trim(value).to_owned()));
    }
    let version = match parsed.version {
        Some(0) => Version::Http10,
        Some(1) => Version::Http11,
        Some(_) | None => return Err(malformed("another version of HTTP")),
    };
    let method = match parsed.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let (path, query) = target(parsed.path.unwrap_or_default())?;
    let (head, length) = (head.to_vec(), BodyLength::None);
    let request = Request { method, version, path, query, headers, head, length, body: Vec::new() };
    let length = request.framing()?;
    Ok(Request { length, ..request })
}

/// Without what may stand around a value (RFC 9110, 5.6.3): a space that is none to other servers stays, and the value is unknown.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Path and query of a request's target, decoded. A proxy may send it with scheme and host.
fn target(text: &str) -> Result<(String, Vec<(String, String)>), BadRequest> {
    let malformed = BadRequest::Malformed { what: "no usable target" };
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    // Scheme and host end where path, query or fragment begins (RFC 3986, 3.2).
    let text = match rest {
        Some(rest) => rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => text,
    };
    let text = text.split('#').next().unwrap_or_default();
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = if rest.is_some() && path.is_empty() { "/" } else { path };
    let path = decode(path, Plus::Itself).filter(|path| path.starts_with('/')).ok_or(malformed.clone())?;
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()).take(PARAMETERS) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decode(name, Plus::Space).zip(decode(value, Plus::Space));
        pairs.push(decoded.ok_or(malformed.clone())?);
    }
    Ok((path, pairs))
}

/// A name or value of a form; control characters may stand in it.
pub(in crate::serve) fn decode_form(text: &str) -> Option<String> {
    unescape(text, Plus::Space)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Itself,
    Space,
}

/// Percent-decoded text; `None` where it is none: a bad escape, a control character, no UTF-8.
fn decode(text: &str, plus: Plus) -> Option<String> {
    unescape(text, plus).filter(|text| !text.chars().any(char::is_control))
}

fn unescape(text: &str, plus: Plus) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus == Plus::Space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

impl Request {
    /// The value of a header, by its name in lower case; of several the first.
    pub(in crate::serve) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all<'r, 'n>(&'r self, name: &'n str) -> impl Iterator<Item = &'r str> + use<'r, 'n> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query; of several the first.
    pub(in crate::serve) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection may carry another request after this one.
    pub(in crate::serve) fn keeps_alive(&self) -> bool {
        match self.version {
            Version::Http10 => self.lists("connection", "keep-alive"),
            Version::Http11 => !self.lists("connection", "close"),
        }
    }

    pub(in crate::serve) fn takes_gzip(&self) -> bool {
        let offers = self.all("accept-encoding").flat_map(|value| value.split(','));
        offers.map(trim).any(|offer| {
            let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let weight = trim(weight).strip_prefix("q=").map(trim);
            trim(coding).eq_ignore_ascii_case("gzip")
                && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
        })
    }

    /// The tags of answers that the client has already.
    pub(in crate::serve) fn tags(&self) -> Vec<String> {
        let known = self.all("if-none-match").flat_map(|value| value.split(','));
        known.map(|known| trim(known).trim_start_matches("W/").to_owned()).collect()
    }

    /// Whether it is a WebSocket's opening request, whole and usable.
    pub(in crate::serve) fn asks_for_websocket(&self) -> bool {
        self.lists("upgrade", "websocket") && matches!(ServerRequest::parse(&self.head), Ok(Some(_)))
    }

    /// Whether the client waits to be told to go on before it sends the body.
    pub(in crate::serve) fn expects_continue(&self) -> bool {
        self.version == Version::Http11 && self.lists("expect", "100-continue")
    }

    /// Whether a header that is a list of words has this one.
    fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|part| trim(part).eq_ignore_ascii_case(word))
    }

    /// The addresses that proxies say the request came through, the nearest last.
    pub(in crate::serve) fn forwarded_for(&self) -> Vec<IpAddr> {
        let parts = self.all("x-forwarded-for").flat_map(|value| value.split(','));
        parts.filter_map(|part| trim(part).parse().ok()).collect()
    }

    fn framing(&self) -> Result<BodyLength, BadRequest> {
        let malformed = |what| Err(BadRequest::Malformed { what });
        let mut lengths = self.all("content-length");
        let length = lengths.next();
        if lengths.any(|other| Some(other) != length) {
            return malformed("two lengths");
        }
        let mut codings = self.all("transfer-encoding");
        let coding = codings.next();
        if coding.is_some()
            && (length.is_some() || codings.next().is_some() || self.version == Version::Http10)
        {
            return malformed("two lengths");
        }
        let length = match (coding, length) {
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => BodyLength::Chunked,
            (Some(_), _) => return malformed("a transfer coding that is not known"),
            (None, None) => BodyLength::None,
            (None, Some(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => match text.parse() {
                Ok(0) => BodyLength::None,
                Ok(length) => BodyLength::Known(length),
                Err(_) => return malformed("no usable length"),
            },
            (None, Some(_)) => return malformed("no usable length"),
        };
        match (self.version, self.all("host").count()) {
            (Version::Http11, 1) | (Version::Http10, 0 | 1) => Ok(length),
            (Version::Http11, _) | (Version::Http10, _) => malformed("no host, or several"),
        }
    }
}
