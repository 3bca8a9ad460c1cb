//! What a push server did.

use super::connection::End;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct PushReport {
    /// Changes so far, followed or not.
    pub changes: u64,
    /// Deltas sent, each for each who follows it.
    pub deltas: u64,
    /// Wholes sent.
    pub images: u64,
    /// Subscriptions that went on from a token, without a whole.
    pub resumed: u64,
    /// Bytes handed to the kernel, over all connections.
    pub bytes: u64,
    /// Connections that came.
    pub accepted: u64,
    pub logins: u64,
    /// Logins that were refused.
    pub denied: u64,
    /// Topics that were asked for above the cap.
    pub over_cap: u64,
    /// Topics asked for faster than is allowed.
    pub over_rate: u64,
    /// Requests with more topics than is allowed.
    pub over_batch: u64,
    /// Topics asked for that there are not.
    pub unknown: u64,
    /// The most subscriptions that a connection ever had.
    pub most_subscriptions: usize,
    /// Wholes sent, by topic.
    pub images_of: BTreeMap<String, u64>,
    /// Deltas left out or out of their order, by topic.
    pub holes: BTreeMap<String, u64>,
    pub duplicates: u64,
    /// Deltas of topics that were never asked for.
    pub strangers: u64,
    /// Connections reset or closed because that was asked for.
    pub ended: u64,
    /// Connections closed because their login was over.
    pub expired: u64,
    /// Connections closed for a message that could not be understood.
    pub bad: u64,
    pub slow: u64,
    pub silent: u64,
    /// Lines of the recorded stream that every follower of it has been sent.
    pub lines: u64,
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
    pub subscriptions: usize,
    /// The most it ever had.
    pub most: usize,
    /// Bytes waiting for it.
    pub queue: usize,
    /// Messages travel in permessage-deflate.
    pub is_compressed: bool,
}

impl PushReport {
    /// Subscriptions over all connections.
    pub fn subscriptions(&self) -> usize {
        self.connections.iter().map(|connection| connection.subscriptions).sum()
    }

    pub(super) fn late(&mut self, by: Duration) {
        self.late_worst = self.late_worst.max(by);
    }

    pub(super) fn count(&mut self, end: End) {
        match end {
            End::Left => {}
            End::Bad => self.bad += 1,
            End::Silent => self.silent += 1,
            End::Slow => self.slow += 1,
            End::Reset => self.ended += 1,
        }
    }
}
