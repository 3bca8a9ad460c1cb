//! What other servers and emitters ask of every server, and the answers: JSON, or MessagePack where a message is in it. Pure.
//!
//! A server that asks waits for as many answers as subscribe: each question is answered, if only by nothing, so that nobody waits for us.

use super::message::{Relayed, broadcast, member, rooms, unpack};
use crate::serve::rooms::{Broadcast, Delivery, Emitted, Namespace, RoomName};
use rmpv::Value;
use serde_json::{Value as Json, json};
use std::sync::Arc;

pub(super) const REQUESTS: &str = "socket.io-request#/#";
pub(super) const RESPONSES: &str = "socket.io-response#/#";
/// Rooms that an answer names at most.
pub(in crate::serve) const ROOMS: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Request {
    /// Everybody who is chosen enters these rooms,
    Join { who: Broadcast, rooms: Vec<RoomName> },
    /// leaves them,
    Leave { who: Broadcast, rooms: Vec<RoomName> },
    /// or is sent away.
    Disconnect { who: Broadcast },
    /// All rooms are asked for.
    Rooms { id: String },
    /// What we have none of: sockets that others may hold on to.
    Sockets { id: String },
    /// A message whose sender counts answers: it is delivered, and nobody answers.
    Counted { id: String, message: Box<Relayed> },
}

/// `None`: nothing that is known here.
pub(super) fn read(bytes: &[u8]) -> Option<Request> {
    if bytes.first() != Some(&b'{') {
        let asked = unpack(bytes)?;
        let message = broadcast(member(&asked, "packet")?, member(&asked, "opts")?)?;
        let id = member(&asked, "requestId")?.as_str()?.to_owned();
        return Some(Request::Counted { id, message: Box::new(message) });
    }
    let asked: Json = serde_json::from_slice(bytes).ok()?;
    let id = || asked.get("requestId").and_then(Json::as_str).map(str::to_owned);
    let named = |name: &str| rooms(asked.get(name).map(packed).as_ref());
    match asked.get("type")?.as_u64()? {
        0 | 5 => Some(Request::Sockets { id: id()? }),
        1 => Some(Request::Rooms { id: id()? }),
        2 => Some(Request::Join { who: who(&asked)?, rooms: named("rooms")? }),
        3 => Some(Request::Leave { who: who(&asked)?, rooms: named("rooms")? }),
        4 => Some(Request::Disconnect { who: who(&asked)? }),
        7 => {
            let (packet, options) = (packed(asked.get("packet")?), packed(asked.get("opts")?));
            Some(Request::Counted { id: id()?, message: Box::new(broadcast(&packet, &options)?) })
        }
        _ => None,
    }
}

/// Whom a request is about, as a message would choose them. Of a single socket, whose id we never gave away, there is none here.
fn who(asked: &Json) -> Option<Broadcast> {
    let options = packed(asked.get("opts")?);
    Some(Broadcast {
        namespace: Namespace::main(),
        rooms: rooms(member(&options, "rooms"))?,
        except: rooms(member(&options, "except"))?,
        event: Emitted { json: Arc::from("[]"), attachments: Vec::new() },
        delivery: Delivery::Ordered,
    })
}

fn packed(json: &Json) -> Value {
    super::message::value(json)
}

/// That nothing of what was asked for is here.
pub(in crate::serve) fn no_sockets(id: &str) -> String {
    json!({ "requestId": id, "sockets": [] }).to_string()
}

pub(in crate::serve) fn all_rooms(id: &str, rooms: &[String]) -> String {
    json!({ "requestId": id, "rooms": rooms }).to_string()
}

/// That nobody here will answer a message.
pub(in crate::serve) fn no_answers(id: &str) -> String {
    json!({ "type": 8, "requestId": id, "clientCount": 0 }).to_string()
}
