//! Frames of anybody: messages stay within their limits, cuts change nothing, an error stays one.
//!
//! The first byte says who reads, whether compression was agreed upon and how, the second the size of the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::websocket::{
    Arrived, ClientRequest, Context, Deflate, Key, Limits, Offer, Reader, Role, ServerRequest, WebSocketError,
};

const LIMITS: Limits = Limits { frame: 4096, inflated: 100_000, ratio: 20 };

fuzz_target!(|input: &[u8]| {
    let Some((&[how, step], stream)) = input.split_first_chunk::<2>() else { return };
    let role = if how & 1 == 0 { Role::Client } else { Role::Server };
    let context = if how & 2 == 0 { Context::Kept } else { Context::Anew };
    let window = 8 + how / 32;
    let deflate = Deflate {
        server_context: context,
        client_context: context,
        server_window: window,
        client_window: window,
    };
    let deflate = (how & 4 == 0).then_some(deflate);
    let whole = read(role, deflate, stream, stream.len().max(1));
    assert_eq!(whole, read(role, deflate, stream, usize::from(step).max(1)));
    let key = Key::new([1; 16]);
    let request = ClientRequest { host: "h", target: "/", protocol: Some("p"), offer: Offer::Deflate, headers: &[] };
    if let Ok(Some((_, used))) = request.read_answer(&key, stream) {
        assert!(used <= stream.len());
    }
    if let Ok(Some((asked, used))) = ServerRequest::parse(stream) {
        assert!(used <= stream.len() && asked.target.starts_with('/'));
    }
});

fn read(
    role: Role,
    deflate: Option<Deflate>,
    stream: &[u8],
    step: usize,
) -> (Vec<(u8, Vec<u8>)>, Option<WebSocketError>) {
    let mut reader = Reader::new(role, LIMITS);
    reader.agreed(deflate);
    let mut seen = Vec::new();
    for piece in stream.chunks(step) {
        reader.feed(piece);
        loop {
            match reader.advance() {
                Ok(None) => break,
                Ok(Some(arrived)) => seen.push(owned(arrived, reader.payload())),
                Err(error) => {
                    assert_eq!(reader.advance().err().as_ref(), Some(&error));
                    return (seen, Some(error));
                }
            }
        }
        assert!(reader.capacity() <= 300_000, "{}", reader.capacity());
    }
    (seen, None)
}

fn owned(arrived: Arrived, bytes: &[u8]) -> (u8, Vec<u8>) {
    let kind = match arrived {
        Arrived::Text => 1,
        Arrived::Binary => 2,
        Arrived::Ping => 3,
        Arrived::Pong => 4,
        Arrived::Close(_) => 5,
    };
    assert!(bytes.len() <= LIMITS.inflated);
    assert!(kind != 1 || std::str::from_utf8(bytes).is_ok());
    (kind, bytes.to_vec())
}
