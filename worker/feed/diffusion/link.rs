//! A connected socket and the session on it, with a tunnel between where the transport is WebSocket.
//!
//! Without a tunnel the socket reads straight into the session's buffer. With one, the socket is read only once the tunnel has
//! given all it has, so nothing that came is overtaken by the end of the stream.

use super::{LostReason, Session};
use crate::net::{Broken, Got, Readiness, Rest, Socket};
use crate::wire::diffusion::tunnel::ClientTunnel;
use std::os::fd::AsFd;
use std::time::Instant;

/// The tunnel is given no more to send while this much of it waits: the rest stays where its limit is watched.
const TUNNEL_OUT: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: Session,
    socket: Socket,
    tunnel: Option<Box<ClientTunnel>>,
    queue: Queue,
    /// What was read since it was last taken; none where nobody wants it.
    pub(super) received: Option<Vec<u8>>,
}

/// What the socket's receive queue holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Nothing; the next event announces more.
    Drained,
    Unread,
    /// Something may be there, and behind it the end: no event will announce that again, so a short read proves nothing.
    Ending,
}

impl Link {
    /// Whatever is in the socket by now is read first: what the poll reported while it was being connected was not kept.
    pub(super) fn new(
        session: Session,
        socket: Socket,
        tunnel: Option<Box<ClientTunnel>>,
        received: Option<Vec<u8>>,
    ) -> Link {
        Link { session, socket, tunnel, queue: Queue::Ending, received }
    }

    pub(super) fn note(&mut self, readiness: Readiness) {
        self.queue = match (readiness, self.queue) {
            (Readiness::End, _) | (Readiness::Bytes, Queue::Ending) => Queue::Ending,
            (Readiness::Bytes, Queue::Drained | Queue::Unread) => Queue::Unread,
        };
    }

    pub(super) fn is_drained(&self) -> bool {
        self.queue == Queue::Drained && self.tunnel.as_ref().is_none_or(|tunnel| tunnel.is_drained())
    }

    /// One read into the session's buffer; how many bytes that was, as the session counts them.
    pub(super) fn read(&mut self, now: Instant) -> usize {
        let read = self.try_read(now);
        read.unwrap_or_else(|why| {
            self.session.disconnected(why);
            self.queue = Queue::Drained;
            0
        })
    }

    fn try_read(&mut self, now: Instant) -> Result<usize, LostReason> {
        let Link { session, socket, tunnel, queue, received } = self;
        let Some(tunnel) = tunnel else {
            let room = session.spare();
            if room.is_empty() {
                return Ok(0);
            }
            let Some(count) = take(socket, queue, room)? else { return Ok(0) };
            keep(received, room, count);
            session.filled(count, now);
            return Ok(count);
        };
        if tunnel.is_drained() {
            let Some(count) = take(socket, queue, tunnel.spare())? else { return Ok(0) };
            tunnel.filled(count);
            // Pings of the WebSocket, and parts of a large message, are signs of life.
            session.filled(0, now);
        }
        let room = session.spare();
        let pulled = tunnel.pull(room);
        keep(received, room, *pulled.as_ref().unwrap_or(&0));
        if pulled.is_err() {
            // The close frame with the reason, as far as that goes at once.
            while !tunnel.output().is_empty() {
                match socket.write(tunnel.output()) {
                    Ok(count) if count > 0 => tunnel.output_sent(count),
                    Ok(_) | Err(_) => break,
                }
            }
        }
        let count = pulled.map_err(LostReason::Tunnel)?;
        session.filled(count, now);
        Ok(count)
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub(super) fn flush(&mut self) {
        if let Err(broken) = self.try_flush() {
            self.session.disconnected(broken.into());
            // The next turn comes at once and gives the event.
            self.queue = Queue::Unread;
        }
    }

    fn try_flush(&mut self) -> Result<(), Broken> {
        let Link { session, socket, tunnel, .. } = self;
        socket.flush()?;
        let Some(tunnel) = tunnel else {
            while !session.output().is_empty() {
                match socket.write(session.output())? {
                    0 => return Ok(()),
                    count => session.output_sent(count),
                }
            }
            return Ok(());
        };
        loop {
            if tunnel.output().len() < TUNNEL_OUT {
                let count = tunnel.push(session.output());
                session.output_sent(count);
            }
            if tunnel.output().is_empty() {
                return Ok(());
            }
            match socket.write(tunnel.output())? {
                0 => return Ok(()),
                count => tunnel.output_sent(count),
            }
        }
    }

    /// What a handshake that is not done was waiting for.
    pub(super) fn stage(&self) -> &'static str {
        if self.socket.is_handshaking() {
            return " (the TLS handshake)";
        }
        match &self.tunnel {
            Some(tunnel) if !tunnel.is_upgraded() => " (the answer to the WebSocket request)",
            Some(_) | None => "",
        }
    }

    /// Bytes that came and are not applied: in the kernel and in the session's buffer.
    pub(super) fn receive_queue(&self) -> u64 {
        let kernel = touchline_common::sys::queue::readable_bytes(self.socket.as_fd()).unwrap_or(0);
        kernel + self.session.unread() as u64
    }

    /// The session is over, and the socket is closed.
    pub(super) fn into_session(mut self) -> Session {
        self.socket.farewell();
        self.session
    }
}

/// Keeps the first `count` bytes of `room`, where that is wanted.
fn keep(received: &mut Option<Vec<u8>>, room: &[u8], count: usize) {
    if let Some(received) = received {
        received.extend_from_slice(room.get(..count).unwrap_or_default());
    }
}

/// Reads into `room`; none if nothing is there, an error at the end.
fn take(socket: &mut Socket, queue: &mut Queue, room: &mut [u8]) -> Result<Option<usize>, LostReason> {
    match socket.read(room)? {
        Got::Bytes(count, rest) => {
            if rest == Rest::None && *queue == Queue::Unread {
                *queue = Queue::Drained;
            }
            Ok(Some(count))
        }
        Got::Nothing => {
            *queue = Queue::Drained;
            Ok(None)
        }
        Got::End => Err(LostReason::EndOfStream),
    }
}

impl From<Broken> for LostReason {
    fn from(broken: Broken) -> LostReason {
        match broken {
            Broken::Socket(kind) => LostReason::Socket(kind),
            Broken::Tls(why) => LostReason::Tls(why),
        }
    }
}
