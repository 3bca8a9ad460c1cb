//! Client and server face to face, and each against bytes that nobody sane sends.

use super::*;
use crate::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, Credentials, FrameBuffer, HANDSHAKE_LIMIT, MessageType,
    ResponseCode, TopicRef,
};
use crate::wire::websocket::{
    Arrived, CloseCode, Context, Deflate, Limits, Opcode, Reader, Role, ServerRequest, UpgradeError,
    WebSocketError, Writer, refuse,
};
use proptest::prelude::*;

const RANDOM: [u8; 16] = [7; 16];

fn config(form: Form) -> TunnelConfig {
    TunnelConfig {
        form,
        host: "push.example:80".to_owned(),
        path: String::new(),
        headers: Vec::new(),
        limits: Limits::default(),
    }
}

fn request<'a>() -> ConnectRequest<'a> {
    ConnectRequest {
        credentials: Some(Credentials { username: b"us er", password: b"p&=\xc3\xa9" }),
        topics: b"__time,S_1",
        client_id: Some(b"ab-cd"),
        ..ConnectRequest::new(0x15, 0)
    }
}

fn asked(request: &ConnectRequest<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes).unwrap();
    bytes
}

fn answered() -> Vec<u8> {
    let mut bytes = Vec::new();
    ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"id-1" }
        .encode(&mut bytes)
        .unwrap();
    bytes
}

/// Two tunnels and what came out of each.
struct Bench {
    client: ClientTunnel,
    server: ServerTunnel,
    at_client: Vec<u8>,
    at_server: Vec<u8>,
    /// Bytes that travel at once, and that are pulled at once.
    step: usize,
}

impl Bench {
    fn new(form: Form, server: ServerConfig, step: usize) -> Bench {
        let client = ClientTunnel::new(config(form), RANDOM);
        Bench {
            client,
            server: ServerTunnel::new(server),
            at_client: Vec::new(),
            at_server: Vec::new(),
            step,
        }
    }

    /// Lets everything travel that is on its way.
    fn settle(&mut self) -> Result<(), TunnelError> {
        while !self.client.output().is_empty() || !self.server.output().is_empty() {
            let bytes = self.client.output().to_vec();
            self.client.output_sent(bytes.len());
            for piece in bytes.chunks(self.step) {
                self.server.spare()[..piece.len()].copy_from_slice(piece);
                self.server.filled(piece.len());
                pull(|room| self.server.pull(room), self.step, &mut self.at_server)?;
                assert!(self.server.is_drained());
            }
            let bytes = self.server.output().to_vec();
            self.server.output_sent(bytes.len());
            for piece in bytes.chunks(self.step) {
                self.client.spare()[..piece.len()].copy_from_slice(piece);
                self.client.filled(piece.len());
                pull(|room| self.client.pull(room), self.step, &mut self.at_client)?;
                assert!(self.client.is_drained());
            }
        }
        Ok(())
    }

    fn open(mut self) -> Bench {
        let asked = asked(&request());
        assert_eq!(self.client.push(&asked), asked.len());
        self.settle().unwrap();
        let answer = answered();
        assert_eq!(self.server.push(&answer), answer.len());
        self.settle().unwrap();
        assert_eq!(self.at_client, answer);
        self.at_client.clear();
        self
    }
}

fn pull(
    mut tunnel: impl FnMut(&mut [u8]) -> Result<usize, TunnelError>,
    step: usize,
    into: &mut Vec<u8>,
) -> Result<(), TunnelError> {
    let mut room = vec![0; step];
    loop {
        let count = tunnel(&mut room)?;
        into.extend_from_slice(&room[..count]);
        if count == 0 {
            return Ok(());
        }
    }
}

