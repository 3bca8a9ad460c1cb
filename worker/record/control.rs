//! The recorder's channel to the coordinator: what came, what waits to be sent, its end.
//!
//! Messages wait one by one, at most [`MAX_OUTBOX`], beyond what the channel itself holds. Called by the recorder's loop.

use super::RecordError;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::{Channel, ChannelError, ReadOutcome};

pub(super) type ControlChannel = Channel<ToRecorder, FromRecorder>;
pub(super) type Received = (ToRecorder, u32, Option<OwnedFd>);

/// Messages that may wait for a coordinator that does not read.
const MAX_OUTBOX: usize = 200_000;
const PER_TURN: usize = 256;
/// How often it is read unasked, should an edge ever be missed.
const UNASKED: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinator {
    There,
    /// Its end of the channel is closed, and all that it had sent is read.
    Gone,
}

#[derive(Debug)]
pub(super) struct ControlLink {
    channel: ControlChannel,
    readable: bool,
    read_at: Instant,
    coordinator: Coordinator,
    outbox: VecDeque<(FromRecorder, u32)>,
}

impl ControlLink {
    pub(super) fn new(channel: ControlChannel) -> ControlLink {
        ControlLink {
            channel,
            readable: true,
            read_at: Instant::now(),
            coordinator: Coordinator::There,
            outbox: VecDeque::new(),
        }
    }

    pub(super) fn wake(&mut self) {
        self.readable = true;
    }

    /// Whether a turn would find something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.readable
    }

    /// Appends what came; whether the coordinator is still there.
    ///
    /// # Errors
    /// [`RecordError::Control`].
    pub(super) fn read(&mut self, into: &mut Vec<Received>) -> Result<Coordinator, RecordError> {
        let unasked = self.coordinator == Coordinator::There && self.read_at.elapsed() >= UNASKED;
        if !self.readable && !unasked {
            return Ok(self.coordinator);
        }
        self.read_at = Instant::now();
        // A read ends early where a descriptor came along, so one more is tried before the channel counts as drained.
        let broken = |error: ChannelError| RecordError::Control { what: error.to_string() };
        let mut fruitless = 0;
        while fruitless < 2 && into.len() < PER_TURN {
            let outcome = self.channel.read().map_err(broken)?;
            fruitless += 1;
            while let Some(received) = self.channel.next().map_err(broken)? {
                fruitless = 0;
                into.push(received);
            }
            if outcome == ReadOutcome::Closed {
                self.readable = false;
                self.coordinator = Coordinator::Gone;
                return Ok(self.coordinator);
            }
        }
        self.readable = fruitless < 2;
        Ok(self.coordinator)
    }

    pub(super) fn send(&mut self, message: FromRecorder, request: u32) {
        self.outbox.push_back((message, request));
    }

    /// Writes what waits, as far as the coordinator reads.
    ///
    /// # Errors
    /// [`RecordError::Control`], [`RecordError::Kernel`].
    pub(super) fn flush(&mut self) -> Result<(), RecordError> {
        while let Some((message, request)) = self.outbox.front() {
            match self.channel.send(message, *request) {
                Ok(()) => {
                    self.outbox.pop_front();
                }
                Err(ChannelError::Full { .. }) if self.outbox.len() < MAX_OUTBOX => break,
                Err(error) => return Err(RecordError::Control { what: error.to_string() }),
            }
        }
        match self.channel.flush() {
            Ok(_) => Ok(()),
            // Its end is seen by reading, after what it still had to say.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                self.outbox.clear();
                self.readable = self.coordinator == Coordinator::There;
                Ok(())
            }
            Err(source) => Err(RecordError::Kernel { operation: "write to the coordinator", source }),
        }
    }
}
