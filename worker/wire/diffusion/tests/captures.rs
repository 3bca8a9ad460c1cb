//! Recorded conversations: each must go through the codec and come out as it was, byte for byte.
//!
//! The captures are read here with as little as they need (classic pcap, IPv4, TCP without loss).

use crate::wire::diffusion::{
    ConnectRequest, ConnectResponse, FrameBuffer, Message, fields, message, records,
};
use std::collections::BTreeMap;
use touchline_harness::data;

const DPT: [(&str, usize, usize); 6] = [
    ("acknowledgements.pcap", 1, 15),
    ("clientToServerPing.pcap", 1, 25),
    ("credentials.pcap", 1, 3),
    ("emptyFieldsAndRecords.pcap", 1, 17),
    ("reconnect.pcap", 8, 4),
    ("subscribeForMessages.pcap", 1, 13),
];
const WEB_SOCKET: [&str; 2] = ["ws.pcap", "wsRejectedConnection.pcap"];

#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
}

/// The conversations of a capture in order; none if it is absent.
pub(crate) fn conversations(file: &str) -> Option<Vec<Conversation>> {
    let bytes = data::bytes(&format!("diffusion-pcaps/{file}"))?;
    assert_eq!(&bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{file} is no little-endian pcap");
    let link = u32::from_le_bytes(bytes[20..24].try_into().unwrap());
    let before_ip = match link {
        0 => 4,   // BSD loopback
        1 => 14,  // Ethernet
        101 => 0, // bare IP
        other => panic!("{file} has the unknown link type {other}"),
    };
    let mut streams = Streams::default();
    let mut rest = &bytes[24..];
    while !rest.is_empty() {
        let captured = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let original = u32::from_le_bytes(rest[12..16].try_into().unwrap()) as usize;
        assert_eq!(captured, original, "{file} has a cut packet");
        streams.packet(&rest[16 + before_ip..16 + captured]);
        rest = &rest[16 + captured..];
    }
    Some(streams.conversations)
}

#[derive(Default)]
struct Streams {
    conversations: Vec<Conversation>,
    /// By ports, sender first: the conversation, whether the sender is its client, the number of its next byte.
    open: BTreeMap<(u16, u16), (usize, bool, u32)>,
}

impl Streams {
    fn packet(&mut self, ip: &[u8]) {
        assert_eq!((ip[0] >> 4, ip[9]), (4, 6), "IPv4 and TCP");
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let tcp = &ip[usize::from(ip[0] & 15) * 4..total];
        let ports = (u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]]));
        let number = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let flags = tcp[13];
        let (syn, ack) = (flags & 0x02 != 0, flags & 0x10 != 0);
        if syn {
            if !ack {
                self.conversations.push(Conversation::default());
            }
            self.open.insert(ports, (self.conversations.len() - 1, !ack, number.wrapping_add(1)));
            return;
        }
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let (place, is_client, next) = self.open.get_mut(&ports).expect("a connection from its start");
        if payload.is_empty() {
            return;
        }
        assert_eq!(number, *next, "a segment is lost, repeated or out of order");
        *next = next.wrapping_add(payload.len() as u32);
        let conversation = &mut self.conversations[*place];
        let stream = if *is_client { &mut conversation.client } else { &mut conversation.server };
        stream.extend_from_slice(payload);
    }
}

/// Reads all messages of `bytes`, in pieces of `step`, and writes them again. Nothing may be left over.
fn again(bytes: &[u8], step: usize) -> (Vec<u8>, usize) {
    let mut buffer = FrameBuffer::new(100_000);
    let (mut out, mut count) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        buffer.spare()[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        while let Some(read) = buffer.next_message().unwrap() {
            message(&mut out, &read).unwrap();
            count += 1;
        }
    }
    assert!(buffer.unread().is_empty(), "{} bytes are no message", buffer.unread().len());
    (out, count)
}

#[test]
fn every_byte_of_every_dpt_capture_comes_out_as_it_was() {
    for (file, connections, messages) in DPT {
        let Some(conversations) = conversations(file) else { return };
        assert_eq!(conversations.len(), connections, "{file}");
        let mut seen = 0;
        for Conversation { client, server } in conversations {
            let mut shaken = Vec::new();
            let (request, request_len) = ConnectRequest::parse(&client).unwrap().unwrap();
            request.encode(&mut shaken).unwrap();
            assert_eq!(shaken, client[..request_len], "{file}");
            shaken.clear();
            let (response, response_len) = ConnectResponse::parse(&server).unwrap().unwrap();
            response.encode(&mut shaken).unwrap();
            assert_eq!(shaken, server[..response_len], "{file}");
            for stream in [&client[request_len..], &server[response_len..]] {
                for step in [1, 2, 3, 7, 64, usize::MAX] {
                    let (out, count) = again(stream, step);
                    assert_eq!(out, stream, "{file} in pieces of {step}");
                    seen += usize::from(step == 1) * count;
                }
            }
        }
        assert_eq!(seen, messages, "messages in {file}");
    }
}

#[test]
fn no_capture_is_left_out_by_accident() {
    let Some(folder) = data::path("diffusion-pcaps") else { return };
    let mut present: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("pcap") || name.ends_with("pcapng"))
        .collect();
    present.sort();
    let mut known: Vec<&str> = DPT.iter().map(|(file, ..)| *file).chain(WEB_SOCKET).collect();
    known.sort_unstable();
    assert_eq!(present, known);
}

#[test]
fn what_the_captures_say_is_understood() {
    let Some(conversations) = conversations("emptyFieldsAndRecords.pcap") else { return };
    let server = &conversations[0].server;
    let (_, used) = ConnectResponse::parse(server).unwrap().unwrap();
    let mut buffer = FrameBuffer::new(1000);
    buffer.spare()[..server.len() - used].copy_from_slice(&server[used..]);
    buffer.filled(server.len() - used);
    let mut shapes = Vec::new();
    while let Some(read) = buffer.next_message().unwrap() {
        shapes.push(shape(&read));
    }
    let expected = ["d,", "d,,b", "d,,,b", "d,,,,b", "d|", "", "d||b", "d|||b"];
    assert_eq!(shapes, expected);
}

fn shape(read: &Message<'_>) -> String {
    let record = |record| fields(record).map(text).collect::<Vec<_>>().join(",");
    records(read.body).map(record).collect::<Vec<_>>().join("|")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
