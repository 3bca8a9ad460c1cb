//! The log as a file: rotated, reopened by everybody, and readable line by line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::time::Duration;
use touchline_e2e::Site;
use touchline_harness::wait;
use touchline_simulator::Options;

fn small() -> Options {
    Options { matches: 6, rate: 100.0, cap: Some(5), ..Options::default() }
}

fn extra(file: &str) -> String {
    format!("max_subscriptions = 5\n[log]\ntarget = \"{file}\"")
}

#[test]
fn a_rotated_log_is_reopened_by_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("touchline.log");
    let site = Site::live(&small(), &extra(&log.display().to_string()));
    let old = folder.path().join("touchline.log.1");
    fs::rename(&log, &old).unwrap();
    site.ask("log", json!({ "action": "reopen" }));
    assert!(log.exists());
    let pids = site.worker_pids();
    let holds = |pid: &u32, path: &std::path::Path| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == path))
    };
    wait::until("every worker on the new file", Duration::from_secs(5), || {
        pids.iter().all(|pid| holds(pid, &log) && !holds(pid, &old)).then_some(())
    });
    fs::remove_file(&log).unwrap();
    site.daemon.signal(Signal::SIGUSR1);
    wait::until("the file made anew on SIGUSR1", Duration::from_secs(5), || log.exists().then_some(()));
}

#[test]
fn lines_have_time_level_who_and_name() {
    let mut site = Site::live(&small(), "max_subscriptions = 5");
    site.daemon.wait_for_log("pool.summary", Duration::from_secs(5));
    site.daemon.signal(Signal::SIGTERM);
    site.daemon.wait_for_end(Duration::from_secs(25));
    let log = site.daemon.log();
    for line in log.lines() {
        let mut words = line.split_ascii_whitespace();
        let time = words.next().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&words.next().unwrap()), "{line}");
        let who = words.next().unwrap();
        assert!(who == "coord" || who == "rec" || who.starts_with('w'), "{line}");
        let name = words.next().unwrap();
        assert!(name.contains('.') && name.is_ascii(), "{line}");
        assert!(line.len() <= 4096, "{line}");
    }
    for name in
        ["coord.started", "worker.spawned", "match.live", "pool.summary", "pool.ready", "pool.stopped"]
    {
        assert!(log.lines().any(|line| line.contains(name)), "{name} is missing in\n{log}");
    }
}
