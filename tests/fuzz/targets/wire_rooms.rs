//! Packets of a room from anybody: packets stay within their limits, the size of the pieces changes nothing, a fatal error is the last word.
//!
//! The first byte is the size of the pieces, the rest the stream; its pieces are messages, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::rooms::{Decoder, JoinAuth, Limits, Operation, PacketError, join_outcome};

const LIMITS: Limits = Limits { packet: 4096, inflated: 200_000, ratio: 100, depth: 3 };

type Seen = Vec<Result<(Operation, Vec<u8>), PacketError>>;

fuzz_target!(|input: &[u8]| {
    let Some((step, bytes)) = input.split_first() else { return };
    let step = usize::from(*step).max(1);
    let whole = stream(bytes, bytes.len().max(1));
    assert_eq!(whole, stream(bytes, step));
    let (mut decoder, mut seen) = (Decoder::new(LIMITS), Vec::new());
    for message in bytes.chunks(step) {
        decoder.push_message(message);
        drain(&mut decoder, &mut seen);
        assert_eq!(decoder.buffered(), 0);
    }
    assert!(seen.iter().flat_map(|seen| seen.as_ref().err()).all(|error| !error.is_fatal()));
    let _ = join_outcome(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = JoinAuth::parse(text);
    }
});

fn stream(bytes: &[u8], step: usize) -> Seen {
    let (mut decoder, mut seen) = (Decoder::new(LIMITS), Vec::new());
    for piece in bytes.chunks(step) {
        decoder.push(piece);
        drain(&mut decoder, &mut seen);
        assert!(decoder.buffered() < LIMITS.packet);
    }
    let fatal = seen.iter().position(|seen| seen.as_ref().is_err_and(PacketError::is_fatal));
    assert!(fatal.is_none_or(|at| at + 1 == seen.len()));
    seen
}

fn drain(decoder: &mut Decoder, seen: &mut Seen) {
    while let Some(next) = decoder.next() {
        let next = next.map(|packet| (packet.operation, packet.body.to_vec()));
        assert!(next.as_ref().map_or(true, |(_, body)| body.len() <= LIMITS.inflated));
        seen.push(next);
    }
}
