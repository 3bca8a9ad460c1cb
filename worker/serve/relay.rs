//! Where what is published here goes beside our own clients, and what must have it before a publisher is told `ok`.

use super::publish::{Outcome, Publication, PublicationId, Retain};
use super::redis::{Came, Redis, Relayed, Request, all_rooms, no_answers, no_sockets};
use super::redis::{Part, ROOMS};
use super::rooms::{Broadcast, Emitted, Namespace, RoomName, SessionId};
use super::run::Gateway;
use super::socket_io;
use std::sync::Arc;
use std::time::Instant;

/// Messages of other gateways that are taken in one turn.
const MESSAGES: usize = 1_024;

/// Other gateways, if this one has any.
#[derive(Debug)]
pub(super) enum Relay {
    /// It is alone: what it has is accepted.
    Alone,
    /// What is accepted comes back by the subscription, in the order in which all gateways have it.
    Redis(Box<Redis>),
}

/// What became of messages that were handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandedOn {
    Now(Outcome),
    /// [`Gateway::published`] is called once it is known.
    Later,
}

impl Relay {
    pub(super) fn hand_on(&self, id: PublicationId, publication: &Publication) -> HandedOn {
        match self {
            Relay::Alone => HandedOn::Now(Outcome::Accepted),
            Relay::Redis(redis) => match redis.publish(id, publication) {
                Ok(()) => HandedOn::Later,
                Err(outcome) => HandedOn::Now(outcome),
            },
        }
    }

    fn came(&self) -> Option<Came> {
        match self {
            Relay::Alone => None,
            Relay::Redis(redis) => redis.came(),
        }
    }

    fn respond(&self, response: String) {
        if let Relay::Redis(redis) = self {
            redis.respond(response);
        }
    }
}

impl Gateway {
    /// Takes what came of other gateways; whether there may be more.
    pub(super) fn take_relayed(&mut self, now: Instant) -> bool {
        for _ in 0..MESSAGES {
            let Some(came) = self.publishing.relay.came() else { return false };
            match came {
                Came::Message(message) => self.relayed(&message, now),
                Came::Request(request) => self.asked(request, now),
                Came::Published(id, outcome) => self.published(id, &outcome, now),
                Came::Retained(retained) => {
                    if let Relay::Redis(redis) = &mut self.publishing.relay {
                        redis.loaded();
                    }
                    self.loaded(retained, now);
                }
                Came::Link(part, state) => {
                    if part == Part::Subscription && state.is_ok() {
                        self.sockets.retained.outdate();
                    }
                    if let Relay::Redis(redis) = &mut self.publishing.relay {
                        redis.link(part, state);
                    }
                }
            }
        }
        true
    }

    fn relayed(&mut self, message: &Relayed, now: Instant) {
        self.publishing.relayed += 1;
        let Relayed { broadcast, retain } = message;
        if *retain == Retain::Newest
            && let Some(channel) = broadcast.event.name()
        {
            self.retain(*retain, &broadcast.rooms, &channel, &broadcast.event);
        }
        self.broadcast(broadcast, Some(now), now);
    }

    /// What is retained where gateways meet: what is news to those who are here they are sent.
    fn loaded(&mut self, retained: Vec<(RoomName, String)>, now: Instant) {
        for (room, json) in retained {
            let event = Emitted { json: Arc::from(json), attachments: Vec::new() };
            let broadcast = Broadcast::to_room(&room, event);
            let frames = socket_io::frames(&broadcast.namespace, &broadcast.event, None);
            if let Some(channel) = broadcast.event.name()
                && self.sockets.retained.take_up(&room, &channel, &frames)
            {
                self.broadcast(&broadcast, None, now);
            }
        }
    }

    fn asked(&mut self, request: Request, now: Instant) {
        match request {
            Request::Join { who, rooms } => {
                for session in self.sockets.rooms.select(&who) {
                    rooms.iter().for_each(|room| self.join_room(session, room, now));
                }
            }
            Request::Leave { who, rooms } => {
                for session in self.sockets.rooms.select(&who) {
                    rooms.iter().for_each(|room| self.leave_room(session, room, now));
                }
            }
            Request::Disconnect { who } => {
                let sessions: Vec<SessionId> = self.sockets.rooms.select(&who);
                sessions.into_iter().for_each(|session| self.disconnect(session, now));
            }
            Request::Sockets { id } => self.publishing.relay.respond(no_sockets(&id)),
            Request::Rooms { id } => {
                let main = Namespace::main();
                let ours = self.sockets.rooms.all().filter(|(namespace, _)| **namespace == main);
                let names: Vec<String> = ours.map(|(_, room)| room.to_string()).take(ROOMS).collect();
                self.publishing.relay.respond(all_rooms(&id, &names));
            }
            Request::Counted { id, message } => {
                self.publishing.relay.respond(no_answers(&id));
                self.relayed(&message, now);
            }
        }
    }
}
