//! The protocol of live rooms: packets behind a head of 16 bytes, over a stream or in WebSocket messages, both directions.
//!
//! A body may be compressed and then holds whole packets again, which may be compressed themselves. [`Decoder`] unpacks them in
//! order and gives single packets; what is wrong with one costs that packet, and the connection only where nothing says any more where
//! the next begins. Never more than [`Limits`] is held or inflated. At rest a decoder holds nothing. Callers: `feed::rooms`, the
//! simulated server, the fuzz target.

mod auth;
mod body;
mod decoder;
mod error;
mod head;
mod write;

#[cfg(test)]
mod tests;

pub use auth::{AuthError, JoinAuth};
pub use decoder::Decoder;
pub use error::PacketError;
pub use head::HEADER_LEN;
pub use write::{join_outcome, write_heartbeat, write_join, write_packet};

/// What a packet is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Heartbeat,
    /// Its body is the room's popularity, four bytes.
    HeartbeatReply,
    /// Something happened in the room.
    Message,
    Join,
    JoinReply,
    Other(u32),
}

impl Operation {
    pub const fn to_wire(self) -> u32 {
        match self {
            Operation::Heartbeat => 2,
            Operation::HeartbeatReply => 3,
            Operation::Message => 5,
            Operation::Join => 7,
            Operation::JoinReply => 8,
            Operation::Other(number) => number,
        }
    }

    pub const fn from_wire(number: u32) -> Operation {
        match number {
            2 => Operation::Heartbeat,
            3 => Operation::HeartbeatReply,
            5 => Operation::Message,
            7 => Operation::Join,
            8 => Operation::JoinReply,
            _ => Operation::Other(number),
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyForm {
    /// JSON.
    Plain,
    /// A number, or the JSON of a join.
    Control,
    /// Whole packets, compressed.
    Zlib,
    Brotli,
}

impl BodyForm {
    pub const fn to_wire(self) -> u16 {
        match self {
            BodyForm::Plain => 0,
            BodyForm::Control => 1,
            BodyForm::Zlib => 2,
            BodyForm::Brotli => 3,
        }
    }

    /// `None` for a form that is not known.
    pub const fn from_wire(number: u16) -> Option<BodyForm> {
        match number {
            0 => Some(BodyForm::Plain),
            1 => Some(BodyForm::Control),
            2 => Some(BodyForm::Zlib),
            3 => Some(BodyForm::Brotli),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet as it is written, head included.
    pub packet: usize,
    /// Bytes of all that one packet unpacks to, what is nested included.
    pub inflated: usize,
    /// How many times larger inflating may make a body, once it is larger than [`RATIO_FROM`].
    pub ratio: usize,
    /// How many compressed bodies may lie within each other.
    pub depth: u32,
}

/// Below this size, bytes, the ratio of a body is not looked at: short texts that repeat each other have any ratio, and do no harm.
pub const RATIO_FROM: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Limits {
        Limits { packet: 4_000_000, inflated: 16_000_000, ratio: 200, depth: 4 }
    }
}

/// A single packet; what was nested and compressed is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub operation: Operation,
    pub body: &'a [u8],
}
