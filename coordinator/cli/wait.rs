//! The verbs that wait: until all is ready, until matches have moved, until the daemon is gone.
//!
//! Invariant: both end, and name what was missing when the time is over.

use super::ask::Daemon;
use super::options::OutputFormat;
use super::output::{Failure, Outcome, Printer, clean};
use super::{Code, show};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use touchline_common::control::views::{FeedState, StatusView, counted, name_of};
use touchline_common::control::{Client, ControlError};

const PAUSE: Duration = Duration::from_millis(50);

/// How long `wait-ready` waits without `--timeout`: a little longer than the daemon itself waits for the first lists.
const READY_TIMEOUT: Duration = Duration::from_secs(35);

/// How long `stop` waits without `--timeout`: the longest usual drain and the ladder after it.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// How long moves may take without `--timeout`: a worker may have to be started for them.
const MOVE_TIMEOUT: Duration = Duration::from_secs(60);

const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the process may outlive its socket.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// `wait-ready`: a daemon that is not there yet is waited for, too.
pub(super) fn ready(daemon: &Daemon, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let timeout = daemon.timeout_or(READY_TIMEOUT);
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let looked = look(daemon, "status", left.clamp(PAUSE, LOOK_TIMEOUT));
        if let Ok(status) = &looked {
            match status.get("state").and_then(Value::as_str).unwrap_or_default() {
                "ready" => {
                    show::print(status, format, "ready", out)?;
                    return Ok(Code::Done);
                }
                "degraded" => return Err(degraded(daemon, status)),
                "draining" | "stopping" => {
                    return Err(Failure::new(Code::Failed, "the daemon is stopping"));
                }
                _ => {}
            }
        }
        if left.is_zero() {
            return Err(not_ready(looked, timeout));
        }
        std::thread::sleep(PAUSE.min(left));
    }
}

fn look(daemon: &Daemon, verb: &str, timeout: Duration) -> Result<Value, ControlError> {
    Client::connect(daemon.socket())?.request(verb, Map::new(), timeout)
}

fn degraded(daemon: &Daemon, status: &Value) -> Failure {
    let health = look(daemon, "health", LOOK_TIMEOUT).ok();
    let reasons: Vec<&str> = health.as_ref().map(show::reasons).unwrap_or_default();
    let missing = if reasons.is_empty() { missing(status) } else { reasons.join("; ") };
    Failure::new(Code::Partial, format!("degraded: {}", clean(&missing)))
}

fn not_ready(looked: Result<Value, ControlError>, timeout: Duration) -> Failure {
    match looked {
        Ok(status) => {
            let missing = missing(&status);
            Failure::new(Code::Partial, format!("not ready after {timeout:?}: {}", clean(&missing)))
        }
        Err(error @ (ControlError::NotRunning { .. } | ControlError::NoPermission { .. })) => error.into(),
        Err(error) => Failure::new(Code::Partial, format!("not ready after {timeout:?}: {error}")),
    }
}

fn missing(status: &Value) -> String {
    let Ok(status) = show::read::<StatusView>(status) else { return "cannot read its status".to_owned() };
    let mut missing = Vec::new();
    if status.recorder.state != "ready" {
        missing.push(format!("recorder {}", status.recorder.state));
    }
    for feed in status.feeds.iter().filter(|feed| feed.state != FeedState::Up) {
        let why = if feed.why.is_empty() { String::new() } else { format!(" ({})", feed.why) };
        missing.push(format!("feed {} {}{why}", feed.name, name_of(&feed.state)));
    }
    for (state, count) in status.matches.not_live() {
        if count > 0 {
            missing.push(format!("{} {state}", counted(count, "match", "matches")));
        }
    }
    if missing.is_empty() {
        "the first match lists are not placed yet".to_owned()
    } else {
        missing.join("; ")
    }
}

/// The verbs that move matches: the daemon answers when it is done, or with what is missing when the time is over.
pub(super) fn moved(
    daemon: &Daemon,
    verb: &str,
    args: Map<String, Value>,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let answer = daemon.ask_within(verb, args, MOVE_TIMEOUT)?;
    match format {
        OutputFormat::Json => out.json(&answer)?,
        OutputFormat::Text => show::done(&answer, out)?,
    }
    Ok(Code::Done)
}

/// `stop`: asks, then waits until socket and process are gone.
pub(super) fn stop(
    daemon: &Daemon,
    args: Map<String, Value>,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let timeout = daemon.timeout_or(STOP_TIMEOUT);
    let end = Instant::now() + timeout;
    let pid = pid_now(daemon).ok().flatten();
    daemon.ask("stop", args)?;
    loop {
        let now = pid_now(daemon);
        let gone = match (&now, pid) {
            (Err(ControlError::NotRunning { .. }), _) => true,
            // Whoever supervises it has started the next one already.
            (Ok(Some(now)), Some(before)) => *now != before,
            (Ok(_) | Err(_), _) => false,
        };
        if gone && pid.is_none_or(|pid| wait_for_exit(pid, end)) {
            show::print(&json!({"stopped": true, "pid": pid}), format, "stopped", out)?;
            return Ok(Code::Done);
        }
        if Instant::now() >= end {
            let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            return Err(Failure::new(
                Code::Partial,
                format!("the daemon{who} is still running after {timeout:?}"),
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

fn pid_now(daemon: &Daemon) -> Result<Option<u64>, ControlError> {
    Ok(look(daemon, "status", LOOK_TIMEOUT)?.get("pid").and_then(Value::as_u64))
}

/// The socket goes before the process does. A process that has not been waited for yet is as good as gone.
fn wait_for_exit(pid: u64, end: Instant) -> bool {
    let end = end.min(Instant::now() + LAST_STEPS);
    while Instant::now() < end {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so the state is looked for behind the last one.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, None | Some('Z' | 'X')) {
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    false
}
