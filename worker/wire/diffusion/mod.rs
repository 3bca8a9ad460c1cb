//! The classic Diffusion client protocol, version 4, over DPT (plain TCP or TLS).
//!
//! `handshake` comes first, once; then `dpt` frames one message after the other, `message` reads what is in one and
//! `encode` writes them; `body` decodes, `fragments` puts together what came in pieces. Texts are bytes: nothing here asks for UTF-8, and what was read is written again unchanged.
//! The transports that frame otherwise (WebSocket, the text form of version 3) share `kind`, `message` and `alias`.

mod alias;
mod body;
mod bytes;
mod dpt;
mod encode;
mod fragment;
mod fragments;
mod handshake;
mod kind;
mod message;
mod records;
mod response_code;
pub mod tunnel;

#[cfg(test)]
pub(crate) mod tests;

pub use alias::{AliasTable, TopicSlot};
pub use body::{BodyDecoder, BodyEncoder, BodyError};
pub use dpt::{FRAME_LIMIT_MAX, FRAME_MIN, Frame, FrameBuffer, READ, WireError};
pub use encode::{
    EncodeError, FrameWriter, abort, ack, close, credentials_rejected, delta, load, message, ping_client,
    ping_server, subscribe, topic_status, unsubscribe,
};
pub use fragment::{FragmentHead, FragmentIds, FragmentOf, FragmentPart, HeadError, write_fragments};
pub use fragments::{AGE_MAX, FragmentError, Fragments, OPEN_MAX, PARTS_MAX, Unfinished, Whole};
pub use handshake::{
    CAN_BASE64, CAN_COMPRESSED, ConnectRequest, ConnectResponse, Credentials, HANDSHAKE_LIMIT,
    HandshakeError, LENGTH_BYTES,
};
pub use kind::{Encoding, MessageType, Part};
pub use message::{Headers, Message, Ping, TopicRef, TopicStatus};
pub use records::{Split, fields, records};
pub use response_code::ResponseCode;

pub const VERSION: u8 = 4;
/// Ends the headers, and separates the records of a body.
pub const RD: u8 = 0x01;
/// Separates the headers, and the fields of a record.
pub const FD: u8 = 0x02;
/// Stands between messages on transports without lengths.
pub const MD: u8 = 0x08;
pub const NUL: u8 = 0x00;
/// Stands before an alias.
pub const ALIAS_MARK: u8 = b'!';
pub const SELECTOR_SEPARATOR: u8 = b',';
