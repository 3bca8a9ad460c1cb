//! The sessions of Socket.IO in the gateway: rooms by `itemId`, a match's changes to those who are in its room, messages to rooms.
//!
//! `socket_io` decides; here its outputs are carried out on connections, and what a session watches is kept at the newest state as a stream is
//! (`client::watch`). A room that has a match's name gets that match as soon as there is one. Callers: the loop.

use super::access::Pass;
use super::client::{Advance, ClientId, ENOUGH, Progress};
use super::engine_io::{self, Closed, Frame, Payload, Sent, Settings};
use super::frame::{Message, Why};
use super::http::{Answer, Request, Status};
use super::items::{Document, Found, ItemKey, Watcher};
use super::metrics::Histogram;
use super::publish::Retained;
use super::rooms::{
    Broadcast, Delivery, Emitted, Joined, Namespace, ROOMS_PER_SESSION, RoomName, Rooms, SessionId,
};
use super::run::Gateway;
use super::socket_io::{self, Output, SocketIo};
use crate::wire::websocket::ServerRequest;
use hashbrown::HashMap;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::model::MatchKey;

/// Bytes that go from what waits for a session to its socket at once.
const REFILL: usize = 64 * 1024;
/// A request is answered with a ping well before that.
const HELD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) io: SocketIo,
    pub(super) rooms: Rooms,
    pub(super) retained: Retained,
    members: HashMap<SessionId, Member, foldhash::fast::RandomState>,
    main: Namespace,
    /// From the receipt of what is published to its write to a client.
    pub(super) ages: Histogram,
    /// Messages of clients.
    pub(super) received: u64,
    /// Messages to rooms, and how many clients they went to.
    pub(super) broadcasts: u64,
    pub(super) delivered: u64,
}

/// A session as its application knows it.
#[derive(Debug)]
struct Member {
    rooms: Result<Vec<RoomName>, &'static str>,
    pass: Pass,
    watches: Vec<(MatchKey, Progress)>,
    /// Matches that it is sent once it has read what waits: snapshots of many would be too much at once.
    later: VecDeque<MatchKey>,
    address: IpAddr,
}

impl Sockets {
    pub(super) fn new(settings: Settings) -> Sockets {
        let main = Namespace::main();
        Sockets {
            io: SocketIo::new(settings, vec![main.clone()]),
            rooms: Rooms::default(),
            retained: Retained::default(),
            members: HashMap::default(),
            main,
            ages: Histogram::default(),
            received: 0,
            broadcasts: 0,
            delivered: 0,
        }
    }

    /// Counts how old what was received then is now.
    fn written(&mut self, received: impl IntoIterator<Item = Instant>, now: Instant) {
        for received in received {
            self.ages.count(now.saturating_duration_since(received));
        }
    }
}

/// The rooms that a client asks for by `itemId`.
fn wanted_rooms(request: &Request) -> Result<Vec<RoomName>, &'static str> {
    const WRONG: &str = "itemId: expected at most 64 names of 1 to 128 bytes, with commas between them";
    let given = request.query.iter().filter(|(name, _)| name == "itemId");
    let names = given.flat_map(|(_, value)| value.split(',')).filter(|name| !name.is_empty());
    let mut rooms = Vec::new();
    for name in names {
        let room = RoomName::new(name).ok_or(WRONG)?;
        if !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    if rooms.len() > ROOMS_PER_SESSION { Err(WRONG) } else { Ok(rooms) }
}

impl Gateway {
    /// A request for `/socket.io/`: it is answered, held, or opens a WebSocket.
    ///
    /// # Errors
    /// The answer to whom nothing is opened for.
    pub(super) fn socket_request(
        &mut self,
        client: ClientId,
        request: &Request,
        now: Instant,
    ) -> Result<(), Answer> {
        let pass = self.access.pass(request).ok_or_else(engine_io::forbidden)?;
        let Some(connection) = self.connections.get(client) else { return Ok(()) };
        let address = self.access.client_of(connection.peer, request);
        let mut outputs = Vec::new();
        let is_new = request.parameter("sid").is_none();
        if is_new && !self.access.enter_session(address) {
            return Err(Answer::refused(Status::TooMany, "too many sessions of your address"));
        }
        self.sockets.io.request(client, request, now, &mut outputs);
        let mut is_opened = false;
        for output in &outputs {
            match output {
                Output::Opened(session) => {
                    is_opened = true;
                    let rooms = wanted_rooms(request);
                    let member = Member { rooms, pass, watches: Vec::new(), later: VecDeque::new(), address };
                    self.sockets.members.insert(*session, member);
                }
                Output::Transport(engine_io::Output::Accept(client, session)) => {
                    self.open_socket(*client, *session, request, now);
                }
                Output::Transport(_)
                | Output::Connect { .. }
                | Output::Event { .. }
                | Output::Left { .. }
                | Output::Closed { .. } => {}
            }
        }
        if is_new && !is_opened {
            self.access.leave_session(address);
        }
        self.carry_out(outputs, now);
        Ok(())
    }

