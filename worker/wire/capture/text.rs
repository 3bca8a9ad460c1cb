//! Messages: those of frames, and those that stand in the texts of a WebSocket, without a length and mostly without an
//! encoding byte.
//!
//! A piece of a message is reported for itself; with the last one the message is reported as if it had never been cut.

use super::conversation::{Entries, Form, Place, Shared, topic};
use super::entry::{Cut, Entry, GaveUp, PieceOf, Topic, What};
use super::stream::Sender;
use crate::wire::diffusion::{
    AliasTable, ConnectRequest, ConnectResponse, Fields, FragmentHead, FragmentIds, FragmentPart, MD,
    Message, MessageType, NUL, Part, ResponseCode, Taken, TopicRef, Unfinished, VERSION,
};

/// The version whose text form sports feeds speak.
const ZAP_VERSION: u8 = 3;

pub(super) fn message<O: Entries>(message: &Message<'_>, shared: &mut Shared, place: &mut Place<'_, O>) {
    match (message.part, message.kind) {
        (Part::Fragment, _) => piece(message, shared, place),
        (Part::Whole, MessageType::CancelFragments) => {
            emit(message, Cut::Not, shared, place);
            let cancelled = shared.parts.of(place.sender);
            if message.correlation().and_then(|id| cancelled.cancel(id)).is_some() {
                gave_up(cancelled.given_up(), GaveUp::Cancelled, &shared.aliases, place);
            }
        }
        (Part::Whole, _) => emit(message, Cut::Not, shared, place),
    }
}

fn emit<O: Entries>(message: &Message<'_>, cut: Cut<'_>, shared: &mut Shared, place: &mut Place<'_, O>) {
    let topic = topic(message, place.sender, &mut shared.aliases);
    let body = place.bodies.read(message);
    let what = What::Message { message: *message, topic, body, cut };
    place.out.entry(&Entry { connection: place.connection, at: place.at, sender: Some(place.sender), what });
}

fn piece<O: Entries>(message: &Message<'_>, shared: &mut Shared, place: &mut Place<'_, O>) {
    let mut piece = PieceOf { correlation: None, number: None, total: None, fault: None };
    let parts = shared.parts.of(place.sender);
    if let Ok(head) = FragmentHead::parse(message) {
        (piece.number, piece.total) = match head.part {
            FragmentPart::First { total, .. } => (Some(1), Some(total)),
            FragmentPart::Later { number } => (Some(number), parts.total(head.ids)),
        };
        piece.correlation = match head.ids {
            FragmentIds::Plain { correlation, .. } => Some(correlation),
            FragmentIds::Pair(..) => None,
        };
    }
    let whole = match parts.take(message, ()) {
        Taken::Waits(fault) => {
            piece.fault = fault;
            None
        }
        Taken::Whole(whole) => Some(whole),
    };
    emit(message, Cut::Piece(piece), shared, place);
    if let Some(fault) = piece.fault {
        gave_up(shared.parts.of(place.sender).given_up(), GaveUp::Fault(fault), &shared.aliases, place);
    }
    if let Some(whole) = whole {
        place.summary.joined += 1;
        let mut headers = Vec::new();
        let cut = Cut::Joined(piece.total.unwrap_or_default());
        emit(&whole.message(&mut headers), cut, shared, place);
    }
}

/// Nothing more comes of a direction: reports the messages of which some pieces came.
pub(super) fn unfinished<O: Entries>(shared: &mut Shared, place: &mut Place<'_, O>) {
    gave_up(shared.parts.of(place.sender).give_up_all(), GaveUp::Ended, &shared.aliases, place);
}

fn gave_up<O: Entries>(messages: &[Unfinished], why: GaveUp, aliases: &AliasTable, place: &mut Place<'_, O>) {
    for message in messages {
        match why {
            GaveUp::Cancelled => place.summary.cancelled += 1,
            GaveUp::Ended | GaveUp::Fault(_) => place.summary.unfinished += 1,
        }
        let topic = match TopicRef::parse(&message.topic) {
            TopicRef::Named { name, alias } => Topic { name: Some(name), alias },
            TopicRef::Alias(alias) => {
                Topic { name: aliases.resolve(alias).and_then(|slot| aliases.name(slot)), alias: Some(alias) }
            }
        };
        place.emit(What::GivenUp { message, topic, why });
    }
}

/// Reports what a text holds, the `nth` of its direction, from 1.
pub(super) fn text<O: Entries>(text: &[u8], nth: u64, shared: &mut Shared, place: &mut Place<'_, O>) {
    match (place.sender, nth) {
        (Sender::Client, 1) if text.first() == Some(&b'#') => {
            shared.form = Form::Zap;
            match ConnectRequest::parse(text) {
                Ok(Some((request, _))) => place.emit(What::ConnectRequest(request)),
                Ok(None) => place.undecoded(text, "a handshake without an end"),
                Err(error) => place.undecoded(text, &error.to_string()),
            }
        }
        (Sender::Server, 1) => match response(text) {
            Some(response) => place.emit(What::ConnectResponse(response)),
            None => place.undecoded(text, "no answer to a handshake"),
        },
        (Sender::Client, _) => match (text, shared.form) {
            ([kind, encoding, content @ ..], Form::Zap) => {
                message(&Message::new(*kind, *encoding, content), shared, place);
            }
            ([kind, content @ ..], Form::V4) => message(&Message::new(*kind, 0, content), shared, place),
            (_, _) => place.undecoded(text, "a text without a message"),
        },
        (Sender::Server, _) => {
            for one in text.split(|byte| *byte == MD) {
                if let [kind, content @ ..] = one {
                    message(&Message::new(*kind, 0, content), shared, place);
                }
            }
        }
    }
}

/// The answer to a handshake in a text: `4 FD 100 FD id`, in the older form `100 FD id NUL`.
fn response(text: &[u8]) -> Option<ConnectResponse<'_>> {
    let text = text.strip_suffix(&[NUL]).unwrap_or(text);
    let mut fields = Fields::of(text);
    let first: u8 = number(fields.next()?)?;
    let (version, code) =
        if first <= VERSION { (first, number(fields.next()?)?) } else { (ZAP_VERSION, first) };
    let code = ResponseCode::from_byte(code);
    if code.is_accepted() {
        let client_id = fields.next()?;
        Some(ConnectResponse::Accepted { version, code, client_id })
    } else {
        Some(ConnectResponse::Refused { version, code })
    }
}

fn number(text: &[u8]) -> Option<u8> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_both_forms() {
        let id = |text: &[u8]| match response(text) {
            Some(ConnectResponse::Accepted { version, client_id, .. }) => Some((version, client_id.to_vec())),
            Some(ConnectResponse::Refused { version, code }) => Some((version, vec![code.byte()])),
            None => None,
        };
        assert_eq!(id(b"4\x02100\x02abc"), Some((4, b"abc".to_vec())));
        assert_eq!(id(b"4\x02105\x02abc"), Some((4, b"abc".to_vec())));
        assert_eq!(id(b"4\x02111"), Some((4, vec![111])));
        assert_eq!(id(b"100\x02abc\x00"), Some((3, b"abc".to_vec())));
        for odd in [&b""[..], b"4", b"x\x02100", b"4\x02100", b"\x14a"] {
            assert_eq!(id(odd), None, "{odd:?}");
        }
    }
}
