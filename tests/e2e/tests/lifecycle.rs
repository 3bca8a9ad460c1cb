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
    site.stop(Duration::from_secs(25));
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
    kill_coordinator(&mut site);
    site.daemon = run(site.path());
    site.wait_live(12);
    assert!(site.count("/epoch") > epoch, "epochs rise across a crash");
    site.assert_documents_are_true();
}

/// Kills the coordinator and waits until its children are gone.
fn kill_coordinator(site: &mut Site) {
    let children = process::children(site.daemon.pid());
    site.daemon.signal(Signal::SIGKILL);
    site.daemon.wait_for_end(Duration::from_secs(1));
    wait::until("the end of all children", Duration::from_secs(3), || {
        children.iter().all(|pid| !process::is_alive(*pid)).then_some(())
    });
}

#[test]
fn a_lost_an_older_and_a_damaged_state_file_are_survived() {
    let mut site = Site::live(&small(), CAP);
    let state = site.path().join("state.json");
    let oldest = std::fs::read(&state).unwrap();
    let worker = site.worker_pids()[0];
    process::send(worker, Signal::SIGKILL);
    site.daemon.wait_for_log("worker.died", LIVE);
    site.wait_live(12);
    let epochs = |site: &Site| -> Vec<u64> {
        let matches = site.ask("matches", json!({}));
        matches.as_array().unwrap().iter().map(|one| one["epoch"].as_u64().unwrap()).collect()
    };
    for kept in [None, Some(oldest.clone()), Some(oldest[..oldest.len() / 2].to_vec())] {
        let before = epochs(&site).into_iter().max().unwrap();
        kill_coordinator(&mut site);
        match &kept {
            None => std::fs::remove_file(&state).unwrap(),
            Some(bytes) => std::fs::write(&state, bytes).unwrap(),
        }
        site.daemon = run(site.path());
        site.wait_live(12);
        let after = epochs(&site);
        assert!(
            after.iter().all(|epoch| *epoch > before),
            "the store knows the epochs, too: {after:?} {before}"
        );
    }
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn what_the_last_run_knew_is_served_as_stale_until_the_server_is_there() {
    let mut site = Site::live(&small(), CAP);
    // A document that changed is saved at most a second later.
    site.simulator.pause();
    std::thread::sleep(Duration::from_millis(2_500));
    let id = site.simulator.truth().matches()[0].clone();
    let ask = |site: &Site| site.request("match", json!({ "match": id })).ok();
    let before = ask(&site).unwrap();
    kill_coordinator(&mut site);
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    touchline_e2e::write_config(site.path(), nowhere, CAP);
    site.daemon = run(site.path());
    let stale = wait::until("the last document", LIVE, || ask(&site));
    assert_eq!((&before["stale"], &stale["stale"]), (&false.into(), &true.into()));
    assert_eq!((&stale["score"], &stale["markets"]), (&before["score"], &before["markets"]));
    kill_coordinator(&mut site);
    touchline_e2e::write_config(site.path(), site.simulator.address(), CAP);
    site.daemon = run(site.path());
    site.simulator.resume();
    site.wait_live(12);
    let live = wait::until("its load", LIVE, || ask(&site).filter(|document| document["stale"] == false));
    assert!(live["epoch"].as_u64() > before["epoch"].as_u64());
    site.assert_documents_are_true();
}

#[test]
fn matches_that_ended_while_the_daemon_was_down_are_reported_as_ended() {
    let options = Options { churn: 60.0, ..small() };
    let mut site = Site::live(&options, "max_subscriptions = 5\nend_linger = \"1s\"");
    let before = site.simulator.truth().matches();
    // A load that died with its worker leaves nothing: the test begins when all matches are recorded.
    wait::until("the first event of each", LIVE, || {
        let events = site.events();
        let listed = |id: &String| events.iter().any(|e| e["match"] == **id && e["type"] == "match_listed");
        before.iter().all(listed).then_some(())
    });
    kill_coordinator(&mut site);
    wait::until("matches that end", LIVE, || {
        let now = site.simulator.truth().matches();
        (before.iter().filter(|id| !now.contains(id)).count() >= 3).then_some(())
    });
    let over: Vec<String> =
        before.iter().filter(|id| !site.simulator.truth().matches().contains(id)).cloned().collect();
    site.simulator.pause();
    site.daemon = run(site.path());
    site.wait_live(site.simulator.truth().matches().len() as u64);
    wait::until("their ends", LIVE, || {
        let events = site.events();
        let ends = |id: &String| events.iter().any(|e| e["match"] == **id && e["type"] == "match_ended");
        over.iter().all(ends).then_some(())
    });
    let report = site.assert_events_are_true();
    assert!(report.ended_unseen > 0, "{report:?}");
    let open = |gap: &&serde_json::Value| gap["ended_at"].is_null();
    let gaps = site.gaps();
    assert_eq!(gaps.iter().filter(open).count(), 0, "{gaps:?}");
}

#[test]
fn a_killed_worker_is_replaced_and_its_matches_are_followed_again() {
    let site = Site::live(&small(), CAP);
    let victim = site.worker_pids()[1];
    process::send(victim, Signal::SIGKILL);
    site.daemon.wait_for_log("worker.died", LIVE);
    wait::until("every match live again, without the dead", LIVE, || {
        let pids = site.worker_pids();
        (!pids.contains(&victim) && site.count("/matches/live") == 12).then_some(())
    });
    site.assert_documents_are_true();
    assert!(!site.gaps().is_empty(), "the time without a worker is a gap");
}

#[test]
fn the_process_list_names_each_child() {
    let site = Site::live(&small(), CAP);
    let titles: BTreeSet<String> = process::children(site.daemon.pid())
        .into_iter()
        .map(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.trim_end_matches('\0').replace('\0', " ")
        })
        .collect();
    for title in ["touchline: recorder", "touchline: worker 1 inplay", "touchline: worker 2 inplay"] {
        assert!(titles.contains(title), "{title}: {titles:?}");
    }
    let is_title = |title: &String| title.starts_with("touchline: ") && !title.contains("--");
    assert!(titles.iter().all(is_title), "{titles:?}");
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
