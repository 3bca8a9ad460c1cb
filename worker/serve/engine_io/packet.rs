//! Packets of Engine.IO 4: what clients send read, what they are sent written once for both transports.
//!
//! A packet is a character and its payload. In a polling body packets are joined by 0x1e, and bytes travel as `b` and base64; on a WebSocket each is
//! a message, and bytes are a binary one. Pure. Callers: the sessions, and `socket_io`, whose packets travel in `4`.

use crate::wire::websocket::{Role, Writer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

const SEPARATOR: u8 = 0x1e;
/// Packets of one polling body at most.
const PACKETS: usize = 1_024;

/// A packet as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Packet {
    Open,
    Close,
    Ping { payload: String },
    Pong,
    Text(String),
    Binary(Vec<u8>),
    Upgrade,
    Noop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum PacketError {
    /// No type that is known.
    Kind,
    Base64,
    Utf8,
    /// More in one body than is taken.
    TooMany,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PacketError::Kind => "no packet of Engine.IO",
            PacketError::Base64 => "bytes that are no base64",
            PacketError::Utf8 => "text that is no UTF-8",
            PacketError::TooMany => "too many packets in one body",
        })
    }
}

impl Packet {
    /// Of a WebSocket's text message.
    ///
    /// # Errors
    /// [`PacketError::Kind`].
    pub(super) fn read(text: &str) -> Result<Packet, PacketError> {
        let mut rest = text.chars();
        let kind = rest.next().ok_or(PacketError::Kind)?;
        let payload = rest.as_str();
        Ok(match kind {
            '0' => Packet::Open,
            '1' => Packet::Close,
            '2' => Packet::Ping { payload: payload.to_owned() },
            '3' => Packet::Pong,
            '4' => Packet::Text(payload.to_owned()),
            '5' => Packet::Upgrade,
            '6' => Packet::Noop,
            _ => return Err(PacketError::Kind),
        })
    }

    /// All of a polling body.
    ///
    /// # Errors
    /// [`PacketError`].
    pub(super) fn read_body(body: &[u8]) -> Result<Vec<Packet>, PacketError> {
        let mut packets = Vec::new();
        for part in body.split(|byte| *byte == SEPARATOR) {
            if packets.len() >= PACKETS {
                return Err(PacketError::TooMany);
            }
            packets.push(match part {
                [b'b', text @ ..] => Packet::Binary(STANDARD.decode(text).map_err(|_| PacketError::Base64)?),
                text => Packet::read(std::str::from_utf8(text).map_err(|_| PacketError::Utf8)?)?,
            });
        }
        Ok(packets)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A packet to be sent, written once and shared by all who are sent it: a WebSocket's frame, of which the end is what polling sends.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct Frame {
    bytes: Arc<[u8]>,
    /// Bytes of the frame's head.
    head: usize,
    kind: Kind,
    /// When what it carries was received, for how old it is when it is written.
    pub received: Option<Instant>,
}

impl Frame {
    /// `packet`: type and payload, such as `2` or `4` with a packet of Socket.IO.
    pub(in crate::serve) fn text(packet: &str) -> Frame {
        let mut bytes = Vec::with_capacity(packet.len() + 10);
        Writer::new(Role::Server, None, usize::MAX).text(packet.as_bytes(), &mut bytes);
        Frame { head: bytes.len() - packet.len(), bytes: Arc::from(bytes), kind: Kind::Text, received: None }
    }

    pub(in crate::serve) fn binary(payload: &[u8]) -> Frame {
        let mut bytes = Vec::with_capacity(payload.len() + 10);
        let opcode = crate::wire::websocket::Opcode::Binary;
        Writer::new(Role::Server, None, usize::MAX).message(opcode, payload, usize::MAX, &mut bytes);
        Frame {
            head: bytes.len() - payload.len(),
            bytes: Arc::from(bytes),
            kind: Kind::Binary,
            received: None,
        }
    }

    /// `received`: when what it carries was received, if that is measured.
    pub(in crate::serve) fn received_at(self, received: Option<Instant>) -> Frame {
        Frame { received, ..self }
    }

    /// Bytes that wait where it waits.
    pub(in crate::serve) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// As a WebSocket's frame.
    pub(in crate::serve) fn websocket(self) -> Arc<[u8]> {
        self.bytes
    }

    /// Appends it to a polling body.
    pub(super) fn poll(&self, body: &mut String) {
        if !body.is_empty() {
            body.push(char::from(SEPARATOR));
        }
        let payload = self.bytes.get(self.head..).unwrap_or_default();
        match self.kind {
            // It was made of a text.
            Kind::Text => body.push_str(std::str::from_utf8(payload).unwrap_or_default()),
            Kind::Binary => {
                body.push('b');
                STANDARD.encode_string(payload, body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(frames: &[Frame]) -> String {
        let mut body = String::new();
        frames.iter().for_each(|frame| frame.poll(&mut body));
        body
    }

    #[test]
    fn a_body_is_read_as_it_is_written_elsewhere() {
        let read = |text: &str| Packet::read_body(text.as_bytes());
        let expected = vec![Packet::Text("hello".into()), Packet::Binary(vec![1, 2, 3, 4])];
        assert_eq!(read("4hello\u{1e}bAQIDBA=="), Ok(expected));
        assert_eq!(read("2probe"), Ok(vec![Packet::Ping { payload: "probe".into() }]));
        assert_eq!(read("1\u{1e}3\u{1e}5\u{1e}6\u{1e}0").unwrap().len(), 5);
        for (bad, error) in [
            ("", PacketError::Kind),
            ("abc", PacketError::Kind),
            ("4a\u{1e}", PacketError::Kind),
            ("b?", PacketError::Base64),
            ("7", PacketError::Kind),
        ] {
            assert_eq!(read(bad), Err(error), "{bad}");
        }
        assert_eq!(Packet::read_body(b"4\xff"), Err(PacketError::Utf8));
        assert_eq!(read(&vec!["3"; 2_000].join("\u{1e}")), Err(PacketError::TooMany));
        assert_eq!(body(&[Frame::text("4hello"), Frame::binary(&[1, 2, 3, 4])]), "4hello\u{1e}bAQIDBA==");
        assert_eq!(&*Frame::text("2").websocket(), b"\x81\x012");
        assert_eq!(&*Frame::binary(&[7]).websocket(), b"\x82\x01\x07");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            texts in proptest::collection::vec("[^\u{1e}]{0,200}", 1..5),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut frames: Vec<Frame> = texts.iter().map(|text| Frame::text(&format!("4{text}"))).collect();
            frames.push(Frame::binary(&bytes));
            let mut expected: Vec<Packet> = texts.into_iter().map(Packet::Text).collect();
            expected.push(Packet::Binary(bytes));
            prop_assert_eq!(Packet::read_body(body(&frames).as_bytes()), Ok(expected));
        }

        #[test]
        fn no_body_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::read_body(&bytes);
        }
    }
}
