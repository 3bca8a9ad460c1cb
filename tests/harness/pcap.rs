//! Capture files of conversations that a test makes or writes down: pcap, bare IP, one segment a packet.

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who opened the connection.
    Client,
    /// Whom it was opened to.
    Server,
}

/// What was sent on a connection, in its order.
pub type Conversation = Vec<(Side, Vec<u8>)>;

const SEGMENT: usize = 1_400;
const CLIENT_PORT: u16 = 50_001;
const SERVER_PORT: u16 = 8_080;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const ACK: u8 = 0x10;

/// A capture of whole connections, one after the other, a microsecond between packets.
pub fn capture(conversations: &[Conversation]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0x0004_0000, 101].map(u32::to_be_bytes).concat();
    let mut micros = 0;
    for (place, conversation) in conversations.iter().enumerate() {
        let port = CLIENT_PORT + place as u16;
        let (mut by_client, mut by_server) = (1_u32, 1_u32);
        let mut add = |side: Side, number: u32, flags: u8, payload: &[u8]| {
            micros += 1;
            packet(&mut file, micros, &segment(side, port, number, flags, payload));
        };
        add(Side::Client, 0, SYN, &[]);
        add(Side::Server, 0, SYN | ACK, &[]);
        for (side, bytes) in conversation {
            for piece in bytes.chunks(SEGMENT) {
                let number = match side {
                    Side::Client => &mut by_client,
                    Side::Server => &mut by_server,
                };
                add(*side, *number, ACK, piece);
                *number += piece.len() as u32;
            }
        }
        add(Side::Client, by_client, FIN | ACK, &[]);
        add(Side::Server, by_server, FIN | ACK, &[]);
    }
    file
}

fn packet(file: &mut Vec<u8>, micros: u32, data: &[u8]) {
    let length = data.len() as u32;
    file.extend([1_700_000_000, micros, length, length].map(u32::to_be_bytes).concat());
    file.extend(data);
}

fn segment(side: Side, port: u16, number: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = match side {
        Side::Client => (port, SERVER_PORT),
        Side::Server => (SERVER_PORT, port),
    };
    let length = (40 + payload.len()) as u16;
    let mut out = vec![0x45, 0];
    out.extend(length.to_be_bytes());
    out.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    out.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    out.extend(number.to_be_bytes());
    out.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    out.extend(payload);
    out
}