fn messages() -> Vec<u8> {
    let mut out = Vec::new();
    let topic = TopicRef::Named { name: b"OVInPlay_1_3", alias: Some(b"a1") };
    diffusion::load(&mut out, topic, "F|CL;NA=Fu\u{df}ball;|".as_bytes()).unwrap();
    diffusion::delta(&mut out, TopicRef::Alias(b"a1"), b"U|NA=x;|").unwrap();
    diffusion::delta(&mut out, TopicRef::Alias(b"a1"), b"").unwrap();
    diffusion::FrameWriter::dpt(&mut out, MessageType::TopicLoadAck)
        .topic(TopicRef::named(b"t"))
        .header(b"7")
        .body(&b"x".repeat(70_000))
        .unwrap();
    out
}

#[test]
fn what_a_session_says_arrives_and_what_the_server_says_too() {
    for form in [Form::V4, Form::Zap] {
        for step in [1, 2, 7, 16 * 1024] {
            for (joining, frame) in [(0, usize::MAX), (16_000, 100)] {
                let mut bench =
                    Bench::new(form, ServerConfig { joining, frame, ..ServerConfig::default() }, step).open();
                let asked = ConnectRequest::parse(&bench.at_server).unwrap().unwrap().0;
                let wanted = match form {
                    Form::V4 => ConnectRequest { client_type: 0x10, ..request() },
                    Form::Zap => ConnectRequest {
                        version: 3,
                        client_type: 0x50,
                        capabilities: 1,
                        client_id: None,
                        ..request()
                    },
                };
                assert_eq!(asked, wanted);
                bench.at_server.clear();
                let said = messages();
                assert_eq!(bench.server.push(&said), said.len());
                let mut wished = Vec::new();
                diffusion::subscribe(&mut wished, b"6V1").unwrap();
                diffusion::ack(&mut wished, b"123").unwrap();
                assert_eq!(bench.client.push(&wished), wished.len());
                bench.settle().unwrap();
                assert_eq!(bench.at_client, said, "{form:?} in steps of {step}");
                assert_eq!(bench.at_server, wished);
            }
        }
    }
}

fn frames(role: Role, bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(role, Limits::default());
    reader.feed(bytes);
    let mut seen = Vec::new();
    while let Some(arrived) = reader.advance().unwrap() {
        let bytes = reader.payload();
        seen.push(match arrived {
            Arrived::Text => std::str::from_utf8(bytes).unwrap().escape_debug().to_string(),
            other @ (Arrived::Binary | Arrived::Ping | Arrived::Pong | Arrived::Close(_)) => {
                format!("{other:?} {}", bytes.escape_ascii())
            }
        });
    }
    seen
}

/// A client that has asked and was let in; its upgrade request as text.
fn upgraded(form: Form, config: TunnelConfig) -> (ClientTunnel, String) {
    let mut client = ClientTunnel::new(TunnelConfig { form, ..config }, RANDOM);
    client.push(&asked(&ConnectRequest { topics: b"__time,S_1", ..ConnectRequest::new(0x15, 0) }));
    let text = String::from_utf8(client.output().to_vec()).unwrap();
    client.output_sent(text.len());
    let request = ServerRequest::parse(text.as_bytes()).unwrap().unwrap().0;
    let mut answer = Vec::new();
    request.accept(None, None, &mut answer);
    feed(&mut client, &answer);
    assert_eq!(client.pull(&mut [0; 100]), Ok(0));
    assert!(client.is_upgraded());
    (client, text)
}

fn feed(client: &mut ClientTunnel, bytes: &[u8]) {
    client.spare()[..bytes.len()].copy_from_slice(bytes);
    client.filled(bytes.len());
}

fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(Role::Server, None, usize::MAX).text(text, &mut out);
    out
}

