//! What clients say: the handshake, subscriptions, pings; and the loads that answer.

use super::connection::{End, State, Topic};
use super::grants::Granted;
use super::moment;
use super::run::{LIST_ALIAS, Server, TIME_ALIAS, TIME_TOPIC};
use super::ticks::CLOCK_EVERY;
use crate::model::branch;
use crate::model::{Moment, compact};
use crate::options::{Payload, Protocol};
use touchline_worker::wire::diffusion::{
    self as wire, ConnectRequest, ConnectResponse, MessageType, ResponseCode, TopicRef,
};

/// What a client's handshake says, apart from who it is.
pub(super) struct Handshake {
    pub(super) version: u8,
    pub(super) capabilities: u8,
}

impl Server {
    /// Takes in everything a client has sent.
    pub(super) fn understand(&mut self, at: usize) -> Result<(), End> {
        if self.connections.get(at).is_some_and(|connection| connection.state == State::Handshake)
            && !self.handshake(at)?
        {
            return Ok(());
        }
        loop {
            let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
            let Some(frame) = connection.input.advance().map_err(|_| End::Bad)? else { return Ok(()) };
            let message = connection.input.message(frame);
            match message.kind {
                MessageType::Subscribe => {
                    let topics: Vec<Vec<u8>> = message.selectors().map(<[u8]>::to_vec).collect();
                    for topic in &topics {
                        self.subscribe(at, topic)?;
                    }
                }
                MessageType::Unsubscribe => {
                    let topics: Vec<Vec<u8>> = message.selectors().map(<[u8]>::to_vec).collect();
                    for topic in &topics {
                        self.unsubscribe(at, topic);
                    }
                }
                MessageType::PingServer => {
                    let timestamp = message.ping().map(|ping| ping.timestamp.to_vec()).ok_or(End::Bad)?;
                    let depth = connection.depth() as u64;
                    connection.send(|out| wire::ping_server(out, &timestamp, depth)).map_err(|_| End::Bad)?;
                }
                MessageType::Credentials => {
                    let (username, password) = message.credentials().ok_or(End::Bad)?;
                    let (username, password) = (username.to_vec(), password.to_vec());
                    if !self.is_right(&username, &password)
                        && let Some(connection) = self.connections.get_mut(at)
                    {
                        let sent =
                            connection.send(|out| wire::credentials_rejected(out, &username, &password));
                        sent.map_err(|_| End::Bad)?;
                    }
                }
                MessageType::Close | MessageType::Abort => return Err(End::Closed),
                // An echoed ping, an acknowledgement: reading them is all. The rest is the
                // server's to send, or is not offered.
                MessageType::PingClient
                | MessageType::Ack
                | MessageType::Delta
                | MessageType::DeltaAck
                | MessageType::Fetch
                | MessageType::Command
                | MessageType::TopicLoad
                | MessageType::TopicLoadAck
                | MessageType::FetchReply
                | MessageType::TopicStatus
                | MessageType::CommandTopicLoad
                | MessageType::CommandTopicNotification
                | MessageType::CredentialsRejected
                | MessageType::CancelFragments
                | MessageType::Unknown(_) => {}
            }
        }
    }

