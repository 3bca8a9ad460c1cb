//! One client as Socket.IO knows it: the namespaces that it takes part in, and an event of which attachments are to come.

use super::packet::{Body, Packet};
use crate::serve::rooms::{Emitted, Namespace};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages of one client in a second at most.
const MESSAGES: u32 = 200;

#[derive(Debug)]
pub(super) struct Peer {
    namespaces: Vec<(Namespace, Standing)>,
    begun: Option<Begun>,
    /// When it is closed if it takes part in nothing; `None`: it did.
    pub(super) connect_by: Option<Instant>,
    second: Instant,
    /// Messages of this second.
    messages: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Asked,
    Connected,
}

/// An event or acknowledgement of which attachments are to come.
#[derive(Debug)]
struct Begun {
    namespace: Namespace,
    kind: Kind,
    json: String,
    wanted: usize,
    attachments: Vec<Arc<[u8]>>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Event {
        ack: Option<u64>,
    },
    /// Nobody waits for it: none was asked for.
    Ack,
}

/// What a message came to.
#[derive(Debug)]
pub(super) enum Heard {
    Nothing,
    Connect { namespace: Namespace, auth: String },
    Event { namespace: Namespace, event: Emitted, ack: Option<u64> },
    Left { namespace: Namespace },
}

/// Why a client is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Protocol,
    TooMany,
}

impl Peer {
    pub(super) fn new(connect_by: Instant, now: Instant) -> Peer {
        Peer { namespaces: Vec::new(), begun: None, connect_by: Some(connect_by), second: now, messages: 0 }
    }

    /// Counts a message.
    ///
    /// # Errors
    /// [`Broken::TooMany`].
    pub(super) fn pace(&mut self, now: Instant) -> Result<(), Broken> {
        if now >= self.second + Duration::from_secs(1) {
            (self.second, self.messages) = (now, 0);
        }
        self.messages += 1;
        if self.messages > MESSAGES { Err(Broken::TooMany) } else { Ok(()) }
    }

    /// # Errors
    /// [`Broken`].
    pub(super) fn packet(&mut self, packet: Packet) -> Result<Heard, Broken> {
        if self.begun.is_some() {
            return Err(Broken::Protocol);
        }
        let Packet { namespace, body } = packet;
        let standing = self.standing(&namespace);
        match (body, standing) {
            (Body::Connect { auth }, None) => {
                self.namespaces.push((namespace.clone(), Standing::Asked));
                Ok(Heard::Connect { namespace, auth })
            }
            (Body::Disconnect, Some(Standing::Connected)) => {
                self.leave(&namespace);
                Ok(Heard::Left { namespace })
            }
            (Body::Event { json, ack, attachments }, Some(Standing::Connected)) => {
                self.begin(namespace, Kind::Event { ack }, json, attachments)
            }
            (Body::Ack { json, ack: _, attachments }, Some(Standing::Connected)) => {
                self.begin(namespace, Kind::Ack, json, attachments)
            }
            (
                Body::Connect { .. } | Body::Disconnect | Body::Event { .. } | Body::Ack { .. },
                Some(Standing::Asked | Standing::Connected) | None,
            ) => Err(Broken::Protocol),
        }
    }

    fn begin(
        &mut self,
        namespace: Namespace,
        kind: Kind,
        json: String,
        wanted: usize,
    ) -> Result<Heard, Broken> {
        self.begun = Some(Begun { namespace, kind, json, wanted, attachments: Vec::new(), bytes: 0 });
        Ok(self.complete())
    }

    /// Bytes that belong to what was begun; all of it together is at most as long as one message.
    ///
    /// # Errors
    /// [`Broken::Protocol`].
    pub(super) fn attachment(&mut self, bytes: &[u8], most: usize) -> Result<Heard, Broken> {
        let begun = self.begun.as_mut().ok_or(Broken::Protocol)?;
        begun.bytes += bytes.len();
        if begun.bytes > most {
            return Err(Broken::Protocol);
        }
        begun.attachments.push(Arc::from(bytes));
        Ok(self.complete())
    }

    /// What was begun, if nothing of it is to come.
    fn complete(&mut self) -> Heard {
        let Some(begun) = self.begun.take_if(|begun| begun.attachments.len() >= begun.wanted) else {
            return Heard::Nothing;
        };
        let event = Emitted { json: Arc::from(begun.json), attachments: begun.attachments };
        match begun.kind {
            Kind::Event { ack } => Heard::Event { namespace: begun.namespace, event, ack },
            Kind::Ack => Heard::Nothing,
        }
    }

    fn standing(&self, namespace: &Namespace) -> Option<Standing> {
        self.namespaces.iter().find(|(known, _)| known == namespace).map(|(_, standing)| *standing)
    }

    /// Whether it had asked.
    pub(super) fn admit(&mut self, namespace: &Namespace) -> bool {
        let asked = |(known, standing): &&mut (Namespace, Standing)| {
            known == namespace && *standing == Standing::Asked
        };
        let found = self.namespaces.iter_mut().find(asked);
        found.map(|(_, standing)| *standing = Standing::Connected).is_some()
    }

    pub(super) fn refuse(&mut self, namespace: &Namespace) {
        self.namespaces.retain(|(known, _)| known != namespace);
    }

    /// Whether it took part.
    pub(super) fn leave(&mut self, namespace: &Namespace) -> bool {
        let was = self.standing(namespace) == Some(Standing::Connected);
        self.namespaces.retain(|(known, _)| known != namespace);
        was
    }

    pub(super) fn connected(self) -> impl Iterator<Item = Namespace> {
        let connected = self.namespaces.into_iter().filter(|(_, standing)| *standing == Standing::Connected);
        connected.map(|(namespace, _)| namespace)
    }
}
