//! The program beside the workers: it subscribes the same matches, reads and frames, and does nothing else.

use super::pulse::Plan;
use crate::children::Child;
use crate::error::{BenchError, While};
use crate::payload::Generated;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use touchline_worker::wire::diffusion::{self, ConnectRequest, ConnectResponse, FrameBuffer};

/// The running program. Dropping it ends it.
pub struct Side(std::process::Child);

impl Side {
    /// Starts it with the connections `from..to` of `all`; matches go to them by turns.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        server: SocketAddr,
        plan: Plan,
        from: usize,
        to: usize,
        all: usize,
    ) -> Result<Side, BenchError> {
        let numbers = [plan.matches, from, to, all].map(|number| number.to_string());
        let arguments = std::iter::once(server.to_string()).chain(numbers);
        let child = Child::Side.command().args(arguments).stdout(Stdio::null()).spawn();
        Ok(Side(child.during("starting the program that reads and frames")?))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Link {
    stream: TcpStream,
    buffer: FrameBuffer,
    shaken: bool,
}

/// The program itself; it ends when it is killed or the server closes.
///
/// # Errors
/// [`BenchError`].
pub fn child(arguments: &[String]) -> Result<String, BenchError> {
    let [server, numbers @ ..] = arguments else {
        return Err(BenchError::new("starting", "the server's address is missing"));
    };
    let server: SocketAddr = server.parse().during("the server's address")?;
    let numbers = numbers.iter().map(|word| word.parse::<usize>().during("a number"));
    let numbers = numbers.collect::<Result<Vec<usize>, BenchError>>()?;
    let &[matches, from, to, all] = numbers.as_slice() else {
        return Err(BenchError::new("starting", "four numbers are needed"));
    };
    let mut poll = Poll::new().during("epoll")?;
    let mut links = Vec::new();
    for place in from..to {
        let mut link = connect(server, (0..matches).filter(|number| number % all == place))?;
        poll.registry()
            .register(&mut link.stream, Token(place - from), Interest::READABLE)
            .during("epoll")?;
        links.push(link);
    }
    let mut events = Events::with_capacity(64);
    let mut framed: u64 = 0;
    loop {
        poll.poll(&mut events, None).during("waiting")?;
        for event in &events {
            let Some(link) = links.get_mut(event.token().0) else { continue };
            match link.read()? {
                Some(count) => framed += count,
                None => return Ok(framed.to_string()),
            }
        }
    }
}

fn connect(server: SocketAddr, numbers: impl Iterator<Item = usize>) -> Result<Link, BenchError> {
    let mut stream = std::net::TcpStream::connect(server).during("connecting")?;
    let mut out = Vec::new();
    ConnectRequest::new(0x15, 0).encode(&mut out).during("the handshake")?;
    for number in numbers {
        let one = Generated { number, shape: crate::payload::Shape::of_bytes(1) };
        diffusion::subscribe(&mut out, one.topic().as_bytes()).during("subscribing")?;
    }
    stream.write_all(&out).during("subscribing")?;
    stream.set_nonblocking(true).during("the socket")?;
    Ok(Link { stream: TcpStream::from_std(stream), buffer: FrameBuffer::new(4_000_000), shaken: false })
}

impl Link {
    /// Reads until drained; how many messages came. None: the server closed.
    fn read(&mut self) -> Result<Option<u64>, BenchError> {
        let mut framed = 0;
        loop {
            let spare = self.buffer.spare();
            let room = spare.len();
            let count = match self.stream.read(spare) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some(framed)),
                Err(error) => return Err(BenchError::new("reading", error)),
            };
            self.buffer.filled(count);
            if !self.shaken {
                let Some((_, used)) = ConnectResponse::parse(self.buffer.unread()).during("the handshake")?
                else {
                    continue;
                };
                self.buffer.skip(used);
                self.shaken = true;
            }
            while self.buffer.advance().during("framing")?.is_some() {
                framed += 1;
            }
            if count < room {
                return Ok(Some(framed));
            }
        }
    }
}
