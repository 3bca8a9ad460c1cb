//! Recorded captures, and made ones: every order of packets gives the same conversation.

mod bodies;
mod midstream;

use super::*;
use crate::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, Credentials, ResponseCode, TopicRef, Unfinished,
};
use proptest::prelude::*;
use touchline_harness::data;

/// Entries as lines, without times.
#[derive(Default)]
struct Lines(Vec<String>);

impl Entries for Lines {
    fn entry(&mut self, entry: &Entry<'_>) {
        let who = match entry.sender {
            None => "-",
            Some(Sender::Client) => "C",
            Some(Sender::Server) => "S",
        };
        self.0.push(format!("{} {who} {}", entry.connection.0, said(&entry.what)));
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn said(what: &What<'_>) -> String {
    match what {
        What::Opened { from_start, .. } => format!("opened {from_start}"),
        What::ConnectRequest(request) => {
            format!("request v{} topics {}", request.version, text(request.topics))
        }
        What::ConnectResponse(ConnectResponse::Accepted { code, client_id, .. }) => {
            format!("accepted {} {}", code.byte(), text(client_id))
        }
        What::ConnectResponse(ConnectResponse::Refused { code, .. }) => format!("refused {}", code.byte()),
        What::Upgrade { line } => (*line).to_owned(),
        What::Message { message, topic, body, cut } => {
            let cut = match cut {
                Cut::Not => String::new(),
                Cut::Piece(piece) => format!("{} of ", piece_of(piece)),
                Cut::Joined(parts) => format!("{parts} parts of "),
            };
            let topic = topic.map(|topic| named(&topic)).unwrap_or_default();
            let headers: Vec<String> = message.headers.iter().map(text).collect();
            format!("{cut}{} {topic} [{}] {}", message.kind, headers.join(","), body_of(body))
        }
        What::GivenUp { message, topic, why } => {
            let Unfinished { kind, correlation, have, total, .. } = message;
            format!("given up {have}/{total} {} of {kind} {} {why:?}", text(correlation), named(topic))
        }
        What::Ping(payload) => format!("ping {}", text(payload)),
        What::Pong(payload) => format!("pong {}", text(payload)),
        What::Close { code, .. } => format!("close {code:?}"),
        What::Undecoded { bytes, why } => format!("undecoded {} {why}", bytes.len()),
        What::Lost(count) => format!("lost {count}"),
        What::Swapped => "swapped".to_owned(),
        What::Recorded { .. } | What::Noted(_) => "of a recording".to_owned(),
        What::Ended(ending) => format!("ended {ending:?}"),
    }
}

fn named(topic: &Topic<'_>) -> String {
    let part = |bytes: Option<&[u8]>| bytes.map_or("?".to_owned(), text);
    format!("{}!{}", part(topic.name), part(topic.alias))
}

fn piece_of(piece: &PieceOf<'_>) -> String {
    let known = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let (number, total) = (known(piece.number), known(piece.total));
    let id = piece.correlation.map_or("?".to_owned(), text);
    let fault = piece.fault.map_or(String::new(), |fault| format!(" {fault:?}"));
    format!("{number}/{total} {id}{fault}")
}

fn body_of(body: &Body<'_>) -> String {
    match body {
        Body::Plain(bytes) | Body::Decoded(bytes) => {
            let records = diffusion::records(bytes)
                .map(|record| diffusion::fields(record).map(text).collect::<Vec<_>>().join(","));
            records.collect::<Vec<_>>().join("|")
        }
        Body::Encoded(bytes, why) => format!("{} bytes {why:?}", bytes.len()),
    }
}

fn dissect(file: &[u8], step: usize) -> (Vec<String>, Summary) {
    let (mut dissector, mut lines) = (Dissector::default(), Lines::default());
    for piece in file.chunks(step.max(1)) {
        dissector.feed(piece, &mut lines).unwrap();
    }
    let summary = dissector.finish(&mut lines).unwrap();
    (lines.0, summary)
}

/// The captures, with their messages and whether any of it is undecoded.
const CAPTURES: [(&str, u64, usize, usize); 8] = [
    ("acknowledgements.pcap", 1, 15, 0),
    ("clientToServerPing.pcap", 1, 25, 0),
    ("credentials.pcap", 1, 3, 0),
    ("emptyFieldsAndRecords.pcap", 1, 17, 0),
    ("reconnect.pcap", 8, 4, 0),
    ("subscribeForMessages.pcap", 1, 13, 0),
    ("ws.pcap", 1, 6, 0),
    ("wsRejectedConnection.pcap", 1, 0, 0),
];

#[test]
fn the_recorded_captures_are_understood_whole() {
    for (file, connections, messages, undecoded) in CAPTURES {
        let Some(bytes) = data::bytes(&format!("diffusion-pcaps/{file}")) else { return };
        let (lines, summary) = dissect(&bytes, usize::MAX);
        let reported = lines.join("\n");
        assert_eq!(summary.connections, connections, "{file}\n{reported}");
        assert_eq!((summary.left_over, summary.other, summary.cut), (0, 0, 0), "{file}");
        let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        let said = lines.iter().filter(|line| line.contains('[')).count();
        assert_eq!((said, count(" undecoded ")), (messages, undecoded), "{file}\n{reported}");
        assert_eq!(count(" lost "), 0, "{file}\n{reported}");
        for step in [1, 7, 1000] {
            assert_eq!(dissect(&bytes, step).0, lines, "{file} in pieces of {step}");
        }
    }
}

#[test]
fn aliases_are_resolved_and_passwords_are_not_shown() {
    let Some(bytes) = data::bytes("diffusion-pcaps/acknowledgements.pcap") else { return };
    let (lines, _) = dissect(&bytes, usize::MAX);
    assert!(lines.iter().any(|line| line.contains("delta with acknowledgement base/ack!2")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("?!")), "{lines:#?}");
}

// What follows is made.

const CLIENT: u16 = 50_000;
const SERVER: u16 = 8_080;

#[derive(Clone)]
struct Sent {
    from: u16,
    number: u32,
    flags: u8,
    payload: Vec<u8>,
}

fn sent(from: u16, number: u32, flags: u8, payload: &[u8]) -> Sent {
    Sent { from, number, flags, payload: payload.to_vec() }
}

#[derive(Clone, Copy)]
enum Link {
    Ethernet,
    Loopback,
    Raw6,
    Cooked,
    Cooked2,
}

fn tcp(one: &Sent) -> Vec<u8> {
    let to = if one.from == CLIENT { SERVER } else { CLIENT };
    let mut out = [one.from.to_be_bytes(), to.to_be_bytes()].concat();
    out.extend_from_slice(&one.number.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x50, one.flags, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&one.payload);
    out
}

fn ip(one: &Sent, link: Link) -> Vec<u8> {
    let tcp = tcp(one);
    if let Link::Raw6 = link {
        let mut out = vec![0x60, 0, 0, 0];
        out.extend_from_slice(&(tcp.len() as u16 + 8).to_be_bytes());
        out.extend_from_slice(&[0, 64]);
        for _ in 0..2 {
            out.extend_from_slice(&[0; 15]);
            out.push(1);
        }
        // A head between: hop by hop.
        out.extend_from_slice(&[6, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&tcp);
        return out;
    }
    let mut out = vec![0x45, 0];
    out.extend_from_slice(&(tcp.len() as u16 + 20).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    out.extend_from_slice(&tcp);
    out
}

fn packet(one: &Sent, link: Link) -> (u32, Vec<u8>) {
    let ip = ip(one, link);
    match link {
        // Padded, as short frames are, and with the tag of a virtual network.
        Link::Ethernet => {
            let head = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0]].concat();
            (1, [head, ip, vec![0xee; 9]].concat())
        }
        Link::Loopback => (0, [vec![2, 0, 0, 0], ip].concat()),
        Link::Raw6 => (101, ip),
        Link::Cooked => (113, [vec![0; 14], vec![8, 0], ip].concat()),
        Link::Cooked2 => (276, [vec![8, 0], vec![0; 18], ip].concat()),
    }
}

fn pcap(packets: &[Sent], link: Link) -> Vec<u8> {
    let kind = packet(&packets[0], link).0;
    let mut out = vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    out.extend_from_slice(&kind.to_be_bytes());
    for (n, one) in packets.iter().enumerate() {
        let (_, data) = packet(one, link);
        for number in [1_000, n as u32, data.len() as u32, data.len() as u32] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&data);
    }
    out
}

fn pcapng(packets: &[Sent], link: Link) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&(padded as u32 + 12).to_le_bytes());
        out.extend_from_slice(body);
        out.resize(out.len() + padded - body.len(), 0);
        out.extend_from_slice(&(padded as u32 + 12).to_le_bytes());
    };
    block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let kind = packet(&packets[0], link).0 as u16;
    // Nanoseconds, among options that say nothing to us.
    let options = [2, 0, 3, 0, b'l', b'o', b'0', 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    block(1, &[&kind.to_le_bytes()[..], &[0, 0, 0, 0, 4, 0], &options].concat());
    block(5, &[0; 8]);
    for (n, one) in packets.iter().enumerate() {
        let (_, data) = packet(one, link);
        if n % 2 == 0 {
            let head = [0, 0, 1_000 + n as u32, data.len() as u32, data.len() as u32].map(u32::to_le_bytes);
            block(6, &[&head.concat()[..], &data].concat());
        } else {
            block(3, &[&(data.len() as u32).to_le_bytes()[..], &data].concat());
        }
    }
    out
}

