//! The priority of a thread whose work may wait.

use nix::errno::Errno;
use std::io;

/// From now on the calling thread runs when nothing else wants to, and reads and writes the disk likewise where its scheduler knows that.
///
/// # Errors
/// As `sched_setscheduler(2)`.
#[allow(unsafe_code)]
pub fn idle_thread() -> io::Result<()> {
    // SAFETY: all zero is a valid `sched_param`.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: 0 names the calling thread, and `param` is one that outlives the call.
    Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    #[allow(unsafe_code)]
    fn a_thread_becomes_idle_and_no_other() {
        // SAFETY: the call takes no pointer.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let before = policy();
        std::thread::spawn(move || {
            super::idle_thread().unwrap();
            assert_eq!(policy(), libc::SCHED_IDLE);
        })
        .join()
        .unwrap();
        assert_eq!(policy(), before);
    }
}