    fn open_socket(&mut self, client: ClientId, session: SessionId, request: &Request, now: Instant) {
        let Some(connection) = self.connections.get(client) else { return };
        let mut head = Vec::new();
        // The engine accepts only what is such a request.
        if let Ok(Some((upgrade, _))) = ServerRequest::parse(&request.head) {
            upgrade.accept(None, None, &mut head);
        }
        connection.client.open_socket(head, Settings::default().max_payload, now);
        connection.session = Some(session);
    }

    pub(super) fn socket_message(
        &mut self,
        client: ClientId,
        session: SessionId,
        message: Payload,
        now: Instant,
    ) {
        let mut outputs = Vec::new();
        self.sockets.io.message(client, session, message, now, &mut outputs);
        self.carry_out(outputs, now);
    }

    /// A connection that served a session serves it no more.
    pub(super) fn session_gone(&mut self, client: ClientId, session: SessionId, now: Instant) {
        let mut outputs = Vec::new();
        self.sockets.io.gone(client, session, now, &mut outputs);
        self.carry_out(outputs, now);
    }

    pub(super) fn expire_sessions(&mut self, now: Instant) {
        if self.sockets.io.deadline().is_some_and(|at| at <= now) {
            let mut outputs = Vec::new();
            self.sockets.io.expire(now, &mut outputs);
            self.carry_out(outputs, now);
        }
    }

    pub(super) fn close_sessions(&mut self, now: Instant) {
        for session in self.sockets.io.engine.ids() {
            self.close_session(session, Closed::Leaving, now);
        }
    }

    fn close_session(&mut self, session: SessionId, why: Closed, now: Instant) {
        let mut outputs = Vec::new();
        self.sockets.io.close(session, why, now, &mut outputs);
        self.carry_out(outputs, now);
    }

    fn carry_out(&mut self, outputs: Vec<Output>, now: Instant) {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            let mut more = Vec::new();
            match output {
                Output::Transport(output) => self.transport(output, now, &mut more),
                Output::Opened(_) => {}
                Output::Connect { session, namespace, auth } => {
                    self.connect(session, &namespace, &auth, &mut more);
                }
                Output::Event { session, namespace, event, ack } => {
                    log::debug!(bytes = event.json.len(); "gateway.client_event");
                    self.sockets.received += 1;
                    if let Some(ack) = ack {
                        // So that no client waits for it.
                        let json = Arc::from(r#"[{"error":"events of clients are not used here"}]"#);
                        let args = Emitted { json, attachments: Vec::new() };
                        self.sockets.io.acknowledge(session, &namespace, ack, &args, &mut more);
                    }
                }
                Output::Left { session, namespace } => self.left(session, &namespace, now),
                Output::Closed { session, why } => {
                    log::debug!(why = why.as_str(); "gateway.session_closed");
                    if let Some(member) = self.sockets.members.remove(&session) {
                        self.access.leave_session(member.address);
                    }
                }
            }
            outputs.extend(more);
        }
    }

    fn transport(&mut self, output: engine_io::Output, now: Instant, more: &mut Vec<Output>) {
        use engine_io::Output;
        match output {
            Output::Answer(client, answer) => {
                let Some(connection) = self.connections.get(client) else { return };
                connection.session = None;
                connection.client.answer(&answer, now);
                self.look_again(client);
            }
            Output::Hold(client, session) => {
                let Some(connection) = self.connections.get(client) else { return };
                connection.session = Some(session);
                connection.client.hold(HELD, now);
                self.catch_up_session(session, more);
            }
            Output::Write(client, frame) => {
                let Some(connection) = self.connections.get(client) else { return };
                connection.client.out.push(frame.websocket());
                self.look_again(client);
            }
            Output::Ready(client) => self.look_again(client),
            Output::Shut(client, why) => {
                let Some(connection) = self.connections.get(client) else { return };
                connection.session = None;
                connection.client.dismiss(why.code(), why.as_str(), now);
                self.look_again(client);
            }
            Output::Written(received) => self.sockets.written(received, now),
            // Carried out before, or the business of `socket_io`.
            Output::Accept(..) | Output::Opened(_) | Output::Received(..) | Output::Closed(..) => {}
        }
    }

