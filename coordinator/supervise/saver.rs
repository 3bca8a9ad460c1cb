//! Saves the state on a thread of its own, so that the coordinator's loop never waits for a disk.
//!
//! A state that waits is replaced by a newer one, which holds all that it held; so one is being written and one waits, never
//! more. What must not happen before it is on the disk (a start, the use of epochs) waits for its [`Ticket`]. Called by `daemon`.

use super::state_file;
use crate::file_error::FileError;
use mio::Waker;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names a state that was given to be saved; later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What came of saving: it holds for every ticket up to this one.
#[derive(Debug)]
pub struct Saved {
    pub up_to: Ticket,
    pub result: Result<(), FileError>,
}

pub struct Saver {
    shared: Arc<Shared>,
    last: Ticket,
}

struct Shared {
    desk: Mutex<Desk>,
    moved: Condvar,
}

#[derive(Default)]
struct Desk {
    waiting: Option<(Ticket, Vec<u8>)>,
    writing: Option<Ticket>,
    done: Option<Saved>,
}

impl Saver {
    /// Starts the thread, which lives as long as the process; `waker` is woken whenever something is done.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(path: PathBuf, waker: Waker) -> io::Result<Saver> {
        let shared = Arc::new(Shared { desk: Mutex::default(), moved: Condvar::new() });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || thread.save_forever(&path, &waker))?;
        Ok(Saver { shared, last: Ticket::default() })
    }

    pub fn save(&mut self, state: Vec<u8>) -> Ticket {
        self.last = Ticket(self.last.0 + 1);
        self.shared.lock().waiting = Some((self.last, state));
        self.shared.moved.notify_all();
        self.last
    }

    /// What came of the newest state that is done, once.
    pub fn take_done(&self) -> Option<Saved> {
        self.shared.lock().done.take()
    }

    /// Waits until nothing is left to be saved, at most `patience`; whether that is so.
    pub fn finish(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut desk = self.shared.lock();
        while desk.waiting.is_some() || desk.writing.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            desk = self.shared.moved.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save_forever(&self, path: &std::path::Path, waker: &Waker) {
        loop {
            let (ticket, state) = self.take();
            let result = state_file::replace(path, &state);
            let mut desk = self.lock();
            desk.writing = None;
            // What was not asked for yet of an earlier one is answered by this one, which holds for all before it.
            desk.done = Some(Saved { up_to: ticket, result });
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn saver(path: PathBuf) -> (Saver, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (Saver::start(path, waker).unwrap(), poll)
    }

    fn done(saver: &Saver, poll: &mut Poll, ticket: Ticket) -> Result<(), FileError> {
        let mut events = Events::with_capacity(4);
        let until = Instant::now() + PATIENCE;
        loop {
            match saver.take_done() {
                Some(saved) if saved.up_to >= ticket => return saved.result,
                Some(_) | None => {}
            }
            assert!(Instant::now() < until, "{ticket:?} is not done");
            poll.poll(&mut events, Some(Duration::from_millis(50))).unwrap();
        }
    }

    #[test]
    fn the_newest_state_is_on_the_disk_and_counts_for_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (mut saver, mut poll) = saver(path.clone());
        let tickets: Vec<Ticket> = (0..50).map(|n: u8| saver.save(vec![n; 1_000])).collect();
        assert!(tickets.is_sorted());
        done(&saver, &mut poll, tickets[49]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), vec![49; 1_000]);
        assert!(saver.finish(PATIENCE));
    }

    #[test]
    fn what_cannot_be_saved_is_reported_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let (mut saver, mut poll) = saver(folder.path().join("absent").join("state.json"));
        let ticket = saver.save(b"{}".to_vec());
        let error = done(&saver, &mut poll, ticket).unwrap_err();
        assert!(error.to_string().starts_with("creating"), "{error}");
    }
}
