//! `status` as text: at most 80 columns, what matters first.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{Align, Table, age, short};
use super::read;
use serde_json::Value;
use touchline_common::control::views::{DeathView, FeedView, StatusView, name_of};

/// Deaths in the text; all that are known stand in the JSON.
const DEATHS_SHOWN: usize = 5;

pub(crate) fn status(status: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let status: StatusView = read(status)?;
    let (version, build) = (clean(&status.version), short(&status.build, 20));
    let (state, up) = (name_of(&status.state), age(status.uptime_s));
    out.line(format!("touchline {version} ({}): {state}, up {up}", clean(&build)))?;
    out.line(format!("pid {}, epoch {}", status.pid, status.epoch))?;
    out.line("")?;
    out.line(matches(&status))?;
    let workers = status.workers;
    out.line(format!(
        "workers   {} of {} ready, {} starting, {} parked, {} restarts",
        workers.ready, workers.max, workers.starting, workers.parked, workers.restarts
    ))?;
    let recorder = &status.recorder;
    out.line(format!(
        "recorder  {}: {} documents, {} events, {} queued, {} dropped",
        clean(&recorder.state),
        recorder.documents,
        recorder.events,
        recorder.queue,
        recorder.dropped
    ))?;
    if !recorder.trouble.is_empty() {
        out.line(format!("          {}", clean(&recorder.trouble)))?;
    }
    if !status.state_trouble.is_empty() {
        out.line(format!("state     not saved: {}", clean(&status.state_trouble)))?;
    }
    let (gateway, sandbox) = (&status.gateway, &status.sandbox);
    let clients = match gateway.state.as_str() {
        "off" => String::new(),
        _ => format!(", {} clients", gateway.clients),
    };
    out.line(format!(
        "gateway   {}{clients}; sandbox: landlock {}, seccomp {}",
        clean(&gateway.state),
        clean(&sandbox.landlock),
        clean(&sandbox.seccomp)
    ))?;
    out.line("")?;
    feeds(&status.feeds, out)?;
    deaths(&status.deaths, out)
}

fn matches(status: &StatusView) -> String {
    let matches = status.matches;
    // Only what is not as it should be takes room, after the live ones.
    let mut line = format!("matches   {} listed, {} live", matches.listed, matches.live);
    for (state, here) in [
        ("waiting", matches.waiting),
        ("subscribing", matches.subscribing),
        ("stale", matches.stale),
        ("quarantined", matches.quarantined),
    ] {
        if here > 0 {
            line.push_str(&format!(", {here} {state}"));
        }
    }
    line.push_str(&format!("; {} ended", matches.ended));
    line
}

fn feeds(feeds: &[FeedView], out: &mut Printer<'_>) -> Result<(), Failure> {
    if feeds.is_empty() {
        return out.line("no feeds");
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("FEED", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("ASKED", right),
        ("ACKED", right),
        ("LIVE", right),
        ("CAP", right),
    ]);
    let mut reasons = Vec::new();
    for feed in feeds {
        let cap = match feed.learned_cap {
            Some(learned) => format!("{} ({learned} learned)", feed.cap),
            None => feed.cap.to_string(),
        };
        let name = short(&feed.name, 20);
        if !feed.why.is_empty() {
            reasons.push(format!("{}: {}", clean(&name), clean(&feed.why)));
        }
        if let Some(round) = feed.round_ms {
            reasons.push(format!("{}: a round of its matches takes {round} ms", clean(&name)));
        }
        if feed.audits_missed > 0 {
            let (audits, missed) = (feed.audits, feed.audits_missed);
            reasons.push(format!("{}: {missed} of {audits} fresh loads showed missing deltas", clean(&name)));
        }
        table.row([
            name,
            feed.kind.clone(),
            name_of(&feed.state),
            feed.asked.to_string(),
            feed.acknowledged.to_string(),
            feed.live.to_string(),
            cap,
        ]);
    }
    table.print(out)?;
    reasons.iter().try_for_each(|reason| out.line(reason))
}

/// The last few deaths, the newest first.
fn deaths(deaths: &[DeathView], out: &mut Printer<'_>) -> Result<(), Failure> {
    if deaths.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("DIED", Align::Left),
        ("WHO", Align::Left),
        ("PID", Align::Right),
        ("HOW", Align::Left),
        ("UP", Align::Right),
        ("MATCHES", Align::Right),
    ]);
    let mut reasons = Vec::new();
    for death in deaths.iter().take(DEATHS_SHOWN) {
        let who = death.worker.map_or_else(|| short(&death.child, 10), |worker| format!("w{worker}"));
        let how = match (death.exit, death.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) if death.core => format!("signal {signal} (core)"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "not started".to_owned(),
        };
        let why = if death.why.is_empty() { &death.last_activity } else { &death.why };
        let at = death.at_match.as_deref().map(|id| format!(", at match {}", clean(&short(id, 40))));
        reasons.push(format!("{}: {}{}", clean(&who), clean(&short(why, 72)), at.unwrap_or_default()));
        // To the second is enough for people.
        let at: String = death.at.chars().take(19).collect();
        let pid = death.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        table.row([at, who, pid, how, age(death.uptime_s), death.matches.to_string()]);
    }
    out.line("")?;
    table.print(out)?;
    reasons.iter().try_for_each(|reason| out.line(reason))
}
