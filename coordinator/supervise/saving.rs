//! What must not happen before the state is on the disk: the start of a child, whose generation must never be used twice, and
//! the use of epochs. Both wait in one line, in the order in which they were asked for, for what [`Saver`] says.
//!
//! A state that cannot be saved stops no start: it is said in `status`, `health` and the log, and tried again each second.

use super::daemon::Daemon;
use super::saver::{Saved, Ticket};
use crate::pool::{Child, Input};
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, FeedId, Generation};

/// How long a state that could not be saved waits for the next attempt.
const SAVE_AGAIN: Duration = Duration::from_secs(1);
/// How long the end waits for the last state.
const LAST: Duration = Duration::from_secs(5);

/// Something that waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// A child is to be started.
    Spawn {
        child: Child,
        generation: Generation,
        feed: Option<FeedId>,
    },
    Epochs {
        up_to: Epoch,
    },
}

impl Daemon {
    /// Gives the state as it is now to be saved.
    pub(super) fn save_state(&mut self) -> Option<Ticket> {
        match self.pool.saved_state().to_json() {
            Ok(state) => {
                let ticket = self.saver.save(state.into_bytes());
                self.save_asked = Some(ticket);
                Some(ticket)
            }
            Err(error) => {
                self.not_saved(format!("encoding the state: {error}"));
                None
            }
        }
    }

    /// Does this once the state of `ticket` is on the disk, or could not be put there.
    pub(super) fn hold(&mut self, ticket: Option<Ticket>, held: Held) {
        match ticket {
            Some(ticket) => self.held.push_back((ticket, held)),
            None => self.let_go(held, self.state_trouble.clone()),
        }
    }

    /// Gives up a start that waits; whether there was one.
    pub(super) fn give_up_start(&mut self, child: Child, generation: Generation) -> bool {
        let is_it = |held: &Held| matches!(held, Held::Spawn { child: of, generation: at, .. } if (*of, *at) == (child, generation));
        let before = self.held.len();
        self.held.retain(|(_, held)| !is_it(held));
        let was_held = self.held.len() < before;
        if was_held {
            let error = "given up while its start waited for the disk".to_owned();
            self.inputs.push_back(Input::SpawnFailed { child, generation, error });
        }
        was_held
    }

    /// Takes what the saver has done, and lets go what waited for it.
    pub(super) fn take_saved(&mut self) {
        while let Some(Saved { up_to, result }) = self.saver.take_done() {
            self.save_asked = self.save_asked.filter(|asked| *asked > up_to);
            match result {
                Ok(()) if self.state_trouble.is_empty() => {}
                Ok(()) => {
                    self.state_trouble.clear();
                    log::info!("state.saved_again");
                }
                Err(error) => self.not_saved(error.to_string()),
            }
            while let Some((ticket, held)) = self.held.pop_front() {
                if ticket > up_to {
                    self.held.push_front((ticket, held));
                    break;
                }
                self.let_go(held, self.state_trouble.clone());
            }
        }
    }

    /// What could not be saved is tried again: nothing else may change for long.
    pub(super) fn save_again(&mut self) {
        let due = self.save_asked.is_none() && self.failed_at.elapsed() >= SAVE_AGAIN;
        if due && !self.state_trouble.is_empty() {
            self.save_state();
        }
    }

    /// Before the end: the last state is to be on the disk.
    pub(super) fn finish_saving(&mut self) {
        if !self.saver.finish(LAST) {
            self.not_saved(format!("not written within {LAST:?}"));
        }
        self.take_saved();
    }

    fn let_go(&mut self, held: Held, trouble: String) {
        match held {
            Held::Spawn { child, generation, feed } => self.spawn(child, generation, feed),
            Held::Epochs { up_to } if trouble.is_empty() => {
                self.inputs.push_back(Input::EpochsReserved { up_to });
            }
            Held::Epochs { .. } => self.inputs.push_back(Input::EpochsRefused { error: trouble }),
        }
    }

    /// The reason is logged when it is another than before.
    fn not_saved(&mut self, why: String) {
        self.failed_at = Instant::now();
        if self.state_trouble != why {
            log::error!(error = why.as_str(); "state.not_saved");
            self.state_trouble = why;
        }
    }
}
