//! What a session is made with.

use std::time::Duration;
use touchline_common::config::Secret;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

/// What becomes of the subscriptions of a session that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterResume {
    /// They are the server's to keep. Messages lost on the way stay lost.
    Keep,
    /// They are asked for again: each brings a fresh load.
    Resubscribe,
}

/// Everything a session must know before its first byte.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    pub login: Option<Login>,
    /// Topics that the handshake itself subscribes. They are not among the session's subscriptions.
    pub login_topics: Vec<String>,
    /// The handshake must be done in this time, however many bytes trickle in.
    pub handshake_deadline: Duration,
    /// After so long without a byte the server is probed: it is asked for a word.
    pub idle_limit: Duration,
    /// The connection counts as lost if nothing comes within this time of the probe.
    pub probe_deadline: Duration,
    /// How often the server is asked for its queue; never if absent.
    pub ping_interval: Option<Duration>,
    /// Subscriptions sent per second; a tenth of it may go at once.
    pub subscribes_per_s: f64,
    /// Subscriptions held or wanted at once.
    pub max_subscriptions: usize,
    pub after_resume: AfterResume,
    pub max_aliases: usize,
    /// The longest message, in bytes.
    pub frame_limit: u32,
    /// The longest body after decoding or putting together, in bytes; also that of all pieces that wait for others.
    pub body_limit: usize,
    /// How many times its own length a body may become when it is decoded.
    pub body_ratio: usize,
    /// Bytes that wait to be sent: the connection is given up above it.
    pub out_limit: usize,
    /// Milliseconds since 1970 when the session is made: pings carry a time of day. Nothing is decided by it.
    pub wall_ms: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            login: None,
            login_topics: Vec::new(),
            handshake_deadline: Duration::from_secs(5),
            // Our own pings are answered each 10 s: several were missed by then.
            idle_limit: Duration::from_secs(30),
            probe_deadline: Duration::from_secs(5),
            ping_interval: Some(Duration::from_secs(10)),
            subscribes_per_s: 500.0,
            max_subscriptions: 50,
            after_resume: AfterResume::Keep,
            max_aliases: 1000,
            frame_limit: 4_000_000,
            body_limit: 16_000_000,
            body_ratio: 200,
            out_limit: 16_000_000,
            wall_ms: 0,
        }
    }
}
