//! The WebSocket of the simulated API at `/socket`: of each match that a client asks for a snapshot, then what changed as a deep merge, and
//! that it is no more.
//!
//! A connection is a thread that looks at the world again and again; what it sent last it holds, so that a delta is a comparison of two
//! bodies. While sockets are closed connections are ended and none is accepted.

use super::Shared;
use super::http::Request;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;
use touchline_worker::wire::websocket::{Arrived, Limits, Reader, Role, ServerRequest, Writer};

pub(super) const PATH: &str = "/socket";
/// How long a read waits, and so how late a change is pushed.
const LOOK: Duration = Duration::from_millis(10);

struct Client<'s> {
    shared: &'s Shared,
    reader: Reader,
    writer: Writer,
    out: Vec<u8>,
    /// The matches that were asked for; none: nothing of it was sent.
    matches: BTreeMap<String, Option<Sent>>,
}

/// What a client has of a match.
struct Sent {
    number: u64,
    body: Value,
}

/// Serves a client until it leaves, or sockets are closed.
///
/// # Errors
/// When the socket fails, or what it says is no WebSocket.
pub(super) fn serve(stream: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let bad = |_| io::Error::from(ErrorKind::InvalidData);
    let parsed = ServerRequest::parse(&request.head).map_err(bad)?;
    let Some((opening, _)) = parsed else { return Err(ErrorKind::InvalidData.into()) };
    if shared.sockets_closed.load(Ordering::SeqCst) {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    stream.set_read_timeout(Some(LOOK))?;
    let mut client = Client {
        shared,
        reader: Reader::new(Role::Server, Limits::default()),
        writer: Writer::new(Role::Server, None, usize::MAX),
        out: Vec::new(),
        matches: BTreeMap::new(),
    };
    opening.accept(None, None, &mut client.out);
    client.say(&json!({"type": "connected"}));
    let served = client.serve(stream);
    shared.subscriptions.fetch_sub(client.matches.len(), Ordering::SeqCst);
    served
}

impl Client<'_> {
    fn serve(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while self.shared.goes_on() && !self.shared.sockets_closed.load(Ordering::SeqCst) {
            stream.write_all(&std::mem::take(&mut self.out))?;
            match stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => self.reader.feed(bytes.get(..count).unwrap_or_default()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            while let Some(arrived) =
                self.reader.advance().map_err(|_| io::Error::from(ErrorKind::InvalidData))?
            {
                match arrived {
                    Arrived::Text | Arrived::Binary => self.asked(),
                    Arrived::Ping => self.writer.pong(self.reader.payload(), &mut self.out),
                    Arrived::Pong => {}
                    Arrived::Close(_) => return Ok(()),
                }
            }
            self.push();
        }
        Ok(())
    }

    fn asked(&mut self) {
        let message: Value = serde_json::from_slice(self.reader.payload()).unwrap_or_default();
        let id = message.get("matchId").and_then(Value::as_u64);
        match (message.get("action").and_then(Value::as_str), id) {
            (Some("subscribe"), Some(id)) => {
                if self.matches.insert(id.to_string(), None).is_none() {
                    self.shared.subscriptions.fetch_add(1, Ordering::SeqCst);
                }
                self.say(&json!({"type": "subscribed", "matchId": id}));
            }
            (Some(_) | None, _) => self.say(&json!({"type": "error", "code": 400})),
        }
    }

    /// Sends what is new of each match.
    fn push(&mut self) {
        let mut messages = Vec::new();
        let world = self.shared.world();
        self.matches.retain(|id, sent| {
            let number = id.parse::<u64>().unwrap_or_default();
            let Some((newest, body)) = world.pushed(id) else {
                self.shared.subscriptions.fetch_sub(1, Ordering::SeqCst);
                messages.push(json!({"type": "match_deleted", "matchId": number}));
                return false;
            };
            let message = match sent {
                Some(sent) if sent.number == newest => return true,
                Some(sent) => json!({"type": "match_delta", "matchId": number, "timestamp": newest,
                    "changes": {"updated": changed(&sent.body, &body)}}),
                None => {
                    json!({"type": "match_snapshot", "matchId": number, "timestamp": newest, "data": body})
                }
            };
            messages.push(message);
            *sent = Some(Sent { number: newest, body });
            true
        });
        drop(world);
        messages.iter().for_each(|message| self.say(message));
    }

    fn say(&mut self, message: &Value) {
        self.writer.text(message.to_string().as_bytes(), &mut self.out);
    }
}

/// What makes `after` of `before` if it is merged into it, objects member by member. Nothing of a body ever vanishes but whole values.
fn changed(before: &Value, after: &Value) -> Value {
    let (Some(held), Some(members)) = (before.as_object(), after.as_object()) else { return after.clone() };
    let one = |(name, value): (&String, &Value)| match held.get(name) {
        Some(same) if same == value => None,
        Some(other) => Some((name.clone(), changed(other, value))),
        None => Some((name.clone(), value.clone())),
    };
    Value::Object(members.iter().filter_map(one).collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_what_is_another_and_no_more() {
        let before = json!({"a": 1, "b": {"c": 2, "d": [1]}, "e": "x"});
        let after = json!({"a": 1, "b": {"c": 3, "d": [1]}, "e": "y", "f": {"g": 1}});
        assert_eq!(changed(&before, &after), json!({"b": {"c": 3}, "e": "y", "f": {"g": 1}}));
        assert_eq!(changed(&after, &after), json!({}));
    }
}
