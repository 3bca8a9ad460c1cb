//! What clients say: joins, which a room may refuse in several ways, and heartbeats.
//!
//! Whoever is let in is sent what was said last before anything new. Caller: the loop.

use super::connection::{End, Said, State, Transport};
use super::options::Refusal;
use super::packets::form_of;
use super::run::Server;
use super::{command, micros};
use serde_json::Value;
use std::time::Instant;
use touchline_worker::wire::rooms::{BodyForm, Operation, write_packet};

/// The code of a refused join.
const REFUSED: i64 = -101;

impl Server {
    /// Answers what a client said.
    pub(super) fn answer(&mut self, at: usize, said: &Said) -> Result<(), End> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        match (said, connection.state) {
            (Said::Join(body), State::Join) => self.join(at, body),
            // A second one, or one of a connection that is about to end.
            (Said::Join(_), State::Upgrade | State::Ignored | State::Joined(_) | State::Leaving) => {
                Err(End::Bad)
            }
            (Said::Heartbeat(body), State::Joined(room)) => {
                let popularity =
                    self.shared.truth.with(|ledger| ledger.room(room).map_or(1, |room| room.popularity));
                let popularity = u32::try_from(popularity).unwrap_or(u32::MAX).to_be_bytes();
                let mut reply = Vec::new();
                write_packet(&mut reply, BodyForm::Control, Operation::HeartbeatReply, &popularity);
                // What the client sent comes back behind the packet's end.
                if connection.transport() == Transport::WebSocket {
                    reply.extend_from_slice(body);
                }
                connection.send(&reply);
                Ok(())
            }
            (Said::Heartbeat(_) | Said::Other, _) => Ok(()),
        }
    }

    /// Lets a connection into a room, or not.
    fn join(&mut self, at: usize, body: &[u8]) -> Result<(), End> {
        let asked: Value = serde_json::from_slice(body).map_err(|_| End::Bad)?;
        let room = asked.get("roomid").and_then(Value::as_u64).ok_or(End::Bad)?;
        *self.report.joins.entry(room).or_default() += 1;
        let faults = self.shared.faults();
        let shown = asked.get("key").and_then(Value::as_str).unwrap_or_default();
        let known = self.shared.truth.with(|ledger| ledger.is_open(room));
        let wrong_token = self.options.token.as_ref().is_some_and(|token| token != shown);
        let refusal =
            faults.refused.get(&room).copied().or_else(|| (wrong_token || !known).then_some(Refusal::Code));
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        match refusal {
            Some(Refusal::Close) => return Err(End::Refused),
            Some(Refusal::Silence) => {
                connection.state = State::Ignored;
                return Ok(());
            }
            Some(Refusal::Code) => {
                self.report.refused += 1;
                let mut reply = Vec::new();
                let body = format!("{{\"code\":{REFUSED}}}");
                write_packet(&mut reply, BodyForm::Control, Operation::JoinReply, body.as_bytes());
                connection.send(&reply);
                connection.state = State::Leaving;
                return Ok(());
            }
            None => {}
        }
        connection.state = State::Joined(room);
        connection.form = form_of(asked.get("protover").and_then(Value::as_u64).unwrap_or(0));
        connection.since = Instant::now();
        let mut reply = Vec::new();
        write_packet(&mut reply, BodyForm::Control, Operation::JoinReply, b"{\"code\":0}");
        connection.send(&reply);
        let id = connection.id;
        self.inside.entry(room).or_default().insert(at);
        self.send_again(at, room, id);
        Ok(())
    }

    /// What was said last, to who has just joined.
    fn send_again(&mut self, at: usize, room: u64, connection: u64) {
        let overlap = self.options.overlap;
        self.batch.clear();
        let batch = &mut self.batch;
        self.shared.truth.with_mut(|ledger| {
            let Some(from) = ledger.join(room, connection, overlap, micros()) else { return };
            let Some(told) = ledger.room(room) else { return };
            for place in from..told.next {
                let happening = ledger.script.happening(room, place);
                command::write(room, &happening, told.sent_at(place) / 1_000, &mut |one| batch.push(one));
            }
        });
        self.deliver(&[at]);
    }
}
