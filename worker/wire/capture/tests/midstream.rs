//! Captures that begin in the middle of a connection, of a WebSocket above all, and what only looks like one.

use super::*;
use crate::wire::capture::conversation::frames_begin;
use crate::wire::capture::search::NOWHERE;
use crate::wire::websocket::{Deflate, Role, Writer};

/// Segments of which none opens the connection, each with what one side sends.
fn middle(parts: &[(u16, &[u8])]) -> Vec<Sent> {
    let mut numbers = [700_u32, 900];
    let next = |(from, bytes): &(u16, &[u8])| {
        let number = &mut numbers[usize::from(*from == SERVER)];
        let one = sent(*from, *number, 0x18, bytes);
        *number = number.wrapping_add(bytes.len() as u32);
        one
    };
    parts.iter().map(next).collect()
}

fn lines_of(packets: &[Sent]) -> Vec<String> {
    dissect(&pcap(packets, Link::Loopback), usize::MAX).0
}

fn framed(role: Role, texts: &[&[u8]]) -> Vec<u8> {
    let (mut writer, mut out) = (Writer::new(role, None, 0), Vec::new());
    texts.iter().for_each(|text| writer.text(text, &mut out));
    out
}

const LOAD: &[u8] = b"\x14a!1\x01F|";
const DELTA: &[u8] = b"\x15!1\x01U|some text\x08\x15!1\x01U|";

#[test]
fn a_websocket_is_read_from_its_middle_on_in_both_directions() {
    let server = framed(Role::Server, &[LOAD, DELTA, DELTA]);
    let (half, rest) = server.split_at(server.len() - 5);
    let client = framed(Role::Client, &[b"\x16a,b"]);
    // The client's first frame comes before anything is known, and the server's side begins with the end of a message.
    let packets = middle(&[
        (CLIENT, &client[..]),
        (SERVER, &b"the end of a text"[..]),
        (SERVER, half),
        (SERVER, rest),
        (CLIENT, &client[..]),
    ]);
    let lines = lines_of(&packets);
    let delta = ["1 S delta a!1 [!1] U|some text", "1 S delta a!1 [!1] U|"];
    let mut expected = vec!["1 - opened false".to_owned(), format!("1 S undecoded 17 {NOWHERE}")];
    expected
        .extend(["1 S topic load a!1 [a!1] F|", delta[0], delta[1], delta[0], delta[1]].map(str::to_owned));
    expected.extend(["1 C subscribe  [a,b] ", "1 C subscribe  [a,b] "].map(str::to_owned));
    assert_eq!(lines, expected);
}

#[test]
fn the_older_text_form_is_seen_in_the_middle_too() {
    let client = framed(Role::Client, &[b"\x16\x00a,b\x01", b"\x17\x00a\x01"]);
    let server = framed(Role::Server, &[LOAD, DELTA, DELTA]);
    let lines = lines_of(&middle(&[(SERVER, &server[..]), (CLIENT, &client[..])]));
    assert!(lines.iter().any(|line| line == "1 C subscribe  [a,b] "), "{lines:#?}");
    assert!(lines.iter().any(|line| line == "1 C unsubscribe  [a] "), "{lines:#?}");
}

