//! A WebSocket of the polled API: it pushes of matches what would be asked for otherwise.
//!
//! Invariants: a match is pushed from its first snapshot on a connection to the end of that connection, and polled otherwise, so never
//! both; a message that is older than one before it is dropped. Who wants a match anew gets it by polling, until the next connection.
//! `line` is the connection, `messages` what is said (pure), `coverage` which matches are pushed (pure). Called by `source`.

mod coverage;
mod line;
mod messages;

use self::coverage::Coverage;
use self::line::{Came, Line};
use crate::net::{Readiness, TlsPlan, Trust};
use crate::wire::websocket::Limits;
use mio::{Registry, Token, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use touchline_common::config::{Config, FeedConfig, SocketConfig, encode};

#[derive(Clone, Debug)]
pub struct SocketPlan {
    pub(super) config: SocketConfig,
    /// `host:port`.
    authority: String,
    tls: Option<TlsPlan>,
    /// Path and query; may have a key.
    target: String,
    headers: Vec<(String, String)>,
    limits: Limits,
}

impl SocketPlan {
    /// From the settings of a feed; none if it has no socket.
    ///
    /// # Errors
    /// Why TLS cannot be set up; names the feed.
    pub(super) fn new(config: &Config, feed: &FeedConfig) -> Result<Option<SocketPlan>, String> {
        let socket = &feed.poll.socket;
        let Some(url) = &socket.url else { return Ok(None) };
        let trust =
            if feed.insecure { Trust::Any } else { Trust::Authorities { ca_file: feed.ca_file.clone() } };
        let tls = url.transport.has_tls().then(|| TlsPlan::new(&url.host, &trust)).transpose();
        let tls = tls.map_err(|error| format!("{error} (feed {})", feed.name))?;
        let headers: Vec<(String, String)> = feed.headers.expose().clone().into_iter().collect();
        let path = if url.path.is_empty() { "/" } else { &url.path };
        Ok(Some(SocketPlan {
            config: socket.clone(),
            authority: url.authority(),
            tls,
            target: filled(path, &headers),
            headers,
            limits: Limits {
                frame: config.limits.frame.len(),
                inflated: config.limits.inflated.len(),
                ratio: config.limits.inflate_ratio as usize,
            },
        }))
    }
}

/// Each `{NAME}` replaced by the value of that header.
fn filled(path: &str, headers: &[(String, String)]) -> String {
    headers.iter().fold(path.to_owned(), |path, (name, value)| {
        let mut encoded = String::new();
        encode(value, &mut encoded);
        path.replace(&format!("{{{name}}}"), &encoded)
    })
}

/// What the socket pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SocketEvent {
    /// A whole match; from now on it is pushed.
    Snapshot {
        id: String,
        body: Vec<u8>,
    },
    Delta {
        id: String,
        body: Vec<u8>,
    },
    /// The match is no more; it is not pushed any longer.
    Deleted {
        id: String,
    },
    /// The connection stands: what was pushed of these matches is their newest state.
    Stand {
        ids: Vec<String>,
    },
    /// Nothing is pushed any more, and why.
    Down(String),
    /// A message was of no use, and why.
    Skipped(String),
}

#[derive(Debug)]
pub(super) struct PushSocket {
    line: Line,
    coverage: Coverage,
    events: VecDeque<SocketEvent>,
}

impl PushSocket {
    pub(super) fn new(plan: SocketPlan, token: Token, waker: Arc<Waker>, now: Instant) -> PushSocket {
        let plan = Arc::new(plan);
        PushSocket {
            coverage: Coverage::new(plan.config.clone()),
            line: Line::new(plan, token, waker, now),
            events: VecDeque::new(),
        }
    }

    /// The match is wanted from now on; anew, if it was.
    pub(super) fn follow(&mut self, id: &str) {
        if let Some(text) = self.coverage.follow(id) {
            self.line.send(&text);
        }
    }

    pub(super) fn unfollow(&mut self, id: &str) {
        if let Some(text) = self.coverage.unfollow(id) {
            self.line.send(&text);
        }
    }

    pub(super) fn note(&mut self, readiness: Readiness) {
        self.line.note(readiness);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.line.deadline()
    }

    pub(super) fn advance(&mut self, registry: &Registry, now: Instant) {
        let came = self.line.advance(registry, now);
        came.into_iter().for_each(|came| self.take(came));
    }

    /// One read; how many bytes.
    pub(super) fn read(&mut self, now: Instant) -> usize {
        let (count, came) = self.line.read(now);
        came.into_iter().for_each(|came| self.take(came));
        count
    }

    pub(super) fn flush(&mut self, now: Instant) {
        let came = self.line.flush(now);
        came.into_iter().for_each(|came| self.take(came));
    }

    fn take(&mut self, came: Came) {
        match came {
            Came::Opened => {
                for text in self.coverage.opened() {
                    self.line.send(&text);
                }
            }
            Came::Alive => self.events.push_back(SocketEvent::Stand { ids: self.coverage.pushed() }),
            Came::Message(message) => self.coverage.take(&message, &mut self.events),
            Came::Lost(why) => self.coverage.lost(why, &mut self.events),
        }
    }

    pub(super) fn next(&mut self) -> Option<SocketEvent> {
        self.events.pop_front()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.events.is_empty() && self.line.is_drained()
    }

    pub(super) fn close(&mut self) {
        self.line.close();
    }
}