/// A conversation over DPT: what each side sends.
fn spoken() -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut server) = (Vec::new(), Vec::new());
    let credentials = Some(Credentials { username: b"u", password: b"hunter2" });
    ConnectRequest { credentials, topics: b"a", ..ConnectRequest::new(0x15, 7) }.encode(&mut client).unwrap();
    ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"id" }
        .encode(&mut server)
        .unwrap();
    diffusion::subscribe(&mut client, b"topic/one").unwrap();
    let named = TopicRef::Named { name: b"topic/one", alias: Some(b"7") };
    diffusion::load(&mut server, named, b"x\x02y\x01z").unwrap();
    for n in 0..20 {
        diffusion::delta(&mut server, TopicRef::Alias(b"7"), format!("value {n}").as_bytes()).unwrap();
    }
    diffusion::delta(&mut server, TopicRef::Alias(b"9"), b"?").unwrap();
    diffusion::ping_client(&mut server, b"123").unwrap();
    diffusion::ping_client(&mut client, b"123").unwrap();
    diffusion::close(&mut client);
    (client, server)
}

/// Both streams as segments of at most `size` bytes, the numbers about to wrap.
fn segments(client: &[u8], server: &[u8], size: usize) -> Vec<Sent> {
    const FIRST: [u32; 2] = [u32::MAX - 20, 77];
    let mut all = vec![sent(CLIENT, FIRST[0], 0x02, b""), sent(SERVER, FIRST[1], 0x12, b"")];
    let mut sides: Vec<Vec<Sent>> = Vec::new();
    for (place, (from, bytes)) in [(CLIENT, client), (SERVER, server)].into_iter().enumerate() {
        let mut number = FIRST[place].wrapping_add(1);
        let mut side = Vec::new();
        for piece in bytes.chunks(size) {
            side.push(sent(from, number, 0x18, piece));
            number = number.wrapping_add(piece.len() as u32);
        }
        side.push(sent(from, number, 0x11, b""));
        sides.push(side);
    }
    let server_side = sides.pop().unwrap();
    all.extend(sides.pop().unwrap());
    all.extend(server_side);
    all
}

