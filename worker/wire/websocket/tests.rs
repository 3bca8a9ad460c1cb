//! Golden bytes of the two specifications, an independent implementation on the other side, and bytes that nobody sane sends.

use super::*;
use proptest::prelude::*;
use std::io::{self, Read, Write};
use tungstenite::protocol::{WebSocketConfig, WebSocketContext};

fn events(role: Role, deflate: Option<Deflate>, pieces: &[&[u8]]) -> Result<Vec<String>, WebSocketError> {
    events_within(Limits::default(), role, deflate, pieces)
}

fn events_within(
    limits: Limits,
    role: Role,
    deflate: Option<Deflate>,
    pieces: &[&[u8]],
) -> Result<Vec<String>, WebSocketError> {
    let mut reader = Reader::new(role, limits);
    reader.agreed(deflate);
    let mut reported = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        while let Some(arrived) = reader.advance()? {
            let bytes = reader.payload();
            reported.push(match arrived {
                Arrived::Text => format!("text {}", std::str::from_utf8(bytes).unwrap()),
                Arrived::Binary => format!("binary {}", bytes.escape_ascii()),
                Arrived::Ping => format!("ping {}", bytes.escape_ascii()),
                Arrived::Pong => format!("pong {}", bytes.escape_ascii()),
                Arrived::Close(code) => {
                    format!("close {} {}", code.map_or(0, |code| code.0), bytes.escape_ascii())
                }
            });
        }
    }
    Ok(reported)
}

