//! What a capture says, thing by thing, lent to the caller.

use crate::wire::diffusion::{
    AliasTable, BodyError, ConnectRequest, ConnectResponse, FragmentError, Message, TopicRef, Unfinished,
};
use std::net::SocketAddr;

/// A connection of the capture: its place in the order in which they begin, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    Client,
    Server,
}

impl Sender {
    pub(super) fn other(self) -> Sender {
        match self {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Reset,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub connection: ConnectionId,
    /// When the packet that completed it was captured, nanoseconds since 1970 UTC; `None` if the file does not say.
    pub at: Option<i64>,
    /// By whom; `None` for what concerns both.
    pub sender: Option<Sender>,
    pub what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A connection begins, or the capture begins in the midst of it.
    Opened {
        /// Who opened it; in the midst, who masks the frames of a WebSocket, else whose port is the higher.
        client: SocketAddr,
        server: SocketAddr,
        /// Whether its first segment is in the capture.
        from_start: bool,
    },
    /// A connection of a recording begins, or the recording begins in the midst of it.
    Recorded {
        from_start: bool,
    },
    /// What a recording says beside bytes, as JSON.
    Noted(&'a str),
    /// The frames show that client and server are the other way round than the ports suggest.
    Swapped,
    ConnectRequest(ConnectRequest<'a>),
    ConnectResponse(ConnectResponse<'a>),
    /// The head of a WebSocket's request or answer.
    Upgrade {
        /// Its first line, without a password.
        line: &'a str,
    },
    Message {
        message: Message<'a>,
        topic: Option<Topic<'a>>,
        body: Body<'a>,
        cut: Cut<'a>,
    },
    /// A message of which only some pieces came.
    GivenUp {
        message: &'a Unfinished,
        topic: Topic<'a>,
        /// Why no more is to come.
        why: GaveUp,
    },
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close {
        /// Why, if it says so.
        code: Option<u16>,
        /// The same in words.
        reason: &'a [u8],
    },
    /// Bytes that are not understood.
    Undecoded {
        bytes: &'a [u8],
        why: &'a str,
    },
    /// So many bytes are not in the capture.
    Lost(u64),
    /// Nothing more comes of this side.
    Ended(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// Its name; `None` for an alias without an explanation.
    pub name: Option<&'a [u8]>,
    /// The alias, if one is given or used.
    pub alias: Option<&'a [u8]>,
}

impl<'a> Topic<'a> {
    pub(super) fn of(reference: TopicRef<'a>, aliases: &'a AliasTable) -> Topic<'a> {
        match reference {
            TopicRef::Named { name, alias } => Topic { name: Some(name), alias },
            TopicRef::Alias(alias) => {
                let name = aliases.resolve(alias).and_then(|slot| aliases.name(slot));
                Topic { name, alias: Some(alias) }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    Plain(&'a [u8]),
    Decoded(&'a [u8]),
    /// An encoded one as it came, and why it is not decoded.
    Encoded(&'a [u8], Undecoded),
}

/// Why a body is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecoded {
    Piece,
    /// It cannot be, or becomes too much.
    Fault(BodyError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    Not,
    Piece(PieceOf<'a>),
    /// It was put together from so many pieces, of which each was reported before.
    Joined(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceOf<'a> {
    /// The id that the pieces share; `None` where it cannot be distinguished from an ack id.
    pub correlation: Option<&'a [u8]>,
    /// Its number, from 1; `None` if its headers make no sense.
    pub number: Option<u32>,
    /// How many there are; `None` if the first one was not here.
    pub total: Option<u32>,
    pub fault: Option<FragmentError>,
}

/// Why a message in pieces does not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    Cancelled,
    Ended,
    /// A piece did not fit, or there was no room for more.
    Fault(FragmentError),
}
