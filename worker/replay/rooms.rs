//! The connections of a worker's rooms as they were recorded: whose each is, and what its bytes say.
//!
//! A connection is known by the mark that stands before its first bytes; bytes of another one are skipped. A WebSocket shows by the answer
//! to its request, which is the first thing that came. What ends a connection here ended it then. Called by `worker`.

use crate::feed::rooms::BAD;
use crate::wire::rooms::{self, Decoder, Operation, join_outcome};
use crate::wire::websocket::{self, Arrived, Reader, Role};
use std::collections::BTreeMap;

/// The answer to a WebSocket's request begins and ends so.
const ANSWER: &[u8] = b"HTTP/";
const ANSWER_END: &[u8] = b"\r\n\r\n";
/// Bytes of the answer to a heartbeat that are the popularity.
const POPULARITY: usize = 4;
/// Stands for the answer to a join where the server serves without one.
const NO_ANSWER: &[u8] = b"{}";

pub(super) struct Rooms {
    packets: rooms::Limits,
    messages: websocket::Limits,
    open: BTreeMap<u64, Connection>,
}

struct Connection {
    topic: String,
    framing: Framing,
    decoder: Decoder,
    stage: Stage,
    /// Packets in a row that could not be read.
    bad: u32,
}

enum Framing {
    /// Nothing came yet.
    Unknown,
    Stream,
    /// The answer to the request is not whole.
    Answer(Box<Reader>),
    WebSocket(Box<Reader>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Joining,
    Joined,
}

/// What a room's connection brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Load(&'a [u8]),
    Delta(&'a [u8]),
    /// What cannot be read.
    Unusable,
}

/// Whether bytes could be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    /// The beginning of their connection is missing, or it is over.
    No,
}

/// The connection is over: nothing in it can be read any more.
struct Over;

impl Rooms {
    pub(super) fn new(packets: rooms::Limits, messages: websocket::Limits) -> Rooms {
        Rooms { packets, messages, open: BTreeMap::new() }
    }

    /// From now on `connection` is that of `topic`.
    pub(super) fn joined(&mut self, connection: u64, topic: String) {
        self.lost(&topic);
        let decoder = Decoder::new(self.packets);
        let (framing, stage) = (Framing::Unknown, Stage::Joining);
        self.open.insert(connection, Connection { topic, framing, decoder, stage, bad: 0 });
    }

    /// The connection of a topic is over.
    pub(super) fn lost(&mut self, topic: &str) {
        self.open.retain(|_, connection| connection.topic != topic);
    }

    /// Something is missing, nobody knows of which.
    pub(super) fn hole(&mut self) {
        self.open.clear();
    }

    /// Gives what the bytes say to `take`, with the topic.
    pub(super) fn bytes(
        &mut self,
        connection: u64,
        bytes: &[u8],
        take: &mut dyn FnMut(&str, Said<'_>),
    ) -> Known {
        let Some(open) = self.open.get_mut(&connection) else { return Known::No };
        if matches!(open.framing, Framing::Unknown) {
            open.framing = if bytes.starts_with(ANSWER) {
                Framing::Answer(Box::new(Reader::new(Role::Client, self.messages)))
            } else {
                Framing::Stream
            };
        }
        if open.feed(bytes, take).is_err() {
            self.open.remove(&connection);
        }
        Known::Yes
    }
}

impl Connection {
    fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str, Said<'_>)) -> Result<(), Over> {
        let mut reader = match std::mem::replace(&mut self.framing, Framing::Stream) {
            Framing::Unknown | Framing::Stream => {
                self.decoder.push(bytes);
                return self.packets(take);
            }
            Framing::Answer(mut reader) => {
                reader.feed(bytes);
                let Some(end) = memchr::memmem::find(reader.unread(), ANSWER_END) else {
                    self.framing = Framing::Answer(reader);
                    return Ok(());
                };
                reader.skip(end + ANSWER_END.len());
                reader
            }
            Framing::WebSocket(mut reader) => {
                reader.feed(bytes);
                reader
            }
        };
        let read = self.messages(&mut reader, take);
        self.framing = Framing::WebSocket(reader);
        read
    }

