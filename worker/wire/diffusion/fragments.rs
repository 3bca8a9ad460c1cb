//! Puts messages together that come in pieces.
//!
//! A stream keeps its order, so the pieces of one message must come in theirs; other messages, and pieces of others,
//! may stand between. A piece that came before is skipped; one too far ahead shows that a piece is missing, and ends
//! its message. Bounds: how many messages are open, their pieces, their bytes together and, where pieces have a time,
//! their age; where there is no room the oldest goes. An abandoned message is counted once, by what made it so.
//! Callers: the session, and the dissector, which has no clock.

use super::{
    Encoding, FD, FragmentHead, FragmentIds, FragmentPart, HeadError, Headers, Message, MessageType, Part,
};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Messages that may be open at once.
pub const OPEN_MAX: usize = 16;
pub const PARTS_MAX: u32 = 10_000;
pub const AGE_MAX: Duration = Duration::from_secs(30);
/// What is made room for at once on a server's word, in bytes.
const TRUSTED: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentError {
    /// Its headers make no sense.
    Head(HeadError),
    /// It belongs to no open message: its first piece never came, or the message was given up.
    Stray,
    /// It was here before.
    Again {
        number: u32,
    },
    /// A piece before it is missing, so the message is given up.
    Missing {
        number: u32,
    },
    Beyond {
        total: u32,
    },
    /// It is of another type or encoding than the first, so the message is given up.
    Mixed,
    /// A message begins again; what was there of it is given up.
    Restarted,
    /// A message of more pieces than are taken.
    Parts {
        total: u32,
    },
    /// More bytes than are taken, in this message or in all open ones, so the message is given up.
    TooLong {
        limit: usize,
    },
    Crowded,
    Old,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FragmentError::Head(error) => error.fmt(f),
            FragmentError::Stray => f.write_str("a piece of a message whose first piece is not here"),
            FragmentError::Again { number } => write!(f, "piece {number} of a message came again"),
            FragmentError::Missing { number } => write!(f, "piece {number} of a message is missing"),
            FragmentError::Beyond { total } => write!(f, "a piece beyond the {total} of its message"),
            FragmentError::Mixed => f.write_str("the pieces of a message differ in type or encoding"),
            FragmentError::Restarted => f.write_str("a message in pieces begins again before its end"),
            FragmentError::Parts { total } => write!(f, "a message in {total} pieces, {PARTS_MAX} are taken"),
            FragmentError::TooLong { limit } => {
                write!(
                    f,
                    "messages in pieces of more than {limit} bytes; raise `inflated` in [limits] if that is right"
                )
            }
            FragmentError::Crowded => write!(f, "more than {OPEN_MAX} messages in pieces at once"),
            FragmentError::Old => write!(f, "a message in pieces was not complete after {AGE_MAX:?}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub kind: MessageType,
    pub encoding: Encoding,
    /// The topic's header, as the first piece has it.
    pub topic: Vec<u8>,
    pub ack: Option<Vec<u8>>,
    /// The headers that are the user's, as the first piece has them.
    pub user: Vec<u8>,
    pub body: Vec<u8>,
}

impl Default for Whole {
    fn default() -> Whole {
        Whole {
            kind: MessageType::Delta,
            encoding: Encoding::Plain,
            topic: Vec::new(),
            ack: None,
            user: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl Whole {
    /// The message as it would have come in one; its headers are put together in `headers`.
    pub fn message<'a>(&'a self, headers: &'a mut Vec<u8>) -> Message<'a> {
        headers.clear();
        headers.extend_from_slice(&self.topic);
        for more in self.ack.iter().chain(Some(&self.user).filter(|user| !user.is_empty())) {
            headers.push(FD);
            headers.extend_from_slice(more);
        }
        Message {
            kind: self.kind,
            part: Part::Whole,
            encoding: self.encoding,
            headers: Headers::from_text(headers),
            body: &self.body,
        }
    }
}

/// A message that is not complete, without what came of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub kind: MessageType,
    /// The topic's header, as the first piece has it.
    pub topic: Vec<u8>,
    pub correlation: Vec<u8>,
    pub have: u32,
    pub total: u32,
}

#[derive(Debug)]
struct Open<T> {
    whole: Whole,
    correlation: Vec<u8>,
    total: u32,
    have: u32,
    since: T,
}

/// The messages that are open, oldest first. `T` is when a piece came, by the caller's clock; `()` if it has none.
#[derive(Debug)]
pub struct Fragments<T> {
    open: VecDeque<Open<T>>,
    /// What the last call gave up.
    given_up: Vec<Unfinished>,
    bytes: usize,
    limit: usize,
}

impl<T> Fragments<T> {
    /// At most `limit` bytes of bodies, in all open messages together.
    pub const fn new(limit: usize) -> Fragments<T> {
        Fragments { open: VecDeque::new(), given_up: Vec::new(), bytes: 0, limit }
    }

    /// Takes a piece that came at `now`; gives the message whose last one it was.
    ///
    /// # Errors
    /// What was skipped or given up. The piece itself may be kept all the same.
    pub fn take(&mut self, message: &Message<'_>, now: T) -> Result<Option<Whole>, FragmentError> {
        self.given_up.clear();
        let head = FragmentHead::parse(message).map_err(FragmentError::Head)?;
        match head.part {
            FragmentPart::First { total, size } => self.first(&head, total, size, message, now),
            FragmentPart::Later { number } => self.later(head.ids, number, message),
        }
    }

    fn first(
        &mut self,
        head: &FragmentHead<'_>,
        total: u32,
        size: Option<u64>,
        message: &Message<'_>,
        now: T,
    ) -> Result<Option<Whole>, FragmentError> {
        // By the rule that a type's own headers come before all others, the ack id stands first.
        let (correlation, ack) = match head.ids {
            FragmentIds::Plain { correlation, ack } => (correlation, ack),
            FragmentIds::Pair(ack, correlation) => (correlation, Some(ack)),
        };
        let restarted = self.find(head.ids).map(|at| self.drop_at(at));
        if total > PARTS_MAX {
            return Err(FragmentError::Parts { total });
        }
        // The size is believed only where it refuses: whether it counts headers too is not known.
        let claimed = usize::try_from(size.unwrap_or_default()).unwrap_or(usize::MAX);
        if claimed > self.limit {
            return Err(FragmentError::TooLong { limit: self.limit });
        }
        let mut whole = Whole {
            kind: message.kind,
            encoding: message.encoding,
            topic: head.topic.to_vec(),
            ack: ack.map(<[u8]>::to_vec),
            user: head.user.to_vec(),
            body: Vec::with_capacity(claimed.min(TRUSTED).max(message.body.len())),
        };
        whole.body.extend_from_slice(message.body);
        if total == 1 {
            let too_long = whole.body.len() > self.limit;
            return if too_long {
                Err(FragmentError::TooLong { limit: self.limit })
            } else {
                Ok(Some(whole))
            };
        }
        let crowded = self.open.len() >= OPEN_MAX;
        if crowded {
            self.drop_at(0);
        }
        self.bytes += whole.body.len();
        self.open.push_back(Open { whole, correlation: correlation.to_vec(), total, have: 1, since: now });
        self.make_room()?;
        match restarted {
            _ if crowded => Err(FragmentError::Crowded),
            Some(()) => Err(FragmentError::Restarted),
            None => Ok(None),
        }
    }

    fn later(
        &mut self,
        ids: FragmentIds<'_>,
        number: u32,
        message: &Message<'_>,
    ) -> Result<Option<Whole>, FragmentError> {
        let at = self.find(ids).ok_or(FragmentError::Stray)?;
        let open = self.open.get_mut(at).ok_or(FragmentError::Stray)?;
        open.settle(ids);
        let expected = open.have + 1;
        let wrong = if number > open.total {
            Some(FragmentError::Beyond { total: open.total })
        } else if number > expected {
            Some(FragmentError::Missing { number: expected })
        } else if (message.kind, message.encoding) != (open.whole.kind, open.whole.encoding) {
            Some(FragmentError::Mixed)
        } else if number < expected {
            return Err(FragmentError::Again { number });
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.drop_at(at);
            return Err(wrong);
        }
        open.whole.body.extend_from_slice(message.body);
        open.have = number;
        self.bytes += message.body.len();
        if open.have < open.total {
            self.make_room()?;
            return Ok(None);
        }
        let too_long = self.bytes > self.limit;
        let whole = self.remove(at).map(|open| open.whole);
        if too_long { Err(FragmentError::TooLong { limit: self.limit }) } else { Ok(whole) }
    }

    /// The open message that `ids` mean.
    fn find(&self, ids: FragmentIds<'_>) -> Option<usize> {
        let find = |is: &dyn Fn(&Open<T>) -> bool| self.open.iter().position(is);
        match ids {
            FragmentIds::Plain { correlation, .. } => find(&|open| open.correlation == correlation)
                // Of a pair it was the other one after all.
                .or_else(|| find(&|open| open.whole.ack.as_deref() == Some(correlation))),
            FragmentIds::Pair(ack, correlation) => {
                find(&|open| open.correlation == correlation && open.whole.ack.as_deref() == Some(ack))
            }
        }
    }

    /// While there are too many bytes the oldest goes, be it the newest too.
    fn make_room(&mut self) -> Result<(), FragmentError> {
        if self.bytes <= self.limit {
            return Ok(());
        }
        while self.bytes > self.limit && !self.open.is_empty() {
            self.drop_at(0);
        }
        Err(FragmentError::TooLong { limit: self.limit })
    }

    fn drop_at(&mut self, at: usize) {
        if let Some(open) = self.remove(at) {
            self.given_up.push(open.unfinished());
        }
    }

    fn remove(&mut self, at: usize) -> Option<Open<T>> {
        let open = self.open.remove(at)?;
        self.bytes = self.bytes.saturating_sub(open.whole.body.len());
        Some(open)
    }

    pub fn cancel(&mut self, correlation: &[u8]) -> Option<()> {
        self.given_up.clear();
        self.find(FragmentIds::Plain { correlation, ack: None }).map(|at| self.drop_at(at))
    }

    /// What the last call gave up, oldest first.
    pub fn given_up(&self) -> &[Unfinished] {
        &self.given_up
    }

    /// Of how many pieces the open message with this id is to be.
    pub fn total(&self, ids: FragmentIds<'_>) -> Option<u32> {
        self.find(ids).and_then(|at| self.open.get(at)).map(|open| open.total)
    }

    /// Gives up all that is open, and reports it, oldest first.
    pub fn give_up_all(&mut self) -> &[Unfinished] {
        self.given_up.clear();
        while !self.open.is_empty() {
            self.drop_at(0);
        }
        &self.given_up
    }
}

impl Fragments<Instant> {
    /// Gives up what is too old; how many messages.
    pub fn expire(&mut self, now: Instant) -> u64 {
        self.given_up.clear();
        let mut gone = 0;
        while self.deadline().is_some_and(|deadline| now >= deadline) {
            self.drop_at(0);
            gone += 1;
        }
        gone
    }

    /// When the oldest is too old.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.front().and_then(|open| open.since.checked_add(AGE_MAX))
    }
}

impl<T> Open<T> {
    fn unfinished(self) -> Unfinished {
        let Open { whole, correlation, total, have, .. } = self;
        Unfinished { kind: whole.kind, topic: whole.topic, correlation, have, total }
    }

    /// A later piece names the correlation alone, and thereby says which of a pair was which.
    fn settle(&mut self, ids: FragmentIds<'_>) {
        let FragmentIds::Plain { correlation, .. } = ids else { return };
        if self.correlation != correlation
            && let Some(ack) = self.whole.ack.as_mut()
        {
            std::mem::swap(ack, &mut self.correlation);
        }
    }
}
