//! Encoded bodies and messages in pieces, each reported as it would have been plain and in one.

use super::*;
use crate::wire::diffusion::{
    BodyEncoder, Encoding, FragmentOf, FrameWriter, MessageType, Part, write_fragments,
};
use std::io::Write;

const NAMED: TopicRef<'static> = TopicRef::Named { name: b"topic/one", alias: Some(b"7") };
const ALIAS: TopicRef<'static> = TopicRef::Alias(b"7");

/// What a server says after its handshake, as lines, and what the file's end says.
fn reported(write: impl FnOnce(&mut Vec<u8>)) -> (Vec<String>, Summary) {
    let (client, mut server) = spoken();
    let (_, used) = ConnectResponse::parse(&server).unwrap().unwrap();
    server.truncate(used);
    write(&mut server);
    let (lines, summary) = dissect(&pcap(&segments(&client, &server, 50), Link::Loopback), 7);
    let said = |line: &String| line.strip_prefix("1 S ").map(str::to_owned);
    (lines.iter().filter_map(said).skip(1).collect(), summary)
}

fn frame(kind: MessageType, encoding: Encoding, topic: TopicRef<'_>, body: &[u8]) -> Vec<u8> {
    let (mut out, mut there) = (Vec::new(), Vec::new());
    BodyEncoder::default().encode(encoding, body, &mut there);
    FrameWriter::dpt_with(&mut out, kind, Part::Whole, encoding).topic(topic).body(&there).unwrap();
    out
}

fn pieces(
    kind: MessageType,
    encoding: Encoding,
    topic: TopicRef<'_>,
    id: &str,
    body: &[u8],
    at: usize,
) -> Vec<Vec<u8>> {
    let (mut out, mut ends, mut there) = (Vec::new(), vec![0], Vec::new());
    BodyEncoder::default().encode(encoding, body, &mut there);
    let of = FragmentOf { kind, encoding, topic, correlation: id.as_bytes() };
    write_fragments(&mut out, &of, &there, at, |out| ends.push(out.len())).unwrap();
    ends.windows(2).map(|ends| out[ends[0]..ends[1]].to_vec()).collect()
}

/// A piece with headers as given, blanks between.
fn piece(kind: MessageType, headers: &str, body: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::dpt_with(&mut out, kind, Part::Fragment, Encoding::Plain);
    for header in headers.split(' ') {
        writer = writer.header(header.as_bytes());
    }
    writer.body(body.as_bytes()).unwrap();
    out
}

/// Those that came whole or were put together, the latter without saying so.
fn whole(lines: &[String]) -> Vec<String> {
    let plain = |line: &String| match line.split_once(" parts of ") {
        Some((_, rest)) => Some(rest.to_owned()),
        None => (!line.contains(" of ")).then(|| line.clone()),
    };
    lines.iter().filter_map(plain).collect()
}

#[test]
fn encoded_and_cut_messages_are_reported_as_plain_ones_in_one() {
    let load = b"a\x02b\x01c\x02\x01".repeat(30);
    let delta = b"x\x02yz";
    let (expected, _) = reported(|out| {
        out.extend(frame(MessageType::TopicLoad, Encoding::Plain, NAMED, &load));
        out.extend(frame(MessageType::Delta, Encoding::Plain, ALIAS, delta));
        out.extend(frame(MessageType::Delta, Encoding::Plain, ALIAS, b""));
    });
    assert_eq!(expected[1], "delta topic/one!7 [!7] x,yz");
    for encoding in [Encoding::Plain, Encoding::Compressed, Encoding::Base64] {
        let (lines, summary) = reported(|out| {
            out.extend(frame(MessageType::TopicLoad, encoding, NAMED, &load));
            out.extend(frame(MessageType::Delta, encoding, ALIAS, delta));
            out.extend(frame(MessageType::Delta, encoding, ALIAS, b""));
        });
        assert_eq!((&lines, summary.joined), (&expected, 0), "{encoding:?}");
        for at in [1, 4, 1_000] {
            let (lines, summary) = reported(|out| {
                out.extend(pieces(MessageType::TopicLoad, encoding, NAMED, "c1", &load, at).concat());
                out.extend(pieces(MessageType::Delta, encoding, ALIAS, "c2", delta, at).concat());
                out.extend(frame(MessageType::Delta, encoding, ALIAS, b""));
            });
            assert_eq!(whole(&lines), expected, "{encoding:?} cut at {at}: {lines:#?}");
            assert_eq!((summary.joined, summary.cancelled, summary.unfinished), (2, 0, 0));
        }
    }
}

