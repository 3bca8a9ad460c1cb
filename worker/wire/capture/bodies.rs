//! Bodies decoded, within the same bounds as a session's. Callers: `text`.

use super::entry::{Body, Undecoded};
use crate::wire::diffusion::{BodyDecoder, Message, Part};

/// The longest body after decoding or putting together, bytes; also all pieces that wait in one direction.
pub const BODY_MAX: usize = 16_000_000;
/// How many times its own length a body may become when it is decoded.
pub const RATIO_MAX: usize = 200;

/// Decodes the bodies of all conversations, one after the other.
pub(super) struct Bodies {
    decoder: BodyDecoder,
    decoded: Vec<u8>,
}

impl Default for Bodies {
    fn default() -> Self {
        Bodies { decoder: BodyDecoder::new(BODY_MAX, RATIO_MAX), decoded: Vec::new() }
    }
}

impl Bodies {
    /// The body of a message; good until the next one.
    pub(super) fn read<'a>(&'a mut self, message: &Message<'a>) -> Body<'a> {
        if message.encoding.is_plain() {
            return Body::Plain(message.body);
        }
        // What was encoded was the whole of it.
        if message.part == Part::Fragment {
            return Body::Encoded(message.body, Undecoded::Piece);
        }
        self.decoded.clear();
        match self.decoder.decode(message.encoding, message.body, &mut self.decoded) {
            Ok(()) => Body::Decoded(&self.decoded),
            Err(error) => Body::Encoded(message.body, Undecoded::Fault(error)),
        }
    }
}