#[test]
fn who_masks_is_the_client_whatever_the_ports_are() {
    let masked = framed(Role::Client, &[b"\x16a", b"\x16b", b"\x16c", b"\x16d"]);
    let plain = framed(Role::Server, &[LOAD, DELTA, DELTA]);
    let lines = lines_of(&middle(&[(SERVER, &masked[..]), (CLIENT, &plain[..])]));
    assert_eq!(lines[1], "1 C subscribe  [a] ", "{lines:#?}");
    assert_eq!(lines[5], "1 S topic load a!1 [a!1] F|", "{lines:#?}");
    // Not to be seen in the first packet: it is said once it is.
    let (first, rest) = plain.split_at(3);
    let lines = lines_of(&middle(&[(CLIENT, first), (CLIENT, rest), (SERVER, &masked[..])]));
    assert_eq!(lines[..3], ["1 - opened false", "1 - swapped", "1 S topic load a!1 [a!1] F|"], "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "1 C subscribe  [d] ");
}

#[test]
fn a_websocket_goes_on_after_missing_bytes() {
    let mut client = b"GET /diffusion?v=4 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec();
    client.extend(framed(Role::Client, &[b"\x16a,b"]));
    let server = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\r\n".to_vec();
    let frames = framed(Role::Server, &[b"4\x02100\x02id", LOAD, DELTA]);
    let delta = framed(Role::Server, &[DELTA]);
    let mut packets = segments(&client, &[&server[..], &frames].concat(), 1_000);
    let end = packets.pop().unwrap();
    let lost = sent(SERVER, end.number, 0x18, &delta);
    let mut number = end.number.wrapping_add(lost.payload.len() as u32);
    for part in [&delta[5..], &delta[..]] {
        packets.push(sent(SERVER, number, 0x18, part));
        number = number.wrapping_add(part.len() as u32);
    }
    packets.push(sent(SERVER, number, 0x11, b""));
    let lines = lines_of(&packets);
    let at = lines.iter().position(|line| line.contains(" lost ")).unwrap();
    let undecoded = format!("1 S undecoded {} {NOWHERE}", delta.len() - 5);
    let expected = [undecoded.as_str(), "1 S delta a!1 [!1] U|some text", "1 S delta a!1 [!1] U|"];
    assert_eq!(lines[at + 1..], expected, "{lines:#?}");
}

#[test]
fn a_compressed_message_with_an_unknown_window_is_passed_over() {
    let mut writer = Writer::new(Role::Server, Some(Deflate::default()), 40);
    let long = "\x15!1\x01a text that the next one repeats, word by word by word";
    let (mut before, mut after) = (Vec::new(), Vec::new());
    writer.text(long.as_bytes(), &mut before);
    for text in [long, "\x15!1\x01short", "\x15!1\x01shorter", "\x15!1\x01shortest"] {
        writer.text(text.as_bytes(), &mut after);
    }
    let lines = lines_of(&middle(&[(SERVER, &after[..])]));
    assert!(lines[1].contains("undecoded") && lines[1].contains("it is compressed"), "{lines:#?}");
    assert_eq!(lines[2..4], ["1 S delta ?!1 [!1] short", "1 S delta ?!1 [!1] shorter"]);
}

/// Pieces of a message that never becomes whole, compressed or not: shown where the capture ends, and where a fault ends them.
#[test]
fn pieces_of_a_message_that_is_never_whole_are_shown() {
    let frames = framed(Role::Server, &[LOAD, DELTA, DELTA]);
    let undecoded = |lines: Vec<String>| -> Vec<String> {
        lines.iter().filter_map(|line| line.strip_prefix("1 S undecoded ").map(str::to_owned)).collect()
    };
    let interleaved = "a WebSocket message begins before the one before has ended";
    let at_fault = [format!("5 {interleaved}"), format!("4 {interleaved}")];
    for piece in [&b"\x41\x05bytes"[..], b"\x01\x05bytes"] {
        let from_middle = |behind: &[u8]| {
            let server = [&frames[..], piece, behind].concat();
            undecoded(lines_of(&middle(&[(SERVER, &server[..])])))
        };
        assert_eq!(from_middle(b""), ["5 the capture ends in the midst of it"], "{piece:02x?}");
        assert_eq!(from_middle(b"\x81\x02hi"), at_fault, "{piece:02x?}");
    }
    let client = b"GET /diffusion?v=4 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let mut server = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\r\n".to_vec();
    server.extend(framed(Role::Server, &[b"4\x02100\x02id", LOAD, DELTA]));
    server.extend_from_slice(b"\x01\x05bytes\x81\x02hi");
    assert_eq!(undecoded(lines_of(&segments(client, &server, 1_000))), at_fault);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random bytes stay what they are, packet by packet.
    #[test]
    fn noise_is_no_websocket(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..40)) {
        // A zero may begin a message of the classic protocol.
        let parts: Vec<Vec<u8>> = parts
            .into_iter()
            .map(|mut part| {
                part[0] = part[0].max(1);
                part
            })
            .collect();
        let packets: Vec<(u16, &[u8])> = parts.iter().map(|part| (SERVER, part.as_slice())).collect();
        let mut expected = vec!["1 - opened false".to_owned()];
        expected.extend(parts.iter().map(|part| format!("1 S undecoded {} {NOWHERE}", part.len())));
        prop_assert_eq!(lines_of(&middle(&packets)), expected);
    }

    /// A stream of the classic protocol, wherever the capture begins: undecoded up to the first packet that begins with a
    /// message, and from there on as if the capture began there.
    #[test]
    fn the_classic_protocol_is_no_websocket(begin in 0usize..400, size in 1usize..60) {
        let (_, server) = spoken();
        let stream = server.get(begin..).unwrap_or_default();
        let packets: Vec<(u16, &[u8])> = stream.chunks(size).map(|part| (SERVER, part)).collect();
        if packets.is_empty() {
            return Ok(());
        }
        let packets = middle(&packets);
        let first = packets.iter().position(|one| frames_begin(&one.payload)).unwrap_or(packets.len());
        let mut expected = vec!["1 - opened false".to_owned()];
        let undecoded = |one: &Sent| format!("1 S undecoded {} {NOWHERE}", one.payload.len());
        expected.extend(packets[..first].iter().map(undecoded));
        if first < packets.len() {
            expected.extend_from_slice(&lines_of(&packets[first..])[1..]);
        }
        prop_assert_eq!(lines_of(&packets), expected);
    }
}
