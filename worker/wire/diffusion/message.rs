//! One message, as a view of the bytes it came in.
//!
//! Nothing is parsed before it is asked for, but the end of the headers. A header that the type calls for and that
//! is not there is `None`, never an error: whether that hurts is for the caller to say.

use super::records::Split;
use super::{ALIAS_MARK, Encoding, FD, MessageType, Part, RD, SELECTOR_SEPARATOR};
use memchr::memchr;

/// A message; its texts are borrowed from the buffer it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: MessageType,
    pub part: Part,
    pub encoding: Encoding,
    pub headers: Headers<'a>,
    pub body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// By its name; a load may give it an alias at the same time.
    Named {
        name: &'a [u8],
        /// The alias without its mark, if one is given.
        alias: Option<&'a [u8]>,
    },
    /// By an alias that was given before; without its mark.
    Alias(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping<'a> {
    /// Milliseconds by the asking side's clock, as text; echoed unchanged.
    pub timestamp: &'a [u8],
    /// Messages queued for this client: only in a ping of the server, and only if it is a number.
    pub queue: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicStatus<'a> {
    Removed,
    /// A status that the protocol does not name.
    Other(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The message in `content`, which is what stands after the type and encoding bytes.
    pub fn new(type_byte: u8, encoding_byte: u8, content: &'a [u8]) -> Message<'a> {
        Message::split(type_byte, encoding_byte, content, HeaderEnds::of(content).all)
    }

    /// As [`Message::new`], where the length of the headers is known.
    #[inline]
    pub(super) fn split(type_byte: u8, encoding_byte: u8, content: &'a [u8], headers: usize) -> Message<'a> {
        let (kind, part) = MessageType::from_type_byte(type_byte);
        let (head, tail) = content.split_at_checked(headers).unwrap_or((content, &[]));
        Message {
            kind,
            part,
            encoding: Encoding::from_byte(encoding_byte),
            headers: Headers(head),
            body: tail.get(1..).unwrap_or_default(),
        }
    }

    #[inline]
    pub fn topic(&self) -> Option<TopicRef<'a>> {
        if !self.kind.has_topic() {
            return None;
        }
        self.headers.iter().next().map(TopicRef::parse)
    }

    /// The selectors of a subscribe, unsubscribe or fetch, as they stand.
    pub fn selector(&self) -> Option<&'a [u8]> {
        let has = matches!(self.kind, MessageType::Subscribe | MessageType::Unsubscribe | MessageType::Fetch);
        self.headers.get(0).filter(|_| has)
    }

    /// The selectors of a subscribe, unsubscribe or fetch, one by one; empty ones are left out.
    pub fn selectors(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let text = self.selector().unwrap_or_default();
        text.split(|byte| *byte == SELECTOR_SEPARATOR).filter(|selector| !selector.is_empty())
    }

    /// The ack id: the one that is wanted, or the one that is given.
    #[inline]
    pub fn ack_id(&self) -> Option<&'a [u8]> {
        if matches!(self.kind, MessageType::TopicLoadAck | MessageType::DeltaAck) {
            return self.headers.get(1);
        }
        self.headers.get(0).filter(|_| self.kind == MessageType::Ack)
    }

    /// The headers of a ping of either direction.
    pub fn ping(&self) -> Option<Ping<'a>> {
        if !matches!(self.kind, MessageType::PingServer | MessageType::PingClient) {
            return None;
        }
        let mut fields = self.headers.iter();
        let timestamp = fields.next()?;
        let queue = fields.next().filter(|_| self.kind == MessageType::PingServer).and_then(decimal);
        Some(Ping { timestamp, queue })
    }

    pub fn status(&self) -> Option<TopicStatus<'a>> {
        if self.kind != MessageType::TopicStatus {
            return None;
        }
        self.headers.get(1).map(|status| match status {
            b"R" => TopicStatus::Removed,
            other => TopicStatus::Other(other),
        })
    }

    pub fn credentials(&self) -> Option<(&'a [u8], &'a [u8])> {
        if !matches!(self.kind, MessageType::Credentials | MessageType::CredentialsRejected) {
            return None;
        }
        Some((self.headers.get(0)?, self.headers.get(1).unwrap_or_default()))
    }

    pub fn correlation(&self) -> Option<&'a [u8]> {
        match self.part {
            Part::Fragment => self.headers.get(1),
            Part::Whole => self.headers.get(0).filter(|_| self.kind == MessageType::CancelFragments),
        }
    }
}

impl<'a> Headers<'a> {
    /// Headers that are already put together, separated by FD. Writing them fails if an RD is among them.
    pub const fn from_text(text: &'a [u8]) -> Headers<'a> {
        Headers(text)
    }

    pub const fn text(&self) -> &'a [u8] {
        self.0
    }

    /// One after the other; none if there is no byte.
    #[inline]
    pub fn iter(&self) -> Split<'a> {
        Split::none_if_empty(self.0, FD)
    }

    /// The header at `place`, from 0.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&'a [u8]> {
        self.iter().nth(place)
    }
}

impl<'a> TopicRef<'a> {
    pub const fn named(name: &'a [u8]) -> TopicRef<'a> {
        TopicRef::Named { name, alias: None }
    }

    /// Reads `name`, `name!alias` or `!alias`. A name cannot contain the mark, so the first one counts.
    #[inline]
    pub fn parse(text: &'a [u8]) -> TopicRef<'a> {
        if let Some((&ALIAS_MARK, alias)) = text.split_first() {
            return TopicRef::Alias(alias);
        }
        match memchr(ALIAS_MARK, text).and_then(|at| text.split_at_checked(at)) {
            Some((name, marked)) => TopicRef::Named { name, alias: marked.get(1..) },
            None => TopicRef::named(text),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderEnds {
    /// Bytes of the first header.
    pub(super) first: usize,
    /// Bytes of all headers, up to the first RD: everything if there is none.
    pub(super) all: usize,
}

impl HeaderEnds {
    /// Deltas by alias have all their headers within the first 8 bytes, so those are looked at as one word first.
    #[inline]
    pub(super) fn of(content: &[u8]) -> HeaderEnds {
        if let Some(word) = content.first_chunk::<8>().map(|word| u64::from_le_bytes(*word)) {
            let (all, field) = (first_equal(word, RD), first_equal(word, FD));
            if all < 8 {
                return HeaderEnds { first: all.min(field), all };
            }
        }
        let all = memchr(RD, content).unwrap_or(content.len());
        let first = content.get(..all).and_then(|headers| memchr(FD, headers)).unwrap_or(all);
        HeaderEnds { first, all }
    }
}

/// The place of the first byte of `word`, from its lowest, that equals `byte`; 8 if none does.
#[inline]
fn first_equal(word: u64, byte: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_where_equal = word ^ (ONES * u64::from(byte));
    // Bits above the first match may be wrong, the first is not.
    let marks = zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS;
    (marks.trailing_zeros() / 8) as usize
}

pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}
