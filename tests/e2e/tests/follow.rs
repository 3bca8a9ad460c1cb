//! Followers of events and of odds to whom nothing had come yet when the recorder died: each row that is committed afterwards is shown,
//! and once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

/// `touchline … --follow`, with what it prints in a file.
struct Follower {
    process: Child,
    out: PathBuf,
}

impl Follower {
    fn start(site: &Site, args: &[&str]) -> Follower {
        let out = site.file("followed");
        let process = Command::new(process::program())
            .args(args)
            .current_dir(site.path())
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .spawn()
            .unwrap();
        Follower { process, out }
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.out).unwrap().lines().map(str::to_owned).collect()
    }

    fn assert_follows(&mut self) {
        assert_eq!(self.process.try_wait().unwrap(), None, "it follows: {:?}", self.lines());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn quiet() -> Site {
    let options = Options { matches: 6, rate: 600.0, cap: Some(5), ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 5");
    site.wait_until_recorded(6, LIVE);
    site.simulator.pause();
    assert_quiet(&site);
    site
}

/// Waits until nothing more is committed: values settle after 2 s.
fn assert_quiet(site: &Site) {
    let mut before = None;
    wait::until("the recorder to commit everything", BACK, || {
        std::thread::sleep(Duration::from_millis(2_500));
        let now = (site.recorded(), site.count("/recorder/queue"));
        (before.replace(now) == Some(now) && now.1 == 0).then_some(())
    });
}

fn seqs(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect()
}

/// The recorder dies, the server goes on at once, and stands still again when there is a new recorder and rows of it.
fn restart_the_recorder_under_load(site: &Site) {
    let victim = site.ready_recorder().unwrap();
    process::send(victim, Signal::SIGKILL);
    site.simulator.resume();
    wait::until("a new recorder", BACK, || site.ready_recorder().filter(|pid| *pid != victim));
    site.wait_for_rows(100);
}

#[test]
fn a_follower_of_events_to_whom_nothing_had_come_misses_none_across_a_restart_of_the_recorder() {
    let site = quiet();
    let newest = seqs(&site.events()).last().copied().unwrap();
    let mut follower = Follower::start(&site, &["events", "--follow", "--format", "csv"]);
    // The columns' names come once the daemon has answered.
    wait::until("the answer", BACK, || (follower.lines().len() == 1).then_some(()));
    restart_the_recorder_under_load(&site);
    wait::until("events", BACK, || {
        let last = seqs(&site.events()).last().copied();
        last.is_some_and(|last| last >= newest + 5).then_some(())
    });
    site.simulator.pause();
    assert_quiet(&site);
    let all = seqs(&site.events());
    let expected: Vec<u64> = all.into_iter().filter(|seq| *seq > newest).collect();
    let shown = || -> Vec<u64> {
        let lines = follower.lines();
        lines[1..].iter().filter_map(|line| line.split(',').next()?.parse().ok()).collect()
    };
    wait::until("each of them", BACK, || (shown().len() >= expected.len()).then_some(()));
    assert_eq!(shown(), expected);
    follower.assert_follows();
}

#[test]
fn a_follower_of_odds_to_whom_nothing_had_come_misses_none_across_a_restart_of_the_recorder() {
    let site = quiet();
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    let rows = || site.ask("odds", json!({ "match": id })).as_array().cloned().unwrap();
    let newest = seqs(&rows()).last().copied().unwrap_or(0);
    let recorder = site.ready_recorder().unwrap();
    let threads = || process::status_field(recorder, "Threads:").unwrap().parse::<u32>().unwrap();
    let before = threads();
    let mut follower = Follower::start(&site, &["odds", &id, "--follow", "--json"]);
    let answers = |pid: u32| {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
        let is_query = |name: String| name == "query\n";
        tasks.flatten().any(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(is_query))
    };
    // Its thread is there for good, not that of the question before it, and has answered.
    wait::until("its thread", BACK, || {
        let there = || answers(recorder) && threads() > before;
        let first = there();
        std::thread::sleep(Duration::from_millis(300));
        (first && there()).then_some(())
    });
    restart_the_recorder_under_load(&site);
    wait::until("rows of the match", BACK, || (seqs(&rows()).last() > Some(&newest)).then_some(()));
    site.simulator.pause();
    assert_quiet(&site);
    let expected: Vec<u64> = seqs(&rows()).into_iter().filter(|seq| *seq > newest).collect();
    assert!(!expected.is_empty());
    let shown = || -> Vec<u64> {
        let rows = follower.lines().into_iter().map(|line| serde_json::from_str(&line).unwrap());
        seqs(&rows.collect::<Vec<Value>>())
    };
    wait::until("each of them", BACK, || (shown().len() >= expected.len()).then_some(()));
    assert_eq!(shown(), expected);
    follower.assert_follows();
}
