//! Bytes to and from the server: a plain socket, or TLS over one.
//!
//! A plain socket reads straight into the caller's room. TLS holds bytes back that no event will announce again, so only
//! [`Got::Nothing`] proves it empty. A peer that closes without saying so in TLS has closed all the same.

use super::tls::TlsPlan;
use mio::event::Event;
use mio::net::TcpStream;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// Reads of the socket in one call: records without content must not keep the loop.
const READS: usize = 16;

#[derive(Debug)]
pub enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsSocket>),
}

#[derive(Debug)]
pub struct TlsSocket {
    stream: TcpStream,
    connection: ClientConnection,
    plan: TlsPlan,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes, and whether that proves the socket empty.
    Bytes(usize, Rest),
    /// Nothing; an event announces more.
    Nothing,
    End,
}

/// What may still be there after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing, unless the end.
    None,
    Some,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Bytes may be there, or room to write.
    Bytes,
    /// The server closed its side, or the connection broke.
    End,
}

impl Readiness {
    /// What `event` reports of its socket.
    pub fn of(event: &Event) -> Readiness {
        if event.is_read_closed() || event.is_error() { Readiness::End } else { Readiness::Bytes }
    }
}

/// Why a socket is of no more use.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    Socket(ErrorKind),
    Tls(String),
}

impl Socket {
    /// Over a connected stream. TLS shakes hands with the first reads and writes.
    ///
    /// # Errors
    /// [`Broken`]: TLS does not begin.
    pub fn new(stream: TcpStream, tls: Option<&TlsPlan>) -> Result<Socket, Broken> {
        let Some(plan) = tls else { return Ok(Socket::Plain(stream)) };
        let connection = plan.connect().map_err(|error| Broken::Tls(plan.explain(&error)))?;
        Ok(Socket::Tls(Box::new(TlsSocket { stream, connection, plan: plan.clone() })))
    }

    /// One read. `room` must not be empty.
    pub fn read(&mut self, room: &mut [u8]) -> Result<Got, Broken> {
        match self {
            Socket::Plain(stream) => match again(|| stream.read(room)) {
                Ok(0) => Ok(Got::End),
                Ok(count) if count < room.len() => Ok(Got::Bytes(count, Rest::None)),
                Ok(count) => Ok(Got::Bytes(count, Rest::Some)),
                Err(ErrorKind::WouldBlock) => Ok(Got::Nothing),
                Err(kind) => Err(Broken::Socket(kind)),
            },
            Socket::Tls(tls) => tls.read(room),
        }
    }

    /// One write; 0 if the socket takes nothing now.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        match self {
            Socket::Plain(stream) => match again(|| stream.write(bytes)) {
                Err(ErrorKind::WouldBlock) => Ok(0),
                other => other.map_err(Broken::Socket),
            },
            Socket::Tls(tls) => tls.write(bytes),
        }
    }

    pub fn flush(&mut self) -> Result<(), Broken> {
        match self {
            Socket::Plain(_) => Ok(()),
            Socket::Tls(tls) => tls.send().map(|_| ()),
        }
    }

    /// Sends the end in TLS (`close_notify`), as far as that goes at once.
    pub fn farewell(&mut self) {
        match self {
            Socket::Plain(_) => {}
            Socket::Tls(tls) => {
                tls.connection.send_close_notify();
                let _ = tls.send();
            }
        }
    }

    /// Whether TLS has yet to shake hands.
    pub fn is_handshaking(&self) -> bool {
        match self {
            Socket::Plain(_) => false,
            Socket::Tls(tls) => tls.connection.is_handshaking(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Plain(stream) => stream.as_fd(),
            Socket::Tls(tls) => tls.stream.as_fd(),
        }
    }
}

impl TlsSocket {
    fn read(&mut self, room: &mut [u8]) -> Result<Got, Broken> {
        for _ in 0..READS {
            match self.connection.reader().read(room) {
                Ok(0) => return Ok(Got::End),
                Ok(count) => return Ok(Got::Bytes(count, Rest::Some)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Got::End),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Broken::Socket(error.kind())),
            }
            match again(|| self.connection.read_tls(&mut self.stream)) {
                Ok(_) => self.process()?,
                Err(ErrorKind::WouldBlock) => return Ok(Got::Nothing),
                Err(kind) => return Err(Broken::Socket(kind)),
            }
        }
        Ok(Got::Bytes(0, Rest::Some))
    }

    fn process(&mut self) -> Result<(), Broken> {
        let Err(error) = self.connection.process_new_packets() else { return Ok(()) };
        // The alert with the reason.
        let _ = self.send();
        Err(Broken::Tls(self.plan.explain(&error)))
    }

    /// TLS takes bytes as long as its own buffer has room, which empties into the socket.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        if !self.send()? {
            return Ok(0);
        }
        let taken = self.connection.writer().write(bytes).map_err(|error| Broken::Socket(error.kind()))?;
        self.send()?;
        Ok(taken)
    }

    fn send(&mut self) -> Result<bool, Broken> {
        while self.connection.wants_write() {
            match again(|| self.connection.write_tls(&mut self.stream)) {
                Ok(_) => {}
                Err(ErrorKind::WouldBlock) => return Ok(false),
                Err(kind) => return Err(Broken::Socket(kind)),
            }
        }
        Ok(true)
    }
}

/// Tries again what a signal interrupted.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> Result<T, ErrorKind> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.map_err(|error| error.kind()),
        }
    }
}
