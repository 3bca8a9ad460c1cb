//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), both sides of it.
//!
//! `request` and `answer` are the opening handshake, [`Reader`] takes what a socket reads and gives messages, [`Writer`]
//! appends frames to the caller's buffer. A message that came in one plain frame is borrowed from where it was read; only
//! fragments and compressed ones are put together, never beyond [`Limits`]. `midstream` reads connections whose beginning is
//! not there. Callers: the tunnel of `wire::diffusion`, `feed::rooms`, the simulated server, the dissection of captures.

mod answer;
mod deflate;
mod error;
mod frame;
mod head;
mod midstream;
mod reader;
mod request;
mod writer;

#[cfg(test)]
mod tests;

pub use answer::refuse;
pub use deflate::{Context, Deflate, OFFER};
pub(crate) use error::printable;
pub use error::{CloseCode, UpgradeError, WebSocketError};
pub use frame::Opcode;
pub use head::HEAD_LIMIT;
pub(in crate::wire) use head::HttpHead;
pub(in crate::wire) use midstream::{Beginning, MidstreamReader, Passed, beginning};
pub use reader::{Arrived, Reader};
pub use request::{ClientRequest, Key, Offer, ServerRequest};
pub use writer::Writer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We asked: what we send is masked.
    Client,
    /// We were asked: what comes is masked.
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame's payload, as it travels, and of a message that was not compressed, all fragments together.
    pub frame: usize,
    /// Bytes of a message that was compressed.
    pub inflated: usize,
    /// How many times larger inflating may make a message, once it is larger than [`RATIO_FROM`].
    pub ratio: usize,
}

/// Below this size a message's ratio is not looked at: a short text that repeats an earlier one has any ratio, and does no harm.
pub const RATIO_FROM: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Limits {
        Limits { frame: 4_000_000, inflated: 16_000_000, ratio: 200 }
    }
}
