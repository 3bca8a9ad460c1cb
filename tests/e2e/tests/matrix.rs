//! A few cases of the matrix, a test each; `scripts/chaos --matrix` runs all of them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::process::Command;
use touchline_chaos::matrix;
use touchline_harness::process;

/// Runs the one case of this name.
fn case(name: &str) {
    let cases = matrix::cases();
    let wanted: Vec<_> = cases.iter().filter(|case| case.name() == name).collect();
    assert_eq!(wanted.len(), 1, "{name}");
    let mut lines = String::new();
    let tally = matrix::run(wanted, &mut |line| lines.push_str(line));
    eprintln!("{lines}");
    assert_eq!(tally.bad, 0, "{lines}");
}

#[test]
fn a_worker_killed_before_it_is_known_to_be_ready() {
    case("kill9/worker/ready.sent/start");
}

#[test]
fn a_recorder_killed_before_a_commit() {
    case("kill9/recorder/record.before_commit/running");
}

#[test]
fn a_recorder_killed_after_a_commit_that_is_not_acknowledged() {
    case("kill9/recorder/record.after_commit/running");
}

#[test]
fn a_coordinator_killed_while_it_saves() {
    case("kill9/coordinator/save.tmp_written/respawn");
}

#[test]
fn a_worker_that_cannot_be_started() {
    case("error/coordinator/spawn.before/worker");
}

#[test]
fn a_state_that_cannot_be_saved() {
    case("error/coordinator/save.tmp_written");
}

#[test]
fn a_recorder_in_an_endless_loop_ends_itself() {
    case("spin/recorder/coordinator-stopped");
}

#[test]
fn a_recorder_stopped_beyond_the_watchdogs_patience_goes_on() {
    case("stop-and-continue/recorder");
}

#[test]
fn an_image_that_may_not_be_executed() {
    case("exec/not-executable");
}

#[test]
fn no_descriptor_for_an_operator() {
    case("nofile/coordinator/accept");
}

#[test]
fn operators_that_leave_in_the_middle() {
    case("epipe/control-client");
}

#[test]
fn a_child_of_another_version() {
    case("bad-child/other-version");
}

#[test]
fn a_child_that_sends_too_long_a_frame() {
    case("bad-child/too-long-frame");
}

#[test]
fn a_child_that_floods_its_channel() {
    case("bad-child/flood");
}

#[test]
fn twenty_workers_killed_at_once() {
    case("kill9/twenty-workers");
}

#[test]
fn an_end_that_is_asked_for_while_the_recorder_starts() {
    case("term/start/recorder");
}

#[test]
fn a_stop_of_the_whole_group_that_the_coordinator_sees_late() {
    case("term/group/coordinator-stopped");
}

#[test]
fn hundreds_of_signals() {
    case("storm/hup-and-usr1");
}

#[test]
fn a_match_that_ends_two_workers() {
    case("quarantine/move.prepared");
}

/// What tests break is not in what is released.
#[test]
fn the_released_program_has_no_failpoints() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common/failpoint/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let lines = source.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split_once(" = \""));
    let mut names: Vec<&str> = lines.map(|(_, name)| name).collect();
    assert!(names.len() > 20, "{names:?}");
    names.extend(["TOUCHLINE_FAILPOINTS", "TOUCHLINE_BAD_CHILD"]);
    // A search of our own would take minutes in a test's build.
    let has = |program: &Path, name: &str| {
        let found = Command::new("grep")
            .args(["--quiet", "--text", "--fixed-strings", "--", name])
            .arg(program)
            .status();
        found.unwrap().success()
    };
    let missing: Vec<_> = names.iter().filter(|name| !has(process::faulty_program(), name)).collect();
    assert!(missing.is_empty(), "this test would not see {missing:?}");
    let there: Vec<_> = names.iter().filter(|name| has(process::program(), name)).collect();
    assert!(there.is_empty(), "in the released program: {there:?}");
}
