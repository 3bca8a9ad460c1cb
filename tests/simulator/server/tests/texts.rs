//! The server over WebSockets, with the plainest client: an upgrade and frames by hand, no codec.

use super::super::Handle;
use super::*;
use crate::options::{Protocol, Transport};

const MATCH: &str = "6V90000001C1A_1_3";

/// A client of a WebSocket that offers no compression.
struct Texts {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Texts {
    fn ask(address: SocketAddr, target: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self { stream, held: Vec::new() }
    }

    /// The head of the answer.
    fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8(self.held.drain(..end + 4).collect()).unwrap();
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let mut piece = [0; 65_536];
        let count = self.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the server left");
        self.held.extend_from_slice(&piece[..count]);
    }

    /// The first byte of the next frame, and its payload.
    fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((size, head)) = self.size()
                && self.held.len() >= head + size
            {
                let frame: Vec<u8> = self.held.drain(..head + size).collect();
                return (frame[0], frame[head..].to_vec());
            }
            self.read();
        }
    }

    fn size(&self) -> Option<(usize, usize)> {
        match *self.held.get(1)? {
            126 => Some((usize::from(u16::from_be_bytes(*self.held.get(2..)?.first_chunk()?)), 4)),
            127 => Some((u64::from_be_bytes(*self.held.get(2..)?.first_chunk()?) as usize, 10)),
            length => Some((usize::from(length), 2)),
        }
    }

    /// The next text.
    fn text(&mut self) -> String {
        let (first, payload) = self.next();
        assert_eq!(first, 0x81, "a whole, plain text");
        String::from_utf8(payload).unwrap()
    }

    fn send(&mut self, text: &str) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
        frame.extend_from_slice(&mask);
        frame.extend(text.bytes().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).unwrap();
    }

    fn is_left(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_ok()
    }
}

fn server(protocol: Protocol) -> Handle {
    server_with(protocol, options())
}

fn server_with(protocol: Protocol, options: Options) -> Handle {
    Simulator::start(&Options { transport: Transport::Ws, protocol, ..options }).unwrap()
}

