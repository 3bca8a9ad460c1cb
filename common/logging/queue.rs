//! The bounded queue of lines and the thread that writes them.
//!
//! Invariants: putting a line in never waits for the target; a line that finds the queue full is dropped and counted;
//! once there is room again one line says how many were dropped. Each line is one `write`. A target that cannot be
//! written (closed pipe, full disk) costs lines, never the process.

use super::line;
use super::{LogFormat, Target, Who};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many bytes of lines wait at most; beyond it lines are dropped and counted.
pub const MAX_WAITING: usize = 1 << 20;

/// How long one line waits for a target that is another process's non-blocking descriptor.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    out: Mutex<Arc<Target>>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Lines that the thread has taken and not yet written, that about the dropped ones included.
    writing: usize,
    /// Dropped since the last line that reported it.
    unreported: u64,
}

impl State {
    fn is_done(&self) -> bool {
        self.lines.is_empty() && self.writing == 0 && self.unreported == 0
    }
}

impl Queue {
    /// An empty queue and its thread, which lives as long as the process.
    pub(super) fn start(who: Who, format: LogFormat, out: Target) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            out: Mutex::new(Arc::new(out)),
            dropped: AtomicU64::new(0),
        });
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_forever(who, format))?;
        Ok(queue)
    }

    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes + line.len() > MAX_WAITING {
            state.unreported += 1;
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.into());
        drop(state);
        self.filled.notify_one();
    }

    pub(super) fn set_out(&self, out: Target) {
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(out);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn flush(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        while !state.is_done() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_forever(&self, who: Who, format: LogFormat) {
        loop {
            let (lines, unreported) = self.take();
            for line in lines {
                self.write(&line);
                let mut state = self.lock();
                state.writing -= 1;
                state.bytes -= line.len();
            }
            if unreported > 0 {
                self.write_dropped(who, format, unreported);
                self.lock().writing -= 1;
            }
            if self.lock().is_done() {
                self.emptied.notify_all();
            }
        }
    }

    /// Waits for lines and takes all of them. Their bytes count until they are written.
    fn take(&self) -> (VecDeque<Box<[u8]>>, u64) {
        let mut state = self.lock();
        while state.lines.is_empty() && state.unreported == 0 {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let lines = std::mem::take(&mut state.lines);
        let unreported = std::mem::take(&mut state.unreported);
        state.writing = lines.len() + usize::from(unreported > 0);
        (lines, unreported)
    }

    fn write_dropped(&self, who: Who, format: LogFormat, unreported: u64) {
        let mut bytes = Vec::new();
        let pairs = [("lines", unreported)];
        let record = log::Record::builder()
            .level(log::Level::Warn)
            .args(format_args!("log.dropped"))
            .key_values(&pairs)
            .build();
        if line::write(&mut bytes, jiff::Timestamp::now(), who, format, &record).is_ok() {
            self.write(&bytes);
        }
    }

    fn write(&self, line: &[u8]) {
        let out = Arc::clone(&self.out.lock().unwrap_or_else(PoisonError::into_inner));
        let written = match &*out {
            Target::Stderr => write_line(io::stderr().as_fd(), line),
            Target::File(file) => write_line(file.as_fd(), line),
        };
        if written.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What `env_logger` writes into: each call is one whole line.
pub(super) struct Entrance(pub(super) Arc<Queue>);

impl io::Write for Entrance {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !line.is_empty() {
            self.0.put(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One `write`; a second one only where the first took a part, which a file does when its disk is full.
fn write_line(fd: BorrowedFd<'_>, line: &[u8]) -> Result<(), Errno> {
    let end = Instant::now() + PATIENCE;
    let mut rest = line;
    while !rest.is_empty() {
        match nix::unistd::write(fd, rest) {
            Ok(0) => return Err(Errno::EIO),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if Instant::now() < end => wait_writable(fd),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_writable(fd: BorrowedFd<'_>) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    // Whatever it answers, the next write finds out; 20 ms bounds the wait.
    let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::from(20_u8));
}
