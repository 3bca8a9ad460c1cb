//! Frames of the workers' channels as inputs of the ledgers: what each handle stands for, and how far each worker has reported.
//!
//! The loop has checked numbers and handles; a frame that does not decode breaks its channel, and nothing more of that is taken.

use super::Store;
use crate::record::ledger::incidents::Stated;
use crate::record::ledger::{Input, LastSign, Report, Source};
use crate::record::thread::{Chunk, Reply};
use hashbrown::HashMap;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{EndReason, Lost, MatchBase, MatchBody, MatchFrame, Name, Named};
use touchline_common::ipc::{CodecError, Header, decode_borrowed};
use touchline_common::model::{Epoch, Handle, MatchKey};

/// The longest that a worker hangs before it is ended, and that it takes to begin reporting, microseconds.
const HANGS: i64 = 10_000_000;
/// A worker that reports what it saw longer ago has more that it has not reported yet, microseconds.
const BEHIND: i64 = 250_000;

/// The match stream of one worker's channel.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    names: HashMap<Handle, (MatchKey, Epoch), foldhash::fast::RandomState>,
    reported: Option<Reported>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// It sent what does not decode.
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Reported {
    /// The newest time of a read of its own: all before was reported before. Wall clock in microseconds.
    read_at: i64,
    /// When that came here, likewise.
    came: i64,
}

impl Incoming {
    fn reports(&mut self, read_at: i64, came: i64) {
        let newest = self.reported.map_or(read_at, |reported| reported.read_at.max(read_at));
        self.reported = Some(Reported { read_at: newest, came });
    }

    /// Since when nothing is known of what it followed: its channel came at `attached`, bytes last at `last_frame_at`, its end was seen at
    /// `at`.
    pub(super) fn last_sign(&self, at: i64, attached: i64, last_frame_at: i64) -> LastSign {
        match self.reported {
            Some(Reported { read_at, came }) if came - read_at > BEHIND => LastSign::Behind(read_at),
            None if at - attached < HANGS => LastSign::Behind(0),
            // One that hangs is ended by the coordinator, so no more of a quiet one is doubted.
            Some(_) | None => LastSign::Received(last_frame_at.max(at - HANGS).min(at)),
        }
    }
}

impl Store {
    pub(super) fn frames(&mut self, source: Source, token: usize, chunk: &Chunk, came: i64) {
        let mut incoming = self.incoming.remove(&source).unwrap_or_default();
        if incoming.state == State::Open
            && let Err(what) = self.take_frames(&mut incoming, source, chunk, came)
        {
            incoming.state = State::Broken;
            self.batch.replies.push(Reply::Broken { token, what });
        }
        self.incoming.insert(source, incoming);
    }

    fn take_frames(
        &mut self,
        incoming: &mut Incoming,
        source: Source,
        chunk: &Chunk,
        came: i64,
    ) -> Result<(), String> {
        let mut versions = chunk.versions.iter().copied();
        for frame in chunk.frames() {
            let (header, body) = frame?;
            let taken = if header.kind == MatchFrame::<'_>::KIND {
                self.match_frame(incoming, source, &header, body, versions.next().unwrap_or_default(), came)
            } else {
                self.name(incoming, &header, body)
            };
            taken.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn match_frame(
        &mut self,
        incoming: &mut Incoming,
        source: Source,
        header: &Header,
        body: &[u8],
        version: u64,
        came: i64,
    ) -> Result<(), CodecError> {
        let MatchFrame { n, handle, body } = decode_borrowed(header, body)?;
        self.taken(source, n);
        if let MatchBody::Mark { token } = body {
            self.marked(source, token);
            return Ok(());
        }
        // The loop lets no frame of a handle through that was never named.
        let Some((key, epoch)) = incoming.names.get(&handle).cloned() else { return Ok(()) };
        match body {
            MatchBody::Base(MatchBase { facts, teams, registers, values, clock, lost, at }) => {
                incoming.reports(at, came);
                self.lost(&key, epoch, lost);
                let (facts, teams, registers, values) = (&facts, teams.as_ref(), &registers, &values[..]);
                let report = Report { n, epoch, clock, at, version };
                self.advance(&key, &Input::Base { report, source, facts, teams, registers, values });
            }
            MatchBody::Obs { registers, changes, clock, at } => {
                incoming.reports(at, came);
                let (registers, changes) = (&registers[..], &changes[..]);
                let report = Report { n, epoch, clock, at, version };
                self.advance(&key, &Input::Obs { report, registers, changes });
            }
            MatchBody::Incidents { stated, at } => {
                incoming.reports(at, came);
                let stated = Stated::new(stated, self.config.incidents(&key));
                let report = Report { n, epoch, clock: None, at, version };
                self.advance(&key, &Input::Incidents { report, statement: stated.statement() });
            }
            MatchBody::Round { round, at } => {
                incoming.reports(at, came);
                let report = Report { n, epoch, clock: None, at, version };
                self.advance(&key, &Input::Round { report, round });
            }
            MatchBody::End { why, lost, at } => {
                incoming.reports(at, came);
                if why != EndReason::ConnectionLost {
                    incoming.names.remove(&handle);
                }
                self.lost(&key, epoch, lost);
                self.advance(&key, &Input::End { epoch, why, at });
            }
            MatchBody::Mark { .. } => {}
        }
        Ok(())
    }

    fn name(&mut self, incoming: &mut Incoming, header: &Header, body: &[u8]) -> Result<(), CodecError> {
        let Name { handle, named } = decode_borrowed(header, body)?;
        if let Named::Match { key, epoch } = named {
            // New epochs must be above every one that was ever in use, adopted or not.
            self.batch.highest_epoch = self.batch.highest_epoch.max(epoch.0);
            incoming.names.insert(handle, (key, epoch));
        }
        Ok(())
    }

    fn lost(&mut self, key: &MatchKey, epoch: Epoch, lost: Option<Lost>) {
        if let Some(Lost { count, since }) = lost {
            self.advance(key, &Input::Lost { epoch, count, since });
        }
    }
}
