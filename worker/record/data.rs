//! One worker's data channel: its handshake, its numbers, its frames into jobs.
//!
//! Frames wait in the channel while the position is asked from the store and while the store's queue is full; the
//! socket then fills up and the worker holds what is its own. A hole in the numbers ends the channel.

use super::documents::{Applied, Documents};
use super::ledger::{LastSign, Source};
use super::store::{Job, Queue};
use super::time::wall_us;
use crate::net::Watch;
use hashbrown::HashSet;
use mio::Registry;
use std::time::Instant;
use touchline_common::ipc::messages::data::{FromRecorderData, Publish, ToRecorderData};
use touchline_common::ipc::{Channel, ChannelError, PROTO, ReadOutcome};
use touchline_common::model::{Epoch, MatchKey};

/// The longest frame of a worker, bytes.
pub(super) const FRAME_LIMIT: u32 = 32 * 1024 * 1024;
/// Answers that may wait for a worker that does not read, bytes.
pub(super) const OUT_LIMIT: usize = 1024 * 1024;
/// Refused epochs that a worker was told; beyond it they are told again.
const MAX_TOLD: usize = 1_024;
/// Frames of one turn, so that no worker holds up the others.
const FRAMES_PER_TURN: usize = 4_096;

type DataChannel = Channel<ToRecorderData, FromRecorderData>;

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    New,
    /// Its position is being looked up.
    Opening,
    /// Frames flow; the next must have this number.
    Flowing { next: u64 },
}

/// A worker's channel.
#[derive(Debug)]
pub(super) struct Worker {
    channel: DataChannel,
    watch: Watch,
    source: Source,
    phase: Phase,
    /// There may be bytes in the socket.
    readable: bool,
    /// There may be whole frames in the buffer.
    buffered: bool,
    ended: bool,
    told_epochs: HashSet<(MatchKey, Epoch)>,
    /// When it came, wall clock in microseconds.
    attached: i64,
    /// When bytes last came, likewise.
    heard: i64,
    /// The last numbered message: what is not numbered says nothing of what its worker still holds.
    told: Option<ToldUntil>,
}

/// How far a worker is with telling.
#[derive(Clone, Copy, Debug)]
struct ToldUntil {
    /// The newest stamp of its own, wall clock in microseconds: all before was told before.
    stamp: i64,
    /// When the last one came.
    came: i64,
}

/// The longest that a worker hangs before it is ended, and that it takes to begin with telling, microseconds.
const HANGS: i64 = 10_000_000;
/// A worker that tells of what it saw longer ago has more that it has not told yet, microseconds.
const BEHIND: i64 = 250_000;

/// What a turn needs.
pub(super) struct Surroundings<'a> {
    /// The documents.
    pub documents: &'a mut Documents,
    /// The store's queue, for its bound.
    pub queue: &'a Queue,
    /// Where jobs go.
    pub jobs: &'a mut Vec<Job>,
    /// Told for each rendering that was applied.
    pub applied: &'a mut dyn FnMut(Option<&Publish>, u64),
    /// Whether `applied` wants the rendering itself.
    pub audited: bool,
    /// Frames refused.
    pub refused: &'a mut u64,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Whether a channel goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does.
    Open,
    /// Its worker is gone and all that it sent was taken.
    Ended,
    /// It broke the rules.
    Broken(String),
}

impl Worker {
    /// A fresh channel.
    pub(super) fn new(channel: DataChannel, source: Source, watch: Watch) -> Worker {
        let told_epochs = HashSet::new();
        let phase = Phase::New;
        let attached = wall_us();
        Worker {
            channel,
            watch,
            source,
            phase,
            readable: true,
            buffered: false,
            ended: false,
            told_epochs,
            attached,
            heard: attached,
            told: None,
        }
    }

    /// Who writes here.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Since when nothing is known of what it followed, if its end is seen at `now`, wall clock in microseconds.
    pub(super) fn last_sign(&self, now: i64) -> LastSign {
        match self.told {
            Some(told) if told.came - told.stamp > BEHIND => LastSign::Behind(told.stamp),
            None if now - self.attached < HANGS => LastSign::Behind(0),
            // One that hangs is ended by its own watchdog or by the coordinator, so no more of a quiet one is doubted.
            Some(_) | None => LastSign::Heard(self.heard.max(now - HANGS).min(now)),
        }
    }

    fn has_told(&mut self, stamp: i64) {
        let newest = self.told.map_or(stamp, |told| told.stamp.max(stamp));
        self.told = Some(ToldUntil { stamp: newest, came: self.heard });
    }

    /// The poller saw something.
    pub(super) fn wake(&mut self) {
        self.readable = true;
    }

    /// The poller saw the other side's end, perhaps behind its last bytes.
    pub(super) fn peer_closed(&mut self) {
        self.channel.peer_closed();
    }

