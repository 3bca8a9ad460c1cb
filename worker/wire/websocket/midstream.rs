//! Frames of a connection that is read from its middle on, without the handshake.
//!
//! Nothing says that these are frames, which side masks, or what a compressed message refers to. So a place is taken for the
//! beginning of a frame only when what follows it reads as several frames ([`beginning`]), and a compressed message that
//! refers to what was sent earlier is handed on as it is ([`MidstreamReader`]). Caller: the dissection of captures.

use super::deflate::{Deflate, Inflater};
use super::frame::{FrameHead, Opcode, apply_mask};
use super::{Limits, Role, WebSocketError};

/// The evidence that is enough where nothing else says that this is a WebSocket: a frame counts one, a readable text two.
const ENOUGH: usize = 4;
/// The same where the other direction has shown that it is one.
const ENOUGH_IF_KNOWN: usize = 2;
/// From this length on it is no chance that a text is UTF-8.
const READABLE: usize = 8;

/// What bytes are that may begin with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Beginning {
    /// Something else, or the middle of a frame.
    No,
    /// Frames as far as they go, but too few to be sure.
    Maybe,
    /// Frames to a reader of this role.
    Frames(Role),
}

/// What `bytes` begin with. `known`: whose reader they are for, if this is known to be a WebSocket.
pub(in crate::wire) fn beginning(bytes: &[u8], known: Option<Role>, longest: usize) -> Beginning {
    let (mut role, mut order, mut rest, mut evidence) = (None, Order::Unknown, bytes, 0);
    loop {
        let (head, size) = match FrameHead::parse(rest) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(_) => return Beginning::No,
        };
        let reader = *role.get_or_insert(reader_of(&head));
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        let Some(next) = order.after(&head) else { return Beginning::No };
        if reader != reader_of(&head) || length > longest {
            return Beginning::No;
        }
        let Some((payload, after)) = rest.get(size..).and_then(|rest| rest.split_at_checked(length)) else {
            break;
        };
        evidence += 1;
        if head.opcode == Opcode::Text && head.last && !head.compressed {
            if !is_text(payload, head.mask) {
                return Beginning::No;
            }
            evidence += usize::from(length >= READABLE);
        }
        (order, rest) = (next, after);
        if evidence >= ENOUGH {
            break;
        }
    }
    match role {
        Some(role) if evidence >= ENOUGH => Beginning::Frames(role),
        // One frame that fills a packet is enough, too.
        Some(role) if known == Some(role) && evidence > 0 => {
            if evidence >= ENOUGH_IF_KNOWN || rest.is_empty() {
                Beginning::Frames(role)
            } else {
                Beginning::Maybe
            }
        }
        Some(_) | None => Beginning::Maybe,
    }
}

fn reader_of(head: &FrameHead) -> Role {
    if head.mask.is_some() { Role::Server } else { Role::Client }
}

fn is_text(payload: &[u8], mask: Option<[u8; 4]>) -> bool {
    let Some(mask) = mask else { return std::str::from_utf8(payload).is_ok() };
    let mut unmasked = payload.to_vec();
    apply_mask(&mut unmasked, mask);
    std::str::from_utf8(&unmasked).is_ok()
}

/// Where in a message the frames are.
#[derive(Clone, Copy)]
enum Order {
    /// Perhaps in one that began earlier.
    Unknown,
    Between,
    Within,
}

