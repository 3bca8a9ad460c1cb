//! What clients are sent as it changes, as one JSON text, framed once for each kind of stream however many clients it goes to.

use super::engine_io::Frame;
use super::items::Revision;
use super::rooms::{Emitted, Namespace};
use super::socket_io;
use crate::wire::websocket::{Role, Writer};
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::sync::Arc;

/// How a stream's messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-Sent Events.
    EventStream,
    WebSocket,
}

/// Why a client is sent the whole and not what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It had nothing.
    First,
    /// What it had is not known any more.
    Unknown,
}

impl Why {
    fn as_str(self) -> &'static str {
        match self {
            Why::First => "first",
            Why::Unknown => "unknown",
        }
    }
}

/// What stands before the row of an event.
const EVENT: &str = r#"{"type":"event","event":"#;

/// One message, shared by all who are sent it.
#[derive(Debug)]
pub(super) struct Message {
    kind: &'static str,
    id: Option<Revision>,
    json: String,
    event_stream: OnceCell<Arc<[u8]>>,
    websocket: OnceCell<Arc<[u8]>>,
    socket: OnceCell<Vec<Frame>>,
}

impl Message {
    /// `document`: the whole of it as an object.
    pub(super) fn snapshot(id: Revision, why: Why, document: &str) -> Message {
        let why = why.as_str();
        let json = format!(r#"{{"type":"snapshot","id":"{id}","why":"{why}","document":{document}}}"#);
        Message::new("snapshot", Some(id), json)
    }

    /// `conflated`: how many states between were left out.
    pub(super) fn patch(id: Revision, conflated: u32, patch: Map<String, Value>) -> Message {
        let patch = Value::Object(patch);
        let json = match conflated {
            0 => format!(r#"{{"type":"patch","id":"{id}","patch":{patch}}}"#),
            n => format!(r#"{{"type":"patch","id":"{id}","conflated":{n},"patch":{patch}}}"#),
        };
        Message::new("patch", Some(id), json)
    }

    /// `event`: a row of the match stream as an object.
    pub(super) fn event(event: &str) -> Message {
        Message::new("event", None, format!("{EVENT}{event}}}"))
    }

    /// The last message of a stream that ends here.
    pub(super) fn goodbye(why: &str) -> Message {
        Message::new("goodbye", None, format!(r#"{{"type":"goodbye","why":{}}}"#, Value::from(why)))
    }

    fn new(kind: &'static str, id: Option<Revision>, mut json: String) -> Message {
        // A line's end can only stand between two tokens of it, and would end the message in a stream of events.
        if json.contains(['\n', '\r']) {
            json = json.replace(['\n', '\r'], " ");
        }
        Message {
            kind,
            id,
            json,
            event_stream: OnceCell::new(),
            websocket: OnceCell::new(),
            socket: OnceCell::new(),
        }
    }

    /// As an event of Socket.IO: `event` with the row, else `match` with what a stream has, and whose it is.
    pub(super) fn socket(&self, feed: &str, id: &str) -> &[Frame] {
        self.socket.get_or_init(|| {
            let row = self.json.strip_prefix(EVENT).and_then(|rest| rest.strip_suffix('}'));
            let event = match row {
                Some(row) => Emitted::new("event", row),
                None => {
                    let (feed, id) = (Value::from(feed), Value::from(id));
                    let rest = self.json.strip_prefix('{').unwrap_or_default();
                    Emitted::new("match", &format!(r#"{{"match":{id},"feed":{feed},{rest}"#))
                }
            };
            socket_io::frames(&Namespace::main(), &event, None)
        })
    }

    pub(super) fn framed(&self, framing: Framing) -> Arc<[u8]> {
        let cell = match framing {
            Framing::EventStream => &self.event_stream,
            Framing::WebSocket => &self.websocket,
        };
        Arc::clone(cell.get_or_init(|| match framing {
            Framing::EventStream => {
                let id = self.id.map_or_else(String::new, |id| format!("id: {id}\n"));
                Arc::from(format!("event: {}\n{id}data: {}\n\n", self.kind, self.json).as_bytes())
            }
            Framing::WebSocket => {
                let mut out = Vec::with_capacity(self.json.len() + 16);
                Writer::new(Role::Server, None, usize::MAX).text(self.json.as_bytes(), &mut out);
                Arc::from(out)
            }
        }))
    }
}

/// Shows that a stream without news is alive, to the client and to what stands between.
pub(super) fn heartbeat(framing: Framing) -> Arc<[u8]> {
    match framing {
        Framing::EventStream => Arc::from(&b": alive\n\n"[..]),
        Framing::WebSocket => {
            let mut out = Vec::new();
            Writer::new(Role::Server, None, usize::MAX).ping(b"", &mut out);
            Arc::from(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(message: &Message) -> String {
        let frame = message.socket("inplay", "A\"").first().unwrap().clone().websocket();
        let text = memchr::memchr(b'4', &frame).unwrap();
        String::from_utf8(frame[text..].to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_an_event_of_socket_io_too() {
        let revision = Revision { epoch: 3, version: 17 };
        let snapshot = Message::snapshot(revision, Why::First, r#"{"a":1}"#);
        assert_eq!(
            packet(&snapshot),
            r#"42["match",{"match":"A\"","feed":"inplay","type":"snapshot","id":"3-17","why":"first","document":{"a":1}}]"#
        );
        assert_eq!(packet(&Message::event(r#"{"seq":1}"#)), r#"42["event",{"seq":1}]"#);
    }
}
