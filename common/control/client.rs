//! The blocking client of the control socket, for the command line and the tests.
//!
//! Invariant: every read and write has a deadline, except a followed stream's wait for its next line when none is given.

use super::message::bad_answer;
use super::{Answer, ControlError, LineReader, MAX_ANSWER, Request};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
    lines: LineReader,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`] when no daemon listens, [`ControlError::NoPermission`], or another error of connecting.
    pub fn connect(path: &Path) -> Result<Self, ControlError> {
        let socket = UnixStream::connect(path).map_err(|source| {
            let kind = source.kind();
            if matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory) {
                ControlError::NotRunning { path: path.to_owned(), kind }
            } else if kind == ErrorKind::PermissionDenied {
                ControlError::NoPermission { path: path.to_owned() }
            } else {
                ControlError::Io { doing: "connecting to the control socket", source }
            }
        })?;
        Ok(Self { socket, lines: LineReader::new(MAX_ANSWER) })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// A refusal, no answer within `timeout`, or a conversation that broke.
    pub fn request(
        &mut self,
        verb: &str,
        args: Map<String, Value>,
        timeout: Duration,
    ) -> Result<Value, ControlError> {
        let raw = self.request_raw(verb, args, timeout)?;
        serde_json::from_str(raw.get()).map_err(|error| bad_answer(&error))
    }

    /// As [`Client::request`], with the result as the daemon wrote it.
    pub fn request_raw(
        &mut self,
        verb: &str,
        args: Map<String, Value>,
        timeout: Duration,
    ) -> Result<Box<RawValue>, ControlError> {
        let deadline = Deadline::after(timeout);
        self.send(&Request { verb: verb.to_owned(), args }, &deadline)?;
        let line = self.read_line(Some(&deadline))?.ok_or(ControlError::Ended)?;
        Answer::parse(&line)
    }

    /// Asks, waits for the answer and gives it together with the lines that follow it.
    pub fn stream(
        mut self,
        verb: &str,
        args: Map<String, Value>,
        timeout: Duration,
    ) -> Result<(Value, Stream), ControlError> {
        let first = self.request(verb, args, timeout)?;
        Ok((first, Stream { client: self }))
    }

    fn send(&mut self, request: &Request, deadline: &Deadline) -> Result<(), ControlError> {
        self.socket.set_write_timeout(Some(deadline.left()?)).map_err(setting)?;
        // A daemon that refuses closes at once; then its answer is already here, and only reading it shows it.
        match self.socket.write_all(&request.to_line()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|source| deadline.or_io("sending the request", source)),
        }
    }

    /// The next line; `None` at the end of the conversation.
    fn read_line(&mut self, deadline: Option<&Deadline>) -> Result<Option<Vec<u8>>, ControlError> {
        let mut buffer = [0; 16 << 10];
        loop {
            let line = self.lines.next_line().map_err(|error| ControlError::BadAnswer(error.to_string()))?;
            if let Some(line) = line {
                return Ok(Some(line.to_vec()));
            }
            let left = deadline.map(Deadline::left).transpose()?;
            self.socket.set_read_timeout(left).map_err(setting)?;
            match self.socket.read(&mut buffer) {
                Ok(0) if self.lines.rest().is_empty() => return Ok(None),
                Ok(0) => return Err(ControlError::Ended),
                Ok(n) => self.lines.push(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(ControlError::Ended),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // The loop's next look at the deadline ends it, unless the timer was a little early.
                }
                Err(source) => return Err(ControlError::Io { doing: "reading the answer", source }),
            }
        }
    }
}

/// The lines after an answer.
#[derive(Debug)]
pub struct Stream {
    client: Client,
}

impl Stream {
    /// The next line without its newline, waiting at most `timeout` if one is given; `None` at the end.
    ///
    /// # Errors
    /// No line in time, a line too long, or a conversation that broke.
    pub fn next_line(&mut self, timeout: Option<Duration>) -> Result<Option<Vec<u8>>, ControlError> {
        self.client.read_line(timeout.map(Deadline::after).as_ref())
    }
}

struct Deadline {
    end: Instant,
    timeout: Duration,
}

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self { end: Instant::now() + timeout, timeout }
    }

    fn left(&self) -> Result<Duration, ControlError> {
        let left = self.end.saturating_duration_since(Instant::now());
        // A zero timeout would mean none at all to the kernel.
        if left.is_zero() { Err(ControlError::TimedOut { after: self.timeout }) } else { Ok(left) }
    }

    fn or_io(&self, doing: &'static str, source: io::Error) -> ControlError {
        if matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            ControlError::TimedOut { after: self.timeout }
        } else {
            ControlError::Io { doing, source }
        }
    }
}

fn setting(source: io::Error) -> ControlError {
    ControlError::Io { doing: "setting a timeout of the control socket", source }
}