impl Order {
    /// After a frame with this head, unless it cannot come here. Nobody sends an empty piece with more to come, but zeros
    /// read as that.
    fn after(self, head: &FrameHead) -> Option<Order> {
        let next = if head.last { Order::Between } else { Order::Within };
        let is_piece = head.last || head.length > 0;
        match (head.opcode, self) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => Some(self),
            (Opcode::Continuation, _) if head.compressed => None,
            (Opcode::Continuation, Order::Unknown) => head.last.then_some(next),
            (Opcode::Continuation, Order::Within) => is_piece.then_some(next),
            (Opcode::Text | Opcode::Binary, Order::Unknown | Order::Between) => is_piece.then_some(next),
            (Opcode::Continuation, Order::Between) | (Opcode::Text | Opcode::Binary, Order::Within) => None,
        }
    }
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Passed<'a> {
    /// A whole frame of nothing compressed, for a [`super::Reader`].
    Frame(&'a [u8]),
    /// A compressed text, inflated.
    Text(&'a [u8]),
    /// Compressed bytes, inflated.
    Binary(&'a [u8]),
    /// A compressed message that cannot be inflated, as it travelled.
    Compressed(&'a [u8]),
    /// The end of a message that began earlier.
    Rest(&'a [u8]),
}

/// The message that is being read.
#[derive(Clone, Copy)]
enum Begun {
    Nothing,
    Plain,
    Compressed(Opcode),
}

/// Splits frames into those that a [`super::Reader`] understands and compressed messages, of which it inflates those that
/// refer to nothing before the place where it joined.
pub(in crate::wire) struct MidstreamReader {
    role: Role,
    limits: Limits,
    deflate: Deflate,
    inflater: Inflater,
    bytes: Vec<u8>,
    start: usize,
    begun: Begun,
    /// What came of a compressed message.
    compressed: Vec<u8>,
    inflated: Vec<u8>,
}

impl MidstreamReader {
    /// `deflate`: what was agreed upon, if that is known; else what every sender keeps to.
    pub(in crate::wire) fn new(role: Role, limits: Limits, deflate: Option<Deflate>) -> MidstreamReader {
        let deflate = deflate.unwrap_or_default();
        MidstreamReader {
            role,
            limits,
            deflate,
            inflater: Inflater::new(&deflate, role, limits),
            bytes: Vec::new(),
            start: 0,
            begun: Begun::Nothing,
            compressed: Vec::new(),
            inflated: Vec::new(),
        }
    }

    pub(in crate::wire) fn role(&self) -> Role {
        self.role
    }

    pub(in crate::wire) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What is not taken: from a frame on that is not here as a whole, or that cannot come here.
    pub(in crate::wire) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What came of a compressed message of which more must come.
    pub(in crate::wire) fn held(&self) -> &[u8] {
        match self.begun {
            Begun::Compressed(_) => &self.compressed,
            Begun::Nothing | Begun::Plain => &[],
        }
    }

    /// The next that is here as a whole.
    ///
    /// # Errors
    /// [`WebSocketError`]: from here on it is not known where frames begin. Nothing is lost: see [`MidstreamReader::held`] and
    /// [`MidstreamReader::unread`].
    pub(in crate::wire) fn advance(&mut self) -> Result<Option<Passed<'_>>, WebSocketError> {
        loop {
            let Some((head, size)) = FrameHead::parse(self.unread())? else { return Ok(None) };
            head.check_role(self.role)?;
            let length = usize::try_from(head.length).unwrap_or(usize::MAX);
            if length > self.limits.frame {
                return Err(WebSocketError::Frame { length: head.length, limit: self.limits.frame });
            }
            let (start, from) = (self.start, self.start + size);
            let to = from + length;
            if to > self.bytes.len() {
                return Ok(None);
            }
            let opcode = match (head.opcode, self.begun) {
                (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {
                    self.start = to;
                    return Ok(self.bytes.get(start..to).map(Passed::Frame));
                }
                (Opcode::Continuation, Begun::Nothing) => {
                    self.start = to;
                    self.unmask(from, to, &head);
                    return Ok(self.bytes.get(from..to).map(Passed::Rest));
                }
                (Opcode::Text | Opcode::Binary, Begun::Nothing) if head.compressed => {
                    self.compressed.clear();
                    head.opcode
                }
                (Opcode::Text | Opcode::Binary, Begun::Nothing) | (Opcode::Continuation, Begun::Plain) => {
                    self.start = to;
                    self.begun = if head.last { Begun::Nothing } else { Begun::Plain };
                    return Ok(self.bytes.get(start..to).map(Passed::Frame));
                }
                (Opcode::Continuation, Begun::Compressed(opcode)) => opcode,
                (Opcode::Text | Opcode::Binary, Begun::Plain | Begun::Compressed(_)) => {
                    return Err(WebSocketError::Interleaved);
                }
            };
            if self.compressed.len() + length > self.limits.frame {
                return Err(WebSocketError::Message { limit: self.limits.frame });
            }
            self.start = to;
            self.unmask(from, to, &head);
            self.compressed.extend_from_slice(self.bytes.get(from..to).unwrap_or_default());
            if head.last {
                self.begun = Begun::Nothing;
                return Ok(Some(self.inflate(opcode)));
            }
            self.begun = Begun::Compressed(opcode);
        }
    }

    fn unmask(&mut self, from: usize, to: usize, head: &FrameHead) {
        if let (Some(mask), Some(masked)) = (head.mask, self.bytes.get_mut(from..to)) {
            apply_mask(masked, mask);
        }
    }

    /// The compressed message. What refers to bytes that were not seen fails, and with it what the next ones may refer to.
    fn inflate(&mut self, opcode: Opcode) -> Passed<'_> {
        self.inflated.clear();
        let inflated = self.inflater.more(&self.compressed, &mut self.inflated);
        let inflated = inflated.and_then(|()| self.inflater.finish(&mut self.inflated));
        if inflated.is_err() {
            self.inflater = Inflater::new(&self.deflate, self.role, self.limits);
            return Passed::Compressed(&self.compressed);
        }
        match opcode {
            Opcode::Text if std::str::from_utf8(&self.inflated).is_ok() => Passed::Text(&self.inflated),
            Opcode::Text => Passed::Compressed(&self.compressed),
            Opcode::Binary | Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => {
                Passed::Binary(&self.inflated)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;

    const LONGEST: usize = 1 << 16;

    fn frames(role: Role, texts: &[&str]) -> Vec<u8> {
        let (mut writer, mut out) = (Writer::new(role, None, 0), Vec::new());
        texts.iter().for_each(|text| writer.text(text.as_bytes(), &mut out));
        out
    }

    #[test]
    fn several_frames_are_a_beginning_and_the_mask_says_whose() {
        let texts = ["\x15!1\x01some text", "\x15!2\x01some text"];
        for (sender, reader) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let bytes = frames(sender, &texts);
            let one = bytes.len() / 2;
            for end in 0..=one + 1 {
                assert_eq!(beginning(&bytes[..end], None, LONGEST), Beginning::Maybe, "{end}");
            }
            assert_eq!(beginning(&bytes, None, LONGEST), Beginning::Frames(reader));
            // One is enough where the other direction is known, for the reader that is left.
            assert_eq!(beginning(&bytes[..one], Some(reader), LONGEST), Beginning::Frames(reader));
            assert_eq!(beginning(&bytes[..one - 1], Some(reader), LONGEST), Beginning::Maybe);
            let other = if reader == Role::Server { Role::Client } else { Role::Server };
            assert_eq!(beginning(&bytes[..one], Some(other), LONGEST), Beginning::Maybe);
            assert_eq!(beginning(&bytes[1..], None, LONGEST), Beginning::No);
        }
        let mixed = [frames(Role::Client, &["a"]), frames(Role::Server, &["a"])].concat();
        assert_eq!(beginning(&mixed, None, LONGEST), Beginning::No);
    }

    #[test]
    fn what_only_looks_like_frames_is_none() {
        for bytes in [
            &[0; 64][..],
            &[0xff; 64],
            // Reserved bits, an opcode without a meaning, a long ping, a length that could be shorter.
            &[0xb1, 0],
            &[0x83, 0],
            &[0x89, 0x7e, 0, 200],
            &[0x82, 0x7e, 0, 5],
            // A piece in the middle of nothing; text that is none; a message within another.
            &[0x82, 0, 0x80, 0],
            &[0x81, 2, 0xff, 0xff],
            &[0x01, 1, b'a', 0x81, 0],
            // The middle of a text with its separators.
            b"\x01F|EV;ID=1;|",
        ] {
            let ended = beginning(bytes, None, LONGEST);
            assert!(ended == Beginning::No || bytes.starts_with(b"\x01F"), "{bytes:02x?}: {ended:?}");
            assert!(!matches!(ended, Beginning::Frames(_)), "{bytes:02x?}");
        }
        assert_eq!(beginning(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 1], None, LONGEST), Beginning::No);
    }

    #[test]
    fn compressed_messages_that_refer_to_what_was_not_seen_are_passed_as_they_are() {
        let mut writer = Writer::new(Role::Client, Some(Deflate::default()), 20);
        let first = "a text that the second one repeats, and repeats, and repeats";
        let noise: String = (0..300_u32).map(|n| char::from(b'A' + (n * n % 57) as u8)).collect();
        let mut lengths = vec![0];
        let mut out = Vec::new();
        for text in [first, first, "short", noise.as_str(), noise.as_str()] {
            writer.text(text.as_bytes(), &mut out);
            lengths.push(out.len());
        }
        let mut reader = MidstreamReader::new(Role::Server, Limits::default(), None);
        // The first one is not in the capture; the rest comes in pieces.
        let mut passed = Vec::new();
        for piece in out[lengths[1]..].chunks(7) {
            reader.feed(piece);
            while let Some(one) = reader.advance().unwrap() {
                passed.push(match one {
                    Passed::Frame(_) => "frame".to_owned(),
                    Passed::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                    Passed::Compressed(_) => "compressed".to_owned(),
                    Passed::Binary(_) | Passed::Rest(_) => "other".to_owned(),
                });
            }
        }
        assert_eq!(passed, ["compressed", "frame", noise.as_str(), noise.as_str()]);
        assert_eq!((reader.role(), reader.unread()), (Role::Server, &[][..]));
    }

    #[test]
    fn a_fault_takes_nothing() {
        let limits = Limits { frame: 4, ..Limits::default() };
        for (broken, fault) in [
            (&b"\x81\x02hi\x89\x00"[..], WebSocketError::Interleaved),
            (b"\x80\x02de\x89\x00", WebSocketError::Message { limit: 4 }),
            (b"\x83\x00", WebSocketError::Opcode { bits: 3 }),
        ] {
            let mut reader = MidstreamReader::new(Role::Client, limits, None);
            reader.feed(b"\x41\x03abc");
            assert_eq!(reader.advance(), Ok(None));
            reader.feed(broken);
            assert_eq!(reader.advance(), Err(fault));
            assert_eq!((reader.held(), reader.unread()), (&b"abc"[..], broken));
        }
    }

    #[test]
    fn the_end_of_a_message_that_began_earlier_is_passed_as_that() {
        let mut reader = MidstreamReader::new(Role::Client, Limits::default(), None);
        reader.feed(b"\x80\x03end\x81\x04text\x01\x01a\x89\x00\x80\x01b\x83");
        assert_eq!(reader.advance(), Ok(Some(Passed::Rest(b"end"))));
        for frame in [&b"\x81\x04text"[..], b"\x01\x01a", b"\x89\x00", b"\x80\x01b"] {
            assert_eq!(reader.advance(), Ok(Some(Passed::Frame(frame))));
        }
        reader.feed(b"\x00");
        assert_eq!(reader.advance(), Err(WebSocketError::Opcode { bits: 3 }));
    }
}
