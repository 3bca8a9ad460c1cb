//! Messages in several pieces.
//!
//! Headers of a piece: `topic FD correlation FD part[/total] [FD size FD user headers]`, parts counted from 1; the
//! total, the size and the user headers stand in the first piece only. Where a load or delta wants an
//! acknowledgement, it is documented nowhere where its id stands: before or after the correlation, or behind the
//! size. What the pieces themselves hold is read here; the two orders that look alike are left to whoever collects
//! the pieces ([`FragmentIds::Pair`]). The encoding is that of the whole body, which is cut after it was encoded.

use super::message::{Message, decimal};
use super::{EncodeError, Encoding, FrameWriter, MessageType, Part, TopicRef};
use std::fmt;

/// The longest correlation or ack id that is kept, in bytes.
const ID_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHead<'a> {
    pub topic: &'a [u8],
    pub ids: FragmentIds<'a>,
    pub part: FragmentPart,
    /// The headers that are the user's, as they stand; only the first piece has them.
    pub user: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentIds<'a> {
    /// The correlation; the ack id, if one stands where it cannot be taken for the other.
    Plain {
        correlation: &'a [u8],
        ack: Option<&'a [u8]>,
    },
    Pair(&'a [u8], &'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentPart {
    First {
        /// How many there are: 1 or more.
        total: u32,
        /// Bytes of the whole body, if it is stated.
        size: Option<u64>,
    },
    /// A later one; 2 or more.
    Later { number: u32 },
}

/// Why the headers of a piece make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    Topic,
    /// There is no correlation or ack id, or it is too long.
    Id,
    /// The part is missing, no number, 0, or the first without its total.
    Part,
    /// A type that does not come in pieces.
    Kind(MessageType),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::Topic => f.write_str("a piece of a message names no topic"),
            HeadError::Id => f.write_str("a piece of a message has no usable id"),
            HeadError::Part => f.write_str("a piece of a message does not say which part it is"),
            HeadError::Kind(kind) => write!(f, "a piece of a {kind}, which comes in one"),
        }
    }
}

impl<'a> FragmentHead<'a> {
    /// What the headers of `message` say, which is a piece.
    pub fn parse(message: &Message<'a>) -> Result<FragmentHead<'a>, HeadError> {
        let wants_ack = matches!(message.kind, MessageType::TopicLoadAck | MessageType::DeltaAck);
        if !wants_ack && !matches!(message.kind, MessageType::TopicLoad | MessageType::Delta) {
            return Err(HeadError::Kind(message.kind));
        }
        let mut headers = message.headers.iter();
        let [topic, first, second, third, fourth] = std::array::from_fn(|_| headers.next());
        let topic = topic.filter(|topic| !topic.is_empty()).ok_or(HeadError::Topic)?;
        let here = second.and_then(part);
        let (ids, place, size, own) = match (here, third.and_then(part)) {
            // The size follows the part; behind it an ack id, where one is wanted.
            (Some(here @ FragmentPart::First { .. }), _) => {
                let ack = fourth.filter(|_| wants_ack);
                (
                    FragmentIds::Plain {
                        correlation: id(first)?,
                        ack: ack.map(|ack| id(Some(ack))).transpose()?,
                    },
                    here,
                    third,
                    4 + usize::from(ack.is_some()),
                )
            }
            (_, Some(there)) if wants_ack => (FragmentIds::Pair(id(first)?, id(second)?), there, fourth, 5),
            (Some(here), _) => (FragmentIds::Plain { correlation: id(first)?, ack: None }, here, None, 3),
            (None, _) => return Err(HeadError::Part),
        };
        let (part, user) = match place {
            FragmentPart::First { total, .. } => {
                (FragmentPart::First { total, size: size.and_then(decimal) }, behind(message, own))
            }
            later @ FragmentPart::Later { .. } => (later, &[][..]),
        };
        Ok(FragmentHead { topic, ids, part, user })
    }
}

/// The headers behind the first `own`, as they stand.
fn behind<'a>(message: &Message<'a>, own: usize) -> &'a [u8] {
    let mut headers = message.headers.iter();
    headers.by_ref().take(own).for_each(drop);
    headers.rest().unwrap_or_default()
}

fn id(text: Option<&[u8]>) -> Result<&[u8], HeadError> {
    text.filter(|id| !id.is_empty() && id.len() <= ID_MAX).ok_or(HeadError::Id)
}

