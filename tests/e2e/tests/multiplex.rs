//! Strategy `multiplex`: several connections in one process, each a worker of its own to whoever looks. What ends the process
//! ends all of them, once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use touchline_e2e::{LIVE, Site};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

const FEED: &str = "max_subscriptions = 5\nstrategy = \"multiplex\"\nconnections_per_process = 3";

fn small() -> Options {
    Options { matches: 24, rate: 1_000.0, cap: Some(5), ..Options::default() }
}

/// The slots in each process.
fn slots_by_process(site: &Site) -> BTreeMap<u32, Vec<u64>> {
    let mut slots: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    site.workers().unwrap().into_iter().for_each(|(slot, pid)| slots.entry(pid).or_default().push(slot));
    slots
}

#[test]
fn connections_share_processes_and_everything_is_as_true_as_elsewhere() {
    let site = Site::live(&small(), FEED);
    let shared = slots_by_process(&site);
    assert!(shared.values().all(|slots| slots.len() <= 3), "{shared:?}");
    assert_eq!(
        shared.values().map(Vec::len).sum::<usize>(),
        5,
        "25 subscriptions, 5 a connection: {shared:?}"
    );
    assert_eq!(shared.len(), 2, "{shared:?}");
    let children = process::children(site.daemon.pid());
    assert_eq!(children.len(), 3, "two processes and the recorder: {children:?}");
    let log = site.daemon.log();
    for slot in 1..=5 {
        assert!(log.contains(&format!(" coord worker.spawned worker={slot} ")), "{log}");
    }
    site.assert_documents_are_true();
    let report = site.assert_events_are_true();
    assert_eq!(report.with_gaps, 0, "{report:#?}");
    assert!(site.simulator.report().most_subscriptions <= 5);
}

#[test]
fn one_of_them_is_drained_and_the_process_goes_on_with_the_others() {
    let site = Site::live(&Options { matches: 9, ..small() }, FEED);
    let before = slots_by_process(&site);
    assert_eq!(before.len(), 1, "{before:?}");
    let (pid, slots) = before.iter().next().unwrap();
    let leaving = slots[0];
    let answer = site.ask("drain", json!({ "worker": leaving, "timeout_ms": 30_000 }));
    assert_eq!(answer, json!(format!("worker {leaving} is drained")));
    assert_eq!(site.count("/matches/live"), 9);
    let after = slots_by_process(&site);
    assert!(after.contains_key(pid), "{after:?}\n{}", site.daemon.log());
    assert_eq!(site.count("/workers/restarts"), 0);
    // A slot that is free again is filled again, in the same process.
    wait::until("the end of the drained worker's connection", LIVE, || {
        let open = site.simulator.report().connections.iter().filter(|one| one.open).count();
        (open == 2).then_some(())
    });
    site.assert_documents_are_true();
    let report = site.assert_events_are_true();
    assert_eq!(report.with_gaps, 0, "{report:#?}");
    assert_eq!(site.ask("status", json!({}))["deaths"], json!([]));
}

#[test]
fn a_killed_process_is_one_death_and_all_of_its_matches_are_followed_again() {
    let site = Site::live(&small(), FEED);
    site.wait_until_recorded(24, LIVE);
    let before = slots_by_process(&site);
    let (pid, slots) = before.iter().max_by_key(|(_, slots)| slots.len()).unwrap();
    process::send(*pid, Signal::SIGKILL);
    wait::until("every match live in other processes", LIVE, || {
        let gone = !slots_by_process(&site).contains_key(pid);
        (gone && site.count("/matches/live") == 24).then_some(())
    });
    let deaths = site.ask("status", json!({}))["deaths"].as_array().cloned().unwrap();
    assert_eq!(deaths.len(), slots.len(), "{deaths:?}");
    assert!(deaths.iter().all(|death| death["pid"] == *pid), "{deaths:?}");
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn a_process_that_is_asked_to_leave_takes_all_of_its_workers_along() {
    let site = Site::live(&small(), FEED);
    let before = slots_by_process(&site);
    let (pid, slots) = before.iter().max_by_key(|(_, slots)| slots.len()).unwrap();
    process::send(*pid, Signal::SIGTERM);
    wait::until("every match live in other processes", LIVE, || {
        let gone = !slots_by_process(&site).contains_key(pid);
        (gone && site.count("/matches/live") == 24).then_some(())
    });
    let log = site.daemon.log();
    for slot in slots {
        assert!(log.contains(&format!(" w{slot} worker.terminated ")), "{log}");
    }
    assert_eq!(site.ask("status", json!({}))["deaths"], json!([]), "{log}");
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn the_daemon_leaves_nothing_when_it_stops() {
    let mut site = Site::live(&small(), FEED);
    let children = process::children(site.daemon.pid());
    let _: Value = site.ask("stop", json!({}));
    let status = site.daemon.wait_for_end(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", site.daemon.log());
    assert!(!site.daemon.log().contains("worker.died"), "{}", site.daemon.log());
    for pid in children {
        assert!(process::status_field(pid, "State:").is_none(), "process {pid} is left");
    }
}
