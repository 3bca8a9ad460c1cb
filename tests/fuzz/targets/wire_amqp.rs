//! What a broker might send: frames stay within their limit, the size of the pieces changes nothing, what was written is read again.
//!
//! The first byte is the size of the pieces, the rest the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::amqp::{AmqpError, Frame, Frames, body, heartbeat};

const LIMIT: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let whole_end = read(stream, stream.len().max(1), &mut whole);
    let pieces_end = read(stream, usize::from(*step).max(1), &mut pieces);
    assert_eq!((&whole, &whole_end), (&pieces, &pieces_end), "the size of the pieces must not matter");
    // Of a method that is not known only its name is kept, of a property that nobody asks for nothing: so it is shorter at most.
    let mut again = Vec::new();
    assert!(read(&whole, whole.len().max(1), &mut again).is_ok());
    assert_eq!(whole, again);
});

/// Writes each frame of `stream` to `out` again; the error says how it ended, if badly.
fn read(stream: &[u8], step: usize, out: &mut Vec<u8>) -> Result<(), AmqpError> {
    let mut frames = Frames::new(LIMIT);
    for piece in stream.chunks(step) {
        frames.push(piece);
        while let Some(frame) = frames.next_frame()? {
            match frame {
                Frame::Method(channel, method) => method.write(channel, out),
                Frame::Header(channel, content) => content.write(channel, out),
                Frame::Body(channel, bytes) => {
                    assert!(bytes.len() <= LIMIT);
                    body(bytes, channel, LIMIT, out);
                }
                Frame::Heartbeat => heartbeat(out),
            }
        }
    }
    Ok(())
}
