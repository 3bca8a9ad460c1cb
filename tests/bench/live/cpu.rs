//! What processes use, from outside: processor time and memory. And the clock that all of them share.

use crate::error::{BenchError, While};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::time::Duration;

/// The processor time of all threads of these processes so far.
///
/// # Errors
/// When one of them is gone.
pub fn used(pids: impl IntoIterator<Item = u32>) -> Result<Duration, BenchError> {
    pids.into_iter().try_fold(Duration::ZERO, |sum, pid| {
        let clock = clock_getcpuclockid(Pid::from_raw(pid as i32)).and_then(clock_gettime);
        Ok(sum + Duration::from(clock.during("reading a process's clock")?))
    })
}

/// Memory that is a process's alone and that it wrote to, in bytes.
///
/// # Errors
/// When it is gone.
pub fn private_dirty(pid: u32) -> Result<u64, BenchError> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).during("reading a process's memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes
        .map(|count| count * 1024)
        .ok_or_else(|| BenchError::new("reading a process's memory", "no line Private_Dirty"))
}

/// The machine's monotonic clock, in nanoseconds: the same in all processes.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
