//! Packets of Socket.IO 5: `<type>[<attachments>-][<namespace>,][<ack id>][JSON]`. JSON is cut out of what came and passed on as it is.
//!
//! Pure. Callers: the connections of `socket_io`, which put a packet and its attachments together; whoever sends.

use crate::serve::rooms::{Emitted, Namespace};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Attachments of one packet at most.
const ATTACHMENTS: usize = 10;
/// Names that the libraries' own events have.
const RESERVED: &[&str] =
    &["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// A packet as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub namespace: Namespace,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// What the client says of itself: an object as JSON.
    Connect {
        auth: String,
    },
    Disconnect,
    /// `attachments` are to follow.
    Event {
        json: String,
        ack: Option<u64>,
        attachments: usize,
    },
    Ack {
        json: String,
        ack: u64,
        attachments: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PacketError {
    /// No type that a client sends.
    Kind,
    /// Of attachments.
    Count,
    Namespace,
    Ack,
    /// Not the JSON that belongs to the type.
    Payload,
    /// An event's name that is the libraries' own.
    Reserved,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PacketError::Kind => "no packet of Socket.IO that clients send",
            PacketError::Count => "no usable number of attachments",
            PacketError::Namespace => "no usable namespace",
            PacketError::Ack => "no usable number of an acknowledgement",
            PacketError::Payload => "not the payload that belongs to its type",
            PacketError::Reserved => "an event with a name that is not free",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
}

impl Packet {
    /// # Errors
    /// [`PacketError`].
    pub(super) fn read(text: &str) -> Result<Packet, PacketError> {
        let (kind, is_binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            Some(_) | None => return Err(PacketError::Kind),
        };
        let mut rest = text.get(1..).unwrap_or_default();
        let mut attachments = 0;
        if is_binary {
            let (count, after) = rest.split_once('-').ok_or(PacketError::Count)?;
            attachments =
                number(count).and_then(|count| usize::try_from(count).ok()).ok_or(PacketError::Count)?;
            if attachments > ATTACHMENTS {
                return Err(PacketError::Count);
            }
            rest = after;
        }
        let namespace = if rest.starts_with('/') {
            let (name, after) = rest.split_once(',').unwrap_or((rest, ""));
            // The libraries allow a query behind the name, and leave it out.
            let name = name.split_once('?').map_or(name, |(name, _)| name);
            rest = after;
            Namespace::new(name).ok_or(PacketError::Namespace)?
        } else {
            Namespace::main()
        };
        let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let (id, json) = rest.split_at_checked(digits).unwrap_or(("", rest));
        let ack = if id.is_empty() { None } else { Some(number(id).ok_or(PacketError::Ack)?) };
        let body = match kind {
            Kind::Connect => Body::Connect { auth: object(json)? },
            Kind::Disconnect if json.is_empty() => Body::Disconnect,
            Kind::Disconnect => return Err(PacketError::Payload),
            Kind::Event => Body::Event { json: event(json)?, ack, attachments },
            Kind::Ack => Body::Ack { json: array(json)?.1, ack: ack.ok_or(PacketError::Ack)?, attachments },
        };
        Ok(Packet { namespace, body })
    }
}

/// Decimal digits, not many.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// What a client says as it connects; `{}` where it says nothing.
fn object(json: &str) -> Result<String, PacketError> {
    if json.is_empty() {
        return Ok("{}".to_owned());
    }
    // Its members are not looked at: whoever needs one parses it.
    let is_object = serde_json::from_str::<BTreeMap<String, &RawValue>>(json).is_ok();
    is_object.then(|| json.to_owned()).ok_or(PacketError::Payload)
}

fn array(json: &str) -> Result<(Vec<&RawValue>, String), PacketError> {
    let parts = serde_json::from_str::<Vec<&RawValue>>(json).map_err(|_| PacketError::Payload)?;
    Ok((parts, json.to_owned()))
}

/// An array that begins with the event's name.
fn event(json: &str) -> Result<String, PacketError> {
    let (parts, json) = array(json)?;
    let name = parts.first().ok_or(PacketError::Payload)?.get();
    match serde_json::from_str(name).map_err(|_| PacketError::Payload)? {
        serde_json::Value::String(name) if RESERVED.contains(&name.as_str()) => Err(PacketError::Reserved),
        serde_json::Value::String(_) | serde_json::Value::Number(_) => Ok(json),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(PacketError::Payload),
    }
}

/// `namespace,`, or nothing for the main one.
fn prefix(namespace: &Namespace) -> String {
    if namespace.is_main() { String::new() } else { format!("{namespace},") }
}

/// The answer to who may take part, as a packet of Engine.IO; `sid` names the client in the namespace.
pub(super) fn connected(namespace: &Namespace, sid: &str) -> String {
    format!(r#"40{}{{"sid":"{sid}"}}"#, prefix(namespace))
}

/// The answer to who may not.
pub(super) fn refused(namespace: &Namespace, why: &str) -> String {
    format!(r#"44{}{{"message":{}}}"#, prefix(namespace), serde_json::Value::from(why))
}

#[allow(dead_code, reason = "for whoever may send clients away")]
pub(super) fn disconnected(namespace: &Namespace) -> String {
    format!("41{}", prefix(namespace))
}

/// The head of an event; its attachments follow.
pub(super) fn emitted(namespace: &Namespace, event: &Emitted) -> String {
    let prefix = prefix(namespace);
    match event.attachments.len() {
        0 => format!("42{prefix}{}", event.json),
        count => format!("45{count}-{prefix}{}", event.json),
    }
}

/// The head of an acknowledgement, whose arguments are `args`.
pub(super) fn acknowledged(namespace: &Namespace, ack: u64, args: &Emitted) -> String {
    let prefix = prefix(namespace);
    match args.attachments.len() {
        0 => format!("43{prefix}{ack}{}", args.json),
        count => format!("46{count}-{prefix}{ack}{}", args.json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn read(text: &str) -> Result<(String, Body), PacketError> {
        Packet::read(text).map(|packet| (packet.namespace.to_string(), packet.body))
    }

    fn event(json: &str, ack: Option<u64>, attachments: usize) -> Body {
        Body::Event { json: json.into(), ack, attachments }
    }

    #[test]
    fn packets_are_read() {
        let connect = |auth: &str| Body::Connect { auth: auth.into() };
        for (text, namespace, body) in [
            ("0", "/", connect("{}")),
            (r#"0{"token":"123"}"#, "/", connect(r#"{"token":"123"}"#)),
            ("0/random", "/random", connect("{}")),
            (r#"0/custom?a=b,{"x":[1]}"#, "/custom", connect(r#"{"x":[1]}"#)),
            ("1", "/", Body::Disconnect),
            ("1/custom", "/custom", Body::Disconnect),
            ("1/custom,", "/custom", Body::Disconnect),
            (r#"2["a", 1,{"b":[true ]}]"#, "/", event(r#"["a", 1,{"b":[true ]}]"#, None, 0)),
            (r#"2/c,17[7,"x"]"#, "/c", event(r#"[7,"x"]"#, Some(17), 0)),
            (r#"52-["a",0]"#, "/", event(r#"["a",0]"#, None, 2)),
            (r#"50-["a"]"#, "/", event(r#"["a"]"#, None, 0)),
            ("312[]", "/", Body::Ack { json: "[]".into(), ack: 12, attachments: 0 }),
            (r#"61-/c,5["x"]"#, "/c", Body::Ack { json: r#"["x"]"#.into(), ack: 5, attachments: 1 }),
        ] {
            assert_eq!(read(text), Ok((namespace.to_owned(), body)), "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let long = format!("0/{}", "x".repeat(200));
        for (text, error) in [
            ("", PacketError::Kind),
            ("abc", PacketError::Kind),
            ("4{}", PacketError::Kind),
            ("7", PacketError::Kind),
            ("0[]", PacketError::Payload),
            ("0{", PacketError::Payload),
            ("1[]", PacketError::Payload),
            ("2", PacketError::Payload),
            ("2{}", PacketError::Payload),
            ("2[]", PacketError::Payload),
            ("2[null]", PacketError::Payload),
            (r#"2["a"]x"#, PacketError::Payload),
            (r#"2abc["a"]"#, PacketError::Payload),
            (r#"299999999999999999999["a"]"#, PacketError::Ack),
            (r#"3["a"]"#, PacketError::Ack),
            (r#"5["a"]"#, PacketError::Count),
            (r#"511-["a"]"#, PacketError::Count),
            (r#"5+1-["a"]"#, PacketError::Count),
            (r#"2["disconnect"]"#, PacketError::Reserved),
            (long.as_str(), PacketError::Namespace),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        // As deep as the bound of a message allows.
        let deep = format!("2[\"a\",{}1{}]", "[".repeat(200_000), "]".repeat(200_000));
        let _ = read(&deep);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            namespace in "/[a-z]{0,10}",
            name in "[a-z]{1,8}-",
            argument in "[^\\x00-\\x1f\"\\\\]{0,40}",
            count in 0usize..=10,
            ack in any::<u64>(),
        ) {
            let namespace = Namespace::new(&namespace).unwrap();
            let json = format!(r#"["{name}","{argument}"]"#);
            let attachments: Vec<Arc<[u8]>> = vec![Arc::from(&[1u8][..]); count];
            let event = Emitted { json: Arc::from(json.as_str()), attachments };
            let text = emitted(&namespace, &event);
            let body = Body::Event { json: json.clone(), ack: None, attachments: count };
            prop_assert_eq!(Packet::read(&text[1..]), Ok(Packet { namespace: namespace.clone(), body }));
            let text = acknowledged(&namespace, ack, &event);
            let body = Body::Ack { json, ack, attachments: count };
            prop_assert_eq!(Packet::read(&text[1..]), Ok(Packet { namespace, body }));
        }

        #[test]
        fn no_text_is_a_panic(text in "[0-7]{0,2}[-/,0-9a-z\\[\\]{}\":]{0,30}") {
            let _ = Packet::read(&text);
        }
    }
}
