//! What a capture says, thing by thing, lent to the caller.

use super::stream::{ConnectionId, Ending, Sender};
use crate::wire::diffusion::{ConnectRequest, ConnectResponse, Message};
use std::net::SocketAddr;

/// Something that was said, or that happened to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// On which connection.
    pub connection: ConnectionId,
    /// When the packet that completed it was captured, nanoseconds since 1970 UTC; `None` if the file does not say.
    pub at: Option<i64>,
    /// By whom; `None` for what concerns both.
    pub sender: Option<Sender>,
    /// What.
    pub what: What<'a>,
}

/// What was said or happened.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A connection begins.
    Opened {
        /// Who opened it.
        client: SocketAddr,
        /// To whom.
        server: SocketAddr,
        /// Whether its beginning is in the capture.
        from_start: bool,
    },
    /// The client's handshake.
    ConnectRequest(ConnectRequest<'a>),
    /// The server's answer to it.
    ConnectResponse(ConnectResponse<'a>),
    /// The head of a WebSocket's request or answer.
    Upgrade {
        /// Its first line, without a password.
        line: &'a str,
    },
    /// A message.
    Message {
        /// As it is on the wire.
        message: Message<'a>,
        /// Its topic, if its type has one.
        topic: Option<Topic<'a>>,
    },
    /// A ping of the WebSocket.
    Ping(&'a [u8]),
    /// Its answer.
    Pong(&'a [u8]),
    /// The WebSocket is closed.
    Close {
        /// Why, if it says so.
        code: Option<u16>,
        /// The same in words.
        reason: &'a [u8],
    },
    /// Bytes that are not understood.
    Undecoded {
        /// They.
        bytes: &'a [u8],
        /// Why not.
        why: &'a str,
    },
    /// So many bytes are not in the capture.
    Lost(u64),
    /// Nothing more comes of this side.
    Ended(Ending),
}

/// A message's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// Its name; `None` for an alias that nobody explained.
    pub name: Option<&'a [u8]>,
    /// The alias, if one is given or used.
    pub alias: Option<&'a [u8]>,
}