#[test]
fn the_request_is_the_one_that_servers_know() {
    let (_, text) = upgraded(Form::V4, config(Form::V4));
    assert!(
        text.starts_with(
            "GET /diffusion?t=__time%2CS_1&v=4&ty=WB&ca=0 HTTP/1.1\r\nHost: push.example:80\r\n"
        ),
        "{text}"
    );
    assert!(!text.contains("Protocol"));
    let (client, text) = upgraded(Form::Zap, config(Form::Zap));
    let uid = text.strip_prefix("GET /zap/?uid=").and_then(|rest| rest.split_once(' ')).unwrap().0;
    assert!((1..=16).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_digit()), "{uid}");
    assert!(text.contains("\r\nSec-WebSocket-Protocol: zap-protocol-v1\r\n"));
    // The first text of the recorded conversations.
    assert_eq!(frames(Role::Server, client.output()), ["#\\u{3}P\\u{1}__time,S_1\\0"]);
    let more = TunnelConfig {
        path: "/in/?x=1".to_owned(),
        headers: vec![("Cookie".to_owned(), "a=b".to_owned())],
        ..config(Form::Zap)
    };
    let (_, text) = upgraded(Form::Zap, more);
    assert!(text.starts_with("GET /in/?x=1&uid="));
    assert!(text.contains("\r\nCookie: a=b\r\n"));
}

#[test]
fn the_recorded_forms_of_the_first_text_are_understood() {
    for (form, first, wanted) in [
        (
            Form::V4,
            &b"4\x02100\x02C11FEF06281BACDD-0000000000000000"[..],
            "#\\x04d\\x04C11FEF06281BACDD-0000000000000000\\x00",
        ),
        (Form::V4, b"4\x02105\x02id", "#\\x04i\\x04id\\x00"),
        (Form::V4, b"4\x02111", "#\\x04o\\x04\\x00"),
        (Form::Zap, b"100\x02conn-7\x00", "#\\x04d\\x04conn-7\\x00"),
        (Form::Zap, b"111\x02\x00", "#\\x04o\\x04\\x00"),
    ] {
        let (mut client, _) = upgraded(form, config(form));
        feed(&mut client, &text_frame(first));
        let mut room = [0; 100];
        let count = client.pull(&mut room).unwrap();
        assert_eq!(room[..count].escape_ascii().to_string(), wanted);
    }
    for odd in
        [&b""[..], b"hello", b"4", b"4\x02", b"4\x02+100\x02id", b"4\x02100", b"4\x02256\x02id", b"\x23\x04"]
    {
        let (mut client, _) = upgraded(Form::V4, config(Form::V4));
        feed(&mut client, &text_frame(odd));
        assert!(matches!(client.pull(&mut [0; 100]), Err(TunnelError::Handshake { .. })), "{odd:?}");
        assert!(frames(Role::Server, client.output())[0].contains("Close(Some(CloseCode(1002)))"));
    }
}

#[test]
fn recorded_texts_become_messages_without_an_encoding_byte() {
    let (mut client, _) = upgraded(Form::Zap, config(Form::Zap));
    feed(&mut client, &text_frame(b"100\x02c\x00"));
    feed(
        &mut client,
        &text_frame(b"\x14__time\x01F|IN;TI=20251116152627721;UF=55;|\x08\x15OV\x01U|A=1;|\x08\x08"),
    );
    let mut room = [0; 500];
    let count = client.pull(&mut room).unwrap();
    let mut buffer = FrameBuffer::new(1000);
    buffer.spare()[..count].copy_from_slice(&room[..count]);
    buffer.filled(count);
    let (_, used) = ConnectResponse::parse(buffer.unread()).unwrap().unwrap();
    buffer.skip(used);
    let message = buffer.next_message().unwrap().unwrap();
    assert_eq!((message.kind, message.topic()), (MessageType::TopicLoad, Some(TopicRef::named(b"__time"))));
    assert_eq!(message.body, b"F|IN;TI=20251116152627721;UF=55;|");
    let message = buffer.next_message().unwrap().unwrap();
    assert_eq!((message.kind, message.body), (MessageType::Delta, &b"U|A=1;|"[..]));
    assert_eq!(buffer.next_message(), Ok(None));
    // Towards the server the encoding byte stays.
    let sent = client.output().len();
    client.output_sent(sent);
    let mut wish = Vec::new();
    diffusion::subscribe(&mut wish, b"CONFIG_10_0,OV").unwrap();
    client.push(&wish);
    assert_eq!(frames(Role::Server, client.output()), ["\\u{16}\\0CONFIG_10_0,OV\\u{1}"]);
}