    fn connect(&mut self, session: SessionId, namespace: &Namespace, auth: &str, more: &mut Vec<Output>) {
        let Some(member) = self.sockets.members.get(&session) else { return };
        let may = match member.pass {
            Pass::Given => true,
            Pass::Needed => {
                let auth = serde_json::from_str::<Value>(auth).unwrap_or_default();
                let token = auth.get("token").and_then(Value::as_str);
                token.is_some_and(|token| self.access.is_token(token))
            }
        };
        let rooms = match (&member.rooms, may) {
            (Ok(rooms), true) => rooms.clone(),
            (Err(why), true) => return self.sockets.io.refuse(session, namespace, why, more),
            (_, false) => {
                let why = "a token is needed: `?token=TOKEN`, or `auth: { token: \"TOKEN\" }`";
                return self.sockets.io.refuse(session, namespace, why, more);
            }
        };
        self.sockets.io.admit(session, namespace, more);
        self.sockets.rooms.enter(session, namespace);
        for room in rooms {
            self.join(session, namespace, &room, more);
        }
    }

    /// A session enters a room, and is sent the newest state of the match that has its name, and what was kept for it.
    fn join(&mut self, session: SessionId, namespace: &Namespace, room: &RoomName, more: &mut Vec<Output>) {
        match self.sockets.rooms.join(session, namespace, room) {
            Joined::First | Joined::Another => {}
            Joined::Already => return,
            Joined::Refused => return log::debug!(room:% = room; "gateway.rooms_full"),
        }
        if !namespace.is_main() {
            return;
        }
        if let Found::One(key) = self.items.find(room.as_str()) {
            self.watch_match(session, &key, more);
        }
        for frames in self.sockets.retained.of(room) {
            self.send(session, &frames, Delivery::Ordered, more);
        }
    }

    /// Another server wants it in a room.
    pub(super) fn join_room(&mut self, session: SessionId, room: &RoomName, now: Instant) {
        let mut outputs = Vec::new();
        self.join(session, &Namespace::main(), room, &mut outputs);
        self.carry_out(outputs, now);
    }

    /// Another server wants it out of a room, and with that out of the match that has its name.
    pub(super) fn leave_room(&mut self, session: SessionId, room: &RoomName, now: Instant) {
        self.sockets.rooms.leave(session, &Namespace::main(), room);
        let Found::One(key) = self.items.find(room.as_str()) else { return };
        if let Some(member) = self.sockets.members.get_mut(&session) {
            member.later.retain(|later| *later != key);
            member.watches.retain(|(watched, _)| *watched != key);
        }
        self.items.unwatch(&ItemKey::Match(key), Watcher::Session(session), now);
    }

    /// Another server wants it sent away.
    pub(super) fn disconnect(&mut self, session: SessionId, now: Instant) {
        let mut outputs = Vec::new();
        self.sockets.io.disconnect(session, &Namespace::main(), &mut outputs);
        self.carry_out(outputs, now);
    }

    fn watch_match(&mut self, session: SessionId, key: &MatchKey, more: &mut Vec<Output>) {
        let Some(member) = self.sockets.members.get_mut(&session) else { return };
        if member.watches.iter().any(|(known, _)| known == key) || member.later.contains(key) {
            return;
        }
        if self.sockets.io.engine.waiting(session) >= ENOUGH {
            member.later.push_back(key.clone());
            return;
        }
        let item = ItemKey::Match(key.clone());
        let Some(known) = self.items.watch(&item, Watcher::Session(session), None) else { return };
        let (progress, first) = Progress::begin(known, Why::First);
        member.watches.push((key.clone(), progress));
        if let Some(first) = first {
            let feed = self.items.feed(key);
            self.send(session, first.socket(&feed, key.id.as_str()), Delivery::Ordered, more);
        }
    }

    /// Matches that were not there before: some may be waited for.
    pub(super) fn matches_appeared(&mut self, now: Instant) {
        let mut outputs = Vec::new();
        for key in self.items.take_appeared() {
            if self.sockets.rooms.count() == 0 {
                continue;
            }
            let names = [key.id.as_str().to_owned(), format!("{}/{}", self.items.feed(&key), key.id)];
            for room in names.iter().filter_map(|name| RoomName::new(name)) {
                if self.items.find(room.as_str()) != Found::One(key.clone()) {
                    continue;
                }
                for session in self.sockets.rooms.members(&self.sockets.main, &room) {
                    self.watch_match(session, &key, &mut outputs);
                }
            }
        }
        self.carry_out(outputs, now);
    }

