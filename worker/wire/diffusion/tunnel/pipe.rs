//! What both sides of a tunnel do: texts to DPT bytes, DPT messages to texts, pings, the end.

use super::TunnelError;
use crate::wire::diffusion::{FRAME_MIN, MD, MessageType};
use crate::wire::websocket::{Arrived, CloseCode, Deflate, Limits, Opcode, Reader, Role, Writer, printable};
use memchr::memchr;
use std::io::Read;

const HEAD: usize = FRAME_MIN as usize;
/// A ping is not answered while more than this waits to be sent: whoever reads nothing gets no answers (RFC 6455, 5.5.3 lets
/// pongs be left out).
const PONG_ROOM: usize = 64 * 1024;
/// What a buffer keeps when it is empty.
const USUAL: usize = 64 * 1024;

/// Whether messages that come have an encoding byte after their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncodingByte {
    There,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A text, or the handshake.
    Text,
    Nothing,
}

/// One end of a tunnel: what makes a client's of a pipe, or a server's.
pub trait End {
    /// Takes the next of what came and puts what it means into the pipe; nothing if that is not whole.
    fn step(&mut self, pipe: &mut Pipe) -> Result<Next, TunnelError>;

    /// Takes whole messages of what is to be sent, the handshake first; how many bytes.
    fn push(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize;
}

/// A WebSocket, seen as a byte stream.
#[derive(Debug)]
pub struct Tunnel<E> {
    pub(super) end: E,
    pub(super) pipe: Pipe,
}

impl<E: End> Tunnel<E> {
    /// Room for what the socket reads; empty while [`Tunnel::pull`] has more to give, for the text lies there.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.pipe.is_given() { self.pipe.reader.spare() } else { &mut [] }
    }

    /// `count` bytes were read into [`Tunnel::spare`].
    pub fn filled(&mut self, count: usize) {
        self.pipe.reader.filled(count);
        self.pipe.drained = false;
    }

    /// Whether [`Tunnel::pull`] has nothing to give before more is read.
    pub fn is_drained(&self) -> bool {
        self.pipe.drained
    }

    /// Fills `room` with DPT bytes, the handshake first, taking step after step while there is room; how many.
    ///
    /// # Errors
    /// [`TunnelError`], once all that came before is pulled, and again at each call. What the other side is to get is in
    /// [`Tunnel::output`].
    pub fn pull(&mut self, room: &mut [u8]) -> Result<usize, TunnelError> {
        let Tunnel { end, pipe } = self;
        let mut filled = 0;
        loop {
            filled += pipe.give(room.get_mut(filled..).unwrap_or_default());
            if !pipe.is_given() {
                return Ok(filled);
            }
            let stepped = match &pipe.fault {
                Some(fault) => Err(fault.clone()),
                None => end.step(pipe),
            };
            match stepped {
                Ok(Next::Text) => {}
                Ok(Next::Nothing) => {
                    pipe.drained = true;
                    return Ok(filled);
                }
                Err(error) => {
                    let error = pipe.fail(error);
                    pipe.drained = filled == 0;
                    return if filled == 0 { Err(error) } else { Ok(filled) };
                }
            }
        }
    }

    /// Takes the handshake, then whole messages; how many bytes.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.end.push(bytes, &mut self.pipe)
    }

    /// What the socket is to write.
    pub fn output(&self) -> &[u8] {
        self.pipe.out.get(self.pipe.sent..).unwrap_or_default()
    }

    /// The first `count` bytes of [`Tunnel::output`] were written.
    pub fn output_sent(&mut self, count: usize) {
        let Pipe { out, sent, .. } = &mut self.pipe;
        *sent = sent.saturating_add(count).min(out.len());
        if *sent == out.len() {
            out.clear();
            out.shrink_to(USUAL);
            *sent = 0;
        } else if *sent >= USUAL {
            out.drain(..*sent);
            *sent = 0;
        }
    }
}

/// Two directions of a WebSocket.
#[derive(Debug)]
pub struct Pipe {
    role: Role,
    compress_from: usize,
    pub(super) reader: Reader,
    writer: Writer,
    /// What the socket is to write; the opening handshake is appended as it is.
    pub(super) out: Vec<u8>,
    sent: usize,
    /// DPT bytes to be given before anything else: the handshake, then one message after the other.
    pub(super) staged: Vec<u8>,
    staged_given: usize,
    /// Where in the text the next message begins; none once all are given.
    rest: Option<usize>,
    pub(super) encoding_byte: EncodingByte,
    fault: Option<TunnelError>,
    drained: bool,
}

impl Pipe {
    pub(super) fn new(role: Role, limits: Limits, compress_from: usize) -> Pipe {
        Pipe {
            role,
            compress_from,
            reader: Reader::new(role, limits),
            writer: Writer::new(role, None, compress_from),
            out: Vec::new(),
            sent: 0,
            staged: Vec::new(),
            staged_given: 0,
            rest: None,
            encoding_byte: EncodingByte::Absent,
            fault: None,
            drained: true,
        }
    }

