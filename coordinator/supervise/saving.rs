//! What must not happen before the state is on the disk: the start of a child, whose generation must never be used twice, and
//! the use of epochs. Both wait in one queue, in the order in which they were asked for.
//!
//! A thread of its own saves, so that the coordinator's loop never waits for a disk. A state that waits is replaced by a newer one, which
//! holds all that it held; so one is being written and one waits, never more. A state that cannot be saved stops no start: it is
//! reported in `status`, `health` and the log, and saved again after a second. Called by `daemon`.

use super::state_file;
use crate::file_error::FileError;
use crate::pool::Child;
use mio::Waker;
use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, FeedId, Generation};

/// How long a state that could not be saved waits for the next attempt.
const SAVE_AGAIN: Duration = Duration::from_secs(1);
/// How long the end waits for the last state.
const LAST: Duration = Duration::from_secs(5);

/// Names a state that was given to be saved; later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Spawn { child: Child, generation: Generation, feed: Option<FeedId> },
    Epochs { up_to: Epoch },
}

/// The saved state as the daemon sees it, and what waits for it: at most a start for each slot and one block of epochs.
pub(super) struct StateSaving {
    shared: Arc<Shared>,
    /// The newest state that was given to be saved,
    asked: Ticket,
    /// and the newest one whose outcome is known.
    known: Ticket,
    held: VecDeque<(Ticket, Held)>,
    trouble: String,
    failed_at: Instant,
}

/// What the loop and the thread share.
#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    moved: Condvar,
}

#[derive(Default)]
struct Desk {
    waiting: Option<(Ticket, Vec<u8>)>,
    writing: Option<Ticket>,
    /// What came of the newest state that is done: it holds for every ticket up to this one.
    done: Option<(Ticket, Result<(), FileError>)>,
}

impl StateSaving {
    /// Starts the thread, which lives as long as the process; `waker` is woken whenever something is done.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(path: PathBuf, waker: Waker) -> io::Result<StateSaving> {
        let shared = Arc::<Shared>::default();
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || thread.save_forever(&path, &waker))?;
        Ok(StateSaving {
            shared,
            asked: Ticket::default(),
            known: Ticket::default(),
            held: VecDeque::new(),
            trouble: String::new(),
            failed_at: Instant::now(),
        })
    }

    /// Why the state could not be saved the last time; empty when it was.
    pub(super) fn trouble(&self) -> &str {
        &self.trouble
    }

    pub(super) fn save(&mut self, state: Result<String, impl Display>) -> Option<Ticket> {
        match state {
            Ok(state) => {
                self.asked = Ticket(self.asked.0 + 1);
                self.shared.lock().waiting = Some((self.asked, state.into_bytes()));
                self.shared.moved.notify_all();
                Some(self.asked)
            }
            Err(error) => {
                self.not_saved(format!("encoding the state: {error}"));
                None
            }
        }
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

    /// Takes what came of the newest state that is done; gives what waited for it.
    pub(super) fn take_saved(&mut self) -> Vec<Held> {
        let Some((up_to, result)) = self.shared.lock().done.take() else { return Vec::new() };
        self.known = up_to;
        match result {
            Ok(()) if self.trouble.is_empty() => {}
            Ok(()) => {
                self.trouble.clear();
                log::info!("state.saved_again");
            }
            Err(error) => self.not_saved(error.to_string()),
        }
        std::iter::from_fn(|| self.held.pop_front_if(|(ticket, _)| *ticket <= up_to))
            .map(|(_, held)| held)
            .collect()
    }

    /// Whether a state that could not be saved is to be saved again: nothing else may change for long.
    pub(super) fn is_due(&self) -> bool {
        self.known == self.asked && !self.trouble.is_empty() && self.failed_at.elapsed() >= SAVE_AGAIN
    }

    /// Before the end: waits for the last state to be on the disk.
    pub(super) fn finish(&mut self) {
        if !self.shared.finish(LAST) {
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save_forever(&self, path: &Path, waker: &Waker) {
        loop {
            let (ticket, state) = self.take();
            let result = state_file::replace(path, &state);
            let mut desk = self.lock();
            desk.writing = None;
            // What was not asked for yet of an earlier one is answered by this one, which holds for all before it.
            desk.done = Some((ticket, result));
            drop(desk);
            self.moved.notify_all();
            // Without it the loop finds it at its next tick.
            let _ = waker.wake();
        }
    }

    fn take(&self) -> (Ticket, Vec<u8>) {
        let mut desk = self.lock();
        loop {
            if let Some((ticket, state)) = desk.waiting.take() {
                desk.writing = Some(ticket);
                return (ticket, state);
            }
            desk = self.moved.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until nothing is left to be saved, at most `patience`; whether that is so.
    fn finish(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut desk = self.lock();
        while desk.waiting.is_some() || desk.writing.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            desk = self.moved.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::convert::Infallible;

    fn saving(path: PathBuf) -> (StateSaving, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (StateSaving::start(path, waker).unwrap(), poll)
    }

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
        let (mut saving, _poll) = saving(path.clone());
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

    #[test]
    fn the_newest_state_is_on_the_disk_and_counts_for_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (mut saving, mut poll) = saving(path.clone());
        let state = |n: u64| n.to_string().repeat(1_000);
        let epochs = |n| Held::Epochs { up_to: Epoch(n) };
        let mut tickets = Vec::new();
        for n in 0..50 {
            let ticket = saving.save(Ok::<_, Infallible>(state(n))).unwrap();
            saving.hold(ticket, epochs(n));
            tickets.push(ticket);
        }
        assert!(tickets.is_sorted());
        let (mut seen, mut events) = (Vec::new(), Events::with_capacity(4));
        let until = Instant::now() + Duration::from_secs(5);
        while seen.len() < 50 {
            assert!(Instant::now() < until, "only {seen:?} are done");
            poll.poll(&mut events, Some(Duration::from_millis(50))).unwrap();
            seen.extend(saving.take_saved());
        }
        assert_eq!(seen, (0..50).map(epochs).collect::<Vec<_>>());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), state(49));
        saving.finish();
        assert_eq!(saving.trouble(), "");
    }
}
