//! What a socket reads, or a WebSocket message holds, to single packets.
//!
//! What is unread lies in `bytes`, the bodies that are being unpacked lie in `inner`, each within the one before. Held are at most
//! what was pushed and not taken, one packet that is not whole, and `Limits::inflated`. Buffers go back to the thread's when empty.

use super::body::{self, Fault, Unpacked};
use super::head::Cut;
use super::{BodyForm, Limits, Operation, Packet, PacketError, RATIO_FROM};
use std::collections::VecDeque;
use std::ops::Range;

/// Of one connection, which brings either a stream or messages.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    bytes: Vec<u8>,
    at: usize,
    /// Where each message in `bytes` ends; none in a stream.
    ends: VecDeque<usize>,
    /// Whether the message at the front has brought a packet.
    brought: Brought,
    /// Unpacked bodies, the innermost last.
    inner: Vec<Unpacked>,
    /// Bytes to which the outer packet may still unpack.
    left: usize,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Nothing,
    Packets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Kept,
    Lost,
}

/// A packet that is whole, and where in the innermost buffer it begins.
struct Found {
    start: usize,
    cut: Cut,
}

type Step<T> = Result<T, PacketError>;

impl Decoder {
    pub fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            bytes: Vec::new(),
            at: 0,
            ends: VecDeque::new(),
            brought: Brought::Nothing,
            inner: Vec::new(),
            left: 0,
            framing: Framing::Kept,
        }
    }

    /// Takes what was read of a stream; nothing once the framing is lost.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.framing == Framing::Lost || bytes.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = body::read_buffer();
        }
        if self.at > 0 {
            self.bytes.drain(..self.at.min(self.bytes.len()));
            for end in &mut self.ends {
                *end = end.saturating_sub(self.at);
            }
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes one WebSocket message. What stands behind its last whole packet is dropped: a server echoes the heartbeat's body there.
    pub fn push_message(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.push(bytes);
            self.ends.push_back(self.bytes.len());
        }
    }

    /// Bytes that are held and not taken.
    pub fn buffered(&self) -> usize {
        let inner = self.inner.iter().map(|inner| inner.as_bytes().len().saturating_sub(inner.at));
        inner.fold(self.bytes.len().saturating_sub(self.at), usize::saturating_add)
    }

    /// The next packet, or what is wrong with it; `None` until more is pushed. A fatal error is the last thing that comes.
    #[allow(
        clippy::should_implement_trait,
        reason = "what it gives is lent by the decoder, so it is no iterator"
    )]
    pub fn next(&mut self) -> Option<Result<Packet<'_>, PacketError>> {
        Some(match self.advance()? {
            Ok((operation, body)) => {
                Ok(Packet { operation, body: self.innermost().get(body).unwrap_or_default() })
            }
            Err(error) => Err(error),
        })
    }

    /// Bytes that its lists and buffers take, used or not.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let inner = self.inner.capacity() * size_of::<Unpacked>();
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>() + inner
    }

    /// Steps to the next packet that holds no others; where its body lies in the innermost buffer.
    fn advance(&mut self) -> Option<Step<(Operation, Range<usize>)>> {
        loop {
            let found = match self.nested() {
                Some(found) => found,
                None => self.outer()?,
            };
            let opened = found.and_then(|found| self.open(&found));
            match opened {
                Ok(Some(packet)) => return Some(Ok(packet)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next packet of the unpacked bodies, which are left where they end.
    fn nested(&mut self) -> Option<Step<Found>> {
        loop {
            let inner = self.inner.last_mut()?;
            let rest = inner.as_bytes().get(inner.at..).unwrap_or_default();
            let cut = Cut::parse(rest, self.limits.inflated);
            let error = match cut {
                Ok(Some(cut)) => {
                    let start = inner.at;
                    inner.at += cut.total;
                    return Some(Ok(Found { start, cut }));
                }
                Ok(None) if rest.is_empty() => None,
                Ok(None) => Some(PacketError::Cut),
                Err(error) => Some(error),
            };
            self.inner.pop();
            if let Some(error) = error {
                return Some(Err(error));
            }
        }
    }

    /// The next packet of what was pushed.
    fn outer(&mut self) -> Option<Step<Found>> {
        loop {
            let message = self.ends.front().copied();
            let end = message.unwrap_or(self.bytes.len());
            let rest = self.bytes.get(self.at..end).unwrap_or_default();
            match (Cut::parse(rest, self.limits.packet), message) {
                (Ok(Some(cut)), _) => {
                    let start = self.at;
                    self.at += cut.total;
                    self.brought = Brought::Packets;
                    self.left = self.limits.inflated;
                    return Some(Ok(Found { start, cut }));
                }
                (Ok(None), None) => {
                    self.rest();
                    return None;
                }
                (Err(error), None) => return Some(Err(self.lose(error))),
                (cut, Some(end)) => {
                    self.at = end;
                    self.ends.pop_front();
                    if std::mem::replace(&mut self.brought, Brought::Nothing) == Brought::Nothing {
                        return Some(Err(cut.err().unwrap_or(PacketError::Cut)));
                    }
                }
            }
        }
    }

    /// Unpacks a packet's body, or gives its place if it is not compressed.
    fn open(&mut self, found: &Found) -> Step<Option<(Operation, Range<usize>)>> {
        let body = found.cut.body(found.start)?;
        let operation = Operation::from_wire(found.cut.operation);
        let form = BodyForm::from_wire(found.cut.form);
        match form.ok_or(PacketError::Form { form: found.cut.form })? {
            BodyForm::Plain | BodyForm::Control => Ok(Some((operation, body))),
            form @ (BodyForm::Zlib | BodyForm::Brotli) => self.unpack(form, body).map(|()| None),
        }
    }

    fn unpack(&mut self, form: BodyForm, body: Range<usize>) -> Step<()> {
        let Limits { inflated, ratio, depth, .. } = self.limits;
        if self.inner.len() >= usize::try_from(depth).unwrap_or(usize::MAX) {
            return Err(PacketError::Depth { limit: depth });
        }
        let input = self.innermost().get(body).unwrap_or_default();
        let by_ratio = input.len().saturating_mul(ratio).max(RATIO_FROM);
        let most = self.left.min(by_ratio);
        let fault = match Unpacked::new(form, input, most) {
            Ok(unpacked) => {
                self.left = self.left.saturating_sub(unpacked.as_bytes().len());
                self.inner.push(unpacked);
                return Ok(());
            }
            Err(fault) => fault,
        };
        // What fails counts as all that it might have been: it is the work that is bounded.
        self.left = self.left.saturating_sub(most);
        Err(match fault {
            Fault::Damaged => PacketError::Compression { form },
            Fault::TooMuch if most == by_ratio => PacketError::Ratio { limit: ratio },
            Fault::TooMuch => PacketError::Inflated { limit: inflated },
        })
    }

    fn innermost(&self) -> &[u8] {
        self.inner.last().map_or(&self.bytes, Unpacked::as_bytes)
    }

    /// Gives the buffer back if all in it is taken.
    fn rest(&mut self) {
        if self.at >= self.bytes.len() {
            self.at = 0;
            body::give_back(std::mem::take(&mut self.bytes));
        }
    }

    fn lose(&mut self, error: PacketError) -> PacketError {
        self.framing = Framing::Lost;
        self.at = self.bytes.len();
        self.rest();
        match error {
            PacketError::Length { length, limit } => PacketError::Framing { length, limit },
            PacketError::Framing { .. }
            | PacketError::Head { .. }
            | PacketError::Cut
            | PacketError::Form { .. }
            | PacketError::Compression { .. }
            | PacketError::Inflated { .. }
            | PacketError::Ratio { .. }
            | PacketError::Depth { .. } => error,
        }
    }
}
