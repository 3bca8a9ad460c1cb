//! Socket.IO 5 without I/O: who takes part in which namespace, events with their attachments, acknowledgements, over the sessions of `engine_io`.
//!
//! [`SocketIo`] takes requests, messages and times, and gives what is to be done with connections and what the application is to hear. The
//! application answers whoever asks to take part, and emits. A client that breaks the protocol is closed. Callers: the loop; in tests an
//! application that echoes.

mod packet;
mod peer;
#[cfg(test)]
mod tests;

use super::client::ClientId;
use super::engine_io::{self, Closed, Engine, Frame, Payload, Sent, Settings};
use super::http::Request;
use super::rooms::{Delivery, Emitted, Namespace, SessionId};
use hashbrown::HashMap;
use packet::Packet;
use peer::{Broken, Heard, Peer};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a client may take until it takes part in a namespace.
const CONNECT: Duration = Duration::from_secs(45);

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    /// With a connection.
    Transport(engine_io::Output),
    Opened(SessionId),
    /// A client asks to take part: to be admitted or refused. `auth` is what it says of itself, an object as JSON.
    Connect {
        session: SessionId,
        namespace: Namespace,
        auth: String,
    },
    /// A client's event; with `ack` it wants an acknowledgement.
    Event {
        session: SessionId,
        namespace: Namespace,
        event: Emitted,
        ack: Option<u64>,
    },
    /// It takes part no more.
    Left {
        session: SessionId,
        namespace: Namespace,
    },
    Closed {
        session: SessionId,
        why: Closed,
    },
}

#[derive(Debug)]
pub(super) struct SocketIo {
    pub(super) engine: Engine,
    peers: HashMap<SessionId, Peer, foldhash::fast::RandomState>,
    /// Those that there are; others are refused.
    namespaces: Vec<Namespace>,
    connect_timeout: Duration,
    max_payload: usize,
    /// Sessions that take part in nothing yet, by when they are closed.
    unconnected: BTreeSet<(Instant, SessionId)>,
    /// Of the engine, between two calls empty.
    outputs: Vec<engine_io::Output>,
}

impl SocketIo {
    pub(super) fn new(settings: Settings, namespaces: Vec<Namespace>) -> SocketIo {
        SocketIo {
            max_payload: settings.max_payload,
            engine: Engine::new(settings),
            peers: HashMap::default(),
            namespaces,
            connect_timeout: CONNECT,
            unconnected: BTreeSet::new(),
            outputs: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_connect_timeout(self, connect_timeout: Duration) -> SocketIo {
        SocketIo { connect_timeout, ..self }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let connect = self.unconnected.first().map(|(at, _)| *at);
        [self.engine.deadline(), connect].into_iter().flatten().min()
    }

    pub(super) fn request(
        &mut self,
        client: ClientId,
        request: &Request,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.engine.request(client, request, now, &mut outputs);
        self.hear(outputs, now, out);
    }

    /// A message of a session's WebSocket.
    pub(super) fn message(
        &mut self,
        client: ClientId,
        session: SessionId,
        message: Payload,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.engine.message(client, session, message, now, &mut outputs);
        self.hear(outputs, now, out);
    }

    /// A connection of a session ended.
    pub(super) fn gone(&mut self, client: ClientId, session: SessionId, now: Instant, out: &mut Vec<Output>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.engine.gone(client, session, &mut outputs);
        self.hear(outputs, now, out);
    }

    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.engine.expire(now, &mut outputs);
        while let Some((at, session)) = self.unconnected.first().copied()
            && at <= now
        {
            self.unconnected.remove(&(at, session));
            self.engine.close(session, Closed::Silent, &mut outputs);
        }
        self.hear(outputs, now, out);
    }

    pub(super) fn close(&mut self, session: SessionId, why: Closed, now: Instant, out: &mut Vec<Output>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.engine.close(session, why, &mut outputs);
        self.hear(outputs, now, out);
    }

    /// The application takes who asked.
    pub(super) fn admit(&mut self, session: SessionId, namespace: &Namespace, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let Some(sid) = engine_io::random_id().filter(|_| peer.admit(namespace)) else { return };
        if let Some(at) = peer.connect_by.take() {
            self.unconnected.remove(&(at, session));
        }
        self.send_text(session, &packet::connected(namespace, &sid), out);
    }

    /// The application does not take who asked.
    pub(super) fn refuse(
        &mut self,
        session: SessionId,
        namespace: &Namespace,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.refuse(namespace);
            self.send_text(session, &packet::refused(namespace, why), out);
        }
    }

    /// Takes a client out of a namespace, and tells it.
    pub(super) fn disconnect(&mut self, session: SessionId, namespace: &Namespace, out: &mut Vec<Output>) {
        if self.peers.get_mut(&session).is_some_and(|peer| peer.leave(namespace)) {
            self.send_text(session, &packet::disconnected(namespace), out);
            out.push(Output::Left { session, namespace: namespace.clone() });
        }
    }

