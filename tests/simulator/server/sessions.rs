//! Who may connect, and sessions that outlive their connection.
//!
//! A session whose connection breaks keeps its place among the connections for the keep-alive time, without a socket:
//! what it follows is queued as before, within the same bounds. A client that names it gets its queue on a new socket.

use super::connection::{End, State, Topic};
use super::listen::Handshake;
use super::run::{SESSION, Server};
use crate::options::OnResume;
use mio::{Interest, Token};
use std::time::Instant;
use touchline_worker::wire::diffusion::{ConnectResponse, MessageType, ResponseCode, TopicRef};

/// What a client showed of itself, by name and password.
pub(super) type Shown = Option<(Vec<u8>, Vec<u8>)>;

impl Server {
    /// Why this client may not connect, if it may not.
    pub(super) fn refusal(&self, shown: &Shown) -> Option<ResponseCode> {
        match shown {
            None if self.login.is_some() => Some(ResponseCode::Rejected),
            Some((username, password)) if !self.is_right(username, password) => {
                Some(ResponseCode::AuthenticationFailed)
            }
            None | Some(_) => None,
        }
    }

    /// Whether a login is the one that is wanted, if one is.
    pub(super) fn is_right(&self, username: &[u8], password: &[u8]) -> bool {
        self.login.as_ref().is_none_or(|login| {
            (login.username.as_bytes(), login.password.as_bytes()) == (username, password)
        })
    }

    /// Whether a topic of a login names a session that is not good.
    pub(super) fn is_stale(&self, topic: &[u8]) -> bool {
        self.session.as_ref().is_some_and(|good| good != topic && topic.starts_with(SESSION.as_bytes()))
    }

    /// A client was let in with a session that is not good: the session's topic says so, and that is all it gets.
    pub(super) fn refuse_session(&mut self, at: usize, topic: &[u8]) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        connection.state = State::Stale;
        self.report.stale += 1;
        let body = [b"F|ER;RT=2;IT=", topic, b";|"].concat();
        let named = TopicRef::Named { name: topic, alias: None };
        self.forms.deliver(&mut self.connections, &[at], MessageType::TopicLoad, named, &body);
    }

    /// A client may not come in: it gets the code and is let go.
    pub(super) fn refuse(&mut self, at: usize, version: u8, code: ResponseCode) -> End {
        if let Some(connection) = self.connections.get_mut(at) {
            let response = ConnectResponse::Refused { version, code };
            if connection.send(|out| response.encode(out)).is_err() {
                return End::Bad;
            }
        }
        End::Refused
    }

    /// Whether the session of a connection that ended is kept.
    pub(super) fn keep(&mut self, at: usize, end: End) -> bool {
        let broke = matches!(end, End::Left | End::Reset | End::Silent);
        let Some(connection) = self.connections.get_mut(at) else { return false };
        // Reading and writing may both have seen it.
        if broke && matches!(connection.state, State::Kept(_)) {
            return true;
        }
        if !broke || self.keep_alive.is_zero() || connection.state != State::Open {
            return false;
        }
        self.report.resets += u64::from(end == End::Reset);
        self.report.silent += u64::from(end == End::Silent);
        let mut link = connection.keep(Instant::now() + self.keep_alive);
        self.let_go(link.as_mut(), end);
        true
    }

    /// A client wants to go on with an earlier session.
    ///
    /// # Errors
    /// When there is no such session.
    pub(super) fn go_on(&mut self, at: usize, wanted: &[u8], handshake: &Handshake) -> Result<(), End> {
        let is = |connection: &super::connection::Connection| {
            connection.client.as_bytes() == wanted && connection.state != State::Handshake
        };
        let Some(old) = self.connections.iter().find(|(_, one)| is(one)).map(|(place, _)| place) else {
            return Err(self.refuse(at, handshake.version, ResponseCode::UnknownSession));
        };
        // The server may not have seen yet that the earlier connection broke, or just now.
        self.closing.retain(|(place, _)| *place != old);
        if let Some(earlier) = self.connections.get_mut(old)
            && earlier.state == State::Open
        {
            let mut link = earlier.keep(Instant::now());
            self.let_go(link.as_mut(), End::Left);
        }
        let mut answer = Vec::new();
        let code = ResponseCode::Reconnected;
        ConnectResponse::Accepted { version: handshake.version, code, client_id: wanted }
            .encode(&mut answer)
            .map_err(|_| End::Bad)?;
        let Some(mut new) = self.connections.try_remove(at) else { return Err(End::Bad) };
        new.takes = self.forms.takes(handshake.capabilities);
        let both = Interest::READABLE | Interest::WRITABLE;
        let moved = new.link().map(|link| self.poll.registry().reregister(link.stream(), Token(old), both));
        let Some(connection) = self.connections.get_mut(old) else { return Err(End::Bad) };
        connection.go_on(new, &answer, Instant::now());
        self.report.resumed += 1;
        if !matches!(moved, Some(Ok(()))) {
            self.closing.push((old, End::Left));
            return Ok(());
        }
        let topics: Vec<Topic> = connection.subscribed.iter().cloned().collect();
        match self.on_resume {
            OnResume::Queued => {}
            OnResume::Reload => topics.iter().for_each(|topic| self.load(old, topic)),
        }
        // What came with the request, here or where no event announces it again.
        self.understand(old)
            .and_then(|()| self.read_all(old))
            .unwrap_or_else(|end| self.closing.push((old, end)));
        Ok(())
    }
}