    /// Whether a turn would find something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Opening && (self.readable || self.buffered || self.ended)
    }

    /// Reads and takes what is there.
    pub(super) fn turn(&mut self, around: &mut Surroundings<'_>, token: usize) -> Fate {
        if self.phase == Phase::Opening {
            return Fate::Open;
        }
        if let Err(error) = self.read(around.queue) {
            self.ended = true;
            log::warn!(worker = self.source.slot.0, error:% = error; "data.read_failed");
        }
        if let Err(what) = self.take(around, token) {
            return Fate::Broken(what);
        }
        if self.ended && !self.buffered && self.phase != Phase::Opening { Fate::Ended } else { Fate::Open }
    }

    fn read(&mut self, queue: &Queue) -> Result<(), ChannelError> {
        // What is buffered goes first, so that the buffer stays small while the store is slow.
        if !self.readable || self.buffered || queue.is_full() {
            return Ok(());
        }
        match self.channel.read()? {
            ReadOutcome::Drained => {
                self.readable = false;
                self.heard = wall_us();
            }
            ReadOutcome::More => self.heard = wall_us(),
            ReadOutcome::Closed => {
                self.readable = false;
                self.ended = true;
            }
        }
        self.buffered = true;
        Ok(())
    }

    fn take(&mut self, around: &mut Surroundings<'_>, token: usize) -> Result<(), String> {
        for _ in 0..FRAMES_PER_TURN {
            if !self.buffered
                || self.phase == Phase::Opening
                || around.queue.held() + around.jobs.len() >= super::store::queue::LIMIT
            {
                return Ok(());
            }
            match self.channel.next().map_err(|error| error.to_string())? {
                None => self.buffered = false,
                Some((message, _, _)) => self.message(message, around, token)?,
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: ToRecorderData,
        around: &mut Surroundings<'_>,
        token: usize,
    ) -> Result<(), String> {
        match (&message, self.phase) {
            (ToRecorderData::Open { proto_min, proto_max, slot, generation }, Phase::New) => {
                if (*slot, *generation) != (self.source.slot, self.source.generation) {
                    return Err(format!("worker {slot} opens the channel of worker {}", self.source.slot));
                }
                if !(*proto_min..=*proto_max).contains(&PROTO) {
                    return Err(format!("it speaks versions {proto_min} to {proto_max}, not {PROTO}"));
                }
                self.phase = Phase::Opening;
                around.jobs.push(Job::Open { token, source: self.source });
                Ok(())
            }
            (ToRecorderData::Open { .. }, _) => Err("a second opening".into()),
            (_, Phase::New | Phase::Opening) => Err("a message before the opening".into()),
            (
                ToRecorderData::Base { n, key, epoch, .. }
                | ToRecorderData::Obs { n, key, epoch, .. }
                | ToRecorderData::Lost { n, key, epoch, .. }
                | ToRecorderData::End { n, key, epoch, .. },
                Phase::Flowing { next },
            ) => {
                if *n > next {
                    return Err(format!("message {n} follows message {}", next.saturating_sub(1)));
                }
                if *n < next {
                    return Ok(());
                }
                self.phase = Phase::Flowing { next: next + 1 };
                self.has_told(stamp(&message));
                let version = around.documents.version(key, *epoch);
                around.jobs.push(Job::Frame { source: self.source, frame: message, version });
                Ok(())
            }
            (ToRecorderData::Publish(_), Phase::Flowing { .. }) => {
                if let ToRecorderData::Publish(publish) = message {
                    self.publish(publish, around);
                }
                Ok(())
            }
        }
    }

    fn publish(&mut self, publish: Publish, around: &mut Surroundings<'_>) {
        let (key, epoch) = (publish.key.clone(), publish.epoch);
        let copy = around.audited.then(|| publish.clone());
        match around.documents.apply(publish, Instant::now()) {
            Applied::Version(version) => (around.applied)(copy.as_ref(), version),
            Applied::Held => {}
            Applied::Refused => {
                *around.refused += 1;
                self.refuse(key, epoch);
            }
        }
    }

    /// The store has looked up the position.
    pub(super) fn opened(&mut self, run: u64, resume_after: u64) {
        self.phase = Phase::Flowing { next: resume_after + 1 };
        self.send(&FromRecorderData::Opened { proto: PROTO, run, resume_after });
    }

    /// Everything up to `n` is committed.
    pub(super) fn ack(&mut self, n: u64) {
        self.send(&FromRecorderData::Ack { n });
    }

    /// Tells once that an epoch was refused.
    pub(super) fn refuse(&mut self, key: MatchKey, epoch: Epoch) {
        if self.told_epochs.len() >= MAX_TOLD {
            self.told_epochs.clear();
        }
        if self.told_epochs.insert((key.clone(), epoch)) {
            self.send(&FromRecorderData::Refused { key, epoch });
        }
    }

    fn send(&mut self, message: &FromRecorderData) {
        // A worker that reads nothing holds on to what the next answer covers as well.
        if let Err(error) = self.channel.send(message, 0) {
            log::warn!(worker = self.source.slot.0, error:% = error; "data.answer_dropped");
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, registry: &Registry) {
        if self.channel.queued() == 0 {
            return;
        }
        let flushed = self.channel.flush();
        if flushed.and_then(|_| self.watch.unsent(registry, self.channel.queued())).is_err() {
            self.readable = true;
        }
    }

    /// The channel's descriptor, for the poller.
    pub(super) fn channel(&self) -> &DataChannel {
        &self.channel
    }
}

/// When its worker saw what a message tells, by its own clock.
pub(super) fn stamp(message: &ToRecorderData) -> i64 {
    match message {
        ToRecorderData::Base { received_at, .. } => *received_at,
        ToRecorderData::Obs { observation, .. } => observation.received_at,
        ToRecorderData::Lost { since, .. } => *since,
        ToRecorderData::End { at, .. } => *at,
        ToRecorderData::Publish(_) | ToRecorderData::Open { .. } => 0,
    }
}
