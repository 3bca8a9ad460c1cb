//! What must not happen before the state is on the disk: the start of a child, whose generation must never be used twice, and
//! the use of epochs. Both wait in one queue, in the order in which they were asked for, for the outcome of [`Saver`].
//!
//! A state that cannot be saved stops no start: it is reported in `status`, `health` and the log, and saved again after a second.

use super::saver::{Saved, Saver, Ticket};
use crate::pool::Child;
use std::collections::VecDeque;
use std::fmt::Display;
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, FeedId, Generation};

/// How long a state that could not be saved waits for the next attempt.
const SAVE_AGAIN: Duration = Duration::from_secs(1);
/// How long the end waits for the last state.
const LAST: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Spawn { child: Child, generation: Generation, feed: Option<FeedId> },
    Epochs { up_to: Epoch },
}

/// The saved state as the daemon sees it, and what waits for it: at most a start for each slot and one block of epochs.
pub(super) struct StateSaving {
    saver: Saver,
    held: VecDeque<(Ticket, Held)>,
    /// The newest state whose outcome is not known.
    asked: Option<Ticket>,
    trouble: String,
    failed_at: Instant,
}

impl StateSaving {
    pub(super) fn new(saver: Saver) -> StateSaving {
        StateSaving {
            saver,
            held: VecDeque::new(),
            asked: None,
            trouble: String::new(),
            failed_at: Instant::now(),
        }
    }

    /// Why the state could not be saved the last time; empty when it was.
    pub(super) fn trouble(&self) -> &str {
        &self.trouble
    }

    pub(super) fn save(&mut self, state: Result<String, impl Display>) -> Option<Ticket> {
        match state {
            Ok(state) => self.asked = Some(self.saver.save(state.into_bytes())),
            Err(error) => {
                self.not_saved(format!("encoding the state: {error}"));
                return None;
            }
        }
        self.asked
    }

    /// Keeps this until the state of `ticket` is on the disk, or could not be put there.
    pub(super) fn hold(&mut self, ticket: Ticket, held: Held) {
        self.held.push_back((ticket, held));
    }

    /// Drops a start that waits; whether there was one.
    pub(super) fn cancel_start(&mut self, child: Child, generation: Generation) -> bool {
        let is_it = |held: &Held| matches!(held, Held::Spawn { child: of, generation: at, .. } if (*of, *at) == (child, generation));
        let before = self.held.len();
        self.held.retain(|(_, held)| !is_it(held));
        self.held.len() < before
    }

    /// Takes the saver's outcomes; gives what waited for them.
    pub(super) fn take_saved(&mut self) -> Vec<Held> {
        let mut released = Vec::new();
        while let Some(Saved { up_to, result }) = self.saver.take_done() {
            self.asked = self.asked.filter(|asked| *asked > up_to);
            match result {
                Ok(()) if self.trouble.is_empty() => {}
                Ok(()) => {
                    self.trouble.clear();
                    log::info!("state.saved_again");
                }
                Err(error) => self.not_saved(error.to_string()),
            }
            while let Some((_, held)) = self.held.pop_front_if(|(ticket, _)| *ticket <= up_to) {
                released.push(held);
            }
        }
        released
    }

    /// Whether a state that could not be saved is to be saved again: nothing else may change for long.
    pub(super) fn is_due(&self) -> bool {
        self.asked.is_none() && !self.trouble.is_empty() && self.failed_at.elapsed() >= SAVE_AGAIN
    }

    /// Before the end: waits for the last state to be on the disk.
    pub(super) fn finish(&mut self) {
        if !self.saver.finish(LAST) {
            self.not_saved(format!("not written within {LAST:?}"));
        }
        self.take_saved();
    }

    /// The reason is logged when it is another than before.
    fn not_saved(&mut self, why: String) {
        self.failed_at = Instant::now();
        if self.trouble != why {
            log::error!(error = why.as_str(); "state.not_saved");
            self.trouble = why;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token, Waker};
    use std::convert::Infallible;

    fn released(saving: &mut StateSaving) -> Vec<Held> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let released = saving.take_saved();
            if !released.is_empty() || Instant::now() > until {
                return released;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_waits_is_released_in_order_once_its_state_is_written_or_could_not_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join("state.json");
        let poll = Poll::new().unwrap();
        let saver = Saver::start(path.clone(), Waker::new(poll.registry(), Token(0)).unwrap()).unwrap();
        let mut saving = StateSaving::new(saver);
        let state = || Ok::<_, Infallible>("{}".to_owned());
        let start = |n| Held::Spawn { child: Child::RECORDER, generation: Generation(n), feed: None };
        let epochs = Held::Epochs { up_to: Epoch(9) };

        let ticket = saving.save(state()).unwrap();
        for held in [start(1), start(2), epochs] {
            saving.hold(ticket, held);
        }
        assert!(saving.cancel_start(Child::RECORDER, Generation(1)));
        assert!(!saving.cancel_start(Child::RECORDER, Generation(1)));
        assert_eq!(released(&mut saving), [start(2), epochs]);
        assert!(saving.trouble().starts_with("creating"), "{}", saving.trouble());
        assert!(!saving.is_due(), "not before its time");

        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let ticket = saving.save(state()).unwrap();
        saving.hold(ticket, epochs);
        assert_eq!(released(&mut saving), [epochs]);
        assert_eq!(saving.trouble(), "");
    }
}