#[test]
fn pings_are_answered_and_a_close_is_the_end_after_what_came_before() {
    let (mut client, _) = upgraded(Form::V4, config(Form::V4));
    let mut bytes = text_frame(b"4\x02100\x02c");
    let mut server = Writer::new(Role::Server, None, usize::MAX);
    server.ping(b"are you there", &mut bytes);
    server.text(b"\x15t\x01body", &mut bytes);
    server.close(CloseCode(1001), "bye\u{7}", &mut bytes);
    feed(&mut client, &bytes);
    let mut reported = Vec::new();
    let error = loop {
        let mut room = [0; 5];
        match client.pull(&mut room) {
            Ok(count) => reported.extend_from_slice(&room[..count]),
            Err(error) => break error,
        }
    };
    assert!(reported.ends_with(b"\x00\x00\x00\x0c\x15\x00t\x01body"));
    let closed = TunnelError::Closed { code: Some(CloseCode(1001)), reason: "bye\\u{7}".to_owned() };
    assert_eq!(error, closed);
    assert_eq!(client.pull(&mut [0; 5]), Err(closed));
    assert_eq!(error.to_string(), "the other side closed the WebSocket with 1001 (going away): bye\\u{7}");
    let said = frames(Role::Server, client.output());
    assert_eq!(said.len(), 2, "one answer each: {said:?}");
    assert!(said[0].starts_with("Pong are"));
}

#[test]
fn a_server_that_reads_nothing_gets_no_more_pongs_than_there_is_room_for() {
    let (mut client, _) = upgraded(Form::V4, config(Form::V4));
    let mut ping = Vec::new();
    Writer::new(Role::Server, None, usize::MAX).ping(&[b'x'; 125], &mut ping);
    for _ in 0..2000 {
        feed(&mut client, &ping);
        assert_eq!(client.pull(&mut [0; 10]), Ok(0));
    }
    assert!((64 * 1024..65 * 1024).contains(&client.output().len()), "{}", client.output().len());
}

#[test]
fn a_session_that_ends_closes_the_websocket() {
    let mut bench = Bench::new(Form::V4, ServerConfig::default(), 100).open();
    bench.at_server.clear();
    let mut bytes = Vec::new();
    diffusion::close(&mut bytes);
    bench.client.push(&bytes);
    assert!(matches!(bench.settle(), Err(TunnelError::Closed { code: Some(CloseCode::NORMAL), .. })));
    assert_eq!(bench.at_server, bytes);
}

#[test]
fn a_refusal_in_http_is_quoted() {
    let mut client = ClientTunnel::new(config(Form::V4), RANDOM);
    client.push(&asked(&request()));
    client.output_sent(client.output().len());
    let mut answer = Vec::new();
    refuse(403, "Forbidden", &mut answer);
    feed(&mut client, &answer);
    assert!(client.pull(&mut [0; 9]).is_err());
    let Err(error) = client.pull(&mut [0; 9]) else { panic!("no error") };
    assert_eq!(
        error.to_string(),
        "the server answers 'HTTP/1.1 403 Forbidden' instead of opening a WebSocket; check `username`, the password and `headers`"
    );
    assert!(client.output().is_empty(), "there is no WebSocket to close");
}

#[test]
fn a_broken_frame_and_a_binary_one_are_answered_with_the_right_code() {
    let broken = WebSocketError::Masked;
    for (bytes, error, code) in [
        (&b"\x82\x00"[..], TunnelError::Binary, 1003),
        (b"\x81\x80\x00\x00\x00\x00", TunnelError::WebSocket(broken), 1002),
        (b"\x81\x01\xff", TunnelError::WebSocket(WebSocketError::Utf8), 1007),
    ] {
        let (mut client, _) = upgraded(Form::V4, config(Form::V4));
        feed(&mut client, bytes);
        assert_eq!(client.pull(&mut [0; 9]), Err(error));
        assert!(frames(Role::Server, client.output())[0].contains(&format!("CloseCode({code})")));
    }
}

