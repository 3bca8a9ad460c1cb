//! From the channel to the loop: the welcome, the log, and then one worker or a process of several.

use super::error::ScanError;
use super::handshake::{Handshake, Welcome};
use super::setup::{feed, parts};
use super::shared_process::SharedProcess;
use super::worker::Worker;
use std::os::fd::OwnedFd;
use std::time::Duration;
use touchline_common::config::Strategy;
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::model::SlotId;
use touchline_common::sys::signals::Signals;

/// Scans until it is asked to stop. `slot` is that of its command line, for the log before the welcome.
pub fn run(channel: OwnedFd, slot: SlotId) -> Result<(), ScanError> {
    // Before any thread: only the loop is to see signals. A terminal's interrupt goes to the whole group; the coordinator
    // decides what becomes of it.
    let signals = Signals::open_all().map_err(ScanError::system("blocking signals"))?;
    let (mut handshake, welcome) = Handshake::begin(channel)
        .and_then(Handshake::wait)
        .inspect_err(|error| log_unwelcome(slot, error))?;
    let log = logging::init(
        Who::Worker(slot),
        &welcome.config.log.level,
        welcome.config.log.format,
        Target::Stderr,
    )
    .map_err(|error| ScanError::config(format!("log: {error}")))?;
    if let Some(file) = handshake.log_file.take() {
        log.set_file(file);
    }
    let ran = scan(handshake, &welcome, signals, log.clone());
    if let Err(error) = &ran {
        log::error!(error:% = error; "worker.failed");
    }
    log.flush(Duration::from_secs(1));
    ran
}

/// Without a welcome the settings of the log are not known: it goes to standard error, as it does by default.
fn log_unwelcome(slot: SlotId, error: &ScanError) {
    let defaults = touchline_common::config::LogConfig::default();
    if let Ok(log) = logging::init(Who::Worker(slot), &defaults.level, defaults.format, Target::Stderr) {
        log::error!(error:% = error; "worker.failed");
        log.flush(Duration::from_secs(1));
    }
}

/// One worker in this process, or as many as the coordinator adds.
fn scan(
    mut handshake: Handshake,
    welcome: &Welcome,
    signals: Signals,
    log: LogHandle,
) -> Result<(), ScanError> {
    match feed(welcome)?.strategy {
        Strategy::Balanced | Strategy::Dumps => {
            let parts = parts(&mut handshake, welcome, Some(signals), log)?;
            Worker::ready(handshake.control, parts)?.run()
        }
        Strategy::Multiplex => {
            let mut process = SharedProcess::new(signals, log)?;
            process.add_worker(handshake, welcome)?;
            process.run()
        }
    }
}
