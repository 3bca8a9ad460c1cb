//! Processes: who lives, who dies with whom, and what each holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_e2e::{LIVE, Site, run};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

fn small() -> Options {
    Options { matches: 12, rate: 200.0, cap: Some(5), ..Options::default() }
}

const CAP: &str = "max_subscriptions = 5";

#[test]
fn a_stopped_daemon_leaves_nothing() {
    let mut site = Site::live(&small(), CAP);
    assert!(site.worker_pids().len() >= 3, "12 matches and the list at 5 a connection need 3 workers");
    site.assert_documents_are_true();
    site.daemon.signal(Signal::SIGTERM);
    let status = site.daemon.wait_for_end(Duration::from_secs(25));
    assert_eq!(status.code(), Some(0), "{}", site.daemon.log());
    assert!(!site.socket().exists(), "the socket is removed");
    let log = site.daemon.log();
    assert!(log.contains("pool.stopped"));
    assert!(!log.contains("recorder.kill") && !log.contains("worker.kill"), "all leave as asked: {log}");
}

#[test]
fn children_die_with_their_coordinator_and_the_next_start_follows_everything_again() {
    let mut site = Site::live(&small(), CAP);
    let epoch = site.count("/epoch");
    let children = process::children(site.daemon.pid());
    assert!(children.len() >= 4, "workers and recorder: {children:?}");
    site.daemon.signal(Signal::SIGKILL);
    site.daemon.wait_for_end(Duration::from_secs(1));
    wait::until("the end of all children", Duration::from_secs(3), || {
        children.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    site.daemon = run(site.path());
    site.wait_live(12);
    assert!(site.count("/epoch") > epoch, "epochs rise across a crash");
    site.assert_documents_are_true();
}

#[test]
fn a_killed_worker_is_replaced_and_its_matches_are_followed_again() {
    let site = Site::live(&small(), CAP);
    let victim = site.worker_pids()[1];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    site.daemon.wait_for_log("worker.died", Duration::from_secs(2));
    wait::until("every match live again, without the dead", LIVE, || {
        let pids = site.worker_pids();
        (!pids.contains(&victim) && site.count("/matches/live") == 12).then_some(())
    });
    site.assert_documents_are_true();
    let gaps = site.ask("gaps", json!({}));
    assert!(!gaps.as_array().unwrap().is_empty(), "the time without a worker is a gap: {gaps}");
}

#[test]
fn a_child_holds_only_what_is_its_own() {
    let site = Site::live(&small(), CAP);
    for pid in process::children(site.daemon.pid()) {
        let held = process::descriptors(pid);
        let links: Vec<String> = held
            .iter()
            .map(|fd| {
                std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap_or_default().display().to_string()
            })
            .collect();
        let strange: Vec<&String> = links.iter().filter(|link| !is_expected(link, &site)).collect();
        assert!(strange.is_empty(), "process {pid} holds {strange:?} among {links:?}");
        // A worker: control, data, upstream. A recorder: control, one per worker, SQLite's files.
        let sockets = links.iter().filter(|link| link.starts_with("socket:")).count();
        let is_worker =
            std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().starts_with("tl-worker");
        assert!(!is_worker || sockets <= 3, "worker {pid} holds {sockets} sockets: {links:?}");
    }
    let zero_to_two: BTreeSet<u32> = (0..=2).collect();
    assert!(zero_to_two.is_subset(&process::descriptors(site.daemon.pid())));
}

fn is_expected(link: &str, site: &Site) -> bool {
    let folder = site.path().display().to_string();
    ["socket:", "anon_inode:", "/dev/null", "pipe:"].iter().any(|kind| link.starts_with(kind))
        || link.starts_with(&folder)
}

fn is_alive(pid: u32) -> bool {
    process::status_field(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}
