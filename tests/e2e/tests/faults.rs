//! The recorder, its store and the coordinator in trouble: scanning goes on, and what happened meanwhile is written once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::process::{Running, send};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

const CAP: &str = "max_subscriptions = 5";

fn small() -> Options {
    Options { matches: 12, rate: 400.0, cap: Some(5), ..Options::default() }
}

fn trouble(site: &Site) -> String {
    let status = site.ask("status", json!({}));
    status["recorder"]["trouble"].as_str().unwrap_or_default().to_owned()
}

/// Documents and events are true, and no match ever was without a worker.
fn assert_nothing_was_missed(site: &Site, workers: &[u32]) {
    assert_eq!(site.worker_pids(), workers, "no worker was touched: {}", site.daemon.log());
    site.assert_documents_are_true();
    let report = site.assert_events_are_true();
    assert_eq!(report.with_gaps, 0, "{report:#?}\n{:?}", site.gaps());
    assert!(site.gaps().is_empty(), "{:?}", site.gaps());
}

#[test]
fn questions_during_the_start_cost_no_child() {
    let site = Site::start_with_pool(&small(), CAP, "min_workers = 12");
    let until = Instant::now() + LIVE;
    while site.count("/workers/ready") < 12 {
        assert!(Instant::now() < until, "{}", site.daemon.log());
        let _ = site.request("matches", json!({ "timeout_ms": 1 }));
        let _ = site.request("log", json!({ "action": "level", "filter": "debug" }));
    }
    site.wait_live(12);
    assert!(!site.daemon.log().contains("died"), "{}", site.daemon.log());
}

#[test]
fn a_killed_recorder_costs_nothing() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    site.wait_for_rows(50);
    let victim = site.ready_recorder().unwrap();
    send(victim, Signal::SIGKILL);
    wait::until("a new recorder", BACK, || site.ready_recorder().filter(|pid| *pid != victim));
    assert_eq!(site.count("/matches/live"), 12);
    assert_nothing_was_missed(&site, &workers);
}

#[test]
fn a_recorder_killed_again_and_again_costs_nothing() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    site.wait_for_rows(50);
    for _ in 0..3 {
        let victim = wait::until("a recorder", BACK, || site.ready_recorder());
        send(victim, Signal::SIGKILL);
        wait::until("a new recorder", BACK, || site.ready_recorder().filter(|pid| *pid != victim));
    }
    assert_nothing_was_missed(&site, &workers);
}

#[test]
fn a_recorder_stopped_for_three_seconds_costs_nothing() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    let recorder = site.ready_recorder().unwrap();
    send(recorder, Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(site.count("/matches/live"), 12);
    send(recorder, Signal::SIGCONT);
    wait::until("an answer from the store", BACK, || site.request("gaps", json!({})).ok());
    assert_eq!(site.ready_recorder(), Some(recorder));
    assert_nothing_was_missed(&site, &workers);
}

#[test]
fn a_coordinator_stopped_for_five_seconds_kills_no_child() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    let recorder = site.ready_recorder();
    site.daemon.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(5));
    site.daemon.signal(Signal::SIGCONT);
    // Longer than it takes to judge by a clock that was not put right.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(site.ready_recorder(), recorder);
    assert_eq!(site.count("/workers/restarts"), 0);
    assert!(!site.daemon.log().contains("worker.silent"), "{}", site.daemon.log());
    assert_nothing_was_missed(&site, &workers);
}

#[test]
fn a_reader_that_keeps_a_snapshot_delays_nothing() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    let store = Connection::open(site.path().join("touchline.db")).unwrap();
    store.execute_batch("begin; select count(*) from events; select count(*) from sections").unwrap();
    let before = site.recorded();
    wait::until("more events beside the reader", Duration::from_secs(15), || {
        (site.recorded() > before + 100).then_some(())
    });
    assert_eq!(trouble(&site), "");
    assert_nothing_was_missed(&site, &workers);
    store.execute_batch("rollback").unwrap();
}

