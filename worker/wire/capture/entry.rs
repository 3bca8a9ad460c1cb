//! What a capture says, thing by thing, lent to the caller.

use super::stream::{ConnectionId, Ending, Sender};
use crate::wire::diffusion::{
    BodyError, ConnectRequest, ConnectResponse, FragmentError, Message, Unfinished,
};
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
        /// Its body, decoded.
        body: Body<'a>,
        /// Whether it came in one.
        cut: Cut<'a>,
    },
    /// A message of which only some pieces came.
    GivenUp {
        /// What is known of it.
        message: &'a Unfinished,
        /// Its topic.
        topic: Topic<'a>,
        /// Why no more is to come.
        why: GaveUp,
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

/// A message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// As it came.
    Plain(&'a [u8]),
    /// What an encoded one stands for.
    Decoded(&'a [u8]),
    /// An encoded one as it came, and why it is not decoded.
    Encoded(&'a [u8], Undecoded),
}

/// Why a body is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecoded {
    /// It is only a piece of one.
    Piece,
    /// It cannot be, or becomes too much.
    Fault(BodyError),
}

/// Whether a message came in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// It did.
    Not,
    /// This is one of its pieces.
    Piece(PieceOf<'a>),
    /// It was put together from so many pieces, of which each was told before.
    Joined(u32),
}

/// One of the pieces of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceOf<'a> {
    /// The id that the pieces share; `None` where it cannot be told from an ack id.
    pub correlation: Option<&'a [u8]>,
    /// Its number, from 1; `None` if its headers make no sense.
    pub number: Option<u32>,
    /// How many there are; `None` if the first one was not here.
    pub total: Option<u32>,
    /// What is wrong with it, or what had to be given up for it.
    pub fault: Option<FragmentError>,
}

/// Why a message in pieces does not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// Its sender cancelled it.
    Cancelled,
    /// The stream or the capture ends.
    Ended,
    /// A piece did not fit, or there was no room for more.
    Fault(FragmentError),
}