    fn left(&mut self, session: SessionId, namespace: &Namespace, now: Instant) {
        self.sockets.rooms.exit(session, namespace);
        if !namespace.is_main() {
            return;
        }
        let member = self.sockets.members.get_mut(&session);
        let watches = member.map(|member| {
            member.later.clear();
            std::mem::take(&mut member.watches)
        });
        for (key, _) in watches.unwrap_or_default() {
            self.items.unwatch(&ItemKey::Match(key), Watcher::Session(session), now);
        }
    }

    /// Sends a message to those who are in its rooms here. `received`: when it came, if it is one whose age is measured.
    pub(super) fn broadcast(&mut self, message: &Broadcast, received: Option<Instant>, now: Instant) {
        let frames = socket_io::frames(&message.namespace, &message.event, received);
        let sessions = self.sockets.rooms.select(message);
        self.sockets.broadcasts += 1;
        self.sockets.delivered += sessions.len() as u64;
        let mut outputs = Vec::new();
        for session in sessions {
            self.send(session, &frames, message.delivery, &mut outputs);
        }
        self.carry_out(outputs, now);
    }

    /// A state of a match was published: to a session that watches it.
    pub(super) fn deliver_change(
        &mut self,
        session: SessionId,
        key: &ItemKey,
        (from, to): (&Arc<Document>, &Arc<Document>),
        message: Option<&Message>,
        now: Instant,
    ) {
        let ItemKey::Match(key) = key else { return };
        let waiting = self.sockets.io.engine.waiting(session);
        let Some(member) = self.sockets.members.get_mut(&session) else { return };
        let Some((_, progress)) = member.watches.iter_mut().find(|(known, _)| known == key) else { return };
        match (progress.advance(waiting, from, to), message) {
            (Advance::Sent, Some(message)) => {
                let feed = self.items.feed(key);
                let mut outputs = Vec::new();
                self.send(session, message.socket(&feed, key.id.as_str()), Delivery::Ordered, &mut outputs);
                self.carry_out(outputs, now);
            }
            (Advance::Sent, None) | (Advance::No, _) => {}
        }
    }

    /// A committed event of a match that a session watches.
    pub(super) fn deliver_event_to(&mut self, session: SessionId, message: &Message, now: Instant) {
        let mut outputs = Vec::new();
        self.send(session, message.socket("", ""), Delivery::Ordered, &mut outputs);
        self.carry_out(outputs, now);
    }

    fn send(&mut self, session: SessionId, frames: &[Frame], delivery: Delivery, more: &mut Vec<Output>) {
        match self.sockets.io.emit(session, frames, delivery, more) {
            Sent::Yes | Sent::LeftOut => {}
            Sent::TooSlow => {
                self.counters.slow += 1;
                let now = Instant::now();
                self.sockets.io.close(session, Closed::TooSlow, now, more);
            }
        }
    }

    /// Gives a session's socket that has written everything what waits for it; whether there was something.
    pub(super) fn refill(&mut self, client: ClientId, now: Instant) -> bool {
        let Some(connection) = self.connections.get(client) else { return false };
        let Some(session) = connection.session else { return false };
        if !connection.client.is_socket() || !connection.client.out.is_empty() {
            return false;
        }
        let frames = self.sockets.io.engine.take_frames(client, session, REFILL);
        if frames.is_empty() {
            let mut outputs = Vec::new();
            self.catch_up_session(session, &mut outputs);
            let has_more = !outputs.is_empty();
            self.carry_out(outputs, now);
            return has_more;
        }
        self.sockets.written(frames.iter().filter_map(|frame| frame.received), now);
        if let Some(connection) = self.connections.get(client) {
            frames.into_iter().for_each(|frame| connection.client.out.push(frame.websocket()));
        }
        true
    }

    /// A session for which nothing waits gets the newest state of the matches for which some were left out.
    fn catch_up_session(&mut self, session: SessionId, more: &mut Vec<Output>) {
        if self.sockets.io.engine.waiting(session) > 0 {
            return;
        }
        let Some(member) = self.sockets.members.get_mut(&session) else { return };
        let mut messages = Vec::new();
        for (key, progress) in member.watches.iter_mut().filter(|(_, progress)| progress.is_behind()) {
            let newest = self.items.published(&ItemKey::Match(key.clone()));
            let message = newest.and_then(|newest| progress.catch_up(newest));
            messages.extend(message.map(|message| (key.clone(), message)));
        }
        for (key, message) in messages {
            self.counters.conflated += 1;
            let feed = self.items.feed(&key);
            self.send(session, message.socket(&feed, key.id.as_str()), Delivery::Ordered, more);
        }
        while self.sockets.io.engine.waiting(session) < ENOUGH
            && let Some(member) = self.sockets.members.get_mut(&session)
            && let Some(key) = member.later.pop_front()
        {
            self.watch_match(session, &key, more);
        }
    }
}
