//! Ends this process when its loop stands still: a timer inside a loop cannot see that the loop stalls, a signal can.
//!
//! The loop calls [`Watchdog::alive`] each turn. A timer's signal to the loop's own thread compares; two ticks in a row without
//! a turn between them write a line to standard error and abort, so that the core shows where it hangs. Each tick arms the
//! next one only when it is handled: a process that was stopped, or a host that slept, sees one late tick, never two at once,
//! and has a whole period to go on. The handler calls nothing but what `signal-safety(7)` allows. Used by the recorder's loop.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// From one look at the loop to the next. Two of them without a turn are the end, so a hung loop lives for 6 to 9 s: less than
/// the coordinator's own patience, and thousands of times longer than any turn.
pub const PERIOD: Duration = Duration::from_secs(3);

/// Ticks in a row without a turn that end the process.
const PATIENCE: u32 = 2;

static TURNS: AtomicU64 = AtomicU64::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);
static MISSES: AtomicU32 = AtomicU32::new(0);
static WATCH: OnceLock<Watch> = OnceLock::new();

/// What the handler needs, made before its first call.
struct Watch {
    timer: libc::timer_t,
    period: libc::itimerspec,
    last_words: Vec<u8>,
}

// SAFETY: a timer's id is a number to the kernel, whatever type it has in C; any thread may use it.
#[allow(unsafe_code)]
unsafe impl Send for Watch {}
// SAFETY: as above, and nothing in it is ever changed.
#[allow(unsafe_code)]
unsafe impl Sync for Watch {}

#[derive(Debug)]
pub struct Watchdog(PhantomData<*const ()>);

impl Watchdog {
    /// Watches this thread's loop from now on, for as long as the process lives. `who` stands in the last line.
    ///
    /// # Errors
    /// As `timer_create(2)` and `sigaction(2)`; `AlreadyExists` when this process has a watched loop.
    #[allow(unsafe_code)]
    pub fn arm(who: &str, period: Duration) -> io::Result<Watchdog> {
        let watch = Watch { timer: new_timer()?, period: once(period), last_words: last_words(who, period) };
        if WATCH.set(watch).is_err() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let action = SigAction::new(SigHandler::Handler(tick), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `tick` is async-signal-safe: atomics, a OnceLock that is set already, timer_settime, poll, write, abort.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        arm_next();
        Ok(Watchdog(PhantomData))
    }

    pub fn alive(&self) {
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}

/// A timer whose signal goes to this very thread: no other is interrupted, and the core is of the one that hangs.
#[allow(unsafe_code)]
fn new_timer() -> io::Result<libc::timer_t> {
    let mut timer = MaybeUninit::uninit();
    // SAFETY: all zeroes is a valid sigevent: plain integers and a null pointer.
    let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGALRM;
    event.sigev_notify_thread_id = nix::unistd::gettid().as_raw();
    // SAFETY: both point to values that outlive the call; the second is written when it succeeds.
    Errno::result(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, timer.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the timer's id is there.
    Ok(unsafe { timer.assume_init() })
}

/// One tick after `period`, not repeated.
fn once(period: Duration) -> libc::itimerspec {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let seconds = libc::time_t::try_from(period.as_secs()).unwrap_or(libc::time_t::MAX);
    let value = libc::timespec { tv_sec: seconds, tv_nsec: period.subsec_nanos().into() };
    libc::itimerspec { it_interval: zero, it_value: value }
}

fn last_words(who: &str, period: Duration) -> Vec<u8> {
    let least = (period * PATIENCE).as_secs_f32();
    format!("touchline: {who}: its loop made no turn for {least} s: aborting, so that a core shows where it hangs\n")
        .into_bytes()
}

#[allow(unsafe_code)]
fn arm_next() {
    let Some(watch) = WATCH.get() else { return };
    // SAFETY: the timer was made by us and is never deleted; the period outlives the call, no old value is asked for.
    unsafe { libc::timer_settime(watch.timer, 0, &raw const watch.period, ptr::null_mut()) };
}

extern "C" fn tick(_: libc::c_int) {
    // What it interrupts may be about to look at errno.
    let errno = Errno::last_raw();
    let turns = TURNS.load(Ordering::Relaxed);
    if SEEN.swap(turns, Ordering::Relaxed) != turns {
        MISSES.store(0, Ordering::Relaxed);
    } else if MISSES.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
        die();
    }
    arm_next();
    Errno::set_raw(errno);
}

/// Writes it where it can be read, and aborts: standard error may be a full pipe that no process empties.
#[allow(unsafe_code)]
fn die() -> ! {
    let mut room = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    if let Some(watch) = WATCH.get() {
        // SAFETY: one pollfd, which outlives the call, and no waiting.
        let ready = unsafe { libc::poll(&raw mut room, 1, 0) } == 1 && room.revents & libc::POLLOUT != 0;
        if ready {
            // SAFETY: the bytes live as long as the process and are never changed. They are fewer than a pipe takes at once.
            unsafe {
                libc::write(libc::STDERR_FILENO, watch.last_words.as_ptr().cast(), watch.last_words.len())
            };
        }
    }
    // SAFETY: async-signal-safe by POSIX.
    unsafe { libc::abort() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    /// A tick by hand; the kernel's own would need time.
    fn ticks(count: u32) {
        for _ in 0..count {
            raise(Signal::SIGALRM).unwrap();
        }
    }

    #[test]
    fn a_turn_between_two_ticks_is_enough_and_one_late_tick_does_no_harm() {
        // The real first tick is far away: these are all there are.
        let watchdog = Watchdog::arm("test", Duration::from_secs(3_600)).unwrap();
        assert!(Watchdog::arm("test", PERIOD).is_err(), "one loop of a process");
        let misses = || MISSES.load(Ordering::Relaxed);
        for _ in 0..5 {
            watchdog.alive();
            ticks(1);
            assert_eq!(misses(), 0);
            ticks(1);
            assert_eq!(misses(), 1, "one late tick, as after a stop; the second would be the end");
        }
        watchdog.alive();
        ticks(1);
        assert_eq!(misses(), 0);
    }

    #[test]
    fn what_it_says_names_who_and_how_long() {
        let text = String::from_utf8(last_words("worker 3", PERIOD)).unwrap();
        assert!(text.starts_with("touchline: worker 3: its loop made no turn for 6 s:"), "{text}");
        assert!(text.ends_with('\n') && text.len() < 512, "a pipe with room takes it whole");
    }
}