fn expected() -> Vec<String> {
    let (client, server) = spoken();
    dissect(&pcap(&segments(&client, &server, 100_000), Link::Loopback), usize::MAX).0
}

#[test]
fn a_made_conversation_is_reported_message_by_message() {
    let lines = expected();
    assert_eq!(lines[0], "1 - opened true");
    assert_eq!(lines[1], "1 C request v4 topics a");
    assert_eq!(lines[2], "1 C subscribe  [topic/one] ");
    let server = lines.iter().position(|line| line.starts_with("1 S")).unwrap();
    assert_eq!(lines[server], "1 S accepted 100 id");
    assert_eq!(lines[server + 1], "1 S topic load topic/one!7 [topic/one!7] x,y|z");
    assert_eq!(lines[server + 2], "1 S delta topic/one!7 [!7] value 0");
    assert_eq!(lines[server + 22], "1 S delta ?!9 [!9] ?");
    assert_eq!(lines.last().unwrap(), "1 S ended Closed");
    assert!(!lines.join("").contains("hunter2"));
}

#[test]
fn every_form_of_file_and_link_says_the_same() {
    let (client, server) = spoken();
    let packets = segments(&client, &server, 9);
    for link in [Link::Ethernet, Link::Loopback, Link::Raw6, Link::Cooked, Link::Cooked2] {
        for file in [pcap(&packets, link), pcapng(&packets, link)] {
            for step in [1, 13, usize::MAX] {
                let (lines, summary) = dissect(&file, step);
                assert_eq!(lines, expected());
                assert_eq!((summary.packets, summary.left_over), (packets.len() as u64, 0));
            }
        }
    }
}

