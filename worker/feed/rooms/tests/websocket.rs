//! The same over WebSocket.

use super::*;
use crate::feed::rooms::plan::Upgrade;

/// The server's side of a WebSocket.
struct WebPeer {
    stream: TcpStream,
    reader: ws::Reader,
    writer: ws::Writer,
}

impl WebPeer {
    /// Answers the request; its target.
    fn open(peer: Peer) -> (WebPeer, String) {
        let stream = peer.stream;
        let mut reader = ws::Reader::new(ws::Role::Server, ws::Limits::default());
        let request = loop {
            if let Some((request, used)) = ws::ServerRequest::parse(reader.unread()).unwrap() {
                reader.skip(used);
                break request;
            }
            fill(&stream, &mut reader).unwrap();
        };
        assert_eq!(request.extensions, "", "no window for each room");
        let mut answer = Vec::new();
        request.accept(None, None, &mut answer);
        let writer = ws::Writer::new(ws::Role::Server, None, usize::MAX);
        let mut peer = WebPeer { stream, reader, writer };
        peer.raw(&answer);
        (peer, request.target)
    }

    /// The next message; none at the end.
    fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.reader.advance().ok()? {
                Some(ws::Arrived::Binary) => return Some(self.reader.payload().to_vec()),
                Some(ws::Arrived::Close(_)) => return None,
                Some(ws::Arrived::Text | ws::Arrived::Ping | ws::Arrived::Pong) => {}
                None => fill(&self.stream, &mut self.reader)?,
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn write(&mut self, message: &[u8]) {
        let mut frames = Vec::new();
        self.writer.message(ws::Opcode::Binary, message, 3_000, &mut frames);
        self.raw(&frames);
    }
}

fn fill(mut stream: &TcpStream, reader: &mut ws::Reader) -> Option<()> {
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    reader.feed(bytes.get(..count)?);
    Some(())
}

fn packet(operation: Operation, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    write_packet(&mut packet, BodyForm::Plain, operation, body);
    packet
}

fn plan_over(address: SocketAddr) -> Plan {
    let mut plan = plan(&[address]);
    for server in &mut plan.servers {
        server.upgrade = Some(Upgrade { target: "/sub".to_owned(), headers: Vec::new() });
    }
    plan
}

#[test]
fn a_room_is_joined_over_a_websocket() {
    let address = serve(|_, peer| {
        let (mut peer, target) = WebPeer::open(peer);
        let joined = peer.read().unwrap();
        assert!(joined.ends_with(b"}"), "the join is the first message");
        peer.write(&packet(Operation::JoinReply, ACCEPTED));
        let large = vec![b'y'; 50_000];
        let mut two = packet(Operation::Message, target.as_bytes());
        two.extend_from_slice(&packet(Operation::Message, &large));
        peer.write(&two);
        while peer.read().is_some() {
            // The heartbeat's body is echoed behind the packet, where nobody looks.
            let mut answer = packet(Operation::HeartbeatReply, b"\0\0\x09\xa2");
            answer.extend_from_slice(b"[object Object]");
            peer.write(&answer);
        }
    });
    let mut bench = Bench::following(plan_over(address), &["7"]);
    bench.until("snapshot 7 {\"code\":0}");
    bench.until("delta 7 /sub");
    bench.until("delta 7 yyy");
    bench.until("delta 7 \\x00\\x00\\t\\xa2");
    assert_eq!((bench.count("interrupted"), bench.rooms.errors()), (0, 0));
    bench.rooms.close();
}

#[test]
fn a_websocket_that_is_closed_or_never_opened_says_why() {
    let address = serve(|number, mut peer| {
        if number == 0 {
            let _ = peer.stream.read(&mut [0; 4096]);
            return peer.raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
        let (mut peer, _) = WebPeer::open(peer);
        peer.read();
        peer.write(&packet(Operation::JoinReply, ACCEPTED));
        let mut frames = Vec::new();
        peer.writer.close(ws::CloseCode(1001), "for the night", &mut frames);
        peer.raw(&frames);
        while peer.read().is_some() {}
    });
    let mut bench = Bench::following(plan_over(address), &["7"]);
    assert!(bench.until("interrupted 7 ").contains("503"));
    bench.until("snapshot 7 ");
    let deadline = Instant::now() + PATIENCE;
    while !bench.seen.iter().any(|seen| seen.contains("for the night")) {
        assert!(Instant::now() < deadline, "{:?}", bench.seen);
        bench.turn();
    }
}