    fn messages(&mut self, reader: &mut Reader, take: &mut dyn FnMut(&str, Said<'_>)) -> Result<(), Over> {
        while let Some(arrived) = reader.advance().map_err(|_| Over)? {
            match arrived {
                Arrived::Text | Arrived::Binary => {
                    self.decoder.push_message(reader.payload());
                    self.packets(take)?;
                }
                Arrived::Ping | Arrived::Pong => {}
                Arrived::Close(_) => return Err(Over),
            }
        }
        Ok(())
    }

    fn packets(&mut self, take: &mut dyn FnMut(&str, Said<'_>)) -> Result<(), Over> {
        let Connection { topic, decoder, stage, bad, .. } = self;
        while let Some(packet) = decoder.next() {
            let packet = match packet {
                Ok(packet) => packet,
                Err(error) => {
                    *bad += 1;
                    take(topic, Said::Unusable);
                    if error.is_fatal() || *bad >= BAD {
                        return Err(Over);
                    }
                    continue;
                }
            };
            *bad = 0;
            match (packet.operation, *stage) {
                (Operation::Message, Stage::Joined) => take(topic, Said::Delta(packet.body)),
                (Operation::HeartbeatReply, Stage::Joined) => {
                    let shown = packet.body.get(..POPULARITY).unwrap_or(packet.body);
                    take(topic, Said::Delta(shown));
                }
                (Operation::JoinReply, Stage::Joining) => {
                    join_outcome(packet.body).map_err(|_| Over)?;
                    *stage = Stage::Joined;
                    take(topic, Said::Load(packet.body));
                }
                (Operation::Message, Stage::Joining) => {
                    *stage = Stage::Joined;
                    take(topic, Said::Load(NO_ANSWER));
                    take(topic, Said::Delta(packet.body));
                }
                (Operation::JoinReply, Stage::Joined)
                | (Operation::HeartbeatReply, Stage::Joining)
                | (
                    Operation::Heartbeat | Operation::Join | Operation::Other(_),
                    Stage::Joining | Stage::Joined,
                ) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rooms::{BodyForm, write_packet};
    use crate::wire::websocket::{Opcode, Writer};

    fn packet(operation: Operation, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_packet(&mut bytes, BodyForm::Plain, operation, body);
        bytes
    }

    fn packets() -> Vec<Vec<u8>> {
        vec![
            packet(Operation::JoinReply, b"{\"code\":0}"),
            packet(Operation::HeartbeatReply, b"\0\0\0\x07and more"),
            packet(Operation::Message, b"said"),
        ]
    }

    /// What a connection of room 7 brings, a byte at a time.
    fn brings(bytes: &[u8]) -> Vec<String> {
        let mut rooms = Rooms::new(rooms::Limits::default(), websocket::Limits::default());
        rooms.joined(3, "7".to_owned());
        let mut said = Vec::new();
        // The first read tells a WebSocket.
        let (first, rest) = bytes.split_at(8);
        for piece in std::iter::once(first).chain(rest.chunks(1)) {
            let known = rooms.bytes(3, piece, &mut |topic, what| {
                assert_eq!(topic, "7");
                said.push(match what {
                    Said::Load(body) => format!("load {}", body.escape_ascii()),
                    Said::Delta(body) => format!("delta {}", body.escape_ascii()),
                    Said::Unusable => "unusable".to_owned(),
                });
            });
            assert_eq!(known, Known::Yes);
        }
        said
    }

    const SAID: [&str; 3] = ["load {\\\"code\\\":0}", "delta \\x00\\x00\\x00\\x07", "delta said"];

    #[test]
    fn a_stream_and_a_websocket_say_the_same() {
        assert_eq!(brings(&packets().concat()), SAID);
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec();
        let mut writer = Writer::new(Role::Server, None, usize::MAX);
        for packet in packets() {
            writer.message(Opcode::Binary, &packet, usize::MAX, &mut bytes);
        }
        assert_eq!(brings(&bytes), SAID);
    }

    #[test]
    fn bytes_of_an_unknown_connection_or_behind_a_hole_are_skipped() {
        let mut rooms = Rooms::new(rooms::Limits::default(), websocket::Limits::default());
        let bytes = packets().concat();
        let skipped =
            |rooms: &mut Rooms, connection| rooms.bytes(connection, &bytes, &mut |_, _| {}) == Known::No;
        assert!(skipped(&mut rooms, 1));
        rooms.joined(1, "7".to_owned());
        rooms.joined(2, "8".to_owned());
        assert!(!skipped(&mut rooms, 1) && !skipped(&mut rooms, 2));
        rooms.joined(3, "7".to_owned());
        assert!(skipped(&mut rooms, 1), "a room has one connection");
        rooms.hole();
        assert!(skipped(&mut rooms, 2) && skipped(&mut rooms, 3));
    }
}
