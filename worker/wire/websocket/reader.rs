//! What a socket reads to messages.
//!
//! The socket reads straight into [`Reader::spare`]. A plain message in one frame stays where it was read; fragments and what
//! is inflated are put together in a second buffer. Both go back to a usual size once large messages have stopped.

use super::deflate::{Deflate, Inflater};
use super::frame::{FrameHead, HEAD_MAX, Opcode, apply_mask};
use super::{CloseCode, Limits, Role, WebSocketError};
use std::ops::Range;

/// How much memory a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    /// Bytes that [`Reader::spare`] offers at least.
    read: usize,
    /// What a buffer keeps when it is empty.
    usual: usize,
}

const LARGE: Sizes = Sizes { read: 16 * 1024, usual: 64 * 1024 };
const SMALL: Sizes = Sizes { read: 1024, usual: 4 * 1024 };

/// What arrived; its bytes are in [`Reader::payload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A text; it is UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// To be answered with a pong of the same payload.
    Ping,
    Pong,
    /// The last thing that comes; the payload is the reason.
    Close(Option<CloseCode>),
}

/// A message of which more must come.
#[derive(Clone, Copy, Debug)]
struct Begun {
    opcode: Opcode,
    compressed: bool,
}

/// Where the payload of the last event lies.
#[derive(Clone, Debug)]
enum Place {
    Read(Range<usize>),
    Message,
}

#[derive(Debug)]
pub struct Reader {
    role: Role,
    limits: Limits,
    sizes: Sizes,
    inflater: Option<Inflater>,
    /// As long as it may be read into; what is unread lies in `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    begun: Option<Begun>,
    message: Vec<u8>,
    place: Place,
    fault: Option<WebSocketError>,
}

impl Reader {
    /// A reader of `role`, nothing agreed upon yet.
    pub fn new(role: Role, limits: Limits) -> Reader {
        Reader::sized(role, limits, LARGE)
    }

    /// As [`Reader::new`], for one of hundreds of connections: it holds 4 KiB at rest, see [`Reader::rest`], and is best fed as much at
    /// a time.
    pub fn small(role: Role, limits: Limits) -> Reader {
        Reader::sized(role, limits, SMALL)
    }

    fn sized(role: Role, limits: Limits, sizes: Sizes) -> Reader {
        Reader {
            role,
            limits,
            sizes,
            inflater: None,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            begun: None,
            message: Vec::new(),
            place: Place::Read(0..0),
            fault: None,
        }
    }

    pub fn agreed(&mut self, deflate: Option<Deflate>) {
        self.inflater = deflate.map(|deflate| Inflater::new(&deflate, self.role, self.limits));
    }

