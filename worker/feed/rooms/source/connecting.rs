//! What becomes of a room's connection: from its turn in line to its end.
//!
//! Each step of a room is made by its own state machine, and carried out here. Whatever ends a connection goes through `closed`, which
//! reports it, closes it, and gives its place at the address to another.

use super::reading::Pending;
use super::{Rooms, random};
use crate::feed::rooms::line::Address;
use crate::feed::rooms::link::Link;
use crate::feed::rooms::lost::{Lost, Others};
use crate::feed::rooms::room::{Action, Input, State};
use crate::feed::rooms::table::{Index, Queued, Wire};
use crate::net::{Connector, Progress, Socket};
use crate::wire::rooms::JoinAuth;
use crate::wire::websocket::CloseCode;
use mio::{Registry, Token};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of an `auth_file`.
const AUTH_MAX: u64 = 64 * 1024;

impl Rooms {
    pub(super) fn advance_connector(&mut self, index: Index, registry: &Registry, now: Instant) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let Wire::Connecting { connector, .. } = &mut entry.wire else { return };
        let progress = connector.advance(registry, now);
        self.progressed(index, progress, now);
    }

    /// It is later: the room may be due to connect, to be sent a heartbeat, or to be given up.
    pub(super) fn advance_room(&mut self, index: Index, now: Instant) {
        let Some(entry) = self.table.get_mut(index) else { return };
        // After a stop of the whole machine what came meanwhile is read before it is judged; the read sets the timer again.
        if entry.room.is_silent(now) && entry.in_ready == Queued::Yes {
            return;
        }
        let before = entry.room.state();
        let action = entry.room.step(Input::Time, random(), now);
        let why = match before {
            State::Live { .. } => Lost::Silent { after: entry.room.silence() },
            State::Waiting { .. }
            | State::InLine
            | State::Connecting
            | State::Joining { .. }
            | State::Parked { .. } => Lost::JoinUnanswered,
        };
        match action {
            Action::GetInLine => self.line.join(index),
            Action::Heartbeat => self.heartbeat(index, now),
            Action::Lost { .. } | Action::Park { .. } => self.closed(index, before, &why, action),
            Action::Nothing | Action::Connect { .. } => {}
        }
        self.table.schedule(index);
    }

    /// Heartbeat and reader live and die together: one that cannot be sent ends the connection.
    fn heartbeat(&mut self, index: Index, now: Instant) {
        let Some(link) = self.table.get_mut(index).and_then(|entry| entry.link()) else { return };
        if link.unsent() > 0 {
            return self.ended(index, &Lost::OutputFull, now);
        }
        link.rest();
        link.heartbeat();
        self.mark_unsent(index);
    }

    pub(super) fn connect(&mut self, index: Index, address: Address, registry: &Registry, now: Instant) {
        let Some(entry) = self.table.get_mut(index) else { return self.line.give_back(address) };
        let (Action::Connect { attempt }, Some(server)) =
            (entry.room.step(Input::Permit, random(), now), self.plan.servers.get(address.0))
        else {
            return self.line.give_back(address);
        };
        entry.address = Some(address);
        self.counts.asked += 1;
        let auth = match read_auth(&self.plan.auth_file) {
            Ok(auth) => Box::new(auth),
            Err(why) => return self.ended(index, &Lost::Auth(why), now),
        };
        let token = Token(self.first.0 + index.0 as usize);
        let (authority, tls) = (server.authority.clone(), server.tls.clone());
        let mut connector = Box::new(Connector::new(authority, tls, token, Arc::clone(&self.waker)));
        let progress = connector.start(attempt / self.plan.servers.len().max(1) as u64, registry, now);
        entry.wire = Wire::Connecting { connector, auth };
        self.progressed(index, progress, now);
    }

    fn progressed(&mut self, index: Index, progress: Progress, now: Instant) {
        match progress {
            Progress::Connected(socket) => self.opened(index, socket, now),
            Progress::Failed(why) => self.ended(index, &Lost::NotConnected(why), now),
            Progress::Pending => {
                let Some(entry) = self.table.get(index) else { return };
                if matches!(&entry.wire, Wire::Connecting { connector, .. } if connector.is_resolving()) {
                    self.queues.connecting.push(index);
                }
                self.table.schedule(index);
            }
        }
    }

    fn opened(&mut self, index: Index, socket: Socket, now: Instant) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.room.step(Input::Opened, random(), now);
        self.counts.connections += 1;
        let number = self.counts.connections;
        let server = entry.address.and_then(|address| self.plan.servers.get(address.0));
        let (Wire::Connecting { auth, .. }, Some(server)) =
            (std::mem::replace(&mut entry.wire, Wire::None), server)
        else {
            return;
        };
        let random = (u128::from(random()) << 64) | u128::from(random());
        match Link::new(socket, server, &self.plan.limits, auth, random, number) {
            Ok(mut link) => {
                if link.is_open() {
                    link.join(&entry.name);
                }
                entry.wire = Wire::Open(Box::new(link));
                self.mark_ready(index);
                self.mark_unsent(index);
                self.table.schedule(index);
            }
            Err(lost) => self.ended(index, &lost, now),
        }
    }

    /// A connection is over, or an attempt came to nothing.
    pub(super) fn ended(&mut self, index: Index, why: &Lost, now: Instant) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let before = entry.room.state();
        // The room itself is not among them before its join is answered.
        let others = if self.counts.live > 0 { Others::Served } else { Others::NotServed };
        let action = entry.room.step(Input::Ended(why.end(before, others)), random(), now);
        self.closed(index, before, why, action);
    }

    /// Closes what the room has, gives its place to another, and reports it.
    pub(super) fn closed(&mut self, index: Index, before: State, why: &Lost, action: Action) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let server = entry.address.and_then(|address| self.plan.servers.get(address.0));
        let server = server.map_or("", |server| server.authority.as_str());
        let topic = Arc::clone(&entry.name);
        self.pending.push_back(match action {
            Action::Park { retry } => Pending::Refused { topic, why: format!("{server}: {why}"), retry },
            Action::Lost { retry } => {
                let unheard =
                    if why.is_seen_late() { entry.room.unheard(before, self.now) } else { Duration::ZERO };
                let why = format!("{server}: {why}; next attempt in {} ms", retry.as_millis());
                Pending::Interrupted { topic, why, unheard }
            }
            Action::Nothing | Action::GetInLine | Action::Connect { .. } | Action::Heartbeat => return,
        });
        self.release(index, before, why.close_code());
        self.table.schedule(index);
    }

    /// Closes the connection of a room that was in state `before`, and gives its place back.
    pub(super) fn release(&mut self, index: Index, before: State, code: CloseCode) {
        let Some(entry) = self.table.get_mut(index) else { return };
        self.counts.live -= u32::from(matches!(before, State::Live { .. }));
        if let Some(address) = entry.address.take() {
            self.line.give_back(address);
            self.counts.asked -= 1;
        }
        if let Wire::Open(link) = std::mem::replace(&mut entry.wire, Wire::None) {
            link.close(code);
        }
        self.arriving.forget(index);
    }
}

/// What rooms are joined with, as the file says it now.
fn read_auth(path: &str) -> Result<JoinAuth, String> {
    if path.is_empty() {
        return Ok(JoinAuth::default());
    }
    let wrong = |why: &dyn fmt::Display| format!("auth_file {path}: {why}");
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(AUTH_MAX).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    JoinAuth::parse(&text).map_err(|error| wrong(&error))
}