    /// An event for one client, written before by [`frames`].
    pub(super) fn emit(
        &mut self,
        session: SessionId,
        frames: &[Frame],
        delivery: Delivery,
        out: &mut Vec<Output>,
    ) -> Sent {
        let mut outputs = std::mem::take(&mut self.outputs);
        let sent = self.engine.send(session, frames, delivery, &mut outputs);
        out.extend(outputs.drain(..).map(Output::Transport));
        self.outputs = outputs;
        sent
    }

    /// Answers an event that wants it; `args` are the array of its arguments.
    pub(super) fn acknowledge(
        &mut self,
        session: SessionId,
        namespace: &Namespace,
        ack: u64,
        args: &Emitted,
        out: &mut Vec<Output>,
    ) {
        let mut frames = vec![Frame::text(&packet::acknowledged(namespace, ack, args))];
        frames.extend(args.attachments.iter().map(|bytes| Frame::binary(bytes)));
        self.send(session, &frames, out);
    }

    fn send_text(&mut self, session: SessionId, text: &str, out: &mut Vec<Output>) {
        self.send(session, &[Frame::text(text)], out);
    }

    /// What a client asked for: one that asks more than it reads is closed when something is due.
    fn send(&mut self, session: SessionId, frames: &[Frame], out: &mut Vec<Output>) {
        match self.emit(session, frames, Delivery::Ordered, out) {
            Sent::Yes | Sent::LeftOut => {}
            Sent::TooSlow => {
                let mut outputs = std::mem::take(&mut self.outputs);
                self.engine.close(session, Closed::TooSlow, &mut outputs);
                for output in outputs.drain(..) {
                    self.pass(output, out);
                }
                self.outputs = outputs;
            }
        }
    }

    /// What the engine gives, and what follows from it.
    fn hear(&mut self, mut outputs: Vec<engine_io::Output>, now: Instant, out: &mut Vec<Output>) {
        for output in outputs.drain(..) {
            match output {
                engine_io::Output::Opened(session) => {
                    let until = now + self.connect_timeout;
                    self.peers.insert(session, Peer::new(until, now));
                    self.unconnected.insert((until, session));
                    out.push(Output::Opened(session));
                }
                engine_io::Output::Received(session, payload) => self.received(session, payload, now, out),
                other @ (engine_io::Output::Answer(..)
                | engine_io::Output::Hold(..)
                | engine_io::Output::Accept(..)
                | engine_io::Output::Write(..)
                | engine_io::Output::Ready(..)
                | engine_io::Output::Shut(..)
                | engine_io::Output::Written(..)
                | engine_io::Output::Closed(..)) => self.pass(other, out),
            }
        }
        self.outputs = outputs;
    }

    fn pass(&mut self, output: engine_io::Output, out: &mut Vec<Output>) {
        let engine_io::Output::Closed(session, why) = output else {
            return out.push(Output::Transport(output));
        };
        if let Some(peer) = self.peers.remove(&session) {
            if let Some(at) = peer.connect_by {
                self.unconnected.remove(&(at, session));
            }
            let left = |namespace| Output::Left { session, namespace };
            out.extend(peer.connected().map(left));
        }
        out.push(Output::Closed { session, why });
    }

    fn received(&mut self, session: SessionId, payload: Payload, now: Instant, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let heard = peer.pace(now).and_then(|()| match payload {
            Payload::Text(text) => {
                let packet = Packet::read(&text).map_err(|error| {
                    log::debug!(error:% = error; "gateway.bad_packet");
                    Broken::Protocol
                })?;
                peer.packet(packet)
            }
            Payload::Binary(bytes) => peer.attachment(&bytes, self.max_payload),
        });
        match heard {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Connect { namespace, auth }) => {
                if self.namespaces.contains(&namespace) {
                    out.push(Output::Connect { session, namespace, auth });
                } else {
                    self.refuse(session, &namespace, "Invalid namespace", out);
                }
            }
            Ok(Heard::Event { namespace, event, ack }) => {
                out.push(Output::Event { session, namespace, event, ack });
            }
            Ok(Heard::Left { namespace }) => out.push(Output::Left { session, namespace }),
            Err(broken) => {
                let why = match broken {
                    Broken::Protocol => Closed::Protocol,
                    Broken::TooMany => Closed::TooMany,
                };
                let mut outputs = Vec::new();
                self.engine.close(session, why, &mut outputs);
                for output in outputs {
                    self.pass(output, out);
                }
            }
        }
    }
}

/// An event as it is sent to any number of clients. `received`: when what it says came here, for how old it is when it is written.
pub(super) fn frames(namespace: &Namespace, event: &Emitted, received: Option<Instant>) -> Vec<Frame> {
    let head = Frame::text(&packet::emitted(namespace, event)).received_at(received);
    let mut frames = vec![head];
    frames.extend(event.attachments.iter().map(|bytes| Frame::binary(bytes)));
    frames
}