/// RFC 6455, 5.7.
#[test]
fn the_examples_of_the_frames_specification_are_read() {
    let client = |bytes: &[u8]| events(Role::Client, None, &[bytes]).unwrap();
    assert_eq!(client(b"\x81\x05Hello"), ["text Hello"]);
    assert_eq!(client(b"\x01\x03Hel\x80\x02lo"), ["text Hello"]);
    assert_eq!(client(b"\x89\x05Hello"), ["ping Hello"]);
    assert_eq!(client(b"\x01\x03Hel\x89\x00\x80\x02lo\x8a\x01!"), ["ping ", "text Hello", "pong !"]);
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(events(Role::Server, None, &[masked]).unwrap(), ["text Hello"]);
    let medium = [&b"\x82\x7e\x01\x00"[..], &[b'a'; 256]].concat();
    assert_eq!(client(&medium), [format!("binary {}", "a".repeat(256))]);
    let long = [&b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"[..], &[b'a'; 65536]].concat();
    assert_eq!(client(&long), [format!("binary {}", "a".repeat(65536))]);
    assert_eq!(client(b"\x88\x00"), ["close 0 "]);
    assert_eq!(client(b"\x88\x05\x03\xe8bye"), ["close 1000 bye"]);
}

/// RFC 7692, 7.2.3: plain, in fragments, with the context taken over, without compression, in a final block, in two blocks.
#[test]
fn the_examples_of_the_compression_specification_are_read() {
    let hello = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let reported = |pieces: &[&[u8]]| events(Role::Client, Some(Deflate::default()), pieces);
    assert_eq!(reported(&[hello]).unwrap(), ["text Hello"]);
    assert_eq!(reported(&[b"\x41\x03\xf2\x48\xcd", b"\x80\x04\xc9\xc9\x07\x00"]).unwrap(), ["text Hello"]);
    assert_eq!(reported(&[hello, b"\xc1\x05\xf2\x00\x11\x00\x00"]).unwrap(), ["text Hello", "text Hello"]);
    assert_eq!(reported(&[b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00"]).unwrap(), ["text Hello"]);
    assert_eq!(
        reported(&[b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", hello]).unwrap(),
        ["text Hello", "text Hello"]
    );
    let two_blocks = b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    assert_eq!(reported(&[two_blocks]).unwrap(), ["text Hello"]);
    // Plain messages may stand between compressed ones, and an empty one is compressed to a single byte.
    assert_eq!(
        reported(&[b"\x81\x02hi", b"\xc1\x01\x00", hello]).unwrap(),
        ["text hi", "text ", "text Hello"]
    );
}

#[test]
fn a_context_that_begins_anew_knows_nothing_of_the_message_before() {
    let anew = Deflate { server_context: Context::Anew, ..Deflate::default() };
    let pieces: [&[u8]; 2] = [b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xc1\x05\xf2\x00\x11\x00\x00"];
    assert_eq!(events(Role::Client, Some(anew), &pieces), Err(WebSocketError::Deflate));
}

#[test]
fn the_example_of_the_handshake_is_answered_as_it_says() {
    // RFC 6455, 1.3.
    let key = Key::new(*b"the sample nonce");
    assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn what_breaks_the_rules_is_refused_with_the_code_for_it() {
    let fault = |role, bytes: &[u8]| events(role, None, &[bytes]).unwrap_err();
    let client = |bytes: &[u8]| fault(Role::Client, bytes);
    assert_eq!(client(b"\x81\x80\x00\x00\x00\x00"), WebSocketError::Masked);
    assert_eq!(fault(Role::Server, b"\x81\x00"), WebSocketError::Unmasked);
    assert_eq!(client(b"\xc1\x00"), WebSocketError::Reserved { byte: 0x40 });
    assert_eq!(client(b"\xa1\x00"), WebSocketError::Reserved { byte: 0xa1 });
    assert_eq!(client(b"\x83\x00"), WebSocketError::Opcode { bits: 3 });
    assert_eq!(client(b"\x8b\x00"), WebSocketError::Opcode { bits: 11 });
    assert_eq!(client(b"\x09\x00"), WebSocketError::Control);
    assert_eq!(client(b"\x89\x7e\x00\x80"), WebSocketError::Control);
    assert_eq!(client(b"\x80\x00"), WebSocketError::Continuation);
    assert_eq!(client(b"\x01\x00\x81\x00"), WebSocketError::Interleaved);
    assert_eq!(client(b"\x82\x7e\x00\x7d"), WebSocketError::Length);
    assert_eq!(client(b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), WebSocketError::Length);
    assert_eq!(client(b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), WebSocketError::Length);
    assert_eq!(client(b"\x81\x01\xff"), WebSocketError::Utf8);
    assert_eq!(client(b"\x01\x01\xc3\x80\x01("), WebSocketError::Utf8);
    assert_eq!(client(b"\x88\x01\x03"), WebSocketError::CloseCode);
    assert_eq!(client(b"\x88\x02\x03\xed"), WebSocketError::CloseCode);
    assert_eq!(client(b"\x88\x03\x03\xe8\xff"), WebSocketError::Utf8);
    assert_eq!(
        events(Role::Client, Some(Deflate::default()), &[b"\xc1\x02\xff\xff"]).unwrap_err(),
        WebSocketError::Deflate
    );
    // A fragment that goes on cannot say again that it is compressed.
    assert_eq!(
        events(Role::Client, Some(Deflate::default()), &[b"\x41\x01\xf2\xc0\x01\x48"]).unwrap_err(),
        WebSocketError::Reserved { byte: 0x40 }
    );
}

#[test]
fn an_error_is_reported_again_and_nothing_after_it_is_read() {
    let mut reader = Reader::new(Role::Client, Limits::default());
    reader.feed(b"\x83\x00\x81\x02hi");
    for _ in 0..3 {
        assert_eq!(reader.advance(), Err(WebSocketError::Opcode { bits: 3 }));
    }
}

/// Who shows what cannot be read must get all of it: the pieces before the frame at fault, and everything from that frame on.
#[test]
fn an_error_takes_nothing() {
    for (pieces, broken) in [
        (&b"\x01\x03Hel"[..], &b"\x81\x02hi"[..]),
        (b"\x01\x03Hel", b"\x80\x02\xc3("),
        (b"\x01\x03Hel", b"\x88\x01\x03"),
        (b"\x01\x01H\x00\x02el", b"\x83\x00\x81\x02hi"),
        (b"", b"\x80\x02lo\x81\x02hi"),
        (b"", b"\x81\x01\xff"),
    ] {
        let mut reader = Reader::new(Role::Client, Limits::default());
        reader.feed(pieces);
        assert_eq!(reader.advance(), Ok(None));
        reader.feed(broken);
        assert!(reader.advance().is_err(), "{broken:02x?}");
        let held: &[u8] = if pieces.is_empty() { b"" } else { b"Hel" };
        assert_eq!((reader.held(), reader.unread()), (held, broken));
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let limits = Limits { frame: 1000, inflated: 100_000, ratio: 10 };
    let reported = |bytes: &[u8]| events_within(limits, Role::Client, Some(Deflate::default()), &[bytes]);
    let claimed = reported(b"\x82\x7f\x00\x00\x00\x00\x3f\xff\xff\xff").unwrap_err();
    assert_eq!(claimed, WebSocketError::Frame { length: 0x3fff_ffff, limit: 1000 });
    assert_eq!(claimed.close_code(), CloseCode::TOO_LARGE);
    // Fragments without an end, each small.
    let mut reader = Reader::new(Role::Client, limits);
    reader.feed(b"\x02\x00");
    let fragment = [&[0x00, 100][..], &[b'x'; 100]].concat();
    let error = (0..1000).find_map(|_| {
        reader.feed(&fragment);
        reader.advance().err()
    });
    assert_eq!(error, Some(WebSocketError::Message { limit: 1000 }));
    assert!(reader.capacity() < 200_000);
    // A small frame that becomes a large message.
    for (length, inflated, ratio, error) in [
        (300_000, 100_000, 10_000, WebSocketError::Inflated { limit: 100_000 }),
        (300_000, 1_000_000, 10, WebSocketError::Ratio { limit: 10 }),
    ] {
        let mut bomb = Vec::new();
        Writer::new(Role::Server, Some(Deflate::default()), 1).text(&vec![b'a'; length], &mut bomb);
        let limits = Limits { frame: 10_000, inflated, ratio };
        let mut reader = Reader::new(Role::Client, limits);
        reader.agreed(Some(Deflate::default()));
        reader.feed(&bomb);
        assert_eq!(reader.advance(), Err(error));
        assert!(reader.capacity() <= 2 * 64 * 1024 + 100_000, "{}", reader.capacity());
    }
}

#[test]
fn memory_goes_back_once_large_messages_have_stopped() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Role::Server, Some(Deflate::default()), 1);
    let large: Vec<u8> = (0..3_000_000u32).map(|n| b'a' + (n.wrapping_mul(n) / 7 % 26) as u8).collect();
    writer.text(&large, &mut bytes);
    let mut plain = Writer::new(Role::Server, None, usize::MAX);
    plain.text(&large, &mut bytes);
    plain.text(b"small", &mut bytes);
    let mut reader = Reader::new(Role::Client, Limits::default());
    reader.agreed(Some(Deflate::default()));
    let mut texts = Vec::new();
    for piece in bytes.chunks(50_000) {
        reader.feed(piece);
        while let Some(arrived) = reader.advance().unwrap() {
            assert_eq!(arrived, Arrived::Text);
            texts.push(reader.payload().len());
        }
    }
    assert_eq!(texts, [3_000_000, 3_000_000, 5]);
    reader.spare();
    assert!(reader.capacity() <= 2 * 64 * 1024, "{}", reader.capacity());
}

#[test]
fn a_small_reader_reads_anything_and_holds_little_at_rest() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Role::Server, None, usize::MAX);
    for size in [5, 200_000, 70_000, 5] {
        writer.message(Opcode::Binary, &vec![7; size], 60_000, &mut bytes);
    }
    let mut reader = Reader::small(Role::Client, Limits::default());
    let mut sizes = Vec::new();
    for piece in bytes.chunks(4_096) {
        reader.feed(piece);
        while let Some(arrived) = reader.advance().unwrap() {
            assert_eq!(arrived, Arrived::Binary);
            sizes.push(reader.payload().len());
        }
    }
    assert_eq!(sizes, [5, 200_000, 70_000, 5]);
    reader.rest();
    assert!(reader.capacity() <= 8 * 1024, "{}", reader.capacity());
    // Nothing is lost of what is not whole.
    let mut frame = Vec::new();
    writer.message(Opcode::Binary, b"whole", usize::MAX, &mut frame);
    let (head, tail) = frame.split_at(3);
    reader.feed(head);
    assert_eq!(reader.advance(), Ok(None));
    reader.rest();
    reader.feed(tail);
    assert_eq!(reader.advance(), Ok(Some(Arrived::Binary)));
    assert_eq!(reader.payload(), b"whole");
}

#[test]
fn a_client_that_offers_nothing_takes_no_compression() {
    let key = Key::new([3; 16]);
    let plain = ClientRequest { offer: Offer::Nothing, ..request() };
    let mut bytes = Vec::new();
    plain.encode(&key, &mut bytes).unwrap();
    let (asked, _) = ServerRequest::parse(&bytes).unwrap().unwrap();
    let mut answer = Vec::new();
    assert_eq!(asked.accept(Some("p1"), Some(&Deflate::default()), &mut answer), None);
    assert_eq!(plain.read_answer(&key, &answer), Ok(Some((None, answer.len()))));
    let mut forced = Vec::new();
    let (asked, _) = ServerRequest::parse(&self::asked().0).unwrap().unwrap();
    asked.accept(Some("p1"), Some(&Deflate::default()), &mut forced);
    assert!(matches!(plain.read_answer(&key, &forced), Err(UpgradeError::Extension { .. })));
}

fn asked() -> (Vec<u8>, Key) {
    let key = Key::new([3; 16]);
    let mut out = Vec::new();
    request().encode(&key, &mut out).unwrap();
    (out, key)
}

fn request<'a>() -> ClientRequest<'a> {
    ClientRequest { host: "h:1", target: "/x?y=z", protocol: Some("p1"), offer: Offer::Deflate, headers: &[] }
}

#[test]
fn client_and_server_agree_at_every_cut_of_what_they_say() {
    let (bytes, key) = asked();
    for cut in 0..bytes.len() {
        assert_eq!(ServerRequest::parse(&bytes[..cut]), Ok(None), "{cut}");
    }
    let (asked, used) = ServerRequest::parse(&[&bytes[..], b"\x81"].concat()).unwrap().unwrap();
    assert_eq!((used, asked.target.as_str()), (bytes.len(), "/x?y=z"));
    assert_eq!(asked.protocols, "p1");
    let deflate = Deflate { server_window: 10, client_context: Context::Anew, ..Deflate::default() };
    let mut answer = Vec::new();
    let agreed = asked.accept(Some("p1"), Some(&deflate), &mut answer);
    assert!(answer.windows(28).any(|part| part == b"Sec-WebSocket-Protocol: p1\r\n"));
    for cut in 0..answer.len() {
        assert_eq!(request().read_answer(&key, &answer[..cut]), Ok(None), "{cut}");
    }
    let parsed = request().read_answer(&key, &answer);
    assert_eq!(parsed, Ok(Some((agreed, answer.len()))));
    assert_eq!(agreed, Some(deflate));
}

#[test]
fn an_answer_that_is_none_says_what_to_do() {
    let key = Key::new([3; 16]);
    let parse = |text: &str| request().read_answer(&key, text.as_bytes());
    let error = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        error("HTTP/1.1 302 Found\r\nLocation: https://else\u{7}where/\r\n\r\n"),
        "the server answers 'HTTP/1.1 302 Found' instead of opening a WebSocket; it points to 'https://else\\u{7}where/': if that is right, put it into `url`"
    );
    assert!(error("HTTP/1.1 200 OK\r\n\r\n<html>").ends_with("this may be a web server, not a push server"));
    assert!(error("HTTP/1.0 401 Who?\r\n\r\n").contains("check `username`, the password and `headers`"));
    assert!(error("HTTP/1.1 404 Not Found\r\n\r\n").ends_with("check the path in `url`"));
    assert!(error("HTTP/1.1 503 x\r\n\r\n").contains("overloaded"));
    assert_eq!(
        error("#\u{4}d\u{4}id\0"),
        "the answer to the WebSocket request is not HTTP but begins with '#\\u{4}d\\u{4}id\\0'; check the scheme and the port in `url`"
    );
    assert!(error("HTTP/1.1 OK\r\n\r\n").contains("is not HTTP"));
    assert_eq!(
        parse("HTTP/1.1 101 S\r\nno header\r\n\r\n"),
        Err(UpgradeError::Header { line: "no header".to_owned() })
    );
    assert_eq!(parse("HTTP/1.1 101 S\r\n\r\n"), Err(UpgradeError::Missing { header: "Upgrade" }));
    let head = "HTTP/1.1 101 S\r\nUPGRADE: WebSocket\r\n";
    assert_eq!(parse(&format!("{head}\r\n")), Err(UpgradeError::Missing { header: "Connection" }));
    let head = format!("{head}connection: keep-alive, upgrade\r\n");
    assert_eq!(parse(&format!("{head}\r\n")), Err(UpgradeError::Missing { header: "Sec-WebSocket-Accept" }));
    assert_eq!(parse(&format!("{head}Sec-WebSocket-Accept: x\r\n\r\n")), Err(UpgradeError::Accept));
    let head = format!("{head}Sec-WebSocket-Accept: {}\r\n", key.accept());
    assert!(matches!(parse(&format!("{head}\r\n")), Ok(Some(_))));
    let other = format!("{head}Sec-WebSocket-Protocol: p2\r\n\r\n");
    assert_eq!(parse(&other), Err(UpgradeError::Protocol { given: "p2".to_owned() }));
    let extended = format!("{head}Sec-WebSocket-Extensions: permessage-bzip2\r\n\r\n");
    assert!(matches!(parse(&extended), Err(UpgradeError::Extension { .. })), "it was not offered");
    let huge = format!("HTTP/1.1 101 S\r\nX: {}", "y".repeat(HEAD_LIMIT));
    assert_eq!(parse(&huge), Err(UpgradeError::TooLong));
    let endless = format!("HTTP/1.1 200 O\r\n{}", "a:b\r\n".repeat(HEAD_LIMIT / 5));
    assert_eq!(parse(&endless), Err(UpgradeError::TooLong));
}

#[test]
fn only_what_was_offered_is_taken_of_the_compression() {
    let key = Key::new([3; 16]);
    let parse = |extensions: &str| {
        let text = format!(
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n",
            key.accept()
        );
        request().read_answer(&key, text.as_bytes()).map(|parsed| parsed.unwrap().0)
    };
    assert_eq!(parse("permessage-deflate"), Ok(Some(Deflate::default())));
    let all = "permessage-deflate;server_no_context_takeover ; client_no_context_takeover; server_max_window_bits=\"8\"; client_max_window_bits=9";
    let small = Deflate {
        server_context: Context::Anew,
        client_context: Context::Anew,
        server_window: 8,
        client_window: 9,
    };
    assert_eq!(parse(all), Ok(Some(small)));
    for odd in [
        "x-webkit-deflate-frame",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; what",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ] {
        assert!(matches!(parse(odd), Err(UpgradeError::Extension { .. })), "{odd}");
    }
}

#[test]
fn a_server_takes_the_first_offer_that_it_understands() {
    let accept = |offers: &str| {
        let deflate = Deflate::from_offers(offers, &Deflate::default())?;
        Some(deflate.to_answer())
    };
    assert_eq!(accept("").as_deref(), None);
    assert_eq!(accept("permessage-deflate; odd").as_deref(), None);
    assert_eq!(accept(OFFER).as_deref(), Some("permessage-deflate"));
    let second =
        "foo, permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10";
    assert_eq!(accept(second).as_deref(), Some("permessage-deflate; server_max_window_bits=10"));
    assert_eq!(
        accept("permessage-deflate; client_max_window_bits=8; server_no_context_takeover").as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_max_window_bits=8")
    );
}

/// Two queues of bytes; what is not there yet is not an end.
#[derive(Default)]
struct Wire {
    coming: Vec<u8>,
    going: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.coming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = room.len().min(self.coming.len());
        room[..count].copy_from_slice(&self.coming[..count]);
        self.coming.drain(..count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.going.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: Role) -> WebSocketContext {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    WebSocketContext::new(role, Some(WebSocketConfig::default()))
}

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

#[test]
fn our_requests_and_answers_are_understood_by_others_and_theirs_by_us() {
    use tungstenite::handshake::MidHandshake;
    use tungstenite::handshake::server::NoCallback;
    use tungstenite::{HandshakeError, accept};
    // Their server takes our request, and we its answer.
    let (bytes, key) = asked();
    let wire = Wire { coming: bytes, going: Vec::new() };
    let accepted = accept(wire).unwrap_or_else(|error: HandshakeError<_>| panic!("{error}"));
    let answer = accepted.get_ref().going.clone();
    assert!(matches!(request().read_answer(&key, &answer), Ok(Some(_))));
    // Our server takes their request, and they our answer.
    let began = tungstenite::client("ws://h:1/path", Wire::default());
    let Err(HandshakeError::Interrupted(mid)) = began else { panic!("it cannot be done yet") };
    let mut mid: MidHandshake<_> = mid;
    let wire = mid.get_mut().get_mut();
    let (asked, _) = ServerRequest::parse(&wire.going).unwrap().unwrap();
    let mut answer = Vec::new();
    asked.accept(None, None, &mut answer);
    wire.coming = answer;
    mid.handshake().unwrap_or_else(|error| panic!("{error}"));
    let _ = NoCallback;
}

proptest! {
    #[test]
    fn what_we_write_others_read(
        texts in prop::collection::vec("[a-zé]{0,300}", 1..8),
        frame in 1usize..400,
        client in any::<bool>(),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut wire = Wire::default();
        let mut writer = Writer::new(role, None, usize::MAX);
        for text in &texts {
            writer.ping(b"x", &mut wire.coming);
            writer.message(Opcode::Text, text.as_bytes(), frame, &mut wire.coming);
        }
        writer.close(CloseCode::NORMAL, "done", &mut wire.coming);
        let mut reader = theirs(other(role));
        let mut read = Vec::new();
        while let Ok(message) = reader.read(&mut wire) {
            if let tungstenite::Message::Text(text) = message {
                read.push(text.to_string());
            }
        }
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn what_others_write_we_read(
        texts in prop::collection::vec("[a-zé]{0,300}", 1..8),
        client in any::<bool>(),
        step in 1usize..50,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut wire = Wire::default();
        let mut writer = theirs(role);
        for text in &texts {
            writer.write(&mut wire, tungstenite::Message::text(text.as_str())).unwrap();
        }
        writer.flush(&mut wire).unwrap();
        let pieces: Vec<&[u8]> = wire.going.chunks(step).collect();
        let wanted: Vec<String> = texts.iter().map(|text| format!("text {text}")).collect();
        prop_assert_eq!(events(other(role), None, &pieces).unwrap(), wanted);
    }

    #[test]
    fn compressed_messages_come_out_whole_however_they_are_cut(
        texts in prop::collection::vec("([a-d]{0,40}|x{0,3000})", 1..10),
        frame in 1usize..100,
        step in 1usize..60,
        anew in any::<bool>(),
        window in 9u8..=15,
        client in any::<bool>(),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let context = if anew { Context::Anew } else { Context::Kept };
        let deflate = Deflate {
            server_context: context,
            client_context: context,
            server_window: window,
            client_window: window,
        };
        let mut writer = Writer::new(role, Some(deflate), 3);
        let mut bytes = Vec::new();
        for text in &texts {
            writer.message(Opcode::Text, text.as_bytes(), frame, &mut bytes);
        }
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        let wanted: Vec<String> = texts.iter().map(|text| format!("text {text}")).collect();
        prop_assert_eq!(events(other(role), Some(deflate), &pieces).unwrap(), wanted);
    }

    #[test]
    fn whatever_comes_is_read_within_bounds(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        step in 1usize..50,
        deflate in any::<bool>(),
    ) {
        let limits = Limits { frame: 200, inflated: 1000, ratio: 5 };
        for role in [Role::Client, Role::Server] {
            let mut reader = Reader::new(role, limits);
            reader.agreed(deflate.then(Deflate::default));
            for piece in bytes.chunks(step) {
                reader.feed(piece);
                while let Ok(Some(arrived)) = reader.advance() {
                    prop_assert!(reader.payload().len() <= 1000);
                    prop_assert!(arrived != Arrived::Text || std::str::from_utf8(reader.payload()).is_ok());
                }
            }
            prop_assert!(reader.capacity() <= 2 * 64 * 1024);
            let _ = ServerRequest::parse(&bytes);
            let _ = request().read_answer(&Key::new([0; 16]), &bytes);
        }
    }
}