    /// Room to read into, never empty. The payload of the last event is gone then.
    pub fn spare(&mut self) -> &mut [u8] {
        self.make_room();
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note that `count` bytes were read into [`Reader::spare`].
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Copies `bytes` in, for callers that have them elsewhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = self.spare();
            let count = spare.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            if let Some(room) = spare.get_mut(..count) {
                room.copy_from_slice(now);
            }
            self.filled(count);
            rest = later;
        }
    }

    /// What was read and is not taken; the opening handshake is read from here. After a fault it begins with the frame that has it.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// What came of a message of which more must come, inflated.
    pub fn held(&self) -> &[u8] {
        if self.begun.is_some() { &self.message } else { &[] }
    }

    /// Gives back what large messages took. The payload of the last event is gone then.
    pub fn rest(&mut self) {
        self.place = Place::Read(0..0);
        if self.begun.is_none() {
            self.message.clear();
            self.message.shrink_to(self.sizes.usual);
        }
        if self.start == self.end && self.bytes.len() > self.sizes.usual {
            (self.bytes, self.start, self.end) = (Vec::new(), 0, 0);
        }
    }

    /// Steps over `count` bytes that are no frame.
    pub fn skip(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Whether nothing is held: without what was agreed upon, a new reader would go on just the same.
    pub fn is_idle(&self) -> bool {
        self.start == self.end && self.begun.is_none() && self.fault.is_none() && self.inflater.is_none()
    }

    /// Bytes of memory held, without the inflater's window.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.message.capacity()
    }

    /// Steps over the next thing that arrived and says what it is; its bytes are in [`Reader::payload`].
    ///
    /// # Errors
    /// [`WebSocketError`], again at each call.
    pub fn advance(&mut self) -> Result<Option<Arrived>, WebSocketError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let found = self.find();
        if let Err(error) = &found {
            self.fault = Some(error.clone());
        }
        found
    }

    /// The bytes of what arrived last; good until the next [`Reader::advance`] or [`Reader::spare`].
    pub fn payload(&self) -> &[u8] {
        match &self.place {
            Place::Read(range) => self.bytes.get(range.clone()).unwrap_or_default(),
            Place::Message => &self.message,
        }
    }

    fn find(&mut self) -> Result<Option<Arrived>, WebSocketError> {
        if matches!(self.place, Place::Message) {
            self.message.clear();
            self.message.shrink_to(self.sizes.usual);
            self.place = Place::Read(0..0);
        }
        loop {
            let (start, held) = (self.start, self.message.len());
            let Some((head, payload)) = self.next_frame()? else { return Ok(None) };
            match self.frame(&head, payload) {
                Ok(None) => {}
                Ok(arrived) => return Ok(arrived),
                Err(error) => {
                    self.start = start;
                    self.message.truncate(held);
                    return Err(error);
                }
            }
        }
    }

    fn frame(&mut self, head: &FrameHead, payload: Range<usize>) -> Result<Option<Arrived>, WebSocketError> {
        let arrived = match head.opcode {
            Opcode::Ping => Arrived::Ping,
            Opcode::Pong => Arrived::Pong,
            Opcode::Close => return self.close(payload).map(Some),
            Opcode::Text | Opcode::Binary => return self.begin(head, payload),
            Opcode::Continuation => return self.go_on(head, payload),
        };
        self.place = Place::Read(payload);
        Ok(Some(arrived))
    }

    /// The next whole frame, unmasked; too long ones are refused by their head.
    fn next_frame(&mut self) -> Result<Option<(FrameHead, Range<usize>)>, WebSocketError> {
        let Some((head, size)) = FrameHead::parse(self.unread())? else { return Ok(None) };
        head.check_role(self.role)?;
        let too_long = WebSocketError::Frame { length: head.length, limit: self.limits.frame };
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        if length > self.limits.frame && !head.opcode.is_control() {
            return Err(too_long);
        }
        let from = self.start + size;
        let Some(to) = from.checked_add(length) else { return Err(too_long) };
        if to > self.end {
            return Ok(None);
        }
        if let (Some(mask), Some(masked)) = (head.mask, self.bytes.get_mut(from..to)) {
            apply_mask(masked, mask);
        }
        self.start = to;
        Ok(Some((head, from..to)))
    }

    fn begin(&mut self, head: &FrameHead, payload: Range<usize>) -> Result<Option<Arrived>, WebSocketError> {
        if self.begun.is_some() {
            return Err(WebSocketError::Interleaved);
        }
        if head.compressed && self.inflater.is_none() {
            return Err(WebSocketError::Reserved { byte: 0x40 });
        }
        let begun = Begun { opcode: head.opcode, compressed: head.compressed };
        if head.last && !head.compressed {
            self.place = Place::Read(payload);
            return self.whole(begun.opcode).map(Some);
        }
        self.begun = Some(begun);
        self.piece(begun, head, payload)
    }

    fn go_on(&mut self, head: &FrameHead, payload: Range<usize>) -> Result<Option<Arrived>, WebSocketError> {
        let begun = self.begun.ok_or(WebSocketError::Continuation)?;
        if head.compressed {
            return Err(WebSocketError::Reserved { byte: 0x40 });
        }
        self.piece(begun, head, payload)
    }

    fn piece(
        &mut self,
        begun: Begun,
        head: &FrameHead,
        payload: Range<usize>,
    ) -> Result<Option<Arrived>, WebSocketError> {
        let piece = self.bytes.get(payload).unwrap_or_default();
        match (&mut self.inflater, begun.compressed) {
            (Some(inflater), true) => {
                inflater.more(piece, &mut self.message)?;
                if head.last {
                    inflater.finish(&mut self.message)?;
                }
            }
            (Some(_) | None, _) => {
                if self.message.len() + piece.len() > self.limits.frame {
                    return Err(WebSocketError::Message { limit: self.limits.frame });
                }
                self.message.extend_from_slice(piece);
            }
        }
        if !head.last {
            return Ok(None);
        }
        self.place = Place::Message;
        let arrived = self.whole(begun.opcode)?;
        self.begun = None;
        Ok(Some(arrived))
    }

    fn whole(&self, opcode: Opcode) -> Result<Arrived, WebSocketError> {
        if opcode == Opcode::Binary {
            return Ok(Arrived::Binary);
        }
        match std::str::from_utf8(self.payload()) {
            Ok(_) => Ok(Arrived::Text),
            Err(_) => Err(WebSocketError::Utf8),
        }
    }

    fn close(&mut self, payload: Range<usize>) -> Result<Arrived, WebSocketError> {
        let bytes = self.bytes.get(payload.clone()).unwrap_or_default();
        let code = match bytes {
            [] => None,
            [_] => return Err(WebSocketError::CloseCode),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.may_travel() {
                    return Err(WebSocketError::CloseCode);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(WebSocketError::Utf8);
                }
                Some(code)
            }
        };
        self.place = Place::Read((payload.start + 2).min(payload.end)..payload.end);
        Ok(Arrived::Close(code))
    }

    fn make_room(&mut self) {
        let Sizes { read, usual } = self.sizes;
        let held = self.end - self.start;
        if self.bytes.len() - self.end >= read && self.bytes.len() <= usual {
            if held == 0 {
                (self.start, self.end) = (0, 0);
            }
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        if held + read <= usual {
            self.bytes.resize(usual, 0);
            self.bytes.shrink_to(usual);
        } else if self.bytes.len() - held < read {
            // A frame is read whole: no more than it can claim, and one read.
            let most = self.limits.frame.saturating_add(HEAD_MAX + read);
            let wanted = (2 * self.bytes.len()).min(most).max(held + read);
            self.bytes.reserve_exact(wanted - self.bytes.len());
            self.bytes.resize(wanted, 0);
        }
    }
}
