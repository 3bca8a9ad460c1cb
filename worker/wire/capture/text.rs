//! Messages: those of frames, and those that stand in the texts of a WebSocket, without a length and mostly without an
//! encoding byte.

use super::conversation::{Entries, Form, Place, Shared, topic};
use super::entry::What;
use super::stream::Sender;
use crate::wire::diffusion::{
    ConnectRequest, ConnectResponse, Fields, MD, Message, NUL, ResponseCode, VERSION,
};

/// The version whose text form sports feeds speak.
const ZAP_VERSION: u8 = 3;

/// Tells a message.
pub(super) fn message<O: Entries>(message: &Message<'_>, shared: &mut Shared, place: &mut Place<'_, O>) {
    let topic = topic(message, place.sender, &mut shared.aliases);
    let (connection, at, sender) = (place.connection, place.at, Some(place.sender));
    let what = What::Message { message: *message, topic };
    place.out.entry(&super::entry::Entry { connection, at, sender, what });
}

/// Tells what a text holds, the `nth` of its direction, from 1.
pub(super) fn text<O: Entries>(text: &[u8], nth: u64, shared: &mut Shared, place: &mut Place<'_, O>) {
    match (place.sender, nth) {
        (Sender::Client, 1) if text.first() == Some(&b'#') => {
            shared.form = Form::Zap;
            match ConnectRequest::parse(text) {
                Ok(Some((request, _))) => place.tell(What::ConnectRequest(request)),
                Ok(None) => place.undecoded(text, "a handshake without an end"),
                Err(error) => place.undecoded(text, &error.to_string()),
            }
        }
        (Sender::Server, 1) => match response(text) {
            Some(response) => place.tell(What::ConnectResponse(response)),
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
