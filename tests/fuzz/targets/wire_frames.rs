//! Frames of any bytes, in pieces of any size: read, questioned, written again.
//!
//! The first byte is the size of the pieces, the rest the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::diffusion::{
    FrameBuffer, Message, MessageType, RD, READ, fields, message, records,
};

const LIMIT: u32 = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let mut whole = Vec::new();
    let mut pieces = Vec::new();
    let whole_end = read(stream, stream.len().max(1), &mut whole);
    let pieces_end = read(stream, usize::from(*step).max(1), &mut pieces);
    assert_eq!(whole, pieces, "the size of the pieces must not matter");
    assert_eq!(whole_end, pieces_end);
    // What was written can be read again and is then the same.
    let mut again = Vec::new();
    assert!(read(&whole, whole.len().max(1), &mut again).is_ok());
    assert_eq!(whole, again);
});

/// Writes each message of `stream` to `out` again; the error says how the stream ended, if badly.
fn read(stream: &[u8], step: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = FrameBuffer::new(LIMIT + 1);
    for piece in stream.chunks(step.min(READ)) {
        buffer.spare()[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        while let Some(read) = buffer.next_message().map_err(|error| error.to_string())? {
            question(&read);
            // A message without its separator is written with it, which may make it one byte too long to read again.
            if read.headers.text().len() + read.body.len() + 7 > LIMIT as usize {
                continue;
            }
            message(out, &read).expect("what was read can be written");
        }
        assert!(buffer.capacity() <= LIMIT as usize + 1 + 2 * READ);
    }
    Ok(())
}

fn question(read: &Message<'_>) {
    let _ = (read.topic(), read.selector(), read.ack_id(), read.ping(), read.status(), read.credentials());
    let _ = (read.correlation(), read.selectors().count());
    assert_eq!(records(read.body).collect::<Vec<_>>().join(&RD), read.body);
    for record in records(read.body) {
        assert!(fields(record).count() > 0);
    }
    if read.kind == MessageType::Subscribe {
        assert!(read.topic().is_none());
    }
}
