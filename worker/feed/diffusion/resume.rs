//! What is kept of a session after its connection: enough to go on with it on the next one.
//!
//! A server keeps a session for a while after its connection broke. It is asked for once, by the client id, within [`KEEP`];
//! after the server's own end of a session it is never asked for again. Called by `connection`.

use super::{LostReason, Session};
use crate::wire::diffusion::AliasTable;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::time::{Duration, Instant};

/// How long an earlier session is asked for; a server's usual time to keep one.
pub const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct ResumeState {
    pub(super) client_id: Vec<u8>,
    /// The server goes on to use the aliases that it gave.
    pub(super) aliases: AliasTable,
    pub(super) topics: ResumeTopics,
}

pub(super) type ResumeTopics = HashMap<Box<[u8]>, Proof, RandomState>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Loaded,
    /// It was asked for, or given up: the server may have received that or not.
    None,
}

/// The last session, while it may be asked for.
#[derive(Debug, Default)]
pub(super) struct Resumable(Option<(ResumeState, Instant)>);

impl Resumable {
    /// The session, if it is worth asking for; it is asked for once.
    pub(super) fn take(&mut self, now: Instant) -> Option<ResumeState> {
        self.0.take().filter(|(_, until)| now < *until).map(|(state, _)| state)
    }

    /// The connection is over, and with it `session`.
    pub(super) fn keep(&mut self, session: Session, why: &LostReason, now: Instant) {
        if why.is_resumable() {
            self.0 = session.into_resume_state().zip(now.checked_add(KEEP));
        }
    }
}
