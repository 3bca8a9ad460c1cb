//! Answers: a status, a body, and the headers that each of them gets.

use super::request::{Method, Request, Version};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha1::{Digest, Sha1};
use std::fmt::Write as _;
use std::io::Write as _;

/// Below this a body is not compressed: it fits one packet as it is.
const COMPRESSED_FROM: usize = 1_024;
/// The page takes nothing from anywhere else, and nobody frames it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Status {
    Ok,
    NoContent,
    NotModified,
    Bad,
    Unauthorized,
    Forbidden,
    NotFound,
    NotAllowed,
    TooLong,
    TooMany,
    HeadTooLong,
    Late,
    Upgrade,
    /// What no client of the protocol asks.
    Failed,
    Unavailable,
}

impl Status {
    /// Number and words, as the status line has them.
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::NoContent => "204 No Content",
            Status::NotModified => "304 Not Modified",
            Status::Bad => "400 Bad Request",
            Status::Unauthorized => "401 Unauthorized",
            Status::Forbidden => "403 Forbidden",
            Status::NotFound => "404 Not Found",
            Status::NotAllowed => "405 Method Not Allowed",
            Status::Late => "408 Request Timeout",
            Status::TooLong => "413 Content Too Large",
            Status::Upgrade => "426 Upgrade Required",
            Status::TooMany => "429 Too Many Requests",
            Status::HeadTooLong => "431 Request Header Fields Too Large",
            Status::Failed => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
        }
    }

    /// Headers that belong to it.
    fn headers(self) -> &'static str {
        match self {
            Status::Unauthorized => "WWW-Authenticate: Bearer\r\n",
            Status::NotAllowed => "Allow: GET, HEAD, OPTIONS, POST\r\n",
            Status::Upgrade => "Upgrade: websocket\r\n",
            Status::TooMany | Status::Unavailable => "Retry-After: 1\r\n",
            Status::Ok
            | Status::NoContent
            | Status::NotModified
            | Status::Bad
            | Status::Forbidden
            | Status::NotFound
            | Status::Late
            | Status::TooLong
            | Status::Failed
            | Status::HeadTooLong => "",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum ContentType {
    Json,
    Html,
    Script,
    Style,
    Text,
    OpenMetrics,
    /// Packets of a session.
    Packets,
    /// That a session's packets were taken.
    Taken,
}

impl ContentType {
    fn name(self) -> &'static str {
        match self {
            ContentType::Json => "application/json",
            ContentType::Html => "text/html; charset=utf-8",
            ContentType::Script => "text/javascript; charset=utf-8",
            ContentType::Style => "text/css; charset=utf-8",
            ContentType::Text => "text/plain; charset=utf-8",
            ContentType::Packets => "text/plain; charset=UTF-8",
            ContentType::Taken => "text/html",
            ContentType::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Whether a client may keep it and ask whether it is still the same.
    fn is_kept(self) -> bool {
        match self {
            ContentType::Packets | ContentType::Taken => false,
            ContentType::Json
            | ContentType::Html
            | ContentType::Script
            | ContentType::Style
            | ContentType::Text
            | ContentType::OpenMetrics => true,
        }
    }

    fn policy(self) -> &'static str {
        match self {
            ContentType::Html => PAGE_POLICY,
            ContentType::Json
            | ContentType::Script
            | ContentType::Style
            | ContentType::Text
            | ContentType::OpenMetrics
            | ContentType::Packets
            | ContentType::Taken => DATA_POLICY,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Body {
    Text(String),
    Fixed(&'static str),
}

impl Body {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Text(text) => text.as_bytes(),
            Body::Fixed(text) => text.as_bytes(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Answer {
    pub status: Status,
    pub content: ContentType,
    pub body: Body,
}

/// What of the request its answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct For {
    method: Method,
    version: Version,
    /// Whether the connection stays open.
    pub keep_alive: bool,
    gzip: bool,
    /// Of the answers that the client has.
    tags: Vec<String>,
    /// The origin whose page may read the answer.
    pub origin: Option<String>,
}

impl For {
    /// `origin`: the one that was checked.
    pub(in crate::serve) fn request(request: &Request, origin: Option<String>) -> For {
        For {
            method: request.method,
            version: request.version,
            keep_alive: request.keeps_alive(),
            gzip: request.takes_gzip(),
            tags: request.tags(),
            origin,
        }
    }

    /// The answer to what is no request.
    pub(in crate::serve) fn nothing() -> For {
        For {
            method: Method::Get,
            version: Version::Http11,
            keep_alive: false,
            gzip: false,
            tags: Vec::new(),
            origin: None,
        }
    }
}

impl Answer {
    pub(in crate::serve) fn json(text: String) -> Answer {
        Answer { status: Status::Ok, content: ContentType::Json, body: Body::Text(text) }
    }

    pub(in crate::serve) fn text(status: Status, text: impl Into<String>) -> Answer {
        Answer { status, content: ContentType::Text, body: Body::Text(text.into()) }
    }

    pub(in crate::serve) fn refused(status: Status, why: impl Into<String>) -> Answer {
        let text = json!({ "error": why.into() }).to_string();
        Answer { status, content: ContentType::Json, body: Body::Text(text) }
    }

    /// Appends head and body; `date` is the header's.
    pub(in crate::serve) fn write(&self, to: &For, date: &str, out: &mut Vec<u8>) {
        let body = self.body.as_bytes();
        let name = (self.status == Status::Ok && self.content.is_kept()).then(|| name(body));
        let known = name.as_ref().is_some_and(|name| {
            to.tags.iter().any(|tag| tag == "*" || Form::ALL.into_iter().any(|form| *tag == form.tag(name)))
        });
        let status = if known { Status::NotModified } else { self.status };
        let form = if to.gzip && body.len() >= COMPRESSED_FROM { Form::Gzip } else { Form::Plain };
        let packed = match form {
            Form::Gzip if !known => gzip(body),
            Form::Gzip | Form::Plain => None,
        };
        let sent = match (status, &packed) {
            (Status::NotModified | Status::NoContent, _) => &[][..],
            (_, Some(packed)) => packed,
            (_, None) => body,
        };
        let mut head = start(status.line(), to, date);
        head.push_str(status.headers());
        if !matches!(status, Status::NotModified | Status::NoContent) {
            // Writing to a string cannot fail.
            let _ =
                write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", self.content.name(), sent.len());
        }
        if packed.is_some() {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        if let Some(name) = name {
            let _ = write!(head, "ETag: {}\r\n", form.tag(&name));
        }
        let _ = write!(
            head,
            "Cache-Control: {}\r\nVary: Accept-Encoding, Origin\r\nContent-Security-Policy: {}\r\n",
            if self.content.is_kept() { "no-cache" } else { "no-store" },
            self.content.policy()
        );
        if status == Status::NoContent && to.origin.is_some() {
            head.push_str(
                "Access-Control-Allow-Methods: GET, HEAD, POST\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID, If-None-Match\r\nAccess-Control-Max-Age: 600\r\n",
            );
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if to.method != Method::Head {
            out.extend_from_slice(sent);
        }
    }
}

/// The head of a stream of events, which ends with the connection.
pub(in crate::serve) fn stream_head(to: &For, date: &str, out: &mut Vec<u8>) {
    let mut head = start("200 OK", &For { keep_alive: false, ..to.clone() }, date);
    head.push_str("Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nVary: Origin\r\n\r\n");
    // How long a browser waits before it connects again, milliseconds.
    head.push_str("retry: 1000\n\n");
    out.extend_from_slice(head.as_bytes());
}

/// The status line and what every answer says.
fn start(status: &str, to: &For, date: &str) -> String {
    let connection = match (to.version, to.keep_alive) {
        (_, false) => "Connection: close\r\n",
        (Version::Http10, true) => "Connection: keep-alive\r\n",
        (Version::Http11, true) => "",
    };
    let mut head = format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\n{connection}X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\nCross-Origin-Opener-Policy: same-origin\r\n"
    );
    if let Some(origin) = &to.origin {
        let _ = write!(
            head,
            "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Expose-Headers: ETag\r\nCross-Origin-Resource-Policy: cross-origin\r\n"
        );
    } else {
        head.push_str("Cross-Origin-Resource-Policy: same-origin\r\n");
    }
    head
}

/// The form in which a body is sent. A tag names bytes (RFC 9110, 8.8.3.3), so each form has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Gzip,
}

impl Form {
    const ALL: [Form; 2] = [Form::Plain, Form::Gzip];

    /// Of a body with this name.
    fn tag(self, name: &str) -> String {
        match self {
            Form::Plain => format!("\"{name}\""),
            Form::Gzip => format!("\"{name}-gzip\""),
        }
    }
}

/// Names a body: another one has another name.
fn name(body: &[u8]) -> String {
    let mut name = String::with_capacity(24);
    for byte in Sha1::digest(body).iter().take(12) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
