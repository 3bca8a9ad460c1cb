//! `POST /pub` in the gateway: who may, what it says, and the answer once it is accepted.

use super::client::ClientId;
use super::http::{Answer, For, Publisher, Request, Status, publisher_route};
use super::publish::{Begun, Outcome, PublicationId, Retain, read};
use super::relay::{HandedOn, Relay};
use super::rooms::{Emitted, Namespace, RoomName};
use super::run::Gateway;
use super::socket_io;
use std::time::Instant;

impl Gateway {
    /// Answers a publisher's request, or sees to it that an answer comes.
    pub(super) fn respond_to_publisher(&mut self, client: ClientId, request: &Request, now: Instant) {
        if let Some(connection) = self.connections.get(client) {
            connection.client.awaits(For::request(request, None));
        }
        let answer = match publisher_route(request) {
            Ok(Publisher::Health) => Answer::text(Status::Ok, "ok\n"),
            Ok(Publisher::Publish) => match self.publish_request(client, request, now) {
                Ok(()) => return,
                Err(answer) => answer,
            },
            Err(answer) => answer,
        };
        if answer.status != Status::Ok {
            self.counters.unpublished += 1;
        }
        self.answer(client, &answer, now);
    }

    /// # Errors
    /// The answer to one that is not published, or not again.
    fn publish_request(&mut self, client: ClientId, request: &Request, now: Instant) -> Result<(), Answer> {
        self.access.check_publisher(request)?;
        let retain = match request.parameter("retain") {
            Some("true" | "1") => Retain::Newest,
            Some(_) | None => Retain::No,
        };
        let messages = read(request.header("content-type"), &request.body, retain)
            .map_err(|why| Answer::refused(Status::Bad, why))?;
        if self.leaving.is_some() {
            return Err(Answer::refused(Status::Unavailable, "the gateway is leaving"));
        }
        if !self.publishing.pace.take(messages.len().max(1), now) {
            return Err(Answer::refused(Status::TooMany, "more messages than are taken in a second"));
        }
        let key = request.header("idempotency-key");
        let id = match self.publishing.publications.begin(client, key, messages, now) {
            Begun::New(id) => id,
            Begun::Waits => return Ok(()),
            Begun::Answered(answer) => return Err(answer),
        };
        let Some(publication) = self.publishing.publications.get(id) else { return Ok(()) };
        match self.publishing.relay.hand_on(id, publication) {
            HandedOn::Now(outcome) => self.published(id, &outcome, now),
            HandedOn::Later => {}
        }
        Ok(())
    }

    /// It is known whether what a publisher sent is accepted everywhere: only then is it sent to clients here, and the publisher answered.
    pub(super) fn published(&mut self, id: PublicationId, outcome: &Outcome, now: Instant) {
        let Some(publication) = self.publishing.publications.finish(id, outcome, now) else { return };
        match outcome {
            Outcome::Accepted => {
                self.counters.published += publication.messages.len() as u64;
                // Beside other gateways it comes back as theirs do.
                let alone = matches!(self.publishing.relay, Relay::Alone);
                for message in publication.messages.iter().filter(|_| alone) {
                    let rooms = std::slice::from_ref(&message.room);
                    self.retain(message.retain, rooms, &message.channel, &message.broadcast.event);
                    self.broadcast(&message.broadcast, Some(publication.received), now);
                }
            }
            Outcome::Refused(_) | Outcome::Unusable(_) => self.counters.unpublished += 1,
        }
        let answer = outcome.answer();
        for client in publication.clients {
            self.answer(client, &answer, now);
            self.look_again(client);
        }
    }

    /// Keeps a message for who joins one of its rooms later, if it is to be.
    pub(super) fn retain(&mut self, retain: Retain, rooms: &[RoomName], channel: &str, event: &Emitted) {
        match retain {
            Retain::No => {}
            Retain::Newest => {
                let frames = socket_io::frames(&Namespace::main(), event, None);
                rooms.iter().for_each(|room| self.sockets.retained.keep(room, channel, &frames));
            }
        }
    }

    /// What is not accepted in time is not published: the publisher tries it again.
    pub(super) fn expire_publications(&mut self, now: Instant) {
        for id in self.publishing.publications.late(now) {
            self.published(id, &Outcome::Refused("not accepted in time: try again".into()), now);
        }
    }

    pub(super) fn give_up_publications(&mut self, now: Instant) {
        for id in self.publishing.publications.all() {
            self.published(id, &Outcome::Refused("the gateway is leaving: try again".into()), now);
        }
    }
}