#[test]
fn a_message_that_inflates_without_measure_ends_the_tunnel() {
    let limits = Limits { inflated: 1_000_000, ..Limits::default() };
    let mut client = ClientTunnel::new(TunnelConfig { limits, ..config(Form::V4) }, RANDOM);
    let mut server = ServerTunnel::new(ServerConfig { compress_from: 1, ..ServerConfig::default() });
    client.push(&asked(&request()));
    let bytes = client.output().to_vec();
    server.spare()[..bytes.len()].copy_from_slice(&bytes);
    server.filled(bytes.len());
    server.pull(&mut [0; HANDSHAKE_LIMIT]).unwrap();
    server.push(&answered());
    let mut bomb = Vec::new();
    diffusion::delta(&mut bomb, TopicRef::named(b"t"), &vec![b'a'; 3_000_000]).unwrap();
    server.push(&bomb);
    let bytes = server.output().to_vec();
    assert!(bytes.len() < 30_000, "{}", bytes.len());
    feed(&mut client, &bytes);
    let mut room = vec![0; 5_000_000];
    assert_eq!(client.pull(&mut room), Ok(9), "the answer to the connect request");
    let too_much = TunnelError::WebSocket(WebSocketError::Inflated { limit: 1_000_000 });
    assert_eq!(client.pull(&mut room), Err(too_much));
}

#[test]
fn a_header_that_would_change_the_request_is_not_sent() {
    for (headers, path) in [
        (vec![("A".to_owned(), "b\r\nC: d".to_owned())], ""),
        (vec![("A:".to_owned(), "b".to_owned())], ""),
        (Vec::new(), "/a b"),
        (Vec::new(), "no slash"),
    ] {
        let mut client =
            ClientTunnel::new(TunnelConfig { headers, path: path.to_owned(), ..config(Form::V4) }, RANDOM);
        client.push(&asked(&request()));
        assert!(client.output().is_empty());
        assert!(!client.is_drained());
        assert!(matches!(client.pull(&mut [0; 9]), Err(TunnelError::Upgrade(UpgradeError::Ours { .. }))));
    }
}

proptest! {
    #[test]
    fn any_text_comes_out_as_the_messages_between_its_marks(
        texts in prop::collection::vec(prop::collection::vec("[a-c\u{1}\u{2}é]{0,9}", 0..5), 0..6),
        step in 1usize..40,
        compressed in any::<bool>(),
    ) {
        let deflate = compressed.then(|| Deflate { server_context: Context::Anew, ..Deflate::default() });
        let mut bench = Bench::new(Form::V4, ServerConfig { deflate, ..ServerConfig::default() }, step).open();
        let mut wanted = Vec::new();
        for text in &texts {
            for message in text.iter().filter(|message| !message.is_empty()) {
                let (kind, content) = message.as_bytes().split_at(1);
                wanted.extend_from_slice(&(6 + content.len() as u32).to_be_bytes());
                wanted.extend_from_slice(&[kind[0], 0]);
                wanted.extend_from_slice(content);
            }
            let joined = text.join("\u{8}");
            let mut bytes = Vec::new();
            Writer::new(Role::Server, None, usize::MAX)
                .message(Opcode::Text, joined.as_bytes(), 3, &mut bytes);
            for piece in bytes.chunks(step) {
                feed(&mut bench.client, piece);
                pull(|room| bench.client.pull(room), step, &mut bench.at_client).unwrap();
            }
        }
        prop_assert_eq!(&bench.at_client, &wanted);
    }

    #[test]
    fn whatever_comes_neither_side_panics_or_gives_without_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        opened in any::<bool>(),
    ) {
        let mut bench = Bench::new(Form::Zap, ServerConfig::default(), 50);
        if opened {
            bench = bench.open();
        }
        let mut out = Vec::new();
        feed(&mut bench.client, &bytes);
        let _ = pull(|room| bench.client.pull(room), 10, &mut out);
        bench.server.spare()[..bytes.len()].copy_from_slice(&bytes);
        bench.server.filled(bytes.len());
        let _ = pull(|room| bench.server.pull(room), 10, &mut out);
        prop_assert!(out.len() <= 6 * bytes.len() + 100);
    }
}
