//! A client's socket: plain, or TLS over it.
//!
//! TLS holds bytes back that no event announces again, so only [`Got::Nothing`] proves it empty.

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// An accepted socket.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsSocket>),
}

/// TLS over an accepted socket.
pub(crate) struct TlsSocket {
    stream: TcpStream,
    connection: ServerConnection,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(usize),
    /// Nothing; an event says when there is more.
    Nothing,
    End,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(TlsSocket { stream, connection })))
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.stream,
        }
    }

    /// One read; `room` is not empty.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<Got> {
        match self {
            Self::Plain(stream) => got(again(|| stream.read(room))),
            Self::Tls(tls) => tls.read(room),
        }
    }

    /// Whether TLS has something to send: of its own, or what was written before.
    pub(crate) fn has_to_send(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.connection.wants_write(),
        }
    }

    /// Sends that as far as the kernel takes it; how many bytes it took.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if it took not all of it; `taken` is right then, too.
    pub(crate) fn send(&mut self, taken: &mut u64) -> io::Result<()> {
        let Self::Tls(tls) = self else { return Ok(()) };
        while tls.connection.wants_write() {
            *taken += again(|| tls.connection.write_tls(&mut tls.stream))? as u64;
        }
        Ok(())
    }

    /// Takes bytes: the kernel does, or TLS until its own buffer is full. Call [`Socket::send`] before and after.
    pub(crate) fn write(&mut self, bytes: &[u8], taken: &mut u64) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => {
                let count = again(|| stream.write(bytes))?;
                *taken += count as u64;
                Ok(count)
            }
            Self::Tls(tls) => tls.connection.writer().write(bytes),
        }
    }

    /// Says in TLS that this is the end, as far as that goes at once.
    pub(crate) fn farewell(&mut self) {
        if let Self::Tls(tls) = self {
            tls.connection.send_close_notify();
        }
        // Whoever does not get it sees the end of the stream.
        let _ = self.send(&mut 0);
    }
}

impl TlsSocket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<Got> {
        loop {
            match self.connection.reader().read(room) {
                Ok(0) => return Ok(Got::End),
                Ok(count) => return Ok(Got::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Got::End),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match again(|| self.connection.read_tls(&mut self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.connection.process_new_packets() {
                // The alert that says why.
                let _ = again(|| self.connection.write_tls(&mut self.stream));
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}

fn got(read: io::Result<usize>) -> io::Result<Got> {
    match read {
        Ok(0) => Ok(Got::End),
        Ok(count) => Ok(Got::Bytes(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Nothing),
        Err(error) => Err(error),
    }
}

/// Tries again what a signal interrupted.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