/// `1/total`, or a number from 2.
fn part(text: &[u8]) -> Option<FragmentPart> {
    let number = |text: &[u8]| decimal(text).and_then(|number| u32::try_from(number).ok());
    match text.iter().position(|byte| *byte == b'/').and_then(|at| text.split_at_checked(at)) {
        Some((first, total)) => {
            let total = number(total.get(1..)?)?;
            (number(first)? == 1 && total >= 1).then_some(FragmentPart::First { total, size: None })
        }
        None => number(text).filter(|number| *number >= 2).map(|number| FragmentPart::Later { number }),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentOf<'a> {
    pub kind: MessageType,
    pub encoding: Encoding,
    pub topic: TopicRef<'a>,
    pub correlation: &'a [u8],
}

/// Writes a message in pieces of at most `piece` bytes of body (1 at least), and calls `wrote` after each.
///
/// # Errors
/// [`EncodeError`]; what was written before stays.
pub fn write_fragments(
    out: &mut Vec<u8>,
    of: &FragmentOf<'_>,
    body: &[u8],
    piece: usize,
    mut wrote: impl FnMut(&Vec<u8>),
) -> Result<(), EncodeError> {
    let piece = piece.max(1);
    let total = body.len().div_ceil(piece).max(1);
    let mut rest = body;
    for number in 1..=total {
        let (chunk, after) = rest.split_at_checked(piece).unwrap_or((rest, &[]));
        rest = after;
        let writer = FrameWriter::dpt_with(out, of.kind, Part::Fragment, of.encoding)
            .topic(of.topic)
            .header(of.correlation);
        let writer = if number == 1 {
            writer.header(format!("1/{total}").as_bytes()).header(body.len().to_string().as_bytes())
        } else {
            writer.header(number.to_string().as_bytes())
        };
        writer.body(chunk)?;
        wrote(out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: MessageType, headers: &str) -> Result<String, HeadError> {
        let content = format!("{}\u{1}chunk", headers.replace(' ', "\u{2}"));
        let message = Message::new(kind.type_byte(Part::Fragment), 0, content.as_bytes());
        assert_eq!(message.part, Part::Fragment);
        let head = FragmentHead::parse(&message)?;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let ids = match head.ids {
            FragmentIds::Plain { correlation, ack } => format!("{} {:?}", text(correlation), ack.map(text)),
            FragmentIds::Pair(one, other) => format!("{}|{}", text(one), text(other)),
        };
        let user = if head.user.is_empty() { String::new() } else { format!(" user {}", text(head.user)) };
        Ok(format!("{} {ids} {:?}{user}", text(head.topic), head.part))
    }

    #[test]
    fn the_headers_of_a_piece_are_read() {
        use MessageType::{Delta, DeltaAck, TopicLoad, TopicLoadAck};
        for (kind, headers, reported) in [
            (TopicLoad, "a!1 c7 1/3 900", "a!1 c7 None First { total: 3, size: Some(900) }"),
            (TopicLoad, "a!1 c7 1/3 900 u", "a!1 c7 None First { total: 3, size: Some(900) } user u"),
            (TopicLoad, "a!1 c7 1/3", "a!1 c7 None First { total: 3, size: None }"),
            (Delta, "!1 c7 2", "!1 c7 None Later { number: 2 }"),
            (DeltaAck, "!1 c7 2", "!1 c7 None Later { number: 2 }"),
            (TopicLoadAck, "a 1n c7 1/2 90", "a 1n|c7 First { total: 2, size: Some(90) }"),
            (TopicLoadAck, "a c7 1n 1/2 90", "a c7|1n First { total: 2, size: Some(90) }"),
            (TopicLoadAck, "a 1n 2 2", "a 1n|2 Later { number: 2 }"),
            (TopicLoadAck, "a c7 1/2 90 1n", "a c7 Some(\"1n\") First { total: 2, size: Some(90) }"),
            (Delta, "a c7 1/2 90 u v", "a c7 None First { total: 2, size: Some(90) } user u\\x02v"),
            (DeltaAck, "a c7 1/2 90 1n u", "a c7 Some(\"1n\") First { total: 2, size: Some(90) } user u"),
            (DeltaAck, "a 1n c7 1/2 90 u v", "a 1n|c7 First { total: 2, size: Some(90) } user u\\x02v"),
            (Delta, "a c7 2 u", "a c7 None Later { number: 2 }"),
        ] {
            assert_eq!(head(kind, headers).as_deref(), Ok(reported), "{headers}");
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_named() {
        use MessageType::{Delta, FetchReply, TopicLoad, TopicLoadAck};
        let long = format!("a {} 2", "x".repeat(65));
        for (kind, headers, error) in [
            (TopicLoad, "", HeadError::Topic),
            (TopicLoad, " c 1/2 9", HeadError::Topic),
            (TopicLoad, "a", HeadError::Part),
            (TopicLoad, "a c", HeadError::Part),
            (TopicLoad, "a  1/2 9", HeadError::Id),
            (TopicLoad, &long, HeadError::Id),
            (TopicLoad, "a c 1", HeadError::Part),
            (TopicLoad, "a c 0", HeadError::Part),
            (TopicLoad, "a c 1/0 9", HeadError::Part),
            (TopicLoad, "a c 2/3 9", HeadError::Part),
            (TopicLoad, "a c 1/x 9", HeadError::Part),
            (Delta, "a c -2", HeadError::Part),
            (Delta, "a c 4294967296", HeadError::Part),
            (Delta, "a c +2", HeadError::Part),
            (TopicLoadAck, "a 1n  1/2 9", HeadError::Id),
            (TopicLoadAck, "a c 1/2 9 ", HeadError::Id),
            (FetchReply, "a c 1/2 9", HeadError::Kind(FetchReply)),
        ] {
            assert_eq!(head(kind, headers), Err(error), "{headers:?}");
        }
    }
}
