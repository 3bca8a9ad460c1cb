//! What a room server did.

use super::connection::End;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct RoomsReport {
    /// Messages said in rooms, each counted once.
    pub messages: u64,
    /// Bytes handed to the kernel, over all connections.
    pub bytes: u64,
    /// Connections that came.
    pub accepted: u64,
    /// Joins that were asked for, by room.
    pub joins: BTreeMap<u64, u64>,
    /// Joins that were answered by a code.
    pub refused: u64,
    /// Connections reset because their address had too many.
    pub capped: u64,
    /// Connections closed because they read too slowly.
    pub slow: u64,
    /// Connections closed because no join or heartbeat came.
    pub silent: u64,
    /// Connections closed for a packet that could not be read.
    pub bad: u64,
    /// Connections reset because that was asked for.
    pub resets: u64,
    /// How late a tick ran at its worst.
    pub late_worst: Duration,
    /// The open ones.
    pub connections: Vec<ConnectionReport>,
}

/// An open connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    pub id: u64,
    /// Where it comes from.
    pub peer: String,
    pub transport: &'static str,
    /// The room that it is in.
    pub room: Option<u64>,
    /// Bytes waiting for it.
    pub queue: usize,
}

impl RoomsReport {
    /// Connections that are in a room.
    pub fn joined(&self) -> usize {
        self.connections.iter().filter(|connection| connection.room.is_some()).count()
    }

    pub(super) fn late(&mut self, by: Duration) {
        self.late_worst = self.late_worst.max(by);
    }

    pub(super) fn count(&mut self, end: End) {
        match end {
            End::Left | End::Refused => {}
            End::Bad => self.bad += 1,
            End::Silent => self.silent += 1,
            End::Slow => self.slow += 1,
            End::Capped => self.capped += 1,
            End::Reset => self.resets += 1,
        }
    }
}
