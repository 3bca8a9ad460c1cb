//! A message to rooms, as the parts of the gateway exchange it: from `POST /pub` or another gateway, to the sessions of its members.
//!
//! JSON is passed through as it came. Names are checked where they are made, so that whoever holds one need not ask again.

use std::fmt;
use std::sync::Arc;

/// Bytes of a room's or namespace's name at most.
const NAME: usize = 128;

/// A part of the clients that is connected to by name: `/` is everybody's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::serve) struct Namespace(Arc<str>);

impl Namespace {
    pub(in crate::serve) fn main() -> Namespace {
        Namespace(Arc::from("/"))
    }

    /// Of its name, with or without the slash that it begins with; `None`: too long, or with a comma, at which its name would end.
    pub(in crate::serve) fn new(name: &str) -> Option<Namespace> {
        if name.len() > NAME || name.contains(',') {
            return None;
        }
        Some(Namespace(if name.starts_with('/') { Arc::from(name) } else { Arc::from(format!("/{name}")) }))
    }

    pub(in crate::serve) fn is_main(&self) -> bool {
        &*self.0 == "/"
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's name: any text of 1 to 128 bytes; a match's id is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::serve) struct RoomName(Arc<str>);

impl RoomName {
    pub(in crate::serve) fn new(name: &str) -> Option<RoomName> {
        (1..=NAME).contains(&name.len()).then(|| RoomName(Arc::from(name)))
    }

    pub(in crate::serve) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event's name and arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Emitted {
    /// The array of them as JSON, unchanged; binary arguments stand as `{"_placeholder":true,"num":N}`.
    pub json: Arc<str>,
    pub attachments: Vec<Arc<[u8]>>,
}

impl Emitted {
    /// Its name.
    pub(in crate::serve) fn name(&self) -> Option<String> {
        let event: Vec<serde_json::Value> = serde_json::from_str(&self.json).ok()?;
        event.first()?.as_str().map(str::to_owned)
    }

    /// `argument` is JSON.
    pub(in crate::serve) fn new(name: &str, argument: &str) -> Emitted {
        let name = serde_json::Value::from(name);
        Emitted { json: Arc::from(format!("[{name},{argument}]")), attachments: Vec::new() }
    }
}

/// What becomes of a message for a client that cannot take it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Delivery {
    /// It waits, within a bound of bytes; beyond it the client is sent away.
    Ordered,
    /// It is left out.
    Volatile,
}

/// A message to all who are in one of some rooms of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Broadcast {
    pub namespace: Namespace,
    /// Empty: everybody of the namespace.
    pub rooms: Vec<RoomName>,
    /// Who is in one of these is left out.
    pub except: Vec<RoomName>,
    pub event: Emitted,
    pub delivery: Delivery,
}

impl Broadcast {
    /// To one room of the main namespace.
    pub(in crate::serve) fn to_room(room: &RoomName, event: Emitted) -> Broadcast {
        Broadcast {
            namespace: Namespace::main(),
            rooms: vec![room.clone()],
            except: Vec::new(),
            event,
            delivery: Delivery::Ordered,
        }
    }
}
