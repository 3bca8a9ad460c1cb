//! One session: how it is reached, its heartbeat, and what waits for it.

use super::packet::Frame;
use super::{Closed, Output, Settings};
use crate::serve::client::ClientId;
use crate::serve::http::{Answer, ContentType, Status};
use crate::serve::rooms::{Delivery, SessionId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Bytes that wait for a session at most before it misses a message. One message has room in any case.
pub(in crate::serve) const QUEUE: usize = 256 * 1024;
/// Beyond this what may be left out is.
const VOLATILE: usize = 16 * 1024;

#[derive(Debug)]
pub(super) enum Transport {
    /// `held`: the request that waits for something to answer it with.
    Polling {
        held: Option<ClientId>,
    },
    /// It polls, while a WebSocket is tried.
    Upgrading {
        held: Option<ClientId>,
        socket: ClientId,
        probe: Probe,
        until: Instant,
    },
    WebSocket {
        socket: ClientId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Awaited,
    /// What is sent waits for the client to say that it goes over to the WebSocket.
    Answered,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Heartbeat {
    Resting {
        ping_at: Instant,
    },
    /// A pong is awaited.
    Pinged {
        close_at: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub id: SessionId,
    /// What the client shows with each request: whoever knows it is the client.
    pub sid: Arc<str>,
    pub transport: Transport,
    pub heartbeat: Heartbeat,
    pub queue: Queue,
    /// When it is to be looked at, as it stands in the engine's table.
    pub scheduled: Instant,
}

/// Packets that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
}

/// What became of a message for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::serve) enum Sent {
    Yes,
    LeftOut,
    /// There is no room: the client is too slow.
    TooSlow,
}

impl Session {
    pub(super) fn deadline(&self) -> Instant {
        let beat = match self.heartbeat {
            Heartbeat::Resting { ping_at } => ping_at,
            Heartbeat::Pinged { close_at } => close_at,
        };
        match &self.transport {
            Transport::Upgrading { until, .. } => beat.min(*until),
            Transport::Polling { .. } | Transport::WebSocket { .. } => beat,
        }
    }

    /// Queues a packet and what belongs to it, and sends what can be.
    pub(super) fn send(
        &mut self,
        frames: &[Frame],
        delivery: Delivery,
        settings: &Settings,
        out: &mut Vec<Output>,
    ) -> Sent {
        let size: usize = frames.iter().map(Frame::size).sum();
        match delivery {
            Delivery::Volatile if self.queue.bytes > VOLATILE => return Sent::LeftOut,
            Delivery::Ordered if self.queue.bytes > 0 && self.queue.bytes + size > QUEUE => {
                return Sent::TooSlow;
            }
            Delivery::Volatile | Delivery::Ordered => {}
        }
        self.queue.extend(frames);
        self.flush(settings, out);
        Sent::Yes
    }

    /// What waits goes into the request that is held for it, or is announced to the socket.
    fn flush(&mut self, settings: &Settings, out: &mut Vec<Output>) {
        if self.queue.is_empty() {
            return;
        }
        match &mut self.transport {
            Transport::Polling { held } | Transport::Upgrading { held, .. } => {
                if let Some(client) = held.take() {
                    let (body, received) = self.queue.body(settings.max_payload);
                    out.push(Output::Written(received));
                    out.push(Output::Answer(client, packets(body)));
                }
            }
            Transport::WebSocket { socket } => out.push(Output::Ready(*socket)),
        }
    }

    /// A request to be answered with what waits, at once or once there is something.
    ///
    /// # Errors
    /// Another is held: the session is to be closed.
    pub(super) fn poll(
        &mut self,
        client: ClientId,
        settings: &Settings,
        out: &mut Vec<Output>,
    ) -> Result<(), Closed> {
        let is_probed = matches!(self.transport, Transport::Upgrading { probe: Probe::Answered, .. });
        match &mut self.transport {
            Transport::Polling { held } | Transport::Upgrading { held, .. } => {
                if held.is_some() {
                    return Err(Closed::Protocol);
                }
                *held = Some(client);
            }
            Transport::WebSocket { .. } => return Err(Closed::Protocol),
        }
        self.flush(settings, out);
        if is_probed {
            // The client waits for it before it goes over to the WebSocket.
            self.release("6", out);
        } else if self.holds(client) {
            out.push(Output::Hold(client, self.id));
        }
        Ok(())
    }

    fn holds(&self, client: ClientId) -> bool {
        match &self.transport {
            Transport::Polling { held } | Transport::Upgrading { held, .. } => *held == Some(client),
            Transport::WebSocket { .. } => false,
        }
    }

    /// Answers the request that is held, if one is, with one packet.
    pub(super) fn release(&mut self, packet: &str, out: &mut Vec<Output>) {
        match &mut self.transport {
            Transport::Polling { held } | Transport::Upgrading { held, .. } => {
                if let Some(client) = held.take() {
                    out.push(Output::Answer(client, packets(packet.to_owned())));
                }
            }
            Transport::WebSocket { .. } => {}
        }
    }

    /// The WebSocket that was tried is the transport from here on.
    pub(super) fn upgraded(&mut self, socket: ClientId, out: &mut Vec<Output>) {
        self.release("6", out);
        self.transport = Transport::WebSocket { socket };
        if !self.queue.is_empty() {
            out.push(Output::Ready(socket));
        }
    }

    /// The WebSocket that was tried is not taken.
    pub(super) fn stay_polling(&mut self) {
        if let Transport::Upgrading { held, .. } = &mut self.transport {
            self.transport = Transport::Polling { held: held.take() };
        }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn extend(&mut self, frames: &[Frame]) {
        self.bytes += frames.iter().map(Frame::size).sum::<usize>();
        self.frames.extend(frames.iter().cloned());
    }

    /// The next frames, until `most` bytes are reached.
    pub(super) fn take(&mut self, most: usize) -> Vec<Frame> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < most
            && let Some(frame) = self.frames.pop_front()
        {
            bytes += frame.size();
            taken.push(frame);
        }
        self.bytes -= bytes;
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        taken
    }

    /// What waits as the body of an answer, at least one packet; and when what of it was received.
    fn body(&mut self, most: usize) -> (String, Vec<Instant>) {
        let frames = self.take(most);
        let mut body = String::with_capacity(frames.iter().map(Frame::size).sum());
        frames.iter().for_each(|frame| frame.poll(&mut body));
        (body, frames.iter().filter_map(|frame| frame.received).collect())
    }
}

/// Packets of a session as an answer.
pub(super) fn packets(body: String) -> Answer {
    Answer { status: Status::Ok, content: ContentType::Packets, body: crate::serve::http::Body::Text(body) }
}