#[test]
fn each_piece_has_its_line_and_the_message_follows_the_last() {
    let one = pieces(MessageType::TopicLoad, Encoding::Plain, NAMED, "c1", b"abcdef", 3);
    let two = pieces(MessageType::Delta, Encoding::Base64, TopicRef::named(b"other"), "c2", b"123", 2);
    let (lines, _) =
        reported(|out| out.extend([&one[0], &two[0], &one[1], &two[1]].map(|frame| &frame[..]).concat()));
    assert_eq!(
        lines[..6],
        [
            "1/2 c1 of topic load topic/one!7 [topic/one!7,c1,1/2,6] abc",
            "1/2 c2 of delta other!? [other,c2,1/2,4] 2 bytes Piece",
            "2/2 c1 of topic load topic/one!7 [topic/one!7,c1,2] def",
            "2 parts of topic load topic/one!7 [topic/one!7] abcdef",
            "2/2 c2 of delta other!? [other,c2,2] 2 bytes Piece",
            "2 parts of delta other!? [other] 123",
        ]
    );
    // The id to acknowledge and the user's headers are the message's own.
    let (lines, _) = reported(|out| {
        out.extend(piece(MessageType::TopicLoadAck, "t!1 1n c1 1/2 4 u v", "ab"));
        out.extend(piece(MessageType::TopicLoadAck, "t!1 c1 2", "cd"));
        out.extend(piece(MessageType::Delta, "t c2 1/1 2 u", "ef"));
    });
    assert_eq!(
        lines[..5],
        [
            "1/2 ? of topic load with acknowledgement t!1 [t!1,1n,c1,1/2,4,u,v] ab",
            "2/2 c1 of topic load with acknowledgement t!1 [t!1,c1,2] cd",
            "2 parts of topic load with acknowledgement t!1 [t!1,1n,u,v] abcd",
            "1/1 c2 of delta t!? [t,c2,1/1,2,u] ef",
            "1 parts of delta t!? [t,u] ef",
        ]
    );
}

#[test]
fn messages_that_do_not_come_whole_are_reported() {
    let load = MessageType::TopicLoad;
    for code in [0x30, 0x2a] {
        let (lines, summary) = reported(|out| {
            out.extend(frame(load, Encoding::Plain, NAMED, b"v"));
            out.extend(piece(load, "!7 c1 1/3 9", "a"));
            out.extend(piece(load, "!7 c1 2", "b"));
            let at = out.len();
            FrameWriter::dpt(out, MessageType::CancelFragments).header(b"c1").end().unwrap();
            out[at + 4] = code;
            out.extend(piece(load, "!7 c1 3", "c"));
        });
        assert_eq!(lines[4], "given up 2/3 c1 of topic load topic/one!7 Cancelled", "{lines:#?}");
        assert_eq!(lines[5], "3/? c1 Stray of topic load topic/one!7 [!7,c1,3] c");
        assert_eq!((summary.joined, summary.cancelled, summary.unfinished), (0, 1, 0));
    }
    let (lines, summary) = reported(|out| {
        out.extend(piece(load, "t c1 1/3 9", "a"));
        out.extend(piece(load, "t c1 3", "c"));
        out.extend(piece(load, "t c2 1/3 9", "a"));
        out.extend(piece(load, "t c2", "no part"));
        out.extend(piece(load, "u c3 1/2 9", "a"));
    });
    let given_up = |line: &&String| line.starts_with("given up");
    let given_up: Vec<&String> = lines.iter().filter(given_up).collect();
    assert_eq!(
        given_up,
        [
            "given up 1/3 c1 of topic load t!? Fault(Missing { number: 2 })",
            "given up 1/3 c2 of topic load t!? Ended",
            "given up 1/2 c3 of topic load u!? Ended",
        ]
    );
    assert_eq!(lines[1], "3/3 c1 Missing { number: 2 } of topic load t!? [t,c1,3] c");
    assert_eq!(lines[4], "?/? ? Head(Part) of topic load t!? [t,c2] no part");
    assert_eq!((summary.joined, summary.cancelled, summary.unfinished), (0, 0, 3));
}

#[test]
fn a_body_that_cannot_be_decoded_is_reported_as_it_came() {
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zeros.write_all(&[0; 1 << 20]).unwrap();
    let mut bomb = Vec::new();
    FrameWriter::dpt_with(&mut bomb, MessageType::Delta, Part::Whole, Encoding::Compressed)
        .topic(NAMED)
        .body(&zeros.finish().unwrap())
        .unwrap();
    let long = frame(MessageType::Delta, Encoding::Compressed, NAMED, &vec![0; 17_000_000]);
    let mut broken = frame(MessageType::Delta, Encoding::Compressed, NAMED, b"text");
    *broken.last_mut().unwrap() ^= 1;
    let marked = |byte: u8| {
        let mut frame = frame(MessageType::Delta, Encoding::Plain, NAMED, b"*");
        frame[5] = byte;
        frame
    };
    let (lines, _) = reported(|out| {
        out.extend([bomb, long, broken, marked(0x11), marked(0x13), marked(0x7f), marked(0x02)].concat());
    });
    for (line, why) in lines.iter().zip([
        "bytes Fault(TooDense { ratio: 200 })",
        "bytes Fault(TooLong { limit: 16000000 })",
        "bytes Fault(Zlib)",
        "] 1 bytes Fault(Encrypted)",
        "] 1 bytes Fault(Base64)",
        "] 1 bytes Fault(Unknown { byte: 127 })",
        "] *",
    ]) {
        let end = &line[line.len().saturating_sub(60)..];
        assert!(end.ends_with(why), "{end}: {why}");
    }
}

#[test]
fn the_bounds_are_those_of_a_worker_by_default() {
    let limits = touchline_common::config::LimitsConfig::default();
    assert_eq!((BODY_MAX as u64, RATIO_MAX), (limits.inflated.get(), limits.inflate_ratio as usize));
}
