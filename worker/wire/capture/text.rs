//! Messages: those of frames, and those that stand in the texts of a WebSocket, without a length and mostly without an
//! encoding byte.
//!
//! A piece of a message is reported for itself; with the last one the message is reported as if it had never been cut.
//! Nothing is given up for its age: a capture may have no times, and those it has order nothing.

use super::conversation::{Place, Shared, topic};
use super::entry::{Cut, Entry, GaveUp, PieceOf, Sender, Topic, What};
use crate::wire::diffusion::tunnel::{self, Form};
use crate::wire::diffusion::{
    AliasTable, ConnectRequest, ConnectResponse, FragmentHead, FragmentIds, FragmentPart, Fragments, MD,
    Message, MessageType, NUL, Part, TopicRef, Unfinished, VERSION, fields,
};

/// The version whose text form sports feeds speak.
const ZAP_VERSION: u8 = 3;

pub(super) fn message(
    message: &Message<'_>,
    parts: &mut Fragments<()>,
    shared: &mut Shared,
    place: &mut Place<'_>,
) {
    match (message.part, message.kind) {
        (Part::Fragment, _) => piece(message, parts, shared, place),
        (Part::Whole, MessageType::CancelFragments) => {
            emit(message, Cut::Not, shared, place);
            if message.correlation().and_then(|id| parts.cancel(id)).is_some() {
                gave_up(parts.given_up(), GaveUp::Cancelled, &shared.aliases, place);
            }
        }
        (Part::Whole, _) => emit(message, Cut::Not, shared, place),
    }
}

fn emit(message: &Message<'_>, cut: Cut<'_>, shared: &mut Shared, place: &mut Place<'_>) {
    let topic = topic(message, place.sender, &mut shared.aliases);
    let body = place.bodies.read(message);
    let what = What::Message { message: *message, topic, body, cut };
    place.out.entry(&Entry { connection: place.connection, at: place.at, sender: Some(place.sender), what });
}

fn piece(message: &Message<'_>, parts: &mut Fragments<()>, shared: &mut Shared, place: &mut Place<'_>) {
    let mut piece = PieceOf { correlation: None, number: None, total: None, fault: None };
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
    let taken = parts.take(message, ());
    piece.fault = taken.as_ref().err().copied();
    emit(message, Cut::Piece(piece), shared, place);
    if let Some(fault) = piece.fault {
        gave_up(parts.given_up(), GaveUp::Fault(fault), &shared.aliases, place);
    }
    if let Ok(Some(whole)) = taken {
        place.summary.joined += 1;
        let mut headers = Vec::new();
        let cut = Cut::Joined(piece.total.unwrap_or_default());
        emit(&whole.message(&mut headers), cut, shared, place);
    }
}

/// Nothing more comes of a direction: reports the messages of which some pieces came.
pub(super) fn unfinished(parts: &mut Fragments<()>, shared: &Shared, place: &mut Place<'_>) {
    gave_up(parts.give_up_all(), GaveUp::Ended, &shared.aliases, place);
}

fn gave_up(messages: &[Unfinished], why: GaveUp, aliases: &AliasTable, place: &mut Place<'_>) {
    for message in messages {
        match why {
            GaveUp::Cancelled => place.summary.cancelled += 1,
            GaveUp::Ended | GaveUp::Fault(_) => place.summary.unfinished += 1,
        }
        let topic = Topic::of(TopicRef::parse(&message.topic), aliases);
        place.emit(What::GivenUp { message, topic, why });
    }
}

/// Reports what a text holds, the `nth` of its direction, from 1.
pub(super) fn text(
    text: &[u8],
    nth: u64,
    parts: &mut Fragments<()>,
    shared: &mut Shared,
    place: &mut Place<'_>,
) {
    match (place.sender, nth) {
        (Sender::Client, 1) if text.first() == Some(&b'#') => {
            shared.form = Some(Form::Zap);
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
        (Sender::Client, _) => match (text, shared.form.unwrap_or_else(|| form_of(text))) {
            ([kind, encoding, content @ ..], Form::Zap) => {
                message(&Message::new(*kind, *encoding, content), parts, shared, place);
            }
            ([kind, content @ ..], Form::V4) => {
                message(&Message::new(*kind, 0, content), parts, shared, place);
            }
            (_, _) => place.undecoded(text, "a text without a message"),
        },
        (Sender::Server, _) => {
            for one in text.split(|byte| *byte == MD) {
                if let [kind, content @ ..] = one {
                    message(&Message::new(*kind, 0, content), parts, shared, place);
                }
            }
        }
    }
}

/// The form of a client's message where no handshake was seen: the plain encoding byte of the older one stands where in
/// the other a header begins, which begins with no zero.
fn form_of(text: &[u8]) -> Form {
    if text.get(1) == Some(&0) { Form::Zap } else { Form::V4 }
}

/// The answer to a handshake in a text: `4 FD 100 FD id`, in the older form `100 FD id NUL`.
fn response(text: &[u8]) -> Option<ConnectResponse<'_>> {
    let text = text.strip_suffix(&[NUL]).unwrap_or(text);
    let mut behind_version = fields(text);
    match tunnel::number(behind_version.next()?)? {
        version if version <= VERSION => tunnel::response(version, behind_version),
        _ => tunnel::response(ZAP_VERSION, fields(text)),
    }
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