#[test]
fn the_time_is_that_of_the_packet() {
    struct Times(Vec<Option<i64>>);
    impl Entries for Times {
        fn entry(&mut self, entry: &Entry<'_>) {
            self.0.push(entry.at);
        }
    }
    let (client, server) = spoken();
    let packets = segments(&client, &server, 100_000);
    let mut times = Times(Vec::new());
    let mut dissector = Dissector::default();
    dissector.feed(&pcap(&packets, Link::Loopback), &mut times).unwrap();
    assert_eq!((times.0[0], times.0[1]), (Some(1_000_000_000_000), Some(1_000_000_000_002)));
    let mut times = Times(Vec::new());
    let mut dissector = Dissector::default();
    dissector.feed(&pcapng(&packets, Link::Loopback), &mut times).unwrap();
    assert_eq!((times.0[0], times.0[1]), (Some(1_000), Some(1_002)));
}

#[test]
fn what_is_missing_is_said_and_framing_is_found_again() {
    let (client, server) = spoken();
    let mut packets = segments(&client, &server, 26);
    let at = packets.iter().position(|one| one.payload.windows(7).any(|w| w == b"value 3")).unwrap();
    packets.remove(at);
    let (lines, _) = dissect(&pcap(&packets, Link::Loopback), usize::MAX);
    assert_eq!(lines.iter().filter(|line| line.contains(" lost 26")).count(), 1, "{lines:#?}");
    let deltas = |lines: &[String]| lines.iter().filter(|line| line.contains(" delta ")).count();
    assert!(deltas(&lines) < deltas(&expected()));
    assert!(lines.iter().any(|line| line.contains("undecoded")));
}

#[test]
fn a_capture_that_begins_in_the_midst_is_read_from_the_first_message() {
    let (client, server) = spoken();
    let packets: Vec<Sent> = segments(&client, &server, 100_000).split_off(2);
    let mut server_only: Vec<Sent> = packets.into_iter().filter(|one| one.from == SERVER).collect();
    let (_, used) = ConnectResponse::parse(&server).unwrap().unwrap();
    server_only[0].payload.drain(..used);
    let (lines, _) = dissect(&pcap(&server_only, Link::Loopback), usize::MAX);
    assert_eq!(lines[0], "1 - opened false");
    assert_eq!(lines[1], "1 S topic load topic/one!7 [topic/one!7] x,y|z");
}

#[test]
fn a_websocket_is_read_masked_or_not_compressed_or_not_in_both_forms() {
    for (masked, zap) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        let protocol = if zap { "Sec-WebSocket-Protocol: zap-protocol-v1\r\n" } else { "" };
        client.extend_from_slice(
            format!("GET /diffusion?v=4&password=hunter2 HTTP/1.1\r\nUpgrade: websocket\r\n{protocol}\r\n")
                .as_bytes(),
        );
        server.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\r\n");
        let text = |out: &mut Vec<u8>, bytes: &[u8], masked: bool| {
            let mask = if masked { [1, 2, 3, 4] } else { [0; 4] };
            out.extend_from_slice(&[0x81, bytes.len() as u8 | if masked { 0x80 } else { 0 }]);
            if masked {
                out.extend_from_slice(&mask);
            }
            out.extend(bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        };
        if zap {
            text(&mut client, b"#\x03P\x01__time,S_1\x00", masked);
            text(&mut server, b"100\x02id\x00", false);
            text(&mut client, b"\x16\x00a,b\x01", masked);
        } else {
            text(&mut server, b"4\x02100\x02id", false);
            text(&mut client, b"\x16a,b", masked);
        }
        text(&mut server, b"\x14a!1\x01F|\x08\x15!1\x01U|", false);
        let (lines, _) = dissect(&pcap(&segments(&client, &server, 11), Link::Ethernet), usize::MAX);
        // The server's side comes after the client's in this file, so its answer to the first is there last.
        let has = |line: &str| assert!(lines.iter().any(|one| one == line), "{line}: {lines:#?}");
        has("1 C GET /diffusion?v=4&password=… HTTP/1.1");
        has("1 C subscribe  [a,b] ");
        has("1 S accepted 100 id");
        has("1 S topic load a!1 [a!1] F|");
        has("1 S delta a!1 [!1] U|");
        assert!(!lines.iter().any(|line| line.contains("undecoded")), "{lines:#?}");
    }
}

