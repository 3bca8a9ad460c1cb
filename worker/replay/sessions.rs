//! The connections of a worker that follows everything over one, as they were recorded: one after the other, each in its session.
//!
//! A connection of which something is missing is given up, its bytes are counted; the next one begins anew. Called by `worker`.

use crate::feed::Event;
use crate::feed::diffusion::{ResumeState, Session, SessionConfig, State};
use std::time::Instant;

pub(super) struct Sessions {
    config: SessionConfig,
    /// Empty: the server has no clock.
    time_topic: String,
    live: Option<Live>,
    earlier: Option<ResumeState>,
    /// The connection that was given up.
    broken: Option<u64>,
}

struct Live {
    connection: u64,
    session: Session,
}

impl Sessions {
    pub(super) fn new(config: SessionConfig, time_topic: String) -> Sessions {
        Sessions { config, time_topic, live: None, earlier: None, broken: None }
    }

    /// Gives each event of the bytes to `take`; how many bytes are skipped.
    pub(super) fn bytes(
        &mut self,
        connection: u64,
        bytes: &[u8],
        now: Instant,
        take: &mut dyn FnMut(Event<'_>, &str),
    ) -> usize {
        if self.broken == Some(connection) {
            return bytes.len();
        }
        if self.live.as_ref().is_none_or(|live| live.connection != connection) {
            self.keep_session();
            let session = Session::new(self.config.clone(), self.earlier.take(), now);
            self.live = Some(Live { connection, session });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(Live { session, .. }) = &mut self.live else { return rest.len() };
            let room = session.spare();
            let count = room.len().min(rest.len());
            let (head, tail) = rest.split_at(count);
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(head);
            }
            session.filled(count, now);
            while let Some(event) = session.next_event(now) {
                take(event, &self.time_topic);
            }
            // Nobody is there to take what the session would answer.
            let answers = session.output().len();
            session.output_sent(answers);
            if matches!(session.state(), State::Closed { .. }) || count == 0 {
                self.give_up(connection);
                return tail.len();
            }
            rest = tail;
        }
        0
    }

    /// Nothing more of this connection can be replayed.
    pub(super) fn give_up(&mut self, connection: u64) {
        (self.live, self.earlier) = (None, None);
        self.broken = Some(connection);
    }

    /// The connection is over; its session may go on in the next.
    pub(super) fn keep_session(&mut self) {
        if let Some(live) = self.live.take() {
            self.earlier = live.session.into_resume_state();
        }
    }
}
