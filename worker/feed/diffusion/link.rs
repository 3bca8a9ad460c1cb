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
    pub(super) socket: Socket,
    pub(super) tunnel: Option<Box<ClientTunnel>>,
    pub(super) queue: Queue,
}

/// What the socket's receive queue holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Nothing; the next event announces more.
    Drained,
    Unread,
    /// Something may be there, and behind it the end: no event will announce that again, so a short read proves nothing.
    Ending,
}

impl Link {
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
    pub(super) fn read(&mut self, session: &mut Session, now: Instant) -> usize {
        let Link { socket, tunnel, queue } = self;
        let Some(tunnel) = tunnel else {
            let room = session.spare();
            if room.is_empty() {
                return 0;
            }
            let count = take(socket, queue, room).unwrap_or_else(|why| over(session, queue, why));
            return match count {
                Some(count) => {
                    session.filled(count, now);
                    count
                }
                None => 0,
            };
        };
        if tunnel.is_drained() {
            let count = take(socket, queue, tunnel.spare()).unwrap_or_else(|why| over(session, queue, why));
            let Some(count) = count else { return 0 };
            tunnel.filled(count);
            // Pings of the WebSocket, and parts of a large message, are signs of life.
            session.filled(0, now);
        }
        match tunnel.pull(session.spare()) {
            Ok(count) => {
                session.filled(count, now);
                count
            }
            Err(error) => {
                // The close frame with the reason, as far as that goes at once.
                while !tunnel.output().is_empty() {
                    match socket.write(tunnel.output()) {
                        Ok(count) if count > 0 => tunnel.output_sent(count),
                        Ok(_) | Err(_) => break,
                    }
                }
                over(session, queue, Some(LostReason::Tunnel(error)));
                0
            }
        }
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub(super) fn flush(&mut self, session: &mut Session) {
        if let Err(broken) = self.try_flush(session) {
            over(session, &mut self.queue, Some(broken.into()));
            // The next turn comes at once and gives the event.
            self.queue = Queue::Unread;
        }
    }

    fn try_flush(&mut self, session: &mut Session) -> Result<(), Broken> {
        let Link { socket, tunnel, .. } = self;
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

    /// Bytes in the kernel that were not read.
    pub(super) fn kernel_queue(&self) -> u64 {
        touchline_common::sys::queue::readable_bytes(self.socket.as_fd()).unwrap_or(0)
    }
}

/// Reads into `room`; none if nothing is there, an error at the end, which may be one without a fault.
fn take(
    socket: &mut Socket,
    queue: &mut Queue,
    room: &mut [u8],
) -> Result<Option<usize>, Option<LostReason>> {
    match socket.read(room) {
        Ok(Got::Bytes(count, rest)) => {
            if rest == Rest::None && *queue == Queue::Unread {
                *queue = Queue::Drained;
            }
            Ok(Some(count))
        }
        Ok(Got::Nothing) => {
            *queue = Queue::Drained;
            Ok(None)
        }
        Ok(Got::End) => Err(None),
        Err(broken) => Err(Some(broken.into())),
    }
}

fn over(session: &mut Session, queue: &mut Queue, why: Option<LostReason>) -> Option<usize> {
    match why {
        None => session.disconnected(None),
        Some(why) => session.broken(why),
    }
    *queue = Queue::Drained;
    None
}

impl From<Broken> for LostReason {
    fn from(broken: Broken) -> LostReason {
        match broken {
            Broken::Socket(kind) => LostReason::Socket(kind),
            Broken::Tls(why) => LostReason::Tls(why),
        }
    }
}
