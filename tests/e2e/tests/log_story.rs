//! The log tells a story once: what each happening costs in lines that an operator reads at the usual level, however many matches it is
//! about.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::{process, wait};
use touchline_simulator::{Options, Simulator};

/// How long a drain or a move may take, a start of a worker included.
const MOVES: Duration = Duration::from_secs(40);

/// Forty matches at one worker.
fn one_worker() -> Site {
    let site = Site::live(&forty(), "max_subscriptions = 50");
    assert_eq!(site.worker_pids().len(), 1);
    settled(site)
}

fn forty() -> Options {
    Options { matches: 40, rate: 400.0, cap: Some(50), ..Options::default() }
}

/// Nine matches at three workers.
fn three_workers() -> Site {
    let options = Options { matches: 9, rate: 200.0, cap: Some(5), ..Options::default() };
    let site = Site::start_with_pool(&options, "max_subscriptions = 5", "min_workers = 3");
    site.wait_live(9);
    settled(site)
}

/// Its start is told, and each match has something to lose.
fn settled(site: Site) -> Site {
    for line in ["pool.ready", "feed.up", "pool.summary"] {
        site.daemon.wait_for_log(line, LIVE);
    }
    site.wait_for_rows(50);
    site
}

/// The lines from a place in the log on, without those of matches that appear and end: time goes on for them.
struct Story {
    from: usize,
}

impl Story {
    fn begin(site: &Site) -> Story {
        Story { from: site.daemon.log().len() }
    }

    fn lines(&self, site: &Site) -> Vec<String> {
        let log = site.daemon.log();
        // A line that is being written is of what comes next.
        let whole = log.rfind('\n').map_or(0, |end| end + 1).max(self.from);
        let told = log[self.from..whole].lines().filter(|line| !is_of_a_match(line));
        told.map(str::to_owned).collect()
    }

    /// No more lines than this, none of this level or above, and so many of each of these.
    fn assert(&self, site: &Site, most: usize, none: &[&str], each: &[(&str, usize)]) {
        let lines = self.lines(site);
        assert!(lines.len() <= most, "more than {most} lines:\n{}", lines.join("\n"));
        for level in none {
            let found = lines.iter().find(|line| word(line, 1) == *level);
            assert!(found.is_none(), "{level}:\n{}", lines.join("\n"));
        }
        for (name, count) in each {
            let found = lines.iter().filter(|line| word(line, 3) == *name).count();
            assert_eq!(found, *count, "{name}:\n{}", lines.join("\n"));
        }
    }

    /// The line of this event, which comes within the deadline.
    fn wait_for(&self, site: &Site, name: &str, patience: Duration) -> String {
        wait::until(&format!("{name} in the log"), patience, || {
            self.lines(site).into_iter().find(|line| word(line, 3) == name)
        })
    }
}

fn word(line: &str, at: usize) -> &str {
    line.split_ascii_whitespace().nth(at).unwrap_or_default()
}

fn is_of_a_match(line: &str) -> bool {
    ["match.live", "match.ended"].contains(&word(line, 3))
}

const WARNINGS: [&str; 2] = ["WARN", "ERROR"];
const DETAIL: [&str; 2] = ["DEBUG", "TRACE"];

/// A start and a stop; how many lines they cost.
fn start_and_stop(matches: usize) -> usize {
    let options = Options { matches, rate: 200.0, cap: Some(50), ..Options::default() };
    let mut site = settled(Site::live(&options, "max_subscriptions = 50"));
    site.stop(Duration::from_secs(25));
    let story = Story { from: 0 };
    story.assert(&site, 18, &[WARNINGS, DETAIL].concat(), &[("pool.ready", 1), ("pool.stopped", 1)]);
    story.lines(&site).len()
}

#[test]
fn a_start_and_a_stop_have_no_warning_and_cost_no_line_for_each_match() {
    let (few, many) = (start_and_stop(3), start_and_stop(40));
    assert!(few.abs_diff(many) <= 3, "{few} and {many}: the same but for a summary more or less");
}