    pub(super) fn agreed(&mut self, deflate: Option<Deflate>) {
        self.reader.agreed(deflate);
        self.writer = Writer::new(self.role, deflate, self.compress_from);
    }

    fn is_given(&self) -> bool {
        self.rest.is_none() && self.staged_given == self.staged.len()
    }

    fn give(&mut self, room: &mut [u8]) -> usize {
        let mut filled = 0;
        loop {
            let mut waiting = self.staged.get(self.staged_given..).unwrap_or_default();
            // Reading from a slice does not fail.
            let count = waiting.read(room.get_mut(filled..).unwrap_or_default()).unwrap_or_default();
            filled += count;
            self.staged_given += count;
            if self.staged_given < self.staged.len() {
                return filled;
            }
            self.staged.clear();
            self.staged.shrink_to(USUAL);
            self.staged_given = 0;
            if !self.stage_message() {
                return filled;
            }
        }
    }

    /// Stages the next message of the text, if there is one; empty ones are no messages.
    fn stage_message(&mut self) -> bool {
        let text = self.reader.payload();
        while let Some(start) = self.rest.take() {
            let after = text.get(start..).unwrap_or_default();
            let length = memchr(MD, after).unwrap_or(after.len());
            let next = start + length + 1;
            self.rest = (next < text.len()).then_some(next);
            let (kind, encoding, content) = match (after.get(..length), self.encoding_byte) {
                (None | Some([]), _) => continue,
                (Some([kind, content @ ..]), EncodingByte::Absent) => (*kind, 0, content),
                (Some([kind, encoding, content @ ..]), EncodingByte::There) => (*kind, *encoding, content),
                (Some([kind]), EncodingByte::There) => (*kind, 0, &[][..]),
            };
            let claimed = u32::try_from(HEAD + content.len()).unwrap_or(u32::MAX);
            self.staged.extend_from_slice(&claimed.to_be_bytes());
            self.staged.extend_from_slice(&[kind, encoding]);
            self.staged.extend_from_slice(content);
            return true;
        }
        false
    }

    /// Steps over what came until there is a text; pings are answered on the way.
    pub(super) fn next_text(&mut self) -> Result<Next, TunnelError> {
        loop {
            let Some(arrived) = self.reader.advance()? else { return Ok(Next::Nothing) };
            match arrived {
                Arrived::Text => return Ok(Next::Text),
                Arrived::Binary => return Err(TunnelError::Binary),
                Arrived::Ping => self.pong(),
                Arrived::Pong => {}
                Arrived::Close(code) => {
                    let reason = printable(self.reader.payload(), usize::MAX);
                    return Err(TunnelError::Closed { code, reason });
                }
            }
        }
    }

    fn pong(&mut self) {
        if self.out.len() - self.sent <= PONG_ROOM {
            self.writer.pong(self.reader.payload(), &mut self.out);
        }
    }

    pub(super) fn ping(&mut self, payload: &[u8]) {
        self.writer.ping(payload, &mut self.out);
    }

    /// The messages of the text from `start` on are to be given.
    pub(super) fn give_text_from(&mut self, start: usize) {
        self.rest = Some(start);
    }

    /// The same error at each call from now on; the other side gets it once.
    pub(super) fn fail(&mut self, error: TunnelError) -> TunnelError {
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        match &error {
            // There is no WebSocket yet, or no more.
            TunnelError::Upgrade(_) => {}
            TunnelError::Closed { code, .. } => self.close(code.unwrap_or(CloseCode::NORMAL)),
            TunnelError::WebSocket(broken) => self.close(broken.close_code()),
            TunnelError::Binary => self.close(CloseCode::UNSUPPORTED),
            TunnelError::Handshake { .. } | TunnelError::Request(_) => self.close(CloseCode::PROTOCOL),
        }
        self.fault = Some(error.clone());
        self.drained = false;
        error
    }

    pub(super) fn close(&mut self, code: CloseCode) {
        self.writer.close(code, "", &mut self.out);
    }

    pub(super) fn send_text(&mut self, text: &[u8]) {
        self.writer.text(text, &mut self.out);
    }

    pub(super) fn send_text_in(&mut self, most: usize, text: &[u8]) {
        self.writer.message(Opcode::Text, text, most, &mut self.out);
    }
}

/// A DPT message as it stands in what is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) kind: u8,
    pub(super) encoding: u8,
    pub(super) content: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// The whole message that `bytes` begin with, and the rest.
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Outgoing<'a>, &'a [u8])> {
        let length = u32::from_be_bytes(*bytes.first_chunk()?);
        let (message, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        let ([_, _, _, _, kind, encoding], content) = message.split_first_chunk::<HEAD>()?;
        Some((Outgoing { kind: *kind, encoding: *encoding, content }, rest))
    }

    pub(super) fn is_ping(&self) -> bool {
        MessageType::from_type_byte(self.kind).0 == MessageType::PingServer
    }

    pub(super) fn ends_session(&self) -> bool {
        matches!(MessageType::from_type_byte(self.kind).0, MessageType::Close | MessageType::Abort)
    }
}
