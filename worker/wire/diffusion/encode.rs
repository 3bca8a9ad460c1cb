//! Messages to bytes, appended to the caller's buffer, without anything in between.
//!
//! A header that contains a separator would change the message's meaning on the other side, so it is refused, and
//! the buffer is then as it was. [`FrameWriter`] writes any type; the functions are the ones that are needed often.

use super::{ALIAS_MARK, Encoding, FD, FRAME_MIN, Message, MessageType, Part, RD, TopicRef};
use memchr::{memchr, memchr2};
use std::fmt;

/// Why a message was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    Header {
        kind: MessageType,
        text: Vec<u8>,
    },
    /// A topic's name or its alias contains the mark of aliases.
    Topic {
        text: Vec<u8>,
    },
    /// The message is longer than a length can say.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Header { kind, text } => {
                write!(
                    f,
                    "a {kind} cannot have the header '{}': it contains a separator",
                    text.escape_ascii()
                )
            }
            EncodeError::Topic { text } => {
                write!(f, "'{}' cannot be a topic or alias: it contains '!'", text.escape_ascii())
            }
            EncodeError::TooLong { length } => {
                write!(f, "a message of {length} bytes is too long for a frame")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// Writes one message: headers in order, then the body, which ends it. Dropped before that, it leaves no trace.
#[must_use = "a message is complete only after its body"]
#[derive(Debug)]
pub struct FrameWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    kind: MessageType,
    headers: u32,
    fault: Option<EncodeError>,
    done: bool,
}

impl<'o> FrameWriter<'o> {
    /// Begins a whole, plain message on a byte stream.
    #[inline]
    pub fn dpt(out: &'o mut Vec<u8>, kind: MessageType) -> FrameWriter<'o> {
        FrameWriter::dpt_with(out, kind, Part::Whole, Encoding::Plain)
    }

    /// Begins a message on a byte stream. The body is taken as it is given: `encoding` says what was done to it.
    #[inline]
    pub fn dpt_with(
        out: &'o mut Vec<u8>,
        kind: MessageType,
        part: Part,
        encoding: Encoding,
    ) -> FrameWriter<'o> {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, kind.type_byte(part), encoding.byte()]);
        FrameWriter { out, start, kind, headers: 0, fault: None, done: false }
    }

    #[inline]
    pub fn header(mut self, text: &[u8]) -> FrameWriter<'o> {
        self.separate();
        self.push_field(text);
        self
    }

    #[inline]
    pub fn topic(mut self, topic: TopicRef<'_>) -> FrameWriter<'o> {
        self.separate();
        match topic {
            TopicRef::Named { name, alias } => {
                self.push_unmarked(name);
                if let Some(alias) = alias {
                    self.push_alias(alias);
                }
            }
            TopicRef::Alias(alias) => self.push_alias(alias),
        }
        self
    }

    /// Ends the message with `body`.
    ///
    /// # Errors
    /// [`EncodeError`]; the buffer is then as it was.
    #[inline]
    pub fn body(mut self, body: &[u8]) -> Result<(), EncodeError> {
        if !self.kind.is_bare() || self.out.len() > self.start + FRAME_MIN as usize || !body.is_empty() {
            self.out.push(RD);
            self.out.extend_from_slice(body);
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let length = self.out.len().saturating_sub(self.start);
        let claimed = u32::try_from(length).map_err(|_| EncodeError::TooLong { length })?;
        if let Some(place) = self.out.get_mut(self.start..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *place = claimed.to_be_bytes();
        }
        self.done = true;
        Ok(())
    }

    /// Ends the message without a body.
    #[inline]
    pub fn end(self) -> Result<(), EncodeError> {
        self.body(&[])
    }

    #[inline]
    fn separate(&mut self) {
        if self.headers > 0 {
            self.out.push(FD);
        }
        self.headers += 1;
    }

    #[inline]
    fn push_field(&mut self, text: &[u8]) {
        if memchr2(RD, FD, text).is_some() {
            self.fault = Some(EncodeError::Header { kind: self.kind, text: text.to_vec() });
        }
        self.out.extend_from_slice(text);
    }

    #[inline]
    fn push_unmarked(&mut self, text: &[u8]) {
        if memchr(ALIAS_MARK, text).is_some() {
            self.fault = Some(EncodeError::Topic { text: text.to_vec() });
        }
        self.push_field(text);
    }

    #[inline]
    fn push_alias(&mut self, alias: &[u8]) {
        self.out.push(ALIAS_MARK);
        self.push_field(alias);
    }
}

impl Drop for FrameWriter<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.out.truncate(self.start);
        }
    }
}

/// Any message, as a view has it.
///
/// # Errors
/// [`EncodeError`], never for a message that was read.
pub fn message(out: &mut Vec<u8>, message: &Message<'_>) -> Result<(), EncodeError> {
    let writer = FrameWriter::dpt_with(out, message.kind, message.part, message.encoding);
    message.headers.iter().fold(writer, FrameWriter::header).body(message.body)
}

/// A topic's value; `topic` may give an alias.
#[inline]
pub fn load(out: &mut Vec<u8>, topic: TopicRef<'_>, body: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::TopicLoad).topic(topic).body(body)
}

/// A change of a topic.
#[inline]
pub fn delta(out: &mut Vec<u8>, topic: TopicRef<'_>, body: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::Delta).topic(topic).body(body)
}

/// The acknowledgement of `ack_id`.
pub fn ack(out: &mut Vec<u8>, ack_id: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::Ack).header(ack_id).end()
}

/// Subscribes to `selectors`: one, or several with commas between.
pub fn subscribe(out: &mut Vec<u8>, selectors: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::Subscribe).header(selectors).end()
}

/// Takes back the subscription to `selectors`.
pub fn unsubscribe(out: &mut Vec<u8>, selectors: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::Unsubscribe).header(selectors).end()
}

/// The client's ping (`queue` 0), or the server's answer with the depth of its queue.
pub fn ping_server(out: &mut Vec<u8>, timestamp: &[u8], queue: u64) -> Result<(), EncodeError> {
    let queue = queue.to_string();
    FrameWriter::dpt(out, MessageType::PingServer).header(timestamp).header(queue.as_bytes()).end()
}

/// The server's ping, or the client's echo of it.
pub fn ping_client(out: &mut Vec<u8>, timestamp: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::PingClient).header(timestamp).end()
}

/// What became of a topic: `R` is 'removed'.
pub fn topic_status(out: &mut Vec<u8>, topic: TopicRef<'_>, status: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::TopicStatus).topic(topic).header(status).end()
}

/// The server refuses a login in the session.
pub fn credentials_rejected(out: &mut Vec<u8>, username: &[u8], password: &[u8]) -> Result<(), EncodeError> {
    FrameWriter::dpt(out, MessageType::CredentialsRejected).header(username).header(password).end()
}

pub fn close(out: &mut Vec<u8>) {
    // A bare message without content is always written.
    let _ = FrameWriter::dpt(out, MessageType::Close).end();
}

/// The server's end of the session.
pub fn abort(out: &mut Vec<u8>) {
    let _ = FrameWriter::dpt(out, MessageType::Abort).end();
}