#[test]
fn a_planned_move_is_one_line() {
    let site = three_workers();
    let matches = site.ask("matches", json!({}));
    let one = matches.as_array().unwrap()[0].clone();
    let workers = site.ask("workers", json!({}));
    let has_room =
        |w: &&Value| w["worker"] != one["worker"] && w["subscriptions"].as_u64() < w["cap"].as_u64();
    let to = workers.as_array().unwrap().iter().find(has_room).unwrap()["worker"].clone();
    let story = Story::begin(&site);
    let id = one["match"].as_str().unwrap();
    let moved = process::run(site.path(), &["move", id, &to.to_string()]);
    assert_eq!(moved.status.code(), Some(0), "{}", String::from_utf8_lossy(&moved.stderr));
    let line = story.wait_for(&site, "match.moved", MOVES);
    assert!(line.contains(id) && word(&line, 1) == "INFO", "{line}");
    // That an operator asked for it is a line, too.
    let once = [("match.moved", 1), ("control.command", 1)];
    story.assert(&site, 3, &WARNINGS, &once);
}

#[test]
fn a_worker_killed_with_forty_matches_is_one_line_with_what_followed() {
    let site = one_worker();
    let story = Story::begin(&site);
    process::send(site.worker_pids()[0], Signal::SIGKILL);
    let line = story.wait_for(&site, "worker.died", LIVE);
    assert!(line.contains(" matches=40 ") && line.contains(" recovered_ms="), "{line}");
    assert_eq!(word(&line, 1), "WARN", "nobody needs to act");
    assert_eq!(site.count("/matches/live"), 40);
    story.assert(&site, 6, &["ERROR"], &[("worker.died", 1), ("worker.spawned", 1)]);
    let warnings = story.lines(&site).iter().filter(|line| word(line, 1) == "WARN").count();
    assert_eq!(warnings, 1, "{:?}", story.lines(&site));
}

#[test]
fn a_lost_connection_is_one_line_and_one_when_it_is_back() {
    let site = one_worker();
    let story = Story::begin(&site);
    site.reset_all();
    let line = story.wait_for(&site, "worker.connection_back", BACK);
    assert!(line.contains(" matches=40 ") && line.contains(" gap_ms="), "{line}");
    let once = [("worker.connection_lost", 1), ("worker.connection_back", 1)];
    story.assert(&site, 4, &["ERROR"], &once);
}

#[test]
fn a_server_that_is_down_for_some_seconds_costs_few_lines_and_comes_back() {
    let mut site = one_worker();
    let story = Story::begin(&site);
    let again = Options { listen: site.simulator.address(), ..forty() };
    let elsewhere = Simulator::start(&Options { matches: 1, ..Options::default() }).unwrap();
    drop(std::mem::replace(&mut site.simulator, elsewhere));
    let down = story.wait_for(&site, "feed.down", BACK);
    assert!(down.contains("no connection is up: "), "{down}");
    // Each attempt fails; after 5 s at the earliest one is shown again.
    wait::until("the number of attempts between", LIVE, || {
        story.lines(&site).iter().any(|line| line.contains(" unshown=")).then_some(())
    });
    site.simulator = wait::until("the server again", BACK, || Simulator::start(&again).ok());
    story.wait_for(&site, "worker.connection_back", Duration::from_secs(60));
    story.wait_for(&site, "feed.up", BACK);
    let once = [("feed.down", 1), ("feed.up", 1), ("worker.connection_back", 1)];
    story.assert(&site, 12, &DETAIL, &once);
    let lost = story.lines(&site).iter().filter(|line| word(line, 3) == "worker.connection_lost").count();
    assert!((2..=4).contains(&lost), "{:?}", story.lines(&site));
}

#[test]
fn a_killed_recorder_is_one_line_with_how_long_it_took() {
    let site = three_workers();
    let story = Story::begin(&site);
    let victim = site.ready_recorder().unwrap();
    process::send(victim, Signal::SIGKILL);
    let line = story.wait_for(&site, "recorder.died", BACK);
    assert!(line.contains(" recovered_ms=") && word(&line, 1) == "WARN", "{line}");
    wait::until("a new recorder", BACK, || site.ready_recorder().filter(|pid| *pid != victim));
    site.wait_for_rows(50);
    story.assert(&site, 4, &["ERROR"], &[("recorder.died", 1), ("recorder.spawned", 1)]);
}

#[test]
fn a_drain_is_told_by_its_worker_and_not_by_each_match() {
    let site = three_workers();
    let workers = site.workers().unwrap();
    let story = Story::begin(&site);
    let drained = process::run(site.path(), &["drain", &workers[0].0.to_string(), "--timeout", "40s"]);
    assert_eq!(drained.status.code(), Some(0), "{}", String::from_utf8_lossy(&drained.stderr));
    let line = story.wait_for(&site, "worker.left", BACK);
    assert_eq!(word(&line, 1), "INFO", "{line}");
    let once = [("worker.draining", 1), ("worker.left", 1), ("match.moved", 0)];
    story.assert(&site, 9, &WARNINGS, &once);
}