#[test]
fn a_writer_that_locks_the_store_is_trouble_until_it_lets_go() {
    let site = Site::live(&small(), CAP);
    let workers = site.worker_pids();
    let store = Connection::open(site.path().join("touchline.db")).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    store.execute_batch("begin immediate").unwrap();
    wait::until("the trouble in the status", Duration::from_secs(15), || {
        trouble(&site).contains("locked").then_some(())
    });
    store.execute_batch("rollback").unwrap();
    wait::until("the end of the trouble", Duration::from_secs(10), || {
        trouble(&site).is_empty().then_some(())
    });
    assert_nothing_was_missed(&site, &workers);
}

/// A file system of its own for the store, if we may mount one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Disk<'a>> {
        std::fs::create_dir_all(at).unwrap();
        let disk = Disk(at);
        let mounted = nix::unistd::geteuid().is_root()
            && disk.call("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        if !mounted {
            eprintln!("SKIPPED: a small file system cannot be mounted here");
        }
        mounted.then_some(disk)
    }

    /// Makes it as small as what is on it, with next to no room.
    fn fill(&self) {
        wait::until("a disk without room", Duration::from_secs(10), || {
            let stat = nix::sys::statvfs::statvfs(self.0).unwrap();
            let used = (stat.blocks() - stat.blocks_free()) * stat.fragment_size() / 1024;
            // The store may have grown meanwhile, and then the kernel refuses.
            self.call("mount", &["-o", &format!("remount,size={}k", used + 128)]).then_some(())
        });
    }

    fn free(&self) {
        assert!(self.call("mount", &["-o", "remount,size=64m"]), "resizing {}", self.0.display());
    }

    fn call(&self, program: &str, words: &[&str]) -> bool {
        let output = Command::new(program).args(words).arg(self.0).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Lazily: after a failed test the daemon may still hold it.
        let mounted = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounted.contains(&self.0.display().to_string()) {
            self.call("umount", &["-l"]);
        }
    }
}

#[test]
fn a_full_disk_is_trouble_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let Some(mounted) = Disk::mount(&disk, "16m") else { return };
    let store = format!("max_subscriptions = 5\n[store]\npath = \"{}/touchline.db\"", disk.display());
    let site = Site::live(&small(), &store);
    let workers = site.worker_pids();
    mounted.fill();
    wait::until("the trouble in the status", Duration::from_secs(30), || {
        (!trouble(&site).is_empty()).then_some(())
    });
    assert_eq!(site.count("/matches/live"), 12, "scanning goes on");
    thread::sleep(Duration::from_secs(2));
    mounted.free();
    wait::until("the end of the trouble", Duration::from_secs(15), || {
        trouble(&site).is_empty().then_some(())
    });
    assert_nothing_was_missed(&site, &workers);
    drop(site);
    drop(mounted);
}

#[test]
fn two_recorders_never_write_one_store() {
    let site = Site::live(&small(), CAP);
    let store = site.path().join("touchline.db");
    let other = tempfile::tempdir().unwrap();
    touchline_e2e::write_config(
        other.path(),
        site.simulator.address(),
        &format!("max_subscriptions = 5\n[store]\npath = \"{}\"", store.display()),
    );
    let mut second: Running = touchline_e2e::run(other.path());
    second.wait_for_log("lock", Duration::from_secs(15));
    let holders = || {
        let mine = process::children(site.daemon.pid());
        let hers = process::children(second.pid());
        let holds = |pid: &u32| {
            process::descriptors(*pid)
                .iter()
                .any(|fd| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|link| link == store))
        };
        (mine.iter().filter(|pid| holds(pid)).count(), hers.iter().filter(|pid| holds(pid)).count())
    };
    assert_eq!(holders(), (1, 0));
    second.signal(Signal::SIGTERM);
    second.wait_for_end(Duration::from_secs(25));
    site.assert_documents_are_true();
    site.assert_events_are_true();
}