#[test]
fn what_is_no_capture_is_said_in_a_line() {
    let fails = |bytes: &[u8]| {
        let (mut dissector, mut lines) = (Dissector::default(), Lines::default());
        let fed = dissector.feed(bytes, &mut lines);
        fed.and_then(|()| dissector.finish(&mut lines).map(drop)).unwrap_err().to_string()
    };
    assert_eq!(fails(b""), "not a capture: it is empty");
    assert_eq!(
        fails(b"GIF89a??"),
        "not a capture: it begins with 47 49 46 38 39 61 3f 3f, expected a pcap or pcapng file"
    );
    assert!(fails(&[0xa1, 0xb2]).starts_with("not a capture"));
    let mut long = pcap(&[sent(CLIENT, 0, 2, b"")], Link::Raw6);
    long.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(fails(&long).contains("the file is damaged there"));
}

#[test]
fn what_is_foreign_is_reported_as_it_is() {
    for (bytes, why) in [
        (&b"SSH-2.0-x\r\n"[..], "neither the classic protocol nor HTTP"),
        (b"GET / HTTP/1.1\r\n\r\nmore", "HTTP that leads to no WebSocket"),
        (b"#\x09\x15\x07\x00", "a later version of the protocol than 4"),
        (b"#\x04\x15\x07a\x01b\x00", "the credentials of a handshake have 1 fields instead of 2"),
        (
            b"#\x04\x15\x07\x00\xff\xff\xff\xff\x14",
            "a message that claims 4294967295 bytes: from here on nothing is certain",
        ),
        (b"#\x04\x15\x07\x00\x00\x00\x00\x10\x14", "the stream ends in the midst of it"),
    ] {
        let (lines, _) = dissect(&pcap(&segments(bytes, b"", 1_000), Link::Loopback), usize::MAX);
        assert!(
            lines.iter().any(|line| line.contains("undecoded") && line.contains(why)),
            "{why}: {lines:#?}"
        );
    }
}

#[test]
fn waiting_pieces_are_bounded() {
    // A first byte that never comes, and megabytes behind it.
    let mut packets = vec![sent(CLIENT, 0, 0x02, b""), sent(CLIENT, 1, 0x18, b"#\x04\x15\x07\x00")];
    for n in 0..3_000_u32 {
        packets.push(sent(CLIENT, 100 + n * 1_000, 0x18, &[0; 1_000]));
    }
    let (lines, _) = dissect(&pcap(&packets, Link::Loopback), 4_096);
    assert!(lines.iter().any(|line| line.contains(" lost 94")), "{:#?}", &lines[..4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Segments in any order within a window, some sent twice, some cut otherwise the second time.
    #[test]
    fn order_and_repetition_change_nothing(
        size in 1usize..40,
        moves in prop::collection::vec((0usize..1_000, 0usize..20), 0..60),
        again in prop::collection::vec((0usize..1_000, 0usize..20, 0usize..30), 0..30),
    ) {
        let (client, server) = spoken();
        let all = segments(&client, &server, size);
        let (opening, rest) = all.split_at(2);
        let (mut to_server, mut to_client): (Vec<Sent>, Vec<Sent>) = rest.iter().cloned().partition(|one| one.from == CLIENT);
        for side in [&mut to_server, &mut to_client] {
            let end = side.pop().unwrap();
            for (at, by) in &moves {
                let at = at % side.len();
                let to = (at + by).min(side.len() - 1);
                let one = side.remove(at);
                side.insert(to, one);
            }
            for (at, by, cut) in &again {
                let at = at % side.len();
                let mut one = side[at].clone();
                one.payload.truncate(one.payload.len().saturating_sub(*cut).max(1));
                let to = (at + by).min(side.len());
                side.insert(to, one);
            }
            side.push(end);
        }
        let packets = [opening.to_vec(), to_server, to_client].concat();
        let (lines, _) = dissect(&pcap(&packets, Link::Loopback), usize::MAX);
        prop_assert_eq!(lines, expected());
    }

    /// Damaged files neither panic nor tell without end.
    #[test]
    fn damage_does_no_harm(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        form in 0u8..2,
        step in 1usize..2_000,
    ) {
        let (client, server) = spoken();
        let packets = segments(&client, &server, 30);
        let mut file = if form == 0 { pcap(&packets, Link::Ethernet) } else { pcapng(&packets, Link::Cooked2) };
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] ^= byte;
        }
        let (mut dissector, mut lines) = (Dissector::default(), Lines::default());
        for piece in file.chunks(step) {
            if dissector.feed(piece, &mut lines).is_err() {
                return Ok(());
            }
        }
        let _ = dissector.finish(&mut lines);
        prop_assert!(lines.0.len() < 2_000);
    }
}
