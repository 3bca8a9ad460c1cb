//! The gateway's channel to the coordinator: the start, what came, what is reported.

use super::ServeError;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::gateway::{FromGateway, ToGateway};
use touchline_common::ipc::messages::{Hello, Welcome};
use touchline_common::ipc::{Channel, ChannelError, PROTO, ReadOutcome};

/// The longest message of the coordinator, bytes; the configuration is one.
const LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for a coordinator that does not read; beyond it reports are left out.
const OUT: usize = 64 * 1024;
/// How long the coordinator may take to answer the hello.
const WELCOME: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Control {
    channel: Channel<ToGateway, FromGateway>,
}

/// How the coordinator answered the hello.
#[derive(Debug)]
pub(super) struct Greeting {
    pub welcome: Welcome,
    pub control_socket: PathBuf,
    pub log_file: Option<OwnedFd>,
}

impl Control {
    /// Takes the channel and puts it into the poll.
    ///
    /// # Errors
    /// [`ServeError::Kernel`].
    pub(super) fn new(channel: OwnedFd, poll: &Poll, token: Token) -> Result<Control, ServeError> {
        let kernel = |operation| move |source| ServeError::Kernel { operation, source };
        let channel = Channel::new(channel, LIMIT, OUT).map_err(kernel("use its channel"))?;
        let raw = channel.as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&raw), token, interest).map_err(kernel("poll its channel"))?;
        Ok(Control { channel })
    }

    /// Sends the hello and waits for the welcome, before which the log's file may come; `None` when the coordinator is gone.
    ///
    /// # Errors
    /// [`ServeError::Control`], [`ServeError::Kernel`].
    pub(super) fn greet(&mut self, poll: &mut Poll) -> Result<Option<Greeting>, ServeError> {
        let build = env!("CARGO_PKG_VERSION").to_owned();
        self.send(&FromGateway::Hello(Hello {
            proto_min: PROTO,
            proto_max: PROTO,
            build,
            pid: std::process::id(),
        }));
        let unusable = |what: String| ServeError::Control { what };
        let until = Instant::now() + WELCOME;
        let mut events = Events::with_capacity(4);
        let mut log_file = None;
        loop {
            self.flush();
            let outcome = self.channel.read().map_err(|error| broken(&error))?;
            while let Some((message, _, fd)) = self.channel.next().map_err(|error| broken(&error))? {
                match message {
                    ToGateway::LogFile => log_file = fd,
                    ToGateway::Welcome { welcome, .. } if welcome.proto != PROTO => {
                        return Err(unusable(format!("it wants version {}", welcome.proto)));
                    }
                    ToGateway::Welcome { welcome, control_socket } => {
                        return Ok(Some(Greeting { welcome, control_socket, log_file }));
                    }
                    ToGateway::Feed | ToGateway::LogFilter { .. } | ToGateway::Stop { .. } => {
                        return Err(unusable("another message instead of a welcome".into()));
                    }
                }
            }
            if outcome == ReadOutcome::Closed {
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unusable("no welcome came".into()));
            }
            match poll.poll(&mut events, Some(left)) {
                Err(source) if source.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServeError::Kernel { operation: "poll", source });
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Appends what came; whether the coordinator is still there.
    ///
    /// # Errors
    /// [`ServeError::Control`].
    pub(super) fn read(&mut self, into: &mut Vec<(ToGateway, Option<OwnedFd>)>) -> Result<bool, ServeError> {
        loop {
            let outcome = self.channel.read().map_err(|error| broken(&error))?;
            let before = into.len();
            while let Some((message, _, fd)) = self.channel.next().map_err(|error| broken(&error))? {
                into.push((message, fd));
            }
            match outcome {
                ReadOutcome::Closed => return Ok(false),
                // A read ends early where a descriptor came along, so one more is tried before it counts as drained.
                ReadOutcome::Drained if into.len() == before => return Ok(true),
                ReadOutcome::Drained | ReadOutcome::More => {}
            }
        }
    }

    /// Queues a report. One for which there is no room is left out: the next says the same.
    pub(super) fn send(&mut self, message: &FromGateway) {
        let _ = self.channel.send(message, 0);
    }

    /// Writes what waits; a coordinator that is gone is seen by reading.
    pub(super) fn flush(&mut self) {
        let _ = self.channel.flush();
    }
}

fn broken(error: &ChannelError) -> ServeError {
    ServeError::Control { what: error.to_string() }
}