fn v4(server: &Handle, query: &str) -> Texts {
    let mut client = Texts::ask(server.address(), &format!("/diffusion?v=4&ty=WB&ca=8{query}"), "");
    let head = client.head();
    assert!(head.contains("101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(!head.contains("Sec-WebSocket-Protocol") && !head.contains("deflate"), "{head}");
    client
}

fn zap(server: &Handle, first: &str) -> Texts {
    let more = "Sec-WebSocket-Protocol: zap-protocol-v1\r\n";
    let mut client = Texts::ask(server.address(), "/zap/?uid=1", more);
    let head = client.head();
    assert!(head.contains("101 ") && head.contains("Sec-WebSocket-Protocol: zap-protocol-v1"), "{head}");
    client.send(first);
    client
}

#[test]
fn version_four_is_a_text_for_each_message() {
    let server = server(Protocol::V4);
    let mut client = v4(&server, "&t=__time");
    let hello = client.text();
    assert!(hello.starts_with("4\u{2}100\u{2}") && hello.len() > 10, "{hello:?}");
    let load = client.text();
    assert!(load.starts_with("\u{14}__time!t\u{1}F|IN;TI=2"), "{load:?}");
    // Browsers leave out the last separator.
    client.send(&format!("\u{16}{MATCH}"));
    assert!(client.text().starts_with("\u{14}6V90000001C1A_1_3!m1\u{1}F|EV;"));
    loop {
        let delta = client.text();
        assert!(delta.starts_with('\u{15}') && delta.ends_with('|') && !delta.contains('\u{8}'), "{delta:?}");
        // The event node's messages come by the match's alias.
        if delta.starts_with("\u{15}!m1\u{1}U|") {
            break;
        }
    }
    client.send("\u{18}now\u{2}0\u{1}");
    while client.text() != "\u{18}now\u{2}0\u{1}" {}
    client.send("\u{1d}");
    assert!(client.is_left());
}

#[test]
fn who_offers_compression_gets_it() {
    let server = server(Protocol::V4);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut client = Texts::ask(server.address(), &format!("/diffusion?t={MATCH}&v=4&ca=8"), offer);
    assert!(client.head().contains("Sec-WebSocket-Extensions: permessage-deflate"));
    assert!(client.text().starts_with("4\u{2}100\u{2}"), "short texts are sent as they are");
    let (first, load) = client.next();
    assert_eq!(first, 0xc1, "a whole, compressed text");
    assert!(load.len() > 500 && load.len() < 15_000, "{} bytes of about 30,000", load.len());
}

#[test]
fn a_session_is_named_in_the_query() {
    let server = server_with(Protocol::V4, Options { keep_alive: Duration::from_secs(20), ..options() });
    let mut client = v4(&server, "");
    let hello = client.text();
    let id = hello.split('\u{2}').nth(2).unwrap().to_owned();
    drop(client);
    assert_eq!(v4(&server, &format!("&c={id}")).text(), format!("4\u{2}105\u{2}{id}"));
    let mut client = v4(&server, "&c=unknown");
    assert_eq!(client.text(), "4\u{2}117");
    assert_eq!(client.next(), (0x88, 1000_u16.to_be_bytes().to_vec()), "closed in order");
}

#[test]
fn the_text_form_joins_messages_and_takes_an_encoding_byte() {
    let server = server_with(Protocol::Zap, Options { cap: Some(2), rate: 50_000.0, ..options() });
    let mut client = zap(&server, "#\u{3}P\u{1}__time,S_1,D_2,P-ENDP\0");
    let hello = client.text();
    assert!(hello.starts_with("100\u{2}") && hello.ends_with('\0'), "{hello:?}");
    let load = client.text();
    assert!(load.starts_with("\u{14}__time\u{1}F|IN;TI=2") && load.ends_with(";UF=15;|"), "{load:?}");
    // The tokens of the login do not count: with the clock this makes two.
    client.send(&format!("\u{16}\0{MATCH}\u{1}"));
    let load = client.text();
    assert!(load.starts_with("\u{14}6V90000001C1A_1_3\u{1}F|EV;"), "no alias, no encoding byte: {load:?}");
    let mut most = 0;
    for _ in 0..200 {
        let text = client.text();
        let messages: Vec<&str> = text.split('\u{8}').collect();
        let is_delta =
            |one: &&str| one.starts_with('\u{15}') && one.contains("_1_3\u{1}") && one.ends_with('|');
        assert!(messages.iter().all(is_delta), "no alias, no encoding byte: {text:?}");
        most = most.max(messages.len());
    }
    assert!(most > 1, "what is sent at once stands in one text");
    assert_eq!(server.report().most_subscriptions, 2);
}

#[test]
fn a_refusal_is_a_code_and_the_end() {
    let login = Some("user:secret".parse().unwrap());
    let server = server_with(Protocol::Zap, Options { login, ..options() });
    let mut client = zap(&server, "#\u{3}P\u{1}S_1\0");
    assert_eq!(client.text(), "111\0");
    assert_eq!(client.next().0, 0x88);
    assert!(client.is_left());
    assert_eq!(server.stop().refused, 1);
}

#[test]
fn a_session_that_is_not_good_gets_an_error_and_nothing_else() {
    let server = server_with(Protocol::Zap, Options { session: Some("good".to_owned()), ..options() });
    let mut client = zap(&server, "#\u{3}P\u{1}__time,S_old\0");
    assert!(client.text().starts_with("100\u{2}"), "it is let in");
    let mut received = String::new();
    while !received.contains("|ER;") {
        received.push_str(&client.text());
    }
    assert!(received.starts_with("\u{14}__time\u{1}F|IN;"), "{received:?}");
    assert!(received.ends_with("\u{14}S_old\u{1}F|ER;RT=2;IT=S_old;|"), "{received:?}");
    client.send(&format!("\u{16}\0{MATCH}\u{1}"));
    client.send("\u{18}\u{0}1\u{2}0\u{1}");
    assert!(client.text().starts_with("\u{18}1\u{2}"), "no load before the answer to a ping");
    let mut client = zap(&server, "#\u{3}P\u{1}__time,S_good\0");
    client.text();
    client.send(&format!("\u{16}\0{MATCH}\u{1}"));
    let mut received = String::new();
    while !received.contains(&format!("{MATCH}\u{1}F|EV;")) {
        received.push_str(&client.text());
    }
    assert!(!received.contains("|ER;"), "{received:?}");
    let report = server.stop();
    assert_eq!((report.stale, report.refused), (1, 0));
}

#[test]
fn who_speaks_otherwise_is_not_understood() {
    let server = server(Protocol::Zap);
    let mut client = Texts::ask(server.address(), "/diffusion?v=4", "");
    assert!(client.head().starts_with("HTTP/1.1 400 "));
    assert!(client.is_left());
    let mut client = Texts::ask(server.address(), "/zap/", "Sec-WebSocket-Protocol: zap-protocol-v1\r\n");
    client.head();
    // Without a mask.
    client.stream.write_all(b"\x81\x07#\x03P\x01S_\0").unwrap();
    assert_eq!(client.next(), (0x88, 1002_u16.to_be_bytes().to_vec()));
    assert!(client.is_left());
    assert_eq!(server.stop().bad, 2);
    let error = Simulator::start(&Options { protocol: Protocol::Zap, ..options() }).err().unwrap();
    assert!(error.to_string().contains("WebSocket"), "{error}");
}
