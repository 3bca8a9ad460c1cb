//! A publisher and the socket that it speaks over, which never blocks.

use super::failure::Failure;
use super::publisher::Publisher;
use crate::net::{Broken, Got, Rest, Socket};
use std::time::Instant;

/// Bytes of one read.
const ROOM: usize = 16 * 1024;
/// Reads in a row, so that a broker that never stops talking does not keep what has a deadline.
const READS: usize = 64;

#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    pub(super) publisher: Publisher,
    room: Box<[u8]>,
}

impl Link {
    pub(super) fn new(socket: Socket, publisher: Publisher) -> Link {
        Link { socket, publisher, room: vec![0; ROOM].into_boxed_slice() }
    }

    /// Sends what there is, as far as it goes, takes what came, and lets time pass; whether more may be there to take at once.
    pub(super) fn exchange(&mut self, now: Instant) -> Result<Rest, Failure> {
        self.write()?;
        let rest = self.read(now);
        // Also when that failed: the broker may wait for our last word.
        let written = self.write();
        let rest = rest?;
        written?;
        self.publisher.tick(now)?;
        self.write()?;
        Ok(rest)
    }

    /// Ends the socket without another word of the publisher.
    pub(super) fn farewell(&mut self) {
        self.socket.farewell();
    }

    fn read(&mut self, now: Instant) -> Result<Rest, Failure> {
        for _ in 0..READS {
            let (count, rest) = match self.socket.read(&mut self.room).map_err(broken)? {
                Got::Bytes(count, rest) => (count, rest),
                Got::Nothing => return Ok(Rest::None),
                Got::End => return Err(self.publisher.ended()),
            };
            let bytes = self.room.get(..count).unwrap_or_default();
            self.publisher.received(bytes, now)?;
            if rest == Rest::None {
                return Ok(Rest::None);
            }
        }
        Ok(Rest::Some)
    }

    fn write(&mut self) -> Result<(), Failure> {
        loop {
            let bytes = self.publisher.output();
            let count = if bytes.is_empty() { 0 } else { self.socket.write(bytes).map_err(broken)? };
            if count == 0 {
                return self.socket.flush().map_err(broken);
            }
            self.publisher.sent(count);
        }
    }
}

fn broken(broken: Broken) -> Failure {
    Failure::Link(match broken {
        Broken::Socket(kind) => format!("the connection broke: {kind}"),
        Broken::Tls(why) => why,
    })
}
