//! Many HTTP requests at once, in the loop of whoever asks: libcurl's multi socket interface under one token of mio.
//!
//! `engine` is the [`Http`] that a source drives; `queue` says whose turn it is and `pace` who is late (both pure), `transfer` is one request on the wire,
//! `sockets` what libcurl's callbacks want watched and when it wants to be called, `redirect` where an answer may send us (pure).
//! Only http and https; nothing is read from the environment, neither a proxy nor a login. Callers: `feed`.

mod engine;
mod error;
mod pace;
mod queue;
mod redirect;
mod sockets;
mod transfer;

#[cfg(test)]
mod tests;

pub use engine::Http;
pub use error::HttpError;
#[cfg(test)]
pub(crate) use tests::Places;

use std::time::Duration;

/// A request of one [`Http`]; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A GET.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub url: String,
    /// For the server that `url` names: another one, to which it redirects, does not get them.
    pub headers: Vec<(String, String)>,
    /// Empty: none.
    pub proxy: String,
    /// A file with certificates of authorities to trust beside the system's; empty: none.
    pub ca_file: String,
    /// Whether any certificate is taken.
    pub insecure: bool,
    /// How long the answer may take in all, redirects included, from the moment the request has its place in the window.
    pub whole: Duration,
    /// The longest without a byte.
    pub idle: Duration,
    /// Bytes of the body at most, once decompressed.
    pub body_limit: usize,
    pub urgency: Urgency,
}

/// Who goes first of those that wait for a place in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Before a bounded number of those that were asked for before.
    Urgent,
    Normal,
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Decompressed.
    pub body: Vec<u8>,
    /// Names in lower case; those beyond a bound are left out.
    pub headers: Vec<(String, String)>,
    /// From the request's start to the first byte of the answer.
    pub first_byte: Duration,
    pub took: Duration,
}

impl Answer {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(Answer),
    Failed(HttpError),
}

/// Without the values of headers, and without what follows the path: both may be secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Request").field("url", &shown).finish_non_exhaustive()
    }
}
