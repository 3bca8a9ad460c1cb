//! What a session is made with.

use std::fmt;
use std::time::Duration;

/// Which form of the protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Version 4 on a byte stream.
    V4,
}

/// A user name and a password; the password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Everything a session must know before its first byte.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The form of the protocol.
    pub protocol: Protocol,
    /// The client type that the handshake states, as the protocol numbers them.
    pub client_type: u8,
    /// The login, where the server wants one.
    pub login: Option<Login>,
    /// Topics that the handshake itself subscribes. They are not among the session's subscriptions.
    pub login_topics: Vec<String>,
    /// The client id of a session to go on with.
    pub client_id: Option<Vec<u8>>,
    /// The handshake must be done in this time, however many bytes trickle in.
    pub handshake_deadline: Duration,
    /// The connection counts as lost after so long without a byte.
    pub idle_limit: Duration,
    /// How often the server is asked for its queue; never if absent.
    pub ping_interval: Option<Duration>,
    /// Subscriptions sent per second; a tenth of it may go at once.
    pub subscribes_per_s: f64,
    /// Subscriptions held or wanted at once.
    pub max_subscriptions: usize,
    /// Topics asked for in one message, with commas between. Anything above 1 is for servers known to take it.
    pub topics_per_message: usize,
    /// Aliases kept.
    pub max_aliases: usize,
    /// The longest message, in bytes.
    pub frame_limit: u32,
    /// Bytes that wait to be sent: the connection is given up above it.
    pub out_limit: usize,
    /// Milliseconds since 1970 when the session is made: pings carry a time of day. Nothing is decided by it.
    pub wall_ms: u64,
}

/// A Java client: the type of the recorded conversations.
const CLIENT_TYPE: u8 = 0x15;

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            protocol: Protocol::V4,
            client_type: CLIENT_TYPE,
            login: None,
            login_topics: Vec::new(),
            client_id: None,
            handshake_deadline: Duration::from_secs(5),
            // A server pings after 90 s without a message by default; several of them may be missed here.
            idle_limit: Duration::from_secs(120),
            ping_interval: Some(Duration::from_secs(10)),
            subscribes_per_s: 500.0,
            max_subscriptions: 50,
            topics_per_message: 1,
            max_aliases: 1000,
            frame_limit: 4_000_000,
            out_limit: 16_000_000,
            wall_ms: 0,
        }
    }
}