    /// Returns whether it is done.
    fn handshake(&mut self, at: usize) -> Result<bool, End> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(false) };
        let parsed = ConnectRequest::parse(connection.input.unread()).map_err(|_| End::Bad)?;
        let Some((request, used)) = parsed else { return Ok(false) };
        let topics = request.topics.to_vec();
        let handshake = Handshake { version: request.version, capabilities: request.capabilities };
        let wanted = request.client_id.map(<[u8]>::to_vec);
        let shown = request.credentials.map(|shown| (shown.username.to_vec(), shown.password.to_vec()));
        connection.input.skip(used);
        if let Some(code) = self.refusal(&shown) {
            return Err(self.refuse(at, handshake.version, code));
        }
        if let Some(wanted) = wanted {
            return self.go_on(at, &wanted, &handshake).map(|()| false);
        }
        let takes = self.forms.takes(handshake.capabilities);
        let Some(connection) = self.connections.get_mut(at) else { return Ok(false) };
        let client = connection.client.clone();
        let version = handshake.version;
        let response =
            ConnectResponse::Accepted { version, code: ResponseCode::Ok, client_id: client.as_bytes() };
        connection.send(|out| response.encode(out)).map_err(|_| End::Bad)?;
        connection.state = State::Open;
        connection.takes = takes;
        for topic in topics.split(|byte| *byte == b',').filter(|topic| !topic.is_empty()) {
            if self.is_stale(topic) {
                self.refuse_session(at, topic);
                break;
            }
            // Tokens of a login stand among the topics: they say something to such a server, and are none.
            let token = self.protocol == Protocol::Zap && matches!(self.topic(topic), Topic::Unknown(_));
            if !token {
                self.subscribe(at, topic)?;
            }
        }
        Ok(true)
    }

    /// A subscription, or one more time the same: either way a load follows, unless it is above the cap.
    fn subscribe(&mut self, at: usize, name: &[u8]) -> Result<(), End> {
        let topic = self.topic(name);
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        if connection.state == State::Stale {
            return Ok(());
        }
        if self.unanswered > 0 && matches!(topic, Topic::Match(_)) {
            self.unanswered -= 1;
            return Ok(());
        }
        if !connection.subscribed.contains(&topic) {
            if connection.subscribed.len() >= self.cap {
                if self.above_cap(at, name, &topic)? == Granted::Load {
                    self.load(at, &topic);
                }
                return Ok(());
            }
            if connection.partly.remove(&topic) {
                self.partly.remove(&topic, at);
            }
            connection.subscribed.insert(topic.clone());
            connection.most = connection.most.max(connection.subscribed.len());
            self.report.most_subscriptions = self.report.most_subscriptions.max(connection.most);
            if let Some(followers) = self.followers(&topic) {
                followers.push(at);
            }
        } else {
            self.serve_in_full(at, &topic);
        }
        self.load(at, &topic);
        Ok(())
    }

    fn unsubscribe(&mut self, at: usize, name: &[u8]) {
        let topic = self.topic(name);
        let Some(connection) = self.connections.get_mut(at) else { return };
        if connection.partly.remove(&topic) {
            self.partly.remove(&topic, at);
        }
        if connection.subscribed.remove(&topic)
            && let Some(followers) = self.followers(&topic)
        {
            followers.retain(|one| *one != at);
        }
    }

    fn topic(&self, name: &[u8]) -> Topic {
        if name == self.list_topic.as_bytes() {
            return Topic::List;
        }
        if name == TIME_TOPIC.as_bytes() {
            return Topic::Time;
        }
        let slot = str::from_utf8(name).ok().and_then(|name| {
            self.truth.with(|world| {
                let id = match world.payload() {
                    Payload::Inplay => name.strip_prefix("6V"),
                    Payload::TopicTree => branch::id_of(name),
                };
                world.slot(id?)
            })
        });
        slot.map_or_else(|| Topic::Unknown(name.to_vec()), Topic::Match)
    }

    pub(super) fn followers(&mut self, topic: &Topic) -> Option<&mut Vec<usize>> {
        match topic {
            Topic::List => Some(&mut self.list),
            Topic::Time => Some(&mut self.time),
            Topic::Match(slot) => {
                if self.followers.len() <= *slot {
                    self.followers.resize(*slot + 1, Vec::new());
                }
                self.followers.get_mut(*slot)
            }
            Topic::Unknown(_) => None,
        }
    }

    pub(super) fn load(&mut self, at: usize, topic: &Topic) {
        let now = moment();
        let truth = self.truth.clone();
        let mut world = truth.lock();
        let mut body = Vec::new();
        let (name, alias) = match topic {
            Topic::List => {
                world.list_load(now, &mut body);
                (self.list_topic.clone(), LIST_ALIAS.to_owned())
            }
            Topic::Time => {
                body = time_body(b"F", now);
                (TIME_TOPIC.to_owned(), TIME_ALIAS.to_owned())
            }
            Topic::Match(slot) if world.payload() == Payload::TopicTree => {
                world.follow(*slot, now);
                return self.load_branch(at, &world, *slot);
            }
            Topic::Match(slot) => {
                world.follow(*slot, now);
                world.match_load(*slot, now, &mut body);
                let Some(m) = world.matches.get(*slot) else { return };
                (m.ident.topic.clone(), alias(m.ident.number))
            }
            Topic::Unknown(_) => return,
        };
        let alias = (self.aliases && name.len() > 4).then_some(alias.as_bytes());
        let topic = TopicRef::Named { name: name.as_bytes(), alias };
        self.forms.deliver(&mut self.connections, &[at], MessageType::TopicLoad, topic, &body);
        self.report.loads += 1;
    }
}

/// `F|IN;TI=20251116152627721;UF=15;|`
pub(super) fn time_body(operation: &[u8], now: Moment) -> Vec<u8> {
    let mut body = operation.to_vec();
    let time = compact(now.seconds() + now.offset);
    let millis = now.micros.rem_euclid(1_000_000) / 1_000;
    body.extend_from_slice(format!("|IN;TI={time}{millis:03};UF={};|", CLOCK_EVERY.as_secs()).as_bytes());
    body
}

/// A match's alias: its number in base 36, after those of the server's own topics.
pub(super) fn alias(number: u32) -> String {
    let mut left = number;
    let mut digits = Vec::new();
    while left > 0 || digits.is_empty() {
        digits.push(char::from_digit(left % 36, 36).unwrap_or('0'));
        left /= 36;
    }
    digits.push('m');
    digits.into_iter().rev().collect()
}
